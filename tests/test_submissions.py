"""Submissions as learners send them get the outcome that a teacher would give."""

import pytest
from submissions import grade_here
from traits import CHECKS, TRAITS

from vae_helpers.grading.rows import CARRIED

LETTERS = {"right": "r", CARRIED: "c", "wrong": "w", "not attempted": "n"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """All of them graded in one run."""
    folder = tmp_path_factory.mktemp("in")
    for number, (content, _) in enumerate(TRAITS.values()):
        (folder / f"{number:03d}.ipynb").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        found = grade_here(folder, patch, CHECKS)
    return {name: found[f"{number:03d}.ipynb"] for number, name in enumerate(TRAITS)}


@pytest.mark.parametrize("name", TRAITS)
def test_a_submission_has_its_fair_outcome(rows, name):
    row, fair = rows[name], TRAITS[name][1]
    if not row.graded:
        assert fair in row.status
        return
    got = "".join(LETTERS[row.state(check)] for check in CHECKS)
    assert got == fair, [(check, verdict.message) for check, verdict in row.checks.items()]
