"""Grading: what is found and run, what becomes of unlucky submissions, and what is written."""

import csv
import errno
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from submissions import (
    EXERCISE,
    IMPORTS,
    PROJECT,
    RIGHT,
    notebook,
    source_of,
    with_walk,
)

from vae_helpers import grading
from vae_helpers.__main__ import main
from vae_helpers.checks import EXERCISES, HINTS, NAMES, ZOO, Verdict, holder_of, judge, probe
from vae_helpers.files import write_whole
from vae_helpers.grading import attempt, batch, child, collecting, containment, gradebooks
from vae_helpers.grading.collecting import CollectingError, Submission, collect
from vae_helpers.grading.notebook import Notebook, UnreadableError, cells_of, run_definitions
from vae_helpers.grading.pages import class_page, feedback_page, for_the_next_lesson
from vae_helpers.grading.rows import NOT_GRADED, Row
from vae_helpers.grading.wire import pack, unpack

ROOT = Path(__file__).parents[1]


# --- reading a notebook -------------------------------------------------------------------------


def test_cells_are_read_whatever_program_wrote_them():
    text = notebook("name = 'Zoë'", "x = 1").decode().replace("\\u00eb", "ë")
    old = json.dumps(
        {"worksheets": [{"cells": [{"cell_type": "code", "input": ["a = 1\n", "b = 2"]}]}]}
    )
    colab = notebook("x = 1", kernelspec={"name": "python3"}, colab={"provenance": []})
    code = notebook("x = 1", language_info={"name": "python", "version": "3.13.1"})
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"):
        assert cells_of(text.encode(encoding)) == ["name = 'Zoë'", "x = 1"], encoding
    assert cells_of(old.encode()) == ["a = 1\nb = 2"]
    assert cells_of(colab) == cells_of(code) == ["x = 1"]
    whole = json.dumps(
        {"cells": [{"cell_type": "code", "source": "a = 1"}, {"cell_type": "raw"}, 3]}
    )
    assert cells_of(whole.encode()) == ["a = 1"]


@pytest.mark.parametrize(
    "change",
    [
        {"nbformat": 5},
        {"nbformat": "4"},
        {"nbformat_minor": "x"},
        {"metadata": 3},
        {"outputs": 3},
        {"id": "the same"},
        {"id": "not valid!"},
        {"outputs": [{"output_type": "stream", "name": "stdout", "text": "x" * 20_000_000}]},
    ],
    ids=range(8),
)
def test_damage_beside_the_sources_does_not_matter(change):
    held = json.loads(notebook("x = 1", "y = 2"))
    for holder in (held, *held["cells"]):
        holder.update(change)
    assert cells_of(json.dumps(held).encode()) == ["x = 1", "y = 2"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b" \n ", "the file is empty"),
        (b'{"cells": [', "no valid JSON"),
        (b"\xff\xfe\x00garbage", "no valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "it holds no cells"),
        (b'{"cells": 3}', "it holds no cells"),
        (b'{"worksheets": [], "metadata": 3}', "it holds no cells"),
        (b'{"worksheets": [7]}', "it holds no cells"),
        (notebook("x <- 1", kernelspec={"language": "R"}), "another language: R"),
        (notebook("x", language_info={"name": "julia"}), "another language: julia"),
    ],
    ids=range(11),
)
def test_what_is_no_python_notebook_is_named(data, said):
    with pytest.raises(UnreadableError, match=said):
        cells_of(data)


# --- what of it is run --------------------------------------------------------------------------


def run(cells, *names):
    read = Notebook(cells)
    space = {"__name__": "__main__"}
    errors = run_definitions(read.needed(*names), space)
    return space, errors, read


def test_training_is_not_run_and_not_missed():
    cells = [
        "import torch\nimport not_installed_anywhere",
        "scale = 3\nboom = 1 / 0\ndata = open('/no/such/file').read()",
        "def helper(x):\n    data = x\n    return scale * data\n\nhelper(None.missing)",
        "for i in range(10):\n    raise RuntimeError('training')",
        "with open('x') as f:\n    kept = f",
        "def walk(points, steps):\n    return helper(points) + steps",
        "loss = walk(torch.zeros(1), 1).backward()",
    ]
    space, errors, _ = run(cells, "walk")
    assert errors == []
    assert space["walk"](2, 1) == 7
    assert not {"boom", "data", "loss", "kept", "torch"} & set(space)


def test_cells_may_be_split_merged_reordered_and_deleted():
    split = ["class VAE:\n    pass", "def encode(self):\n    return 1", "VAE.encode = encode"]
    space, errors, _ = run(split, "VAE")
    assert (errors, space["VAE"]().encode()) == ([], 1)
    turned = ["class VAE(Base):\n    pass", "class Base:\n    size = BIG", "BIG = 5"]
    space, errors, _ = run(turned, "VAE")
    assert (errors, space["VAE"].size) == ([], 5)
    twice = ["def walk():\n    return 1", "def walk():\n    return 2"]
    assert run(["\n".join(twice)], "walk")[0]["walk"]() == 2
    space, errors, read = run(turned[:1], "VAE")
    assert "VAE" not in space
    assert errors == ["code cell 1, line 1: NameError: name 'Base' is not defined"]
    assert read.defined == ["VAE"]


def test_constants_in_every_form_are_run_where_they_are_needed():
    cells = [
        "a, (b, *c) = 1, (2, 3, 4)\nweight: float = 0.5\nkl = lambda: a + b + c[0]",
        "try:\n    import not_there\nexcept ImportError:\n    not_there = None",
        "if a:\n    device = 'cpu'\nelse:\n    device = 'cuda'",
        "table = {}\ntable['key'] = weight",
        "def walk():\n    return kl(), not_there, device, table",
    ]
    space, errors, _ = run(cells, "walk")
    assert errors == []
    assert space["walk"]() == (6, None, "cpu", {"key": 0.5})


