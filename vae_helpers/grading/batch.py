"""Grades all submissions in a folder: several at a time, each once.

Out come `scores.csv`, a feedback page for each submission, and `class.html`. The rows are kept in `records/`, so that
the same command goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from vae_helpers.checks import Verdict
from vae_helpers.files import write_whole

from .attempt import Settings, attempt
from .collecting import Submission, collect, disk_is_full, work_folder
from .containment import PACKAGE, find_containment, stop_all
from .gradebooks import FORMATS, table
from .pages import class_page, feedback_page
from .rows import LESSONS, NOT_GRADED, Row, file_name

MOST_NOTEBOOKS = 6  # of one submission


def grade(
    submissions: str | Path,
    out: str | Path,
    *,
    lessons: Sequence[str] = ("06",),
    jobs: int | None = None,
    seconds: float = 30.0,
    uncontained: bool = False,
    formats: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Grade every submission in a folder or a ZIP, and write the results into the folder `out`.

    Args:
        lessons: whose checks to grade: '06', '07', or both.
        jobs: submissions at a time; by default one for each core, at most 8.
        seconds: the time limit of each step of one notebook: its definitions, then each check.
        uncontained: go on where there is no bubblewrap to keep submissions from your files and the network.
        formats: of 'canvas', 'moodle' and 'gradescope', for which to write the results too.
        progress: called with the number of submissions done and of all.

    Raises:
        FileNotFoundError, CollectingError: there are no submissions.
        ValueError: an unknown lesson or format, a number out of range, or `out` inside the submissions.
        PermissionError: nothing keeps submissions from your files here, and `uncontained` is False.
        OSError: on Windows, where `out` cannot be written or the disk is full, or where the course does not start
            inside bubblewrap.
    """
    checks = _checks_of(lessons)
    jobs = min(os.cpu_count() or 1, 8) if jobs is None else jobs
    if jobs < 1 or not 0 < seconds < math.inf:
        raise ValueError(f"jobs must be 1 or more and seconds above 0, not {jobs} and {seconds}.")
    if unknown := set(formats) - set(FORMATS):
        known = ", ".join(FORMATS)
        raise ValueError(f"The formats are {known}, not {', '.join(sorted(unknown))}.")
    source, out = Path(submissions), Path(out)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"The results would lie among the submissions: choose an `out` outside {source}."
        )
    sealed = find_containment(uncontained=uncontained)
    try:
        with work_folder() as workplace:
            settings = Settings(checks, seconds, sealed, workplace)
            (out / "records").mkdir(parents=True, exist_ok=True)
            found = collect(source, workplace)
            rows = _grade_all(found, out / "records", settings, jobs, progress)
        _note_equal_files(rows)
        for name in formats:
            FORMATS[name](rows, checks, out)
        _write_results(rows, checks, out)
    except OSError as error:
        if not disk_is_full(error):
            raise
        where = error.filename2 or error.filename or tempfile.gettempdir()
        raise OSError(
            f"The disk is full: {where} cannot be written. What was graded is kept in {out / 'records'}: make room, "
            "and give the same command again."
        ) from None
    return rows


def _grade_all(
    found: Sequence[Submission],
    records: Path,
    settings: Settings,
    jobs: int,
    progress: Callable[[int, int], None] | None,
) -> list[Row]:
    """The rows of all submissions by name, several graded at a time."""
    code, rows = digest_of_code(PACKAGE), []
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(_row_of, submission, records, code, settings) for submission in found
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
    return sorted(rows, key=lambda row: row.submission)


def _checks_of(lessons: Sequence[str]) -> tuple[str, ...]:
    unknown = [lesson for lesson in lessons if lesson not in LESSONS]
    if unknown or not lessons:
        raise ValueError(
            f"Graded can be the lessons {' and '.join(LESSONS)}, not {', '.join(unknown) or 'none'}."
        )
    return tuple(name for lesson in LESSONS if lesson in lessons for name in LESSONS[lesson])


# --- one submission -----------------------------------------------------------------------------


