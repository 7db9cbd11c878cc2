"""The plane in which codes spread most."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..verdicts import Mistake, listed, need, need_finite, need_inputs_kept, shape, wrong

CALL = "principal_plane(codes)"


def inputs(g: torch.Generator) -> Inputs:
    """Codes far from 0 that spread most along two known directions."""
    scales = torch.tensor([3.0, 2.0, 0.5, 0.4, 0.3], dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=g, dtype=torch.float64))
    codes = (torch.randn(300, 5, generator=g, dtype=torch.float64) * scales) @ turn
    return {"codes": codes + 4.0 * turn[4]}


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    codes = given["codes"].clone()
    calls.call("plane", answer, codes)
    calls.note_change(codes, given["codes"])


def judge(record: Record, given: Given) -> str:
    kind = str(record.get("plane.kind", "not attempted"))
    if kind != "2 values":
        need(record, "plane", CALL)
        seen = f"{CALL} gave back one tensor; it must be two, centre and axes."
        raise wrong("wrong-shape", seen)
    need_inputs_kept(record)
    codes = given["codes"]
    latents = codes.shape[1]
    centre, axes = need(record, "plane.0", CALL).ravel(), need(record, "plane.1", CALL)
    if centre.shape != (latents,) or axes.shape != (2, latents):
        seen = (
            f"For codes of shape {shape(codes)} the shapes are {shape(centre)} and {shape(axes)}."
        )
        raise wrong("wrong-shape", f"{seen} They must be ({latents},) and (2, {latents}).")
    need_finite(record, ["plane.0", "plane.1"], CALL)
    lengths = np.linalg.norm(axes, axis=1)
    seen = f"The axes have the lengths {listed(lengths)} and the product {axes[0] @ axes[1]:.2g}."
    if np.abs(axes @ axes.T - np.eye(2)).max() > 1e-3:
        raise wrong("plane-not-orthonormal", seen)
    _, _, right = np.linalg.svd(codes - codes.mean(axis=0), full_matrices=False)
    _, _, raw = np.linalg.svd(codes, full_matrices=False)
    along = ((codes - codes.mean(axis=0)) @ axes.T).var(axis=0)
    seen = f"Along the two axes the codes have the variances {listed(along)}."
    if (
        np.abs(np.abs((axes * raw[:2]).sum(axis=1)) - 1).max() < 1e-3
        or np.abs(centre - codes.mean(axis=0)).max() > 1e-2
    ):
        raise wrong("plane-not-centred", seen)
    if np.abs(np.abs((axes * right[:2]).sum(axis=1)) - 1).max() > 1e-3:
        raise wrong("plane-weakest", seen)
    return ""


MISTAKES = {
    "plane-not-centred": Mistake(
        "The directions were taken from 0 instead of the mean of the codes, so the first one points at the mean.",
        "Subtract the mean before you look for directions.",
    ),
    "plane-weakest": Mistake(
        "These are not the directions in which the codes spread most. Some functions sort from small to large.",
        "Take the two directions of the largest variance, the larger one first.",
    ),
    "plane-not-orthonormal": Mistake(
        "The two directions must be at right angles and of length 1, or a step in the plane isn't the same step "
        "in z.",
        "Give back the unit vectors themselves, without their variance.",
    ),
}
HINTS = (
    "You look for the two directions, at right angles, along which the codes spread most.",
    "torch.linalg.svd of the centred codes gives them, sorted from large to small.",
    "Of U, S, Vh the rows of Vh are the directions. Give back the mean, (D,), and the first two rows, (2, D).",
)

EXERCISE = Exercise(
    name="principal_plane",
    lesson="07",
    step=2,
    answer=answers.principal_plane,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
