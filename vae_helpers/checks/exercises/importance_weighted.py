"""The importance-weighted bound, from the logarithms of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..verdicts import (
    Mistake,
    Stop,
    close,
    listed,
    need,
    need_gradients,
    need_graph,
    need_inputs_kept,
    shape,
    wrong,
)  # fmt: skip

CALL = "importance_weighted(log_w)"
BATCHES = ("near", "far")


def inputs(g: torch.Generator) -> Inputs:
    """Log-weights of several codes for several images: moderate ones, and ones whose exponential is 0."""
    return {
        "log_w.near": 2 * torch.randn(7, 4, generator=g, dtype=torch.float64),
        "log_w.far": 2 * torch.randn(6, 3, generator=g, dtype=torch.float64) - 900,
    }


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for batch in BATCHES:
        calls.tracked(batch, answer, given, f"log_w.{batch}")


def judge(record: Record, given: Given) -> str:
    got: dict[str, Array] = {}
    for batch in BATCHES:
        got[batch] = need(record, batch, CALL)
        codes, images = given[f"log_w.{batch}"].shape
        seen = (
            f"For {codes} codes and {images} images the result has the shape {shape(got[batch])}."
        )
        if got[batch].shape == (codes,):
            raise wrong("bound-wrong-axis", seen)
        if got[batch].shape != (images,):
            raise wrong("wrong-shape", f"{seen} It must be ({images},).")
    need_inputs_kept(record)
    log_w = given["log_w.near"]
    summed = np.log(np.exp(log_w).sum(axis=0))
    right = summed - np.log(len(log_w))
    seen = f"For the log-weights {listed(log_w[:, 0])}, … you give {got['near'][0]:.3g}; the bound is {right[0]:.3g}."
    formulas = {
        "bound-mean-of-logs": log_w.mean(axis=0),
        "bound-codes-not-counted": summed,
        "bound-best-code": log_w.max(axis=0),
        "bound-sign": -right,
        "bound-no-logarithm": np.exp(right),
    }
    for name, formula in formulas.items():
        if close(got["near"], formula):
            raise wrong(name, seen)
    if not close(got["near"], right):
        raise Stop(
            f"{seen} This is none of the mistakes that the course knows: try it by hand for two codes."
        )
    far = given["log_w.far"]
    top = far.max(axis=0)
    if not close(got["far"] - top, np.log(np.exp(far - top).mean(axis=0)), 1e-2):
        raise wrong("bound-underflow", f"For log-weights near −900 you give {listed(got['far'])}.")
    need_graph(record, list(BATCHES))
    need_gradients(record, "near", {"log_w": np.exp(log_w - summed)})
    return ""


MISTAKES = {
    "bound-mean-of-logs": Mistake(
        "The mean of the logarithms is an ELBO. However many codes you draw, it comes no nearer to log p(x).",
        "Average the weights first, and take the logarithm last.",
    ),
    "bound-codes-not-counted": Mistake(
        "The weights are added up instead of averaged, so the result grows by log k whatever the codes are, and "
        "can lie above log p(x).",
        "Ask what a sum has to be divided by to be a mean, and what that is in the logarithm.",
    ),
    "bound-best-code": Mistake(
        "This is the largest weight alone, but it's the mean of the weights that estimates p(x).",
        "Let all codes of an image count.",
    ),
    "bound-wrong-axis": Mistake(
        "There is one number for each code. Different images must not be mixed.",
        "Average over the codes of each image: check which axis is which.",
    ),
    "bound-sign": Mistake(
        "The sign is turned: this is a loss, and the exercise asks for the bound.",
        "Turn the sign of the result.",
    ),
    "bound-no-logarithm": Mistake(
        "This is the mean weight, an estimate of p(x). The exercise asks for its logarithm, in nats.",
        "Take the logarithm of the mean, without ever leaving the logarithms.",
    ),
    "bound-underflow": Mistake(
        "The exponential of such a number is 0 on a computer, and its logarithm −∞. Images of 784 pixels have "
        "log-weights like these.",
        "PyTorch has a function for the logarithm of a sum of exponentials that avoids this.",
    ),
}
HINTS = (
    "The weights themselves are averaged, but you're given their logarithms.",
    "The logarithm of a mean over k is the logarithm of a sum, less log k.",
    "torch.logsumexp(log_w, dim=0) adds the weights of each image, and gives the logarithm of the sum.",
)

EXERCISE = Exercise(
    name="importance_weighted",
    lesson="",
    step=1,
    answer=answers.importance_weighted,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
