"""A real JupyterLab and a real Chromium, on loopback. Without a Chromium these tests are skipped; the CI has one."""

import importlib
import os
import shutil
from pathlib import Path

import pytest
from browser import ARGUMENTS, CHROMIUM, HOW, jupyterlab, run_all_cells

ROOT = Path(__file__).parents[2]
# What JupyterLab itself writes to the console as an error, whatever notebook is open.
KNOWN_ERRORS = ("favicon",)


@pytest.fixture(scope="session")
def chromium():
    if os.environ.get("CI"):
        assert CHROMIUM, f"There is no Chromium here. {HOW}"
        api = importlib.import_module("playwright.sync_api")
    else:
        if CHROMIUM is None:
            pytest.skip(f"There is no Chromium here. {HOW}")
        api = pytest.importorskip("playwright.sync_api", reason=HOW)
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_page(chromium):
    """Opens pages, and fails at the end on whatever they wrote to the console as an error."""
    pages, said = [], []

    def open_page(**settings):
        page = chromium.new_page(**{"viewport": {"width": 1300, "height": 2500}} | settings)
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert [text for text in said if not any(known in text for known in KNOWN_ERRORS)] == []


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    """JupyterLab on a copy of what a learner has: the folder, and the address of a file in it."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "benchmarks" / "results", root / "benchmarks" / "results")
    with jupyterlab(root) as address:
        yield root, address


@pytest.fixture
def run_lesson(open_page, lab_server):
    """Opens a lesson in JupyterLab, runs all its cells, and gives the page."""

    def run_lesson(name):
        page, (_, address) = open_page(), lab_server
        assert run_all_cells(page, address(f"notebooks/{name}.ipynb")) == []
        return page

    return run_lesson
