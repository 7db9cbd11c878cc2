"""Train the weights that come with the course, on all 60,000 training images.

    python tools/train_weights.py FOLDER [--only NAME …]

FOLDER holds the full sets in torchvision's layout. Each model is stored in half precision, and measured as it
is stored, on all 10,000 test images. Beside NAME.safetensors stands NAME.json: settings, versions, test loss.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from tqdm import tqdm

from vae_helpers.data import ImageSet, load_images
from vae_helpers.evaluation import active_units
from vae_helpers.models import VAE, Autoencoder
from vae_helpers.objectives import NegativeELBO, Reconstruction
from vae_helpers.pretrained import KINDS, WEIGHTS
from vae_helpers.training import fit

SEED = 0
BETAS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 10.0)


def recipes() -> dict[str, dict[str, Any]]:
    """What is trained, by name."""

    def recipe(
        model: str, data: str, epochs: int, beta: float = 1.0, **arguments: int
    ) -> dict[str, Any]:
        return {
            "model": model,
            "arguments": arguments,
            "data": data,
            "epochs": epochs,
            "beta": beta,
        }

    found = {
        "vae-mnist-20": recipe("VAE", "mnist", 60, latent_dim=20),
        "vae-mnist-2": recipe("VAE", "mnist", 60, latent_dim=2),
        "vae-fashion-20": recipe("VAE", "fashion-mnist", 60, latent_dim=20),
        "autoencoder-mnist-2": recipe("Autoencoder", "mnist", 60, latent_dim=2),
    }
    for beta in BETAS:
        found[f"vae-mnist-beta-{beta:g}"] = recipe(
            "VAE", "mnist", 20, beta, latent_dim=20, hidden_dim=100
        )
    return found


def train(name: str, recipe: dict[str, Any], images: ImageSet) -> None:
    """Train one model and write its two files."""
    torch.manual_seed(SEED)
    model = KINDS[recipe["model"]](**recipe["arguments"])
    is_vae = isinstance(model, VAE)
    goal = NegativeELBO(recipe["beta"]) if is_vae else Reconstruction()
    generator = torch.Generator().manual_seed(SEED)
    epochs = recipe["epochs"]
    # The learning rate falls twice, so that the last epochs settle.
    for share, lr in ((0.5, 1e-3), (0.3, 3e-4), (0.2, 1e-4)):
        fit(
            model,
            images.train_x,
            epochs=round(epochs * share),
            lr=lr,
            objective=goal,
            generator=generator,
            progress=False,
        )
    stored = {
        key: value.to(torch.float16).contiguous() for key, value in model.state_dict().items()
    }
    model.load_state_dict({key: value.float() for key, value in stored.items()})
    payload = save(stored)
    (WEIGHTS / f"{name}.safetensors").write_bytes(payload)
    info: dict[str, Any] = recipe | {
        "lr": "1e-3 for half of the epochs, 3e-4 for 3 in 10, 1e-4 for 2 in 10",
        "batch_size": 128,
        "seed": SEED,
        "train_images": len(images.train_x),
        "test": measure(model, goal, images.test_x) | {"images": len(images.test_x)},
        "sha256": hashlib.sha256(payload).hexdigest(),
        "date": date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    if is_vae:
        info["test"]["active_units"] = int(active_units(model, images.test_x).sum())
    (WEIGHTS / f"{name}.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


@torch.no_grad()
def measure(
    model: VAE | Autoencoder, goal: NegativeELBO | Reconstruction, x: torch.Tensor
) -> dict[str, Any]:
    """Each term in nats per image, and the entropy that no cross-entropy on these grey pixels can go below."""
    torch.manual_seed(SEED)
    x = goal.prepare(x)
    terms = {
        key: round(value.item() / len(x), 2) for key, value in goal(model.eval(), x, None).items()
    }
    entropy = -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum().item() / len(x)
    return terms | {"floor": round(entropy, 2), "unit": "nats per image, grey pixels"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the weights that come with the course.")
    parser.add_argument("folder", type=Path, help="holds the full image sets")
    parser.add_argument("--only", nargs="*", help="names to train (default: all)")
    arguments = parser.parse_args()
    sets: dict[str, ImageSet] = {}
    wanted = {
        name: r for name, r in recipes().items() if not arguments.only or name in arguments.only
    }
    for name, recipe in tqdm(wanted.items()):
        data = recipe["data"]
        if data not in sets:
            sets[data] = load_images(data, full=True, root=arguments.folder)
        train(name, recipe, sets[data])


if __name__ == "__main__":
    main()
