"""The latent lab: a widget whose encoder and decoder run in the page, with a kernel or without one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from torch import Tensor, nn

from vae_helpers.data import ImageSet
from vae_helpers.devices import given_to
from vae_helpers.figures import CLASS_COLOURS
from vae_helpers.files import write_whole
from vae_helpers.models import PIXELS
from vae_helpers.validation import Model

from .snapshot import Snapshot, latents_by_effect

SCRIPT, PAGE = (Path(__file__).with_suffix(ending) for ending in (".js", ".html"))
MOST_CODES, MOST_IMAGES = 1_000, 40
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
Layer = tuple[Any, ...]


class _Packer:
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


def _run(layers: list[Layer], weights: Tensor, x: Tensor) -> Tensor:
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


def _network(model: Model, packer: _Packer) -> dict[str, Any]:
    """The model's layers, compared with the model itself; a TypeError if the lab cannot run it."""
    name = type(model).__name__
    remedy = (
        "The lab runs fully connected VAEs with the names fc1, fc_mu, fc_logvar and fc_dec, or an autoencoder \
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
        network: dict[str, Any] = {"encoder": [*packer.layers(model.fc1), ("relu",)]}
        for key, head in zip(("mu", "logvar"), heads, strict=False):
            network[key] = packer.layers(getattr(model, head))
        network["decoder"] = packer.layers(model.fc_dec)
        network["latents"] = network["mu"][-1][2]
        _compare(model, network, torch.cat(packer.pieces))
    except TypeError as error:
        raise TypeError(f"LatentLab cannot run this {name}: {error}. {remedy}") from None
    if not 2 <= network["latents"] <= 32:
        raise ValueError(f"LatentLab shows 2 to 32 latents; this {name} has {network['latents']}.")
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
        hidden = _run(network["encoder"], weights, x)
        z = torch.randn(4, network["latents"], **draws)
        pairs = [(codes[0], "mu"), *([(codes[1], "logvar")] if "logvar" in network else [])]
        for theirs, key in pairs:
            if not torch.allclose(
                theirs.cpu().float(), _run(network[key], weights, hidden), rtol=1e-3, atol=1e-3
            ):
                raise TypeError(
                    "its encode does not go through fc1, a ReLU and the next layer alone"
                )
        images = model.decode(given_to(model, z)).reshape(4, -1).cpu().float()
        if images.shape[1] != PIXELS or not torch.allclose(
            images, _run(network["decoder"], weights, z), rtol=1e-3, atol=1e-3
        ):
            raise TypeError("its decode is not fc_dec alone")
    finally:
        model.train(was_training)


class LatentLab(anywidget.AnyWidget):
    """A VAE to play with in the page: its latent plane, its sliders, and paper to draw a digit on.

    The weights go to the page once, in half precision; from then on it computes the encoder and the decoder itself.
    `model` is a fully connected VAE with 2 to 32 latents whose layers have the course's names, a learner's own
    included. `autoencoder` has as many latents, and is shown in its place at the press of a button. `classifier`, an
    nn.Sequential from 784 pixels to 10 logits, says what the picture looks like. `images`, an `ImageSet`, gives the
    map of codes. `z`, the present code (at first that of the first test image, or zeros where there are no images),
    and `x`, the drawn image of 784 numbers or [], are lists that Python may read and set.

    Raises:
        TypeError: a model that the page cannot compute; the message says why, and what to use.
        ValueError: the numbers of latents differ or are not from 2 to 32, or a weight is not finite.
    """

    _esm = SCRIPT
    spec = traitlets.Dict().tag(sync=True)
    blob = traitlets.Bytes().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)
    images = traitlets.Bytes().tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(sync=True)
    x = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        model: Model,
        *,
        autoencoder: Model | None = None,
        classifier: nn.Sequential | None = None,
        images: ImageSet | None = None,
    ) -> None:
        packer = _Packer()
        networks = {
            "VAE" if hasattr(model, "fc_logvar") else "autoencoder": _network(model, packer)
        }
        models = [model]
        if autoencoder is not None:
            networks["autoencoder"] = _network(autoencoder, packer)
            models.append(autoencoder)
        sizes = {network["latents"] for network in networks.values()}
        if len(sizes) > 1 or len(networks) < len(models):
            raise ValueError(
                "The autoencoder must have as many latents as the VAE, and one of the two must be a VAE."
            )
        spec: dict[str, Any] = {
            "networks": networks,
            "order": latents_by_effect(Snapshot(model)),
            "classifier": None if classifier is None else _classifier(classifier, packer),
            "names": [str(digit) for digit in range(10)],
            "colours": list(CLASS_COLOURS),
            "labels": [],
            "images": images is not None,
        }
        codes, shown = b"", b""
        if images is not None:
            codes, shown = _map(models, networks, images, spec)
        weights = packer.half().numpy().tobytes()
        latents = sizes.pop()
        z = [0.0] * latents
        if codes:  # open on the first test image
            z = torch.frombuffer(bytearray(codes), dtype=torch.float16, count=latents).tolist()
        super().__init__(spec=spec, blob=weights, codes=codes, images=shown, z=z, x=[])

    @traitlets.validate("z", "x")
    def _check(self, proposal: Any) -> list[float]:
        name, values = proposal["trait"].name, proposal["value"]
        allowed = {len(self.z) or len(values)} if name == "z" else {0, PIXELS}
        if len(values) not in allowed:
            raise ValueError(
                f"{name} must hold {' or '.join(map(str, sorted(allowed)))} numbers, not {len(values)}."
            )
        found = torch.tensor(values)
        if not found.isfinite().all() or (name == "x" and ((found < 0) | (found > 1)).any()):
            raise ValueError(
                f"{name} must be finite" + (", and in [0, 1]." if name == "x" else ".")
            )
        return [float(value) for value in values]

    def __repr__(self) -> str:
        return f"Latent lab with {len(self.z)} latents: run the cell to use it."

    def save_html(self, path: str | Path) -> Path:
        """Write the lab as one file that a browser opens from disk, with no kernel and no network.

        Raises:
            OSError: the file cannot be written.
        """
        state = {"spec": self.spec, "z": self.z, "x": self.x}
        bytes_ = {
            key: base64.b64encode(getattr(self, key)).decode()
            for key in ("blob", "codes", "images")
        }
        script = SCRIPT.read_text(encoding="utf-8").replace("export default { render };", "")
        # "</" would end the script element wherever it stands.
        data = json.dumps({"state": state, "bytes": bytes_}, separators=(",", ":")).replace(
            "</", "<\\/"
        )
        page = PAGE.read_text(encoding="utf-8")
        page = page.replace("/* SCRIPT */", script).replace("/* DATA */", data)
        write_whole(path, page)
        return Path(path)


