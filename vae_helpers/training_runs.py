"""What surrounds a training: its history, its random numbers, its bar, its lock."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

Progress = Callable[["History"], None]
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()


def model_lock(model: nn.Module) -> threading.RLock:
    """The lock that `fit` holds while it changes the model's weights.

    Sliders run in another thread than a cell; whoever copies the weights meanwhile takes this lock.
    """
    return _LOCKS.setdefault(model, threading.RLock())


@dataclass
class History:
    """What happened in a training run: one number an epoch in each list, in nats per image.

    `train` and `test` map each term ('loss'; for a VAE 'recon' and 'kl' too; for a GAN 'discriminator' and
    'generator') to its list. `train` is averaged while the weights change; `test` is measured after each epoch, and
    empty without test images.
    """

    epochs: int
    train: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    interrupted: bool = False

    @property
    def finished(self) -> int:
        """How many epochs were completed."""
        return len(self.seconds)


@contextlib.contextmanager
def bar(progress: bool | Progress, history: History) -> Iterator[Progress]:
    """What is called after each epoch: nothing, the caller's function, or a progress bar that ends on one line."""
    if callable(progress):
        yield progress
        return
    from tqdm import tqdm

    form = "{desc}{percentage:3.0f}% |{bar:10}| {n_fmt}/{total_fmt} epochs, {elapsed}{postfix}"
    with tqdm(total=history.epochs, disable=not progress, bar_format=form, file=sys.stdout) as bar:

        def show(history: History) -> None:
            if "loss" in history.train:
                last = {"train": f"{history.train['loss'][-1]:.1f}"}
                if history.test:
                    last["test"] = f"{history.test['loss'][-1]:.1f}"
            else:
                last = {name: f"{values[-1]:.2f}" for name, values in history.train.items()}
            bar.set_postfix_str(
                ", ".join(f"{k} {v}" for k, v in last.items()) + " nats", refresh=False
            )
            bar.update()

        yield show


def append(lists: dict[str, list[float]], values: dict[str, Any]) -> None:
    """Put each value at the end of the list of its name."""
    for name, value in values.items():
        lists.setdefault(name, []).append(value)


def check_finite(loss: float, epoch: int, batch: int | None = None) -> None:
    """Raise a ValueError if the loss is NaN or infinite."""
    if not math.isfinite(loss):
        raise not_finite(loss, epoch, batch)


def not_finite(loss: float, epoch: int, batch: int | None) -> ValueError:
    """The error for a loss that is not finite; epoch and batch are counted from 0 here, and from 1 in its message."""
    where = f"epoch {epoch + 1}" + (f", batch {batch + 1}" if batch is not None else "")
    return ValueError(
        f"The loss is {loss} in {where}, so training stopped. Likely causes: a learning rate that is too high, "
        "a logvar so large that its exponential overflows, or a logarithm of 0 in the loss. Make the model anew "
        "and try a smaller lr."
    )
