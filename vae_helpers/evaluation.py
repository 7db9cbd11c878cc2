"""What a trained model is measured by; no plot."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .objectives import (
    Likelihood,
    Model,
    bernoulli_log_likelihood,
    check_likelihood,
    gaussian_log_likelihood,
    kl_divergence,
    prepare_images,
)


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


@torch.no_grad()
def effective_beta(
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor | float],
    *,
    likelihood: Likelihood,
    sigma: float | None = None,
    batch_size: int = 16,
    pixels: int = 784,
    latent_dim: int = 20,
) -> float:
    """The weight β that a loss really puts on the KL divergence, relative to a stated likelihood.

    `loss(recon_x, x, mu, logvar)` is called on batches of random images, probabilities and posteriors of the given
    sizes: x and recon_x (B, pixels) in (0, 1), mu and logvar (B, D). It gives one number, in whatever units and with
    whatever sums and means. If it is a · (−log p(x|z)) + b · KL + c, with a, b, c the same for every batch, the
    result is b / a: the β of Higgins et al. 2017, equation 4, for which training has the same optimum. `sigma`,
    the standard deviation of a pixel, is part of the statement where the likelihood is 'gaussian'.

    Raises:
        ValueError: the loss is no such sum under this likelihood, does not depend on the reconstruction, or is not
            finite; an unknown likelihood; a size below 1.
    """
    check_likelihood(likelihood, sigma)
    for name, size in (("batch_size", batch_size), ("pixels", pixels), ("latent_dim", latent_dim)):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {size!r}.")
    generator = torch.Generator().manual_seed(0)
    losses, terms = [], []
    for _ in range(12):
        x, recon_x = (
            0.02 + 0.96 * torch.rand(batch_size, pixels, generator=generator, dtype=torch.float64)
            for _ in range(2)
        )
        mu, logvar = (
            2 * torch.randn(batch_size, latent_dim, generator=generator, dtype=torch.float64)
            for _ in range(2)
        )
        value = torch.as_tensor(loss(recon_x, x, mu, logvar), dtype=torch.float64)
        if value.numel() != 1:
            raise ValueError(
                f"The loss must be one number for a batch; it has the shape {tuple(value.shape)}."
            )
        if sigma is None:
            log_likelihood = bernoulli_log_likelihood(recon_x, x)
        else:
            log_likelihood = gaussian_log_likelihood(recon_x, x, sigma)
        losses.append(value.reshape(()))
        terms.append(torch.stack([-log_likelihood.sum(), kl_divergence(mu, logvar).sum()]))
    return _ratio_of_weights(torch.stack(losses), torch.stack(terms))


def _ratio_of_weights(losses: Tensor, terms: Tensor) -> float:
    """b / a of the least-squares fit losses = a · reconstruction + b · KL + c; an error where it does not fit."""
    if not losses.isfinite().all():
        raise ValueError("The loss is not finite.")
    columns = terms - terms.mean(dim=0)
    centred = losses - losses.mean()
    scale = columns.abs().amax(dim=0)
    weights = torch.linalg.lstsq(columns / scale, centred[:, None]).solution[:, 0]
    residual = (columns / scale @ weights - centred).abs().max()
    if residual > 1e-4 * centred.abs().max():
        raise ValueError(
            "The loss is no weighted sum of this reconstruction term and the KL divergence, so it has no β relative to "
            "this likelihood. Was another likelihood meant, or is one of the terms wrong?"
        )
    a, b = weights / scale
    if a.abs() * scale[0] < 1e-9 * centred.abs().max():
        raise ValueError("The loss does not depend on the reconstruction, so it has no β.")
    return float(b / a)
