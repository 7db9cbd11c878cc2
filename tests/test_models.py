"""The models: their names, their shapes, their sampling, and that weights move between them and a learner's own."""

import pytest
import torch
from torch import nn

from vae_helpers import (
    GAN,
    VAE,
    Autoencoder,
    Classifier,
    ConditionalVAE,
    DenseClassifier,
    loss_function,
)


class Written(nn.Module):
    """A VAE as the exercise asks for it, written here with the names and layers that it prescribes."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc_mu, self.fc_logvar = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.fc_dec = nn.Sequential(
            nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
        )

    def forward(self, x, eps):
        h = torch.relu(self.fc1(x.view(-1, 784)))
        mu, logvar = self.fc_mu(h), self.fc_logvar(h)
        return self.fc_dec(mu + eps * torch.exp(0.5 * logvar)), mu, logvar


def test_weights_of_a_learners_model_load_and_give_the_same_output():
    torch.manual_seed(0)
    theirs, ours = Written(), VAE()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())  # and back
    x = torch.rand(7, 1, 28, 28)
    torch.manual_seed(1)
    outputs = ours(x)
    torch.manual_seed(1)
    expected = theirs(x, torch.randn(7, 20))
    for a, b in zip(outputs, expected, strict=True):
        assert torch.equal(a, b)
    written_out = (
        nn.functional.binary_cross_entropy(expected[0], x.view(-1, 784), reduction="sum")
        - 0.5 * (1 + expected[2] - expected[1].pow(2) - expected[2].exp()).sum()
    )
    torch.testing.assert_close(
        loss_function(outputs[0], x, *outputs[1:]), written_out, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("kind", "sizes", "weights"),
    [  # the last number, written out: what each layer has, with its biases
        (VAE, (20, 400), 785 * 400 + 2 * 401 * 20 + 21 * 400 + 401 * 784),
        (Autoencoder, (20, 400), 785 * 400 + 401 * 20 + 21 * 400 + 401 * 784),
        (
            ConditionalVAE,
            (20, 400, 10),
            795 * 400 + 2 * 401 * 20 + 31 * 400 + 401 * 400 + 401 * 784,
        ),
        (Classifier, (10,), 26 * 16 + (16 * 25 + 1) * 32 + 801 * 84 + 85 * 10),
        (DenseClassifier, (64,), 785 * 64 + 65 * 10),
    ],
)
def test_the_default_sizes(kind, sizes, weights):
    """A learner's own model of the sizes that the lessons state must fit the course's."""
    model = kind()
    assert sum(p.numel() for p in model.parameters()) == weights
    kind(*sizes).load_state_dict(model.state_dict())


def test_parameter_count_and_shapes():
    model = VAE()
    assert sum(p.numel() for p in model.parameters()) == 652_824
    for x in (torch.rand(3, 1, 28, 28), torch.rand(3, 784)):
        recon_x, mu, logvar = model(x)
        assert (recon_x.shape, mu.shape, logvar.shape) == ((3, 784), (3, 20), (3, 20))
    auto = Autoencoder(latent_dim=2)
    assert auto.encode(x).shape == (3, 2)
    assert auto(x).shape == (3, 784)


def test_reparameterize_draws_from_q():
    torch.manual_seed(0)
    mu = torch.tensor([[1.0, -2.0, 0.0]]).expand(400_000, 3)
    logvar = torch.tensor([[-2.0, 2.0, 0.0]]).expand(400_000, 3)
    z = VAE(latent_dim=3).reparameterize(mu, logvar)
    std = torch.exp(0.5 * logvar[0])
    eps = (z - mu[0]) / std
    n = len(z)
    # Each line: the statistic's standard error for a Gaussian, times 8.
    assert eps.mean(0).abs().max() < 8 / n**0.5
    assert (eps.var(0) - 1).abs().max() < 8 * (2 / n) ** 0.5
    assert ((eps**4).mean(0) - 3).abs().max() < 8 * (96 / n) ** 0.5
    assert (torch.corrcoef(eps.T) - torch.eye(3)).abs().max() < 8 / n**0.5


def test_reparameterize_lets_both_gradients_through():
    mu, logvar = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    torch.manual_seed(0)
    z = VAE(latent_dim=3).reparameterize(mu, logvar)
    z.sum().backward()
    torch.testing.assert_close(mu.grad, torch.ones(2, 3))
    torch.testing.assert_close(logvar.grad, 0.5 * z.detach())  # dz/dlogvar = ½ σ ε


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"latent_dim": 0}, ValueError),
        ({"latent_dim": 2.0}, TypeError),
        ({"hidden_dim": -1}, ValueError),
    ],
)
def test_bad_sizes(arguments, error):
    with pytest.raises(error, match="must be"):
        VAE(**arguments)


# --- the conditional VAE ------------------------------------------------------------------------


def conditional():
    torch.manual_seed(0)
    return ConditionalVAE(latent_dim=3, hidden_dim=8, classes=4)


def test_labels_enter_the_conditional_vae_as_one_hot_inputs():
    model, x, labels = conditional(), torch.rand(5, 1, 28, 28), torch.tensor([0, 3, 1, 1, 2])
    eye = torch.eye(4)[labels]
    h = torch.relu(model.fc1(torch.cat([x.flatten(1), eye], dim=1)))
    mu, logvar = model.encode(x, labels)
    torch.testing.assert_close((mu, logvar), (model.fc_mu(h), model.fc_logvar(h)))
    torch.testing.assert_close(model.decode(mu, labels), model.fc_dec(torch.cat([mu, eye], dim=1)))
    torch.manual_seed(1)
    recon_x, *rest = model(x, labels)
    torch.manual_seed(1)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    torch.testing.assert_close((recon_x, *rest), (model.decode(z, labels), mu, logvar))


@torch.no_grad()
def test_given_labels_it_is_a_vae():
    model, x, labels = conditional(), torch.rand(5, 784), torch.tensor([0, 3, 1, 1, 2])
    view, z = model.given(labels), torch.randn(10, 3)
    for row in range(5):
        one = model.given(int(labels[row]))
        torch.testing.assert_close(view.encode(x)[0][row], one.encode(x[row : row + 1])[0][0])
        for again in (row, row + 5):  # twice as many codes: the labels start again
            torch.testing.assert_close(view.decode(z)[again], one.decode(z[again : again + 1])[0])
    assert {id(p) for p in view.parameters()} == {id(p) for p in model.parameters()}
    assert not torch.equal(model.decode(z, 0), model.decode(z, 1))


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        (4, ValueError, "from 0 to 3"),
        (torch.tensor([0, -1]), ValueError, "from -1 to 0"),
        (torch.tensor([0.0, 1.0]), TypeError, "whole numbers"),
        (torch.tensor([True, False]), TypeError, "whole numbers"),
        (torch.tensor([0j, 1j]), TypeError, "whole numbers"),
        (torch.eye(4).long(), ValueError, "shape"),
        (torch.zeros(0).long(), ValueError, "shape"),
        (torch.tensor([0, 6]), ValueError, "from 0 to 6"),
        (torch.tensor([1, 2, 3]), ValueError, "3 labels for 2 rows"),
    ],
)
def test_bad_labels(labels, error, words):
    with pytest.raises(error, match=words):
        conditional().decode(torch.zeros(2, 3), labels)


# --- the GAN and the classifier -----------------------------------------------------------------


def test_the_gan_has_about_as_many_weights_as_the_vae():
    gan, vae = (sum(p.numel() for p in model.parameters()) for model in (GAN(), VAE()))
    assert gan == 659_885
    assert abs(gan / vae - 1) < 0.02


def test_the_discriminator_leaks_and_drops_as_stated():
    layers = GAN(latent_dim=5, hidden_dim=8).discriminator
    for layer in (layers[1], layers[4]):
        assert layer(torch.tensor([-1.0, 1.0])).tolist() == pytest.approx([-0.2, 1.0])
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.3, 0.3]


def test_the_shapes_of_the_gan():
    gan = GAN(latent_dim=5, hidden_dim=8)
    images = gan(torch.randn(6, 5))
    assert images.shape == (6, 784)
    assert 0 <= images.min() <= images.max() <= 1
    assert gan.discriminate(images).shape == (6,)
    assert gan.discriminate(torch.rand(6, 1, 28, 28)).shape == (6,)
    with pytest.raises(ValueError, match="hidden_dim"):
        GAN(hidden_dim=0)


def test_the_classifiers_features_are_what_its_last_layer_sees():
    torch.manual_seed(0)
    model, x = Classifier(classes=7), torch.rand(3, 784)
    features = model.features(x)
    assert features.shape == (3, 84)
    assert features.min() >= 0
    torch.testing.assert_close(model(x.reshape(3, 1, 28, 28)), model.out(features))
