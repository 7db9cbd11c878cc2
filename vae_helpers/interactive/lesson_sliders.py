"""The sliders of lessons 02 and 03: Gaussians, and models trained with different β."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vae_helpers import figures
from vae_helpers.devices import encoded, given_to
from vae_helpers.objectives import bernoulli_log_likelihood, kl_divergence
from vae_helpers.validation import Model, prepare_images

from .sliders import FigureSliders

DRAWS = 40  # of ε
MOST_SHOWN = 10  # images


def gaussian_sliders() -> FigureSliders:
    """Sliders for μ and log σ² of one Gaussian; the same ε is used again at each move, z = μ + σ·ε."""
    eps = torch.randn(DRAWS, generator=torch.Generator().manual_seed(0), device="cpu").numpy()

    def draw(figure: Figure, mu: float, logvar: float) -> str:
        sigma = math.exp(0.5 * logvar)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.set_xlim(-8, 8)
        figures.draw_gaussian(
            upper, 0, 1, color=figures.GREY, linestyle="--", label="N(0, 1), where ε comes from"
        )
        figures.draw_gaussian(
            upper, mu, sigma, color=figures.ORANGE, label="N(μ, σ²), where z comes from"
        )
        upper.set_ylim(0, 1.2)
        upper.set_ylabel("density")
        upper.legend(loc="upper left")
        lower.scatter(eps, np.ones(DRAWS), color=figures.GREY, s=18)
        lower.scatter(mu + sigma * eps, np.zeros(DRAWS), color=figures.ORANGE, s=18)
        for e in eps:
            lower.plot([e, mu + sigma * e], [1, 0], color="black", linewidth=0.4, alpha=0.5)
        lower.set_yticks([0, 1], ["z", "ε"])
        lower.set_ylim(-0.4, 1.4)
        lower.set_xlabel("value")
        return f"σ = exp(½ log σ²) = {sigma:.2f}. The {DRAWS} draws of ε stay where they are; each z follows μ and σ."

    return FigureSliders(
        draw,
        labels={"mu": "μ", "logvar": "log σ²"},
        mu=(-3.0, 3.0, 0.0, 0.1),
        logvar=(-4.0, 2.0, 0.0, 0.1),
    )


def two_gaussian_sliders() -> FigureSliders:
    """Sliders for μ and log σ² of q = N(μ, σ²), beside the prior p = N(0, 1), and their KL divergence in nats."""

    def draw(figure: Figure, mu: float, logvar: float) -> str:
        sigma = math.exp(0.5 * logvar)
        parts = [0.5 * mu**2, 0.5 * (sigma**2 - 1 - logvar)]
        left, right = figure.subplots(1, 2, width_ratios=(3, 1.3))
        left.set_xlim(-6, 6)
        left.set_ylim(0, 1.5)
        figures.draw_gaussian(
            left, 0, 1, color=figures.GREY, linestyle="--", label="p(z) = N(0, 1)"
        )
        figures.draw_gaussian(left, mu, sigma, color=figures.BLUE, label="q(z|x) = N(μ, σ²)")
        left.set_xlabel("z")
        left.set_ylabel("density")
        left.legend(loc="upper left")
        right.bar(
            ["mean\n½μ²", "spread\n½(σ²−1−log σ²)"], parts, color=[figures.BLUE, figures.ORANGE]
        )
        right.set_ylim(0, 5)
        right.set_ylabel("nats")
        right.set_title(f"KL = {sum(parts):.2f} nats")
        return f"σ = {sigma:.2f}: the mean costs {parts[0]:.2f} nats and the spread {parts[1]:.2f}."

    return FigureSliders(
        draw,
        figsize=(9, 3.6),
        labels={"mu": "μ", "logvar": "log σ²"},
        mu=(-3.0, 3.0, 1.0, 0.1),
        logvar=(-4.0, 2.0, 0.0, 0.1),
    )


def beta_slider(models: Mapping[float, Model], x: Tensor) -> FigureSliders:
    """A slider over models trained with different weights β: reconstructions of `x` and samples from the prior.

    The terms below the picture are averages over all of `x`, in nats per image; at most ten images are drawn.
    """
    if not models:
        raise ValueError("There are no models to choose from.")
    x = prepare_images(x).cpu().float()
    shown = min(MOST_SHOWN, len(x))
    pictures, sentences = {}, {}
    for beta, model in sorted(models.items()):
        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            mu, logvar = encoded(model, x)
            noise = torch.randn(mu.shape, generator=generator, device="cpu")
            z = mu + torch.exp(0.5 * logvar) * noise
            drawn = torch.randn(shown, mu.shape[1], generator=generator, device="cpu")
            recon_x, samples = (
                model.decode(given_to(model, codes)).cpu().float() for codes in (z, drawn)
            )
            recon = -bernoulli_log_likelihood(recon_x, x).mean().item()
            kl = kl_divergence(mu, logvar).mean().item()
        pictures[beta] = torch.cat([x[:shown], recon_x[:shown], samples])
        sentences[beta] = (
            f"β = {beta:g}: reconstruction {recon:.1f} nats, KL {kl:.1f} nats, per image."
        )

    def draw(figure: Figure, beta: float) -> str:
        rows = ("image x", "recon_x", "z ~ N(0, I)")
        figures.draw_images(figure.subplots(), pictures[beta], columns=shown, row_labels=rows)
        return sentences[beta]

    return FigureSliders(draw, figsize=(9, 3.0), labels={"beta": "β"}, beta=sorted(models))
