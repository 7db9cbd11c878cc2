"""Seconds an epoch of other trainers beside ours, on the same model, images and settings.

    python -m venv peers && peers/bin/pip install pythae lightning
    python benchmarks/peers.py --peers peers/bin/python [--root FOLDER] [--rounds 3]

60,000 digits, 784-400-20-400-784, batch 128, Adam 1e-3, 3 epochs, images in memory. Each trainer runs in a process of
its own, one after the other, in every round. pythae and Lightning live in an environment of their own: their
requirements are not the course's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPOCHS, BATCH, LR = 3, 128, 1e-3
Times = tuple[list[float], float]  # seconds of each epoch, and the last one's mean loss in nats


def layers() -> tuple[nn.Module, nn.Module, nn.Module, nn.Module]:
    """The encoder's hidden layer, its two outputs, and the decoder."""
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())
    return (
        nn.Sequential(nn.Linear(784, 400), nn.ReLU()),
        nn.Linear(400, 20),
        nn.Linear(400, 20),
        decoder,
    )


def with_fit(x: Tensor) -> Times:
    """This course's `fit`."""
    from vae_helpers import VAE, fit

    history = fit(VAE(), x, epochs=EPOCHS, batch_size=BATCH, lr=LR, progress=False)
    return history.seconds, history.train["loss"][-1]


def plain_program(x: Tensor) -> Times:
    """A loop as tutorials write it, with a DataLoader over torchvision's images."""
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor
    from training import plain_program as plain

    from vae_helpers.data import data_folder

    return plain(MNIST(str(data_folder(None)), transform=ToTensor()), torch.initial_seed())


def with_lightning(x: Tensor) -> Times:
    """Lightning's Trainer, everything that writes or prints switched off."""
    import lightning

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.mu, self.logvar, self.decoder = layers()
            self.seconds: list[float] = []
            self.total = 0.0

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            h = self.hidden(batch[0])
            mu, logvar = self.mu(h), self.logvar(h)
            z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
            loss = F.binary_cross_entropy(self.decoder(z), batch[0], reduction="sum")
            loss = loss + 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
            self.total += loss.item()
            mean: Tensor = loss / len(mu)
            return mean

        def on_train_epoch_start(self) -> None:
            self.total, self.start = 0.0, time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.seconds.append(time.perf_counter() - self.start)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=LR)

    model = Model()
    data = torch.utils.data.TensorDataset(x)
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True))
    return model.seconds, model.total / len(x)


def with_pythae(x: Tensor) -> Times:
    """pythae's BaseTrainer on its VAE, with our layers."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    hidden, mu, logvar, decoder = layers()

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.mu, self.logvar = hidden, mu, logvar

        def forward(self, x: Tensor) -> Any:
            h = self.hidden(x.reshape(-1, 784))
            return ModelOutput(embedding=self.mu(h), log_covariance=self.logvar(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.layers(z))

    class Clock(TrainingCallback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.loss = 0.0

        def on_epoch_begin(self, training_config: Any, **kwargs: Any) -> None:
            self.start = time.perf_counter()

        def on_log(self, training_config: Any, logs: dict[str, float], **kwargs: Any) -> None:
            self.loss = logs.get("train_epoch_loss", self.loss)

        def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
            self.seconds.append(time.perf_counter() - self.start)

    config = VAEConfig(input_dim=(784,), latent_dim=20, reconstruction_loss="bce")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        BaseTrainer(
            model=VAE(config, encoder=Encoder(), decoder=Decoder()),
            train_dataset=BaseDataset(x, torch.zeros(len(x))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                num_epochs=EPOCHS,
                learning_rate=LR,
                per_device_train_batch_size=BATCH,
                no_cuda=True,
            ),
            callbacks=[clock],
        ).train()
    return clock.seconds, clock.loss


PEERS: dict[str, Callable[[Tensor], Times]] = {
    "fit": with_fit,
    "plain program": plain_program,
    "lightning": with_lightning,
    "pythae": with_pythae,
}
OTHERS = ("lightning", "pythae")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the full image sets")
    parser.add_argument("--peers", default=sys.executable, help="the Python of the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs=3, metavar=("PEER", "IMAGES", "SEED"), help=argparse.SUPPRESS
    )
    given = parser.parse_args()
    if given.only:
        peer, path, seed = given.only
        torch.manual_seed(int(seed))
        seconds, loss = PEERS[peer](torch.from_numpy(np.load(path)))
        versions = {peer: importlib.metadata.version(peer)} if peer in OTHERS else {}
        told = {"seconds": seconds, "loss": loss, "torch": torch.__version__} | versions
        print("RESULT", json.dumps(told))
        return
    from record import write

    from vae_helpers import load_images

    if given.root:
        os.environ["VAE_DATA"] = str(given.root)
    runs: dict[str, list[dict[str, Any]]] = {peer: [] for peer in PEERS}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, load_images("mnist", full=True, root=given.root).train_x.flatten(1).numpy())
        for seed in range(given.rounds):
            for peer in PEERS:
                python = given.peers if peer in OTHERS else sys.executable
                command = [python, __file__, "--only", peer, str(images), str(seed)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise SystemExit(f"{peer} failed:\n{done.stderr[-3000:]}")
                line = next(s for s in done.stdout.splitlines() if s.startswith("RESULT "))
                runs[peer].append(json.loads(line.removeprefix("RESULT ")))
                print(peer, line, flush=True)
    means = {
        peer: [round(sum(run["seconds"]) / EPOCHS, 3) for run in found]
        for peer, found in runs.items()
    }
    over = {
        peer: [round(a / b, 2) for a, b in zip(times, means["fit"], strict=True)]
        for peer, times in means.items()
    }
    summary = {"seconds_an_epoch": {peer: median(times) for peer, times in means.items()}}
    write("peers", summary | {"all": means, "times_as_long_as_fit": over, "runs": runs})


if __name__ == "__main__":
    main()
