"""Seconds an epoch: a plain PyTorch program, `fit`, `fit` on a learner's model, and the matrix products alone.

    python benchmarks/training.py [--root FOLDER] [--seeds 5]

All of MNIST, batch 128, Adam 1e-3, 3 epochs. For each seed the four run one after the other, so that a ratio
compares neighbours. Then one epoch step by step: where each millisecond goes. Last, how the cost grows with each
size, as results/training_cost.png. FOLDER holds the full set (otherwise VAE_DATA, a cache folder, or a download).
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from record import RESULTS, write
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from vae_helpers import VAE, fit, load_images, loss_function
from vae_helpers.data import data_folder
from vae_helpers.objectives import NegativeELBO

EPOCHS, BATCH, LR = 3, 128, 1e-3


class Written(nn.Module):
    """A VAE as a learner writes it: the sigmoid is inside."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc_mu, self.fc_logvar = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.fc_dec = nn.Sequential(
            nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.relu(self.fc1(x.view(-1, 784)))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        std = torch.exp(0.5 * logvar)
        return mu + std * torch.randn_like(std)

    def decode(self, z: Tensor) -> Tensor:
        image: Tensor = self.fc_dec(z)
        return image

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def plain_program(images: MNIST, seed: int) -> tuple[list[float], float]:
    """A loop as tutorials write it; seconds of each epoch, and the last epoch's loss in nats per image."""
    torch.manual_seed(seed)
    model = Written()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    loader = DataLoader(images, batch_size=BATCH, shuffle=True)
    seconds, total = [], 0.0
    for _ in range(EPOCHS):
        start, total = time.perf_counter(), 0.0
        for x, _ in loader:
            optimizer.zero_grad()
            recon_x, mu, logvar = model(x)
            cross_entropy = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
            loss = cross_entropy - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds.append(time.perf_counter() - start)
    return seconds, total / len(images)


def with_fit(
    model_class: type[nn.Module], x: Tensor, seed: int, **settings: Any
) -> tuple[list[float], float]:
    """The same with `fit`."""
    torch.manual_seed(seed)
    history = fit(
        model_class(), x, epochs=EPOCHS, batch_size=BATCH, lr=LR, progress=False, **settings
    )
    return history.seconds, history.train["loss"][-1]


def matrix_products(x: Tensor) -> list[float]:
    """The products of one epoch and nothing else: forward, and backward but for the gradient of the images."""
    shapes = [(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)]
    w1, w_mu, w_logvar, w3, w4 = (torch.randn(shape) / shape[1] ** 0.5 for shape in shapes)
    x, seconds = x.reshape(-1, 784), []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for batch in x.split(BATCH):
            h = batch @ w1.T
            mu, logvar = h @ w_mu.T, h @ w_logvar.T
            g = mu @ w3.T
            out = g @ w4.T
            out.T @ g, out @ w4, g.T @ mu, g @ w3  # the decoder's weights and inputs
            mu.T @ h, logvar.T @ h, mu @ w_mu, logvar @ w_logvar, h.T @ batch  # the encoder's
        seconds.append(time.perf_counter() - start)
    return seconds


def where_it_goes(x: Tensor) -> dict[str, float]:
    """Milliseconds of each part of a step, the mean over one epoch; the products apart, measured alone."""
    torch.manual_seed(0)
    model, goal = VAE(), NegativeELBO()
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    x = x.reshape(-1, 784)
    parts = dict.fromkeys(("gather", "forward", "backward", "Adam", "clear gradients"), 0.0)
    batches = torch.randperm(len(x)).split(BATCH)
    for batch in batches:
        marks = [time.perf_counter()]

        def mark(marks: list[float] = marks) -> None:
            marks.append(time.perf_counter())

        images = x.index_select(0, batch)
        mark()
        loss = goal(model, images)["loss"] / len(batch)
        loss.item()
        mark()
        loss.backward()
        mark()
        optimizer.step()
        mark()
        optimizer.zero_grad()
        mark()
        for part, (before, after) in zip(parts, pairwise(marks), strict=True):
            parts[part] += after - before
    parts["matrix products, of forward and backward"] = matrix_products(x)[-1]
    return {part: round(1e3 * seconds / len(batches), 3) for part, seconds in parts.items()}


