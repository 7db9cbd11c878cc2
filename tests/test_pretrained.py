"""The shipped weights: each loads, does what its record says, and is never taken when it is damaged."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from vae_helpers import (
    active_units,
    bernoulli_log_likelihood,
    class_coverage,
    kl_divergence,
    load_images,
    load_pretrained,
    pretrained,
    pretrained_info,
)

NAMES = pretrained.pretrained_names()
OF_IMAGES = [name for name in NAMES if pretrained_info(name)["model"] != "SequenceVAE"]
each = pytest.mark.parametrize("name", NAMES)


def test_the_lessons_models_are_there():
    assert {
        "vae-mnist-20",
        "vae-mnist-2",
        "vae-fashion-20",
        "autoencoder-mnist-2",
        "vae-mnist-beta-0",
        "vae-mnist-beta-10",
        "conditional-vae-mnist-20",
        "gan-mnist-20",
        "classifier-mnist",
        "classifier-fashion",
    } <= set(NAMES)


@each
def test_it_loads_ready_for_use(name):
    model, info = load_pretrained(name), pretrained_info(name)
    assert not model.training
    assert type(model).__name__ == info["model"]
    if "latent_dim" in info["arguments"]:
        assert model.latent_dim == info["arguments"]["latent_dim"]
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    assert (pretrained.WEIGHTS / f"{name}.safetensors").stat().st_size <= 3_000_000


@each
def test_its_record_says_how_it_was_trained(name):
    info = pretrained_info(name)
    if name in OF_IMAGES:
        assert info["train_images"] == 60_000
        assert info["test"]["images"] == 10_000
    else:
        assert info["test"]["strings"] > 200
    assert {"epochs", "batch_size", "lr", "seed", "date", "versions", "data"} <= set(info)


@pytest.mark.parametrize(
    "name", [name for name in OF_IMAGES if "loss" in pretrained_info(name)["test"]]
)
@torch.no_grad()
def test_its_test_loss_is_the_recorded_one(name):
    """On the embedded test images, a fifth of those of the record: within four standard errors."""
    model, info = load_pretrained(name), pretrained_info(name)
    images = load_images(info["data"])
    x = images.test_x
    torch.manual_seed(0)
    if info["model"] == "ConditionalVAE":
        model = model.given(images.test_y)
    if info["model"] == "Autoencoder":
        losses = -bernoulli_log_likelihood(model(x), x)
    else:
        recon_x, mu, logvar = model(x)
        losses = -bernoulli_log_likelihood(recon_x, x) + info["beta"] * kl_divergence(mu, logvar)
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - info["test"]["loss"]) < 4 * error
    assert error < 0.02 * losses.mean()


@pytest.mark.parametrize(
    ("name", "least"), [("classifier-mnist", 0.99), ("classifier-fashion", 0.90)]
)
@torch.no_grad()
def test_the_classifiers_are_right_as_often_as_recorded(name, least):
    """On a fifth of the record's images: within four standard errors."""
    classifier, info = load_pretrained(name), pretrained_info(name)
    images = load_images(info["data"])
    accuracy = (classifier(images.test_x).argmax(dim=1) == images.test_y).float().mean().item()
    recorded = info["test"]["accuracy"]
    assert recorded >= least
    assert abs(accuracy - recorded) < 4 * (recorded * (1 - recorded) / len(images.test_x)) ** 0.5


@torch.no_grad()
def test_the_conditional_vae_draws_the_digit_that_it_is_asked_for():
    model, classifier = (
        load_pretrained("conditional-vae-mnist-20"),
        load_pretrained("classifier-mnist"),
    )
    asked = torch.arange(1_000) % 10
    torch.manual_seed(0)
    drawn = model.decode(torch.randn(1_000, model.latent_dim), asked)
    assert (classifier(drawn).argmax(dim=1) == asked).float().mean() >= 0.95


@torch.no_grad()
def test_the_gan_draws_all_ten_digits():
    torch.manual_seed(0)
    drawn = load_pretrained("gan-mnist-20").decode(torch.randn(2_000, 20))
    logits = load_pretrained("classifier-mnist")(drawn)
    assert class_coverage(logits.argmax(dim=1)) > 8
    assert logits.softmax(dim=1).amax(dim=1).mean() > 0.85


def test_the_record_of_active_units(digits):
    for name in ("vae-mnist-20", "vae-mnist-beta-10"):
        found = int(active_units(load_pretrained(name), digits.test_x).sum())
        assert found == pretrained_info(name)["test"]["active_units"]


def test_the_weight_of_the_kl_orders_the_shipped_models():
    names = [name for name in NAMES if name.startswith("vae-mnist-beta-")]
    betas = {name: pretrained_info(name)["beta"] for name in names}
    ordered = sorted(betas, key=betas.__getitem__)
    kl = [pretrained_info(name)["test"]["kl"] for name in ordered]
    assert len(kl) == 8
    assert kl == sorted(kl, reverse=True)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean 'vae-mnist-20'"):
        load_pretrained("VAE-MNIST-20")
    with pytest.raises(ValueError, match="The course has: autoencoder-mnist-2, "):
        load_pretrained("qqq")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of one model's files, to be damaged; its weights' path."""
    for ending in (".json", ".safetensors"):
        shutil.copy(pretrained.WEIGHTS / f"vae-mnist-2{ending}", tmp_path)
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    return tmp_path / "vae-mnist-2.safetensors"


def test_missing_weights(copied):
    copied.unlink()
    with pytest.raises(FileNotFoundError, match="git checkout"):
        load_pretrained("vae-mnist-2")


def test_damaged_weights(copied):
    raw = bytearray(copied.read_bytes())
    raw[-1] ^= 1
    copied.write_bytes(raw)
    with pytest.raises(OSError, match=r"damaged.*git checkout"):
        load_pretrained("vae-mnist-2")


@pytest.mark.parametrize("change", ["a layer too few", "another size"])
def test_weights_that_do_not_fit(copied, change):
    weights = load_file(copied)
    if change == "a layer too few":
        del weights["fc_mu.bias"]
    else:
        weights["fc_mu.bias"] = torch.zeros(3, dtype=torch.float16)
    save_file(weights, copied)
    record = copied.with_suffix(".json")
    info = json.loads(record.read_text(encoding="utf-8"))
    info["sha256"] = hashlib.sha256(copied.read_bytes()).hexdigest()
    record.write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(OSError, match=r"(?s)do not fit VAE.*fc_mu\.bias") as caught:
        load_pretrained("vae-mnist-2")
    assert "git checkout" in str(caught.value)
