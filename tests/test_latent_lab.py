"""The latent lab in Python: which models it takes, what it sends to the page, what it saves."""

import base64
import json
import re

import numpy as np
import pytest
import save_lab
import torch
from torch import nn

from vae_helpers import (
    GAN,
    VAE,
    Autoencoder,
    Classifier,
    ConditionalVAE,
    LatentLab,
    LatentSliders,
    load_pretrained,
)
from vae_helpers.interactive import pages


def small(kind=VAE, latent_dim=3, seed=0):
    torch.manual_seed(seed)
    return kind(latent_dim=latent_dim, hidden_dim=16)


def weights(lab):
    return torch.from_numpy(np.frombuffer(lab.blob, dtype=np.float16).astype(np.float32))


class Learners(nn.Module):
    """The model of lesson 06, with a deeper decoder and dropout."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc_mu, self.fc_logvar = nn.Linear(784, 8), nn.Linear(8, 2), nn.Linear(8, 2)
        self.fc_dec = nn.Sequential(
            nn.Linear(2, 8),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(8, 8, bias=False),
            nn.ReLU(),
            nn.Linear(8, 784),
            nn.Sigmoid(),
        )

    def encode(self, x):
        h = torch.relu(self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def decode(self, z):
        return self.fc_dec(z)


@torch.no_grad()
@pytest.mark.parametrize("model", [small(), small(latent_dim=32), Learners()])
def test_the_layers_that_are_sent_compute_the_models_pictures(model):
    lab = LatentLab(model)
    network = lab.spec["networks"]["VAE"]
    z = torch.randn(50, network["latents"])
    found = pages.compute(network["decoder"], weights(lab), z)
    assert (found - model.eval().decode(z)).abs().max() < 1 / 255
    assert lab.z == [0.0] * network["latents"]
    assert lab.spec["order"] == list(LatentSliders(model).sliders)


@torch.no_grad()
def test_the_map_holds_the_test_images_codes_of_both_models(digits):
    vae, auto = small(), small(Autoencoder)
    lab = LatentLab(vae, autoencoder=auto, images=digits)
    codes = np.frombuffer(lab.codes, dtype=np.float16).astype(np.float32)
    x = digits.test_x[::2]
    for name, expected in (("VAE", vae.encode(x)[0]), ("autoencoder", auto.encode(x))):
        start = lab.spec["networks"][name]["codes"]
        found = codes[start : start + 3_000].reshape(1_000, 3)
        assert np.abs(found - expected.numpy()).max() < 2e-3
    assert lab.z == codes[:3].tolist()  # it opens on the first image
    assert lab.spec["labels"] == digits.test_y[::2].tolist()
    assert len(lab.images) == 40 * 784
    assert np.array_equal(
        np.frombuffer(lab.images, dtype=np.uint8)[:784], (x[0].flatten() * 255).round()
    )


class OtherDecode(VAE):
    def decode(self, z):
        return 1 - self.fc_dec(z)


class OtherEncode(VAE):
    def encode(self, x):
        h = torch.tanh(self.fc1(x.flatten(1)))
        return self.fc_mu(h), self.fc_logvar(h)


class Normalised(VAE):
    def __init__(self, latent_dim, hidden_dim):
        super().__init__(latent_dim, hidden_dim)
        self.fc_dec.insert(1, nn.BatchNorm1d(hidden_dim))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (OtherDecode, "its decode is not fc_dec alone"),
        (OtherEncode, "its encode does not go through fc1"),
        (Normalised, "there is a layer BatchNorm1d"),
        (GAN, "it has no fc1 and no fc_mu"),
        (ConditionalVAE, "ConditionalVAE"),
    ],
)
def test_a_model_that_the_page_cannot_run_is_named_with_what_to_use(kind, words):
    with pytest.raises(
        TypeError, match=rf"LatentLab cannot run this {kind.__name__}.*Use LatentSliders"
    ) as caught:
        LatentLab(small(kind))
    assert words in str(caught.value)


def test_what_does_not_fit_together():
    with pytest.raises(ValueError, match="2 to 32 latents; this VAE has 1"):
        LatentLab(small(latent_dim=1))
    with pytest.raises(ValueError, match="as many latents"):
        LatentLab(small(), autoencoder=small(Autoencoder, 2))
    with pytest.raises(TypeError, match="cannot run this classifier"):
        LatentLab(small(), classifier=Classifier())
    with pytest.raises(TypeError, match="from 784 pixels to 10 logits"):
        LatentLab(small(), classifier=nn.Sequential(nn.Linear(784, 9)))
    huge = small()
    with torch.no_grad():
        huge.fc_dec[0].weight[0, 0] = 1e6
    with pytest.raises(ValueError, match="too large for half precision"):
        LatentLab(huge)


def test_python_reads_and_sets_the_point_and_the_drawing():
    lab = LatentLab(small())
    lab.z, lab.x = [1, 2.0, -3], [0.5] * 784
    assert lab.z == [1.0, 2.0, -3.0]
    for name, value, words in (
        ("z", [1.0], "must hold 3 numbers, not 1"),
        ("z", [1.0, 2.0, float("nan")], "finite"),
        ("x", [0.5] * 3, "must hold 0 or 784 numbers"),
        ("x", [2.0] * 784, r"in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=words):
            setattr(lab, name, value)
    assert lab.z == [1.0, 2.0, -3.0]
    lab.x = []


def test_the_saved_page_is_whole_and_asks_for_nothing(tmp_path, digits):
    lab = LatentLab(load_pretrained("vae-mnist-2"), images=digits)
    path = lab.save_html(tmp_path / "lab.html")
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"https?://|src=|href=|import |@import|url\(", text) == []
    assert text.count("</script>") == 1
    assert "/* SCRIPT */" not in text
    assert "/* DATA */" not in text
    with pytest.raises(OSError, match="nowhere"):
        lab.save_html(tmp_path / "nowhere" / "lab.html")


def parts(page):
    """A saved page without its data, and the data."""
    line = re.search(r"const \{ state, bytes \} = (.*);\n", page)
    data = json.loads(line[1].replace("<\\/", "</"))
    return (
        page.replace(line[0], ""),
        data["state"],
        {k: base64.b64decode(v) for k, v in data["bytes"].items()},
    )


def test_the_page_that_comes_with_the_course_is_up_to_date(tmp_path):
    """`tools/save_lab.py` writes it from the shipped weights; at most 2 MB."""
    page, state, data = parts(save_lab.PATH.read_text(encoding="utf-8"))
    fresh = save_lab.save(tmp_path / "lab.html").read_text(encoding="utf-8")
    new_page, new_state, new_data = parts(fresh)
    assert page == new_page
    assert state == new_state
    assert (data["blob"], data["images"]) == (new_data["blob"], new_data["images"])
    # computed, so the last digit may differ from one processor to another
    codes, new_codes = (np.frombuffer(d["codes"], dtype=np.float16) for d in (data, new_data))
    np.testing.assert_allclose(codes, new_codes, rtol=5e-3, atol=5e-3)
    assert save_lab.PATH.stat().st_size <= 2_000_000
