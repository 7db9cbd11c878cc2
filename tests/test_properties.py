"""What the docstrings promise of each public name, for inputs that hypothesis makes up: shapes, ranges, errors."""

import html
import math
import re
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

import vae_helpers as vh
from vae_helpers import objectives as ob
from vae_helpers import progress
from vae_helpers.interactive import predictions
from vae_helpers.sequences import Alphabet, NGram, SequenceVAE, fill_in
from vae_helpers.validation import prepare_images

hypothesis = pytest.importorskip("hypothesis", reason="`pip install -e '.[dev]'` brings it")
from hypothesis import HealthCheck, assume, example, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

# The same examples each time, so that a red test is a change in the course and not of luck.
settings.register_profile(
    "course",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("course")
few = settings(max_examples=8)  # for what trains or draws a figure

seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)
no_sizes = st.one_of(
    st.floats(), st.booleans(), st.text(), st.none(), st.integers(max_value=0), st.lists(sizes)
)
no_count = no_sizes.filter(lambda n: n is not None)


def tensor(seed, *shape, uniform=False, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    make = torch.rand if uniform else torch.randn
    return make(*shape, generator=generator, dtype=dtype)


def images(seed, count):
    return tensor(seed, count, 784, uniform=True, dtype=torch.float32)


def small(kind=vh.VAE, latent_dim=3, **arguments):
    torch.manual_seed(0)
    return kind(latent_dim=latent_dim, hidden_dim=8, **arguments)


def refuses(call, *errors):
    """The call raises one of these errors, with a sentence."""
    with pytest.raises(errors or (TypeError, ValueError)) as caught:
        call()
    assert len(str(caught.value).split()) > 3
    return str(caught.value)


def test_every_public_name_has_a_property_here():
    here = Path(__file__).read_text("utf-8")
    assert [name for name in vh.__all__ if f"vh.{name}" not in here] == []


# --- objectives ---------------------------------------------------------------------------------


@given(seeds, st.integers(0, 5), sizes, sizes, st.floats(0, 8))
def test_kl_is_not_negative_and_adds_up_over_latents(seed, batch, some, more, scale):
    mu, logvar = scale * tensor(seed, batch, some + more), tensor(seed + 1, batch, some + more)
    kl = vh.kl_divergence(mu, logvar)
    assert kl.shape == (batch,)
    assert (kl >= 0).all()
    q = Normal(mu, logvar.exp().sqrt())
    torch.testing.assert_close(kl, torch_kl(q, Normal(torch.zeros_like(mu), 1.0)).sum(1))
    parts = [vh.kl_divergence(mu[:, s], logvar[:, s]) for s in (slice(some), slice(some, None))]
    torch.testing.assert_close(kl, sum(parts))
    torch.testing.assert_close(ob.kl_terms(mu, logvar).sum(1), kl)


@given(st.lists(sizes, max_size=3), st.lists(sizes, max_size=3))
def test_kl_refuses_what_is_no_pair_of_equal_matrices(one, other):
    assume(len(one) != 2 or one != other)
    assert str(tuple(one)) in refuses(
        lambda: vh.kl_divergence(torch.zeros(one), torch.zeros(other))
    )


@given(seeds, sizes, st.integers(1, 30), st.floats(0.01, 5))
def test_no_reconstruction_is_likelier_than_the_image_itself(seed, batch, pixels, sigma):
    x, other = (tensor(s, batch, pixels, uniform=True) for s in (seed, seed + 1))
    best, found = (vh.bernoulli_log_likelihood(recon_x, x) for recon_x in (x, other))
    assert found.shape == (batch,)
    assert (found < best).all()
    assert (best <= 0).all()
    best, found = (vh.gaussian_log_likelihood(recon_x, x, sigma) for recon_x in (x, other))
    assert found.shape == (batch,)
    assert (found < best).all()
    torch.testing.assert_close(best - found, (x - other).square().sum(1) / (2 * sigma**2))
    at_zero = Normal(torch.zeros(batch, pixels, dtype=x.dtype), sigma).log_prob(torch.tensor(0.0))
    torch.testing.assert_close(best, at_zero.sum(1))


@given(seeds, sizes, st.integers(1, 30), st.sampled_from([-0.5, -1e-6, 1 + 1e-6, 2, math.nan]))
def test_what_is_no_probability_is_refused_wherever_it_stands(seed, batch, pixels, bad):
    recon_x = tensor(seed, batch, pixels, uniform=True)
    recon_x.view(-1)[seed % recon_x.numel()] = bad
    x = torch.zeros(batch, pixels, dtype=recon_x.dtype)
    assert "[0, 1]" in refuses(lambda: vh.bernoulli_log_likelihood(recon_x, x), ValueError)


@given(st.one_of(st.floats(max_value=0), st.sampled_from([math.inf, math.nan])))
def test_a_sigma_that_is_none_is_refused(sigma):
    x = torch.zeros(1, 2)
    assert "sigma" in refuses(lambda: vh.gaussian_log_likelihood(x, x, sigma), ValueError)


@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9))
def test_images_of_another_number_or_size_are_refused(rows, more, pixels, other):
    for function in (
        vh.bernoulli_log_likelihood,
        lambda a, b: vh.gaussian_log_likelihood(a, b, 1.0),
    ):
        a, b = torch.zeros(rows, pixels), torch.zeros(rows + more, pixels)
        refuses(lambda f=function, a=a, b=b: f(a, b), ValueError)
        refuses(lambda f=function, a=a, b=b: f(b, a), ValueError)
        if pixels != other:
            c = torch.zeros(rows, other)
            refuses(lambda f=function, a=a, c=c: f(a, c), ValueError)
    # as many numbers, in another number of rows
    a, b = torch.zeros(2 * rows, pixels), torch.zeros(rows, 2 * pixels)
    refuses(lambda: vh.bernoulli_log_likelihood(a, b), ValueError)


