"""The whole class: its three methods, and forward, which calls them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from ... import answers
from ..calls import (
    Calls,
    Inputs,
    Record,
    describe,
    dtype_of,
    in_mode,
    watching,
    waved,
    without_gradient,
)
from ..exercise import Exercise, Given
from ..formulas import PIXELS
from ..inputs import images_and_codes
from ..models import need_model
from ..verdicts import NOT_ATTEMPTED, Mistake, Stop, close, error, need_finite, shape, wrong
from . import decode, encode, reparameterize

METHODS = {"encode": encode, "reparameterize": reparameterize, "decode": decode}
CALL = "forward: model(x)"
OTHER = 3  # latents


def inputs(g: torch.Generator) -> Inputs:
    return images_and_codes(g) | reparameterize.inputs(g)


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    model = calls.model(answer)
    if model is None:
        return
    for name, method in METHODS.items():
        calls.part(name, method.probe, model, given)
    x = given["x"].to(dtype_of(model, calls.dtype))
    images = x.reshape(-1, 1, 28, 28)
    with torch.no_grad(), calls.stirred(model):
        with in_mode(model, False):
            with _watched(calls.record, model):
                calls.call("forward evaluating", model, images)
            if "gave z" in calls.record:
                z = torch.as_tensor(calls.record["gave z"]).to(x)
                calls.call("decoded", getattr(model, "decode", None), z)
            calls.call("forward one", model, images[:1])
        with in_mode(model, True):
            if calls.call("forward", model, images) is None:
                calls.call("forward flat", model, x)
            calls.call("forward again", model, images)
            if "gave z" not in calls.record:
                _note_own_noise(calls, model, images)
            if calls.record["forward.kind"] == "3 values":
                _note_lost(calls, model, images)
                _note_other_latents(calls, answer, images)


@contextlib.contextmanager
def _watched(record: Record, model: nn.Module) -> Any:
    """Note what the model's own forward hands to its methods, and what they give back."""

    def note(*names: str) -> Any:
        def seen(arguments: tuple[Any, ...], named: dict[str, Any], result: Any) -> None:
            for name, value in (*zip(names, arguments, strict=False), *named.items()):
                describe(record, f"handed {name}", value)
            describe(record, "gave " + ("z" if "mu" in names else names[0]), result)

        return seen

    with (
        watching(model, "encode", note("x")),
        watching(model, "reparameterize", note("mu", "logvar")),
        watching(model, "decode", note("code")),
    ):
        yield


def _note_own_noise(calls: Calls, model: nn.Module, images: Tensor) -> None:
    """Note (z − μ)/σ of many codes, where forward draws z itself, without `reparameterize`.

    In an untrained model every σ is near 1, which hides a wrong formula: encode gives other ones here.
    """
    codes: list[Tensor] = []
    noise = []
    encode: Any = getattr(model, "encode", None)

    def wider(*given: Any, **named: Any) -> tuple[Tensor, Tensor]:
        mu, logvar = encode(*given, **named)
        return mu, logvar + torch.linspace(-2, 2, logvar.shape[1]).to(logvar)

    def seen(given: tuple[Any, ...], named: dict[str, Any], _: Any) -> None:
        codes.append([*given, *named.values()][0])

    with (
        contextlib.suppress(Exception),
        mock.patch.dict(vars(model), {"encode": wider}),
        watching(model, "decode", seen),
    ):
        for number in range(20):
            calls.seed_for(f"own noise {number}")
            _, mu, logvar = model(images)
            noise.append((codes[-1] - mu) / torch.exp(0.5 * logvar))
        calls.record["own noise"] = torch.cat(noise).cpu().double().numpy()


def _note_lost(calls: Calls, model: nn.Module, images: Tensor) -> None:
    """Note the weights that move an output, and that its gradient does not reach."""

    def total(part: int) -> Tensor:
        calls.seed_for("forward")
        return waved(model(images)[part])

    for part, name in enumerate(("the reconstruction", "mu", "logvar")):
        with contextlib.suppress(Exception), torch.enable_grad():
            lost = ", ".join(without_gradient(model, functools.partial(total, part)))
            calls.record[f"lost.{name}"] = lost


