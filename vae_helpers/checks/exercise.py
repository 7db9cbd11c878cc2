"""One exercise: what its check needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .calls import Array, Calls, Inputs, Record
from .verdicts import Mistake

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
