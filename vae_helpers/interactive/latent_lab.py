"""The latent lab: a widget whose encoder and decoder run in the page, with a kernel or without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from torch import Tensor, nn

from vae_helpers.data import ImageSet
from vae_helpers.devices import given_to
from vae_helpers.figures import CLASS_COLOURS
from vae_helpers.models import PIXELS
from vae_helpers.validation import Model

from .pages import Layer, Packer, bundle, network_of, save_page, some_images
from .snapshot import Snapshot, latents_by_effect

MOST_CODES = 1_000
WORDS = (
    "Latent lab",
    "A Variational Autoencoder that is computed in this page: it turns a few numbers into a picture. "
    "Move the yellow point, or draw a digit.",
)


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

    _esm = bundle("latent_lab.js")
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
        packer = Packer()
        networks = {
            "VAE" if hasattr(model, "fc_logvar") else "autoencoder": network_of(
                model, packer, "LatentLab"
            )
        }
        models = [model]
        if autoencoder is not None:
            networks["autoencoder"] = network_of(autoencoder, packer, "LatentLab")
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
        pieces = {key: bytes(getattr(self, key)) for key in ("blob", "codes", "images")}
        return save_page(path, "latent_lab", WORDS, state, pieces)


def _classifier(classifier: nn.Module, packer: Packer) -> list[Layer]:
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
    return torch.cat(pieces).numpy().tobytes(), some_images(images)