def test_blocks_around_definitions_keep_these_and_lose_the_rest():
    cells = [
        "import sys\nif 'torch' in sys.modules:\n    device = 'cpu'\n    print(1 / 0)\nelse:\n    device = 'x'",
        "try:\n    import not_there as np\nexcept ImportError:\n    !pip install numpy\n    import math as np",
        "if __name__ == '__main__':\n    'a string'\n    for i in range(3):\n        1 / 0\n    rate = 3",
        "import contextlib\nwith contextlib.suppress(ValueError):\n    K = 1\n    1 / 0\nK += 1",
        "with check.if_written():\n    device = train()",
        "try:\n    raise ValueError\nexcept ValueError:\n    raised = True",
        "def walk():\n    return device, np.pi, rate, K, raised",
    ]
    space, errors, _ = run(cells, "walk")
    assert errors == []
    assert space["walk"]() == ("cpu", math.pi, 3, 2, True)


def test_what_changes_a_needed_name_is_run_and_no_loop_that_trains():
    cells = [
        "import argparse\nparser = argparse.ArgumentParser()\ngroup = parser.add_argument_group('sizes')",
        "group.add_argument('--size', default=3)\nprint(1 / 0)",
        "args, _ = parser.parse_known_args([])",
        "layers, unused = [], []\nfor n in range(args.size):\n    layers.append(n)\nunused.append(1 / 0)",
        "if layers:\n    for n in layers:\n        layers.append(n) if n < 0 else None\n    unused.append(1 / 0)",
        "class Model: pass\nsetattr(Model, 'rate', 0.5)",
        "beta = 1\nfor epoch in range(3):\n    beta = epoch\n    loss.backward()",
        "def one_epoch():\n    optimizer.step()",
        "while True:\n    one_epoch()\n    beta = 7\nlayers.append(trainer.fit(Model))",
        "if True:\n    for epoch in range(3):\n        beta = one_epoch()\n    beta += 1",
        "def walk():\n    return layers, Model.rate, beta",
    ]
    space, errors, _ = run(cells, "walk")
    assert errors == []
    assert space["walk"]() == ([0, 1, 2], 0.5, 2)
    assert space["unused"] == []
    assert "one_epoch" not in space


def test_a_change_that_had_to_wait_is_made_unless_the_name_is_new():
    late = ["sizes = []", "sizes.append(K)", "K = 3", "def walk():\n    return sizes"]
    space, errors, _ = run(late, "walk")
    assert (errors, space["walk"]()) == ([], [3])
    anew = ["sizes = []", "sizes.append(K)", "sizes = [1]", "K = 3", late[-1]]
    space, errors, _ = run(anew, "walk")
    assert (errors, space["walk"]()) == ([], [1])


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="annotations are not looked at there")
def test_annotations_are_read_as_the_notebook_has_it():
    cells = ["def walk(p: Unknown):\n    return 1"]
    assert run(cells, "walk")[1] == [
        "code cell 1, line 1: NameError: name 'Unknown' is not defined"
    ]
    assert run(["from __future__ import annotations", "'…'", *cells], "walk")[1] == []


def test_cells_that_ipython_alone_can_read_are_read_as_it_does():
    cells = [
        "    def indented():\n        return 1",
        ">>> def prompt():\n...     return 2",
        "def shows():\n    display(get_ipython().run_line_magic('time', ''))\n    return 3",
    ]
    read = Notebook(cells)
    assert read.unreadable == []
    space = {"display": print, "get_ipython": print}
    assert run_definitions(read.needed("indented", "prompt"), space) == []
    assert space["indented"]() + space["prompt"]() == 3


def test_a_statement_that_had_to_wait_does_not_overwrite_a_later_one():
    cells = ["walk = make(K)", "def walk():\n    return 'mine'", "def make(k): return k", "K = 3"]
    space, errors, _ = run(cells, "walk")
    assert (errors, space["walk"]()) == ([], "mine")


def test_what_only_ipython_understands_is_left_out():
    cells = [
        "%matplotlib inline\n!pip install torch\nimport math",
        "%%time\ndef walk():\n    return math.pi",
        "%%bash\nrm -rf x",
        "files = !ls\nmath?\n?math\nshare = 7 % 4",
        "def broken(:\n    pass",
        "%%capture out\nleft = 1",
    ]
    space, errors, read = run(cells, "walk", "share", "left")
    assert errors == []
    assert (round(space["walk"](), 2), space["share"], space["left"]) == (3.14, 3, 1)
    assert read.unreadable == ["code cell 5, line 1: invalid syntax"]


@pytest.mark.parametrize(
    ("cells", "borrowed"),
    [
        (["from vae_helpers.answers import walk"], True),
        (["from vae_helpers import answers", "walk = answers.walk"], True),
        (
            ["from vae_helpers import answers as a", "def walk(p, s):\n    return a.walk(p, s)"],
            True,
        ),
        (["import vae_helpers as v", "def walk(p, s):\n    return v.answers.walk(p, s)"], True),
        (["import vae_helpers.answers as v", "def walk(p, s):\n    return v.walk(p, s)"], True),
        (["import importlib", "walk = importlib.import_module('vae_helpers.answers').walk"], True),
        (
            ["def walk(p, s):\n    from vae_helpers.answers import walk as w\n    return w(p, s)"],
            True,
        ),
        (["from vae_helpers.answers import *"], True),
        (["from vae_helpers.objectives import *", "def walk(p, s):\n    return elbo(p, s)"], True),
        (["from vae_helpers.answers import walk", *source_of("walk")], False),
        ([*source_of("walk"), "from vae_helpers.answers import walk"], True),
        (["from vae_helpers.answers import walk", "old = walk", "def walk(p, s): old(p, s)"], True),
        (["from vae_helpers import load_images, fit", *source_of("walk")], False),
        (["from vae_helpers.answers import VAE", *source_of("walk")], False),
        (
            ["from vae_helpers.answers import prior_grid", "def walk(p, s):\n    prior_grid(3)"],
            False,
        ),
    ],
)
def test_the_courses_own_answers_are_noticed(cells, borrowed):
    assert Notebook(cells).borrowed("walk") is borrowed


