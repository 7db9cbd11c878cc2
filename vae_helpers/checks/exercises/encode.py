"""The encoder: an image in, μ and log σ² out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import answers
from ..calls import (
    Array,
    Calls,
    Inputs,
    Record,
    dtype_of,
    giving,
    in_mode,
    last_layers,
    weights_restored,
)
from ..exercise import Exercise, Given
from ..inputs import images_and_codes
from ..models import (
    halfway_is_the_mean,
    need_input,
    need_model,
    need_no_new_layer,
    need_same_for_each_batch,
    need_trained_parts,
)
from ..verdicts import Mistake, close, need, need_finite, shape, wrong

CALL = "encode(x)"
REACH = {
    "low": -6.0,
    "high": 6.0,
    "lowest": -600.0,
    "highest": 600.0,
}  # what the last layers are made to give


def probe(calls: Calls, answer: Any, given: Inputs) -> None:
    model = calls.model(answer)
    if model is None:
        return
    encode, x = getattr(model, "encode", None), given["x"].to(dtype_of(model, calls.dtype))
    if encode is None:
        calls.record["seven.kind"] = "no method encode"
        return
    with in_mode(model, False), torch.no_grad(), calls.stirred(model):
        outputs = calls.call("seven", encode, x)
        if not (isinstance(outputs, tuple | list) and len(outputs) == 2):
            calls.other_size(encode, x)
            return
        calls.call("three", encode, x[:3].clone())
        calls.call("one", encode, x[:1].clone())
        calls.call("reversed", encode, x.flip(0))
        calls.call("again", encode, x)
        calls.call("halfway", encode, (x + x.flip(0)) / 2)
        heads = _heads(model, encode, x, outputs[0])
        for key, value in REACH.items() if heads else ():
            with giving(heads, torch.tensor(value)):
                calls.call(key, encode, x)
        for name in ("fc_mu", "fc_logvar"):
            layer = getattr(model, name, None)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                with weights_restored(model):
                    layer.bias.data += 1.0
                    calls.call(f"moved {name}", encode, x)
        calls.lost_parts("seven", model, encode, x)


def _heads(model: nn.Module, encode: Any, x: Tensor, mu: Any) -> list[nn.Module]:
    """The layers that give mu and logvar: those of that name, or else those of a fitting width."""
    named = [getattr(model, name, None) for name in ("fc_mu", "fc_logvar")]
    layers: list[nn.Module] = [layer for layer in named if isinstance(layer, nn.Linear)]
    latents = mu.shape[-1] if isinstance(mu, Tensor) and mu.ndim else 0
    return layers if len(layers) == 2 else last_layers(model, encode, x, (latents, 2 * latents))


def two(record: Record, key: str) -> tuple[Array, Array]:
    """The two tensors of encode, of shape (B, D)."""
    kind = str(record.get(f"{key}.kind", "not attempted"))
    if kind in ("not attempted", "error", "None") or kind.startswith("no method"):
        need(record, key, CALL)
    if kind != "2 values":
        what = {"tensor": "one tensor", "1 values": "a tuple of one value"}.get(kind, kind)
        raise wrong("one-output", f"{CALL} gave back {what}.")
    return need(record, f"{key}.0", CALL), need(record, f"{key}.1", CALL)


def judge(record: Record, given: Given) -> str:
    need_model(record)
    mu, logvar = two(record, "seven")
    if mu.ndim != 2 or len(mu) != 7 or mu.shape != logvar.shape:
        shapes = f"{shape(mu)} and {shape(logvar)}"
        raise wrong("wrong-shape", f"For seven images {CALL} gave the shapes {shapes}.")
    need_no_new_layer(record, CALL)
    outputs = ((0, "mu", mu), (1, "logvar", logvar))
    keys = ("seven", "again", "low", "high")
    need_finite(record, [f"{key}.{part}" for key in keys for part in (0, 1)], CALL)
    for part, _, output in outputs:
        if not close(np.asarray(record[f"again.{part}"]), output, 1e-4):
            raise wrong("encode-random", "Two calls on the same images gave different numbers.")
    for part, name, _ in outputs:
        need_same_for_each_batch(record, f".{part}", name, CALL)
    if close(mu, logvar, 1e-6):
        raise wrong("one-layer-for-both", "mu and logvar are the same numbers.")
    _check_layers(record, mu, logvar)
    for part, name, _ in outputs:
        _check_reach(record, part, name)
        need_input(record, f".{part}", name)
    need_trained_parts(record, "seven", CALL)
    if all(halfway_is_the_mean(record, f".{part}", np.asarray) for part in (0, 1)):
        return (
            "Different from this course in that encode is linear: nothing bends between its layers, so that two of "
            "them can do no more than one. Is a relu missing after `fc1`?"
        )
    return ""


def _check_layers(record: Record, mu: Array, logvar: Array) -> None:
    """Where the layers have their names: moving the bias of one must move its own output only."""
    moved = {}
    for name in ("fc_mu", "fc_logvar"):
        if f"moved {name}.0" in record:
            moved[name] = tuple(
                bool(np.abs(np.asarray(record[f"moved {name}.{part}"]) - before).max() > 1e-4)
                for part, before in enumerate((mu, logvar))
            )
    if moved.get("fc_mu") == (False, True) and moved.get("fc_logvar") == (True, False):
        raise wrong("mu-logvar-exchanged", "Moving fc_mu moves the second output.")
    for name, outputs in moved.items():
        if outputs == (True, True):
            raise wrong("one-layer-for-both", f"Moving {name} moves both outputs.")


def _check_reach(record: Record, part: int, name: str) -> None:
    """Whether an output can be as small and as large as the last layer makes it."""
    if any(f"{key}.{part}" not in record for key in REACH):
        return
    ends = [np.asarray(record[f"{key}.{part}"]) for key in REACH]
    low, high = (float(end(e.min() if end is min else e.max() for e in ends)) for end in (min, max))
    if not close(ends[0], ends[1], 1e-3) and (low > -1.5 or high < 1.5):
        seen = f"Whatever the last layer gives, {name} stays between {low:.2f} and {high:.2f}."
        raise wrong(f"activation-on-{name}", seen)


MISTAKES = {
    "one-output": Mistake(
        "A VAE's encoder describes a distribution, and a Gaussian needs two numbers for each latent.",
        "Return two tensors: mu and logvar.",
    ),
    "one-layer-for-both": Mistake(
        "μ and log σ² come from the same layer, so they are the same numbers: an image at μ = 3 would be unsure, "
        "one at −3 sure.",
        "Give each its own layer.",
    ),
    "mu-logvar-exchanged": Mistake(
        "Everything after it expects the mean first.",
        "Return mu first, then logvar.",
    ),
    "activation-on-mu": Mistake(
        "A mean can be any number, but something bends this one before it's returned, so it can't reach some "
        "values.",
        "Return the layer's output as it is.",
    ),
    "activation-on-logvar": Mistake(
        "A log-variance can be any number, which is why it's the log. Something bends this one before it's "
        "returned; with a relu, for example, σ can never be below 1.",
        "Return the layer's output as it is.",
    ),
    "encode-random": Mistake(
        "In evaluation mode the same image must get the same μ and log σ². The draw belongs into reparameterize. "
        "A dropout must be a layer, `nn.Dropout`, so that evaluation mode switches it off.",
        "Leave random numbers out of encode.",
    ),
    "layout-mixed-up": Mistake(
        "Exchanging two images of the batch does not exchange their results: rows were mixed.",
        "Look at each view and reshape: the first axis is the batch, and stays so.",
    ),
    "input-ignored": Mistake(
        "Different inputs give the same output.", "Use the argument, and each layer's result."
    ),
}
HINTS = (
    "An image has one h. Two questions are asked of it: where do its codes lie, and how far do they spread?",
    "Both answers may be any number, negative ones too: one is a mean, the other a logarithm. What may then "
    "follow the last layers?",
    "Print the shapes. For x of shape (7, 784), h should be (7, 400), and each of the two answers (7, D).",
)

EXERCISE = Exercise(
    name="encode",
    lesson="06",
    step=1,
    answer=answers.VAE.encode,
    inputs=images_and_codes,
    probe=probe,
    judge=judge,
    mistakes=MISTAKES,
    hints=HINTS,
    of_model=True,
)