@given(seeds, sizes, sizes)
def test_the_loss_is_the_sum_over_images_of_both_terms(seed, batch, latents):
    recon_x, x = images(seed, batch), images(seed + 1, batch)
    mu, logvar = (tensor(seed + i, batch, latents, dtype=torch.float32) for i in (2, 3))
    loss = vh.loss_function(recon_x, x, mu, logvar)
    assert loss.shape == ()
    parts = [
        vh.loss_function(recon_x[i], x[i], mu[i], logvar[i])
        for i in (slice(j, j + 1) for j in range(batch))
    ]
    torch.testing.assert_close(loss, torch.stack(parts).sum())
    assert loss >= vh.kl_divergence(mu, logvar).sum()


class PosteriorIsThePrior(nn.Module):
    """A decoder that ignores z: every bound is then log p(x), to rounding."""

    def __init__(self, latents):
        super().__init__()
        self.latents = latents

    def encode(self, x):
        return torch.zeros(len(x), self.latents), torch.zeros(len(x), self.latents)

    def decode(self, z):
        return torch.full((len(z), 784), 0.3)


@given(seeds, sizes, sizes, st.integers(1, 40), st.integers(1, 50))
def test_where_the_code_says_nothing_every_bound_is_the_likelihood(
    seed, batch, latents, k, max_rows
):
    model, x = PosteriorIsThePrior(latents), images(seed, batch)
    exact = vh.bernoulli_log_likelihood(torch.full_like(x, 0.3), x)
    torch.testing.assert_close(vh.elbo(model, x), exact)
    torch.testing.assert_close(
        vh.importance_weighted_bound(model, x, k, max_rows=max_rows), exact, rtol=1e-5, atol=1e-3
    )
    gaussian = {"likelihood": ob.Gaussian(0.5)}
    exact = vh.gaussian_log_likelihood(torch.full_like(x, 0.3), x, 0.5)
    torch.testing.assert_close(vh.elbo(model, x, **gaussian), exact)
    found = vh.importance_weighted_bound(model, x, k, **gaussian)
    torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-3)


