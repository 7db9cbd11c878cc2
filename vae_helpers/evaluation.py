"""What a trained model is measured by; no plot."""

from __future__ import annotations

import torch
from torch import Tensor

from .objectives import Model, prepare_images


@torch.no_grad()
def active_units(model: Model, x: Tensor, *, threshold: float = 0.01) -> Tensor:
    """Which latents the encoder uses: those whose mean varies over the images, Var_x(μ_d) > threshold.

    `x` holds at least two images; the result has shape (D,), of bool. Burda, Grosse and Salakhutdinov 2016,
    section 5.2, with their threshold.

    Raises:
        ValueError: fewer than two images, or a threshold that is not positive.
    """
    if len(x) < 2:
        raise ValueError(f"A variance over images needs at least two images, not {len(x)}.")
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, not {threshold}.")
    mu, _ = model.encode(prepare_images(x))
    active: Tensor = mu.var(dim=0) > threshold
    return active


@torch.no_grad()
def kl_per_latent(model: Model, x: Tensor) -> Tensor:
    """The mean over the images of each latent's KL divergence to the prior, in nats, shape (D,).

    ½ (μ² + σ² − 1 − log σ²) for one latent: Kingma and Welling 2014, appendix B.
    """
    mu, logvar = model.encode(prepare_images(x))
    kl: Tensor = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(dim=0)
    return kl
