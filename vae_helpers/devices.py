"""Where a model is and how precise its numbers are; what is given to it is made to fit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .training_runs import model_lock

CPU = torch.device("cpu")


def _weights(model: Any) -> Iterator[Tensor]:
    """The tensors of a model that hold numbers with a point; none, if it is no module."""
    if isinstance(model, nn.Module):
        held = (*model.parameters(), *model.buffers())
        yield from (tensor for tensor in held if tensor.is_floating_point())


def place_of(model: Any) -> torch.device:
    """The device of a model's weights; the CPU for a model without any."""
    return next((tensor.device for tensor in _weights(model)), CPU)


def given_to(model: Any, x: Tensor) -> Tensor:
    """x on the model's device, and in its precision, unless x holds whole numbers or a part of the model has x's."""
    dtypes = [weight.dtype for weight in _weights(model)]
    keep = not dtypes or not x.is_floating_point() or x.dtype in dtypes
    return x.to(place_of(model), x.dtype if keep else dtypes[0]) if dtypes else x


def encoded(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a VAE's `encode` gives for x, on the CPU."""
    mu, logvar = model.encode(given_to(model, x))
    return mu.cpu(), logvar.cpu()


@contextlib.contextmanager
def at(model: nn.Module, place: torch.device) -> Iterator[None]:
    """Let a model be on a device for a while."""
    before = place_of(model)
    try:
        with model_lock(model):
            model.to(place)
        yield
    finally:
        with model_lock(model):
            model.to(before)


def accelerator() -> torch.device | None:
    """The GPU, or what else there is beside the CPU; None without one."""
    return torch.accelerator.current_accelerator(check_available=True)


def choose(device: str | torch.device | None, model: nn.Module) -> torch.device:
    """The device that was asked for: by default where the model is, for "auto" the accelerator, if there is one.

    Raises:
        ValueError: there is no such device here, with those that there are.
    """
    if device is None:
        return place_of(model)
    present = [CPU, *([found] if (found := accelerator()) else [])]
    if device == "auto":
        return present[-1]
    names = [place.type for place in present]
    try:
        place = torch.device(device)
    except RuntimeError:
        place = None
    if place is None or place.type not in names:
        raise ValueError(
            f"There is no device {str(device)!r} here that torch can use. There is: {', '.join(names)}; "
            '"auto" takes the last of these.'
        )
    return place


def seed(number: int) -> None:
    """Seed torch's own random numbers, on every device there is.

    In a build for a GPU that isn't there, `torch.manual_seed` notes down where it was called from, for the day when
    there is one. From deep inside a program that takes a millisecond, which is longer than most checks compute.
    """
    if accelerator() is None:
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


@contextlib.contextmanager
def random_numbers_kept(place: torch.device) -> Iterator[None]:
    """Leave torch's own random numbers, those of the CPU and of this device, as they were."""
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        state = torch.mps.get_rng_state() if place.type == "mps" else None
        try:
            yield
        finally:
            if state is not None:
                torch.mps.set_rng_state(state)


@contextlib.contextmanager
def random_numbers(generator: torch.Generator | None, place: torch.device) -> Iterator[None]:
    """With a generator, seed torch's own random numbers from it for a while, and put them back afterwards.

    So a learner's model, which draws its noise from torch's own, is reproducible too.
    """
    if generator is None:
        yield
        return
    number = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with random_numbers_kept(place):
        seed(number)
        yield