@given(seeds, st.integers(2, 5), st.integers(1, 12), st.integers(1, 30))
def test_the_bound_is_that_of_the_codes_however_they_are_divided(seed, batch, k, max_rows):
    """Written out with torch.distributions, on the noise that the bound draws."""
    model, x = small().double(), images(seed, batch).double()
    mu, logvar = model.encode(x)
    q, prior = Normal(mu, torch.exp(logvar / 2)), Normal(torch.zeros(()).double(), 1.0)
    generator, pieces = torch.Generator().manual_seed(seed), []
    step = max(1, max_rows // batch)
    for start in range(0, k, step):
        count = min(step, k - start)
        eps = torch.randn(count, *mu.shape, generator=generator, dtype=mu.dtype)
        for z in mu + eps * torch.exp(logvar / 2):
            log_p = vh.bernoulli_log_likelihood(model.decode(z), x)
            pieces.append(log_p + (prior.log_prob(z) - q.log_prob(z)).sum(1))
    assert len(pieces) == k
    expected = torch.logsumexp(torch.stack(pieces), 0) - math.log(k)
    found = vh.importance_weighted_bound(
        model, x, k, max_rows=max_rows, generator=torch.Generator().manual_seed(seed)
    )
    torch.testing.assert_close(found, expected)
    generator = torch.Generator().manual_seed(seed)
    z = mu + torch.randn(1, *mu.shape, generator=generator, dtype=mu.dtype)[0] * torch.exp(
        logvar / 2
    )
    torch.testing.assert_close(
        vh.elbo(model, x, generator=torch.Generator().manual_seed(seed)),
        vh.bernoulli_log_likelihood(model.decode(z), x) - vh.kl_divergence(mu, logvar),
    )


@given(no_count)
def test_a_number_of_codes_that_is_none_is_refused(k):
    for function in (vh.importance_weighted_bound, vh.log_likelihood):
        assert "k, the number" in refuses(lambda f=function: f(small(), images(0, 2), k))


no_images = st.one_of(
    st.none(),
    st.lists(st.floats()),
    st.lists(st.integers(1, 4), min_size=1, max_size=5)
    .filter(lambda shape: shape[1:] not in ([784], [1, 28, 28]))
    .map(torch.zeros),
    st.integers(1, 3).map(lambda n: torch.zeros(n, 784, dtype=torch.uint8)),
    st.just(torch.zeros(0, 784)),
    st.sampled_from([-0.01, 1.01, math.nan, math.inf]).map(lambda v: torch.full((2, 784), v)),
)


@given(no_images)
def test_what_is_no_image_is_refused_everywhere(x):
    model = small()
    refuses(lambda: prepare_images(x))
    refuses(lambda: vh.elbo(model, x))
    refuses(lambda: vh.importance_weighted_bound(model, x, 1))
    refuses(lambda: vh.sharpness(x))
    refuses(lambda: vh.kl_per_latent(model, x))
    refuses(lambda: vh.memorisation_ratio(x, images(0, 3)))
    refuses(lambda: vh.memorisation_ratio(images(0, 3), x))
    refuses(lambda: vh.beta_slider({1.0: model}, x))
    refuses(lambda: vh.sample_quality(x, images(0, 8), images(0, 8), vh.Classifier()))


# --- evaluation ---------------------------------------------------------------------------------


class Given(nn.Module):
    """An encoder that gives stated means and log-variances, whatever it is shown."""

    def __init__(self, mu, logvar):
        super().__init__()
        self.mu, self.logvar = mu, logvar

    def encode(self, x):
        return self.mu, self.logvar


@given(seeds, st.integers(2, 8), sizes, st.floats(1e-3, 5))
def test_active_units_and_the_kl_of_each_latent(seed, count, latents, threshold):
    mu, logvar = tensor(seed, count, latents), tensor(seed + 1, count, latents)
    model, x = Given(mu, logvar), images(0, count)
    active = vh.active_units(model, x, threshold=threshold)
    assert active.dtype == torch.bool
    mean = mu.mean(0)
    assert torch.equal(active, ((mu - mean) ** 2).sum(0) / (count - 1) > threshold)
    kl = vh.kl_per_latent(model, x)
    assert kl.shape == (latents,)
    torch.testing.assert_close(kl.sum(), vh.kl_divergence(mu, logvar).mean())
    refuses(lambda: vh.active_units(model, x[:1]), ValueError)
    refuses(lambda: vh.active_units(model, x, threshold=-threshold), ValueError)


@given(st.floats(0, 20), st.floats(0.01, 100), st.floats(-5, 5), st.floats(0.1, 3), st.booleans())
def test_a_losss_beta_is_found_whatever_its_units(beta, scale, constant, sigma, mean):
    def loss(recon_x, x, mu, logvar):
        if kind == "bernoulli":
            recon = vh.bernoulli_log_likelihood(recon_x, x)
        else:
            recon = vh.gaussian_log_likelihood(recon_x, x, sigma)
        each = beta * vh.kl_divergence(mu, logvar) - recon
        return scale * (each.mean() if mean else each.sum()) + constant

    for kind in (ob.Gaussian(sigma), "bernoulli"):
        found = vh.effective_beta(loss, likelihood=kind, pixels=30, latent_dim=3)
        assert found == pytest.approx(beta, rel=1e-5, abs=1e-5)
    message = refuses(lambda: vh.effective_beta(lambda *terms: -loss(*terms), likelihood=kind))
    assert "wrong" in message


@given(no_count)
def test_sizes_of_effective_beta(size):
    for name in ("batch_size", "pixels", "latent_dim"):
        message = refuses(
            lambda name=name: vh.effective_beta(
                lambda *_: 0.0, likelihood="bernoulli", **{name: size}
            ),
            ValueError,
        )
        assert name in message


@given(seeds, st.integers(2, 6), st.integers(1, 5))
def test_log_likelihood_says_what_it_rests_on(seed, count, k):
    model, x = PosteriorIsThePrior(2), images(seed, count)
    found = vh.log_likelihood(model, x, k)
    assert isinstance(found, vh.LogLikelihood)
    exact = vh.bernoulli_log_likelihood(torch.full_like(x, 0.3), x).double()
    assert found.mean == pytest.approx(exact.mean().item(), rel=1e-5)
    assert found.standard_error == pytest.approx(exact.std().item() / math.sqrt(count), rel=1e-3)
    assert (found.k, found.images) == (k, count)
    assert f"k = {k}, {count} images" in str(found)
    refuses(lambda: vh.log_likelihood(model, x[:1], k), ValueError)


@given(seeds, sizes, st.floats(0.1, 1), st.floats(0, 0.5))
def test_sharpness(seed, count, contrast, grey):
    x = images(seed, count) * 0.5
    found = vh.sharpness(x)
    assert found.shape == (count,)
    assert (found > 0).all()
    torch.testing.assert_close(vh.sharpness(x * contrast), found * contrast**2)
    torch.testing.assert_close(vh.sharpness(x + grey), found, rtol=1e-4, atol=1e-6)
    turned = x.reshape(-1, 1, 28, 28).flip(3).transpose(2, 3)
    torch.testing.assert_close(vh.sharpness(turned), found, rtol=1e-4, atol=1e-6)
    assert vh.sharpness(torch.full((1, 784), grey)).item() < 1e-10


matrices = st.tuples(seeds, st.integers(8, 12), st.integers(8, 12), st.integers(1, 4))


@given(matrices, st.floats(-3, 3))
def test_frechet_distance(shape, offset):
    seed, rows, others, width = shape
    a, b = tensor(seed, rows, width), 2 * tensor(seed + 1, others, width)
    found = vh.frechet_distance(a, b)
    assert found > -1e-9
    assert found == pytest.approx(vh.frechet_distance(b, a), rel=1e-6, abs=1e-9)
    assert vh.frechet_distance(a, a.flip(0)) == pytest.approx(0, abs=1e-6)
    assert vh.frechet_distance(a, a + offset) == pytest.approx(width * offset**2, abs=1e-6)


@given(matrices, st.integers(1, 7))
def test_precision_and_recall_change_places_with_their_sets(shape, k):
    seed, rows, others, width = shape
    a, b = tensor(seed, rows, width), 1.5 * tensor(seed + 1, others, width)
    one = vh.precision_recall_density_coverage(a, b, k)
    other = vh.precision_recall_density_coverage(b, a, k)
    assert one["precision"] == other["recall"]
    assert one["recall"] == other["precision"]
    assert all(0 <= one[name] <= 1 for name in ("precision", "recall", "coverage"))
    assert 0 <= one["density"] <= rows / k
    same = vh.precision_recall_density_coverage(a, a, k)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["density"] >= 1
    far = vh.precision_recall_density_coverage(a, b + 1000, k)
    assert set(far.values()) == {0.0}


@given(matrices, st.sampled_from([math.nan, math.inf]), no_count)
def test_features_that_are_none_are_refused(shape, bad, k):
    seed, rows, others, width = shape
    a, b = tensor(seed, rows, width), tensor(seed + 1, others, width)
    damaged = a.clone()
    damaged[seed % rows, seed % width] = bad
    for function in (vh.frechet_distance, vh.precision_recall_density_coverage):
        for wrong in (damaged, a[:1], a[0], torch.zeros(9, width + 1)):
            refuses(lambda f=function, w=wrong: f(w, b), ValueError)
            refuses(lambda f=function, w=wrong: f(b, w), ValueError)
    refuses(lambda: vh.precision_recall_density_coverage(a, b, k), ValueError)
    refuses(lambda: vh.precision_recall_density_coverage(a, b, min(rows, others)), ValueError)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 5))
