"""The formulas of both terms of the loss, right and wrong, for each latent and each pixel, in float64."""

from __future__ import annotations

import numpy as np

from .calls import Array

PIXELS = 784


def kl_terms(mu: Array, v: Array) -> Array:
    """½ (μ² + σ² − 1 − log σ²) for each latent; `v` is log σ²."""
    terms: Array = 0.5 * (mu**2 + np.exp(v) - 1 - v)
    return terms


def kl_gradients(mu: Array, v: Array) -> dict[str, Array]:
    """The gradient of the KL divergence, summed over the batch, with respect to both arguments."""
    return {"mu": mu, "logvar": 0.5 * (np.exp(v) - 1)}


def kl_mistakes(mu: Array, v: Array) -> dict[str, list[Array]]:
    """What wrong formulas give for each latent: the arguments are μ and log σ², of shape (B, D)."""
    s2, s = np.exp(v), np.exp(0.5 * v)
    log_v, log_v2 = np.log(v), np.log(v**2)
    mistakes = {
        "kl-mu-not-squared": [0.5 * (mu + s2 - 1 - v)],
        "kl-sigma-for-variance": [0.5 * (mu**2 + s - 1 - v)],
        "kl-sigma-cancels": [0.5 * (mu**2 - 1)],
        "kl-exponential-misplaced": [0.5 * (mu**2 + v - 1 - s2)],
        "kl-log-sigma": [0.5 * (mu**2 + s2 - 1 - 0.5 * v)],
        "kl-variance-squared": [0.5 * (mu**2 + s2**2 - 1 - v)],
        "kl-logvar-is-log-sigma": [0.5 * (mu**2 + s2**2 - 1 - 2 * v)],
        "kl-logvar-is-std": [
            0.5 * (mu**2 + v**2 - 1 - log_v2),
            0.5 * (mu**2 + v**2 - 1 - 2 * log_v),
            0.5 * (mu**2 + v**2 - 1 - log_v),
        ],
        "kl-logvar-is-variance": [0.5 * (mu**2 + v - 1 - log_v)],
        "kl-swapped-arguments": [0.5 * (v**2 + np.exp(mu) - 1 - mu)],
        "kl-reversed": [0.5 * (v - 1 + (1 + mu**2) / s2)],
        "kl-mu-missing": [0.5 * (s2 - 1 - v)],
        "kl-variance-missing": [0.5 * (mu**2 - 1 - v)],
        "kl-logvar-missing": [0.5 * (mu**2 + s2 - 1)],
    }
    signs = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    mistakes["kl-term-sign"] = [  # with −1 they are the same but for the sign of the whole
        0.5 * (a * mu**2 + b * s2 + 1 - c * v) for a, b, c in signs if not a == b == c
    ]
    return mistakes


def cross_entropy(p: Array, x: Array) -> Array:
    """−x log p − (1 − x) log (1 − p) for each pixel."""
    terms: Array = -(x * np.log(p) + (1 - x) * np.log1p(-p))
    return terms


def continuous_bernoulli(p: Array, x: Array) -> Array:
    """The cross-entropy less the logarithm of the constant that makes it a density on [0, 1].

    Loaiza-Ganem and Cunningham 2019, equation 7.
    """
    u = 1 - 2 * p
    safe = np.where(np.abs(u) < 1e-3, 1e-3, u)
    terms: Array = cross_entropy(p, x) - np.log(2 * np.arctanh(safe) / safe)
    return terms


# name: (the loss of each pixel, its gradient with respect to recon_x, what it states)
LIKELIHOODS = {
    "cross-entropy": (cross_entropy, lambda p, x: (p - x) / (p * (1 - p)), "Bernoulli"),
    "squared": (lambda p, x: (p - x) ** 2, lambda p, x: 2 * (p - x), "Gaussian"),
    "absolute": (lambda p, x: np.abs(p - x), lambda p, x: np.sign(p - x), "Laplace"),
    "continuous": (
        continuous_bernoulli,
        lambda p, x: (continuous_bernoulli(p + 1e-6, x) - continuous_bernoulli(p - 1e-6, x)) / 2e-6,
        "continuous Bernoulli",
    ),
}


def recon_mistakes(p: Array, x: Array) -> dict[str, list[Array]]:
    """What wrong formulas give for each pixel: the arguments are recon_x and x, of shape (B, 784)."""
    clamped = np.clip(x, 1e-12, 1 - 1e-12)
    logits = 1 / (1 + np.exp(-p))
    return {
        "recon-swapped": [cross_entropy(clamped, p)],
        "recon-half-missing": [-x * np.log(p), -(1 - x) * np.log1p(-p)],
        "two-sigmoids": [cross_entropy(logits, x)],
        "targets-rescaled": [
            cross_entropy(p, 2 * x - 1),
            cross_entropy(p, (x - 0.1307) / 0.3081),
            cross_entropy(p, 255 * x),
            cross_entropy(p, x / 255),
        ],
    }


def likelihood_note(likelihood: str, weight: float) -> str:
    """The sentence on a loss of another likelihood than the course's, where one pixel's error counts `weight` times."""
    course = "The course uses Bernoulli pixels, whose loss is the cross-entropy."
    if likelihood == "squared":
        return (
            "Different from this course in the likelihood: a squared error states Gaussian pixels, here with "
            f"σ² = {1 / (2 * weight):.3g}. Say so beside each number you report. {course}"
        )
    if likelihood == "absolute":
        return (
            "Different from this course in the likelihood: an absolute error states Laplace pixels. "
            f"{course}"
        )
    if likelihood == "continuous":
        return (
            "Different from this course in the likelihood: a continuous Bernoulli is a density over grey pixels, "
            f"and its numbers aren't cross-entropies. {course}"
        )
    return (
        "Different from this course in the likelihood: Gaussian pixels whose σ is the best one for the batch. Say so "
        f"beside each number you report. {course}"
    )
