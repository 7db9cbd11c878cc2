"""The report of the mini project: one file that needs no other, with text as text."""

import re

import pytest
from matplotlib.figure import Figure

from vae_helpers import save_report


def plot():
    figure = Figure()
    figure.subplots().plot([1, 2])
    return figure


def test_one_file_holds_answers_and_figures(tmp_path):
    path = tmp_path / "report.html"
    answers = {"What is 1 < 2?": "<b>true</b> & more", "Open?": "  "}
    assert save_report(path, title="Mine", answers=answers, figures={'A "map"': plot()}) == path
    page = path.read_text(encoding="utf-8")
    assert "<h1>Mine</h1>" in page
    assert "What is 1 &lt; 2?" in page
    assert "&lt;b&gt;true&lt;/b&gt; &amp; more" in page
    assert "no answer yet" in page
    assert 'alt="A &#34;map&#34;"' in page
    assert len(re.findall(r'src="data:image/png;base64,iVBOR', page)) == 1
    assert not re.search(r"https?://", page)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_an_error_leaves_the_older_report(tmp_path):
    path = tmp_path / "report.html"
    save_report(path, title="old", answers={}, figures={})
    with pytest.raises(TypeError, match="'Why' must be a string"):
        save_report(path, title="new", answers={"Why": 3}, figures={})
    with pytest.raises(TypeError, match="matplotlib Figure, not int"):
        save_report(path, title="new", answers={}, figures={"map": 3})
    assert "old" in path.read_text(encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        save_report(tmp_path / "nowhere" / "report.html", title="new", answers={}, figures={})
