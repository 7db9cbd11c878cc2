"""What a trained model and its samples are measured by; no plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .devices import encoded, given_to
from .models import Classifier
from .objectives import (
    Categorical,
    Likelihood,
    as_likelihood,
    importance_weighted_bound,
    kl_divergence,
    kl_terms,
)
from .validation import Model, prepare_images, prepare_inputs


@torch.no_grad()
def active_units(model: Model, x: Tensor, *, threshold: float = 0.01) -> Tensor:
    """Which latents the encoder uses: those whose mean varies over the images, Var_x(μ_d) > threshold.

    `x` holds at least two images, or strings; the result has shape (D,), of bool. Burda, Grosse and Salakhutdinov 2016,
    section 5.2, with their threshold.

    Raises:
        ValueError: fewer than two images, or a threshold that is not positive.
    """
    if len(x) < 2:
        raise ValueError(f"A variance over images needs at least two images, not {len(x)}.")
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, not {threshold}.")
    mu, _ = encoded(model, prepare_inputs(model, x))
    active: Tensor = mu.var(dim=0) > threshold
    return active


@torch.no_grad()
def kl_per_latent(model: Model, x: Tensor) -> Tensor:
    """The mean over the images, or strings, of each latent's KL divergence to the prior, in nats, shape (D,).

    ½ (μ² + σ² − 1 − log σ²) for one latent: Kingma and Welling 2014, appendix B.
    """
    mu, logvar = encoded(model, prepare_inputs(model, x))
    return kl_terms(mu, logvar).mean(dim=0)


@torch.enable_grad()
def effective_beta(
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor | float],
    *,
    likelihood: Likelihood | str,
    batch_size: int = 16,
    pixels: int = 784,
    latent_dim: int = 20,
) -> float:
    """The weight β that a loss really puts on the KL divergence, relative to a stated likelihood.

    `loss(recon_x, x, mu, logvar)` is called on batches of random images, probabilities and posteriors of the given
    sizes: x and recon_x (B, pixels) in (0, 1), mu and logvar (B, D). It gives one number, in whatever units and with
    whatever sums and means. If it is a · (−log p(x|z)) + b · KL + c, with a > 0 and b, c the same for every batch, the
    result is b / a: the β of Higgins et al. 2017, equation 4, for which training has the same optimum. The
    likelihood is 'bernoulli', or `objectives.Gaussian(sigma)` with the standard deviation of a pixel. A KL term that
    makes up less than a ten-thousandth of how the loss varies is not told from another term so small. Where the loss is
    a tensor, its gradients must be those of the same sum.

    Raises:
        ValueError: the loss is no such sum under this likelihood, or has the wrong sign; it does not depend on the
            reconstruction, or is not finite; a gradient of it is missing or another one; an unknown likelihood; a size
            below 1.
    """
    p = as_likelihood(likelihood)
    if isinstance(p, Categorical):
        raise ValueError("effective_beta makes random images: choose 'bernoulli' or `Gaussian`.")
    for name, size in (("batch_size", batch_size), ("pixels", pixels), ("latent_dim", latent_dim)):
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {size!r}.")
    generator = torch.Generator().manual_seed(0)
    draws: Any = {"generator": generator, "dtype": torch.float64, "device": "cpu"}
    losses, terms = [], []
    for _ in range(12):
        x, recon_x = (0.02 + 0.96 * torch.rand(batch_size, pixels, **draws) for _ in range(2))
        mu, logvar = (2 * torch.randn(batch_size, latent_dim, **draws) for _ in range(2))
        leaves = {
            n: t.requires_grad_() for n, t in (("recon_x", recon_x), ("mu", mu), ("logvar", logvar))
        }
        given = loss(recon_x, x, mu, logvar)
        value = (
            given.cpu().double()
            if isinstance(given, Tensor)
            else torch.as_tensor(given, dtype=torch.float64, device="cpu")
        )
        if value.numel() != 1:
            raise ValueError(
                f"The loss must be one number for a batch; it has the shape {tuple(value.shape)}."
            )
        recon = -p.log_prob(recon_x, x).sum()
        losses.append(value.reshape(()))
        terms.append(torch.stack([recon, kl_divergence(mu, logvar).sum()]))
    a, b = _weights_of_terms(torch.stack(losses).detach(), torch.stack(terms).detach())
    if isinstance(given, Tensor):
        _check_gradients(losses[-1], terms[-1] @ terms[-1].new_tensor([a, b]), leaves)
    return b / a


def _check_gradients(loss: Tensor, right: Tensor, leaves: dict[str, Tensor]) -> None:
    """Compare the gradients of a loss with those of the weighted sum that its values are."""
    inputs = [*leaves.values()]
    expected = torch.autograd.grad(right, inputs)
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
    for name, wanted, got in zip(leaves, expected, found, strict=True):
        size = wanted.norm()
        if size < 1e-4 * expected[0].norm():  # not told from nothing
            continue
        off = size if got is None else (got - wanted).norm()
        if not off < 0.05 * size:
            raise ValueError(
                f"The loss has the values of such a sum, but not its gradient with respect to {name}: was a part of it "
                "computed by `.detach()`, `.item()` or under `no_grad`?"
            )


def _weights_of_terms(losses: Tensor, terms: Tensor) -> tuple[float, float]:
    """a and b of the least-squares fit losses = a · reconstruction + b · KL + c; an error where it does not fit."""
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
    if a < 0:
        raise ValueError("The loss falls as the reconstruction gets worse: is its sign wrong?")
    return float(a), float(b)


# --- likelihood ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogLikelihood:
    """An importance-sampled log-likelihood in nats per image, with what it rests on.

    `mean` over `images` images, `standard_error` of that mean over the images, and `k`, the codes drawn for each.
    """

    mean: float
    standard_error: float
    k: int
    images: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.standard_error:.2f} nats per image (k = {self.k}, {self.images:,} images)"


@torch.no_grad()
def log_likelihood(
    model: Model,
    x: Tensor,
    k: int,
    *,
    likelihood: Likelihood | str = "bernoulli",
    generator: torch.Generator | None = None,
) -> LogLikelihood:
    """Estimate log p(x) by importance sampling with `k` codes from q(z|x) for each image.

    The estimate, log (1/k) Σ p(x|z) p(z) / q(z|x), is too low on average, and less so for a larger k (Burda, Grosse
    and Salakhutdinov 2016, theorem 1): so k is part of the result. On grey pixels a Bernoulli p(x|z) gives no
    likelihood.

    Raises:
        ValueError: fewer than two images, `k` less than 1, or images that are not as `fit` takes them.
    """
    if len(x) < 2:
        raise ValueError(f"A standard error over images needs at least two images, not {len(x)}.")
    bound = importance_weighted_bound(model, x, k, likelihood=likelihood, generator=generator)
    found = bound.double()
    return LogLikelihood(
        found.mean().item(), (found.std() / math.sqrt(len(found))).item(), k, len(found)
    )


# --- samples ------------------------------------------------------------------------------------


def sharpness(x: Tensor) -> Tensor:
    """The variance of each image's Laplacian, over the 26 × 26 pixels that have four neighbours; shape (B,).

    The Laplacian is the sum of the four neighbours less four times the pixel; its variance is a measure of focus
    (Pech-Pacheco et al. 2000). Noise raises it too: compare it with that of real images.
    """
    image = prepare_images(x).reshape(-1, 28, 28)
    centre = image[:, 1:-1, 1:-1]
    neighbours = image[:, :-2, 1:-1] + image[:, 2:, 1:-1] + image[:, 1:-1, :-2] + image[:, 1:-1, 2:]
    variance: Tensor = (neighbours - 4 * centre).flatten(1).var(dim=1, correction=0)
    return variance


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The squared Fréchet distance of two Gaussians fitted to features of shapes (N, F) and (M, F).

    |μ_a − μ_b|² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), in float64 (Dowson and Landau 1982; Heusel et al. 2017, equation 6).

    Raises:
        ValueError: the features are not two finite matrices of equal width, of two rows or more.
    """
    a, b = _features(a, b, least=2)
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # Σ_a Σ_b and the symmetric √Σ_a Σ_b √Σ_a have the same eigenvalues.
    middle = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    mean = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    return float(mean + cov_a.trace() + cov_b.trace() - 2 * middle)