def test_a_helper_that_takes_the_courses_answer_is_noticed():
    cells = ["import vae_helpers", "def mine(m, v):\n    return vae_helpers.kl_divergence(m, v)"]
    cells.append("def kl_divergence(mu, logvar):\n    return mine(mu, logvar)")
    read = Notebook([*cells, *source_of("loss_function")])
    assert read.borrowed("kl_divergence")
    assert not read.borrowed(
        "loss_function"
    )  # it calls another exercise, which is judged by itself


# --- records --------------------------------------------------------------------------------------


def verdict_in_row(name, frame):
    row = Row("ann")
    attempt._judge(row, name, frame, 1, False)
    return row.checks[name]


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_record_is_judged_wrong_and_harms_nothing(name, monkeypatch):
    """Every array of a right record in turn replaced by others of any shape, and by text."""
    from vae_helpers import answers

    answer = getattr(answers, holder_of(name))
    right = probe(name, answer, seed=1)
    assert judge(name, right, seed=1).passed
    forged = [np.zeros(()), np.zeros((0,)), np.zeros((3, 0)), np.full((1, 1, 1, 2), np.nan)]
    forged += [np.ones((10_000, 1)), np.full((2, 2), 1e308), np.array([1, 2], np.uint8), "text"]
    forged = [unpack(pack({"value": value}))["value"] for value in forged]
    own = [key for key in right if "/" not in key]  # a part has an exercise of its own
    assert own
    for key in own:
        without = {k: v for k, v in right.items() if k != key}
        for record in [without, *(right | {key: value} for value in forged)]:
            monkeypatch.setattr(attempt, "unpack", lambda _, record=record: record)
            assert isinstance(verdict_in_row(name, b""), Verdict)


NO_STRINGS = b'{"__metadata__":null}'


