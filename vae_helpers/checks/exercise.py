"""One exercise: what its check needs to know. Each file in `exercises/` makes one, and nothing else lists them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from . import exercises
from . import verdicts as general
from .calls import Array, Calls, Inputs, Record, random_numbers_kept
from .verdicts import Mistake, Stop, Verdict

Given = Mapping[str, Array]


@dataclass(frozen=True)
class Exercise:
    """An exercise of a lesson.

    `inputs` makes the tensors that an answer is called on, from a seeded generator. `probe` calls the answer on them,
    in the learner's process or in a contained one, and writes arrays and strings into the record of its `Calls`.
    `judge` reads these alone, gives back a note on a right answer ('' for none), and raises `Stop` for a wrong one.
    `mistakes` are those that have a name. `answer` is a right one, a function or class that `.solution()` shows.
    """

    name: str
    lesson: str  # such as "06"; "" where it is not graded
    step: int  # its place in the lesson
    answer: Any
    inputs: Callable[[torch.Generator], Inputs]
    probe: Callable[[Calls, Any, Inputs], None]
    judge: Callable[[Record, Given], str]
    hints: tuple[
        str, str, str
    ]  # more telling at each step; the last stops short of the line itself
    mistakes: dict[str, Mistake] = field(default_factory=dict)
    of_model: bool = False  # the answer is a model or its class, and no function

    @property
    def holder(self) -> str:
        """The function or class of the notebook that holds the answer."""
        return str(self.answer.__qualname__).split(".")[0]

    def given(self, seed: int, dtype: torch.dtype) -> Inputs:
        """The tensors that the answer is called on; the same for the same seed."""
        made = self.inputs(torch.Generator().manual_seed(seed))
        return {key: value.to(dtype) for key, value in made.items()}


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
    the answer is part of the record.

    Raises:
        ValueError: there is no check of that name.
    """
    exercise, calls = find(name), Calls(seed, dtype)
    with random_numbers_kept(), torch.enable_grad():
        exercise.probe(calls, answer, exercise.given(seed, dtype))
    return calls.record


def judge(
    name: str, record: Record, *, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Verdict:
    """The verdict on a record of `probe`, which was made with the same name, seed and dtype.

    An exception of the judge's own is a fault of the course, and no wrong answer.

    Raises:
        ValueError: there is no check of that name.
    """
    exercise = find(name)
    tensors = exercise.given(seed, dtype).items()
    given = {key: value.to(torch.float64).numpy() for key, value in tensors}
    try:
        with np.errstate(all="ignore"):  # wrong formulas take logarithms of negative numbers
            note = exercise.judge(record, given)
    except Stop as stop:
        return verdict_of(stop)
    except Exception as error:
        return fault(error)
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