def precision_recall_density_coverage(
    real: Tensor, generated: Tensor, k: int = 5
) -> dict[str, float]:
    """Three shares and a density: real against generated features, shapes (M, F) and (N, F), by balls around each.

    A ball reaches to the k-th nearest neighbour in its own set. `precision`: generated ones inside a ball of a real
    one; `recall`: real ones inside a ball of a generated one (Kynkäänniemi et al. 2019, equations 1 and 2).
    `density`: in how many real balls a generated one lies, over k; `coverage`: real ones whose ball holds a generated
    one (Naeem et al. 2020, section 3). Even real against real gives less than 1: compare with that.

    Raises:
        ValueError: the features are not finite matrices of equal width, with more than k rows.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(
            f"k, the number of neighbours, must be a whole number of at least 1, not {k!r}."
        )
    real, generated = _features(real, generated, least=k + 1)
    radius_real, radius_generated = _radii(real, k), _radii(generated, k)
    distance = _distances(real, generated)  # (M, N)
    inside_real = distance < radius_real[:, None]
    return {
        "precision": inside_real.any(dim=0).double().mean().item(),
        "recall": (distance < radius_generated).any(dim=1).double().mean().item(),
        "density": inside_real.sum(dim=0).double().mean().item() / k,
        "coverage": inside_real.any(dim=1).double().mean().item(),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th nearest neighbour, itself not counted."""
    return _distances(points, points).kthvalue(k + 1, dim=1).values


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Without the short cut by matrix products, which is not exact for near points."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def class_coverage(classes: Tensor) -> float:
    """The effective number of classes among class labels, shape (N,): the exponential of their entropy.

    1 if all are of one class, and C if C classes are equally frequent (Hill 1973, order 1).
    """
    if classes.ndim != 1 or len(classes) == 0 or classes.is_floating_point():
        raise ValueError("Classes must be whole numbers of shape (N,), at least one of them.")
    share = classes.unique(return_counts=True)[1].cpu().double() / len(classes)
    return math.exp(-(share * share.log()).sum().item())


