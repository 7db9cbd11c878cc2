"""Grades one notebook: child processes probe it, and this process judges the records that they send."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_helpers.checks import Verdict, holder_of, judge

from .collecting import Submission, copy_for_one
from .containment import run_child
from .rows import NOT_GRADED, Row
from .wire import unpack

MOST_STOPPED = 3  # checks of one notebook; then the others are not tried
LARGEST_ARRAY = 2_000_000  # numbers; the largest that a right answer sends has 400,000
BORROWED = "This takes the course's own answer, which is not counted as yours."


@dataclass(frozen=True)
class Settings:
    """How a run grades: its checks, the seconds for each step of a notebook, and whether bubblewrap contains it."""

    checks: tuple[str, ...]
    seconds: float
    sealed: bool


def attempt(
    submission: Submission, notebook: str, checks: Sequence[str], settings: Settings
) -> Row:
    """Grade one notebook. A check that does not come back is wrong, and the rest are probed in a new process."""
    row, waiting, first, stopped = Row(submission.name, notebook=notebook), list(checks), True, 0
    while waiting:
        seed = secrets.randbelow(1 << 31)
        with tempfile.TemporaryDirectory(prefix="vae-submission-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            try:
                copied = copy_for_one(submission, notebook, folder)
            except OSError as error:
                row.status = f"not graded: it cannot be read: {error.strerror}"
                return row
            sent = run_child(
                folder, copied, waiting, seed, settings.seconds, sealed=settings.sealed
            )
        facts, records = facts_in(sent.frames)
        if first:
            if "problem" in facts:
                row.status = f"not graded: {str(facts['problem'])[:300]}"
                return row
            row.notes += [f"not valid Python: {text}" for text in facts["unreadable"]]
            row.notes += [f"a definition raised: {text}" for text in facts["errors"]]
            first = False
        for check, record in zip(waiting, records, strict=False):
            _judge(row, check, record, seed, check in facts["borrowed"])
        waiting = waiting[len(records) :]
        if not waiting:
            break
        reason = sent.stopped or "it ended its own process"
        row.status = "stopped"
        if len(sent.frames) < 3:  # in the definitions, or before
            row.notes.append(f"while its definitions ran, {reason}")
            return row
        row.notes.append(f"in {waiting[0]}, {reason}")
        row.checks[waiting[0]] = Verdict(False, True, None, f"Your code was stopped: {reason}.")
        waiting = waiting[1:]
        stopped += 1
        if stopped == MOST_STOPPED:
            row.notes.append("after that many, the other checks were not tried")
            break
    return row


def facts_in(frames: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """What was sent before any check (all of it believed only as text), and the records.

    The first of these frames is sent before a line of the notebook has run, the second, of its errors, after.
    """
    facts: dict[str, Any] = {}
    expected = (("problem", "unreadable", "borrowed"), ("errors",))
    for frame, keys in zip(frames[1:3], expected, strict=False):
        try:
            found = json.loads(frame)
        except (ValueError, RecursionError):
            continue
        facts |= {key: found[key] for key in keys if isinstance(found, dict) and key in found}
    for key in ("unreadable", "borrowed", "errors"):
        texts = facts.get(key)
        facts[key] = [str(text)[:300] for text in texts[:20]] if isinstance(texts, list) else []
    return facts, list(frames[3:])


def _judge(row: Row, check: str, frame: bytes, seed: int, borrowed: bool) -> None:
    """Put the verdict into the row; or the fault, where the judge of the course fails on the record."""
    try:
        row.checks[check] = verdict_on(check, frame, seed, borrowed)
    except Exception as error:  # a forged record may be anything; the batch goes on
        row.checks[check] = NOT_GRADED
        row.faults[check] = f"{type(error).__name__}: {error}"[:300]
        row.for_teacher.append(
            f"the check of {check} failed ({row.faults[check]}): a fault of the course, not of the answer"
        )


def verdict_on(check: str, frame: bytes, seed: int, borrowed: bool) -> Verdict:
    """The verdict on what was sent for one check. What the judge itself raises goes through."""
    try:
        record = unpack(frame)
        sizes = [value.size for value in record.values() if not isinstance(value, str)]
        if max(sizes, default=0) > LARGEST_ARRAY:
            raise ValueError("an array is larger than any right answer")
    except Exception as error:  # whatever it is
        return Verdict(False, True, None, f"What it sent cannot be read: {error}."[:300])
    if borrowed or "borrowed" in record:
        return Verdict(False, True, None, BORROWED)
    if "missing" in record:
        target = holder_of(check)
        near = str(record["missing"])
        message = f"Not attempted: the notebook defines no `{target}`."
        if near == "broken":
            return Verdict(False, True, None, f"The definition of `{target}` raised an exception.")
        return Verdict(False, False, None, message + (f" It has a `{near}`." if near else ""))
    if "fault" in record:
        raise RuntimeError(f"the probe failed: {record['fault']}"[:300])
    if "refused" in record:
        return Verdict(False, True, None, str(record["refused"])[:600])
    verdict = judge(check, record, seed=seed)
    return Verdict(verdict.passed, verdict.attempted, verdict.diagnosis, verdict.message[:2_000])
