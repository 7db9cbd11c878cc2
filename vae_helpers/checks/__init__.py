"""Checks of the exercises, used as `from vae_helpers import check`, then `check.kl_divergence(kl_divergence)`.

A check calls the answer, judges what came back, and says which mistake it was. `exercises` has one file for each
exercise. A check takes what it is handed, and never looks into the notebook's own variables.
"""

from __future__ import annotations

import ast
import html
import inspect
import linecache
import sys
import textwrap
from dataclasses import dataclass
from types import CodeType
from typing import Any

from torch import Tensor, nn

from .. import answers, progress
from .calls import Record as Record
from .calls import is_blank, where_raised
from .registry import EXERCISES as EXERCISES
from .registry import HINTS as HINTS
from .registry import NAMES as NAMES
from .registry import ZOO as ZOO
from .registry import fault, find
from .registry import judge as judge
from .registry import probe as probe
from .verdicts import Verdict as Verdict

MARKS = {
    "right": ("✓", "#009E73"),
    "wrong": ("✗", "#D55E00"),
    "not attempted": ("○", "#7F7F7F"),
    "not checked": ("!", "#CC79A7"),
}
COURSE = __package__.partition(".")[0]


def holder_of(name: str) -> str:
    """The function or class that holds the answer to this check."""
    return find(name).holder


@dataclass(frozen=True)
class Result(Verdict):
    """What a check found. `diagnosis` names a mistake of the bug zoo, where it is one; True if it passed."""

    check: Check

    def hint(self) -> Text:
        """A hint, more telling at each call."""
        return self.check.hint()

    def solution(self) -> Text:
        """One right answer."""
        return self.check.solution()

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        name = f" [{self.diagnosis}]" if self.diagnosis else ""
        return "\n".join(
            textwrap.wrap(f"{MARKS[self.status][0]} {self.check.name}{name}: {self.message}", 100)
        )

    def _repr_html_(self) -> str:
        mark, colour = MARKS[self.status]
        label = f" · {self.diagnosis}" if self.diagnosis else ""
        more = "" if self.passed else _more(self.check.name)
        return (
            f'<div style="border-left: 4px solid {colour}; padding: 4px 12px; max-width: 60em">'
            f"<b>{mark} {self.check.name}: {self.status}{html.escape(label)}</b>"
            f"<br>{code_in_html(self.message)}{more}</div>"
        )


def _more(name: str) -> str:
    return (
        f'<br><span style="opacity: 0.75">Stuck? Run <code>check.{name}.hint()</code> in a cell of its own; '
        f"<code>check.{name}.solution()</code> shows one right answer.</span>"
    )


def code_in_html(text: str) -> str:
    """Text for a page, with what stands in backquotes as code."""
    pieces = html.escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))


class Text:
    """A hint or a solution, for reading."""

    def __init__(self, text: str, *, code: bool = False) -> None:
        self.text, self.code = text, code

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        if self.code:
            return f"<pre><code>{html.escape(self.text)}</code></pre>"
        return f'<div style="max-width: 60em">{code_in_html(self.text)}</div>'


class Check:
    """The check of one exercise: call it with your answer."""

    def __init__(self, name: str, mend_first: dict[str, str]) -> None:
        # of each exercise whose last check did not pass: the answer to mend first, its own or one that it calls
        self._mend_first = mend_first
        self.name, self._hints_given = name, 0

    def __call__(self, answer: Any) -> Result:
        """Run the answer on inputs of the check's own, and say what is right or wrong about it."""
        verdict = self._verdict(answer)
        message = f"{verdict.message} {self._cause(answer, verdict)}".strip()
        ours = str(getattr(answer, "__module__", "")).partition(".")[0] == COURSE
        if ours and verdict.passed:
            message += " This is the course's own; nothing is noted as yours."
        result = Result(
            verdict.passed, verdict.attempted, verdict.diagnosis, message, self, fault=verdict.fault
        )
        if result.attempted and not ours and not result.fault:
            progress.record_check(self.name, result.passed, result.diagnosis)
        return result

    def _verdict(self, answer: Any) -> Verdict:
        """The verdict; where the check itself fails, one that says so."""
        try:
            return refused(self.name, answer) or judge(self.name, probe(self.name, answer))
        except Exception as error:
            return fault(error)

    def _cause(self, answer: Any, verdict: Verdict) -> str:
        """A sentence that says which answer to mend first, where this one calls another whose check did not pass."""
        if verdict.passed:
            self._mend_first.pop(self.name, None)
        if verdict.passed or verdict.fault:
            return ""
        called = _names_in(getattr(answer, "__code__", None)) - {self.name}
        wrong = next((name for name in NAMES if name in called & {*self._mend_first}), self.name)
        first = wrong if wrong == self.name else self._mend_first[wrong]
        self._mend_first[self.name] = first
        if first == self.name or not verdict.attempted:
            return ""
        return f"It calls `{wrong}`, whose last check did not pass: mend `{first}` first, then check this again."

    def hint(self) -> Text:
        """A hint, more telling at each call."""
        hints = HINTS[self.name]
        number = min(self._hints_given, len(hints) - 1)
        self._hints_given += 1
        last = f" (The last hint. `check.{self.name}.solution()` shows one right answer.)"
        text = f"Hint {number + 1} of {len(hints)}: {hints[number]}"
        return Text(text + (last if number == len(hints) - 1 else ""))

    def solution(self) -> Text:
        """One right answer. Yours may look different and be as right."""
        return Text(_solution(self.name), code=True)

    def __repr__(self) -> str:
        return f"check.{self.name}(your answer); also check.{self.name}.hint() and .solution()"