def test_the_effective_number_of_classes(classes, times):
    labels = torch.tensor(classes)
    found = vh.class_coverage(labels)
    assert 1 <= found <= len(set(classes)) + 1e-9
    assert vh.class_coverage(9 - labels.repeat(times)) == pytest.approx(found)
    assert vh.class_coverage(torch.arange(times)) == pytest.approx(times)
    refuses(lambda: vh.class_coverage(labels.float()), ValueError)
    refuses(lambda: vh.class_coverage(labels[None]), ValueError)
    refuses(lambda: vh.class_coverage(labels[:0]), ValueError)


@given(seeds, st.integers(2, 8), st.integers(1, 8), st.integers(1, 8))
def test_copies_are_counted(seed, training, copies, new):
    train_x = images(seed, training)
    generated = torch.cat([train_x[torch.arange(copies) % training], images(seed + 1, new)])
    found = vh.memorisation_ratio(generated, train_x)
    assert found == pytest.approx(copies / (copies + new))  # random images are no near copies
    refuses(lambda: vh.memorisation_ratio(generated, train_x[:1]), ValueError)
    for threshold in (0, 1, -1, math.nan):
        refuses(
            lambda t=threshold: vh.memorisation_ratio(generated, train_x, threshold=t), ValueError
        )


@few
@given(seeds)
def test_sample_quality_of_the_real_images_themselves(seed):
    x = images(seed, 12)
    torch.manual_seed(seed)
    found = vh.sample_quality(x, x.flip(0), images(seed + 1, 12), vh.Classifier())
    assert found["sharpness"] == pytest.approx(1)
    assert found["lenet_fid"] == pytest.approx(0, abs=1e-6)
    assert found["precision"] == found["recall"] == found["coverage"] == 1
    assert 1 <= found["classes"] <= 10
    assert found["memorised"] == 0