def test_a_judge_that_fails_is_a_fault_of_the_course(tmp_path, monkeypatch):
    def fails(name, record, *, seed):
        assert name != "walk", "on <purpose>"
        return judge(name, record, seed=seed)

    monkeypatch.setattr(attempt, "judge", fails)
    monkeypatch.setattr(batch, "find_containment", lambda **_: False)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ann.ipynb").write_bytes(RIGHT)
    out = tmp_path / "out"
    (row,) = grading.grade(tmp_path / "in", out, lessons=["07"])
    assert (row.status, row.score, row.notes) == ("incomplete", 2, [])
    assert row.checks["walk"] == NOT_GRADED
    (note,) = row.for_teacher
    assert "the check of walk failed (AssertionError: on <purpose>" in note
    assert "a fault of the course" in note
    with (out / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        (line,) = csv.DictReader(file)
    assert (line["status"], line["walk"], line["prior_grid"]) == (
        "incomplete",
        "not checked",
        "right",
    )
    page = (out / "feedback" / row.page).read_text("utf-8")
    assert "! walk: not checked" in page
    assert "a fault of the course, not of your answer" in page
    assert "A hint" not in page
    assert "AssertionError: on &lt;purpose&gt;" in (out / "class.html").read_text("utf-8")
    monkeypatch.undo()  # the fault is mended
    monkeypatch.setattr(batch, "find_containment", lambda **_: False)
    (row,) = grading.grade(tmp_path / "in", out, lessons=["07"])
    assert (row.status, row.score) == ("graded", 3)


def test_a_probe_that_fails_is_a_fault_of_the_course_too(monkeypatch):
    def broken(*_, **__):
        raise LookupError("on purpose")

    monkeypatch.setattr(child, "probe", broken)
    sent = pack(child._probed("walk", {"walk": lambda p, s: p}, Notebook([]), 1))
    row = Row("ann")
    attempt._judge(row, "walk", sent, 1, False)
    assert row.state("walk") == "not checked"
    assert "LookupError: on purpose" in row.faults["walk"]


def test_a_record_that_holds_nothing_is_not_attempted():
    frame = len(NO_STRINGS).to_bytes(8, "little") + NO_STRINGS
    verdict = attempt.verdict_on("walk", frame, 1, False)
    assert (verdict.passed, verdict.attempted) == (False, False)


def test_only_what_was_sent_before_the_notebook_ran_tells_what_it_borrows():
    before, after = (
        b'{"borrowed": ["walk"], "unreadable": []}',
        b'{"borrowed": [], "errors": ["x"]}',
    )
    facts, records = attempt.facts_in([b"ready", before, after, b"record"])
    assert facts == {"borrowed": ["walk"], "unreadable": [], "errors": ["x"], "uses": {}}
    assert records == [b"record"]


@pytest.mark.parametrize("frame", [b"", b"junk", b"\xff" * 40, (1 << 60).to_bytes(8, "little")])
def test_bytes_that_are_no_record_are_wrong(frame):
    with pytest.raises(ValueError, match="not a record"):
        unpack(frame)
    verdict = attempt.verdict_on("walk", frame, 1, False)
    assert (verdict.passed, verdict.attempted) == (False, True)
    assert "cannot be read" in verdict.message


def test_an_array_beyond_any_right_answer_is_refused(monkeypatch):
    monkeypatch.setattr(attempt, "LARGEST_ARRAY", 10)
    verdict = attempt.verdict_on("walk", pack({"a": np.zeros(11)}), 1, False)
    assert "larger than any right answer" in verdict.message


# --- finding submissions --------------------------------------------------------------------------


def names(found):
    return {item.name: item.notebooks or item.problem for item in found}


def test_a_folder_may_hold_notebooks_folders_and_archives(tmp_path):
    source, work = tmp_path / "in", tmp_path / "work"
    (source / "cy" / "deep").mkdir(parents=True)
    (source / "dora").mkdir()
    (source / "empty").mkdir()
    work.mkdir()
    (source / "ann.ipynb").write_bytes(RIGHT)
    (source / "ben.docx").write_bytes(b"x")
    (source / ".DS_Store").write_bytes(b"x")
    (source / "cy" / "deep" / "06.ipynb").write_bytes(RIGHT)
    (source / "cy" / ".ipynb_checkpoints").mkdir()
    (source / "cy" / ".ipynb_checkpoints" / "06-checkpoint.ipynb").write_bytes(RIGHT)
    for path in (source / "dora" / "work.zip", source / "eve.zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("week1/07.ipynb", RIGHT)
            archive.writestr("week2/07.ipynb", RIGHT)
            archive.writestr("inner.zip", b"stays closed")
    os.mkfifo(source / "pipe")
    assert names(collect(source, work)) == {
        "ann.ipynb": ["ann.ipynb"],
        "ben.docx": "no notebook (.ipynb): there is only .docx",
        "cy": ["deep/06.ipynb"],
        "dora": ["work.zip/week1/07.ipynb", "work.zip/week2/07.ipynb"],
        "empty": "no notebook (.ipynb): there is nothing",
        "eve.zip": ["eve.zip/week1/07.ipynb", "eve.zip/week2/07.ipynb"],
        "pipe": "neither a file nor a folder",
    }


@pytest.mark.parametrize("around", ["", "all of them/"])
def test_an_archive_of_a_platform_is_read_like_its_folder(tmp_path, around):
    path, work = tmp_path / "export.zip", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{around}Ann Lee_123_file_/06.ipynb", RIGHT)
        archive.writestr(f"{around}Ann Lee_123_file_/helper.py", "x = 1")
        archive.writestr(f"{around}Ben_124_file_/06.ipynb", RIGHT)
        archive.writestr("__MACOSX/._06.ipynb", b"x")
    found = collect(path, work)
    assert names(found) == {"Ann Lee_123_file_": ["06.ipynb"], "Ben_124_file_": ["06.ipynb"]}
    assert found[0].files["helper.py"].read_text() == "x = 1"


def test_a_file_that_is_too_large_is_named_in_whatever_folder_of_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST_FILE", 100_000)
    for number, name in enumerate(["all/ann/06.ipynb", "ann/06.ipynb", "ann.ipynb"]):
        path, work = tmp_path / f"{number}.zip", tmp_path / f"{number}"
        work.mkdir()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, bytes(1_000_000))
            if number == 0:
                archive.writestr("all/ben/06.ipynb", RIGHT)
        found = names(collect(path, work))
        (problem,) = (value for value in found.values() if value != ["06.ipynb"])
        assert "MB: clear its outputs" in problem
        assert len(found) == 2 - bool(number)


def test_an_archive_cannot_reach_outside_or_swell(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST_FILE", 100_000)
    path, work = tmp_path / "evil.zip", tmp_path / "work"
    work.mkdir()
    link = zipfile.ZipInfo("linked.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../up.ipynb", RIGHT)
        archive.writestr("/root.ipynb", RIGHT)
        archive.writestr("C:\\a\\b.ipynb", RIGHT)
        archive.writestr("bomb.ipynb", bytes(10_000_000))
        archive.writestr(link, "/etc/passwd")
    found = names(collect(path, work))
    assert "MB" in found.pop("bomb.ipynb")
    assert found == {"..": ["../up.ipynb"], "root.ipynb": ["root.ipynb"], "C:": ["a/b.ipynb"]}
    assert sorted(tmp_path.iterdir()) == [path, work]
    assert all(file.name.isdigit() for file in work.iterdir())
    assert sum(file.stat().st_size for file in work.iterdir()) < 5 * len(RIGHT)
    monkeypatch.setattr(collecting, "LARGEST_ARCHIVE", 1_000)
    shutil.rmtree(work)
    work.mkdir()
    with pytest.raises(CollectingError, match=r"evil\.zip: it unpacks to more than the limit"):
        collect(path, work)
    monkeypatch.setattr(collecting, "MOST_FILES", 2)
    with pytest.raises(CollectingError, match="it holds more than 2 files"):
        collect(path, work)


def test_a_damaged_archive_is_the_problem_of_its_owner(tmp_path):
    source, work = tmp_path / "in", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        archive.writestr("06.ipynb", RIGHT)
    data = bytearray((source / "a.zip").read_bytes())
    data[60:80] = bytes(20)
    (source / "a.zip").write_bytes(data)
    (source / "b.zip").write_bytes(b"no archive")
    (source / "c.ipynb").write_bytes(RIGHT)
    found = names(collect(source, work))
    assert found["c.ipynb"] == ["c.ipynb"]
    assert "a.zip: it cannot be unpacked: " in found["a.zip"]
    assert found["b.zip"] == "b.zip: it cannot be unpacked: File is not a zip file"


def test_an_archive_damaged_anywhere_costs_its_owner_alone(tmp_path):
    source, random = tmp_path / "in", np.random.default_rng(0)
    source.mkdir()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    for number in range(120):
        with zipfile.ZipFile(source / f"{number}.zip", "w", kinds[number % 4]) as archive:
            archive.writestr("ü 06.ipynb", RIGHT)
        data = bytearray((source / f"{number}.zip").read_bytes())
        for place in random.integers(0, len(data), 3):
            data[place] ^= int(random.integers(1, 256))
        (source / f"{number}.zip").write_bytes(data)
    found = collect(source, tmp_path)
    assert len(found) == 120
    assert sum(bool(item.problem) for item in found) > 60


def test_an_archive_in_a_submission_has_a_limit_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST_INNER_ARCHIVE", 1_000)
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("06.ipynb", bytes(2_000))
    (found,) = collect(tmp_path / "in", tmp_path)
    assert found.problem == "a.zip: it unpacks to more than the limit"


@pytest.mark.parametrize(
    ("names", "is_class"),
    [
        (["06_exercise.ipynb", "07_mini_project.ipynb"], False),
        (["ann_06.ipynb", "ben_06.ipynb"], True),
        (["ann.ipynb", "ben.ipynb"], True),
        (["06.ipynb", "helper.py"], False),
        (["ann/06.ipynb", "ben/06.ipynb"], True),
    ],
)
def test_a_folder_in_an_archive_is_a_class_or_one_learner(names, is_class):
    folder = collecting.Submission("folder", dict.fromkeys(names, Path("x")))
    assert collecting._holds_a_class(folder) is is_class


def test_what_cannot_be_read_or_fails_in_any_other_way_costs_one_row(tmp_path, monkeypatch):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / f"{name}.ipynb").write_bytes(RIGHT)
    real = Path.open

    def guarded(self, *arguments, **settings):
        if self.name == "b.ipynb":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **settings)

    def fails(submission, *arguments):
        assert submission.name != "c.ipynb", "on purpose"
        return Row(submission.name, checks=dict.fromkeys(PROJECT, NOT_GRADED))

    monkeypatch.setattr(Path, "open", guarded)
    monkeypatch.setattr(batch, "grade_submission", fails)
    monkeypatch.setattr(batch, "find_containment", lambda **_: True)
    rows = grading.grade(source, tmp_path / "out", lessons=["07"])
    monkeypatch.undo()
    assert [row.status.split(": on")[0] for row in rows] == [
        "graded",
        "graded",
        "not graded: the grader failed: AssertionError",
    ]
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    monkeypatch.setattr(Path, "open", guarded)
    found = collect(source, tmp_path)
    assert found[1].problem == "b.ipynb cannot be read: Permission denied"


