"""Write notebooks/latent_lab.html and notebooks/xray.html: each figure as one page, with shipped models.

    python tools/save_lab.py

Tests compare the pages with what this script writes.
"""

from __future__ import annotations

from pathlib import Path

from vae_helpers.data import load_images
from vae_helpers.interactive.latent_lab import LatentLab
from vae_helpers.interactive.xray import XRay
from vae_helpers.pretrained import load_pretrained

PATH = Path(__file__).parents[1] / "notebooks" / "latent_lab.html"
XRAY_PATH = PATH.with_name("xray.html")


def save(path: Path) -> Path:
    """Write the lab's page to `path`; its models are sized for it."""
    lab = LatentLab(
        load_pretrained("lab-vae-mnist-2"),
        autoencoder=load_pretrained("lab-autoencoder-mnist-2"),
        classifier=load_pretrained("lab-classifier-mnist"),
        images=load_images("mnist"),
    )
    return lab.save_html(path)


def save_xray(path: Path) -> Path:
    """Write the x-ray's page to `path`, with the VAE of lesson 02."""
    return XRay(load_pretrained("vae-mnist-20"), load_images("mnist")).save_html(path)


if __name__ == "__main__":
    print(save(PATH), save_xray(XRAY_PATH))
