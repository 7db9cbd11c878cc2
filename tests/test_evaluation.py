"""The effective β: the weight that a loss really puts on the KL divergence, whatever its sums and means."""

import pytest
import torch
import torch.nn.functional as F

from vae_helpers import effective_beta, kl_divergence, loss_function
from vae_helpers.objectives import Gaussian


def bce(recon_x, x, reduction):
    return F.binary_cross_entropy(recon_x, x, reduction=reduction)


def mse(recon_x, x, reduction):
    return F.mse_loss(recon_x, x, reduction=reduction)


def kl_mean_of_all(mu, logvar):
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


# loss, likelihood, σ, the β that follows by hand (B = 16, 784 pixels, D = 20)
CASES = {
    "the course's": (loss_function, "bernoulli", 1),
    "weighted by 4": (
        lambda r, x, m, v: bce(r, x, "sum") + 4 * kl_divergence(m, v).sum(),
        "bernoulli",
        4,
    ),
    "all divided by the batch": (
        lambda r, x, m, v: loss_function(r, x, m, v) / len(x),
        "bernoulli",
        1,
    ),
    "cross-entropy averaged over pixels": (
        lambda r, x, m, v: bce(r, x, "none").mean(dim=1).sum() + kl_divergence(m, v).sum(),
        "bernoulli",
        784,
    ),
    "mean over all, KL mean over batch": (
        lambda r, x, m, v: bce(r, x, "mean") + kl_divergence(m, v).mean(),
        "bernoulli",
        784,
    ),
    "mean over all, KL summed": (
        lambda r, x, m, v: bce(r, x, "mean") + kl_divergence(m, v).sum(),
        "bernoulli",
        784 * 16,
    ),
    "both means over all": (
        lambda r, x, m, v: bce(r, x, "mean") + kl_mean_of_all(m, v),
        "bernoulli",
        784 / 20,
    ),
    "KL averaged over everything": (
        lambda r, x, m, v: bce(r, x, "sum") + kl_mean_of_all(m, v),
        "bernoulli",
        1 / (16 * 20),
    ),
    "squared error averaged over pixels, σ = 1": (
        lambda r, x, m, v: mse(r, x, "mean") + kl_divergence(m, v).mean(),
        Gaussian(1.0),
        392,
    ),
    "squared error summed, σ = 1": (
        lambda r, x, m, v: mse(r, x, "sum") + kl_divergence(m, v).sum(),
        Gaussian(1.0),
        0.5,
    ),
    "squared error summed, σ² = ½": (
        lambda r, x, m, v: mse(r, x, "sum") + kl_divergence(m, v).sum(),
        Gaussian(0.5**0.5),
        1,
    ),
    "a small weight in front": (
        lambda r, x, m, v: mse(r, x, "mean") + 0.00025 * kl_divergence(m, v).mean(),
        Gaussian(1.0),
        0.00025 * 392,
    ),
    "no KL": (lambda r, x, m, v: bce(r, x, "sum"), "bernoulli", 0),
    "KL with the wrong sign": (
        lambda r, x, m, v: bce(r, x, "sum") - kl_divergence(m, v).sum(),
        "bernoulli",
        -1,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_finds_the_weight_that_follows_by_hand(case):
    loss, likelihood, beta = CASES[case]
    found = effective_beta(loss, likelihood=likelihood)
    assert found == pytest.approx(beta, rel=1e-6, abs=1e-9)


def test_sizes_matter_where_a_mean_hides_them():
    loss, likelihood, *_ = CASES["both means over all"]
    found = effective_beta(loss, likelihood=likelihood, pixels=100, latent_dim=4, batch_size=3)
    assert found == pytest.approx(25, rel=1e-6)


def test_training_with_it_is_training_with_that_beta():
    """The gradients of such a loss point where those of recon + β KL point."""
    loss, likelihood, _ = CASES["squared error averaged over pixels, σ = 1"]
    beta = effective_beta(loss, likelihood=likelihood)
    torch.manual_seed(0)
    tensors = [torch.rand(5, 784), torch.rand(5, 784), torch.randn(5, 20), torch.randn(5, 20)]

    def gradient(function):
        leaves = [t.clone().requires_grad_() for t in tensors]
        function(*leaves).backward()
        return torch.cat([leaves[i].grad.flatten() for i in (0, 2, 3)])

    def stated(r, x, m, v):
        return 0.5 * mse(r, x, "sum") + beta * kl_divergence(m, v).sum()

    a, b = gradient(loss), gradient(stated)
    assert F.cosine_similarity(a, b, dim=0) > 1 - 1e-6


@pytest.mark.parametrize(
    ("loss", "settings", "said"),
    [
        (
            lambda r, x, m, v: mse(r, x, "sum") + kl_divergence(m, v).sum(),
            {"likelihood": "bernoulli"},
            "another likeli",
        ),
        (
            lambda r, x, m, v: bce(r, x, "sum") - m.sum(),
            {"likelihood": "bernoulli"},
            "no weighted sum",
        ),
        (
            lambda r, x, m, v: kl_divergence(m, v).sum(),
            {"likelihood": "bernoulli"},
            "depend on the reconstruction",
        ),
        (lambda r, x, m, v: kl_divergence(m, v), {"likelihood": "bernoulli"}, "one number"),
        (
            lambda r, x, m, v: bce(r, x, "sum") * torch.nan,
            {"likelihood": "bernoulli"},
            "not finite",
        ),
        (loss_function, {"likelihood": "poisson"}, "no likelihood 'poisson'"),
        (loss_function, {"likelihood": "gaussian"}, r"`objectives.Gaussian\(sigma\)` in place of"),
        (loss_function, {"likelihood": "bernoulli", "latent_dim": 0}, "latent_dim"),
    ],
)
def test_a_loss_without_a_beta_is_refused(loss, settings, said):
    with pytest.raises(ValueError, match=said):
        effective_beta(loss, **settings)