@given(seeds, st.integers(2, 10), sizes, st.integers(1, 3))
def test_the_vote_of_the_neighbours(seed, count, width, classes):
    codes, labels = tensor(seed, count, width), torch.arange(count) % classes
    assert vh.knn_accuracy(codes, labels, codes, labels, k=1) == 1
    assert vh.knn_accuracy(codes, labels, codes, labels + classes, k=1) == 0
    assert 0 <= vh.knn_accuracy(codes, labels, codes + 1, labels, k=count) <= 1
    for k in (0, count + 1, True, 1.0):
        refuses(lambda k=k: vh.knn_accuracy(codes, labels, codes, labels, k=k), ValueError)
    for wrong in (labels[:-1], torch.cat([labels, labels])):
        for given_labels in ((wrong, labels), (labels, wrong)):
            message = refuses(lambda a=given_labels: vh.knn_accuracy(codes, a[0], codes, a[1], k=1))
            assert "one label for each code" in message


# --- paths --------------------------------------------------------------------------------------


@given(seeds, sizes, st.integers(2, 12), st.booleans())
def test_a_path_joins_its_ends_and_is_the_same_backwards(seed, latents, steps, spherical):
    start, end = tensor(seed, latents), tensor(seed + 1, latents)
    assume(not spherical or latents > 1)
    path = vh.interpolate(start, end, steps, spherical=spherical)
    assert path.shape == (steps, latents)
    torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]))
    back = vh.interpolate(end, start, steps, spherical=spherical)
    torch.testing.assert_close(path, back.flip(0))
    lengths = path.norm(dim=1)
    if spherical:
        torch.testing.assert_close(
            lengths, torch.linspace(lengths[0], lengths[-1], steps, dtype=lengths.dtype)
        )
        turns = torch.cosine_similarity(path[1:], path[:-1]).clamp(-1, 1).acos()
        torch.testing.assert_close(turns, turns[:1].expand_as(turns), rtol=1e-5, atol=1e-6)
    else:
        torch.testing.assert_close(path.diff(dim=0), ((end - start) / (steps - 1)).expand(steps - 1, -1))  # fmt: skip


@given(seeds, sizes, no_count.filter(lambda n: n != 1))
def test_a_path_that_is_none_is_refused(seed, latents, steps):
    z = tensor(seed, latents)
    refuses(lambda: vh.interpolate(z, z, steps), ValueError)
    refuses(lambda: vh.interpolate(z, z, 1), ValueError)
    refuses(lambda: vh.interpolate(z, torch.zeros(latents + 1), 3), ValueError)
    refuses(lambda: vh.interpolate(z, z * math.nan, 3), ValueError)
    refuses(lambda: vh.interpolate(z, -2 * z, 3, spherical=True), ValueError)
    refuses(lambda: vh.interpolate(z, 0 * z, 3, spherical=True), ValueError)


# --- models and weights -------------------------------------------------------------------------


@given(sizes, sizes, sizes, sizes)
def test_models_of_any_size_have_the_stated_shapes(latents, hidden, classes, batch):
    x, z, y = images(0, batch), torch.zeros(batch, latents), torch.arange(batch) % classes
    kinds = {"latent_dim": latents, "hidden_dim": hidden}
    vae, conditional = vh.VAE(**kinds), vh.ConditionalVAE(**kinds, classes=classes)
    auto, gan, conv = vh.Autoencoder(**kinds), vh.GAN(**kinds), vh.ConvVAE(**kinds)
    square = x.reshape(-1, 1, 28, 28)
    for outputs in (vae(x), vae(square), conditional(x, y), conv(x), conv(square)):
        assert [t.shape for t in outputs] == [(batch, 784), (batch, latents), (batch, latents)]
        assert 0 <= outputs[0].min() <= outputs[0].max() <= 1
    assert auto.encode(x).shape == (batch, latents)
    for decoded in (auto(x), vae.decode(z), conditional.decode(z, y), gan.eval()(z)):
        assert decoded.shape == (batch, 784)
    assert gan.discriminate(x).shape == (batch,)
    assert vh.Classifier(classes)(x).shape == (batch, classes)
    assert vh.DenseClassifier(hidden)(x).shape == (batch, 10)


@given(no_sizes)
def test_a_size_that_is_none_is_refused_by_every_model(size):
    models = (vh.VAE, vh.Autoencoder, vh.ConditionalVAE, vh.GAN, vh.Classifier, vh.DenseClassifier)
    for kind in (*models, vh.ConvVAE):
        for name in ("latent_dim", "hidden_dim", "classes"):
            if name in kind.__init__.__annotations__:
                message = refuses(lambda kind=kind, name=name: kind(**{name: size}))
                assert f"{name} must be" in message


