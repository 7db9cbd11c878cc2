"""What a VAE minimises, and what it is measured by: all per image, or per string, in nats.

x is an image (float, in [0, 1]) or a string (its symbols as whole numbers, 0 where it has ended), z a code,
q(z|x) = N(μ, diag σ²) with logvar = log σ², and the prior is p(z) = N(0, I).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .devices import given_to
from .validation import (
    Model,
    NaNError,
    check_gaussian,
    flat_pair,
    given_labels,
    prepare_images,
    prepare_symbols,
    vae_outputs,
)

PAD = 0  # stands behind a string's end, and counts for nothing
LOG_2PI = math.log(2 * math.pi)


# --- the terms ----------------------------------------------------------------------------------


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(q(z|x) ‖ p(z)) for a diagonal Gaussian and the standard normal, in nats per image, shape (B,).

    ½ Σ_d (μ² + σ² − 1 − log σ²): Kingma and Welling 2014, appendix B. `mu` and `logvar` have shape (B, D).

    Raises:
        ValueError: the two shapes differ, or are not (B, D).
    """
    return kl_terms(mu, logvar).sum(dim=1)


def kl_terms(mu: Tensor, logvar: Tensor) -> Tensor:
    """What each latent adds to the KL divergence of each image, in nats, shape (B, D): ½ (μ² + σ² − 1 − log σ²).

    Raises:
        ValueError: the two shapes differ, or are not (B, D).
    """
    check_gaussian(mu, logvar)
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def bernoulli_log_likelihood(recon_x: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) in nats per image, shape (B,), where pixels are Bernoulli with probabilities `recon_x`.

    Σ x log x̂ + (1 − x) log(1 − x̂): Kingma and Welling 2014, appendix C.1. On grey pixels this is a
    cross-entropy and no longer the logarithm of a probability. Shapes (B, …), both the same number of
    pixels. No logarithm is below that of the dtype's smallest normal number: −87 for float32.
    (`torch.nn.functional.binary_cross_entropy` ends at −100, and is the same everywhere else.)

    Raises:
        ValueError: the sizes differ, or `recon_x` leaves [0, 1].
    """
    recon_x, x = flat_pair(recon_x, x)
    if not (recon_x.is_cuda and torch.cuda.is_current_stream_capturing()):  # which allows no look
        low, high = recon_x.detach().aminmax() if recon_x.numel() else (0, 1)
        if not (low >= 0 and high <= 1):
            kind = NaNError if recon_x.isnan().any() else ValueError
            raise kind(
                "recon_x holds numbers outside [0, 1], or NaN, so they are no probabilities. Does decode end in a "
                "sigmoid?"
            )
    tiny = torch.finfo(recon_x.dtype).tiny
    log_white, log_black = (p.clamp(min=tiny).log() for p in (recon_x, 1 - recon_x))
    return torch.lerp(log_black, log_white, x.to(recon_x)).sum(dim=1)


def gaussian_log_likelihood(recon_x: Tensor, x: Tensor, sigma: float) -> Tensor:
    """log p(x|z) in nats per image, shape (B,), where pixels are Gaussian: mean `recon_x`, standard deviation `sigma`.

    −Σ (x − x̂)² / 2σ² − n log σ − n/2 log 2π, for n pixels. It is a density: it can be above zero.

    Raises:
        ValueError: the sizes differ, or `sigma` is not a positive finite number.
    """
    _check_sigma(sigma)
    recon_x, x = flat_pair(recon_x, x)
    squared = (x - recon_x).square().sum(dim=1)
    return -squared / (2 * sigma**2) - x.shape[1] * (math.log(sigma) + LOG_2PI / 2)


def categorical_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) in nats per string, shape (B,): Σ_t log p(x_t | x_1 … x_{t−1}, z), over the symbols that are not PAD.

    `logits`, shape (B, T, S), are those of each symbol; `x`, shape (B, T), int64, are the symbols themselves.

    Raises:
        ValueError: the shapes do not match.
    """
    if logits.ndim != 3 or logits.shape[:2] != x.shape:
        raise ValueError(
            f"There must be logits of shape (B, T, S) for symbols of shape (B, T); "
            f"they have {tuple(logits.shape)} and {tuple(x.shape)}."
        )
    cross_entropy: Tensor = F.cross_entropy(
        logits.transpose(1, 2), x, ignore_index=PAD, reduction="none"
    )
    return -cross_entropy.sum(dim=1)


