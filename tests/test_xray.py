"""The x-ray's Python side: what it takes, and that its lines are the lessons' own."""

import ast
import json
import re

import pytest
import save_lab
import torch
from lessons import definitions
from torch import nn

from vae_helpers import VAE, Autoencoder, XRay
from vae_helpers.interactive import pages


def test_it_takes_a_vae_and_says_what_it_cannot_show(digits):
    xray = XRay(VAE(3, 5), digits)
    assert repr(xray) == "X-ray of a VAE with 3 latents: run the cell to use it."
    assert len(xray.images) == 40 * 784
    with pytest.raises(TypeError, match=r"this Autoencoder has no fc_logvar"):
        XRay(Autoencoder(3, 5), digits)
    with pytest.raises(TypeError, match=r"XRay cannot run this Linear: it has no fc1"):
        XRay(nn.Linear(2, 2), digits)
    with pytest.raises(ValueError, match="XRay shows 2 to 32 latents; this VAE has 33"):
        XRay(VAE(33, 5), digits)


def test_its_lines_are_the_vae_of_lesson_02_and_the_loss_of_lesson_03():
    script = (pages.FOLDER / "xray.js").read_text("utf-8")
    listed = re.search(r"const LINES = (\[.*?\n\]);", script, re.DOTALL)[1]
    lines = [line for line, _ in json.loads(listed.replace(",\n]", "\n]"))]
    found = {"nn": nn, "torch": torch, "F": nn.functional}
    exec("\n".join(lines), found)
    theirs, ours = definitions("02_architecture")["VAE"](), found["VAE"]()
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(3, 784, generator=torch.Generator().manual_seed(0))
    outputs = []
    for model in (theirs, ours):
        torch.manual_seed(1)
        outputs.append(model(x))
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
    recon_x, mu, logvar = outputs[0]
    loss = definitions("03_loss")["loss_function"](recon_x, x, mu, logvar)
    torch.testing.assert_close(found["loss_function"](recon_x, x, mu, logvar), loss)
    names = {node.name for node in ast.walk(ast.parse("\n".join(lines))) if hasattr(node, "name")}
    assert {"encode", "reparameterize", "decode", "forward"} <= names


def test_a_bundle_is_one_module_without_imports_and_each_name_stands_once():
    for name in ("latent_lab.js", "xray.js"):
        text = pages.bundle(name)
        assert re.findall(r"^import ", text, re.MULTILINE) == []
        assert re.findall(r"^export .*", text, re.MULTILINE) == ["export default { render };"]
        names = re.findall(r"^(?:function|class|const) (\w+)", text, re.MULTILINE)
        assert len(names) == len(set(names))


def test_the_page_that_comes_with_the_course_is_up_to_date(tmp_path):
    """`tools/save_lab.py` writes it from the shipped weights, which hold no computed number; at most 2 MB."""
    fresh = save_lab.save_xray(tmp_path / "xray.html")
    assert save_lab.XRAY_PATH.read_bytes() == fresh.read_bytes()
    assert fresh.stat().st_size < 2_000_000
