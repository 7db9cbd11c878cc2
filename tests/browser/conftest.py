"""Real browsers, JupyterLab and Notebook 7, on loopback. Where one is missing its tests are skipped; the CI has all."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, FIREFOX, HOW, jupyter, launch, run_all_cells

from vae_helpers import progress

ROOT = Path(__file__).parents[2]
# What JupyterLab and Notebook 7 themselves write to the console as an error, whatever notebook is open.
KNOWN_ERRORS = (
    "favicon",
    "(reading 'schema')",
    'can\'t access property "schema"',
    "'filebrowser:open-path' not registered",  # Notebook 7, after JupyterLab
)


def needed(there, sentence):
    """Skip where something is not installed; in CI it must be."""
    assert there or "CI" not in os.environ, sentence
    if not there:
        pytest.skip(sentence)


@pytest.fixture(scope="session")
def playwright():
    needed(importlib.util.find_spec("playwright"), HOW["chromium"])
    with importlib.import_module("playwright.sync_api").sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright):
    needed(CHROMIUM, f"There is no Chromium here. {HOW['chromium']}")
    with launch(playwright, "chromium") as running:
        yield running


@pytest.fixture(scope="session")
def firefox(playwright):
    needed(FIREFOX, f"There is no Firefox here. {HOW['firefox']}")
    with launch(playwright, "firefox") as running:
        yield running


@pytest.fixture(scope="session")
def sphinx():
    """What builds the site is installed."""
    parts = ("sphinx", "myst_nb", "furo", "a11y_pygments")
    how = "The site needs Sphinx, myst-nb and furo. Install them: `pip install -e '.[site]'`."
    needed(all(map(importlib.util.find_spec, parts)), how)


@pytest.fixture
def browser(request):
    """Chromium, unless the test is parametrised with another."""
    return request.getfixturevalue(getattr(request, "param", "chromium"))


@pytest.fixture
def open_page(browser):
    """Opens pages, and fails at the end on whatever they wrote to the console as an error."""
    pages, said = [], []

    def open_page(**settings):
        page = browser.new_page(**{"viewport": {"width": 1300, "height": 2500}} | settings)
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert [text for text in said if not any(known in text for known in KNOWN_ERRORS)] == []


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Jupyter on a copy of what a learner has: the folder, and what gives the address of a file in it."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "benchmarks" / "results", root / "benchmarks" / "results")
    with jupyter(root) as address:
        yield root, address


@pytest.fixture
def run_lesson(open_page, server):
    """Opens a lesson in JupyterLab ("lab") or in Notebook 7 ("notebook"), runs all its cells, and gives the page."""

    def run_lesson(name, front_end):
        if front_end == "notebook":
            how = "There is no Notebook 7 here. Install it: `pip install -e '.[dev]'`."
            needed(importlib.util.find_spec("notebook"), how)
        page, (root, address) = open_page(), server
        path = root / "notebooks" / f"{name}.ipynb"
        path.with_name(progress.FILE).unlink(missing_ok=True)  # no prediction is committed yet
        assert run_all_cells(page, address(f"notebooks/{name}.ipynb", front_end)) == []
        return page

    return run_lesson
