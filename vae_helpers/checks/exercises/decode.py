"""The decoder: a code in, the probability of each pixel out."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import answers
from ..calls import Array, Calls, Inputs, Record, describe, dtype_of, giving, in_mode, last_layers
from ..exercise import Exercise, Given
from ..formulas import PIXELS
from ..inputs import images_and_codes
from ..models import (
    halfway_is_the_mean,
    need_input,
    need_model,
    need_no_new_layer,
    need_same_for_each_batch,
    need_trained_parts,
)
from ..verdicts import Mistake, Stop, near, need, need_finite, shape, wrong

CALL = "decode(z)"


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    model = calls.model(answer)
    if model is None:
        return
    decode, dtype = getattr(model, "decode", None), dtype_of(model, calls.dtype)
    if decode is None:
        calls.record["seven.kind"] = "no method decode"
        return
    with in_mode(model, False), torch.no_grad(), calls.stirred(model):
        z = codes_for(model, given, dtype)
        image = calls.call("seven", decode, z)
        if not isinstance(image, Tensor):
            calls.other_size(decode, z)
            return
        calls.call("three", decode, z[:3].clone())
        calls.call("one", decode, z[:1].clone())
        calls.call("reversed", decode, z.flip(0))
        calls.call("again", decode, z)
        calls.call("halfway", decode, (z + z.flip(0)) / 2)
        calls.call("far", decode, 40 * z)
        last = last_layers(model, decode, z, (PIXELS,))[-1:]
        for key, value in (("black", -30.0), ("white", 30.0)):
            with giving(last, torch.tensor(value)):
                calls.call(key, decode, z)
        with torch.enable_grad():
            leaf = z.clone().requires_grad_()
            _slope(calls.record, "z", decode, leaf, leaf)
            for key, value in (("dark", -2.0), ("bright", 2.0)):
                level = torch.tensor(value, dtype=dtype, requires_grad=True)
                with giving(last, level):
                    _slope(calls.record, key, decode, z, level)
        calls.lost_parts("seven", model, decode, z)


def _slope(record: Record, key: str, decode: Any, z: Tensor, leaf: Tensor) -> None:
    """Note the largest gradient of the image with respect to a leaf; 0 if there is none."""
    record[f"{key}.slope"] = np.zeros(())
    with contextlib.suppress(Exception):
        (gradient,) = torch.autograd.grad(decode(z).sum(), leaf, allow_unused=True)
        if gradient is not None:
            describe(record, f"{key}.slope", gradient.abs().max())


def codes_for(model: Any, given: Inputs, dtype: torch.dtype) -> Tensor:
    """Seven codes of as many latents as the model has."""
    latents = latents_of(model, given["x"].to(dtype))
    return given["z"].repeat(1, -(-latents // 512))[:, :latents].to(dtype)


def latents_of(model: Any, x: Tensor) -> int:
    """How many latents a model has, by its named layers, what its encoder gives, or what it says."""
    layers = [getattr(model, "fc_mu", None), getattr(model, "fc_logvar", None)]
    widths = [layer.out_features for layer in layers if isinstance(layer, nn.Linear)]
    if widths:
        return int(widths[0])
    with contextlib.suppress(Exception):
        return int(model.encode(x)[0].shape[1])
    decoder = getattr(model, "fc_dec", None)
    inner = decoder.modules() if isinstance(decoder, nn.Module) else []
    first = next((m for m in inner if isinstance(m, nn.Linear)), None)
    if first is not None:
        return int(first.in_features)
    said = getattr(model, "latent_dim", 20)
    return said if isinstance(said, int) and 0 < said < 100_000 else 20


def judge(record: Record, given: Given) -> str:
    need_model(record)
    seven = need(record, "seven", CALL)
    if seven.shape != (7, PIXELS):
        seen = f"For seven codes {CALL} has the shape {shape(seven)}, not (7, 784)."
        raise wrong("wrong-shape", seen)
    need_no_new_layer(record, CALL)
    need_finite(record, ["seven", "again", "far"], CALL)
    again, far = np.asarray(record["again"]), np.asarray(record["far"])
    if np.abs(again - seven).max() > 1e-6:
        raise wrong("decode-random", "Two calls with the same z gave different images.")
    need_same_for_each_batch(record, "", "the image", CALL)
    both = np.concatenate([seven, far])
    reach = f"The outputs lie between {both.min():.2f} and {both.max():.2f}"
    if np.abs(seven.sum(axis=1) - 1).max() < 1e-3:
        raise wrong("softmax-over-pixels", "The outputs of each image add up to 1.")
    if both.min() < -1e-6 or both.max() > 1 + 1e-6:
        raise wrong("no-sigmoid", f"{reach}.")
    if both.min() > 0.499 and both.max() < 0.7312:
        raise wrong("two-sigmoids", f"{reach}, also for codes far from 0.")
    need_input(record, "", "the image")
    if not float(np.asarray(record["z.slope"])):
        raise wrong("decode-without-gradient", "No gradient passes from the image to z.")
    _check_reach(record)
    need_trained_parts(record, "seven", CALL)
    if halfway_is_the_mean(record, "", _logits):
        return (
            "Different from this course in that decode is linear up to its sigmoid: nothing bends between its layers, "
            "so that two of them can do no more than one. Is a relu missing in `fc_dec`?"
        )
    return ""


def _logits(p: Array) -> Array:
    """What a sigmoid has made p of; NaN where p is too near 0 or 1 to tell."""
    inside = np.where((p > 1e-3) & (p < 1 - 1e-3), p.astype(float), np.nan)
    return np.asarray(np.log(inside / (1 - inside)))


def _check_reach(record: Record) -> None:
    """Whether a pixel can be black and white, and is never stuck."""
    if "black" not in record or "white" not in record:
        return
    black, white = (float(np.asarray(record[key]).mean()) for key in ("black", "white"))
    if near(black, white, 1e-3):  # it was not the last layer
        return
    if black > 0.2 or white < 0.8:
        raise Stop(
            f"Whatever the last layer gives, a pixel stays between {black:.2f} and {white:.2f}: something bends its "
            "result before the sigmoid, such as a relu or a tanh. Let the sigmoid alone come after the last layer."
        )
    if not (float(np.asarray(record["dark.slope"])) and float(np.asarray(record["bright.slope"]))):
        raise Stop(
            "The pixels lie between 0 and 1, but where the last layer gives −2 or 2 no gradient passes, as with a "
            "clamp: such a pixel is stuck, and never learns. A sigmoid is never flat."
        )


MISTAKES = {
    "no-sigmoid": Mistake(
        "A probability lies between 0 and 1. (Numbers of any size, logits, are right with a loss that takes "
        "logits; here `decode` promises probabilities.)",
        "End in a sigmoid.",
    ),
    "softmax-over-pixels": Mistake(
        "The pixels of an image add up to 1, as if only one of them could be lit.",
        "Each pixel has a probability of its own: end in a sigmoid.",
    ),
    "decode-without-gradient": Mistake(
        "The encoder learns through z, and so the image must change smoothly with z.",
        "Look for a rounding, a threshold, `.detach()` or `no_grad`.",
    ),
    "decode-random": Mistake(
        "Two calls with the same z give different images. A decoder gives p(x|z), the probabilities, which are "
        "the same each time; pixels are drawn from them elsewhere, if at all.",
        "Leave the drawing of random numbers to reparameterize.",
    ),
}
HINTS = (
    "When you draw new digits there is no image and no mu, only z. So what may the decoder use?",
    "What would a pixel of 1.3 or of −0.2 say, read as a probability? Something must keep it between 0 and 1.",
    "Look at what the layers in fc_dec end with, before you add a second sigmoid.",
)

EXERCISE = Exercise(
    name="decode",
    lesson="06",
    step=3,
    answer=answers.VAE.decode,
    inputs=images_and_codes,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
    of_model=True,
)
