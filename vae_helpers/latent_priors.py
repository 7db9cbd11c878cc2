"""Priors that are learned: a mixture of posteriors, and a diffusion model of codes (lesson 11)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from .models import check_sizes
from .objectives import bernoulli_log_likelihood
from .validation import Model, prepare_images


def gaussian_log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; μ, diag σ²) in nats, summed over the last dimension, the D latents.

    The shapes need only match by broadcasting: z[:, None], shape (B, 1, D), with `mu` and `logvar`, both (K, D),
    gives (B, K).
    """
    squared = (z - mu).square() / logvar.exp()
    return -0.5 * (squared + logvar + math.log(2 * math.pi)).sum(dim=-1)


class MixtureOfPosteriors(nn.Module):
    """A VAE whose prior is p(z) = 1/K Σ_k q(z|u_k), with K images u_k that are learned too: the VampPrior (Tomczak
    and Welling 2018, equation 10).

    It has the VAE's `encode`, `decode` and `forward`, and besides them `log_prior(z)` and `draw(count)`. The u_k
    begin at `starts`, K training images, shape (K, 784) or (K, 1, 28, 28). Each is learned as the logits of its
    pixels, so it stays in [0, 1].

    Raises:
        TypeError, ValueError: `starts` are no images, as `validation.prepare_images` says.
    """

    def __init__(self, vae: Any, starts: Tensor) -> None:
        super().__init__()
        self.vae, self.latent_dim = vae, vae.latent_dim
        self.logits = nn.Parameter(torch.logit(prepare_images(starts).clamp(0.02, 0.98)))

    def components(self) -> tuple[Tensor, Tensor]:
        """μ and log σ² of the K posteriors q(z|u_k), both of shape (K, D)."""
        return cast(tuple[Tensor, Tensor], self.vae.encode(self.logits.sigmoid()))

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) of codes z, shape (B, D), in nats, shape (B,)."""
        mu, logvar = self.components()
        each = gaussian_log_density(z[:, None], mu, logvar)
        return torch.logsumexp(each, dim=1) - math.log(len(mu))

    @torch.no_grad()
    def draw(self, count: int) -> Tensor:
        """New codes from the prior, shape (count, D)."""
        mu, logvar = self.components()
        chosen = torch.randint(len(mu), (count,))
        return mu[chosen] + torch.exp(0.5 * logvar[chosen]) * torch.randn(count, mu.shape[1])

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As the VAE's."""
        return cast(tuple[Tensor, Tensor], self.vae.encode(x))

    def decode(self, z: Tensor) -> Tensor:
        """As the VAE's."""
        return cast(Tensor, self.vae.decode(z))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As the VAE's."""
        return cast(tuple[Tensor, Tensor, Tensor], self.vae(x))


class NegativeELBOWithPrior:
    """The negative ELBO of a model with `log_prior` and Bernoulli pixels, its KL term weighted by `beta`.

    A mixture's KL term has no closed form, so it is estimated: log q(z|x) − log p(z), at one drawn z for each image.
    """

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def prepare(self, x: Tensor) -> Tensor:
        """Check the images and give them the shape (N, 784)."""
        return prepare_images(x)

    def __call__(self, model: Model, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """loss = recon + beta · kl, recon and kl of a batch x, shape (B, 784), each summed over its images, in nats."""
        prior: Any = model
        mu, logvar = model.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        recon = -bernoulli_log_likelihood(model.decode(z), x).sum()
        kl = (gaussian_log_density(z, mu, logvar) - prior.log_prior(z)).sum()
        return {"loss": recon + self.beta * kl, "recon": recon, "kl": kl}


class LatentDiffusion(nn.Module):
    """A diffusion model of codes: a network of dense layers that learns to take noise away (Ho et al. 2020).

    A noisy code is z_t = α z + σ ε, with ε ~ N(0, I), α = cos(π t/2), σ = sin(π t/2) and t from 0, the code, to 1, the
    noise. The network predicts v = α ε − σ z (Salimans and Ho 2022, section 4 and appendix D).

    `codes`, shape (N, D), are what it will learn to draw. Only their mean and standard deviation are taken from them
    here: inside, every latent has mean 0 and spread 1. `fit` trains.

    Raises:
        ValueError: `codes` have another shape, are fewer than two, or are not finite.
    """

    def __init__(self, codes: Tensor, *, hidden_dim: int = 256) -> None:
        super().__init__()
        _check_codes(codes)
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", codes.mean(dim=0))
        self.register_buffer("scale", codes.std(dim=0) + 1e-6)
        self.latent_dim = codes.shape[1]
        self.net = nn.Sequential(
            nn.Linear(self.latent_dim + 16, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.SiLU(),
            nn.Linear(hidden_dim, self.latent_dim),
        )

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """The predicted v, shape (B, D), of noisy codes z, shape (B, D), at the times t in [0, 1], shape (B, 1)."""
        waves = t * math.pi * 2.0 ** torch.arange(-1, 7)
        return cast(Tensor, self.net(torch.cat([z, waves.sin(), waves.cos()], dim=1)))

    def loss(self, z: Tensor) -> Tensor:
        """The mean squared error of v, a scalar, on centred and scaled codes z, shape (B, D), each at a random time."""
        t, eps = torch.rand(len(z), 1), torch.randn_like(z)
        alpha, sigma = noise_levels(t)
        v: Tensor = self(alpha * z + sigma * eps, t)
        return (v - (alpha * eps - sigma * z)).square().mean()

    def fit(self, codes: Tensor, *, steps: int = 3_000) -> None:
        """Train with Adam on codes, shape (N, D), 256 at a time; the rate falls in a cosine from 0.002 to 0.

        Raises:
            TypeError, ValueError: `codes` have another shape or are not finite; `steps` is no whole number from 1 on.
        """
        _check_codes(codes, self.latent_dim)
        check_sizes(steps=steps)
        z = (codes - self.centre) / self.scale
        adam = torch.optim.Adam(self.parameters(), lr=2e-3, fused=True)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in range(steps):
            loss = self.loss(z[torch.randint(len(z), (256,))])
            adam.zero_grad()
            loss.backward()
            adam.step()
            falling.step()

    @torch.no_grad()
    def draw(self, count: int, steps: int = 20) -> Tensor:
        """New codes, shape (count, D), from noise, in `steps` equal steps from t = 1 to t = 0.

        Each follows dz/dφ = v, with φ = π t/2. That is DDIM's step, cos(δ) z − sin(δ) v, to first order in its angle δ
        (Salimans and Ho 2022, appendix D).

        Raises:
            TypeError, ValueError: `steps` is no whole number of at least 1.
        """
        check_sizes(steps=steps)
        z, step = torch.randn(count, self.latent_dim), math.pi / 2 / steps
        for t in torch.linspace(1, 0, steps + 1)[:-1]:
            v: Tensor = self(z, t.expand(count, 1))
            z = z - step * v
        return z * self.scale + self.centre


def noise_levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ at the times t in [0, 1], of any shape: how much of the code and how much noise there is; α² + σ² = 1."""
    return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)


def _check_codes(codes: Tensor, latents: int | None = None) -> None:
    """Stop where codes are not (N, D), with N of at least 2 and numbers that are finite."""
    width = "D" if latents is None else latents
    if codes.ndim != 2 or len(codes) < 2 or latents not in (None, codes.shape[1]):
        raise ValueError(
            f"Codes must have the shape (N, {width}), with N of at least 2, not {tuple(codes.shape)}."
        )
    if not codes.isfinite().all():
        raise ValueError("The codes hold NaN or infinity: look at the encoder that made them.")
