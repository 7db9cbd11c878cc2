"""Train the weights that come with the course: on all 60,000 training images, on the molecules, or on the names.

    python tools/train_weights.py FOLDER [--only NAME …]

FOLDER holds the full sets in torchvision's layout. Each model is stored in half precision, and measured as it
is stored, on all 10,000 test images, or on the held-out strings. Beside NAME.safetensors stands NAME.json:
settings, versions, test loss.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from vae_helpers.data import ImageSet, load_images, load_texts
from vae_helpers.evaluation import active_units
from vae_helpers.gan_training import fit_gan
from vae_helpers.models import GAN, Autoencoder, Classifier, ConditionalVAE, DenseClassifier
from vae_helpers.molecules import to_selfies
from vae_helpers.objectives import NegativeELBO, Objective, Reconstruction
from vae_helpers.pretrained import KINDS, WEIGHTS, Pretrained
from vae_helpers.sequences import Alphabet, SequenceVAE
from vae_helpers.training import fit

Strings = Sequence[Sequence[str]]
SEED = 0
BETAS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 10.0)
# the share of the epochs, and their learning rate
FALLING = ((0.5, 1e-3), (0.3, 3e-4), (0.2, 1e-4))


def recipes() -> dict[str, dict[str, Any]]:
    """What is trained, by name."""

    def recipe(
        model: str, data: str, epochs: int, beta: float | None = None, **arguments: int
    ) -> dict[str, Any]:
        settings = {"model": model, "arguments": arguments, "data": data, "epochs": epochs}
        return settings if beta is None else settings | {"beta": beta}

    found = {
        "vae-mnist-20": recipe("VAE", "mnist", 60, 1.0, latent_dim=20),
        "vae-mnist-2": recipe("VAE", "mnist", 60, 1.0, latent_dim=2),
        "vae-fashion-20": recipe("VAE", "fashion-mnist", 60, 1.0, latent_dim=20),
        "autoencoder-mnist-2": recipe("Autoencoder", "mnist", 60, 1.0, latent_dim=2),
        "conditional-vae-mnist-20": recipe("ConditionalVAE", "mnist", 60, 2.0, latent_dim=20),
        "conv-vae-mnist-beta-0.1": recipe("ConvVAE", "mnist", 10, 0.1, latent_dim=20),
        "gan-mnist-20": recipe("GAN", "mnist", 60, latent_dim=20),
        "classifier-mnist": recipe("Classifier", "mnist", 20, classes=10),
        "classifier-fashion": recipe("Classifier", "fashion-mnist", 30, classes=10),
        # for the latent lab's page, which holds all three
        "lab-vae-mnist-2": recipe("VAE", "mnist", 60, 1.0, latent_dim=2, hidden_dim=160),
        "lab-autoencoder-mnist-2": recipe(
            "Autoencoder", "mnist", 60, 1.0, latent_dim=2, hidden_dim=160
        ),
        "lab-classifier-mnist": recipe("DenseClassifier", "mnist", 30, hidden_dim=64),
    }
    for beta in BETAS:
        found[f"vae-mnist-beta-{beta:g}"] = recipe(
            "VAE", "mnist", 20, beta, latent_dim=20, hidden_dim=100
        )
    for symbols in ("selfies", "smiles"):
        found[f"sequence-vae-{symbols}"] = {
            "model": "SequenceVAE",
            "arguments": {"latent_dim": 16, "hidden_dim": 160},
            "data": "molecules",
            "symbols": symbols,
            "longest": 50,  # SELFIES symbols, whatever the model writes
            "epochs": 40,
            "beta": 1.0,
            "free_bits": 0.6,
            "warm_up": 10,
        }
    found["sequence-vae-surnames"] = {
        "model": "SequenceVAE",
        "arguments": {"latent_dim": 16},
        "data": "surnames",
        "symbols": "letters",
        "epochs": 20,
        "beta": 1.0,
        "free_bits": 0.3,
        "warm_up": 0,
    }
    return found


def _strings(recipe: dict[str, Any]) -> tuple[Alphabet, Strings, Strings]:
    """The alphabet of a recipe's data, and its strings for training and for testing, as their symbols."""
    texts = load_texts(recipe["data"])
    if recipe["symbols"] == "letters":
        return Alphabet([*texts.train, *texts.test, *texts.others]), [*texts.train], [*texts.test]
    kept = [
        [smiles for smiles in part if len(to_selfies(smiles)) <= recipe["longest"]]
        for part in (texts.train, texts.test)
    ]
    train, test = (
        [to_selfies(smiles) if recipe["symbols"] == "selfies" else list(smiles) for smiles in part]
        for part in kept
    )
    return Alphabet([*train, *test]), train, test


def train_on_strings(name: str, recipe: dict[str, Any]) -> None:
    """Train one model of strings and write its two files."""
    alphabet, train, test = _strings(recipe)
    x, test_x = alphabet.encode(train), alphabet.encode(test)
    torch.manual_seed(SEED)
    model = SequenceVAE(alphabet, **recipe["arguments"])
    objective = NegativeELBO(
        recipe["beta"],
        likelihood="categorical",
        free_bits=recipe["free_bits"],
        warm_up=recipe["warm_up"],
    )
    generator = torch.Generator().manual_seed(SEED)
    for share, lr in ((0.7, 3e-3), (0.3, 1e-3)):
        epochs = round(recipe["epochs"] * share)
        fit(model, x, epochs=epochs, batch_size=64, lr=lr, objective=objective, generator=generator)
        objective.warm_up = 0
    found = {"lr": "3e-3 for 7 of 10 epochs, 1e-3 for the rest", "batch_size": 64}
    found |= {"alphabet": {"symbols": alphabet.symbols, "length": alphabet.length}}
    _store(
        name,
        model,
        recipe | found | {"train_strings": len(x)},
        lambda: _terms(objective, model, test_x),
    )