def loss_function(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """The VAE's loss: binary cross-entropy plus KL divergence, summed over the batch, a scalar in nats.

    `recon_x` are probabilities and `x` images, both with 784 numbers an image; `mu`, `logvar` have shape (B, D).
    """
    return -bernoulli_log_likelihood(recon_x, x).sum() + kl_divergence(mu, logvar).sum()


# --- p(x|z) as a value ----------------------------------------------------------------------------


class Likelihood(Protocol):
    """What p(x|z) is: how its data are checked, what the decoder gives for a code, and log p(x|z) of that."""

    def prepare(self, x: Tensor) -> Tensor:
        """Check the data and give it the shape that the model takes."""
        ...

    def decode(self, model: Model, z: Tensor, x: Tensor) -> Tensor:
        """What the model's decoder gives for the codes z of x: the first output of `forward`."""
        ...

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) in nats per image or string, shape (B,), from what the decoder gave."""
        ...


class _OfImages:
    """What the two likelihoods of images share."""

    def prepare(self, x: Tensor) -> Tensor:
        """Check images; give them the shape (N, 784)."""
        return prepare_images(x)

    def decode(self, model: Model, z: Tensor, x: Tensor) -> Tensor:
        """Probabilities or means of the pixels, shape (B, 784)."""
        recon_x = model.decode(z)
        if recon_x.shape[0] != len(z) or recon_x.numel() != x.numel():
            raise ValueError(
                f"decode(z) gave the shape {tuple(recon_x.shape)}; it must be ({len(z)}, {x.shape[1]})."
            )
        return recon_x


@dataclass(frozen=True)
class Bernoulli(_OfImages):
    """Each pixel is 1 with the probability that the decoder gives, and else 0. On grey images: a cross-entropy."""

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """As `bernoulli_log_likelihood`."""
        return bernoulli_log_likelihood(output, x)


@dataclass(frozen=True)
class Gaussian(_OfImages):
    """Each pixel is normal, with the mean that the decoder gives and the standard deviation `sigma`, the same for all.

    Raises:
        ValueError: `sigma` is not a positive finite number.
    """

    sigma: float

    def __post_init__(self) -> None:
        _check_sigma(self.sigma)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """As `gaussian_log_likelihood`."""
        return gaussian_log_likelihood(output, x, self.sigma)


@dataclass(frozen=True)
class Categorical:
    """Each symbol of a string is one of S, given those before it: for a `sequences.SequenceVAE`."""

    def prepare(self, x: Tensor) -> Tensor:
        """Check strings."""
        return prepare_symbols(x)

    def decode(self, model: Any, z: Tensor, x: Tensor) -> Tensor:
        """The logits of each symbol of x, shape (B, T, S)."""
        logits: Tensor = model.decode_logits(z, x)
        return logits

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """As `categorical_log_likelihood`."""
        return categorical_log_likelihood(output, x)


def as_likelihood(likelihood: Likelihood | str) -> Likelihood:
    """The likelihood itself, or that of a short name: 'bernoulli' or 'categorical'.

    Raises:
        ValueError: there is none of that name.
    """
    if not isinstance(likelihood, str):
        return likelihood
    if likelihood == "gaussian":
        raise ValueError(
            "A Gaussian likelihood needs sigma, the standard deviation of a pixel: "
            "`objectives.Gaussian(sigma)` in place of 'gaussian'."
        )
    named: dict[str, Likelihood] = {"bernoulli": Bernoulli(), "categorical": Categorical()}
    if likelihood not in named:
        raise ValueError(
            f"There is no likelihood {likelihood!r}: choose 'bernoulli', 'categorical' or `objectives.Gaussian(sigma)`."
        )
    return named[likelihood]


def _check_sigma(sigma: float) -> None:
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(
            f"sigma, the standard deviation of a pixel, must be positive and finite, not {sigma}."
        )


# --- bounds on log p(x) ---------------------------------------------------------------------------


def elbo(
    model: Model,
    x: Tensor,
    *,
    likelihood: Likelihood | str = "bernoulli",
    generator: torch.Generator | None = None,
) -> Tensor:
    """The evidence lower bound E_q[log p(x|z)] − KL(q(z|x) ‖ p(z)), in nats per image, shape (B,).

    One code is drawn for each image; the KL divergence is exact (Kingma and Welling 2014, equation 7).
    `likelihood` is p(x|z): `Gaussian(sigma)`, or 'bernoulli', or 'categorical' for strings.
    """
    p = as_likelihood(likelihood)
    x = given_to(model, p.prepare(x))
    mu, logvar = _encode(model, x)
    z = mu + torch.exp(0.5 * logvar) * _noise(mu, 1, generator)[0]
    return (p.log_prob(p.decode(model, z, x), x) - kl_divergence(mu, logvar)).cpu()


def importance_weighted_bound(
    model: Model,
    x: Tensor,
    k: int,
    *,
    likelihood: Likelihood | str = "bernoulli",
    generator: torch.Generator | None = None,
    max_rows: int = 2_000,
) -> Tensor:
    """log (1/k) Σ_k p(x|z) p(z) / q(z|x) with z ~ q(z|x), in nats per image, shape (B,).

    Its expectation is at most log p(x) and grows with k; k = 1 is an ELBO whose KL is sampled too
    (Burda, Grosse and Salakhutdinov 2016, equation 8). `max_rows` bounds how many codes are decoded at once.

    Raises:
        ValueError: `k` is less than 1.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(
            f"k, the number of codes drawn for each image, must be a whole number of at least 1, not {k}."
        )
    p = as_likelihood(likelihood)
    x = given_to(model, p.prepare(x))
    mu, logvar = _encode(model, x)
    std = torch.exp(0.5 * logvar)
    batch, pieces = len(x), []
    step = max(1, max_rows // batch)
    for start in range(0, k, step):
        count = min(step, k - start)
        eps = _noise(mu, count, generator)
        z = mu + std * eps
        many = x.repeat(count, 1)
        log_p_x = p.log_prob(p.decode(model, z.flatten(0, 1), many), many).reshape(count, batch)
        log_ratio = -0.5 * (z.square() - eps.square() - logvar).sum(dim=2)  # log p(z) − log q(z|x)
        pieces.append(torch.logsumexp(log_p_x + log_ratio, dim=0))
    return (torch.logsumexp(torch.stack(pieces), dim=0) - math.log(k)).cpu()


# --- what `fit` minimises -----------------------------------------------------------------------


class Objective(Protocol):
    """What `fit` needs to know of an objective."""

    def prepare(self, x: Tensor) -> Tensor:
        """Check the data and give it the shape that the model takes."""
        ...

    def __call__(self, model: Model, x: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """The batch's terms, each a scalar summed over the batch; 'loss' is minimised, the rest is recorded."""
        ...


class NegativeELBO:
    """−ELBO of a VAE, with the KL divergence weighted by `beta` (Higgins et al. 2017, equation 4).

    Terms: loss = recon + beta · kl. Two remedies against posterior collapse change what is minimised in training,
    and leave what is measured on held-out data as it is: during the first `warm_up` epochs the weight of the KL term
    grows in a straight line from 0 to `beta` (Bowman et al. 2016, section 3.1; Sønderby et al. 2016); and each latent
    has `free_bits` nats of its KL divergence, as averaged over the batch, for nothing: Σ_d max(free_bits, KL_d)
    (Kingma et al. 2016, appendix C.8).

    Raises:
        ValueError: `beta`, `free_bits` or `warm_up` is negative or not finite, or the likelihood is unknown.
    """

    def __init__(
        self,
        beta: float = 1.0,
        *,
        likelihood: Likelihood | str = "bernoulli",
        free_bits: float = 0.0,
        warm_up: float = 0.0,
    ) -> None:
        meaning = {
            "beta, the weight of the KL term,": beta,
            "free_bits, in nats a latent,": free_bits,
            "warm_up, in epochs,": warm_up,
        }
        for what, value in meaning.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{what} must be finite and not negative, not {value}.")
        self.beta, self.likelihood = beta, as_likelihood(likelihood)
        self.free_bits, self.warm_up = free_bits, warm_up
        self._weight = beta if warm_up == 0 else 0.0

    def at_epoch(self, epochs: float) -> None:
        """Set the weight of the KL term for the next batches, when so many epochs have been trained, in parts too."""
        self._weight = self.beta * (min(1.0, epochs / self.warm_up) if self.warm_up else 1.0)

    def prepare(self, x: Tensor) -> Tensor:
        """Check the images and give them the shape (N, 784); or check the strings."""
        return self.likelihood.prepare(x)

    def __call__(self, model: Model, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """loss, recon and kl of a batch, each summed over its images."""
        output, mu, logvar = vae_outputs(given_labels(model, labels), x)
        recon = -self.likelihood.log_prob(output, x).sum()
        kl = kl_divergence(mu, logvar).sum()
        if not getattr(model, "training", False):
            return {"loss": recon + self.beta * kl, "recon": recon, "kl": kl}
        paid = kl
        if self.free_bits:
            each = kl_terms(mu, logvar).mean(dim=0)
            paid = each.clamp(min=self.free_bits).sum() * len(x)
        return {"loss": recon + self._weight * paid, "recon": recon, "kl": kl}


class Reconstruction:
    """The cross-entropy of an autoencoder's reconstruction: what is left of the loss without a distribution."""

    def prepare(self, x: Tensor) -> Tensor:
        """Check the images; give them the shape (N, 784)."""
        return prepare_images(x)

    def __call__(self, model: Model, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """loss of a batch, summed over its images."""
        model = given_labels(model, labels)
        recon_x = model(x)
        if not isinstance(recon_x, Tensor) or recon_x.shape[0] != len(x):
            raise ValueError(
                "An autoencoder's forward(x) must return recon_x, one row for each image."
            )
        return {"loss": -bernoulli_log_likelihood(recon_x, x).sum()}


class LossFunction:
    """A function written by you as an objective: `function(recon_x, x, mu, logvar)`, a scalar summed over the batch."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
        self.function = function

    def prepare(self, x: Tensor) -> Tensor:
        """Check the images; give them the shape (N, 784)."""
        return prepare_images(x)

    def __call__(self, model: Model, x: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """loss of a batch, as the function gives it."""
        model = given_labels(model, labels)
        recon_x, mu, logvar = vae_outputs(model, x)
        loss = self.function(recon_x, x, mu, logvar)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            what = (
                f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            )
            raise ValueError(
                f"The objective must return one number, a tensor summed over the batch; it returned {what}."
            )
        return {"loss": loss.reshape(())}


def _encode(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    model = given_labels(model, None)
    outputs = model.encode(x)
    if not isinstance(outputs, tuple | list) or len(outputs) != 2:
        raise ValueError("encode(x) must return two tensors, mu and logvar.")
    mu, logvar = outputs
    check_gaussian(mu, logvar, len(x))
    return mu, logvar


def _noise(like: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, drawn where the generator is, if there is one."""
    place = like.device if generator is None else generator.device
    eps = torch.randn(count, *like.shape, generator=generator, device=place, dtype=like.dtype)
    return eps.to(like.device)
