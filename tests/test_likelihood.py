"""The benchmark that reproduces a published likelihood: its network, and that a killed run goes on."""

import sys
from pathlib import Path

import pytest
import torch

from vae_helpers.objectives import _decodes_from_logits

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
    assert _decodes_from_logits(model)  # so that log p(x|z) is exact where the sigmoid is 0 or 1


@pytest.mark.parametrize("k", [1, 3])
def test_a_killed_run_goes_on_with_the_same_result(tmp_path, x, k):
    settings = likelihood.Settings(k=k, epochs=4, batch_size=64)

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
