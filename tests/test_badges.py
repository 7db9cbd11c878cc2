"""What publishing the course adds: badges, and the cell that fetches the course on Colab."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import add_badges
import nbformat
import pytest
from lessons import PATHS, ROOT, cells, code_cells, source


@pytest.fixture
def published(tmp_path):
    root = tmp_path / "course"
    for path in [ROOT / "README.md", *PATHS, *(ROOT / "notebooks" / "solutions").glob("*.ipynb")]:
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    add_badges.add_badges(root, "someone/vae", "main")
    return root


def everything(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_each_lesson_gets_its_badge_and_keeps_the_rest(published):
    for path in PATHS:
        new = published / path.relative_to(ROOT)
        nbformat.validate(nbformat.read(new, as_version=4))
        title, note, fetch, *rest = cells(new)
        assert f"/github/someone/vae/blob/main/notebooks/{path.name})" in source(title)
        assert source(title).startswith(source(cells(path)[0]).split("\n")[0] + "\n")
        assert source(note) == add_badges.NOTE
        assert '"https://github.com/someone/vae"' in source(fetch)
        before = [{**cell, "execution_count": 0} for cell in cells(path)[1:]]
        assert [{**cell, "execution_count": 0} for cell in rest] == before
        counts = [cell["execution_count"] for cell in code_cells(new)]
        assert counts in ([None] * len(counts), list(range(1, len(counts) + 1)))
    assert "mybinder.org/v2/gh/someone/vae/main?urlpath=" in (published / "README.md").read_text()


def test_a_second_run_changes_nothing_and_another_address_replaces_the_first(published):
    before = everything(published)
    add_badges.add_badges(published, "someone/vae", "main")
    assert everything(published) == before
    add_badges.add_badges(published, "other/course", "dev")
    after = everything(published)
    assert all(b"someone" not in data for data in after.values())
    assert sum(b"other/course" in data for data in after.values()) == len(before)


def test_on_colab_the_first_cell_fetches_the_course_and_elsewhere_nothing(
    published, tmp_path, monkeypatch
):
    """A repository on this machine stands in for GitHub, and an empty module for Colab."""
    origin, there = tmp_path / "origin", tmp_path / "content"
    (origin / "notebooks").mkdir(parents=True)
    (origin / "notebooks" / "kept").write_text("x")
    git = ["git", "-C", str(origin), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    for number, (key, value) in enumerate(
        [(f"url.file://{origin}.insteadOf", "https://github.com/someone/vae")]
    ):
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    text = source(cells(published / "notebooks" / PATHS[0].name)[2])
    text = text.replace("/content/", f"{there}/")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    exec(text, {})
    assert not there.exists()
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    for _ in range(2):  # a second run must not fetch again
        exec(text, {})
        assert [path.name for path in Path.cwd().iterdir()] == ["kept"]
        assert sys.path[0] == f"{there}/course"


@pytest.mark.parametrize("arguments", [["no-slash"], ["a/b/c"], ["a/b", "--branch", "x y"], []])
def test_what_is_no_address_is_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["add_badges.py", *arguments])
    with pytest.raises(SystemExit, match=r"^2$"):
        add_badges.main()
    assert "usage" in capsys.readouterr().err


FLOORS = ROOT / ".venv" / "colab"


@pytest.mark.skipif(not FLOORS.is_dir(), reason="Colab's versions are not laid out in .venv/colab")
def test_a_lesson_runs_with_colabs_widgets(tmp_path):
    """ipywidgets 7.7.1 and anywidget 0.9.21, as Colab ships them, in front of what is installed."""
    versions = "import anywidget, ipywidgets; print(anywidget.__version__, ipywidgets.__version__)"
    env = {**os.environ, "PYTHONPATH": str(FLOORS), "PYTHONWARNINGS": "ignore"}
    said = subprocess.run(
        [sys.executable, "-c", versions], env=env, check=True, capture_output=True, text=True
    )
    assert said.stdout.split() == ["0.9.21", "7.7.1"]
    copy = tmp_path / "lesson.ipynb"
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", copy)
    command = [sys.executable, "-m", "nbclient.cli", str(copy)]
    done = subprocess.run(
        [*command, "--inplace"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    views = json.dumps(json.loads(copy.read_text("utf-8"))["cells"]).count("widget-view+json")
    assert views >= 2
