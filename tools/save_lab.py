"""Write notebooks/latent_lab.html: the latent lab as one page, with models that are sized for it.

    python tools/save_lab.py

A test compares the page with what this script writes.
"""

from __future__ import annotations

from pathlib import Path

from vae_helpers.data import load_images
from vae_helpers.interactive.latent_lab import LatentLab
from vae_helpers.pretrained import load_pretrained

PATH = Path(__file__).parents[1] / "notebooks" / "latent_lab.html"


def save(path: Path) -> Path:
    """Write the page to `path`."""
    lab = LatentLab(
        load_pretrained("lab-vae-mnist-2"),
        autoencoder=load_pretrained("lab-autoencoder-mnist-2"),
        classifier=load_pretrained("lab-classifier-mnist"),
        images=load_images("mnist"),
    )
    return lab.save_html(path)


if __name__ == "__main__":
    print(save(PATH))
