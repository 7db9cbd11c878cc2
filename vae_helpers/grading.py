"""Grades a folder of submissions: a process of its own probes each notebook, and this one judges what it sends.

Out come `scores.csv`, a feedback page for each submission, and `class.html`. What was graded is kept in `records/`,
so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from .checks import EXERCISES, Verdict, holder_of, judge
from .collecting import Submission, collect, copy_for_one
from .containment import Container, find_container, run_contained, stop_all
from .files import write_whole
from .grade_pages import class_page, feedback_page
from .submission import unpack

LESSONS = {
    lesson: tuple(name for name, exercise in EXERCISES.items() if exercise.lesson == lesson)
    for lesson in dict.fromkeys(exercise.lesson for exercise in EXERCISES.values())
    if lesson
}
OTHER_LESSONS = (
    *("00_start_here", "01_key_concepts", "02_architecture", "03_loss", "04_why_it_matters"),
    *("05_vae_and_gan", "06_exercise", "07_mini_project", "08_how_good_is_it"),
    *("09_text", "10_molecules"),
)
MOST_NOTEBOOKS = 6  # of one submission
MOST_STOPPED = 3  # checks of one notebook; then the others are not tried
NOT_GRADED = Verdict(False, False, None, "Not graded.")
LARGEST_ARRAY = 2_000_000  # numbers; the largest that a right answer sends has 400,000


@dataclass
class Row:
    """What became of one submission: a verdict for each check, and a status.

    The status is 'graded', 'stopped' (a limit ended a part of it), or 'not graded: ' and the reason. `notes` are for
    the learner too, `for_teacher` are not. `digest` is of all that the row depends on, `answers` of the notebooks.
    """

    submission: str
    status: str = "graded"
    notebook: str = ""
    notes: list[str] = field(default_factory=list)
    for_teacher: list[str] = field(default_factory=list)
    checks: dict[str, Verdict] = field(default_factory=dict)
    digest: str = ""
    answers: str = ""

    @property
    def score(self) -> int:
        """The number of checks passed."""
        return sum(verdict.passed for verdict in self.checks.values())

    @property
    def page(self) -> str:
        """The name of its feedback page, safe on every system."""
        return f"{_safe(self.submission)}.html"


def grade(
    submissions: str | Path,
    out: str | Path,
    *,
    lessons: Sequence[str] = ("06",),
    jobs: int | None = None,
    seconds: float = 30.0,
    uncontained: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Grade every submission in a folder or a ZIP, and write the results into the folder `out`.

    Args:
        lessons: whose checks to grade: '06', '07', or both.
        jobs: submissions at a time; by default one for each core, at most 8.
        seconds: the time limit of each step of one notebook: its definitions, then each check.
        uncontained: go on where no bubblewrap keeps submissions from your files and the network.
        progress: called with the number of submissions done and of all.

    Raises:
        FileNotFoundError, CollectingError: there are no submissions.
        ValueError: an unknown lesson, a number out of range, or `out` inside the submissions.
        PermissionError: nothing keeps submissions from your files here, and `uncontained` is False.
        OSError: on Windows, or where `out` cannot be written.
    """
    checks = _checks_of(lessons)
    jobs = min(os.cpu_count() or 1, 8) if jobs is None else jobs
    if jobs < 1 or not 0 < seconds < math.inf:
        raise ValueError(f"jobs must be 1 or more and seconds above 0, not {jobs} and {seconds}.")
    source, out = Path(submissions), Path(out)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"The results would lie among the submissions: choose an `out` outside {source}."
        )
    container = find_container()
    if not container.sealed and not uncontained:
        raise PermissionError(
            "Nothing here keeps a submission from your files: bubblewrap is missing or not allowed (Debian and "
            "Ubuntu: apt install bubblewrap). Install it, or grade inside a container or virtual machine, as "
            "classroom/guide.md says, with --uncontained."
        )
    with tempfile.TemporaryDirectory(prefix="vae-grading-") as workplace:
        found = collect(source, Path(workplace))
        (out / "records").mkdir(parents=True, exist_ok=True)
        rows = []
        with ThreadPoolExecutor(jobs) as pool:
            waiting = [
                pool.submit(_grade_one, submission, out, container, checks, seconds)
                for submission in found
            ]
            try:
                for done in as_completed(waiting):
                    rows.append(done.result())
                    if progress:
                        progress(len(rows), len(found))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stop_all()
                raise
    rows.sort(key=lambda row: row.submission)
    _note_equal_files(rows)
    write_results(rows, checks, out)
    return rows


def _checks_of(lessons: Sequence[str]) -> tuple[str, ...]:
    unknown = [lesson for lesson in lessons if lesson not in LESSONS]
    if unknown or not lessons:
        raise ValueError(
            f"Graded can be the lessons {' and '.join(LESSONS)}, not {', '.join(unknown) or 'none'}."
        )
    return tuple(name for lesson in LESSONS if lesson in lessons for name in LESSONS[lesson])