@given(st.text(max_size=12))
@example("MNIST")
@example("vae-mnist-2O")
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    known = {
        vh.load_images: ["mnist", "fashion-mnist"],
        vh.load_texts: ["surnames", "molecules"],
        vh.load_pretrained: ["vae-mnist-20", "gan-mnist"],
        vh.pretrained_info: ["vae-mnist-20", "gan-mnist"],
        vh.load_benchmark: ["training", "likelihood"],
    }
    for load, names in known.items():
        assume(name not in names)
        message = refuses(lambda load=load: load(name), ValueError)
        assert all(known_name in message for known_name in names)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_an_image_set_is_as_it_says(name):
    data = vh.load_images(name)
    assert isinstance(data, vh.ImageSet)
    with pytest.raises(AttributeError):  # a cell cannot put other images into it by mistake
        data.test_x = data.train_x
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        assert x.shape == (len(y), 1, 28, 28)
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert (x.min(), x.max()) == (0, 1)
        assert y.unique().tolist() == list(range(len(data.class_names)))


@pytest.mark.parametrize("name", ["surnames", "molecules"])
def test_a_text_set_has_each_string_once(name):
    data = vh.load_texts(name)
    assert isinstance(data, vh.TextSet)
    every = [*data.train, *data.test, *data.others]
    assert len(set(every)) == len(every)
    assert all(every)


# --- training -----------------------------------------------------------------------------------


@few
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 50), seeds)
def test_training_tells_what_happened_in_each_epoch(epochs, count, batch_size, seed):
    x, calls = images(seed, count), []
    history = vh.fit(
        small(),
        x,
        epochs=epochs,
        batch_size=batch_size,
        test_x=x[:3],
        progress=lambda h: calls.append(h.finished),
        generator=torch.Generator().manual_seed(seed),
    )
    assert isinstance(history, vh.History)
    assert calls == list(range(1, epochs + 1))
    assert history.finished == history.epochs == epochs
    for terms in (history.train, history.test):
        assert set(terms) == {"loss", "recon", "kl"}
        for recon, kl, loss in zip(terms["recon"], terms["kl"], terms["loss"], strict=True):
            assert loss == pytest.approx(recon + kl, rel=1e-5)
        assert all(len(values) == epochs for values in terms.values())
    sizes = {"epochs": epochs, "batch_size": batch_size + 1}
    gan = vh.fit_gan(small(vh.GAN), images(seed, count + 1), **sizes, progress=False)
    assert {name: len(values) for name, values in gan.train.items()} == {
        "discriminator": epochs,
        "generator": epochs,
    }


@given(no_count)
def test_settings_that_are_none_are_refused_and_nothing_is_trained(value):
    for fit, model in ((vh.fit, small()), (vh.fit_gan, small(vh.GAN))):
        before = [p.clone() for p in model.parameters()]
        for name in ("epochs", "batch_size"):
            settings = {"epochs": 1, "progress": False} | {name: value}
            message = refuses(lambda f=fit, m=model, s=settings: f(m, images(0, 4), **s))
            assert f"{name} must be" in message
        for lr in (0.0, -1.0, math.nan, math.inf, "fast", None):
            refuses(lambda f=fit, m=model, lr=lr: f(m, images(0, 4), epochs=1, lr=lr))
        assert all(map(torch.equal, before, model.parameters()))


# --- widgets ------------------------------------------------------------------------------------


@few
@given(st.integers(1, 6), st.data())
def test_sliders_show_the_code_that_they_are_given(latents, data):
    code = st.lists(
        st.integers(-30, 30).map(lambda n: n / 10), min_size=latents, max_size=latents
    ).map(torch.tensor)
    start, other = data.draw(code), data.draw(code)
    shown = data.draw(st.lists(st.integers(0, latents - 1), min_size=1, unique=True))
    sliders = vh.LatentSliders(small(latent_dim=latents), shown, z=start)
    assert list(sliders.sliders) == shown
    torch.testing.assert_close(sliders.z, start)
    first = sliders.image.value
    sliders.z = other
    torch.testing.assert_close(sliders.z, other)
    assert torch.equal(start, other) or sliders.image.value != first
    sliders.reset()
    torch.testing.assert_close(sliders.z, start)
    assert sliders.image.value == first
    assert len(vh.LatentSliders(small(latent_dim=latents), 1).sliders) == 1
    for wrong in ([latents], [-1], [0, 0], [], 0, latents + 1, [0.5]):
        refuses(lambda wrong=wrong: vh.LatentSliders(small(latent_dim=latents), wrong))
    refuses(lambda: vh.LatentSliders(small(latent_dim=latents), z=torch.zeros(latents + 1)))


@few
@given(st.floats(-5, 0), st.floats(0.5, 5))
def test_figure_sliders_draw_what_their_sliders_say(low, high):
    seen = []

    def draw(figure, value, pick):
        seen.append((value, pick))
        return f"{value:.2f} {pick}"

    sliders = vh.FigureSliders(draw, value=(low, high, low), pick=["a", "b"])
    sliders.sliders["value"].value = high
    sliders.sliders["pick"].value = "b"
    assert seen == [(low, "a"), (high, "a"), (high, "b")]
    assert sliders.text.value == f"{high:.2f} b"
    with_step = vh.FigureSliders(lambda figure, value: None, value=(low, high, low, 0.25))
    assert with_step.sliders["value"].step == 0.25
    for wrong in ((high, low, high), (low, high), (low, high, high + 1), [], 3):
        refuses(lambda wrong=wrong: vh.FigureSliders(draw, value=wrong, pick=["a"]))


