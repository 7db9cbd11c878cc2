"""A walk through points in equal steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..verdicts import Mistake, Stop, close, need, need_finite, need_inputs_kept, shape, wrong

CALL = "walk(points, steps)"
STEPS = (7, 12)  # the second one doesn't divide evenly among three legs


def inputs(g: torch.Generator) -> Inputs:
    return {"points": torch.randn(4, 3, generator=g, dtype=torch.float64)}


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for steps in STEPS:
        points = given["points"].clone()
        calls.call(str(steps), answer, points, steps)
        calls.note_change(points, given["points"])


def judge(record: Record, given: Given) -> str:
    points = given["points"]
    for steps in STEPS:
        path = need(record, str(steps), CALL)
        if path.shape != (steps, points.shape[1]):
            seen = f"For {steps} steps in {points.shape[1]} dimensions the path has the shape {shape(path)}."
            raise wrong("wrong-shape", f"{seen} It must be ({steps}, {points.shape[1]}).")
    need_inputs_kept(record)
    need_finite(record, [str(steps) for steps in STEPS], CALL)
    paths = {steps: np.asarray(record[str(steps)]) for steps in STEPS}
    if all(close(path, _walk(points, steps)) for steps, path in paths.items()):
        return ""
    steps, path = next(iter(paths.items()))
    if close(path, np.linspace(points[0], points[-1], steps), 1e-3):
        raise wrong("walk-skips-points", f"All {steps} steps lie on one straight line.")
    ends = np.abs(path[0] - points[0]).max(), np.abs(path[-1] - points[-1]).max()
    if max(ends) > 1e-3:
        raise wrong("walk-misses-the-end", f"The ends are off by {ends[0]:.2g} and {ends[1]:.2g}.")
    raise Stop(
        "Both ends are right, but some steps in between aren't where they should be. Each leg takes equally long, "
        "whatever its length."
    )


def _walk(points: Array, steps: int) -> Array:
    position = np.linspace(0, len(points) - 1, steps)
    numbers = np.arange(len(points))
    return np.stack([np.interp(position, numbers, column) for column in points.T], axis=1)


MISTAKES = {
    "walk-misses-the-end": Mistake(
        "The path does not begin at the first point and end at the last.",
        "Let both ends count: torch.linspace does.",
    ),
    "walk-skips-points": Mistake(
        "The path goes straight from the first point to the last, past those between.",
        "Go from each point to the next.",
    ),
}
HINTS = (
    "torch.linspace gives all the positions at once, with both ends among them.",
    "Between which two points does the position 1.25 lie, and what share of each does its code take?",
    "Split each position into its whole part and the rest, and mix the two neighbouring points. At the very "
    "end there is no next point: clamp the whole part.",
)

EXERCISE = Exercise(
    name="walk",
    lesson="07",
    step=3,
    answer=answers.walk,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
