"""A training kept in a file after each epoch, from which it goes on."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import processes
from .files import write_whole
from .training_runs import History


def save(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    history: History,
) -> None:
    """Write everything that the next epoch depends on; one process writes."""
    numbers = processes.gather(random_state())
    if processes.rank() != 0:
        return
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": {"train": history.train, "test": history.test, "seconds": history.seconds},
        "random": numbers,
        "settings": settings,
    }
    whole = io.BytesIO()
    torch.save(state, whole)  # into a file, a full disk would be a RuntimeError that names none
    write_whole(path, whole.getvalue())


def load(
    path: str | Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
    history: History,
) -> None:
    """Go on from a checkpoint, if there is one.

    Raises:
        ValueError: it is damaged, or of another training.
    """
    if not Path(path).exists():
        return
    remedy = "Move it away to start anew."
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["settings"] != settings or len(state["random"]) != processes.count():
            raise ValueError(
                f"{path} is of a training with other settings ({state['settings']}, {len(state['random'])} "
                f"process(es)). {remedy}"
            )
        model.load_state_dict(state["model"])
        groups = (state["optimizer"]["param_groups"], optimizer.state_dict()["param_groups"])
        for theirs, ours in zip(*groups, strict=True):  # how to step depends on the device
            theirs |= {name: ours[name] for name in ("fused", "capturable")}
        optimizer.load_state_dict(state["optimizer"])
        history.train, history.test = state["history"]["train"], state["history"]["test"]
        history.seconds = state["history"]["seconds"]
        set_random_state(state["random"][processes.rank()])
    except (KeyError, RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint of this model: {error} {remedy}"
        ) from error


def random_state() -> list[Tensor]:
    """The state of torch's random numbers, of the CPU and of each GPU."""
    cards = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        cards = [torch.mps.get_rng_state()]
    return [torch.get_rng_state(), *cards]


def set_random_state(states: list[Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(states[0])
    if len(states) > 1 and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states[1])
    elif len(states) > 1:
        torch.cuda.set_rng_state_all(states[1:])