def test_a_large_notebook_is_not_read(tmp_path):
    with (tmp_path / "large.ipynb").open("wb") as file:
        file.truncate(200 << 20)
    (found,) = collect(tmp_path, tmp_path)
    assert found.problem.startswith("large.ipynb is larger than 50 MB: clear its outputs")


def test_what_holds_no_submissions_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or file"):
        collect(tmp_path / "nowhere", tmp_path)
    (tmp_path / "in").mkdir()
    with pytest.raises(CollectingError, match="it is empty"):
        collect(tmp_path / "in", tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(CollectingError, match="neither a folder nor a ZIP"):
        collect(tmp_path / "a.txt", tmp_path)


# --- a class ------------------------------------------------------------------------------------

ODD = '=1+1,"<img src=x onerror=alert(1)>\n.ipynb'


@pytest.fixture(scope="module")
def graded(tmp_path_factory, sealed):
    """A small class, graded once."""
    base = tmp_path_factory.mktemp("class")
    handed = base / "in"
    (handed / "ann").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "solutions" / "06_exercise.ipynb", handed / "ann" / "06.ipynb")
    for name in ("03_loss", "06_exercise", "07_mini_project"):  # 03 defines answers to 06
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", handed / "ann")
    (handed / "early").mkdir()
    shutil.copy(ROOT / "notebooks" / "03_loss.ipynb", handed / "early")
    shutil.copy(ROOT / "notebooks" / "06_exercise.ipynb", handed / "blank.ipynb")
    mutant = (
        "def kl_divergence(mu, logvar):\n    return -(1 + logvar - mu**2 - logvar.exp()).sum(1)"
    )
    mutant = notebook(IMPORTS, *source_of(*EXERCISE), mutant)
    (handed / "mutant.ipynb").write_bytes(mutant)
    (handed / "mutant copy.ipynb").write_bytes(mutant)
    borrowed = notebook("from vae_helpers.answers import *", "kl_divergance = 3")
    (handed / "borrowed.ipynb").write_bytes(borrowed)
    helped = notebook(
        "import mine\nfrom mine import kl", "kl_divergence = mine.kl", "def kl_div(): 0"
    )
    (handed / "helped").mkdir()
    (handed / "helped" / "06.ipynb").write_bytes(helped)
    (handed / "helped" / "mine.py").write_text(
        source_of("kl_divergence")[0].replace("Tensor", "object").replace("kl_divergence", "kl")
    )
    (handed / ODD).write_bytes(b"")
    (handed / "other.ipynb").write_bytes(notebook("x <- 1", kernelspec={"language": "R"}))
    rows = grading.grade(handed, base / "out", jobs=2)
    return {row.submission: row for row in rows}, handed, base / "out"


def test_the_notebooks_of_a_lesson_are_told_by_their_number():
    names = [
        "03_loss.ipynb",
        "a/06_exercise (1).ipynb",
        "hw06.ipynb",
        "mine.ipynb",
        "2006_vae.ipynb",
    ]

    def notebooks_of(lesson, names):
        return Submission("ann", dict.fromkeys(names, Path("x"))).notebooks_of(lesson)

    assert notebooks_of("06", names) == ["hw06.ipynb", "a/06_exercise (1).ipynb"]
    assert notebooks_of("07", names) == ["hw06.ipynb", "mine.ipynb", "2006_vae.ipynb"]
    lessons = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert lessons == list(collecting.ALL_LESSONS)


def test_each_submission_has_its_row(graded):
    rows = graded[0]
    scores = {name: (row.score, row.status) for name, row in rows.items()}
    assert scores == {
        "ann": (8, "graded"),
        "blank.ipynb": (0, "graded"),
        "early": (0, "not graded: none of its notebooks is of lesson 06"),
        "borrowed.ipynb": (0, "graded"),
        "helped": (1, "graded"),
        "mutant.ipynb": (7, "graded"),  # the loss calls the wrong KL, and the step the loss
        "mutant copy.ipynb": (7, "graded"),
        "other.ipynb": (0, "not graded: a notebook in another language: R"),
        ODD: (0, "not graded: the file is empty"),
    }
    assert rows["ann"].notebook == "06.ipynb"
    assert rows["ann"].notes == ["of 2 notebooks this one passed most: 06.ipynb"]
    assert rows["mutant.ipynb"].checks["kl_divergence"].diagnosis == "kl-half-missing"
    assert rows["mutant.ipynb"].passed == 5
    assert rows["mutant.ipynb"].follows == {
        "loss_function": ["kl_divergence"],
        "training_step": ["kl_divergence"],
    }
    assert rows["borrowed.ipynb"].checks["kl_divergence"].message == attempt.BORROWED
    assert not any(verdict.attempted for verdict in rows["blank.ipynb"].checks.values())
    assert rows["mutant.ipynb"].for_teacher == ["the same file as mutant copy.ipynb"]
    verdict = rows["helped"].checks["loss_function"]
    assert verdict.message == "Not attempted: the notebook defines no `loss_function`."
    assert not verdict.attempted


