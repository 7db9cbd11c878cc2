"""What several tests use."""

import os

import pytest
import torch

from vae_helpers import VAE, load_images
from vae_helpers.grading.containment import find_containment


@pytest.fixture(scope="session")
def digits():
    return load_images("mnist")


@pytest.fixture
def model():
    """A small VAE whose posteriors are far from the prior, so that a wrong formula shows."""
    torch.manual_seed(0)
    model = VAE(latent_dim=3, hidden_dim=16)
    with torch.no_grad():
        model.fc_mu.bias.copy_(torch.tensor([1.0, -0.5, 0.2]))
        model.fc_logvar.bias.copy_(torch.tensor([-2.0, 0.5, 1.0]))
    return model.eval()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def sealed():
    """Skip where nothing keeps a submission from the files of this machine; never in CI."""
    try:
        find_containment()
    except PermissionError as error:
        assert "CI" not in os.environ, "CI must have bubblewrap"
        pytest.skip(str(error))


def pytest_addoption(parser):
    parser.addoption(
        "--all-lessons", action="store_true", help="run every lesson in a real browser"
    )
