"""Checks of what models and objectives are given, and of what a model gives back."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Model(Protocol):
    """What the helpers ask of a model: these methods, whoever wrote it. Mostly it is a torch.nn.Module."""

    def encode(self, x: Tensor) -> Any:
        """The mean and the log-variance of q(z|x), both of shape (B, D); an autoencoder's gives codes."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Codes, shape (B, D), to images, shape (B, 784), or to strings, shape (B, T)."""
        ...

    def __call__(self, x: Tensor) -> Any:
        """What `decode` makes of a code of x (for strings: the logits), and what `encode` gave."""
        ...


class NaNError(ValueError):
    """There is NaN where a model must give numbers."""


def prepare_images(x: Any) -> Tensor:
    """Check images, float in [0, 1] of shape (N, 784) or (N, 1, 28, 28); give them the shape (N, 784).

    Raises:
        TypeError: not a tensor, or a tensor of whole numbers.
        ValueError: no images, another shape, NaN, or numbers outside [0, 1].
    """
    if not isinstance(x, Tensor):
        raise TypeError(
            f"Images must be a tensor, not {type(x).__name__}: torch.as_tensor(x) makes one."
        )
    if not x.is_floating_point():
        raise TypeError(
            f"Images must be float in [0, 1], not {x.dtype}: divide grey values 0…255 by 255."
        )
    if (
        x.ndim not in (2, 4)
        or x[0:1].numel() != 784 * min(len(x), 1)
        or (x.ndim == 4 and x.shape[1:] != (1, 28, 28))
    ):
        raise ValueError(
            f"Images must have the shape (N, 784) or (N, 1, 28, 28), not {tuple(x.shape)}."
        )
    if len(x) == 0:
        raise ValueError("There are no images: the tensor is empty.")
    low, high = x.aminmax()
    if not (low >= 0 and high <= 1):
        if x.isnan().any():
            raise ValueError("The images hold NaN: was something divided by zero?")
        raise ValueError(f"Images must lie in [0, 1]; these go from {low:.3g} to {high:.3g}.")
    return x.reshape(len(x), 784)


def prepare_symbols(x: Any) -> Tensor:
    """Check strings, int64 of shape (N, T), as `sequences.Alphabet` encodes them.

    Raises:
        TypeError: not a tensor of int64.
        ValueError: no strings, another shape, or a negative number.
    """
    if not isinstance(x, Tensor) or x.dtype != torch.int64:
        what = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"Strings must be a tensor of int64, as an Alphabet's encode gives it, not {what}."
        )
    if x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"Strings must have the shape (N, T), not {tuple(x.shape)}.")
    if x.min() < 0:
        raise ValueError("A symbol is numbered from 0 on; there is a negative number.")
    return x


def prepare_inputs(model: Model, x: Any) -> Tensor:
    """Check what a model takes: strings if it has `symbols`, as `sequences.SequenceVAE`, and images otherwise."""
    return prepare_symbols(x) if hasattr(model, "symbols") else prepare_images(x)


def given_labels(model: Model, labels: Tensor | None) -> Model:
    """The model for these labels, if it is a conditional one: one that has `given`, as `models.ConditionalVAE`.

    Raises:
        ValueError: a conditional model without labels, or labels for another model.
    """
    given: Any = getattr(model, "given", None)
    conditional = callable(given)
    if conditional and labels is None:
        raise ValueError(
            f"{type(model).__name__} needs a label for each image: pass `labels`, or take model.given(label)."
        )
    if not conditional and labels is not None:
        raise ValueError(
            f"{type(model).__name__} takes no labels: leave them out, or use a ConditionalVAE."
        )
    fixed: Model = given(labels) if conditional else model
    return fixed


def vae_outputs(model: Model, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run `model(x)` and check that it gives (recon_x, mu, logvar) of matching shapes; for strings, logits first.

    Raises:
        ValueError: another number of outputs, or wrong shapes.
    """
    outputs = model(x)
    if not isinstance(outputs, tuple | list) or len(outputs) != 3:
        what = (
            f"{len(outputs)} values"
            if isinstance(outputs, tuple | list)
            else type(outputs).__name__
        )
        raise ValueError(
            f"forward(x) must return three tensors, recon_x, mu and logvar; it returned {what}."
        )
    recon_x, mu, logvar = outputs
    check_gaussian(mu, logvar, len(x))
    of_images = x.is_floating_point()
    if of_images and (recon_x.shape[0] != len(x) or recon_x.numel() != x.numel()):
        raise ValueError(
            f"recon_x has the shape {tuple(recon_x.shape)} for images of shape {tuple(x.shape)}: "
            "decode must give one number for each pixel."
        )
    return recon_x, mu, logvar


def check_gaussian(mu: Tensor, logvar: Tensor, batch: int | None = None) -> None:
    """Raise a ValueError unless both have the same shape (B, D), with as many rows as the batch, if it is given."""
    if mu.ndim != 2 or mu.shape != logvar.shape or batch not in (None, len(mu)):
        rows = "B" if batch is None else batch
        raise ValueError(
            f"mu and logvar must both have the shape ({rows}, D), one row for each image; "
            f"they have {tuple(mu.shape)} and {tuple(logvar.shape)}."
        )


def flat_pair(recon_x: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the shape (B, pixels); a ValueError if their sizes differ."""
    if recon_x.shape[0] != x.shape[0] or recon_x.numel() != x.numel():
        raise ValueError(
            "The reconstruction and the image must have as many numbers: "
            f"{tuple(recon_x.shape)} against {tuple(x.shape)}."
        )
    return recon_x.flatten(1), x.flatten(1)