GROWTH: dict[str, tuple[int, ...]] = {  # each varied alone; the others as in the lessons
    "latents": (2, 20, 100, 400),
    "hidden units": (100, 200, 400, 800, 1600),
    "images": (7_500, 15_000, 30_000, 60_000),
    "batch size": (32, 64, 128, 256, 512, 1024),
}


def growth(x: Tensor) -> dict[str, dict[int, list[float]]]:
    """Seconds of an epoch for each size, three times, in turn."""
    found: dict[str, dict[int, list[float]]] = {
        what: {n: [] for n in sizes} for what, sizes in GROWTH.items()
    }
    for _ in range(3):
        for what, sizes in GROWTH.items():
            for n in sizes:
                model = VAE(
                    n if what == "latents" else 20, hidden_dim=n if what == "hidden units" else 400
                )
                history = fit(
                    model,
                    x[: n if what == "images" else len(x)],
                    epochs=1,
                    batch_size=n if what == "batch size" else BATCH,
                    progress=False,
                )
                found[what][n].append(round(history.seconds[0], 3))
    return found


def draw_growth(found: dict[str, dict[int, list[float]]], path: Path) -> None:
    """One panel for each size: the median and the range of three, on logarithmic axes."""
    plt.style.use("vae_helpers.course")
    figure, axes = plt.subplots(1, len(found), figsize=(13, 3.4), sharey=True)
    for ax, (what, seconds) in zip(axes, found.items(), strict=True):
        sizes, middle = list(seconds), [median(times) for times in seconds.values()]
        low = [m - min(times) for m, times in zip(middle, seconds.values(), strict=True)]
        high = [max(times) - m for m, times in zip(middle, seconds.values(), strict=True)]
        ax.errorbar(sizes, middle, yerr=[low, high], marker="o", capsize=3)
        ax.set(xscale="log", yscale="log", xlabel=what)
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes], rotation=45, minor=False)
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("seconds an epoch")
    figure.suptitle("An epoch of 60,000 digits: latents cost little, the width and the images all")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the full image sets")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    images = load_images("mnist", full=True, root=arguments.root)
    pictures = MNIST(str(data_folder(arguments.root)), transform=ToTensor())
    runs: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        rows: dict[str, tuple[list[float], float | None]] = {
            "plain program": plain_program(pictures, seed),
            "fit": with_fit(VAE, images.train_x, seed),
            "fit, a learner's model and loss": with_fit(
                Written, images.train_x, seed, objective=loss_function
            ),
            "matrix products alone": (matrix_products(images.train_x), None),
        }
        means = {name: sum(seconds) / EPOCHS for name, (seconds, _) in rows.items()}
        runs.append(
            {
                "seed": seed,
                "seconds_per_epoch": {
                    name: [round(s, 3) for s in seconds] for name, (seconds, _) in rows.items()
                },
                "train_loss_epoch_3": {
                    name: round(v, 2) for name, (_, v) in rows.items() if v is not None
                },
                "plain_over_fit": round(means["plain program"] / means["fit"], 2),
                "plain_over_learners": round(
                    means["plain program"] / means["fit, a learner's model and loss"], 2
                ),
                "fit_over_products": round(means["fit"] / means["matrix products alone"], 2),
            }
        )
        print(runs[-1])
    ratios = ("plain_over_fit", "plain_over_learners", "fit_over_products")
    summary = {
        key: {"median": median(run[key] for run in runs), "all": [run[key] for run in runs]}
        for key in ratios
    }
    settings = {
        "images": 60_000,
        "batch_size": BATCH,
        "lr": LR,
        "epochs": EPOCHS,
        "model": "784-400-20-400-784",
    }
    parts = where_it_goes(images.train_x)
    print(parts)
    cost = growth(images.train_x)
    draw_growth(cost, RESULTS / "training_cost.png")
    result = {"settings": settings, "summary": summary, "milliseconds_of_a_step": parts}
    write("training", result | {"seconds_of_an_epoch_by_size": cost, "runs": runs})


if __name__ == "__main__":
    main()