def test_the_table_is_what_a_spreadsheet_can_open(graded):
    rows, _, out = graded
    with (out / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["submission"].removeprefix("'") for line in table] == sorted(rows)
    odd = next(line for line in table if "onerror" in line["submission"])
    assert odd["submission"] == "'" + ODD
    (mutant,) = (line for line in table if line["submission"] == "mutant.ipynb")
    assert (mutant["score"], mutant["passed"], mutant["max_score"]) == ("7", "5", "8")
    assert mutant["training_step"] == "follows from kl_divergence"
    assert (mutant["kl_divergence"], mutant["vae"]) == ("wrong: kl-half-missing", "right")


def test_what_a_learner_wrote_is_text_in_the_pages_and_no_markup_or_template(tmp_path):
    odd = "a\udcff{{ 7 * 7 }}<b>"  # with a byte of a file's name that is no UTF-8
    verdict = Verdict(False, True, None, f"`{odd}`")
    row = Row(odd, notebook=odd, notes=[odd], for_teacher=[odd], checks={"walk": verdict})
    for page in (feedback_page(row), class_page([row], ["walk"])):
        write_whole(tmp_path / "page.html", page)
        text = (tmp_path / "page.html").read_text("utf-8")
        assert r"a\udcff{{ 7 * 7 }}&lt;b&gt;" in text
        assert "49" not in text
        assert "<b>a" not in text
        assert "}}<b>" not in text


def test_the_median_of_an_even_number_of_scores_lies_between_the_middle_two():
    def row(name, score):
        checks = {f"{number}": Verdict(number < score, True, None, "") for number in range(8)}
        return Row(name, checks=checks)

    page = class_page([row("a", 1), row("b", 4), row("c", 7), row("d", 7)], [])
    assert "the median score is 5.5 of" in page


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", " =1", "\r=1"])
def test_a_formula_becomes_text(text):
    assert gradebooks.harmless(text) == "'" + text
    assert gradebooks.harmless("a=1") == "a=1"
    assert gradebooks.harmless(-1) == -1


def test_the_pages_say_what_the_notebook_says_and_hold_no_markup_of_learners(graded):
    rows, _, out = graded
    pages = {name: (out / "feedback" / row.page).read_text("utf-8") for name, row in rows.items()}
    assert len(set(pages.values())) == len(rows)
    zoo = rows["mutant.ipynb"].checks["kl_divergence"].message.split("`")[0].replace("'", "&#x27;")
    assert zoo in pages["mutant.ipynb"]
    assert "<b>7 of 8</b>: 5 checks passed, and 2 would" in pages["mutant.ipynb"]
    assert (
        "loss_function: carried forward · follows from kl_divergence</h2>" in pages["mutant.ipynb"]
    )
    whole = (out / "class.html").read_text("utf-8")
    assert "9 submissions, 6 graded; the median score is 4 of 8" in whole
    assert '<td class="number">2</td>\n<td><b>kl-half-missing</b>' in whole
    assert "<td>kl_divergence</td>" in whole
    assert "the same file as mutant copy" in whole
    assert "the same file" not in pages["mutant.ipynb"]
    for page in (*pages.values(), whole):
        assert "<img" not in page
        assert "<script" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in whole


def test_a_kept_row_counts_only_for_what_it_was_made_of(tmp_path):
    path = tmp_path / "ann.json"
    for status in ("graded", "stopped", "incomplete"):
        row = Row("ann", status, digest="5" * 64)
        path.write_text(json.dumps(asdict(row)))
        assert batch._load(path, "5" * 64) == (row if status == "graded" else None)
        assert batch._load(path, "4" * 64) is None
        assert batch._load(path, "6" * 64) is None


def test_a_change_in_any_module_makes_old_rows_void(tmp_path):
    package = tmp_path / "vae_helpers"
    shutil.copytree(
        containment.PACKAGE,
        package,
        ignore=lambda _, names: (
            {n for n in names if "." in n} - {n for n in names if n.endswith(".py")}
        ),
    )
    modules = list(package.rglob("*.py"))
    assert {"registry", "models", "wire", "__init__"} <= {module.stem for module in modules}
    seen = {batch.digest_of_code(package)}
    assert seen == {batch.digest_of_code(containment.PACKAGE)}
    for module in modules:
        module.write_text(module.read_text("utf-8") + "# changed\n", "utf-8")
        seen.add(batch.digest_of_code(package))
    assert len(seen) == 1 + len(modules)
    submission = Submission("ann")
    assert batch._digest(submission, "a", ["walk"]) != batch._digest(submission, "b", ["walk"])


def test_a_second_run_grades_only_what_is_new(graded, monkeypatch):
    rows, handed, out = graded
    calls = []

    def counted(*arguments, **_):
        calls.append(arguments)
        return containment.Sent(stopped="it took longer")

    monkeypatch.setattr(attempt, "run_child", counted)
    before = (out / "scores.csv").read_bytes()
    again = grading.grade(handed, out)
    assert not calls
    assert {row.submission: row for row in again} == rows
    assert (out / "scores.csv").read_bytes() == before
    new = handed / "new.ipynb"
    new.write_bytes(RIGHT)
    kept = out / "records"
    damaged = next(kept.glob("mutant-[0-9a-f]*.json"))
    damaged.write_text("{")
    try:
        for expected in (2, 4):  # what was stopped, by a busy machine perhaps, is tried again
            grading.grade(handed, out)
            assert len(calls) == expected
    finally:
        new.unlink()


