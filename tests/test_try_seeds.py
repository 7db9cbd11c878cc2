"""The tool that runs lessons with other seeds: it sees what fails, and it goes on where it was stopped."""

import json

import nbformat
import pytest
import try_seeds
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SHAPES = "nbval-check-output"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("torch.manual_seed(0)", "torch.manual_seed(3)"),
        ("torch.Generator().manual_seed(10)", "torch.Generator().manual_seed(13)"),
        ("KMeans(4, random_state=1)", "KMeans(4, random_state=4)"),
        ("sample(z, seed=2)", "sample(z, seed=5)"),
        ("manual_seed(run)", "manual_seed(run)"),
        ("x = reseed(0)", "x = reseed(0)"),
    ],
)
def test_a_seed_is_added_to_each_that_is_named(source, expected):
    assert try_seeds.reseeded(source, 3) == expected


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """A lesson with a claim that holds for an even sum of seeds, and with a text that must not vary."""
    book = new_notebook(
        cells=[
            new_markdown_cell("One."),
            new_code_cell("manual_seed = int\nseed = manual_seed(0)"),
            new_code_cell("assert seed % 2 == 0"),
            new_code_cell(
                "print(seed // 4)",
                metadata={"tags": [SHAPES]},
                outputs=[new_output("stream", name="stdout", text="0\n")],
            ),
            new_code_cell("raise KeyError(0)", metadata={"tags": ["raises-exception"]}),
        ]
    )
    nbformat.write(book, tmp_path / "00_lesson.ipynb")
    (tmp_path / "solutions").mkdir()
    monkeypatch.setattr(try_seeds, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(try_seeds, "RESULTS", tmp_path)
    return tmp_path / "00_lesson.ipynb"


@pytest.mark.parametrize(("seed", "cells"), [(0, []), (1, [2]), (4, [3])])
def test_each_cell_that_fails_is_listed(lesson, seed, cells):
    before = lesson.read_bytes()
    row = try_seeds.run(try_seeds.Setting("00_lesson", seed, "default", 1))
    assert [fault["cell"] for fault in row["failed"]] == cells
    if 2 in cells:
        assert row["failed"][0]["error"].startswith("AssertionError")
        assert "assert seed % 2 == 0" in row["failed"][0]["line"]
    assert row["seconds"] > 0
    assert lesson.read_bytes() == before


def test_it_goes_on_where_it_was_and_runs_a_changed_lesson_again(lesson, monkeypatch, capsys):
    ran = []

    def run(setting, device):
        ran.append(setting)
        failed = [{"cell": 2, "error": "AssertionError", "line": ""}] * (setting.seed == 3)
        row = {"digest": try_seeds.digest(lesson), "seconds": 1.0, "failed": failed}
        return try_seeds.asdict(setting) | row

    monkeypatch.setattr(try_seeds, "run", run)
    monkeypatch.setattr(try_seeds, "missing", lambda instructions: instructions == "avx512")
    for expected in (10, 0):
        ran.clear()
        with pytest.raises(SystemExit) as left:
            try_seeds.main(["--all"])
        assert (left.value.code, len(ran)) == (1, expected)
    printed = capsys.readouterr().out
    assert "This machine cannot run avx512: left out." in printed
    assert "00_lesson, seed 3, avx2, threads: 2: 1 s, 1 failed" in printed
    kept = json.loads((lesson.parent / "try_seeds.json").read_text("utf-8"))["runs"]
    assert {row["threads"] for row in kept} == {1, 2, 4}
    book = nbformat.read(lesson, as_version=4)
    book.cells[1].source += "  # changed"
    nbformat.write(book, lesson)
    with pytest.raises(SystemExit):
        try_seeds.main(["--all"])
    assert len(ran) == 10


def test_a_run_that_does_not_come_to_its_end_takes_no_other_with_it(lesson, monkeypatch, capsys):
    broken = [True]

    def run(setting, device):
        if setting.seed == 1 and broken[0]:
            raise RuntimeError("Kernel died")
        row = {"digest": try_seeds.digest(lesson), "seconds": 1.0, "failed": []}
        return try_seeds.asdict(setting) | row

    monkeypatch.setattr(try_seeds, "run", run)
    monkeypatch.setattr(try_seeds, "missing", lambda instructions: False)
    for status, rows, lost in ((1, 12, 3), (0, 15, 0)):
        with pytest.raises(SystemExit) as left:
            try_seeds.main(["--all"])
        printed = capsys.readouterr().out
        assert left.value.code == status
        assert f"{rows} runs, 0 with a failing cell, {lost} without a result" in printed
        assert printed.count("no result, RuntimeError: Kernel died") == lost
        kept = json.loads((lesson.parent / "try_seeds.json").read_text("utf-8"))["runs"]
        assert len(kept) == rows
        broken[0] = False


@pytest.mark.parametrize(
    ("told", "lacks"),
    [
        ("DEFAULT", ["avx2", "avx512"]),
        ("AVX2", ["avx512"]),
        ("AVX512", []),
        ("NEON", ["avx2", "avx512"]),
    ],
)
def test_what_a_processor_lacks_is_asked_without_a_wish(told, lacks, monkeypatch):
    def answer(command, *, env, text):
        assert "ATEN_CPU_CAPABILITY" not in env  # torch would say what it was told
        return f"{told}\n"

    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    monkeypatch.setattr(try_seeds.subprocess, "check_output", answer)
    assert [name for name in try_seeds.INSTRUCTIONS if try_seeds.missing(name)] == lacks


def test_an_unknown_lesson_is_named(lesson):
    with pytest.raises(SystemExit, match=r"There is no lesson '99'. There are: 00_lesson."):
        try_seeds.main(["99"])
