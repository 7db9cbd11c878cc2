"""Grades one notebook: child processes probe it, and this process judges the records that they send."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vae_helpers.checks import EXERCISES, Verdict, holder_of, judge

from .collecting import Submission, copy_for_one, disk_is_full
from .containment import Sent, run_child
from .rows import NOT_GRADED, Row
from .wire import unpack

MOST_STOPPED = 3  # checks of one notebook; then the others are not tried
LARGEST_ARRAY = 2_000_000  # numbers; the largest that a right answer sends has 400,000
BORROWED = "This takes the course's own answer, which is not counted as yours."


@dataclass(frozen=True)
class Settings:
    """How a run grades: its checks, the seconds for each step, whether bubblewrap contains it, a folder for copies."""

    checks: tuple[str, ...]
    seconds: float
    sealed: bool
    workplace: Path


def attempt(
    submission: Submission, notebook: str, checks: Sequence[str], settings: Settings
) -> Row:
    """Grade one notebook. A check that does not come back is wrong, and the rest are probed in a new process."""
    row, waiting, stopped = Row(submission.name, notebook=notebook), list(checks), 0
    facts: dict[str, Any] = {}
    while waiting:
        seed = secrets.randbelow(1 << 31)
        try:
            sent = _run(submission, notebook, waiting, seed, settings)
        except OSError as error:
            if disk_is_full(error):
                raise
            row.status = f"not graded: it cannot be read: {error.strerror}"
            return row
        found, records = facts_in(sent.frames)
        if not facts:
            facts = found
            if "problem" in facts:
                row.status = f"not graded: {str(facts['problem'])[:300]}"
                return row
            row.notes += [f"not valid Python: {text}" for text in facts["unreadable"]]
            row.notes += [f"a definition raised: {text}" for text in facts["errors"]]
        for check, record in zip(waiting, records, strict=False):
            _judge(row, check, record, seed, check in found["borrowed"])
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
    _carry_forward(row, facts, submission, settings)
    return row


def _run(
    submission: Submission,
    notebook: str,
    checks: Sequence[str],
    seed: int,
    settings: Settings,
    instead: Mapping[str, Sequence[str]] | None = None,
) -> Sent:
    """What a process on a copy of the submission sent."""
    with tempfile.TemporaryDirectory(prefix="copy-", dir=settings.workplace) as name:
        folder = Path(name)
        folder.chmod(0o755)
        copied = copy_for_one(submission, notebook, folder)
        return run_child(
            folder,
            copied,
            checks,
            seed,
            settings.seconds,
            sealed=settings.sealed,
            instead=instead,
        )


def _carry_forward(
    row: Row, facts: dict[str, Any], submission: Submission, settings: Settings
) -> None:
    """Judge again what builds on a wrong answer, with the course's own in that one's place; note what is right so."""
    failed = {c for c, verdict in row.checks.items() if not verdict.passed and c not in row.faults}
    instead = {
        check: [
            name for name in EXERCISES if name in facts["uses"].get(check, ()) and name in failed
        ]
        for check in EXERCISES
        if check in failed and check not in facts["borrowed"]
    }
    instead = {check: names for check, names in instead.items() if names}
    if row.checks.get("vae", NOT_GRADED).attempted is False:
        instead.pop("vae", None)  # nothing of it is there
    if not instead:
        return
    seed = secrets.randbelow(1 << 31)
    sent = _run(submission, row.notebook, [*instead], seed, settings, instead)
    for check, record in zip(instead, facts_in(sent.frames)[1], strict=False):
        again = Row(row.submission)
        _judge(again, check, record, seed, False)
        verdict, names = again.checks[check], _listed(instead[check])
        if verdict.passed:
            row.follows[check] = [name for name in instead[check] if name not in row.follows]
            roots = _listed(row.follows[check])
            message = f"This follows from {roots}: with the course's own there, it is right, and it counts."
            row.checks[check] = Verdict(False, True, None, message)
        elif verdict.attempted and not again.faults:
            message = f"{verdict.message} (Judged with the course's own {names} in place of yours.)"
            row.checks[check] = replace(verdict, message=message)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def facts_in(frames: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """What was sent before any check (all of it believed only as text), and the records.

    The first of these frames is sent before a line of the notebook has run, the second, of its errors, after.
    """
    facts: dict[str, Any] = {}
    expected = (("problem", "unreadable", "borrowed", "uses"), ("errors",))
    for frame, keys in zip(frames[1:3], expected, strict=False):
        try:
            found = json.loads(frame)
        except (ValueError, RecursionError):
            continue
        facts |= {key: found[key] for key in keys if isinstance(found, dict) and key in found}
    for key in ("unreadable", "borrowed", "errors"):
        texts = facts.get(key)
        facts[key] = [str(text)[:300] for text in texts[:20]] if isinstance(texts, list) else []
    uses = facts.get("uses")
    facts["uses"] = uses if isinstance(uses, dict) else {}
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
        if near:
            message += f" It has a `{near}`: if that is your answer, name it `{target}`."
        return Verdict(False, False, None, message[:600])
    if "fault" in record:
        raise RuntimeError(f"the probe failed: {record['fault']}"[:300])
    if "refused" in record:
        return Verdict(False, True, None, str(record["refused"])[:600])
    verdict = judge(check, record, seed=seed)
    return Verdict(verdict.passed, verdict.attempted, verdict.diagnosis, verdict.message[:2_000])