def _note_other_latents(calls: Calls, answer: Any, images: Tensor) -> None:
    """Note what a model of another number of latents gives, where the class says that it takes one."""
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(answer, type) and "latent_dim" in inspect.signature(answer).parameters:
            model = calls.call("other model", functools.partial(answer, latent_dim=OTHER))
            if isinstance(model, nn.Module):
                calls.call("other latents", model.to(images), images)


def judge(record: Record, given: Given) -> str:
    need_model(record)
    notes, missing = [], []
    for name, method in METHODS.items():
        prefix = f"{name}/"
        part = {k.removeprefix(prefix): v for k, v in record.items() if k.startswith(prefix)}
        try:
            notes.append(method.judge(part, given))
        except Stop as stop:
            if stop.attempted:
                raise Stop(f"{name}: {stop.seen}", stop.mistake) from None
            missing.append(name)
    if str(record.get("forward.kind", "not attempted")) == "not attempted":
        missing.append("forward")
    if missing:
        written = bool(notes)
        text = f"Not written yet: {', '.join(missing)}." if written else NOT_ATTEMPTED
        raise Stop(text, attempted=written)
    notes += [_judge_forward(record, given), _judge_other_latents(record)]
    return " ".join(note for note in notes if note)


def _judge_forward(record: Record, given: Given) -> str:
    if str(record.get("forward flat.kind")) == "3 values":
        seen = f"{CALL} works for images (B, 784), but not for (B, 1, 28, 28)."
        raise wrong("images-not-flattened", seen)
    kind = str(record["forward.kind"])
    if kind == "error":
        raise error(record, "forward", CALL)
    if kind == "None":
        raise wrong("nothing-returned", f"{CALL} gave back None.")
    if kind != "3 values":
        raise wrong(
            "forward-wrong", f"{CALL} gave back {'one tensor' if kind == 'tensor' else kind}."
        )
    outputs = [np.asarray(record.get(f"forward.{part}", np.zeros(0))) for part in range(3)]
    if outputs[0].shape != (7, PIXELS):
        seen = f"forward: the first output has the shape {shape(outputs[0])}, not (7, 784)."
        raise wrong("forward-wrong", seen)
    for key in ("forward evaluating", "forward one", "forward again"):
        if str(record.get(f"{key}.kind")) == "error":
            raise error(record, key, CALL)
    _check_posterior(record)
    need_finite(record, [f"forward{k}.{part}" for k in ("", " again") for part in range(3)], CALL)
    again = np.asarray(record.get("forward again.0", outputs[0]))
    if np.abs(again - outputs[0]).max() < 1e-9:
        raise wrong(
            "noise-forgotten", "forward: two calls in training gave the same reconstruction."
        )
    _check_code(record)
    _check_own_noise(record)
    one = np.asarray(record.get("forward one.0", np.zeros(0)))
    if one.shape != (1, PIXELS):
        seen = f"forward: for a single image the reconstruction has the shape {shape(one)}."
        raise wrong("fixed-batch", seen)
    for name in ("the reconstruction", "mu", "logvar"):
        lost = str(record.get(f"lost.{name}", ""))
        if lost:
            mistake = "gradient-lost" if name == "the reconstruction" else "loss-without-gradient"
            raise wrong(mistake, f"forward: no gradient of {name} reaches {lost}.")
    handed = np.asarray(record.get("handed x", given["x"]))
    if handed.size == given["x"].size and not close(handed.reshape(7, -1), given["x"], 1e-3):
        return (
            "Different from this course in where the images are changed: forward hands encode other pixels than x, as "
            "where it normalises them. Then `encode(x)` alone gives other codes than `model(x)`; in encode itself the "
            "change holds for both."
        )
    return ""