def _safe(name: str) -> str:
    """A file name for a submission: what can be read of its name, and a digest that no other name has."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower().removesuffix(".ipynb")).strip("-")[:60]
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{plain or 'submission'}-{digest}"


# --- one submission -----------------------------------------------------------------------------


def _grade_one(
    submission: Submission, out: Path, container: Container, checks: Sequence[str], seconds: float
) -> Row:
    """The row of a submission: kept from before, or graded now and kept."""
    kept = out / "records" / f"{_safe(submission.name)}.json"
    try:
        digest = _digest(submission, checks)
        row = _load(kept, digest)
        if row is None:
            row = _graded(submission, container, checks, seconds)
            row.digest = digest
            write_whole(kept, json.dumps(asdict(row), indent=1))
    except Exception as error:  # whatever it is, the others are graded
        row = Row(
            submission.name, f"not graded: the grader failed: {type(error).__name__}: {error}"[:500]
        )
        row.checks = dict.fromkeys(checks, NOT_GRADED)
    return row


def _digest(submission: Submission, checks: Sequence[str]) -> str:
    """What a row depends on: the files, the checks asked for, and this package's own judgement."""
    hashed = hashlib.sha256(repr(checks).encode())
    package = Path(__file__).parent
    judging = [*sorted((package / "checks").rglob("*.py"))]
    judging += [
        package / f"{name}.py" for name in ("answers", "parts", "submission", "grading", "models")
    ]
    for path in judging:
        hashed.update(path.read_bytes())
    hashed.update(submission.problem.encode("utf-8", "surrogateescape"))
    for name in sorted(submission.files):
        hashed.update(name.encode("utf-8", "surrogateescape") + b"\0")
        hashed.update(hashlib.sha256(submission.files[name].read_bytes()).digest())
    return hashed.hexdigest()


def _load(path: Path, digest: str) -> Row | None:
    """A kept row, if it is whole and of the same digest; one that was cut short by a limit is graded again."""
    try:
        kept = json.loads(path.read_text("utf-8"))
        kept["checks"] = {name: Verdict(**verdict) for name, verdict in kept["checks"].items()}
        row = Row(**kept)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return row if row.digest == digest and row.status != "stopped" else None


def _graded(
    submission: Submission, container: Container, checks: Sequence[str], seconds: float
) -> Row:
    """Of a submission's notebooks for a lesson, the best one counts."""
    row = Row(submission.name)
    if submission.problem:
        row.status = f"not graded: {submission.problem}"
    statuses = []
    for lesson, names in LESSONS.items():
        asked = [name for name in names if name in checks]
        found = _notebooks_of(lesson, submission.notebooks)
        if not asked or submission.problem:
            continue
        if len(found) > MOST_NOTEBOOKS:
            row.notes.append(f"only {MOST_NOTEBOOKS} of {len(found)} notebooks were looked at")
            del found[MOST_NOTEBOOKS:]
        attempts = [_attempt(submission, name, container, asked, seconds) for name in found]
        if not attempts:
            statuses.append(f"not graded: none of its notebooks is of lesson {lesson}")
            continue
        best = max(attempts, key=_merit)
        row.checks |= best.checks
        row.notes += best.notes
        row.notebook = ", ".join(filter(None, [row.notebook, best.notebook]))
        row.answers += hashlib.sha256(submission.files[best.notebook].read_bytes()).hexdigest()
        statuses.append(best.status)
        if len(attempts) > 1:
            row.notes.append(f"of {len(attempts)} notebooks this one passed most: {best.notebook}")
    if statuses and not row.checks:
        row.status = statuses[0]
    elif "stopped" in statuses:
        row.status = "stopped"
    row.checks = {name: row.checks.get(name, NOT_GRADED) for name in checks}
    return row


def _notebooks_of(lesson: str, notebooks: Sequence[str]) -> list[str]:
    """Those with the lesson's number in their name; without any, those that are not named like a lesson."""
    names = {notebook: PurePosixPath(notebook).name for notebook in notebooks}
    notebooks = [
        n for n in notebooks if "solutions" not in PurePosixPath(n).parts
    ]  # the course's own
    notebooks.sort(key=lambda name: (len(name), name))  # copies get longer names
    numbered = [n for n in notebooks if re.search(rf"(?<!\d){lesson}(?!\d)", names[n])]
    return numbered or [n for n in notebooks if not names[n].startswith(OTHER_LESSONS)]


def _merit(attempt: Row) -> tuple[int, int]:
    return attempt.score, sum(verdict.attempted for verdict in attempt.checks.values())