def test_what_can_not_be_asked_for_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.ipynb").write_bytes(RIGHT)
    with pytest.raises(ValueError, match="Graded can be the lessons 06 and 07, not 08"):
        grading.grade(tmp_path, "out", lessons=["08"])
    with pytest.raises(ValueError, match="jobs must be 1 or more"):
        grading.grade(tmp_path, "out", jobs=0)
    with pytest.raises(ValueError, match="seconds above 0"):
        grading.grade(tmp_path, "out", seconds=float("inf"))
    with pytest.raises(
        ValueError, match="The formats are canvas, moodle, gradescope, not blackboard"
    ):
        grading.grade(tmp_path, "out", formats=["blackboard"])
    with pytest.raises(ValueError, match="among the submissions"):
        grading.grade(tmp_path, tmp_path / "out")
    monkeypatch.setattr(containment.shutil, "which", lambda program: None)
    with pytest.raises(PermissionError, match="bubblewrap would, but it is not installed"):
        grading.grade(tmp_path, tmp_path.parent / "out")
    assert main(["grade", str(tmp_path), "--out", str(tmp_path.parent / "out")]) == 2
    assert "--uncontained" in capsys.readouterr().err


def test_without_bubblewrap_limits_still_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(containment.shutil, "which", lambda program: None)
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.ipynb").write_bytes(with_walk("def walk(p, s):\n    while True: pass"))
    (row,) = grading.grade(source, tmp_path / "out", lessons=["07"], seconds=3, uncontained=True)
    assert (row.score, row.status) == (2, "stopped")
    assert row.checks["walk"].message == "Your code was stopped: it took longer than 3 seconds."


# --- what learning platforms import ---------------------------------------------------------------


def one_row(name, letters="rrr", status="graded", **more):
    """A row of lesson 07: r right, w wrong, c carried forward."""
    checks = {
        check: Verdict(letter == "r", True, None, f"<{letter}> of `{check}`")
        for check, letter in zip(PROJECT, letters, strict=True)
    }
    follows = {c: ["walk"] for c, x in zip(PROJECT, letters, strict=True) if x == "c"}
    return Row(name, status, checks=checks, follows=follows, **more)


def lines_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_canvas_finds_its_columns_and_its_learners(tmp_path):
    """As its importer reads it: by position and name of the first columns, then by ID, then by name."""
    rows = [
        one_row("annlee_123_4567_06_exercise.ipynb", "rwc"),
        one_row("benlee_LATE_124_4568_06.ipynb", "rww"),
        one_row("benlee_LATE_124_4569_06-1.ipynb", "rwr"),
        one_row("Cy Lee.ipynb"),
        one_row("=1+1"),
        one_row("dan_125_4570_x.ipynb", faults={"walk": "x"}),
        one_row("eve_126_4571_x.ipynb", "www", "not graded: empty"),
    ]
    gradebooks.FORMATS["canvas"](rows, PROJECT, tmp_path)
    head, points, *learners = lines_of(tmp_path / "canvas.csv")
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lesson 07"]
    assert "Points Possible" in points[0]
    assert points[5] == "3"
    assert {(line[0], line[1], line[5]) for line in learners} == {
        ("annlee", "123", "2"),
        ("benlee", "124", "2"),
        ("Cy Lee", "", "3"),
        ("'=1+1", "", "3"),
    }
    assert {len(line) for line in learners} == {6}
    assert rows[1].for_teacher == ["not in canvas.csv: another file of this learner passed more"]
    assert rows[5].for_teacher == ["not in canvas.csv: it was not graded whole"]


def test_moodle_finds_its_columns_and_its_participants(tmp_path):
    """As its importer reads it: three columns by their names, and the number after 'Participant '."""
    rows = [
        one_row("Ann Lee_123_assignsubmission_file_", "rwc"),
        one_row("Ben_Lee_124_assignsubmission_file"),
        one_row("Cy Lee.ipynb"),
    ]
    gradebooks.FORMATS["moodle"](rows, PROJECT, tmp_path)
    head, *learners = lines_of(tmp_path / "moodle.csv")
    found = [dict(zip(head, line, strict=True)) for line in learners]
    assert {"Identifier", "Grade", "Last modified (grade)"} <= set(head)
    assert [(line["Identifier"].removeprefix("Participant "), line["Grade"]) for line in found] == [
        ("123", "2"),
        ("124", "3"),
    ]
    assert [line["Full name"] for line in found] == ["Ann Lee", "Ben_Lee"]
    comments = found[0]["Feedback comments"]
    assert comments == (
        "<p><b>principal_plane: wrong</b> &lt;w&gt; of <code>principal_plane</code></p>"
        "<p><b>walk: follows from walk</b> &lt;c&gt; of <code>walk</code></p>"
    )
    assert found[1]["Feedback comments"] == ""
    assert "its name holds no number" in rows[2].for_teacher[0]


# the fields of the example in Gradescope's specification, without those of leaderboards
GRADESCOPE = {"score", "execution_time", "output", "output_format", "test_output_format"}
GRADESCOPE |= {"test_name_format", "visibility", "stdout_visibility", "extra_data", "tests"}
GRADESCOPE_TEST = {"score", "max_score", "status", "name", "name_format", "number", "output"}
GRADESCOPE_TEST |= {"output_format", "tags", "visibility", "extra_data"}


def test_gradescope_gets_a_test_for_each_check(tmp_path):
    rows = [one_row("ann", "rwc"), one_row("ben", "www", "not graded: the file is empty")]
    for _ in range(2):  # a second run writes over the first
        gradebooks.FORMATS["gradescope"](rows, PROJECT, tmp_path)
    ann, ben = (
        json.loads((tmp_path / "gradescope" / row.page[:-5] / "results.json").read_text("utf-8"))
        for row in rows
    )
    assert set(ann) <= GRADESCOPE
    assert all(set(test) <= GRADESCOPE_TEST for test in ann["tests"])
    assert [(test["score"], test["max_score"], test["status"]) for test in ann["tests"]] == [
        (1, 1, "passed"),
        (0, 1, "failed"),
        (1, 1, "passed"),
    ]
    assert ann["tests"][2]["name"] == "walk: follows from walk"
    assert ann["tests"][1]["output"] == "<w> of `principal_plane`"
    assert ben["output"] == "not graded: the file is empty"
    assert sum(test["score"] for test in ben["tests"]) == 0


