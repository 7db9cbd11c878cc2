"""Submissions as learners send them get the outcome that a teacher would give."""

import pytest
from submissions import grade_here
from traits import CHECKS, TRAITS, is_fair


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
    row = rows[name]
    assert is_fair(row, TRAITS[name][1]), (
        row.status,
        [(check, row.outcome(check), verdict.message) for check, verdict in row.checks.items()],
    )
