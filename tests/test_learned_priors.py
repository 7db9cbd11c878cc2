"""The convolutional models, and the priors that are learned: against closed forms, and against data that are known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from vae_helpers import VAE, ConvVAE, fit, kl_divergence
from vae_helpers.convolutional import ConvAutoencoder, ConvGAN, count_weights
from vae_helpers.gan_training import fit_gan
from vae_helpers.latent_priors import (
    LatentDiffusion,
    MixtureOfPosteriors,
    NegativeELBOWithPrior,
    gaussian_log_density,
    noise_levels,
)
from vae_helpers.objectives import NegativeELBO, Reconstruction


@pytest.fixture
def x(digits):
    return digits.train_x[:64].flatten(1)


# --- convolutions ---------------------------------------------------------------------------------


def test_they_have_about_as_many_weights_as_the_dense_ones():
    for model in (ConvVAE(), ConvAutoencoder(), ConvGAN()):
        assert abs(count_weights(model) / count_weights(VAE()) - 1) < 0.02


def test_they_say_how_many_weights_they_have():
    for kind in (ConvVAE, ConvAutoencoder, ConvGAN):
        assert f"{count_weights(kind()):,} weights" in " ".join(str(kind.__doc__).split())


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shapes_and_probabilities(count):
    model, images = ConvVAE(5, 30), torch.rand(count, 1, 28, 28)
    recon_x, mu, logvar = model(images)
    assert (recon_x.shape, mu.shape, logvar.shape) == ((count, 784), (count, 5), (count, 5))
    assert 0 <= recon_x.min() <= recon_x.max() <= 1
    assert torch.equal(model.encode(images)[0], model.encode(images.flatten(1))[0])
    codes = ConvAutoencoder(5, 30).encode(images)
    assert codes.shape == (count, 5)


def test_moving_a_digit_moves_what_the_convolutions_see():
    """By two pixels of the image for one of the first map: what a dense layer does not know."""
    model, image = ConvVAE(), torch.zeros(1, 1, 28, 28)
    image[..., 10:16, 10:16] = torch.rand(6, 6)
    first = model.conv[1]
    moved = first(image.roll((2, 4), dims=(2, 3)))
    torch.testing.assert_close(moved, first(image).roll((1, 2), dims=(2, 3)))


def test_it_is_trained_as_any_model_is(x):
    for model, goal in ((ConvVAE(), None), (ConvAutoencoder(), Reconstruction())):
        before = {name: p.clone() for name, p in model.named_parameters()}
        fit(model, x, epochs=1, objective=goal, progress=False)
        assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    history = fit_gan(ConvGAN(), x, epochs=1, progress=False)
    assert math.isfinite(history.train["generator"][-1])


def test_a_signal_keeps_its_size_through_the_layers(x):
    """He and others' rule: the mean square after a layer and its ReLU is that before; a third of PyTorch's variance
    would make it a sixth."""
    torch.manual_seed(0)
    model = ConvVAE(hidden_dim=2_000)
    dense = model.conv[6]
    h = torch.randn(500, dense.in_features).relu()
    ratio = dense(h).relu().square().mean() / h.square().mean()
    assert ratio.item() == pytest.approx(1, rel=0.1)
    for part in (model.conv, ConvAutoencoder(hidden_dim=2_000).conv, model.fc_dec):
        layers = [layer for layer in part if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]
        for layer in layers:
            fan = layer.weight[0].numel()
            assert layer.weight.var().item() * fan == pytest.approx(2, rel=0.4), layer


def test_its_discriminator_leaks_and_drops():
    layers = list(ConvGAN().discriminator)
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)]
    shares = [layer.p for layer in layers if isinstance(layer, nn.Dropout)]
    assert (slopes, shares) == ([0.2] * 3, [0.3] * 3)
    assert not any(isinstance(layer, nn.ReLU) for layer in layers)


@pytest.mark.parametrize("kind", [ConvVAE, ConvAutoencoder])
def test_sizes_are_checked(kind):
    with pytest.raises(ValueError, match="latent_dim"):
        kind(latent_dim=0)
    with pytest.raises(TypeError, match="hidden_dim"):
        kind(hidden_dim=2.5)


# --- the mixture of posteriors --------------------------------------------------------------------


def test_the_density_is_that_of_torch():
    z, mu, logvar = torch.randn(3, 7, 4)
    expected = Independent(Normal(mu, (0.5 * logvar).exp()), 1).log_prob(z)
    torch.testing.assert_close(gaussian_log_density(z, mu, logvar), expected)


def test_the_prior_is_the_average_of_the_posteriors(x):
    model, z = MixtureOfPosteriors(VAE(4, 10), x[:3]), torch.randn(5, 4)
    mu, logvar = model.encode(model.logits.sigmoid())
    each = torch.stack(
        [
            Independent(Normal(m, (0.5 * v).exp()), 1).log_prob(z)
            for m, v in zip(mu, logvar, strict=True)
        ]
    )
    torch.testing.assert_close(
        model.log_prior(z), each.exp().mean(dim=0).log(), rtol=1e-4, atol=1e-4
    )


def test_its_pictures_begin_as_the_images_that_it_is_given(x):
    model = MixtureOfPosteriors(VAE(4, 10), x[:3])
    torch.testing.assert_close(model.logits.sigmoid(), x[:3].flatten(1).clamp(0.02, 0.98))


def test_what_is_no_image_cannot_begin_a_prior(x):
    with pytest.raises(ValueError, match=r"shape \(N, 784\)"):
        MixtureOfPosteriors(VAE(4, 10), torch.rand(3, 20))
    with pytest.raises(ValueError, match="lie in"):
        MixtureOfPosteriors(VAE(4, 10), 255 * x[:3])


def test_draws_follow_the_prior(x):
    torch.manual_seed(0)
    model = MixtureOfPosteriors(VAE(2, 10), x[:3])
    with torch.no_grad():
        mu, logvar = model.components()
        drawn = model.draw(200_000)
    second = (logvar.exp() + mu.square()).mean(dim=0)
    torch.testing.assert_close(drawn.mean(dim=0), mu.mean(dim=0), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.square().mean(dim=0), second, atol=0.04, rtol=0)


def test_with_the_normal_prior_the_estimated_loss_is_the_exact_one(x):
    class Plain(VAE):
        def log_prior(self, z):
            return gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))

    torch.manual_seed(0)
    model = Plain(4, 10).eval()
    found = torch.stack([NegativeELBOWithPrior()(model, x)["kl"] for _ in range(3_000)])
    expected = kl_divergence(*model.encode(x)).sum()
    assert abs(found.mean() - expected) < 8 * found.std() / math.sqrt(len(found))
    recon = NegativeELBO()(model, x)["recon"]
    terms = NegativeELBOWithPrior(300.0)(model, x)
    assert terms["recon"].item() == pytest.approx(recon.item(), rel=0.01)
    torch.testing.assert_close(terms["loss"], terms["recon"] + 300 * terms["kl"])


def test_the_pictures_of_the_prior_are_trained_too(x):
    model = MixtureOfPosteriors(VAE(4, 10), x[:3])
    before = model.logits.clone()
    fit(model, x, epochs=1, objective=NegativeELBOWithPrior(), progress=False)
    assert not torch.equal(before, model.logits)


# --- diffusion ------------------------------------------------------------------------------------


def test_code_and_noise_follow_from_v():
    z, eps, t = torch.randn(9, 3), torch.randn(9, 3), torch.rand(9, 1)
    alpha, sigma = noise_levels(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(9, 1))
    mixed, v = alpha * z + sigma * eps, alpha * eps - sigma * z
    torch.testing.assert_close(alpha * mixed - sigma * v, z, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sigma * mixed + alpha * v, eps, atol=1e-5, rtol=1e-4)


def test_with_the_exact_v_of_a_gaussian_the_sampler_gives_that_gaussian():
    """Codes from N(0, s²): the best v at z_t is known, and the steps end at the right spread."""
    s = 0.5
    diffusion = LatentDiffusion(torch.tensor([[-1.0], [1.0]]))
    diffusion.centre, diffusion.scale = torch.zeros(1), torch.ones(1)

    def exact(z, t):
        alpha, sigma = noise_levels(t)
        return z * alpha * sigma * (1 - s**2) / (alpha**2 * s**2 + sigma**2)

    diffusion.forward = exact
    torch.manual_seed(0)
    drawn = diffusion.draw(20_000, steps=200)
    assert drawn.std().item() == pytest.approx(s, rel=0.03)
    assert abs(drawn.mean().item()) < 0.03


def test_codes_that_are_normal_already_stay_what_they_are():
    """Their best v is 0 at every t, so that the steps change nothing, be they few or many."""
    diffusion = LatentDiffusion(torch.tensor([[-1.0], [1.0]]))
    diffusion.centre, diffusion.scale = torch.full((1,), 3.0), torch.full((1,), 2.0)
    times = []

    def none(z, t):
        times.append(t)
        return torch.zeros_like(z)

    diffusion.forward = none
    torch.manual_seed(0)
    drawn = diffusion.draw(50, steps=5)
    torch.manual_seed(0)
    torch.testing.assert_close(drawn, torch.randn(50, 1) * 2 + 3)
    expected = torch.tensor([1, 0.8, 0.6, 0.4, 0.2])[:, None, None].expand(5, 50, 1)
    torch.testing.assert_close(torch.stack(times), expected)


def test_its_steps_follow_the_flow():
    """With codes that are all alike z_t = cos φ · c + sin φ · ε and v are exact: the steps must end at c."""
    c = 1.5
    diffusion = LatentDiffusion(torch.tensor([[-1.0], [1.0]]))
    diffusion.centre, diffusion.scale = torch.zeros(1), torch.ones(1)

    def exact(z, t):
        alpha, sigma = noise_levels(t)
        return alpha * (z - alpha * c) / sigma.clamp(min=1e-6) - sigma * c

    diffusion.forward = exact
    drawn = diffusion.draw(200, steps=1_000)
    torch.testing.assert_close(drawn, torch.full((200, 1), c), atol=0.02, rtol=0)


def test_it_learns_two_clumps():
    """Which one Gaussian of the same mean and covariance does not."""

    def near(codes):
        at_one_of_them = torch.stack([(codes - place).norm(dim=1) < 1 for place in (2, -2)])
        return at_one_of_them.any(dim=0).float().mean()

    torch.manual_seed(0)
    clump = torch.randint(2, (2_000, 1)) * 4.0 - 2
    codes = clump + 0.2 * torch.randn(2_000, 2)
    diffusion = LatentDiffusion(codes, hidden_dim=64)
    diffusion.fit(codes, steps=1_500)
    drawn = diffusion.draw(1_000)
    assert near(drawn) > 0.9
    assert near(MultivariateNormal(codes.mean(dim=0), torch.cov(codes.T)).sample((1_000,))) < 0.5
    assert 0.4 < (drawn[:, 0] > 0).float().mean() < 0.6


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (torch.zeros(5), r"\(N, D\).*not \(5,\)"),
        (torch.zeros(1, 3), "at least 2"),
        (torch.tensor([[1.0, math.nan], [0.0, 1.0]]), "NaN"),
    ],
)
def test_bad_codes_are_named(codes, said):
    with pytest.raises(ValueError, match=said):
        LatentDiffusion(codes)


def test_other_codes_than_the_first_ones_and_no_steps_are_named():
    diffusion = LatentDiffusion(torch.randn(10, 3), hidden_dim=4)
    with pytest.raises(ValueError, match=r"\(N, 3\).*not \(10, 4\)"):
        diffusion.fit(torch.randn(10, 4), steps=1)
    for call in (
        lambda: diffusion.draw(1, steps=0),
        lambda: diffusion.fit(torch.randn(9, 3), steps=0),
    ):
        with pytest.raises(ValueError, match="steps must be at least 1, not 0"):
            call()
