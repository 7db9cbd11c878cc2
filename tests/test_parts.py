"""Parts of a model that no training would reach are refused by name; so are losses whose gradient is another."""

import pytest
import torch
from torch import nn

import vae_helpers as vh
from vae_helpers.parts import unregistered


class InAList(vh.VAE):
    def __init__(self):
        super().__init__(latent_dim=3, hidden_dim=8)
        self.extra = [nn.Linear(784, 784)]

    def encode(self, x):
        return super().encode(self.extra[0](x))


class CutOff(vh.VAE):
    def __init__(self):
        super().__init__(latent_dim=3, hidden_dim=8)
        self.before = nn.Linear(784, 784)

    def encode(self, x):
        return super().encode(self.before(x).detach())


class Frozen(CutOff):
    def __init__(self):
        super().__init__()
        self.before.requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (InAList, "The weights in extra are not among"),
        (CutOff, "comes to before.weight, before.bias"),
    ],
)
def test_fit_refuses_a_model_one_of_whose_parts_would_not_be_trained(model, said, digits):
    with pytest.raises(ValueError, match=said):
        vh.fit(model(), digits.train_x[:64], epochs=1, progress=False)


def test_what_says_that_it_is_not_to_be_trained_is_left_alone(digits):
    assert vh.fit(Frozen(), digits.train_x[:64], epochs=1, progress=False).finished == 1


def test_weights_are_found_wherever_they_are_kept():
    model = nn.Module()
    model.fine = nn.Linear(2, 2)
    model.again = [model.fine]
    model.losses, model.plain, model.number = [nn.MSELoss()], torch.zeros(3), 3
    assert unregistered(model) == []
    model.inner = nn.Module()
    model.inner.kept = {"a": (nn.Linear(2, 2),)}
    model.weight = torch.zeros(3, requires_grad=True)
    assert unregistered(model) == ["weight", "inner.kept"]


def loss(recon_x, x, mu, logvar, *, recon=lambda t: t, kl=lambda t: t):
    cross_entropy = nn.functional.binary_cross_entropy(recon_x, x, reduction="sum")
    return recon(cross_entropy) + kl(vh.kl_divergence(mu, logvar).sum())


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (lambda *given: loss(*given, kl=lambda t: t.detach()), "mu"),
        (lambda *given: loss(*given, kl=lambda t: t.item()), "mu"),
        (lambda *given: loss(*given, recon=lambda t: t.detach()), "recon_x"),
        (lambda r, x, mu, logvar: loss(r, x, mu, logvar.detach()), "logvar"),
        (lambda *given: loss(*given).detach(), "recon_x"),
    ],
)
def test_a_beta_is_refused_where_a_gradient_is_missing(wrong, name):
    with pytest.raises(ValueError, match=f"not its gradient with respect to {name}"):
        vh.effective_beta(wrong, likelihood="bernoulli")


def test_a_beta_is_given_where_the_gradients_are_right():
    assert vh.effective_beta(loss, likelihood="bernoulli") == pytest.approx(1)
    assert vh.effective_beta(
        lambda *given: loss(*given, kl=lambda t: 0 * t), likelihood="bernoulli"
    ) == pytest.approx(0, abs=1e-3)
    assert vh.effective_beta(
        lambda *given: loss(*given).item(), likelihood="bernoulli"
    ) == pytest.approx(1)
