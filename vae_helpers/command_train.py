"""What `python -m vae_helpers train` does: one training, its weights and its history in a folder."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import processes
from .data import ImageSet, load_images
from .files import write_whole
from .gan_training import fit_gan
from .models import GAN, VAE, Autoencoder, ConditionalVAE
from .objectives import Reconstruction
from .training import fit
from .training_runs import History

MODELS: dict[str, type[nn.Module]] = {
    "vae": VAE,
    "autoencoder": Autoencoder,
    "conditional-vae": ConditionalVAE,
    "gan": GAN,
}


@dataclass(frozen=True)
class Training:
    """What is trained: the settings that decide the result."""

    model: str = "vae"
    data: str = "mnist"
    full: bool = False
    latents: int = 20
    beta: float = 1.0
    epochs: int = 20
    batch_size: int = 128
    lr: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"There is no model {self.model!r}: choose of {', '.join(MODELS)}.")
        if self.beta != 1.0 and self.model not in ("vae", "conditional-vae"):
            raise ValueError(f"beta weights the KL term of a VAE; the {self.model} has none.")


def train(
    training: Training,
    out: str | Path,
    *,
    root: str | Path | None = None,
    device: str = "cpu",
) -> History:
    """Train, and write `model.safetensors` and `training.json` into the folder `out`.

    A training that was stopped goes on from `out/checkpoint.pt`; a GAN's starts anew. Under torchrun the processes
    share each batch, and the first one writes. `root` is where the full image sets are looked for.

    Raises:
        ValueError: a setting is not as described, or `out` holds another training.
        OSError: the images or the folder cannot be read or written.
    """
    out = Path(out)
    with _joined(device) as device:
        if training.model == "gan" and processes.count() > 1:
            raise ValueError(
                "A GAN is trained in one process: its generator normalises over the whole batch."
            )
        first = processes.rank() == 0
        _check_folder(training, out, first)
        images = load_images(training.data, full=training.full, root=root)
        torch.manual_seed(training.seed)
        model = MODELS[training.model](training.latents)
        seed = (
            1_000_003 * training.seed + processes.rank()
        )  # the noise differs, the order is shared
        generator = torch.Generator().manual_seed(seed)
        history = _fit(training, model, images, out, device, generator)
        if first and not history.interrupted:
            _write(training, model, history, images.source, out)
    return history


def _fit(
    training: Training,
    model: nn.Module,
    images: ImageSet,
    out: Path,
    device: str,
    generator: torch.Generator,
) -> History:
    settings: dict[str, Any] = {
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "lr": training.lr,
        "device": device,
        "generator": generator,
        "progress": processes.rank() == 0,
    }
    if isinstance(model, GAN):
        return fit_gan(model, images.train_x, **settings)
    if isinstance(model, Autoencoder):
        settings["objective"] = Reconstruction()
    if isinstance(model, ConditionalVAE):
        settings |= {"labels": images.train_y, "test_labels": images.test_y}
    return fit(
        model,
        images.train_x,
        test_x=images.test_x,
        beta=training.beta,
        checkpoint=out / "checkpoint.pt",
        **settings,
    )


@contextmanager
def _joined(device: str) -> Iterator[str]:
    """Join the other processes, where torchrun started this one; the device to train on."""
    import torch.distributed as dist

    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    backend = "nccl" if device == "cuda" else "gloo"
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    # An optimiser imports this later, and its default arguments would then hold the group, and with it the group's
    # threads, to the end of the interpreter, which they can crash.
    importlib.import_module("torch.distributed.nn")
    dist.init_process_group(backend)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield device
    finally:
        signal.signal(signal.SIGTERM, before)
        dist.destroy_process_group()


def _end(*_: object) -> None:
    """What torchrun asks of the other processes when one has ended."""
    raise RuntimeError("so torchrun ends this one too")


def _check_folder(training: Training, out: Path, first: bool) -> None:
    """Make the folder, and note there what it is for; refuse one that holds another training."""
    path, wanted = out / "training.json", asdict(training)
    if path.exists():
        try:
            settings = json.loads(path.read_text("utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}): move it away.") from error
        if settings | {"epochs": training.epochs} != wanted:
            raise ValueError(f"{out} holds another training, of {settings}: choose another folder.")
    elif first:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, _as_json({"settings": wanted}))


def _as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _write(training: Training, model: nn.Module, history: History, source: str, out: Path) -> None:
    """Write the results; the checkpoint stays, so that more epochs are not lost."""
    from safetensors.torch import save

    weights = {k: v.contiguous() for k, v in model.cpu().state_dict().items()}
    write_whole(out / "model.safetensors", save(weights))
    content = {
        "settings": asdict(training),
        "source": source,
        "processes": processes.count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "train": history.train,
        "test": history.test,
        "seconds": history.seconds,
    }
    write_whole(out / "training.json", _as_json(content))
