"""The pages that grading writes: feedback for one submission, and an overview of the class. Each is one HTML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from jinja2 import Environment, PackageLoader, StrictUndefined

from vae_helpers.checks import HINTS, MARKS, ZOO, code_in_html

from .rows import CARRIED, Row

ALL_MARKS = {"right": MARKS["right"], CARRIED: ("↳", "#56B4E9")} | MARKS
NO_MARK = ("–", "#7F7F7F")  # of what was not graded

_pages = Environment(
    loader=PackageLoader(__package__, ""),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_pages.filters["code"] = code_in_html  # escapes what it is given
_pages.globals |= {"MARKS": ALL_MARKS, "NO_MARK": NO_MARK, "HINTS": HINTS, "ZOO": ZOO}


def feedback_page(row: Row) -> str:
    """What one learner gets to read: the words of the notebook, and a hint where a mistake has no name."""
    return _pages.get_template("feedback.html").render(title=row.submission, row=row)


def class_page(rows: Sequence[Row], checks: Sequence[str]) -> str:
    """What a teacher looks at: how each exercise went, which mistakes were made how often, and every submission."""
    graded = [row for row in rows if row.graded]
    return _pages.get_template("class.html").render(
        title="The class",
        rows=rows,
        checks=checks,
        graded=graded,
        median=median(row.score for row in graded) if graded else None,
        counts={check: Counter(row.state(check) for row in graded) for check in checks},
        mistakes=common_mistakes(graded),
    )


def common_mistakes(rows: Sequence[Row]) -> list[tuple[str, list[str], list[Row]]]:
    """Each mistake of the zoo that was found: the exercises, and who made it; the most frequent first."""
    found: dict[str, tuple[list[str], list[Row]]] = {}
    for row in rows:
        for name, verdict in row.checks.items():
            if verdict.diagnosis:
                exercises, learners = found.setdefault(verdict.diagnosis, ([], []))
                if name not in exercises:
                    exercises.append(name)
                if row not in learners:
                    learners.append(row)
    return sorted(((bug, *both) for bug, both in found.items()), key=lambda m: -len(m[2]))
