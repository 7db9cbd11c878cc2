"""Random tensors to call answers on."""

from __future__ import annotations

import torch
from torch import Tensor


def rand(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers between two bounds, in float64."""
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def signed(generator: torch.Generator, *shape: int, low: float, high: float) -> Tensor:
    """Numbers of both signs, none of them near 0, in float64."""
    sign = torch.randint(0, 2, shape, generator=generator) * 2 - 1
    return sign * rand(generator, *shape, low=low, high=high)


def images_and_codes(generator: torch.Generator) -> dict[str, Tensor]:
    """Seven images, and seven codes of 512 latents."""
    x = rand(generator, 7, 784)
    return {"x": x, "z": torch.randn(7, 512, generator=generator, dtype=torch.float64)}
