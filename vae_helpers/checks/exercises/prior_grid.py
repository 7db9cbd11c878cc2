"""A grid of codes, each standing for the same share of the prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..verdicts import Mistake, Stop, close, finite, listed, need, shape, wrong

CALL = "prior_grid(side)"
SIDES = (3, 4)


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for side in SIDES:
        calls.call(str(side), answer, side)


def judge(record: Record, given: Given) -> str:
    for side in SIDES:
        grid = need(record, str(side), CALL)
        if grid.shape != (side**2, 2):
            seen = f"For side = {side} the grid has the shape {shape(grid)}, not ({side**2}, 2)."
            raise wrong("wrong-shape", seen)
    side = SIDES[-1]
    grid = np.asarray(record[str(side)])
    places = np.unique(np.round(grid, 5))
    seen = f"For side = {side} the coordinates are {listed(places)}."
    if not finite(grid):
        raise wrong("grid-at-infinity", seen)
    if all(close(np.asarray(record[str(n)]), _grid(n)) for n in SIDES):
        return ""
    right = _grid(side)
    if close(np.sort(grid.ravel()), np.sort(right.ravel()), 1e-3):
        raise wrong("grid-turned", seen)
    gaps = np.diff(places)
    if len(gaps) and np.ptp(gaps) < 1e-3 * gaps.max():
        raise wrong("grid-evenly-spaced", seen)
    raise Stop(
        f"{seen} They must be the normal quantiles of (i + ½) / side: {listed(np.unique(right.round(5)))}."
    )


def _grid(side: int) -> Array:
    shares = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    quantiles = torch.special.ndtri(shares).numpy()
    return np.array([(x, y) for y in quantiles[::-1] for x in quantiles])


MISTAKES = {
    "grid-evenly-spaced": Mistake(
        "The steps are equal in z, so the outer pictures stand for codes that the prior almost never draws, and "
        "the crowded middle gets few.",
        "Make the steps equal in the share of the prior. The normal distribution's icdf turns shares into codes.",
    ),
    "grid-at-infinity": Mistake(
        "The shares 0 and 1 lie at −∞ and ∞.", "Take the middle of each share: (i + ½) / side."
    ),
    "grid-turned": Mistake(
        "The codes are right, but in another order: the picture would be mirrored or turned beside the map.",
        "Go row by row from the top: z[0] grows to the right, and z[1] falls downwards.",
    ),
}
HINTS = (
    "Each row and each column of the grid stands for the same share of the prior: 1/side of it.",
    "torch.distributions.Normal(0.0, 1.0).icdf turns a share, such as 0.5, into a code, such as 0.",
    "Turn the shares (i + ½)/side into one list of numbers. Combine it with itself, the second coordinate "
    "flipped.",
)

EXERCISE = Exercise(
    name="prior_grid",
    lesson="07",
    step=1,
    answer=answers.prior_grid,
    inputs=lambda generator: {},
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