def _row_of(submission: Submission, records: Path, code: str, settings: Settings) -> Row:
    """The row of a submission: as recorded by an earlier run, or graded now and recorded."""
    path = records / f"{file_name(submission.name)}.json"
    try:
        digest = _digest(submission, code, settings.checks)
        kept = _load(path, digest)
        if kept is not None:
            return kept
        row = grade_submission(submission, settings)
        row.digest = digest
    except Exception as error:  # whatever it is, the others are graded
        if disk_is_full(error):
            raise
        row = Row(
            submission.name, f"not graded: the grader failed: {type(error).__name__}: {error}"[:500]
        )
        row.checks = dict.fromkeys(settings.checks, NOT_GRADED)
        return row
    write_whole(path, json.dumps(asdict(row), indent=1))
    return row


def digest_of_code(package: Path) -> str:
    """A digest of every module of the package: a verdict may depend on any."""
    hashed = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        hashed.update(path.relative_to(package).as_posix().encode() + b"\0")
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return hashed.hexdigest()


def _digest(submission: Submission, code: str, checks: Sequence[str]) -> str:
    """A digest of what a row depends on: the files, the checks asked for, and the package's code."""
    hashed = hashlib.sha256(repr((code, checks)).encode())
    hashed.update(submission.problem.encode("utf-8", "surrogateescape"))
    for name in sorted(submission.files):
        hashed.update(name.encode("utf-8", "surrogateescape") + b"\0")
        hashed.update(hashlib.sha256(submission.files[name].read_bytes()).digest())
    return hashed.hexdigest()


def _load(path: Path, digest: str) -> Row | None:
    """A recorded row of the same digest; None if there is none, or a part of it was stopped or failed."""
    try:
        record = json.loads(path.read_text("utf-8"))
        record["checks"] = {name: Verdict(**verdict) for name, verdict in record["checks"].items()}
        row = Row(**record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return row if row.digest == digest and row.status not in ("stopped", "incomplete") else None


def grade_submission(submission: Submission, settings: Settings) -> Row:
    """Of a submission's notebooks for a lesson, the best one counts."""
    row = Row(submission.name)
    if submission.problem:
        row.status = f"not graded: {submission.problem}"
    statuses = []
    for lesson, names in LESSONS.items():
        asked = [name for name in names if name in settings.checks]
        found = submission.notebooks_of(lesson)
        if not asked or submission.problem:
            continue
        if len(found) > MOST_NOTEBOOKS:
            row.notes.append(f"only {MOST_NOTEBOOKS} of {len(found)} notebooks were looked at")
            del found[MOST_NOTEBOOKS:]
        attempts = [attempt(submission, name, asked, settings) for name in found]
        if not attempts:
            statuses.append(f"not graded: none of its notebooks is of lesson {lesson}")
            continue
        best = max(attempts, key=_merit)
        row.checks |= best.checks
        row.faults |= best.faults
        row.follows |= best.follows
        row.notes += best.notes
        row.for_teacher += best.for_teacher
        row.notebook = ", ".join(filter(None, [row.notebook, best.notebook]))
        row.answers += hashlib.sha256(submission.files[best.notebook].read_bytes()).hexdigest()
        statuses.append(best.status)
        if len(attempts) > 1:
            row.notes.append(f"of {len(attempts)} notebooks this one passed most: {best.notebook}")
    if statuses and not row.checks:
        row.status = statuses[0]
    elif row.faults:
        row.status = "incomplete"
    elif "stopped" in statuses:
        row.status = "stopped"
    row.checks = {name: row.checks.get(name, NOT_GRADED) for name in settings.checks}
    return row


def _merit(row: Row) -> tuple[int, int]:
    return row.score, sum(verdict.attempted for verdict in row.checks.values())


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


def _write_results(rows: Sequence[Row], checks: Sequence[str], out: Path) -> None:
    """Write scores.csv, a page for each row, and class.html, each atomically."""
    (out / "feedback").mkdir(exist_ok=True)
    for row in rows:
        write_whole(out / "feedback" / row.page, feedback_page(row))
    write_whole(out / "class.html", class_page(rows, checks))
    lines: list[list[str | int]] = [
        ["submission", "score", "passed", "max_score", "status", *checks, "notes"]
    ]
    for row in rows:
        outcomes = [row.outcome(name) for name in checks]
        notes = "; ".join(row.notes + row.for_teacher)
        numbers = [row.score, row.passed, len(checks)]
        lines.append([row.submission, *numbers, row.status, *outcomes, notes])
    # a spreadsheet knows by the mark at the start that this is UTF-8
    write_whole(out / "scores.csv", "\ufeff" + table(lines))
