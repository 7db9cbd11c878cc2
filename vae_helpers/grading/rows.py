"""The row of one submission in the table of results."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from vae_helpers.checks import EXERCISES, Verdict

LESSONS = {
    lesson: tuple(name for name, exercise in EXERCISES.items() if exercise.lesson == lesson)
    for lesson in dict.fromkeys(exercise.lesson for exercise in EXERCISES.values())
    if lesson
}
CARRIED = "carried forward"  # wrong by another answer's mistake alone
NOT_GRADED = Verdict(False, False, None, "Not graded.")


@dataclass
class Row:
    """What became of one submission: a verdict for each check, and a status.

    The status is 'graded', 'stopped' (a limit ended a part of it), 'incomplete' (a check of the course failed), or
    'not graded: ' and the reason. `faults` holds, by check, the exception that the check itself raised. `follows`
    holds, by check, which wrong answers alone made this one wrong: it counts. `notes` are for the learner too,
    `for_teacher` are not. `digest` is of all that the row depends on, `answers` of the notebooks.
    """

    submission: str
    status: str = "graded"
    notebook: str = ""
    notes: list[str] = field(default_factory=list)
    for_teacher: list[str] = field(default_factory=list)
    checks: dict[str, Verdict] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    follows: dict[str, list[str]] = field(default_factory=dict)
    digest: str = ""
    answers: str = ""

    @property
    def graded(self) -> bool:
        """Whether there was a notebook to grade."""
        return not self.status.startswith("not graded")

    @property
    def passed(self) -> int:
        """The number of checks passed by the notebook as it stands."""
        return sum(verdict.passed for verdict in self.checks.values())

    @property
    def score(self) -> int:
        """The number of checks that count: those passed, and those whose error was carried forward."""
        return self.passed + len(self.follows)

    def counts(self, check: str) -> bool:
        """Whether a check adds to the score."""
        return self.checks[check].passed or check in self.follows

    @property
    def page(self) -> str:
        """The name of its feedback page, safe on every system."""
        return f"{file_name(self.submission)}.html"

    def state(self, check: str) -> str:
        """'right', 'carried forward', 'wrong', 'not attempted'; or 'not checked', where the check itself failed."""
        if check in self.follows:
            return CARRIED
        return "not checked" if check in self.faults else self.checks[check].status

    def outcome(self, check: str) -> str:
        """'right', 'wrong', 'wrong: MISTAKE', 'follows from ANSWER', 'not attempted', or 'not checked'."""
        if check in self.follows:
            return f"follows from {' and '.join(self.follows[check])}"
        diagnosis = self.checks[check].diagnosis
        return f"{self.state(check)}: {diagnosis}" if diagnosis else self.state(check)


def file_name(submission: str) -> str:
    """A safe file name for a submission: the letters and digits of its name, and a digest that no other name has."""
    plain = re.sub(r"[^a-z0-9]+", "-", submission.lower().removesuffix(".ipynb")).strip("-")[:60]
    digest = hashlib.sha256(submission.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{plain or 'submission'}-{digest}"
