"""The loop: what it minimises, what it leaves alone, how it stops, and what it refuses."""

import copy
import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vae_helpers import (
    GAN,
    VAE,
    Autoencoder,
    ConditionalVAE,
    checkpoints,
    fit,
    fit_gan,
    loss_function,
)
from vae_helpers import objectives as ob
from vae_helpers.training_runs import model_lock


@pytest.fixture(scope="module")
def x(digits):
    return digits.train_x[:600]


def train(model, x, **settings):
    settings = {
        "epochs": 1,
        "progress": False,
        "generator": torch.Generator().manual_seed(0),
    } | settings
    return fit(model, x, **settings)


def small(seed=0, kind=VAE):
    torch.manual_seed(seed)
    return kind(latent_dim=3, hidden_dim=32)


def same_weights(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def plain_program(model, x, epochs, order_seed, lr=1e-3, batch_size=128):
    """The loop as a textbook writes it, with the batches and the noise that `fit` uses."""
    generator = torch.Generator().manual_seed(order_seed)
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(x)).split(batch_size):
            images = x[batch].flatten(1)
            optimizer.zero_grad()
            recon_x, mu, logvar = model(images)
            cross_entropy = F.binary_cross_entropy(recon_x, images, reduction="sum")
            loss = cross_entropy - 0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()
            (loss / len(images)).backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(x))
    return losses


def test_fit_is_the_textbooks_loop(x):
    ours, theirs = small(), small()
    history = train(ours, x, epochs=3)
    expected = plain_program(theirs, x, 3, order_seed=0)
    assert history.train["loss"] == pytest.approx(expected, rel=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)


def test_history(x, digits):
    history = train(small(), x, epochs=4, test_x=digits.test_x[:300], beta=0.5)
    assert (history.epochs, history.finished, history.interrupted) == (4, 4, False)
    for terms in (history.train, history.test):
        assert set(terms) == {"loss", "recon", "kl"}
        assert all(len(values) == 4 for values in terms.values())
        for loss, recon, kl in zip(terms["loss"], terms["recon"], terms["kl"], strict=True):
            assert loss == pytest.approx(recon + 0.5 * kl, rel=1e-5)
    assert history.train["loss"][-1] < history.train["loss"][0]
    assert history.test["loss"][-1] < history.test["loss"][0]


def test_the_test_loss_is_that_of_the_test_images(x, digits):
    model, held_out = small(), digits.test_x[:2500]
    history = train(model, x, test_x=held_out)
    bound = -torch.stack([ob.elbo(model, held_out) for _ in range(20)]).mean(1)
    assert history.test["loss"][-1] == pytest.approx(
        bound.mean().item(), abs=8 * bound.std().item()
    )


def test_a_generator_makes_it_reproducible_and_leaves_torchs_own_numbers_alone(x):
    models = [small() for _ in range(3)]
    torch.manual_seed(1)
    state = torch.get_rng_state()
    train(models[0], x)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    train(models[1], x)
    train(models[2], x, generator=torch.Generator().manual_seed(9))
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])


def test_a_checkpoints_random_numbers_go_back_to_each_gpu(monkeypatch):
    here, cards, given = torch.get_rng_state(), [torch.ones(2), torch.zeros(2)], []
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.append)
    checkpoints.set_random_state([here])
    assert given == []
    checkpoints.set_random_state([here, *cards])
    assert given == [cards]
    assert torch.equal(torch.get_rng_state(), here)


def test_measuring_on_test_images_changes_nothing_else(x, digits):
    models = [small(), small()]
    train(models[0], x, epochs=2)
    train(models[1], x, epochs=2, test_x=digits.test_x[:100])
    assert same_weights(*models)


def test_the_models_mode_is_kept(x):
    for mode in (True, False):
        model = small().train(mode)
        train(model, x, test_x=x[:50])
        assert model.training is mode