def _attempt(
    submission: Submission,
    notebook: str,
    container: Container,
    checks: Sequence[str],
    seconds: float,
) -> Row:
    """Grade one notebook. A check that does not come back is wrong, and the rest are probed in a new process."""
    row, left, first, stopped = Row(submission.name, notebook=notebook), list(checks), True, 0
    while left:
        seed = secrets.randbelow(1 << 31)
        with tempfile.TemporaryDirectory(prefix="vae-submission-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            try:
                copied = copy_for_one(submission, notebook, folder)
            except OSError as error:
                row.status = f"not graded: it cannot be read: {error.strerror}"
                return row
            sent = run_contained(container, folder, copied, left, seed, seconds)
        facts, records = _facts(sent.frames)
        if first and not _note_facts(row, facts):
            return row
        first = False
        for check, record in zip(left, records, strict=False):
            row.checks[check] = _verdict(check, record, seed, check in facts.get("borrowed", []))
        left = left[len(records) :]
        if not left:
            break
        reason = sent.stopped or "it ended its own process"
        if len(sent.frames) < 3:  # in the definitions, or before
            row.status = "stopped"
            row.notes.append(f"while its definitions ran, {reason}")
            return row
        row.notes.append(f"in {left[0]}, {reason}")
        row.checks[left[0]] = Verdict(False, True, None, f"Your code was stopped: {reason}.")
        row.status = "stopped"
        left = left[1:]
        stopped += 1
        if stopped == MOST_STOPPED:
            row.notes.append("after that many, the other checks were not tried")
            break
    return row


def _facts(frames: Sequence[bytes]) -> tuple[dict[str, Any], list[bytes]]:
    """What was sent before any check (all of it believed only as text), and the records.

    The first of these frames is sent before a line of the notebook has run, the second, of its errors, after.
    """
    facts: dict[str, Any] = {}
    for frame, keys in zip(
        frames[1:3], (("problem", "unreadable", "borrowed"), ("errors",)), strict=False
    ):
        try:
            said = json.loads(frame)
        except (ValueError, RecursionError):
            continue
        facts |= {key: said[key] for key in keys if isinstance(said, dict) and key in said}
    for key in ("unreadable", "borrowed", "errors"):
        texts = facts.get(key)
        facts[key] = [str(text)[:300] for text in texts[:20]] if isinstance(texts, list) else []
    return facts, list(frames[3:])


def _note_facts(row: Row, facts: dict[str, Any]) -> bool:
    """Put down what the notebook is like; False if it cannot be graded at all."""
    if "problem" in facts:
        row.status = f"not graded: {str(facts['problem'])[:300]}"
        return False
    row.notes += [f"not valid Python: {text}" for text in facts["unreadable"]]
    row.notes += [f"a definition raised: {text}" for text in facts["errors"]]
    return True


BORROWED = "This takes the course's own answer, which is not counted as yours."


def _verdict(check: str, frame: bytes, seed: int, borrowed: bool) -> Verdict:
    """The verdict on what was sent for one check."""
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
    if "refused" in record:
        return Verdict(False, True, None, str(record["refused"])[:600])
    verdict = judge(check, record, seed=seed)
    return replace(verdict, message=verdict.message[:2_000])


def _note_equal_files(rows: Sequence[Row]) -> None:
    """Note in each row which others have the same answers to the byte, where something was attempted."""
    by_digest: dict[str, list[Row]] = {}
    for row in rows:
        if any(verdict.attempted for verdict in row.checks.values()):
            by_digest.setdefault(row.answers, []).append(row)
    for equal in by_digest.values():
        for row in equal if len(equal) > 1 else []:
            others = ", ".join(other.submission for other in equal if other is not row)
            row.for_teacher.append(f"the same file as {others}")


# --- the results --------------------------------------------------------------------------------


def write_results(rows: Sequence[Row], checks: Sequence[str], out: Path) -> None:
    """Write scores.csv, a page for each row, and class.html; each is whole or not there."""
    (out / "feedback").mkdir(exist_ok=True)
    for row in rows:
        write_whole(out / "feedback" / row.page, feedback_page(row))
    write_whole(out / "class.html", class_page(rows, checks))
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(["submission", "score", "max_score", "status", *checks, "notes"])
    for row in rows:
        states = [_state(row.checks[name]) for name in checks]
        notes = "; ".join(row.notes + row.for_teacher)
        cells: list[str | int] = [
            row.submission,
            row.score,
            len(checks),
            row.status,
            *states,
            notes,
        ]
        table.writerow([_harmless(cell) for cell in cells])
    # a spreadsheet knows by the mark at the start that this is UTF-8
    write_whole(out / "scores.csv", "\ufeff" + file.getvalue())


def _state(verdict: Verdict) -> str:
    """'right', 'wrong', 'wrong: BUG' or 'not attempted'."""
    return f"{verdict.status}: {verdict.diagnosis}" if verdict.diagnosis else verdict.status


def _harmless(cell: str | int) -> str | int:
    """A cell that no spreadsheet takes for a formula: one that looks like it gets an apostrophe before it."""
    if isinstance(cell, str) and re.match(r"\s*[=+\-@\t\r]", cell):
        return f"'{cell}"
    return cell