def test_the_class_page_says_what_the_next_lesson_is_about():
    def wrong(name, diagnosis, attempted=True):
        checks = {"walk": Verdict(False, attempted, diagnosis, "")}
        return Row(name, checks={"prior_grid": Verdict(True, True, None, "")} | checks)

    names = [mistake for mistake in ZOO if mistake in EXERCISES["walk"].mistakes]
    several = [wrong("a", names[0]), wrong("b", names[0]), wrong("c", names[1])]
    several += [
        wrong("d", None),
        wrong("e", None),
        wrong("f", None, False),
        wrong("g", None, False),
    ]
    said = dict(for_the_next_lesson(several, ["prior_grid", "walk"]))
    assert list(said) == [
        f"2 of 7 have {names[0]} in walk.",
        "2 of 7 have walk wrong, by a mistake without a name.",
        "2 of 7 have walk not attempted.",
    ]
    assert said[f"2 of 7 have {names[0]} in walk."].endswith(ZOO[names[0]].change)
    assert HINTS["walk"][0] in said["2 of 7 have walk not attempted."]
    assert f"<b>2 of 7 have {names[0]} in walk.</b>" in class_page(several, ["walk"])
    assert for_the_next_lesson(several[:1], ["walk"]) == []
    assert "No mistake was made twice" in class_page(several[:1], ["walk"])


@pytest.mark.parametrize("full", ["a record", "a copy", "the table", "an archive"])
def test_a_full_disk_stops_the_run_and_says_what_is_kept(tmp_path, monkeypatch, capsys, full):
    """It is nobody's fault, and no row says so."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ann.ipynb").write_bytes(RIGHT)
    with zipfile.ZipFile(tmp_path / "in" / "ben.zip", "w") as archive:
        archive.writestr("07.ipynb", RIGHT)
    monkeypatch.setattr(batch, "find_containment", lambda **_: False)
    monkeypatch.setattr(attempt, "run_child", lambda *_, **__: containment.Sent([b"ready"]))
    kinds = {
        "a record": ".json",
        "the table": ".csv",
        "a copy": "submission.ipynb",
        "an archive": "",
    }
    real, real_copy = Path.open, shutil.copyfile

    def opens(self, mode="r", *arguments, **settings):
        suffix, writing = kinds[full], "w" in mode and "lock" not in self.name
        name = self.name.removesuffix(".part").partition(f".{os.getpid()}-")[0]
        if writing and (name.isdigit() if full == "an archive" else name.endswith(suffix)):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, mode, *arguments, **settings)

    def copies(source, target):
        if full == "a copy":
            raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))
        return real_copy(source, target)

    monkeypatch.setattr(Path, "open", opens)
    monkeypatch.setattr(collecting.shutil, "copyfile", copies)
    out = tmp_path / "out"
    assert main(["grade", str(tmp_path / "in"), "--out", str(out), "--lesson", "07"]) == 2
    said = capsys.readouterr().err
    assert "The disk is full: " in said
    assert f"What was graded is kept in {out / 'records'}: make room" in said
    if full == "the table":
        assert f"{out / 'scores.csv'} cannot be written" in said
    if full == "a copy":
        assert "submission.ipynb cannot be written" in said
    assert "Errno" not in said
    monkeypatch.undo()
    assert len(list((out / "records").glob("*.json"))) == (2 if full == "the table" else 0)


def test_a_run_that_is_ended_leaves_no_folder_behind(tmp_path):
    """Told to end, it clears up; killed, it cannot, and the next run does."""
    (tmp_path / "in").mkdir()
    slow = "import time\ntime_left = time.sleep({})\ndef walk(p, s):\n    return time_left"
    command = [sys.executable, "-m", "vae_helpers", "grade", "in", "--out", "out", "--lesson", "07"]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def ended_by(number):
        # another notebook each time, or a row that was still kept would be all that the second run needs
        (tmp_path / "in" / "a.ipynb").write_bytes(with_walk(slow.format(20 + number)))
        process = subprocess.Popen(
            [*command, "--uncontained"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 120
        try:
            while not list(tmp_path.glob("vae-grading-*/copy-*/submission.ipynb")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:  # or it would outlive a failure here
            process.send_signal(number)
        return process.communicate(timeout=60)[1].decode(), list(tmp_path.glob("vae-grading-*"))

    said, left = ended_by(signal.SIGTERM)
    assert "Stopped. The same command goes on from what is done." in said
    assert not left
    (killed,) = ended_by(signal.SIGKILL)[1]
    with collecting.work_folder():
        pass
    assert killed.exists()  # it lies in another temporary folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting.tempfile, "tempdir", str(tmp_path))
        with collecting.work_folder() as running:
            assert killed.exists()  # it is younger than a minute
            for folder in (killed, running):
                os.utime(folder, (0, 0))
            with collecting.work_folder():
                assert not killed.exists()
                assert running.exists()


def test_the_command_line_grades_and_says_where_to_look(tmp_path, sealed, capsys):
    path = tmp_path / "all.zip"
    compiled = "def refuses(*_):\n    raise OSError('there is no compiler')\n"
    compiled += "@torch.compile(backend=refuses)\n" + source_of("walk")[0]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ann/07.ipynb", with_walk(compiled))
        archive.writestr("ben/notes.txt", "nothing yet")
    out = tmp_path / "out"
    asked = ["--lesson", "07", "--jobs", "1", "--format", "canvas", "--format", "gradescope"]
    assert main(["grade", str(path), "--out", str(out), *asked]) == 0
    said = capsys.readouterr()
    assert said.out == f"2 submissions, 1 graded. Look at {out / 'class.html'}\n"
    assert "2/2" in said.err
    ((name, *_, score),) = lines_of(out / "canvas.csv")[2:]
    assert (name, score) == ("ann", "3")  # and nothing was compiled
    assert len(list(out.glob("gradescope/*/results.json"))) == 2
    assert "not in canvas.csv" in (out / "class.html").read_text("utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["grade", str(path)])
    assert stopped.value.code == 2