def test_a_learners_decode_is_what_is_trained(x):
    class Inverted(VAE):
        def decode(self, z):
            return 1 - self.fc_dec(z)

    class Written(VAE):
        def forward(self, x):
            mu, logvar = self.encode(x)
            return 1 - self.decode(self.reparameterize(mu, logvar)), mu, logvar

    instance = small()
    instance.decode = lambda z: 1 - instance.fc_dec(z)
    inverted = [small(kind=Inverted), small(kind=Written), instance]
    for model in inverted:
        train(model, x, epochs=8)
    mean = x.flatten(1).mean(0)
    for model in inverted:
        picture = model.fc_dec(torch.zeros(1, 3))[0]
        assert torch.dist(picture, 1 - mean) < torch.dist(picture, mean)


def test_a_decoder_without_a_sigmoid_is_named(x):
    model = small()
    model.fc_dec = model.fc_dec[:3]
    with pytest.raises(ValueError, match="sigmoid"):
        train(model, x)


def test_a_loss_function_as_objective_gives_the_same_weights_as_the_default(x):
    ours, theirs = small(), small()
    default = train(ours, x, epochs=2)
    own = train(theirs, x, epochs=2, objective=loss_function)
    assert own.train["loss"] == pytest.approx(default.train["loss"], rel=1e-5)
    assert set(own.train) == {"loss"}


def test_beta_weights_the_kl_term(x):
    strong, weak = small(), small()
    kl_strong = train(strong, x, epochs=5, beta=20.0).train["kl"][-1]
    kl_weak = train(weak, x, epochs=5, beta=0.0).train["kl"][-1]
    assert kl_strong < 0.5 * kl_weak


def test_an_autoencoder_and_a_gaussian_likelihood_are_trained_too(x):
    history = train(small(kind=Autoencoder), x, epochs=5, objective=ob.Reconstruction())
    assert history.train["loss"][-1] < 0.9 * history.train["loss"][0]
    gaussian = ob.NegativeELBO(likelihood=ob.Gaussian(0.3))
    model = small()
    history = train(model, x, epochs=5, objective=gaussian)
    assert history.train["loss"][-1] < history.train["loss"][0]
    recon_x, mu, logvar = model(x.flatten(1))
    expected = (ob.kl_divergence(mu, logvar) - ob.gaussian_log_likelihood(recon_x, x, 0.3)).sum()
    torch.manual_seed(0)
    terms = [gaussian(model, x.flatten(1))["loss"] for _ in range(20)]
    assert torch.stack(terms).mean().item() == pytest.approx(expected.item(), rel=0.02)