def _names_in(code: CodeType | None) -> set[str]:
    """The global names that a function's code mentions."""
    if code is None:
        return set()
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def refused(name: str, answer: Any) -> Verdict | None:
    """A verdict on what cannot be an answer at all, such as None."""
    of_model = find(name).of_model
    if of_model and not isinstance(answer, type | nn.Module):
        return Verdict(
            False,
            True,
            None,
            f"This check takes a model or its class, such as `VAE`, not {_kind(answer)}.",
        )
    if not of_model and not callable(answer):
        return Verdict(
            False,
            True,
            None,
            f"This check takes the function itself, without brackets, not {_kind(answer)}.",
        )
    return None


def _kind(answer: Any) -> str:
    if isinstance(answer, Tensor):
        return f"a tensor of shape {tuple(answer.shape)}; hand over the function, not its result"
    return repr(answer) if answer is None else f"an object of type {type(answer).__name__}"


def _solution(name: str) -> str:
    """The source of our answer, without its type annotations."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(find(name).answer)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
            if name == "reparameterize":
                node.args.args = [a for a in node.args.args if a.arg != "self"]
    return ast.unparse(tree)


class Checks:
    """All checks, one for each exercise: `check.encode`, `check.kl_divergence`, …"""

    def __init__(self) -> None:
        mend_first: dict[str, str] = {}
        self._checks = {name: Check(name, mend_first) for name in NAMES}
        self._missing: set[str] = set()

    def __getattr__(self, name: str) -> Check:
        import difflib

        if name in NAMES:
            return self._checks[name]
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" Did you mean check.{near[0]}?" if near else ""
        raise AttributeError(f"There is no check.{name}.{hint} The checks are: {', '.join(NAMES)}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *NAMES]

    def __repr__(self) -> str:
        return "Checks: " + ", ".join(f"check.{name}" for name in NAMES)

    def if_written(self, *makes: str) -> _IfWritten:
        """Run a block of a lesson that needs the learner's code, or pass over it with a sentence.

        Passed over is what meets a blank, a `raise NotImplementedError`, and what then lacks a name that a block
        passed over would have made: the names that it assigns, and those in `makes`. Everything else is raised as
        it is.
        """
        return _IfWritten(self._missing, makes)


class _IfWritten:
    """The block under `with check.if_written():`."""

    def __init__(self, missing: set[str], makes: tuple[str, ...]) -> None:
        self._missing, self._makes = missing, set(makes)

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        self._makes |= _assigned_in_block(frame.f_code.co_filename, frame.f_lineno)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            self._missing -= self._makes
            return False
        if is_blank(error):
            where = where_raised(error)
            print(f"Passed over: {where} is not written yet.{_instead(where)}")
        elif isinstance(error, NameError) and error.name in self._missing:
            print(
                f"Passed over: there is no `{error.name}`, because an earlier step was passed over."
            )
        else:
            return False
        self._missing |= self._makes
        return True


def _assigned_in_block(filename: str, line: int) -> set[str]:
    """The names that the block whose `with` stands in this line assigns."""
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except SyntaxError:
        return set()
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.With) and n.lineno == line]
    return {
        node.id
        for block in blocks
        for node in ast.walk(block)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


OURS = tuple(dict.fromkeys(exercise.holder for exercise in EXERCISES.values()))
"""The names of the functions and classes that hold answers."""


def _instead(name: str) -> str:
    first = name.split(".", maxsplit=1)[0]
    if first not in OURS or not hasattr(answers, first):
        return ""
    return f" To go on with the course's own, run: from vae_helpers.answers import {first}"


check = Checks()