@pytest.mark.parametrize("make", [vh.gaussian_sliders, vh.two_gaussian_sliders])
def test_the_gaussians_follow_their_sliders(make):
    sliders = make()
    for slider in sliders.sliders.values():
        for value in (slider.min, slider.max):
            before = sliders.image.value
            slider.value = value
            assert sliders.image.value != before


@few
@given(st.lists(st.floats(0, 10), min_size=1, max_size=3, unique=True))
def test_the_slider_over_beta_has_the_models_it_was_given(betas):
    slider = vh.beta_slider({beta: small() for beta in betas}, images(0, 4))
    assert list(slider.sliders["beta"].options) == sorted(betas)
    refuses(lambda: vh.beta_slider({}, images(0, 4)), ValueError)


@few
@given(st.integers(2, 8), st.data())
def test_the_lab_takes_codes_and_images_and_nothing_else(latents, data):
    lab = vh.LatentLab(small(latent_dim=latents))
    z = data.draw(st.lists(st.floats(-9, 9), min_size=latents, max_size=latents))
    lab.z, lab.x = z, [0.5] * 784
    assert lab.z == pytest.approx(z)
    for name, wrong in (("z", z[1:]), ("z", [math.nan] * latents), ("x", [0.5]), ("x", [2.0] * 784)):  # fmt: skip
        refuses(lambda name=name, wrong=wrong: setattr(lab, name, wrong), ValueError)
    assert lab.z == pytest.approx(z)
    for wrong in (1, 33):
        refuses(lambda wrong=wrong: vh.LatentLab(small(latent_dim=wrong)))


@few
@given(st.integers(2, 8))
def test_the_x_ray_computes_with_the_models_own_weights(latents):
    model, digits = small(latent_dim=latents), vh.load_images("mnist")
    xray = vh.XRay(model, digits)
    ((_, inputs, outputs, start),) = xray.spec["network"]["logvar"]
    weights = torch.frombuffer(bytearray(xray.blob), dtype=torch.float16)
    assert (inputs, outputs) == (8, latents)
    matrix = weights[start : start + inputs * outputs].reshape(outputs, inputs)
    assert torch.equal(matrix, model.fc_logvar.weight.half())
    for wrong in (1, 33):
        refuses(lambda wrong=wrong: vh.XRay(small(latent_dim=wrong), digits), ValueError)
    refuses(lambda: vh.XRay(small(vh.Autoencoder), digits), TypeError)


# --- predictions, reports, checks ---------------------------------------------------------------


@pytest.fixture
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predictions, "_MADE", {})
    monkeypatch.setattr(predictions, "_SUMMARIES", [])
    return tmp_path


words = st.text(min_size=1, max_size=20)


@given(words, st.lists(words, min_size=2, max_size=4, unique=True), st.data())
def test_a_prediction_is_kept_to_the_letter(in_a_new_folder, question, choices, data):
    predictions._MADE.clear()
    progress.progress_file().unlink(missing_ok=True)
    guess, truth = (data.draw(st.sampled_from(choices)) for _ in range(2))
    asked = vh.predict(question, choices)
    asked.guess.value = guess
    asked.commit()
    again = vh.predict(question, choices)  # as in a new kernel
    assert (again.answer, again.confidence) == (guess, asked.confidence)
    again.reveal(truth)
    assert again.right == (guess == truth)
    assert f"{int(guess == truth)} of 1 right" in repr(vh.prediction_summary())
    refuses(lambda: again.reveal("".join(choices) + "?"), ValueError)
    refuses(lambda: vh.predict(question, choices[:1]), ValueError)
    refuses(lambda: vh.predict(question, [*choices, choices[0]]), ValueError)
    refuses(lambda: vh.predict(question), ValueError)
    refuses(lambda: vh.predict(None, choices), TypeError)


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.floats(0, 1), st.floats(-1e6, 1e6))
def test_a_number_is_right_if_it_is_near(in_a_new_folder, low, width, part, truth):
    high = low + width
    assume(low < high and math.isfinite(high))
    predictions._MADE.clear()
    progress.progress_file().unlink(missing_ok=True)
    asked = vh.predict("How many?", range=(low, high))
    asked.guess.value = min(high, low + part * width)
    asked.commit()
    asked.reveal(truth)
    assert asked.right == (abs(asked.answer - truth) <= (high - low) / 10)
    refuses(lambda: vh.predict("How many?", range=(high, low)), ValueError)
    refuses(lambda: asked.reveal(math.nan), ValueError)