def test_any_module_with_the_names_is_trained(x):
    class Convolutional(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.norm = nn.Conv2d(1, 4, 5, stride=4), nn.BatchNorm1d(4 * 36)
            self.head, self.dec = nn.Linear(4 * 36, 4), nn.Linear(2, 784)

        def encode(self, x):
            h = self.norm(self.body(x.view(-1, 1, 28, 28)).flatten(1)).relu()
            return self.head(h).chunk(2, dim=1)

        def decode(self, z):
            return torch.sigmoid(self.dec(z))

        def forward(self, x):
            mu, logvar = self.encode(x)
            return (
                self.decode(torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()),
                mu,
                logvar,
            )

    model = Convolutional()
    before = copy.deepcopy(model.norm.running_mean)
    history = train(model, x, epochs=4)
    assert history.train["loss"][-1] < history.train["loss"][0]
    assert not torch.equal(before, model.norm.running_mean)


# --- stopping -----------------------------------------------------------------------------------


def test_the_stop_button_keeps_the_model_and_its_history(x):
    model, seen = small(), []

    def stop(history):
        seen.append(history.finished)
        if history.finished == 2:
            raise KeyboardInterrupt

    history = train(model, x, epochs=50, progress=stop)
    assert (history.interrupted, history.finished, history.epochs) == (True, 2, 50)
    assert seen == [1, 2]
    expected = small()
    train(expected, x, epochs=2)
    assert same_weights(model, expected)


def test_the_stop_button_in_the_first_epoch(x):
    def objective(recon_x, x, mu, logvar):
        objective.calls += 1
        if objective.calls == 4:
            raise KeyboardInterrupt
        return loss_function(recon_x, x, mu, logvar)

    objective.calls = 0
    model, start = small(), small()
    history = train(model, x, objective=objective)
    assert (history.interrupted, history.finished, history.train) == (True, 0, {})
    assert not same_weights(model, start)


def test_a_loss_that_is_not_finite_names_its_place_and_spares_the_weights(x):
    def objective(recon_x, x, mu, logvar):
        objective.calls += 1
        loss = loss_function(recon_x, x, mu, logvar)
        return (
            loss * float("inf") if objective.calls == 1 + 5 + 3 else loss
        )  # 1 rehearsal, 5 batches an epoch

    objective.calls = 0
    model = small()
    with pytest.raises(ValueError, match=r"inf in epoch 2, batch 3.*learning rate"):
        train(model, x, epochs=3, objective=objective)
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_learning_rate_that_is_too_high_is_blamed(x):
    with pytest.raises(ValueError, match=r"in epoch \d+, batch \d+.*smaller lr"):
        train(small(), x, lr=1e4, epochs=3)


def test_progress(x, capsys):
    fit(small(), x, epochs=2, progress=True)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "2/2 epochs" in shown.out.split("\r")[-1]
    fit(small(), x, epochs=1, progress=False)
    assert capsys.readouterr().out == ""


def test_weights_change_only_under_the_lock(x, monkeypatch):
    model = small()
    step, held = torch.optim.Adam.step, []

    def watched(self, *args, **kwargs):
        held.append(model_lock(model)._is_owned())
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(model, x)
    assert held
    assert all(held)


# --- bad input ----------------------------------------------------------------------------------


class NoDecode(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def encode(self, x):
        return x


class TwoOutputs(VAE):
    def forward(self, x):
        return self.encode(x)


class WideLogvar(VAE):
    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, logvar[:, :1]


class FewPixels(VAE):
    def decode(self, z):
        return super().decode(z)[:, :700]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": VAE}, TypeError, "brackets"),
        ({"model": NoDecode()}, TypeError, "decode"),
        ({"model": TwoOutputs()}, ValueError, "three tensors"),
        ({"model": WideLogvar()}, ValueError, "both have the shape"),
        ({"model": FewPixels()}, ValueError, "each pixel"),
        ({"epochs": 0}, ValueError, "epochs"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"epochs": 2.5}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0.0}, ValueError, "lr"),
        ({"lr": -1e-3}, ValueError, "lr"),
        ({"lr": math.nan}, ValueError, "lr"),
        ({"lr": math.inf}, ValueError, "lr"),
        ({"lr": "fast"}, TypeError, "lr"),
        ({"beta": -1.0}, ValueError, "beta"),
        ({"beta": math.inf}, ValueError, "beta"),
        ({"beta": 2.0, "objective": loss_function}, ValueError, "of your own"),
        ({"objective": ob.Reconstruction}, TypeError, "not a class"),
        ({"objective": 3}, TypeError, "function"),
        ({"objective": lambda recon_x, x, mu, logvar: recon_x}, ValueError, "one number"),
        ({"objective": lambda recon_x, x, mu, logvar: None}, ValueError, "one number"),
        ({"train_x": torch.zeros(4, 784, dtype=torch.uint8)}, TypeError, "divide"),
        ({"train_x": torch.zeros(0, 784)}, ValueError, "empty"),
        ({"train_x": torch.full((4, 784), math.nan)}, ValueError, "NaN"),
        ({"test_x": torch.full((4, 784), 2.0)}, ValueError, "lie in"),
        ({"labels": torch.zeros(3)}, ValueError, "labels"),
        pytest.param(
            {"device": "cuda"},
            ValueError,
            "There is no device 'cuda' here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)
def test_bad_arguments(x, change, error, words):
    settings = {"model": small(), "train_x": x, "epochs": 1, "progress": False} | change
    model = settings.pop("model")
    before = copy.deepcopy(model) if isinstance(model, nn.Module) else None
    with pytest.raises(error, match=words):
        fit(model, settings.pop("train_x"), **settings)
    if before is not None:
        assert same_weights(model, before)


# --- a conditional model ------------------------------------------------------------------------


def test_a_conditional_vae_is_trained_with_each_images_own_label(digits):
    x, labels = digits.train_x[:600], digits.train_y[:600]
    models = [small(kind=ConditionalVAE) for _ in range(3)]
    by_hand = models[0]
    train(models[1], x, epochs=2, labels=labels, objective=loss_function)
    train(models[2], x, epochs=2, labels=labels)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-3)
    for _ in range(2):
        for batch in torch.randperm(600).split(128):
            images = x[batch].flatten(1)
            outputs = by_hand(images, labels[batch])
            optimizer.zero_grad()
            (loss_function(outputs[0], images, *outputs[1:]) / len(batch)).backward()
            optimizer.step()
    for model in models[1:]:
        for p, q in zip(model.parameters(), by_hand.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)


