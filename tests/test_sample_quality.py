"""The figures of sample quality, codes and likelihood: against independent libraries, and where the answer is known."""

import importlib
import math
import os
import warnings

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from vae_helpers import (
    Classifier,
    ConditionalVAE,
    class_coverage,
    frechet_distance,
    knn_accuracy,
    load_pretrained,
    log_likelihood,
    memorisation_ratio,
    precision_recall_density_coverage,
    sample_quality,
    sharpness,
)
from vae_helpers.objectives import Gaussian


def oracle(module):
    """An independent library of the `dev` extra: the CI has it, a learner need not."""
    if os.environ.get("CI"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason="`pip install -e '.[dev]'` brings it")


def pair(seed, rows=300, columns=20):
    """Two sets of correlated features with different means and spreads."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(columns, columns, generator=generator)
    a = torch.randn(rows, columns, generator=generator) @ mix
    b = 1.3 * torch.randn(rows - 50, columns, generator=generator) @ mix + 0.5
    return a, b


# --- sharpness ----------------------------------------------------------------------------------


def test_sharpness_against_scipy(digits):
    x = torch.cat([digits.test_x[:200].flatten(1), torch.rand(50, 784)])
    for image, found in zip(x.numpy().reshape(-1, 28, 28), sharpness(x), strict=True):
        laplacian = scipy.ndimage.laplace(image.astype(np.float64))[1:-1, 1:-1]
        assert found.item() == pytest.approx(laplacian.var(), rel=1e-5)


def test_sharpness_of_a_checkerboard_and_of_one_grey():
    board = (torch.arange(28)[:, None] + torch.arange(28)) % 2
    images = torch.stack([board.float().flatten(), torch.full((784,), 0.3)])
    assert sharpness(images).tolist() == pytest.approx([16.0, 0.0], abs=1e-10)


# --- the Fréchet distance -----------------------------------------------------------------------


class Columns(nn.Module):
    """What torchmetrics calls the feature extractor: here it passes the features through."""

    def forward(self, x):
        return x.flatten(1)


@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_against_torchmetrics(seed):
    a, b = pair(seed)
    fid = oracle("torchmetrics.image.fid")
    theirs = fid.FrechetInceptionDistance(feature=Columns(), input_img_size=(1, 4, 5))
    theirs.set_dtype(torch.float64)
    for features, real in ((a, True), (b, False)):
        theirs.update(features.double().reshape(-1, 1, 4, 5), real=real)
    assert frechet_distance(a, b) == pytest.approx(theirs.compute().item(), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_frechet_distances_that_are_known():
    a, _ = pair(0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(a, a + 2) == pytest.approx(4 * 20, rel=1e-5)
    centred = a - a.mean(dim=0)
    spread = torch.cov(centred.T).trace().item()
    # (2σ − σ)² in every direction
    assert frechet_distance(centred, 2 * centred) == pytest.approx(spread, rel=1e-5)


def test_frechet_distance_where_a_covariance_is_singular():
    a, b = pair(0)
    flat = torch.cat([a, a[:, :1]], dim=1), torch.cat([b, b[:, :1]], dim=1)
    assert math.isfinite(frechet_distance(*flat))
    assert frechet_distance(*flat) > frechet_distance(a, b)


# --- precision, recall, density, coverage -------------------------------------------------------


@pytest.mark.parametrize(("seed", "k"), [(0, 5), (1, 3), (2, 1)])
def test_precision_and_the_rest_against_prdc(seed, k):
    real, generated = pair(seed)
    expected = oracle("prdc").compute_prdc(
        real_features=real.numpy(), fake_features=generated.numpy(), nearest_k=k
    )
    found = precision_recall_density_coverage(real, generated, k)
    assert found == pytest.approx(expected, abs=1e-12)
    assert 0 < found["precision"] < 1


def test_precision_and_the_rest_that_are_known():
    real, _ = pair(0)
    far = precision_recall_density_coverage(real, real + 1e4)
    assert set(far.values()) == {0.0}
    same = precision_recall_density_coverage(real, real)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    # One point of the real set, over and over: precise, and nothing of the rest.
    one = precision_recall_density_coverage(
        real, real[:1].repeat(300, 1) + 1e-6 * torch.rand(300, 20)
    )
    assert one["precision"] == 1
    assert one["recall"] <= 1 / 300
    assert one["coverage"] < 0.1


# --- classes, copies, codes ---------------------------------------------------------------------


def test_class_coverage():
    assert class_coverage(torch.arange(10).repeat(7)) == pytest.approx(10)
    assert class_coverage(torch.tensor([3, 8] * 5)) == pytest.approx(2)
    assert class_coverage(torch.zeros(9, dtype=torch.long)) == pytest.approx(1)
    classes = torch.tensor([0] * 5 + [1] * 3 + [7] * 2)
    assert class_coverage(classes) == pytest.approx(math.exp(scipy.stats.entropy([5, 3, 2])))


def test_memorisation_ratio_against_scikit_learn(digits):
    train = digits.train_x[:1_000].flatten(1)
    mixed = torch.cat(
        [
            train[:40],
            (train[:60] + 0.1 * torch.rand(60, 784)).clamp(0, 1),
            digits.test_x[:100].flatten(1),
        ]
    )
    nearest = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(train.double().numpy())
    first, second = nearest.kneighbors(mixed.double().numpy())[0].T
    for threshold in (1 / 3, 0.5, 0.9):
        expected = ((first < threshold * second) | (first < 1e-6)).mean()
        assert 0.2 <= expected < 1
        assert memorisation_ratio(mixed, train, threshold=threshold) == pytest.approx(expected)


def test_copies_are_found_and_only_copies(digits):
    train = digits.train_x
    assert memorisation_ratio(train[:50], train) == 1
    half = torch.cat([train[:50], digits.test_x[:50]])
    assert 0.5 <= memorisation_ratio(half, train) < 0.55
    a, b = torch.zeros(1, 784), torch.zeros(1, 784)
    a[0, 0], b[0, 1] = 1, 1
    corners = torch.cat([a, b])
    assert memorisation_ratio((a + b) / 2, corners) == 0
    # 0.24·√2 from the one and 0.76·√2 from the other: a ratio of 0.316, and then one of 0.351
    assert memorisation_ratio(0.76 * a + 0.24 * b, corners) == 1
    assert memorisation_ratio(0.74 * a + 0.26 * b, corners) == 0
    twice = torch.cat([corners, a])  # a training image that is there twice
    assert memorisation_ratio(a, twice) == 1


def test_knn_accuracy_against_a_vote_written_out():
    (codes, _), (more, _) = pair(0), pair(1)
    labels, more_labels = (
        torch.randint(3, (300,), generator=torch.Generator().manual_seed(s)) for s in (0, 1)
    )
    for k in (1, 7):
        near = torch.cdist(more.double(), codes.double()).topk(k, largest=False).indices
        votes = torch.nn.functional.one_hot(labels[near], 3).sum(dim=1)
        expected = (votes.argmax(dim=1) == more_labels).double().mean().item()
        assert knn_accuracy(codes, labels, more, more_labels, k=k) == pytest.approx(expected)
    assert knn_accuracy(codes, labels, codes, labels, k=1) == 1


# --- likelihood ---------------------------------------------------------------------------------


class Linear:
    """p(x|z) = N(½ + z·w, σ²I) with one latent: log p(x) and the true posterior are known in closed form."""

    sigma = 0.2

    def __init__(self, widen=1.0):
        self.w = 0.02 * torch.randn(1, 784, generator=torch.Generator().manual_seed(0))
        self.widen = widen

    def encode(self, x):
        precision = 1 + self.w.square().sum() / self.sigma**2
        mu = (x - 0.5) @ self.w.T / self.sigma**2 / precision
        return mu, torch.full_like(mu, math.log(self.widen / precision))

    def decode(self, z):
        return 0.5 + z @ self.w

    def exact(self, x):
        covariance = self.w.T.double() @ self.w.double() + self.sigma**2 * torch.eye(784)
        return torch.distributions.MultivariateNormal(
            torch.full((784,), 0.5).double(), covariance
        ).log_prob(x.double())


def test_log_likelihood_is_exact_where_q_is_the_posterior(generator):
    x = (0.5 + 0.2 * torch.randn(40, 784, generator=generator)).clamp(0, 1)
    exact = Linear().exact(x)
    found = log_likelihood(Linear(), x, 3, likelihood=Gaussian(0.2), generator=generator)
    assert (found.k, found.images) == (3, 40)
    assert found.mean == pytest.approx(exact.mean().item(), abs=0.01)
    assert found.standard_error == pytest.approx(exact.std().item() / 40**0.5, rel=1e-3)
    assert "k = 3, 40 images" in str(found)


def test_log_likelihood_grows_towards_the_truth(generator):
    x = (0.5 + 0.2 * torch.randn(40, 784, generator=generator)).clamp(0, 1)
    exact = Linear().exact(x).mean().item()
    wide = Linear(widen=9.0)
    few, many = (
        log_likelihood(wide, x, k, likelihood=Gaussian(0.2), generator=generator).mean
        for k in (1, 4_000)
    )
    assert few < exact - 1
    assert many == pytest.approx(exact, abs=0.02)


def test_log_likelihood_of_a_conditional_model_with_a_label_for_each_image(digits, generator):
    torch.manual_seed(0)
    model, labels = ConditionalVAE(latent_dim=2, hidden_dim=8), digits.test_y[:700]
    x = digits.test_x[:700].flatten(1)
    found = log_likelihood(model.given(labels), x, 50, generator=generator)
    by_class = [
        log_likelihood(model.given(c), x[labels == c], 50, generator=generator) for c in range(10)
    ]
    expected = sum(part.mean * part.images for part in by_class) / 700
    assert found.mean == pytest.approx(expected, abs=0.1)
    assert (found.k, found.images) == (50, 700)


# --- all at once --------------------------------------------------------------------------------


def test_real_digits_against_real_digits(digits):
    """The reference that every comparison shows, in ranges that no other set of images reaches."""
    classifier = load_pretrained("classifier-mnist")
    real = sample_quality(digits.train_x[:2_000], digits.test_x, digits.train_x[2_000:], classifier)
    assert 0.95 < real["sharpness"] < 1.05
    assert 0.8 < real["density"] < 1.1
    assert real["classes"] > 9.9
    assert real["memorised"] < 0.02
    noise = sample_quality(torch.rand(2_000, 784), digits.test_x, digits.train_x, classifier)
    assert noise["sharpness"] > 2  # so sharpness alone is no quality
    assert noise["lenet_fid"] > 20 * real["lenet_fid"]
    assert (
        noise["recall"] + noise["coverage"] < 0.05
    )  # its precision is no guide: all noise has nearly the same features
    copies = sample_quality(digits.train_x[:2_000], digits.test_x, digits.train_x, classifier)
    assert copies["memorised"] == 1


@torch.no_grad()
def test_sample_quality_puts_the_figures_together(digits):
    torch.manual_seed(0)
    classifier = Classifier().eval()
    made, real = torch.rand(60, 784), digits.test_x[:70]
    found = sample_quality(made, real, digits.train_x[:100], classifier)
    features, generated = classifier.features(real), classifier.features(made)
    expected = {
        "sharpness": (sharpness(made).mean() / sharpness(real).mean()).item(),
        "lenet_fid": frechet_distance(generated, features),
        **precision_recall_density_coverage(features, generated),
        "classes": class_coverage(classifier(made).argmax(dim=1)),
        "memorised": memorisation_ratio(made, digits.train_x[:100]),
    }
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


# --- bad input ----------------------------------------------------------------------------------

A, X = torch.rand(10, 3), torch.rand(4, 784)
LABELS = torch.zeros(10, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frechet_distance(A, torch.rand(10, 4)), "same number of columns"),
        (lambda: frechet_distance(A, A[:1]), "at least 2 rows"),
        (lambda: frechet_distance(A, A.log() * 0 + float("nan")), "not finite"),
        (lambda: precision_recall_density_coverage(A[:5], A), "at least 6 rows"),
        (lambda: precision_recall_density_coverage(A, A, k=0), "whole number of at least 1"),
        (lambda: class_coverage(A), "whole numbers"),
        (lambda: class_coverage(LABELS[:0]), "at least one"),
        (lambda: memorisation_ratio(X, X[:1]), "at least two training images"),
        (lambda: memorisation_ratio(X, X, threshold=1.5), "between 0 and 1"),
        (lambda: memorisation_ratio(2 * X, X), r"lie in \[0, 1\]"),
        (lambda: knn_accuracy(A, LABELS[:3], A, LABELS), "one label for each"),
        (lambda: knn_accuracy(A, LABELS, A, LABELS, k=11), "from 1 to the 10"),
        (lambda: log_likelihood(Linear(), X[:1], 3), "at least two images"),
        (lambda: log_likelihood(Linear(), X, 0), "k, the number of codes"),
        (lambda: sharpness(torch.rand(2, 3, 28, 28)), "shape"),
    ],
)  # fmt: skip
def test_bad_input(call, words):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=words):
        call()
