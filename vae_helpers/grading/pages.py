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
        points=for_the_next_lesson(graded, checks),
    )


def for_the_next_lesson(rows: Sequence[Row], checks: Sequence[str]) -> list[tuple[str, str]]:
    """What several learners did not get, and what to say about it: at most three mistakes, then what else was hard."""
    shares = [
        (f"{len(learners)} of {len(rows)} have {bug} in {' and '.join(exercises)}.", ZOO[bug])
        for bug, exercises, learners in common_mistakes(rows)[:3]
        if len(learners) > 1
    ]
    points = [(what, f"{mistake.why} {mistake.change}") for what, mistake in shares]
    for check in checks:
        for state in ("wrong", "not attempted"):
            some = [row for row in rows if row.state(check) == state]
            unnamed = [row for row in some if not row.checks[check].diagnosis]
            if len(unnamed) > 1 and 4 * len(unnamed) >= len(rows):
                what = f"{len(unnamed)} of {len(rows)} have {check} {state}"
                what += ", by a mistake without a name." if state == "wrong" else "."
                points.append((what, f"A question for the class: {HINTS[check][0]}"))
    return points


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