@few
@given(words, st.dictionaries(words, st.text(max_size=40), max_size=3), words)
def test_a_report_holds_every_word_as_it_was_written(tmp_path, title, answers, caption):
    path = vh.save_report(
        tmp_path / "report.html", title=title, answers=answers, figures={caption: Figure((1, 1))}
    )
    page = path.read_bytes().decode("utf-8")
    text = html.unescape(page)
    assert f"<h1>{title}</h1>" in text
    for question, answer in answers.items():
        assert f"<dt>{question}</dt>" in text
        assert answer.strip() in text
    tags = set(re.findall(r"<(\w+)", page))
    known = {"html", "meta", "title", "style", "body", "h1", "p", "dl", "dt", "dd", "i"}
    assert tags <= known | {"figure", "img", "figcaption"}  # nothing of the learner's became a tag
    refuses(lambda: vh.save_report(path, title=title, answers={"q": 3}, figures={}), TypeError)
    refuses(lambda: vh.save_report(path, title=title, answers={}, figures={"f": 3}), TypeError)
    assert path.read_bytes().decode("utf-8") == page


@given(st.one_of(st.none(), st.integers(), st.text(), st.lists(st.floats())))
def test_a_check_refuses_what_is_no_answer_and_never_breaks(in_a_new_folder, answer):
    for name in ("kl_divergence", "reparameterize", "encode", "vae", "training_step", "walk"):
        result = getattr(vh.check, name)(answer)
        assert not result
        assert result.attempted
        assert "This check takes" in result.message


# --- strings ------------------------------------------------------------------------------------

symbols = st.text("ABCÄ", min_size=1, max_size=5)
strings = st.lists(symbols, min_size=1, max_size=8)


@given(strings, st.text("XYZ", min_size=1))
def test_strings_come_back_from_their_numbers(texts, strange):
    alphabet = Alphabet(texts)
    x = alphabet.encode(texts)
    assert x.shape == (len(texts), alphabet.length)
    assert x.max() < len(alphabet)
    assert alphabet.decode(x) == texts
    refuses(lambda: alphabet.encode([strange[: alphabet.length - 1]]), ValueError)
    refuses(lambda: alphabet.encode([texts[0] * 9]), ValueError)
    refuses(lambda: alphabet.encode(texts[0]), TypeError)
    refuses(lambda: alphabet.decode(x + len(alphabet)), ValueError)
    refuses(lambda: alphabet.decode(x.float()), TypeError)
    refuses(lambda: alphabet.decode(-x - 1), ValueError)


@given(strings, st.integers(1, 4), seeds)
def test_what_the_n_gram_says_of_the_next_symbol_sums_to_one(texts, n, seed):
    alphabet = Alphabet(texts)
    x = alphabet.encode(texts)
    gram = NGram(x, alphabet, n)
    sums = gram._shares.reshape(-1, len(alphabet)).sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    assert (gram.log_likelihood(x) <= 0).all()
    drawn = gram.sample(5, generator=torch.Generator().manual_seed(seed))
    assert drawn.shape == (5, alphabet.length)
    assert all(set(text) <= set("".join(texts)) for text in alphabet.decode(drawn))
    place = torch.zeros(len(texts), dtype=torch.int64)
    found = fill_in(gram.log_likelihood, x, place, alphabet)
    assert found.shape == (len(texts), len(alphabet.symbols))
    torch.testing.assert_close(found.sum(1), torch.ones(len(texts)))
    refuses(lambda: fill_in(gram.log_likelihood, x, place + alphabet.length, alphabet), ValueError)
    refuses(lambda: NGram(x, alphabet, 0), ValueError)
    refuses(lambda: gram.sample(1, temperature=0.0), ValueError)


@few
@given(strings, sizes, seeds)
def test_a_vae_of_strings_has_the_stated_shapes(texts, latents, seed):
    alphabet = Alphabet(texts)
    x, batch = alphabet.encode(texts), len(texts)
    model = small(lambda **sizes: SequenceVAE(alphabet, **sizes, embedding_dim=4), latents).eval()
    logits, mu, logvar = model(x)
    drawn = []
    for either in (model, vh.VAE(latents, 4)):  # z as in the models of images
        torch.manual_seed(seed)
        drawn.append(either.reparameterize(mu, logvar))
    assert torch.equal(*drawn)
    assert logits.shape == (batch, alphabet.length, len(alphabet))
    assert mu.shape == logvar.shape == (batch, latents)
    found = vh.elbo(model, x, likelihood="categorical")
    assert found.shape == (batch,)
    assert (found < 0).all()
    total = ob.categorical_log_likelihood(logits, x)
    by_hand = torch.log_softmax(logits, 2).gather(2, x[:, :, None])[:, :, 0]
    torch.testing.assert_close(total, by_hand.masked_fill(x == ob.PAD, 0).sum(1))
    for wrong in (logits[:, :, 0], logits[:, 1:], logits[0]):
        refuses(lambda wrong=wrong: ob.categorical_log_likelihood(wrong, x), ValueError)