@torch.no_grad()
def _terms(objective: NegativeELBO, model: SequenceVAE, x: Tensor) -> dict[str, Any]:
    torch.manual_seed(SEED)
    terms = {key: round(value.item() / len(x), 2) for key, value in objective(model, x).items()}
    units = int(active_units(model, x).sum())
    return terms | {"unit": "nats per string", "active_units": units, "strings": len(x)}


def train(name: str, recipe: dict[str, Any], images: ImageSet) -> None:
    """Train one model and write its two files."""
    torch.manual_seed(SEED)
    model = KINDS[recipe["model"]](**recipe["arguments"])
    settings = _train_model(model, recipe, images)
    _store(
        name,
        model,
        recipe | settings | {"train_images": len(images.train_x)},
        lambda: measure(model, recipe, images) | {"images": len(images.test_x)},
    )


def _store(
    name: str, model: Pretrained, info: dict[str, Any], measured: Callable[[], dict[str, Any]]
) -> None:
    """Write NAME.safetensors, and NAME.json with what the model in half precision measures."""
    stored = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(
        {key: v.float() if v.is_floating_point() else v for key, v in stored.items()}
    )
    payload = save(stored)
    (WEIGHTS / f"{name}.safetensors").write_bytes(payload)
    model.eval()
    info |= {
        "seed": SEED,
        "test": measured(),
        "sha256": hashlib.sha256(payload).hexdigest(),
        "date": date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    (WEIGHTS / f"{name}.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def _train_model(model: Pretrained, recipe: dict[str, Any], images: ImageSet) -> dict[str, Any]:
    """Train; the settings that the recipe does not hold."""
    generator, epochs = torch.Generator().manual_seed(SEED), recipe["epochs"]
    if isinstance(model, GAN):
        fit_gan(model, images.train_x, epochs=epochs, lr=2e-4, generator=generator, progress=False)
        return {"lr": "2e-4", "batch_size": 64}
    for share, lr in FALLING:  # the learning rate falls twice, so that the last epochs settle
        if isinstance(model, Classifier | DenseClassifier):
            fit_classifier(model, images, epochs=round(epochs * share), lr=lr, generator=generator)
            continue
        fit(
            model,
            images.train_x,
            epochs=round(epochs * share),
            lr=lr,
            objective=_goal(recipe),
            labels=images.train_y if isinstance(model, ConditionalVAE) else None,
            generator=generator,
            progress=False,
        )
    return {
        "lr": "1e-3 for half of the epochs, 3e-4 for 3 in 10, 1e-4 for 2 in 10",
        "batch_size": 128,
    }


def fit_classifier(
    model: Classifier | DenseClassifier,
    images: ImageSet,
    *,
    epochs: int,
    lr: float,
    generator: torch.Generator,
) -> None:
    """Train by cross-entropy on the images, each moved by up to two pixels at random in both directions."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    padded = F.pad(images.train_x, (2, 2, 2, 2))
    for _ in range(epochs):
        for batch in torch.randperm(len(padded), generator=generator).split(128):
            down, right = torch.randint(5, (2,), generator=generator).tolist()
            moved = padded[batch, :, down : down + 28, right : right + 28]
            loss = F.cross_entropy(model(moved), images.train_y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def _goal(recipe: dict[str, Any]) -> Objective:
    return Reconstruction() if recipe["model"] == "Autoencoder" else NegativeELBO(recipe["beta"])


@torch.no_grad()
def measure(model: Any, recipe: dict[str, Any], images: ImageSet) -> dict[str, Any]:
    """A classifier's accuracy; or each term in nats per image, and the entropy that no cross-entropy on these grey
    pixels can go below; nothing for a GAN, which has no likelihood."""
    if isinstance(model, Classifier | DenseClassifier):
        right = model(images.test_x).argmax(dim=1) == images.test_y
        return {"accuracy": round(right.float().mean().item(), 4)}
    if isinstance(model, GAN):
        return {}
    torch.manual_seed(SEED)
    goal = _goal(recipe)
    x = goal.prepare(images.test_x)
    labels = images.test_y if isinstance(model, ConditionalVAE) else None
    terms = {key: round(value.item() / len(x), 2) for key, value in goal(model, x, labels).items()}
    entropy = -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).sum().item() / len(x)
    found = terms | {"floor": round(entropy, 2), "unit": "nats per image, grey pixels"}
    if not isinstance(model, Autoencoder):
        view = (
            model.given(labels)
            if isinstance(model, ConditionalVAE) and labels is not None
            else model
        )
        found["active_units"] = int(active_units(view, x).sum())
    return found


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
        if recipe["model"] == "SequenceVAE":
            train_on_strings(name, recipe)
            continue
        if data not in sets:
            sets[data] = load_images(data, full=True, root=arguments.folder)
        train(name, recipe, sets[data])


if __name__ == "__main__":
    main()