def memorisation_ratio(generated: Tensor, train_x: Tensor, *, threshold: float = 1 / 3) -> float:
    """The share of generated images that are copies of training images.

    A copy is less than `threshold` times as far from its nearest training image as from the second nearest, in
    pixels (Yoon et al. 2023), or equal to one. Held-out real images show what to expect of no copying.

    Raises:
        ValueError: images that are not as `fit` takes them, fewer than two to compare with, or a threshold outside
            (0, 1).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, not be {threshold}.")
    train_x = prepare_images(train_x)
    generated = prepare_images(generated).to(train_x)
    if len(train_x) < 2:
        raise ValueError("There must be at least two training images to compare with.")
    near = torch.cat(
        [
            torch.cdist(part, train_x).topk(2, dim=1, largest=False).indices
            for part in generated.split(250)
        ]
    )
    # Once more without the short cut that cdist takes: it is not exact for near images.
    first, second = (generated[:, None] - train_x[near]).norm(dim=2).sort(dim=1).values.unbind(1)
    return float(((first < threshold * second) | (first == 0)).cpu().double().mean())


@torch.no_grad()
def sample_quality(
    generated: Tensor, real: Tensor, train_x: Tensor, classifier: Classifier
) -> dict[str, float]:
    """Every figure of sample quality at once, in the classifier's features where it says so.

    `generated` and `real` are images, best of equal number; `train_x` those that the model was trained on;
    `classifier` a `models.Classifier`. The result: `sharpness`, the mean as a multiple of the real images' mean;
    `lenet_fid`, the Fréchet distance of features; `precision`, `recall`, `density`, `coverage` of features, with 5
    neighbours; `classes`, the effective number of classes; `memorised`, the share of copies.
    """
    generated, real = prepare_images(generated), prepare_images(real)
    parts = (given_to(classifier, images) for images in (real, generated))
    real_features, features = map(classifier.features, parts)
    found = {
        "sharpness": (sharpness(generated).mean() / sharpness(real).mean()).item(),
        "lenet_fid": frechet_distance(real_features, features),
    }
    found |= precision_recall_density_coverage(real_features, features)
    classes = classifier.out(features).argmax(dim=1)
    return found | {
        "classes": class_coverage(classes),
        "memorised": memorisation_ratio(generated, train_x),
    }


# --- codes --------------------------------------------------------------------------------------


def knn_accuracy(
    train_codes: Tensor, train_labels: Tensor, codes: Tensor, labels: Tensor, *, k: int = 5
) -> float:
    """How often the vote of the `k` nearest training codes, shape (N, D), names the label of a code, shape (M, D).

    Raises:
        ValueError: the codes are not finite matrices of equal width, of k training rows or more, with a label each.
    """
    from sklearn.neighbors import KNeighborsClassifier

    train_codes, codes = _features(train_codes, codes, least=1)
    if len(train_labels) != len(train_codes) or len(labels) != len(codes):
        raise ValueError("There must be one label for each code.")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(train_codes):
        raise ValueError(f"k must be from 1 to the {len(train_codes)} training codes, not {k!r}.")
    voter = KNeighborsClassifier(n_neighbors=k).fit(train_codes.numpy(), train_labels.cpu().numpy())
    return float(voter.score(codes.numpy(), labels.cpu().numpy()))


def _features(a: Tensor, b: Tensor, *, least: int) -> tuple[Tensor, Tensor]:
    """Check two matrices of features or codes; both in float64 on the CPU."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            "Both must have one row for each image and the same number of columns; "
            f"they have the shapes {tuple(a.shape)} and {tuple(b.shape)}."
        )
    if min(len(a), len(b)) < least:
        raise ValueError(
            f"There must be at least {least} rows in each; there are {len(a)} and {len(b)}."
        )
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("There is a number that is not finite.")
    return a.detach().cpu().double(), b.detach().cpu().double()
