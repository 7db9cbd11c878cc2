"""A copy of the learner's model that a widget decodes from, while a cell may train the model itself."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vae_helpers.devices import given_to
from vae_helpers.models import PIXELS
from vae_helpers.training_runs import model_lock
from vae_helpers.validation import Model


class Snapshot:
    """A copy of a model in evaluation mode, brought up to date before each picture.

    PyTorch's fused optimizers do not count up a tensor's version, so nothing tells whether the weights changed.
    """

    def __init__(self, model: Model) -> None:
        needed = ["given" if hasattr(model, "given") else "encode", "decode"]
        if hasattr(model, "latent_dim") and not hasattr(model, "encode"):
            needed = ["decode"]  # the generator of a GAN
        missing = [name for name in needed if not callable(getattr(model, name, None))]
        if not isinstance(model, nn.Module) or missing:
            raise TypeError(
                f"Sliders need a torch.nn.Module with encode and decode, not {type(model).__name__}."
            )
        self.model = model
        with model_lock(model):
            self.copy: Any = copy.deepcopy(model, _attached_tensors(model)).eval()
        self._ours = [*self.copy.parameters(), *self.copy.buffers()]
        whole: Any = model  # nn.Module names no such attributes
        self.classes: int | None = whole.classes if "given" in needed else None
        self.latent_dim = self._count_latents() if "encode" in needed else int(whole.latent_dim)

    def _count_latents(self) -> int:
        with torch.inference_mode():
            code = self.copy.encode(given_to(self.copy, torch.zeros(2, PIXELS)))
        code = code[0] if isinstance(code, tuple | list) else code
        if code.ndim != 2 or len(code) != 2:
            raise ValueError(
                f"encode must give codes of shape (B, D); for two images it gave {tuple(code.shape)}."
            )
        return int(code.shape[1])

    def decode(self, z: Tensor, label: int = 0) -> Tensor:
        """Codes, shape (B, D), to images on the CPU, shape (B, 784); of the class `label` if the model has classes."""
        with torch.inference_mode():
            with model_lock(self.model):
                theirs_now = [
                    *self.model.parameters(),
                    *self.model.buffers(),
                ]  # .to makes new buffers
                for ours, theirs in zip(self._ours, theirs_now, strict=True):
                    ours.data.copy_(theirs.data)
            decoder = self.copy if self.classes is None else self.copy.given(label)
            images: Tensor = decoder.decode(given_to(self.copy, z))
            if images.shape[0] != len(z) or images.numel() != len(z) * PIXELS:
                raise ValueError(
                    f"decode(z) must have the shape ({len(z)}, {PIXELS}), not {tuple(images.shape)}."
                )
            return images.reshape(len(z), PIXELS).cpu().float()


def _attached_tensors(model: nn.Module) -> dict[int, Any]:
    """A memo for deepcopy: results that a learner keeps on the model (self.mu = mu) cannot be copied otherwise."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach()
    return memo


def latents_by_effect(snapshot: Snapshot) -> list[int]:
    """The latents in the order of how much moving each one from −2 to 2 changes the decoded picture."""
    generator = torch.Generator().manual_seed(0)
    latents = snapshot.latent_dim
    base = torch.randn(16, latents, generator=generator, device="cpu")
    low, high = (base.repeat(latents, 1, 1) for _ in range(2))
    for latent in range(latents):
        low[latent, :, latent], high[latent, :, latent] = -2.0, 2.0
    change = snapshot.decode(high.flatten(0, 1)) - snapshot.decode(low.flatten(0, 1))
    effect = change.square().sum(dim=1).reshape(latents, -1).mean(dim=1)
    return effect.argsort(descending=True).tolist()
