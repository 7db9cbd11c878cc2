"""The results as learning platforms import them.

Canvas reads a gradebook in CSV (`canvas.csv`): Student, ID, SIS User ID, SIS Login ID, Section, then a column for each
assignment, and a row of the points possible. How it reads it, and what it calls the files of a download, say
https://github.com/instructure/canvas-lms/blob/master/lib/gradebook_importer.rb and `content_zipper.rb` beside it.

Moodle reads a grading worksheet (`moodle.csv`), whose columns Identifier, Grade and Last modified (grade) must be
there: https://docs.moodle.org/en/Assignment_settings, "Offline grading worksheet", and
https://github.com/moodle/moodle/blob/main/public/mod/assign/feedback/offline/importgradeslib.php.

Gradescope reads a `results.json` for each submission: https://gradescope-autograders.readthedocs.io/en/latest/specs/.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from vae_helpers.checks import EXERCISES, code_in_html
from vae_helpers.files import write_whole

from .rows import Row

# what a platform calls the submission of a learner, with a number that it knows them by
CANVAS_NAME = re.compile(r"(?P<name>.+?)_(LATE_)?(?P<number>\d+)_\d+_.+", re.DOTALL)
MOODLE_NAME = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_.*", re.DOTALL)


def harmless(cell: str | int) -> str | int:
    """A cell that no spreadsheet takes for a formula: one that looks like it gets an apostrophe before it."""
    if isinstance(cell, str) and re.match(r"\s*[=+\-@\t\r]", cell):
        return f"'{cell}"
    return cell


def table(lines: Sequence[Sequence[str | int]]) -> str:
    """Lines as CSV, whose cells no spreadsheet takes for formulas."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([harmless(cell) for cell in line] for line in lines)
    return file.getvalue()


def write_canvas(rows: Sequence[Row], checks: Sequence[str], out: Path) -> None:
    """Write `canvas.csv`: Canvas finds a learner by the number in a file's name, or else by the name, or asks."""
    title = " and ".join(dict.fromkeys(f"Lesson {EXERCISES[check].lesson}" for check in checks))
    lines: list[list[str | int]] = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title],
        ["    Points Possible", "", "", "", "", len(checks)],
    ]
    for name, number, row in _learners(rows, CANVAS_NAME, "canvas.csv"):
        lines.append([name, number, "", "", "", row.score])
    write_whole(out / "canvas.csv", table(lines))


def write_moodle(rows: Sequence[Row], checks: Sequence[str], out: Path) -> None:
    """Write `moodle.csv`; Moodle knows a learner by the number in a submission's name alone."""
    head = ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)"]
    lines: list[list[str | int]] = [[*head, "Feedback comments"]]
    for name, number, row in _learners(rows, MOODLE_NAME, "moodle.csv"):
        if not number:
            row.for_teacher.append("not in moodle.csv: its name holds no number of a participant")
            continue
        said = [
            f"<p><b>{check}: {row.outcome(check)}</b> {code_in_html(verdict.message)}</p>"
            for check, verdict in row.checks.items()
            if not verdict.passed
        ]
        numbers = [row.score, len(checks)]
        lines.append([f"Participant {number}", name, *numbers, "-", "".join(said)])
    write_whole(out / "moodle.csv", table(lines))


def write_gradescope(rows: Sequence[Row], checks: Sequence[str], out: Path) -> None:
    """Write `gradescope/NAME/results.json` for each submission, with a test for each check."""
    for row in rows:
        folder = out / "gradescope" / row.page.removesuffix(".html")
        folder.mkdir(parents=True, exist_ok=True)
        notes = [row.status] * (row.status != "graded") + row.notes
        tests = [
            {
                "name": f"{check}: {row.outcome(check)}",
                "score": int(row.counts(check)),
                "max_score": 1,
                "status": "passed" if row.counts(check) else "failed",
                "output": row.checks[check].message,
            }
            for check in checks
        ]
        results = {"output": "\n".join(notes), "visibility": "visible", "tests": tests}
        write_whole(folder / "results.json", json.dumps(results, indent=1))


FORMATS = {"canvas": write_canvas, "moodle": write_moodle, "gradescope": write_gradescope}


def _learners(
    rows: Sequence[Row], pattern: re.Pattern[str], file: str
) -> list[tuple[str, str, Row]]:
    """Name, number ('' for none) and row of each learner; what is left out, for a teacher to look at, says so.

    Of several files of one learner the best counts.
    """
    found: list[tuple[str, str, Row]] = []
    numbers = set[str]()
    for row in sorted(rows, key=lambda row: -row.score):
        match = pattern.fullmatch(row.submission)
        name, number = match.group("name", "number") if match else (row.submission, "")
        if not row.graded or row.faults:
            row.for_teacher.append(f"not in {file}: it was not graded whole")
        elif number in numbers:
            row.for_teacher.append(f"not in {file}: another file of this learner passed more")
        else:
            found.append((name.removesuffix(".ipynb"), number, row))
            numbers |= {number} - {""}
    return sorted(found, key=lambda learner: learner[2].submission)
