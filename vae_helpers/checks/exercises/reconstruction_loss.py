"""The reconstruction loss: the cross-entropy, summed over pixels and batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ... import answers
from ..calls import Array, Calls, Inputs, Record
from ..exercise import Exercise, Given
from ..formulas import LIKELIHOODS, PIXELS, cross_entropy, likelihood_note, recon_mistakes
from ..inputs import rand
from ..verdicts import (
    Mistake,
    Stop,
    close,
    finite,
    need,
    need_gradients,
    need_graph,
    need_inputs_kept,
    shape,
    wrong,
)  # fmt: skip

CALL = "reconstruction_loss(recon_x, x)"
BATCHES = ("0", "1", "2", "3", "4")
SIZES = (5, 5, 5, 3, 3)
BRIGHTEST = (
    0.6,
    0.35,
    0.9,
    0.5,
    0.75,
)  # of each batch's recon_x, so that errors of all sizes occur


def inputs(g: torch.Generator) -> Inputs:
    made = {}
    for batch, size, high in zip(BATCHES, SIZES, BRIGHTEST, strict=True):
        made[f"recon_x.{batch}"] = rand(g, size, PIXELS, low=0.03, high=high)
        made[f"x.{batch}"] = rand(g, size, PIXELS, low=0.02, high=0.97)
    made["recon_x.binary"] = rand(g, 4, PIXELS, low=0.03, high=0.97)
    made["x.binary"] = (rand(g, 4, PIXELS) < 0.3).double()
    made["recon_x.saturated"] = (rand(g, 4, PIXELS) < 0.3).double()
    made["x.saturated"] = (rand(g, 4, PIXELS) < 0.3).double()
    return made


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    for batch in (*BATCHES, "binary"):
        calls.tracked(batch, answer, given, f"recon_x.{batch}", f"x.{batch}")
    calls.call("saturated", answer, given["recon_x.saturated"], given["x.saturated"])


def judge(record: Record, given: Given) -> str:
    for batch in (*BATCHES, "binary"):
        value = need(record, batch, CALL, number=True)
        images = given[f"x.{batch}"].shape[0]
        seen = f"For {images} images of {PIXELS} pixels the result has the shape {shape(value)}."
        if value.size == 1:
            continue
        if value.shape == (images,):
            raise wrong("recon-per-image", seen)
        if value.shape == (images, PIXELS):
            raise wrong("recon-not-reduced", seen)
        raise wrong("wrong-shape", f"{seen} It must be one number.")
    need_inputs_kept(record)
    got = np.array([float(np.asarray(record[batch]).ravel()[0]) for batch in BATCHES])
    pairs = [(given[f"recon_x.{batch}"], given[f"x.{batch}"]) for batch in BATCHES]
    images = np.array(SIZES, dtype=float)
    right = np.array([cross_entropy(p, x).sum() for p, x in pairs])
    seen = f"For {len(pairs[0][1])} images you give {got[0]:.4g}; their summed cross-entropy is {right[0]:.4g} nats."
    if not finite(got):
        raise wrong("not-finite", seen)
    if close(got, right, 1e-4):
        _check_ends(record)
        _check_gradients(record, given, "cross-entropy", 1.0)
        return ""
    if np.ptp(got) < 1e-9 * np.abs(got).max():
        raise wrong("input-ignored", seen)
    _name_factor(got, right, images, seen)
    mistakes = [recon_mistakes(p, x) for p, x in pairs]
    for name, formulas in mistakes[0].items():
        for variant in range(len(formulas)):
            formula = np.array([of_pair[name][variant].sum() for of_pair in mistakes])
            for scale in (1.0, -1.0, 1 / PIXELS, 1 / images, 1 / (PIXELS * images)):
                if close(got, formula * scale, 1e-4):
                    raise wrong(name, seen)
    note = _other_likelihood(record, given, got, pairs, images, seen)
    _check_ends(record)
    return note


def _check_ends(record: Record) -> None:
    if not finite(np.asarray(record["binary"])):
        raise wrong("not-finite", "Where a pixel is exactly 0 or 1 your loss isn't finite.")
    need(record, "saturated", f"For a recon_x of exact zeros and ones {CALL}", number=True)
    if not finite(np.asarray(record["saturated"])):
        raise wrong(
            "not-finite",
            "Where recon_x is exactly 0 or 1 your loss isn't finite. A sigmoid gives such pixels in float32 once "
            "the decoder is sure, and 0 · log 0 is NaN; the cross-entropy of PyTorch guards against it.",
        )


def _check_gradients(record: Record, given: Given, likelihood: str, weight: float) -> None:
    need_graph(record, list(BATCHES))
    for batch in BATCHES:
        slope = weight * LIKELIHOODS[likelihood][1](given[f"recon_x.{batch}"], given[f"x.{batch}"])
        need_gradients(record, batch, {"recon_x": slope})


def _name_factor(got: Array, right: Array, images: Array, seen: str) -> None:
    factors = got / right
    if close(factors, 1 / (PIXELS * images)) or close(factors, np.full_like(factors, 1 / PIXELS)):
        raise wrong("recon-averaged", seen)
    if close(factors, 1 / images):
        raise wrong("recon-averaged-over-batch", seen)
    if close(factors, np.full_like(factors, factors[0]), 1e-4):
        if factors[0] < 0:
            raise wrong("recon-sign", seen)
        if abs(factors[0] - 1) > 0.02:
            raise wrong("recon-scaled", seen)


def _other_likelihood(
    record: Record,
    given: Given,
    got: Array,
    pairs: list[tuple[Array, Array]],
    images: Array,
    seen: str,
) -> str:
    """The note for another likelihood, up to a constant for each pixel; else a stop."""
    for likelihood in ("squared", "absolute", "continuous"):
        errors = np.array([LIKELIHOODS[likelihood][0](p, x).sum() for p, x in pairs])
        for scale, averaged in ((images, False), (np.ones_like(images), True)):
            weight = _weight(got, errors * scale / images, scale * PIXELS)
            if weight is None:
                continue
            if weight < 0:
                raise wrong("recon-sign", seen)
            if weight < (0.01 if averaged else 0.1):
                raise wrong("recon-averaged", seen)
            if averaged:
                raise wrong("recon-averaged-over-batch", seen)
            if weight > 1e4:
                raise Stop(
                    f"{seen} It is a squared or absolute error that counts {weight:.3g} times, as where pixels run "
                    "from 0 to 255. Beside it no KL term would be felt: leave the images in [0, 1]."
                )
            _check_gradients(record, given, likelihood, weight)
            return likelihood_note(likelihood, weight)
    log_mse = np.array([x.size * np.log(((p - x) ** 2).mean()) for p, x in pairs])
    weight = _weight(got, log_mse, images * PIXELS)
    if weight is not None and abs(weight - 0.5) < 0.02:
        need_graph(record, list(BATCHES))
        for batch, (p, x) in zip(BATCHES, pairs, strict=True):
            slope = 2 * weight * (p - x) / ((p - x) ** 2).mean()
            need_gradients(record, batch, {"recon_x": slope})
        return likelihood_note("best-sigma", weight)
    raise Stop(
        f"{seen} It is neither the cross-entropy nor a mistake that the course knows. Compute one pixel by hand."
    )


def _weight(got: Array, errors: Array, pixels: Array) -> float | None:
    """The weight of the errors, where the results are that many errors and a constant for each pixel."""
    columns = np.stack([errors, pixels], axis=1)
    solution = np.linalg.lstsq(columns, got, rcond=None)[0]
    return float(solution[0]) if close(columns @ solution, got, 1e-4) else None


MISTAKES = {
    "recon-averaged": Mistake(
        "The mean over the pixels makes the image weigh as much as one pixel. The KL term then wins: all "
        "reconstructions become one blur, and the KL goes to 0.",
        "Add up over the pixels; the function you use has an option for it.",
    ),
    "recon-averaged-over-batch": Mistake(
        "The reconstruction is divided by the number of images. Beside a KL term that is summed over them, this "
        "makes the KL term heavier, by a factor that depends on the batch size.",
        "Sum over the batch, as the KL term will be.",
    ),
    "recon-scaled": Mistake(
        "This is the cross-entropy times a number. Beside the KL term that number is a hidden weight.",
        "Look for a factor or a division.",
    ),
    "recon-per-image": Mistake(
        "The exercise asks for one number, summed over the batch.", "Add the images' losses up."
    ),
    "recon-not-reduced": Mistake(
        "These are the losses of single pixels. The exercise asks for one number, summed over pixels and batch.",
        "Add them up; the function you use has an option for it.",
    ),
    "recon-sign": Mistake(
        "This is a log-likelihood, which should grow. A loss should get smaller.",
        "Turn the sign.",
    ),
    "recon-swapped": Mistake(
        "The cross-entropy is not symmetric: the first argument is the prediction, the second the target. With "
        "the two exchanged it takes the logarithm of the image, whose pixels are mostly 0.",
        "Exchange the two arguments.",
    ),
    "recon-half-missing": Mistake(
        "One half of the cross-entropy is missing: only bright pixels are judged, or only dark ones. A white image, "
        "or a black one, would be a perfect reconstruction of everything.",
        "A pixel must count whether it is bright or dark: the cross-entropy has two terms.",
    ),
    "two-sigmoids": Mistake(
        "A second sigmoid is applied to numbers that are probabilities already. It squeezes them into [0.5, "
        "0.73]: no pixel can be black. (A loss that takes logits is right where decode gives logits. Here it "
        "gives probabilities.)",
        "Keep one sigmoid, in the decoder, and the loss that takes probabilities.",
    ),
    "targets-rescaled": Mistake(
        "The images were shifted or scaled. Targets outside [0, 1] have no meaning in a cross-entropy, which can fall "
        "below 0; targets divided by 255 once more make every image nearly black.",
        "Leave the images as they are, in [0, 1].",
    ),
}
HINTS = (
    "The decoder gives a probability for each pixel. The loss says how badly these predict the image.",
    "torch.nn.functional has the binary cross-entropy. Its first argument is the prediction, its second the "
    "target.",
    "Its option `reduction` decides between a mean, a sum, and no reduction. Here all pixels of all images "
    "are added.",
)

EXERCISE = Exercise(
    name="reconstruction_loss",
    lesson="06",
    step=6,
    answer=answers.reconstruction_loss,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
)