def _classifier(classifier: nn.Module, packer: _Packer) -> list[Layer]:
    try:
        layers = packer.layers(classifier)
        if not layers or layers[0][1] != PIXELS or layers[-1][2] != 10:
            raise TypeError("it does not lead from 784 pixels to 10 logits")
    except (TypeError, IndexError) as error:
        raise TypeError(
            f"LatentLab cannot run this classifier: {error}. It takes an nn.Sequential of Linear and activations."
        ) from None
    return layers


@torch.no_grad()
def _map(
    models: list[Any], networks: dict[str, Any], images: ImageSet, spec: dict[str, Any]
) -> tuple[bytes, bytes]:
    """The codes of test images, for each model, and a few of the images themselves."""
    step = max(1, len(images.test_x) // MOST_CODES)
    x, y = images.test_x[::step].flatten(1), images.test_y[::step]
    spec["labels"], spec["names"] = y.tolist(), list(images.class_names)
    pieces: list[Tensor] = []
    for model, network in zip(models, networks.values(), strict=True):
        code = model.encode(given_to(model, x))
        code = code[0] if isinstance(code, tuple | list) else code
        network["codes"] = sum(piece.numel() for piece in pieces)
        pieces.append(code.cpu().half().flatten())
    shown = (x[:: max(1, len(x) // MOST_IMAGES)] * 255).round().to(torch.uint8)
    return torch.cat(pieces).numpy().tobytes(), shown.numpy().tobytes()
