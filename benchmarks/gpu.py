"""What a GPU gains: seconds an epoch of `fit`, with its step captured and without, and of a plain loop.

    python benchmarks/gpu.py

60,000 images (the 10,000 embedded digits six times), `VAE()`, 784-400-20. Each line of the result is the median of
three epochs after a first one, with the loss of the last. Where there is no GPU, the script says so and writes nothing.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from typing import Any
from unittest import mock

import record
import torch
import torch.nn.functional as F
from torch import Tensor

from vae_helpers import VAE, devices, fit, kl_divergence, load_images, training

BATCHES, EPOCHS = (128, 512, 2_048), 4


def fitted(x: Tensor, batch: int, place: torch.device, *, capture: bool) -> tuple[float, float]:
    """Seconds an epoch of `fit`, and the last loss."""
    torch.manual_seed(0)
    plain = mock.patch.object(training, "can_capture", return_value=False)
    with contextlib.nullcontext() if capture else plain:
        history = fit(
            VAE(), x, epochs=EPOCHS, batch_size=batch, device=place, progress=False,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
    return statistics.median(history.seconds[1:]), history.train["loss"][-1]


def looped(x: Tensor, batch: int, place: torch.device) -> tuple[float, float]:
    """The same of a loop as tutorials write it, with `.item()` in each step."""
    torch.manual_seed(0)
    model, x = VAE().to(place), x.flatten(1).to(place)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(EPOCHS):
        start, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(x), device=place).split(batch):
            optimizer.zero_grad()
            recon_x, mu, logvar = model(x[rows])
            recon = F.binary_cross_entropy(recon_x, x[rows], reduction="sum")
            loss = recon + kl_divergence(mu, logvar).sum()
            (loss / len(rows)).backward()
            optimizer.step()
            total += loss.item()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:]), total / len(x)


def main() -> None:
    place = devices.accelerator()
    if place is None:
        sys.exit("There is no GPU here that torch can use: nothing was measured.")
    x = load_images("mnist").train_x.repeat(6, 1, 1, 1)
    rows: list[dict[str, Any]] = []
    for batch in BATCHES:
        ways = {
            "fit": fitted(x, batch, place, capture=True),
            "fit, not captured": fitted(x, batch, place, capture=False),
            "plain loop": looped(x, batch, place),
        }
        if batch == BATCHES[0]:
            ways["fit on the CPU"] = fitted(x, batch, devices.CPU, capture=False)
        for name, (seconds, loss) in ways.items():
            rows.append({"batch": batch, "way": name, "ms": round(1000 * seconds), "loss": loss})
            print(f"{batch:6d}  {name:20s} {1000 * seconds:8.0f} ms an epoch, loss {loss:.2f}")
    card = torch.cuda.get_device_name() if place.type == "cuda" else place.type
    record.write("gpu", {"card": card, "rows": rows})


if __name__ == "__main__":
    main()
