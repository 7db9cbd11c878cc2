"""Submissions as learners send them get the outcome that a teacher would give."""

import os

import pytest
from submissions import grade_here, notebook
from traits import BASE, CHECKS, TRAITS, is_fair

from vae_helpers.grading.pages import class_page, feedback_page


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


NAMES = (
    'it\'s "mine".ipynb',
    "🎲 σ² 06.ipynb",
    "<b>06<br>.ipynb",
    "=cmd|' !A0.ipynb",
    "06 (1).ipynb",
    "Zoe\u0308.ipynb",
    "Zo\u00eb.ipynb",
    "-rf.ipynb",
    "a;b&c|d.ipynb",
    "UPPER.IPYNB",
    "%s {x}.ipynb",
    "06\n.ipynb",
    "nul.ipynb",
    "x" * 200 + ".ipynb",
    "a\\b.ipynb",
    "06.ipynb.ipynb",
    "\u202egpj.ipynb",
)


def test_a_name_may_be_anything(tmp_path, monkeypatch):
    for name in NAMES:
        (tmp_path / name).write_bytes(notebook(*BASE))
    rows = grade_here(tmp_path, monkeypatch, CHECKS[1:2])
    assert set(rows) == set(NAMES)
    assert {row.score for row in rows.values()} == {1}
    pages = {row.page.lower() for row in rows.values()}
    assert len(pages) == len(NAMES)
    assert all(page.isascii() and len(page) < 100 and os.sep not in page for page in pages)
    for page in (class_page([*rows.values()], CHECKS[1:2]), feedback_page(rows["<b>06<br>.ipynb"])):
        assert "<b>06" not in page
        assert "&lt;b&gt;06&lt;br&gt;.ipynb" in page


def test_an_answer_under_another_name_is_named(tmp_path, monkeypatch):
    other = [cell.replace("kl_divergence", "kl_loss") for cell in BASE]
    (tmp_path / "a.ipynb").write_bytes(notebook(*other))
    verdict = grade_here(tmp_path, monkeypatch, ("kl_divergence",))["a.ipynb"].checks[
        "kl_divergence"
    ]
    assert not verdict.attempted
    assert "It has a `kl_loss" in verdict.message
    assert "name it `kl_divergence`" in verdict.message
