"""The x-ray: one image on its way through a VAE, computed in the page, with a kernel or without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from vae_helpers.data import ImageSet
from vae_helpers.validation import Model

from .pages import Packer, bundle, network_of, save_page, some_images

WORDS = (
    "X-ray of a VAE",
    "One image on its way through a Variational Autoencoder, computed in this page. Draw a digit, or draw ε anew, and "
    "watch every number change.",
)


class XRay(anywidget.AnyWidget):
    """The whole pass of a VAE, number by number: x, h, mu, logvar, σ, ε, z, recon_x, both terms of the loss, and back.

    The image is a test image of `images`, or what the visitor draws. ε is drawn anew at the press of a button, and
    held otherwise. Beside the boxes stand the lines of lesson 02's `VAE`; a box that is pointed at lights up its lines,
    a line its boxes. `model` is a fully connected VAE with 2 to 32 latents whose layers have the course's names, a
    learner's own included; its weights go to the page once, in half precision.

    Raises:
        TypeError: a model that the page cannot compute; the message says why, and what to use.
        ValueError: the number of latents is not from 2 to 32, or a weight is not finite.
    """

    _esm = bundle("xray.js")
    spec = traitlets.Dict().tag(sync=True)
    blob = traitlets.Bytes().tag(sync=True)
    images = traitlets.Bytes().tag(sync=True)

    def __init__(self, model: Model, images: ImageSet) -> None:
        packer = Packer()
        network: dict[str, Any] = network_of(model, packer, "XRay")
        if "logvar" not in network:
            raise TypeError(f"XRay shows a VAE; this {type(model).__name__} has no fc_logvar.")
        super().__init__(
            spec={"network": network},
            blob=packer.half().numpy().tobytes(),
            images=some_images(images),
        )

    def __repr__(self) -> str:
        latents = self.spec["network"]["latents"]
        return f"X-ray of a VAE with {latents} latents: run the cell to use it."

    def save_html(self, path: str | Path) -> Path:
        """Write the x-ray as one file that a browser opens from disk, with no kernel and no network.

        Raises:
            OSError: the file cannot be written.
        """
        pieces = {key: bytes(getattr(self, key)) for key in ("blob", "images")}
        return save_page(path, "xray", WORDS, {"spec": self.spec}, pieces)
