"""What the figures of the page are given: networks as lists of layers, and their modules and data in one text."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers.data import ImageSet
from vae_helpers.devices import given_to
from vae_helpers.files import write_whole
from vae_helpers.models import PIXELS
from vae_helpers.validation import Model

FOLDER = Path(__file__).parent
MOST_IMAGES = 40
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
Layer = tuple[Any, ...]


class Packer:
    """Collects weights, one after the other, and writes layers down as the page reads them."""

    def __init__(self) -> None:
        self.pieces: list[Tensor] = []
        self.size = 0

    def layers(self, module: Any) -> list[Layer]:
        """A fully connected module as layers; a TypeError where it holds anything else."""
        if isinstance(module, nn.Sequential):
            return [layer for part in module for layer in self.layers(part)]
        if isinstance(module, nn.Dropout | nn.Flatten | nn.Identity):
            return []
        if type(module) in ACTIVATIONS:
            return [(ACTIVATIONS[type(module)],)]
        if not isinstance(module, nn.Linear):
            raise TypeError(f"there is a layer {type(module).__name__}")
        start = self.size
        bias = module.weight.new_zeros(module.out_features) if module.bias is None else module.bias
        for piece in (module.weight, bias):
            self.pieces.append(piece.detach().cpu().float().flatten())
            self.size += piece.numel()
        return [("linear", module.in_features, module.out_features, start)]

    def half(self) -> Tensor:
        """All weights in half precision."""
        weights = torch.cat(self.pieces)
        if not weights.half().isfinite().all():
            raise ValueError(
                "A weight of the model is not finite, or too large for half precision (65,504)."
            )
        return weights.half()


def compute(layers: list[Layer], weights: Tensor, x: Tensor) -> Tensor:
    """What the page computes, in torch."""
    for kind, *sizes in layers:
        if kind == "linear":
            inputs, outputs, start = sizes
            matrix, bias = weights[start:][: inputs * outputs + outputs].split(
                [inputs * outputs, outputs]
            )
            x = x @ matrix.reshape(outputs, inputs).T + bias
        else:
            x = getattr(torch, kind)(x)
    return x


def network_of(model: Model, packer: Packer, figure: str) -> dict[str, Any]:
    """The model's layers, compared with the model itself; a TypeError if the page cannot run it, in `figure`'s name."""
    name = type(model).__name__
    remedy = (
        "It runs fully connected VAEs with the names fc1, fc_mu, fc_logvar and fc_dec, or an autoencoder \
with fc1, fc_z and fc_dec. Use LatentSliders: it takes any model with encode and decode."
    )
    try:
        heads = ["fc_z"] if hasattr(model, "fc_z") else ["fc_mu", "fc_logvar"]
        missing = [
            part
            for part in ("fc1", *heads, "fc_dec")
            if not isinstance(getattr(model, part, None), nn.Module)
        ]
        if not isinstance(model, nn.Module) or missing:
            raise TypeError(f"it has no {' and no '.join(missing) or 'layers'}")
        network: dict[str, Any] = {
            "decoder": packer.layers(model.fc_dec)
        }  # first, as it is needed first
        network["encoder"] = [*packer.layers(model.fc1), ("relu",)]
        for key, head in zip(("mu", "logvar"), heads, strict=False):
            network[key] = packer.layers(getattr(model, head))
        network["latents"] = network["mu"][-1][2]
        _compare(model, network, torch.cat(packer.pieces))
    except TypeError as error:
        raise TypeError(f"{figure} cannot run this {name}: {error}. {remedy}") from None
    if not 2 <= network["latents"] <= 32:
        raise ValueError(f"{figure} shows 2 to 32 latents; this {name} has {network['latents']}.")
    return network


@torch.no_grad()
def _compare(model: Any, network: dict[str, Any], weights: Tensor) -> None:
    """A TypeError if the layers do not compute what encode and decode do."""
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(0)
    try:
        draws: Any = {"generator": generator, "device": "cpu", "dtype": torch.float32}
        x = torch.rand(4, PIXELS, **draws)
        codes = model.encode(given_to(model, x))
        codes = codes if isinstance(codes, tuple | list) else (codes,)
        hidden = compute(network["encoder"], weights, x)
        z = torch.randn(4, network["latents"], **draws)
        pairs = [(codes[0], "mu"), *([(codes[1], "logvar")] if "logvar" in network else [])]
        for theirs, key in pairs:
            if not torch.allclose(
                theirs.cpu().float(), compute(network[key], weights, hidden), rtol=1e-3, atol=1e-3
            ):
                raise TypeError(
                    "its encode does not go through fc1, a ReLU and the next layer alone"
                )
        images = model.decode(given_to(model, z)).reshape(4, -1).cpu().float()
        if images.shape[1] != PIXELS or not torch.allclose(
            images, compute(network["decoder"], weights, z), rtol=1e-3, atol=1e-3
        ):
            raise TypeError("its decode is not fc_dec alone")
    finally:
        model.train(was_training)


def some_images(images: ImageSet) -> bytes:
    """At most forty test images as bytes, 784 each."""
    x = images.test_x.flatten(1)
    return (x[:: max(1, len(x) // MOST_IMAGES)] * 255).round().to(torch.uint8).numpy().tobytes()


def bundle(name: str) -> str:
    """A module of this folder with the modules that it imports, as one text, which is what a widget needs."""

    def inline(found: re.Match[str]) -> str:
        text = (FOLDER / found[1]).read_text(encoding="utf-8")
        return re.sub(r"^export ", "", text, flags=re.MULTILINE)

    text = (FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^import \{[^}]*\} from "\./([\w.]+)";$', inline, text, flags=re.MULTILINE)


def save_page(
    path: str | Path,
    name: str,
    words: tuple[str, str],
    state: dict[str, Any],
    pieces: dict[str, bytes],
) -> Path:
    """Write the figure `name`.js and all that it computes with as one page, which asks for nothing else.

    `words` are its title and a sentence below it.
    """
    script = bundle(f"{name}.js").replace("export default { render };", "")
    data = {
        "state": state,
        "bytes": {key: base64.b64encode(piece).decode() for key, piece in pieces.items()},
    }
    # "</" would end the script element wherever it stands.
    text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    for place, filling in zip(
        ("TITLE", "INTRODUCTION", "SCRIPT", "DATA"), (*words, script, text), strict=True
    ):
        page = page.replace(f"/* {place} */", filling)
    write_whole(path, page)
    return Path(path)
