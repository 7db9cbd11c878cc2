"""The course as a site: built once, served on loopback, opened in a browser that lets it ask nobody else."""

import functools
import http.server
import importlib
import itertools
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import numpy as np
import pytest
import torch

from vae_helpers import load_pretrained

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
PAGES = ["index", *NOTEBOOKS, "cheat_sheet", "references", "guide", "search"]
LABS = {
    "index": "lab-vae-mnist-2",
    "00_start_here": "vae-mnist-20",
    "01_key_concepts": "vae-mnist-2",
    "04_why_it_matters": "vae-mnist-20",
}
FORMULAS = [
    "02_architecture",
    "03_loss",
    "04_why_it_matters",
    "08_how_good_is_it",
    "09_text",
    "11_sharper",
    "12_compression",
]
LAB = "document.querySelector('[data-lab]').latentLab"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site and writes nothing about it."""

    def log_message(self, *_):
        pass


class Reader(HTMLParser):
    """What a page links to and loads, and the places in it that a link can name."""

    def __init__(self, text):
        super().__init__()
        self.targets, self.places, self.folded = [], {""}, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.targets += [found[name] for name in ("href", "src") if found.get(name)]
        self.places.add(found.get("id"))
        self.folded += tag == "details" and "below-input" in (found.get("class") or "")


@pytest.fixture(scope="module")
def site(sphinx, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "out"
    before = {path: path.read_bytes() for path in (ROOT / "notebooks").rglob("*.*")}
    command = [sys.executable, ROOT / "tools" / "build_site.py", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert before == {path: path.read_bytes() for path in (ROOT / "notebooks").rglob("*.*")}
    return out


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def visit(open_page, address):
    """Opens pages of the site; a request to another host is refused, and an error at the end."""
    refused = []

    def guard(route):
        if route.request.url.startswith(f"{address}/"):
            route.continue_()
        else:
            refused.append(route.request.url)
            route.abort()

    def visit(name, **settings):
        page = open_page(**{"viewport": {"width": 1400, "height": 900}} | settings)
        page.route("**/*", guard)
        page.goto(f"{address}/{name}.html")
        if name in LABS:
            page.wait_for_function(LAB)
            page.evaluate(f"{LAB}.stop()")  # the first page's plays
        return page

    yield visit
    assert refused == []


# --- what was built -----------------------------------------------------------------------------


def test_every_page_is_there_and_the_whole_is_small(site):
    assert {path.stem for path in site.glob("*.html")} == {*PAGES, "latent_lab"}
    assert sum(path.stat().st_size for path in site.rglob("*.*")) < 25e6


def test_every_link_inside_leads_somewhere(site):
    pages = {path: Reader(path.read_text("utf-8")) for path in site.rglob("*.html")}
    dead, followed = [], 0
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme:
                continue
            goal = path
            if parts.path:
                goal = (
                    site
                    / urlsplit(urljoin(f"/{path.relative_to(site)}", unquote(parts.path))).path[1:]
                )
            places = pages[goal].places if goal in pages else {parts.fragment}
            if not goal.is_file() or unquote(parts.fragment) not in places:
                dead.append((path.name, target))
            followed += 1
    assert dead == []
    assert followed > 500


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_answers_are_folded_where_the_notebook_folds_them(site, name):
    import nbformat

    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    folded = [
        cell
        for cell in cells
        if cell.metadata.get("jupyter", {}).get("outputs_hidden") and cell.outputs
    ]
    page = Reader((site / f"{name}.html").read_text("utf-8"))
    assert page.folded == len(folded)
    assert (site / "notebooks" / f"{name}.ipynb").read_bytes() == NOTEBOOKS[name].read_bytes()


def test_other_hosts_are_named_only_with_a_repository(sphinx):
    build_site = importlib.import_module("build_site")
    path = NOTEBOOKS["00_start_here"]
    links = build_site.Links([], "someone/course", "main")
    with_it = build_site.lesson(path, links, "someone/course", "main").cells[0].source
    without = (
        build_site.lesson(path, build_site.Links([], None, "main"), None, "main").cells[0].source
    )
    place = "someone/course/blob/main/notebooks/00_start_here.ipynb"
    assert f"https://colab.research.google.com/github/{place}" in with_it
    assert "https://mybinder.org/v2/gh/someone/course/main?urlpath=lab/tree/notebooks/00" in with_it
    assert "colab" not in without
    assert "mybinder" not in without
    text = "[a](../benchmarks/README.md#b) [c](01.ipynb)"
    assert (
        build_site.Links(["notebooks/01.ipynb"], None, "main").mapped(text, "notebooks")
        == "a [c](01.ipynb)"
    )
    assert links.mapped(text, "notebooks").startswith(
        "[a](https://github.com/someone/course/blob/main/benchmarks/README.md#b)"
    )


# --- in the browser -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_each_page_opens_on_a_phone_and_asks_nobody_else(visit, name):
    page = visit(name, viewport={"width": 320, "height": 640})
    page.wait_for_load_state("networkidle")
    wide = """[...document.querySelectorAll('html, .content')]
      .filter((part) => part.scrollWidth > part.clientWidth).map((part) => part.className)"""
    assert page.evaluate(wide) == []
    formulas = page.locator("mjx-container")
    assert (formulas.count() > 0) == (name in FORMULAS)
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("[data-lab]").count() == (name in LABS)


def shown(page):
    """The decoded picture, as it stands on the canvas."""
    found = page.evaluate(
        """() => {
      const canvas = document.querySelector('[data-lab] canvas[role=img]');
      return Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data);
    }"""
    )
    return np.array(found[::4]) / 255


@pytest.mark.parametrize("name", LABS)
@torch.no_grad()
def test_the_lab_moves_by_key_and_by_pointer_as_in_pytorch(visit, name):
    page, model = visit(name), load_pretrained(LABS[name])
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    pad = page.get_by_role("slider", name="latent plane")
    pad.scroll_into_view_if_needed()
    before = page.evaluate(f"Array.from({LAB}.z)")
    seen = [shown(page)]
    pad.press("Shift+ArrowUp")
    up = page.evaluate(f"{LAB}.axes[1]")
    assert page.evaluate(f"{LAB}.z[{up}]") == pytest.approx(before[up] + 0.5, abs=1e-5)
    seen.append(shown(page))
    box = pad.bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.6 * box["height"])
    across = page.evaluate(f"{LAB}.z[{LAB}.axes[0]] / {LAB}.reach")
    assert across == pytest.approx(-0.4, abs=0.02)
    seen.append(shown(page))
    assert all(abs(a - b).max() > 0.05 for a, b in itertools.pairwise(seen))
    z = torch.tensor(page.evaluate(f"Array.from({LAB}.z)"))[None]
    assert abs(seen[-1] - model.decode(z).flatten().numpy()).max() < 1 / 255


def test_the_first_page_moves_until_it_is_touched(visit):
    page = visit("index")
    page.reload()
    page.wait_for_function(LAB)
    first = shown(page)
    page.wait_for_timeout(600)
    assert abs(shown(page) - first).max() > 0.05
    page.get_by_role("slider", name="latent plane").press("ArrowUp")
    still = shown(page)
    page.wait_for_timeout(300)
    assert (shown(page) == still).all()


def test_search_finds_a_lesson(visit, address):
    page = visit("index")
    page.goto(f"{address}/search.html?q=reparameterization")
    page.wait_for_selector("ul.search li a")
    assert "02" in page.locator("ul.search").inner_text()


@pytest.mark.parametrize("name", ["index", "00_start_here"])
def test_no_barrier(visit, name):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs the extra 'dev'"
    )
    page = visit(name)
    page.wait_for_load_state("networkidle")
    barriers = []
    for width, scheme in itertools.product((320, 1400), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        barriers += [
            (width, scheme, barrier["id"], node["html"][:200])
            for barrier in found
            if barrier["impact"] in ("serious", "critical")
            for node in barrier["nodes"]
        ]
    assert barriers == []