def test_a_conditional_vae_is_tested_with_the_test_labels(digits):
    x, y = digits.train_x[:600], digits.train_y[:600]
    model, test_x = small(kind=ConditionalVAE), digits.test_x[:1500]
    test_y = (torch.arange(1500) >= 1_000).long()  # the second batch has another label
    with torch.no_grad():
        model.fc_dec[0].weight[:, 3 + 1] += 5  # and that label costs more
    history = train(model, x, lr=1e-5, labels=y, test_x=test_x, test_labels=test_y)

    def bound(labels):
        found = -torch.stack([ob.elbo(model.given(labels), test_x) for _ in range(20)]).mean(1)
        return found.mean().item(), found.std().item()

    mean, spread = bound(test_y)
    assert history.test["loss"][-1] == pytest.approx(mean, abs=8 * spread)
    assert abs(bound(torch.zeros(1500).long())[0] - mean) > 16 * spread


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (ConditionalVAE, {}, "needs a label for each image"),
        (VAE, {"labels": torch.zeros(600).long()}, "VAE takes no labels"),
        (ConditionalVAE, {"labels": torch.full((600,), 10)}, "from 0 to 9"),
        (ConditionalVAE, {"labels": torch.zeros(600).long(), "test_labels": torch.zeros(3).long()}, "no test_x"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit(x, kind, settings, words):
    with pytest.raises(ValueError, match=words):
        train(small(kind=kind), x, **settings)
    labels = torch.zeros(600).long()
    with pytest.raises(ValueError, match="both labels and test_labels"):
        train(small(kind=ConditionalVAE), x, labels=labels, test_x=x[:50])


# --- the game -----------------------------------------------------------------------------------


def play(gan, x, **settings):
    settings = {
        "epochs": 1,
        "progress": False,
        "generator": torch.Generator().manual_seed(0),
    } | settings
    return fit_gan(gan, x, **settings)


def little_gan():
    torch.manual_seed(0)
    return GAN(latent_dim=4, hidden_dim=16)


def test_fit_gan_is_the_textbooks_loop(x):
    ours, theirs = little_gan(), little_gan()
    history = play(ours, x, epochs=2, batch_size=100, lr=1e-3)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    judge, maker = (
        torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.5, 0.999))
        for part in (theirs.discriminator, theirs.generator)
    )
    bce, ones, zeros = F.binary_cross_entropy_with_logits, torch.ones(100, 1), torch.zeros(100, 1)
    for epoch in range(2):
        sums = [0.0, 0.0]
        for batch in torch.randperm(600).split(100):
            made = theirs.generator(torch.randn(100, 4))
            both = theirs.discriminator(torch.cat([x[batch].flatten(1), made.detach()]))
            loss = bce(both[:100], ones) + bce(both[100:], zeros)
            judge.zero_grad()
            loss.backward()
            judge.step()
            fooled = bce(theirs.discriminator(made), ones)
            maker.zero_grad()
            fooled.backward()
            maker.step()
            sums[0], sums[1] = sums[0] + loss.item() / 6, sums[1] + fooled.item() / 6
        found = history.train["discriminator"][epoch], history.train["generator"][epoch]
        assert found == pytest.approx(tuple(sums), rel=1e-4)
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        if name not in (
            "generator.0.bias",
            "generator.3.bias",
        ):  # a batch norm takes these out again
            torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)


