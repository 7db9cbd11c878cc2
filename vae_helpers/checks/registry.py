"""Every exercise, by its name: each file in `exercises/` makes one, and nothing else lists them."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import devices
from . import exercises
from . import verdicts as general
from .calls import Calls, Record, all_random_numbers_kept
from .exercise import Exercise
from .verdicts import Mistake, Stop, Verdict


def _load() -> dict[str, Exercise]:
    found = [
        importlib.import_module(f"{exercises.__name__}.{module.name}").EXERCISE
        for module in pkgutil.iter_modules(exercises.__path__)
    ]
    found.sort(key=lambda exercise: (exercise.lesson or "99", exercise.step))
    return {exercise.name: exercise for exercise in found}


EXERCISES = _load()
NAMES = tuple(EXERCISES)
HINTS = {name: exercise.hints for name, exercise in EXERCISES.items()}
ZOO: dict[str, Mistake] = dict(general.MISTAKES)
"""Every mistake that has a name, with its text."""
for _exercise in EXERCISES.values():
    ZOO |= _exercise.mistakes


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in EXERCISES:
        raise ValueError(f"There is no check {name!r}: the checks are {', '.join(NAMES)}.")
    return EXERCISES[name]


def probe(name: str, answer: Any, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> Record:
    """Call a learner's answer as the check of this name does, and record what it gives back.

    `dtype` is that of the inputs (for a model that is handed over ready-made, its own is used). An exception in
    the answer is part of the record. All is on the CPU; an answer that itself moves a model or images to the GPU, and
    so meets two devices, is called again with all of it there.

    Raises:
        ValueError: there is no check of that name.
    """
    exercise, other = find(name), devices.accelerator()
    record: Record | None = None
    try:
        record = _probe_on(devices.CPU, exercise, answer, seed, dtype)
        if other is None or not _met_two_devices(record, other.type):
            return record
        return _probe_on(other, exercise, answer, seed, dtype)
    except Exception:
        if record is not None:  # what was seen on the CPU
            return record
        if other is None:
            raise
    return _probe_on(other, exercise, answer, seed, dtype)


@contextlib.contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Let a GPU's convolutions keep all digits of float32, which by default they do not."""
    settings: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, settings.fp32_precision = settings.fp32_precision, "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = before


def _met_two_devices(record: Record, kind: str) -> bool:
    """Whether the answer moved something to an accelerator of this kind, and the rest was on the CPU."""
    told = [str(value) for key, value in record.items() if key.endswith(".error")]
    return any(re.search(rf"same device|\b{kind}\b", text) for text in told)


def _probe_on(
    place: torch.device, exercise: Exercise, answer: Any, seed: int, dtype: torch.dtype
) -> Record:
    """Call the answer with everything on one device. A model goes there for this long."""
    with devices.CPU:
        inputs = exercise.given(seed, dtype)
    given = {key: value.to(place) for key, value in inputs.items()}
    owner = answer if isinstance(answer, nn.Module) else getattr(answer, "__self__", None)
    calls = Calls(seed, dtype, place)
    with contextlib.ExitStack() as around:
        if isinstance(owner, nn.Module):
            around.enter_context(devices.at(owner, place))
        if place.type == "cpu":  # whatever is torch's default device
            around.enter_context(place)
        around.enter_context(all_random_numbers_kept())
        around.enter_context(torch.enable_grad())
        if place.type == "cuda":
            around.enter_context(_exact_convolutions())
        exercise.probe(calls, answer, given)
    return calls.record


def judge(
    name: str, record: Record, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Verdict:
    """The verdict on a record of `probe`, which was made with the same name, seed and dtype.

    Raises:
        ValueError: there is no check of that name.
        Exception: the judge itself failed, which is a fault of the course and says nothing about the answer.
    """
    exercise = find(name)
    with devices.CPU:
        tensors = exercise.given(seed, dtype).items()
    given = {key: value.to(torch.float64).numpy() for key, value in tensors}
    try:
        with np.errstate(all="ignore"):  # wrong formulas take logarithms of negative numbers
            note = exercise.judge(record, given)
    except Stop as stop:
        return verdict_of(stop)
    return Verdict(True, True, None, f"Right. {note}".strip())


def verdict_of(stop: Stop) -> Verdict:
    """The verdict that a judge stopped with, with the text of its mistake."""
    message = stop.seen
    if stop.mistake is not None:
        mistake = ZOO[stop.mistake]
        message = f"{message} {mistake.why} {mistake.change}"
    return Verdict(False, stop.attempted, stop.mistake, message)


def fault(error: Exception) -> Verdict:
    """The verdict where the check itself failed."""
    return Verdict(
        False,
        True,
        None,
        f"The check itself failed ({type(error).__name__}: {error}). That is a fault of the course, and says nothing "
        "about your answer; please report it."[:600],
        fault=True,
    )
