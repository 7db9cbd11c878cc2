"""Each formula against torch.distributions, against Monte Carlo with a stated error, and by its gradient."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, Normal
from torch.distributions import kl_divergence as torch_kl

from vae_helpers import VAE, Autoencoder, ConditionalVAE
from vae_helpers import objectives as ob
from vae_helpers.validation import given_labels, prepare_images, prepare_symbols, vae_outputs


def gaussians(batch=5, latents=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    mu = 2 * torch.randn(batch, latents, generator=generator, dtype=dtype)
    logvar = 1.5 * torch.randn(batch, latents, generator=generator, dtype=dtype)
    return mu, logvar


def test_kl_is_that_of_torch_distributions():
    mu, logvar = gaussians()
    q = Normal(mu, logvar.exp().sqrt())
    expected = torch_kl(q, Normal(torch.zeros_like(mu), 1.0)).sum(1)
    torch.testing.assert_close(ob.kl_divergence(mu, logvar), expected)


def test_kl_is_the_mean_of_log_q_minus_log_p():
    mu, logvar = gaussians(batch=4)
    q = Normal(mu, logvar.exp().sqrt())
    torch.manual_seed(0)
    z = q.sample((200_000,))
    ratio = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2)
    error = ratio.std(0) / math.sqrt(len(ratio))
    exact = ob.kl_divergence(mu, logvar)
    assert ((ratio.mean(0) - exact).abs() < 6 * error).all()
    assert (6 * error < 0.02 * exact).all()  # the line above sees an error of 2 %


def test_kl_at_points_that_name_a_mistake():
    zeros = torch.zeros(2, 4)
    assert torch.equal(ob.kl_divergence(zeros, zeros), torch.zeros(2))
    torch.testing.assert_close(
        ob.kl_divergence(zeros + 1, zeros), torch.full((2,), 2.0)
    )  # D/2, not 1/2
    torch.testing.assert_close(
        ob.kl_divergence(zeros - 3, zeros), torch.full((2,), 18.0)
    )  # μ is squared


def test_bernoulli_is_that_of_torch_distributions():
    p = torch.rand(4, 10, dtype=torch.float64) * 0.98 + 0.01
    x = (torch.rand(4, 10) < 0.4).double()
    expected = Independent(Bernoulli(p), 1).log_prob(x)
    torch.testing.assert_close(ob.bernoulli_log_likelihood(p, x), expected)


def test_a_pixel_that_is_certain_and_right_costs_nothing():
    x = torch.tensor([[0.0, 1.0]])
    assert ob.bernoulli_log_likelihood(x, x).item() == 0
    least = math.log(torch.finfo(torch.float32).tiny)  # where a logarithm ends: −87
    assert ob.bernoulli_log_likelihood(1 - x, x).item() == pytest.approx(2 * least)


@pytest.mark.parametrize("factor", [1.0, 784.0])
def test_a_saturated_pixel_leaves_the_gradient_finite(factor):
    """In float32 the sigmoid of 20 is exactly 1 and that of −200 exactly 0: the logarithm is endlessly steep there."""
    logits = torch.tensor([[-200.0, 20.0, 0.0]], requires_grad=True)
    x = torch.tensor([[1.0, 0.0, 1.0]])
    (-factor * ob.bernoulli_log_likelihood(torch.sigmoid(logits), x).sum()).backward()
    torch.testing.assert_close(logits.grad, factor * torch.tensor([[0.0, 0.0, -0.5]]))


def test_bernoulli_of_grey_pixels_is_the_cross_entropy():
    p, x = torch.rand(4, 10), torch.rand(4, 10)
    expected = -F.binary_cross_entropy(p, x, reduction="none").sum(1)
    torch.testing.assert_close(ob.bernoulli_log_likelihood(p, x), expected)


def test_a_decoder_may_be_certain():
    """Probabilities of exactly 0 and 1: right pixels cost nothing, a wrong one 87 nats; no gradient is NaN."""
    x = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    sure = torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    sure.requires_grad_()
    found = ob.bernoulli_log_likelihood(sure, x)
    assert found.tolist() == pytest.approx([0, math.log(torch.finfo(torch.float32).tiny)])
    found.sum().backward()
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_gaussian_is_that_of_torch_distributions(sigma):
    mean, x = torch.rand(4, 10, dtype=torch.float64), torch.rand(4, 10, dtype=torch.float64)
    expected = Normal(mean, sigma).log_prob(x).sum(1)
    torch.testing.assert_close(ob.gaussian_log_likelihood(mean, x, sigma), expected)


GREY = torch.linspace(0.05, 0.95, 6, dtype=torch.float64).reshape(3, 2)


@pytest.mark.parametrize(
    "function",
    [
        ob.kl_divergence,
        lambda mu, logvar: ob.bernoulli_log_likelihood(torch.sigmoid(mu + logvar), GREY),
        lambda mu, logvar: ob.gaussian_log_likelihood(mu, logvar, 0.7),
    ],
)
def test_gradients(function):
    mu, logvar = gaussians(batch=3, latents=2)
    assert torch.autograd.gradcheck(function, (mu.requires_grad_(), logvar.requires_grad_()))


def test_loss_function_is_the_cross_entropy_plus_kl_summed_over_the_batch():
    torch.manual_seed(0)
    recon_x, x = torch.rand(6, 784), torch.rand(6, 1, 28, 28)
    mu, logvar = gaussians(batch=6, latents=20, dtype=torch.float32)
    written_out = F.binary_cross_entropy(
        recon_x, x.view(-1, 784), reduction="sum"
    ) - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    torch.testing.assert_close(
        ob.loss_function(recon_x, x, mu, logvar), written_out, rtol=1e-5, atol=0
    )


# --- the bounds ---------------------------------------------------------------------------------


class ExactWorld(torch.nn.Module):
    """Two latents; z → W z + c in every pixel's mean, σ = 1: log p(x) and the posterior are known.

    x is padded to 784 pixels, of which the last 781 are zero in the data and have mean zero.
    """

    def __init__(self, shift=0.0):
        super().__init__()
        self.weight = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, -0.7]], dtype=torch.float64)
        self.shift = shift  # how wrong q's mean is

    def encode(self, x):
        precision = torch.eye(2, dtype=torch.float64) + self.weight.T @ self.weight
        covariance = torch.linalg.inv(precision)
        mean = x[:, :3] @ self.weight @ covariance
        # q is diagonal: its best variances are those of the precision's diagonal
        return mean + self.shift, -torch.log(torch.diag(precision)).expand(len(x), 2)

    def decode(self, z):
        return F.pad(z @ self.weight.T, (0, 781))

    def log_p(self, x):
        covariance = torch.eye(3, dtype=torch.float64) + self.weight @ self.weight.T
        first = torch.distributions.MultivariateNormal(
            torch.zeros(3, dtype=torch.float64), covariance
        )
        return first.log_prob(x[:, :3]) + Normal(0.0, 1.0).log_prob(x[:, 3:]).sum(1)


@pytest.fixture
def world_x():
    torch.manual_seed(3)
    return F.pad(torch.rand(6, 3, dtype=torch.float64), (0, 781))


def often(function, x, times, *given, **settings):
    """The results of many calls, shape (times, B), in a few large batches."""
    parts = [min(500, times - start) for start in range(0, times, 500)]
    runs = [function(x.repeat(part, 1), *given, **settings).reshape(part, len(x)) for part in parts]
    return torch.cat(runs)


def test_bounds_climb_to_the_truth_in_a_world_where_it_is_known(world_x, generator):
    world = ExactWorld(shift=0.7)
    truth = world.log_p(world_x)

    settings = {"likelihood": ob.Gaussian(1.0), "generator": generator}
    bound = partial(ob.importance_weighted_bound, world)
    one, five = (often(bound, world_x, 4000, k, **settings).mean(0) for k in (1, 5))
    many = bound(world_x, 40_000, **settings)  # in 121 pieces
    assert (one < five).all()
    assert (five < truth).all()
    torch.testing.assert_close(many, truth, rtol=0, atol=0.05)


def test_the_elbo_is_the_bound_for_one_code(world_x, generator):
    world, settings = (
        ExactWorld(shift=0.3),
        {"likelihood": ob.Gaussian(1.0), "generator": generator},
    )
    elbo = often(partial(ob.elbo, world), world_x, 6000, **settings)
    bound = often(partial(ob.importance_weighted_bound, world), world_x, 6000, 1, **settings)
    error = (elbo.var(0) / 6000 + bound.var(0) / 6000).sqrt()
    assert ((elbo.mean(0) - bound.mean(0)).abs() < 6 * error).all()
    assert error.max() < 0.05


# --- what fit minimises -------------------------------------------------------------------------


def test_the_reconstruction_of_an_autoencoder_is_its_cross_entropy():
    x, model = torch.rand(4, 784), Autoencoder(latent_dim=3, hidden_dim=16)
    expected = F.binary_cross_entropy(model(x), x, reduction="sum")
    torch.testing.assert_close(ob.Reconstruction()(model, x)["loss"], expected)


@pytest.mark.parametrize("forward", [lambda x: x[1:], lambda x: x.repeat(2, 1), lambda x: (x, x)])
def test_a_reconstruction_must_have_a_row_for_each_image(forward):
    model = Autoencoder(2, 4)
    model.forward = forward
    with pytest.raises(ValueError, match="one row for each image"):
        ob.Reconstruction()(model, torch.rand(3, 784))


@pytest.mark.parametrize("likelihood", ["bernoulli", ob.Bernoulli(), ob.Gaussian(0.5)])
def test_the_terms_of_the_negative_elbo(likelihood, model):
    """In evaluation: summed over the batch, with the noise that the model draws; `forward` is called, and once."""
    x, calls = torch.rand(5, 784), []
    model.register_forward_hook(lambda *_: calls.append(1))
    objective = ob.NegativeELBO(3.0, likelihood=likelihood)
    torch.manual_seed(4)
    terms = objective(model, x)
    assert calls == [1]
    torch.manual_seed(4)
    recon_x, mu, logvar = model(x)
    if isinstance(likelihood, ob.Gaussian):
        recon = -Normal(recon_x, 0.5).log_prob(x).sum()
    else:
        recon = F.binary_cross_entropy(recon_x, x, reduction="sum")
    kl = torch_kl(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum()
    expected = {"loss": recon + 3 * kl, "recon": recon, "kl": kl}
    torch.testing.assert_close(terms, expected, rtol=1e-5, atol=0)


def test_without_a_warm_up_the_weight_is_beta_from_the_first_epoch(model):
    x, objective = torch.rand(3, 784), ob.NegativeELBO(3.0)
    model.train()
    for epoch in (None, 0.0, 0.5, 2.0):
        if epoch is not None:
            objective.at_epoch(epoch)
        terms = objective(model, x)
        torch.testing.assert_close(terms["loss"], terms["recon"] + 3 * terms["kl"])


@pytest.mark.parametrize("returned", [3.0, None, torch.zeros(2), torch.zeros(0)])
def test_a_loss_function_must_return_one_number(returned, model):
    objective = ob.LossFunction(lambda *terms: returned)
    with pytest.raises(ValueError, match="must return one number"):
        objective(model, torch.rand(2, 784))


def test_a_loss_function_may_return_one_number_in_any_shape(model):
    objective = ob.LossFunction(lambda *terms: torch.ones(1, 1))
    assert objective(model, torch.rand(2, 784))["loss"].shape == ()


def test_labels_and_models_belong_together(model):
    x, labels = torch.rand(2, 784), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="takes no labels"):
        given_labels(model, labels)
    with pytest.raises(ValueError, match="needs a label"):
        ob.elbo(ConditionalVAE(2, 4), x)
    assert given_labels(model, None) is model


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (lambda r, m, v: (r, m), "returned 2 values"),
        (lambda r, m, v: (r, m, v, v), "returned 4 values"),
        (lambda r, m, v: r, "returned Tensor"),
        (lambda r, m, v: (r[:1], m, v), "one number for each pixel"),
        (lambda r, m, v: (r.repeat(2, 1), m, v), "one number for each pixel"),
        (lambda r, m, v: (r[:, 1:], m, v), "one number for each pixel"),
        (lambda r, m, v: (r, m[:1], v[:1]), "shape"),
    ],
)
def test_outputs_that_are_none(outputs, words, model):
    right = model(torch.rand(2, 784))
    model.forward = lambda x: outputs(*right)
    with pytest.raises(ValueError, match=words):
        vae_outputs(model, torch.rand(2, 784))


@pytest.mark.parametrize("codes", [lambda m, v: m, lambda m, v: (m,), lambda m, v: (m, v, v)])
def test_an_encoder_must_give_two_tensors(codes, model):
    right = model.encode(torch.rand(2, 784))
    model.encode = lambda x: codes(*right)
    with pytest.raises(ValueError, match="must return two tensors"):
        ob.elbo(model, torch.rand(2, 784))


@pytest.mark.parametrize(
    "images",
    [
        lambda r: r[1:],
        lambda r: r.repeat(2, 1),
        lambda r: r[:, 1:],
        lambda r: r.reshape(4, 392),
        lambda r: r.reshape(1, 1568),
    ],
)
def test_a_decoder_must_give_an_image_for_each_code(images, model):
    decode = model.decode
    model.decode = lambda z: images(decode(z))
    with pytest.raises(ValueError, match=r"it must be \(2, 784\)"):
        ob.elbo(model, torch.rand(2, 784))


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([[0.5]], TypeError, "tensor"),
        (torch.zeros(2, 784, dtype=torch.uint8), TypeError, "divide grey values"),
        (torch.zeros(2, 28, 28), ValueError, "shape"),
        (torch.zeros(2, 783), ValueError, "shape"),
        (torch.zeros(2, 785), ValueError, "shape"),
        (torch.zeros(2, 3, 28, 28), ValueError, "shape"),
        (torch.zeros(2, 1, 14, 56), ValueError, "shape"),
        (torch.zeros(784), ValueError, "shape"),
        (torch.zeros(0, 784), ValueError, "empty"),
        (torch.full((2, 784), float("nan")), ValueError, "NaN"),
        (torch.zeros(2, 28, 28, 1), ValueError, r"not \(2, 28, 28, 1\)"),
        (torch.full((2, 784), 1.01), ValueError, "lie in"),
        (torch.full((2, 784), -0.01), ValueError, "lie in"),
    ],
)
def test_images_that_are_none(x, error, words):
    with pytest.raises(error, match=words):
        prepare_images(x)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ("ANNA", TypeError, "not str"),
        (torch.ones(2, 3), TypeError, "not torch.float32"),
        (torch.ones(3, dtype=torch.int64), ValueError, r"not \(3,\)"),
        (torch.ones(0, 3, dtype=torch.int64), ValueError, r"not \(0, 3\)"),
        (torch.ones(2, 3, 4, dtype=torch.int64), ValueError, r"not \(2, 3, 4\)"),
        (torch.tensor([[4, -1]]), ValueError, "negative"),
    ],
)
def test_strings_that_are_none(x, error, words):
    with pytest.raises(error, match=words):
        prepare_symbols(x)


def test_images_are_flattened():
    assert prepare_images(torch.zeros(3, 1, 28, 28)).shape == (3, 784)
    assert prepare_images(torch.ones(3, 784)).shape == (3, 784)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ob.kl_divergence(torch.zeros(2, 3), torch.zeros(3, 2)), r"shape \(B, D\)"),
        (lambda: ob.kl_divergence(torch.zeros(3), torch.zeros(3)), r"shape \(B, D\)"),
        (
            lambda: ob.bernoulli_log_likelihood(torch.zeros(2, 3), torch.zeros(2, 4)),
            "as many numbers",
        ),
        (
            lambda: ob.bernoulli_log_likelihood(torch.zeros(2, 6), torch.zeros(4, 3)),
            "as many numbers",
        ),
        (
            lambda: ob.bernoulli_log_likelihood(torch.zeros(4, 3), torch.zeros(2, 6)),
            "as many numbers",
        ),
        (
            lambda: ob.categorical_log_likelihood(
                torch.zeros(2, 3, 5, 1), torch.ones(2, 3, dtype=torch.int64)
            ),
            "There must be logits",
        ),
        (
            lambda: ob.categorical_log_likelihood(
                torch.zeros(3, 3, 5), torch.ones(2, 3, dtype=torch.int64)
            ),
            "There must be logits",
        ),
        (
            lambda: ob.bernoulli_log_likelihood(torch.full((1, 2), 1.5), torch.zeros(1, 2)),
            "sigmoid",
        ),
        (lambda: ob.gaussian_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), 0.0), "positive"),
        (
            lambda: ob.gaussian_log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2), math.inf),
            "positive",
        ),
        (lambda: ob.NegativeELBO(-1.0), "beta"),
        (lambda: ob.NegativeELBO(math.nan), "beta"),
        (lambda: ob.NegativeELBO(likelihood="laplace"), "laplace"),
        (lambda: ob.NegativeELBO(likelihood="gaussian"), "sigma"),
        (lambda: ob.Gaussian(0.0), "positive"),
        (lambda: ob.Gaussian(math.nan), "positive"),
        (lambda: ob.importance_weighted_bound(VAE(2, 4), torch.zeros(1, 784), 0), "at least 1"),
        (lambda: ob.elbo(VAE(2, 4), torch.zeros(1, 784), likelihood="gaussian"), "sigma"),
    ],
)
def test_bad_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()


class Bare:
    """What a model must have, and nothing of torch.nn: no `training`, no parameters."""

    latent_dim = 2

    def __init__(self, rows=1, pixels=784):
        self.size = rows, pixels

    def encode(self, x):
        return x[:, 300:302], x[:, 400:402] - 1

    def reparameterize(self, mu, logvar):
        return mu

    def decode(self, z):
        rows, pixels = self.size
        return torch.full((int(len(z) * rows), pixels), 0.25)

    def forward(self, x):
        return self.decode(self.encode(x)[0]), *self.encode(x)

    __call__ = forward


def test_a_model_that_is_no_module_is_measured_and_not_trained(digits):
    terms = ob.NegativeELBO(beta=3.0, warm_up=10)(Bare(), digits.test_x[:8].flatten(1))
    assert terms["kl"] > 0
    torch.testing.assert_close(terms["loss"], terms["recon"] + 3 * terms["kl"])


@pytest.mark.parametrize("size", [(2, 392), (0.5, 1568), (1, 785), (1, 783), (2, 784)])
def test_a_decoder_that_makes_other_images_is_told_so(digits, size):
    with pytest.raises(ValueError, match="decode must give one number for each pixel"):
        ob.NegativeELBO()(Bare(*size), digits.test_x[:8].flatten(1))
    with pytest.raises(ValueError, match=r"decode\(z\) gave the shape"):
        ob.elbo(Bare(*size), digits.test_x[:8].flatten(1))