def _judge_other_latents(record: Record) -> str:
    """A note where `latent_dim` is taken, and another number than the usual one does not work."""
    begin = f"Different from this course in `latent_dim`: a model made with latent_dim={OTHER} "
    kind = str(record.get("other latents.kind", "not tried"))
    if kind == "error":
        return f"{begin}raises {record['other latents.error']} when it's called. Is 20 written into a layer?"
    latents = np.asarray(record.get("other latents.1", np.zeros((7, OTHER)))).shape[-1]
    if latents != OTHER:
        return f"{begin}has {latents} latents. Lesson 07 needs a model of 2, so use the argument in each layer."
    return ""


def _check_posterior(record: Record) -> None:
    """mu and logvar must be what encode gave, within forward if it was called there."""
    for part, name in ((1, "mu"), (2, "logvar")):
        output = np.asarray(record.get(f"forward evaluating.{part}", np.zeros(0)))
        own = f"gave x.{part - 1}"
        right = np.asarray(record[own if own in record else f"encode/seven.{part - 1}"])
        if not close(output, right, 1e-3):
            seen = f"forward: model(x) gave something else in place of {name}."
            raise wrong("forward-wrong", seen)


def _check_code(record: Record) -> None:
    """z must be drawn from what encode gave, and recon_x must be what decode gave for it."""
    for part, name in ((0, "mu"), (1, "logvar")):
        own = f"gave x.{part}"
        right = np.asarray(record[own if own in record else f"encode/seven.{part}"])
        if f"handed {name}" in record and not close(
            np.asarray(record[f"handed {name}"]), right, 1e-3
        ):
            seen = f"forward: reparameterize got something else for {name}."
            raise wrong("code-from-other-arguments", seen)
    handed, drawn = (np.asarray(record.get(key, 0)) for key in ("handed code", "gave z"))
    if "gave z" in record and "handed code" in record and not close(handed, drawn, 1e-4):
        raise Stop(
            "forward: decode gets a different code from the one that reparameterize drew. Hand it on as it is."
        )
    right_image = record.get("decoded", record.get("gave code"))
    if right_image is not None:
        image = np.asarray(record["forward evaluating.0"])
        if not close(image, np.asarray(right_image), 1e-4):
            raise Stop(
                "forward: the reconstruction is not what decode gave for z. Return it as it is."
            )


def _check_own_noise(record: Record) -> None:
    """A z that forward draws itself must be N(μ, σ²) too."""
    noise = np.asarray(record.get("own noise", np.zeros(0)))
    if not noise.any():
        return
    mean, std, far = float(noise.mean()), float(noise.std()), 8 / np.sqrt(noise.size)
    if not (abs(mean) < far and abs(std - 1) < far):
        raise Stop(
            f"forward: it draws z itself, and (z − μ)/σ has the mean {mean:.2f} and the standard deviation "
            f"{std:.2f}; they should be 0 and 1. Call `self.reparameterize(mu, logvar)` there, so that there is "
            "one formula for both."
        )


MISTAKES = {
    "images-not-flattened": Mistake(
        "Images come out of the DataLoader as (B, 1, 28, 28), but the layers and the loss take (B, 784).",
        "Flatten them: `x.flatten(1)` or `x.view(-1, 784)`.",
    ),
    "code-from-other-arguments": Mistake(
        "The code must be drawn from the q(z|x) that the KL term charges for.",
        "Hand mu and logvar to reparameterize, in this order.",
    ),
    "forward-wrong": Mistake(
        "The loss needs all three: the reconstruction, mu and logvar.",
        "Return the reconstruction, mu and logvar, in this order.",
    ),
}
HINTS = (
    "The class has four methods: encode, reparameterize, decode, and forward, which calls the other three.",
    "The loss needs more than the picture: it asks how far the encoder's answer is from the prior. What must "
    "forward therefore give back?",
    "Follow one batch by its shapes: (B, 1, 28, 28), flattened (B, 784), two of (B, D), z of (B, D), and "
    "(B, 784) in the end.",
)

EXERCISE = Exercise(
    name="vae",
    lesson="06",
    step=4,
    answer=answers.VAE,
    inputs=inputs,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
    of_model=True,
)
