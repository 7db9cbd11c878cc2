"""The benchmark that reproduces a published likelihood: its network, and that a killed run goes on."""

import sys
from pathlib import Path

import pytest
import torch

from vae_helpers import importance_weighted_bound

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("pytorch_optimizer", reason="an extra of developers, `dev`, has SOAP")
import likelihood  # isort: skip


@pytest.fixture
def x(digits):
    return digits.train_x[:300].flatten(1)


def test_the_network_is_the_papers():
    model = likelihood.Network()
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim == 2]
    assert shapes == [
        *[(200, 784), (200, 200), (50, 200), (50, 200)],
        *[(200, 50), (200, 200), (784, 200)],
    ]
    assert sum(isinstance(module, torch.nn.Tanh) for module in model.modules()) == 4


@pytest.mark.parametrize(("k", "backward"), [(1, 0), (3, 0), (6, 2)])
def test_a_killed_run_goes_on_with_the_same_result(tmp_path, x, k, backward):
    settings = likelihood.Settings(k=k, backward=backward, epochs=4, batch_size=64)

    def kill(text):
        if text.startswith("epoch 2"):
            raise KeyboardInterrupt

    whole, told = likelihood.train(settings, x, tmp_path / "a.pt", report=lambda text: None)
    with pytest.raises(KeyboardInterrupt):
        likelihood.train(settings, x, tmp_path / "b.pt", every=1, report=kill)
    again, told_again = likelihood.train(settings, x, tmp_path / "b.pt", report=lambda text: None)
    assert told["loss"] == told_again["loss"]
    assert all(
        torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True)
    )
    found = [likelihood.evaluate(model, x[:20].round(), codes=50) for model in (whole, again)]
    assert torch.equal(*found)
    other = likelihood.Settings(k=k, epochs=5, batch_size=64)
    with pytest.raises(ValueError, match="of other settings"):
        likelihood.train(other, x, tmp_path / "b.pt")


def test_a_few_codes_give_the_bounds_gradient_without_bias(x):
    torch.manual_seed(0)
    model = likelihood.Network()
    images = x[:4].round()

    def gradient(number):
        model.zero_grad()
        number.backward()
        return torch.cat([model.fc_mu.bias.grad, model.fc_dec[0].weight.grad[:3].flatten()])

    def of_many(draw):
        found = torch.stack([gradient(draw()) for _ in range(1_500)])
        return found.mean(dim=0), found.std(dim=0) / 1_500**0.5

    bounds = []

    def few():
        bound, surrogate = likelihood.sampled_bound(model, images, 8, 2)
        bounds.append(bound.sum().item())
        return surrogate

    whole, error = of_many(lambda: importance_weighted_bound(model, images, 8).sum())
    sampled, its_error = of_many(few)
    z = (whole - sampled) / (error**2 + its_error**2).sqrt()
    assert z.abs().max() < 5
    assert (whole.abs() > 8 * error).float().mean() > 0.2  # far from 0, so that a wrong one shows
    one, its_error = of_many(lambda: importance_weighted_bound(model, images, 1).sum())
    assert ((whole - one) / (error**2 + its_error**2).sqrt()).abs().max() > 8
    direct = [importance_weighted_bound(model, images, 8).sum().item() for _ in range(1_500)]
    spread = torch.tensor([bounds, direct]).std(dim=1) / 1_500**0.5
    assert abs(sum(bounds) - sum(direct)) / 1_500 < 6 * spread.norm()


def test_the_learning_rate_rises_and_falls_to_nothing():
    rates = [likelihood.learning_rate(step, 100, 10, 0.5) for step in range(101)]
    assert rates[:10] == pytest.approx([0.05 * n for n in range(1, 11)])
    assert max(rates) == 0.5
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)


def test_the_decoder_starts_at_the_mean_picture(x):
    model = likelihood.Network()
    likelihood.start_at_the_mean(model, x)
    with torch.no_grad():
        picture = model.decode(torch.zeros(1, 50))[0]
    torch.testing.assert_close(picture, x.mean(dim=0).clamp(1e-3, 1 - 1e-3), atol=1e-5, rtol=1e-4)