def test_the_gans_history_interruption_and_mode(x):
    gan, seen = little_gan().eval(), []

    def stop_after_two(history):
        seen.append(history.finished)
        if history.finished == 2:
            raise KeyboardInterrupt

    history = play(gan, x, epochs=5, progress=stop_after_two)
    assert (history.finished, history.interrupted, seen) == (2, True, [1, 2])
    assert not gan.training
    assert set(history.train) == {"discriminator", "generator"}
    assert history.test == {}


def test_the_gans_bar_shows_both_losses(x, capsys):
    play(little_gan(), x, progress=True)
    assert re.search(r"discriminator \d\.\d\d, generator \d\.\d\d nats", capsys.readouterr().out)


def test_a_last_batch_of_one_image_is_left_out(x):
    play(little_gan(), x[:101], batch_size=50)
    with pytest.raises(ValueError, match="two images or more"):
        play(little_gan(), x, batch_size=1)


def test_what_fit_gan_refuses(x):
    with pytest.raises(TypeError, match="fit_gan trains a GAN"):
        play(small(), x)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        play(little_gan(), 2 * x)
    with pytest.raises(ValueError, match="lr"):
        play(little_gan(), x, lr=-1.0)
    broken = little_gan()
    with torch.no_grad():
        broken.generator[0].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"loss is nan in epoch 1, batch 1"):
        play(broken, x)


# --- checkpoints ----------------------------------------------------------------------------------


def run_with_checkpoint(x, path, epochs, **settings):
    model = small()
    generator = torch.Generator().manual_seed(1)
    settings = {"progress": False, "generator": generator} | settings
    history = fit(model, x[:64], epochs=epochs, batch_size=16, checkpoint=path, **settings)
    return model.state_dict(), history


def test_a_training_in_two_parts_is_the_training_in_one(x, tmp_path):
    whole, told = run_with_checkpoint(x, tmp_path / "a", 4, test_x=x[:10])
    run_with_checkpoint(x, tmp_path / "b", 2, test_x=x[:10])
    parts, again = run_with_checkpoint(x, tmp_path / "b", 4, test_x=x[:10])
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert (told.train, told.test) == (again.train, again.test)
    assert again.finished == 4
    done, _ = run_with_checkpoint(x, tmp_path / "b", 3, test_x=x[:10])  # nothing is left to do
    assert all(torch.equal(whole[name], done[name]) for name in whole)


def test_the_stop_button_leaves_a_checkpoint_of_whole_epochs(x, tmp_path):
    def stop(history):
        if history.finished == 2:
            raise KeyboardInterrupt

    _, stopped = run_with_checkpoint(x, tmp_path / "a", 4, progress=stop)
    assert stopped.interrupted
    again, _ = run_with_checkpoint(x, tmp_path / "a", 4)
    whole, _ = run_with_checkpoint(x, tmp_path / "b", 4)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_checkpoint_of_another_training_is_refused_and_kept(x, tmp_path):
    path = tmp_path / "a"
    run_with_checkpoint(x, path, 1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="of a training with other settings"):
        run_with_checkpoint(x, path, 2, lr=0.5)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint of this model"):
        fit(VAE(7), x[:64], epochs=1, batch_size=16, checkpoint=path, progress=False)
    assert path.read_bytes() == before
    path.write_bytes(before[:500])
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        run_with_checkpoint(x, path, 2)
    assert path.read_bytes() == before[:500]
