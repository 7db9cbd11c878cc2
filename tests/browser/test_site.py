"""The course as a site: built once, served on loopback, opened in a browser that lets it ask nobody else."""

import base64
import functools
import html
import http.server
import importlib
import io
import itertools
import math
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import nbformat
import pytest
import torch
from lessons import NOTEBOOKS as FOLDER
from lessons import code_cells, definitions, source
from matplotlib.figure import Figure
from PIL import Image, ImageChops

from vae_helpers import check, load_pretrained
from vae_helpers.interactive import predictions

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
LAB = "document.querySelector('[data-figure=latent_lab] > div').latentLab"
ALIVE = {  # beside predictions and labs
    "00_start_here": ["latent_sliders", "latent_sliders"],
    "01_key_concepts": ["patch"],
    "02_architecture": ["gaussian_sliders", "xray"],
    "03_loss": ["beta_slider", "two_gaussian_sliders", "states", "xray"],
    "04_why_it_matters": ["latent_sliders"],
    "05_vae_and_gan": ["latent_sliders"],
    "08_how_good_is_it": ["states", "states"],
    "12_compression": ["states"],
}
ALONE = ["latent_lab", "xray"]  # pages that are one file


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
        self.folded += tag == "details" and "hide" in (found.get("class") or "").split()


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
        if name == "index":
            page.wait_for_function(f"document.querySelector('[data-figure] > div') && {LAB}")
            page.evaluate(f"{LAB}.stop()")  # it plays
        return page

    yield visit
    assert refused == []


# --- what was built -----------------------------------------------------------------------------


def test_every_page_is_there_and_the_whole_is_small(site):
    assert {path.stem for path in site.glob("*.html")} == {*PAGES, *ALONE}
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


def versions(name):
    """Each code cell of a lesson, and that of its complete version: the same one where nothing is blank."""
    path = NOTEBOOKS[name]
    solution = path.parent / "solutions" / path.name
    both = [nbformat.read(file, as_version=4).cells for file in (path, solution) if file.exists()]
    return [pair for pair in zip(both[0], both[-1], strict=True) if pair[0].cell_type == "code"]


def checks(cell):
    """The check that a cell calls."""
    return re.findall(r"^check\.(\w+)\(\w+\)$", cell.source, re.MULTILINE)


def blank(cell, whole):
    return cell.source != whole.source or checks(cell)


def folds(cell, whole):
    """Whether the page folds a cell, or what it shows: an answer, or what is the learner's to find."""
    if blank(cell, whole):
        return False
    if ".reveal(" in cell.source or "jupyter" in cell.metadata:
        return True
    outputs = str(whole.outputs)
    return "check.if_written(" in cell.source and outputs != "[]" and "widget-view" not in outputs


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_answers_are_folded_where_the_notebook_folds_them(site, name):
    _, *cells = versions(name)  # the set-up cell is folded, too
    folded = [cell for cell, whole in cells if folds(cell, whole)]
    text = (site / f"{name}.html").read_text("utf-8")
    assert Reader(text).folded == len(folded) + 1
    shown = re.sub(r"<details.*?</details>", "", text, flags=re.DOTALL)
    assert ("reveal" in text, "reveal" in shown) == (True, False)  # what reveals an answer has it
    assert (site / "notebooks" / f"{name}.ipynb").read_bytes() == NOTEBOOKS[name].read_bytes()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_each_picture_is_the_notebooks_own(site, name):
    outputs = [
        output.get("data", {})
        for cell, whole in versions(name)
        for output in (whole.outputs if not blank(cell, whole) else [])
    ]
    theirs = [
        io.BytesIO(base64.b64decode(data["image/png"])) for data in outputs if "image/png" in data
    ]
    targets = Reader((site / f"{name}.html").read_text("utf-8")).targets
    ours = [site / target for target in targets if target.startswith("_images/")]
    for one, other in zip(ours, theirs, strict=True):
        pictures = (Image.open(file).convert("RGBA") for file in (one, other))
        assert ImageChops.difference(*pictures).getbbox(alpha_only=False) is None


def test_hints_and_a_right_answer_stand_folded_below_a_blank(site):
    answered = {}
    for name in NOTEBOOKS:
        blanks = [(cell, whole) for cell, whole in versions(name) if blank(cell, whole)]
        page = (site / f"{name}.html").read_text("utf-8")
        assert "Not attempted yet: " not in page
        assert page.count("This page runs no code") == bool(blanks)
        blanks = [
            pair for pair in blanks if not pair[0].source.startswith("class ") or checks(pair[0])
        ]
        assert page.count("One right answer</summary>") == len(blanks)
        for cell, whole in blanks:
            asks = checks(cell)
            code = getattr(check, asks[0]).solution().text if asks else whole.source
            lines = [line for line in code.splitlines() if not line.strip().startswith("# ")]
            assert html.escape("\n".join(lines[:4])) in page
            answered[name] = answered.get(name, 0) + 1
        assert page.count("<summary>Hint 1</summary>") == sum(
            bool(checks(pair[0])) for pair in blanks
        )
    assert list(answered.values()) == [3, 3, 10, 5, 1, 1]
    assert "SOLUTION" not in (site / "06_exercise.html").read_text("utf-8")


def test_other_hosts_are_named_only_with_a_repository(sphinx, tmp_path):
    build_site = importlib.import_module("build_site")
    path = NOTEBOOKS["00_start_here"]
    links = build_site.Links([], "someone/course", "main")
    store = build_site.Store(tmp_path)
    with_it = build_site.lesson(path, links, store, "someone/course", "main").cells[0].source
    nowhere = build_site.Links([], None, "main")
    without = build_site.lesson(path, nowhere, store, None, "main").cells[0].source
    place = "someone/course/blob/main/notebooks/00_start_here.ipynb"
    assert f"https://colab.research.google.com/github/{place}" in with_it
    assert "https://mybinder.org/v2/gh/someone/course/main?urlpath=lab/tree/notebooks/00" in with_it
    assert "colab" not in without
    assert "mybinder" not in without
    readme = (ROOT / "README.md").read_text("utf-8")
    first = build_site.landing(readme, links, store, "someone/course")
    assert "clone or download it [from GitHub](https://github.com/someone/course)" in first
    assert "from whoever gave you this page" in build_site.landing(readme, nowhere, store, None)
    text = "[a](../benchmarks/README.md#b) [c](01.ipynb)"
    assert (
        build_site.Links(["notebooks/01.ipynb"], None, "main").mapped(text, "notebooks")
        == "a [c](01.ipynb)"
    )
    assert links.mapped(text, "notebooks").startswith(
        "[a](https://github.com/someone/course/blob/main/benchmarks/README.md#b)"
    )


def test_the_build_stops_at_a_widget_that_is_not_the_committed_one(tmp_path):
    figures = importlib.import_module("site_figures")
    lesson = figures.Lesson("02_architecture", [], figures.Store(tmp_path))
    cell = nbformat.v4.new_code_cell
    with pytest.raises(ValueError, match=r"does not know LatentSliders\(mine\)"):
        lesson.instead(cell("LatentSliders(mine)"), "")
    with pytest.raises(ValueError, match=r"gaussian_sliders\(\) makes .* the notebook has 'other'"):
        lesson.instead(cell("gaussian_sliders()"), "other")
    assert "in JupyterLab alone" in lesson.instead(cell("FigureSliders(draw, a=(0, 1, 0))"), "")


@pytest.mark.parametrize("name", ALONE)
def test_a_page_that_is_one_file_is_on_the_site_too(site, visit, name):
    text = (site / f"{name}.html").read_text("utf-8")
    back = re.findall(r'<p><a href="index.html">.*</a></p>', text)
    assert len(back) == 1
    assert text.replace(back[0], "") == (ROOT / "notebooks" / f"{name}.html").read_text("utf-8")
    assert f"{name}.html" in Reader((site / "index.html").read_text("utf-8")).targets
    page = visit(name)
    before = pixels(page.locator("canvas.picture[role=img]"))
    page.get_by_role("button", name="a test image").click()
    assert (pixels(page.locator("canvas.picture[role=img]")) - before).abs().max() > 0.05


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
    found = page.locator("[data-figure]").evaluate_all(
        "(all) => all.map((one) => one.dataset.figure)"
    )
    rest = [module for module in found if not module.startswith("prediction")]
    labs = ["latent_lab"] * (name in LABS)
    assert sorted(rest) == sorted(ALIVE.get(name, []) + labs)


def awaken(page):
    """Unfold the answers, and scroll past every figure until it is alive."""
    page.evaluate("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    for place in page.locator("[data-figure]").all():
        place.scroll_into_view_if_needed()
    page.wait_for_function("!document.querySelector('[data-figure] > script')")


def pixels(canvas):
    """What stands on a canvas, between 0 and 1."""
    found = canvas.evaluate(
        """(canvas) => [canvas.height, Array.from(
      canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 === 0))]"""
    )
    return torch.tensor(found[1]).reshape(found[0], -1) / 255


def tiles(canvas, columns):
    """The pictures on a canvas, 784 numbers each."""
    grid = pixels(canvas)
    rows = len(grid) // 30
    grid = grid.reshape(rows, 30, columns, 30)[:, 1:29, :, 1:29]
    return grid.transpose(1, 2).reshape(rows * columns, 784)


def shown(page):
    """The decoded picture of the lab."""
    return pixels(page.locator("[data-figure=latent_lab] canvas[role=img]")).flatten().numpy()


def move(slider, key="ArrowRight"):
    """Move a slider by a key, and then by the pointer to three quarters; gives its value after each."""
    before = float(slider.input_value())
    slider.press(key)
    by_key = float(slider.input_value())
    assert by_key == pytest.approx(before + float(slider.get_attribute("step")))
    yield by_key
    box = slider.bounding_box()
    slider.click(position={"x": 0.75 * box["width"], "y": box["height"] / 2})
    by_pointer = float(slider.input_value())
    assert by_pointer != by_key
    yield by_pointer


def together(*sliders):
    """Move one slider after the other; gives the values of all after each move."""
    for slider in sliders:
        for _ in move(slider):
            yield [float(one.input_value()) for one in sliders]


@pytest.mark.parametrize(
    ("name", "place", "model"),
    [
        ("00_start_here", 0, "vae-mnist-2"),
        ("00_start_here", 1, "vae-mnist-20"),
        ("04_why_it_matters", 0, "conditional-vae-mnist-20"),
        ("05_vae_and_gan", 0, "gan-mnist-20"),
    ],
)
@torch.no_grad()
def test_latent_sliders_decode_as_pytorch_does(visit, name, place, model):
    page, model = visit(name), load_pretrained(model)
    awaken(page)
    figure = page.locator("[data-figure=latent_sliders]").nth(place)
    state = "(place) => { const { z, label } = place.firstElementChild.figure; return [Array.from(z), label] }"

    def as_in_pytorch():
        z, label = figure.evaluate(state)
        decoder = model if label is None else model.given(label)
        expected = decoder.decode(torch.tensor([z], dtype=torch.float32))[0]
        assert (pixels(figure.locator("canvas")).flatten() - expected).abs().max() < 1 / 255
        return expected

    seen = [as_in_pytorch()]
    slider = figure.get_by_role("slider").first
    latent = int(slider.get_attribute("aria-label")[2:-1])
    for value in move(slider):
        seen.append(as_in_pytorch())
        assert figure.evaluate(state)[0][latent] == pytest.approx(value)
    figure.get_by_role("button", name="new sample").click()
    seen.append(as_in_pytorch())
    if figure.locator("select").count():
        figure.locator("select").select_option("8")
        seen.append(as_in_pytorch())
    assert all((a - b).abs().max() > 0.01 for a, b in itertools.pairwise(seen))
    figure.get_by_role("button", name="reset").click()
    if not figure.locator("select").count():
        assert torch.equal(as_in_pytorch(), seen[0])


@torch.no_grad()
def test_the_patch_of_lesson_01(visit, digits):
    page, model = visit("01_key_concepts"), load_pretrained("vae-mnist-2")
    awaken(page)
    figure = page.locator("[data-figure=patch]")
    mu, logvar = model.encode(digits.test_x[digits.test_y == 2][:1])
    eps = torch.randn(18, 2, generator=torch.Generator().manual_seed(1))
    for width in move(figure.get_by_role("slider")):
        expected = model.decode(mu + width * torch.exp(0.5 * logvar) * eps)
        assert (tiles(figure.locator("canvas"), 6) - expected).abs().max() < 1 / 255
    ellipse = figure.locator("ellipse")
    radii = [float(ellipse.get_attribute(name)) for name in ("rx", "ry")]
    dots = torch.tensor(
        figure.locator("circle").evaluate_all(
            "(all) => all.map((dot) => [+dot.getAttribute('cx'), +dot.getAttribute('cy')])"
        )
    )
    centre = torch.tensor([float(ellipse.get_attribute(name)) for name in ("cx", "cy")])
    drawn = (dots - centre) / torch.tensor(radii) * torch.tensor([2, -2])  # in standard deviations
    assert torch.allclose(drawn, eps, atol=1e-3)


@torch.no_grad()
def test_the_gaussians_of_lesson_02(visit):
    page = visit("02_architecture")
    awaken(page)
    figure = page.locator("[data-figure=gaussian_sliders]")
    eps = torch.randn(40, generator=torch.Generator().manual_seed(0))
    mu, logvar = figure.get_by_role("slider").all()
    dots = "(all) => all.map((dot) => +dot.getAttribute('cx'))"
    for m, v in together(mu, logvar):
        pairs = torch.tensor(figure.locator("circle").evaluate_all(dots)).reshape(40, 2)
        unit = (pairs[:, 0].max() - pairs[:, 0].min()) / (eps.max() - eps.min())
        z = (pairs[:, 1] - pairs[:, 0].min()) / unit + eps.min()
        assert torch.allclose(z, m + math.exp(0.5 * v) * eps, atol=1e-3)
        assert f"= {math.exp(0.5 * v):.2f}." in figure.locator("p").inner_text()


@torch.no_grad()
def test_both_figures_of_lesson_03(visit, digits):
    page = visit("03_loss")
    awaken(page)
    figure = page.locator("[data-figure=two_gaussian_sliders]")
    mu, logvar = figure.get_by_role("slider").all()
    for m, v in together(mu, logvar):
        parts = [0.5 * m**2, 0.5 * (math.exp(v) - 1 - v)]
        heights = figure.locator("rect:not([width='240'], [width='420'])").evaluate_all(
            "(all) => all.map((bar) => +bar.getAttribute('height'))"
        )
        unit = (240 - 26 - 12) / 5
        assert [height / unit for height in heights] == pytest.approx(
            [min(part, 5) for part in parts], abs=1e-3
        )
        q = torch.distributions.Normal(m, math.exp(0.5 * v))
        kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0, 1))
        said = re.search(r"KL = (.*) nats", figure.locator("svg").nth(1).text_content())[1]
        assert float(said) == pytest.approx(kl.item(), abs=0.0051)

    figure, x = page.locator("[data-figure=beta_slider]"), digits.test_x
    for place in move(figure.get_by_role("slider")):
        beta = [0, 0.1, 0.3, 1, 2, 4, 7, 10][int(place)]
        model, generator = (
            load_pretrained(f"vae-mnist-beta-{beta}"),
            torch.Generator().manual_seed(0),
        )
        mu, logvar = model.encode(x)
        z = mu + torch.exp(0.5 * logvar) * torch.randn(mu.shape, generator=generator)
        drawn = torch.randn(10, mu.shape[1], generator=generator)
        expected = torch.cat([x[:10].flatten(1), model.decode(z[:10]), model.decode(drawn)])
        assert (tiles(figure.locator("canvas"), 10) - expected).abs().max() < 1 / 255
        recon = torch.nn.functional.binary_cross_entropy(
            model.decode(z), x.flatten(1), reduction="sum"
        )
        assert f"β = {beta}: reconstruction {recon / len(x):.1f} nats" in figure.inner_text()


def bars(plot, most):
    """The heights of a plot's bars, where the axis ends at `most`."""
    top, bottom = re.search(r",(.*)V(.*)H", plot.locator("path").first.get_attribute("d")).groups()
    heights = plot.locator("g rect").evaluate_all(
        "(all) => all.map((bar) => +bar.getAttribute('height'))"
    )
    return [most * height / (float(bottom) - float(top)) for height in heights]


@torch.no_grad()
def test_the_widened_patch_of_lesson_03(visit, digits):
    page, model = visit("03_loss"), load_pretrained("vae-mnist-2")
    awaken(page)
    figure = page.locator("[data-figure=states]")
    eps = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    sliders = figure.get_by_role("slider").all()
    for _ in together(*sliders):
        digit, width = (float(slider.get_attribute("aria-valuetext")) for slider in sliders)
        x = digits.test_x[digits.test_y == int(digit)][:1].flatten(1)
        mu, logvar = model.encode(x)
        sigma = width * torch.exp(0.5 * logvar)
        z = mu + sigma * eps
        expected = torch.cat([x, model.decode(z[:12])])
        assert (tiles(figure.locator("canvas"), 7)[:13] - expected).abs().max() < 1 / 255
        recon = (
            torch.nn.functional.binary_cross_entropy(
                model.decode(z), x.expand(400, -1), reduction="sum"
            )
            .div(400)
            .item()
        )
        prior = torch.distributions.Normal(0, 1)
        kl = (
            torch.distributions.kl_divergence(torch.distributions.Normal(mu, sigma), prior)
            .sum()
            .item()
        )
        drawn = bars(figure.locator("svg").nth(1), 320)
        assert drawn == pytest.approx([min(recon, 320), kl], abs=0.01)
        assert f"together {recon + kl:.1f} nats" in figure.inner_text()


@torch.no_grad()
def test_both_figures_of_lesson_08_are_as_the_lesson_draws_them(visit):
    page = visit("08_how_good_is_it")
    awaken(page)
    lesson = definitions("08_how_good_is_it")
    cells = [source(cell) for cell in code_cells(FOLDER / "08_how_good_is_it.ipynb")]
    digits = lesson["load_images"]("mnist")
    lesson["x"], lesson["train_x"] = digits.test_x.flatten(1), digits.train_x.flatten(1)
    torch.manual_seed(0)
    for beginning in ("noise = 0.5", "centred = "):
        (cell,) = (cell for cell in cells if cell.startswith(beginning))
        exec(cell, lesson)

    def gaps(shift, scale):
        theirs = Figure()
        lesson["draw_bounds"](theirs, shift, scale)
        return [bar.get_width() for bar in theirs.axes[1].patches]

    def used(sigma):
        return lesson["kl_of_linear_vae"](sigma).tolist()

    for place, (expected, most) in enumerate([(gaps, 16), (used, 2.2)]):
        figure = page.locator("[data-figure=states]").nth(place)
        sliders = figure.get_by_role("slider").all()
        for _ in together(*sliders):
            values = [float(slider.get_attribute("aria-valuetext")) for slider in sliders]
            drawn = bars(figure.locator("svg").nth(1), most)
            assert drawn == pytest.approx(expected(*values), abs=2e-3)


@torch.no_grad()
def test_the_bill_of_lesson_12(visit, digits):
    page = visit("12_compression")
    awaken(page)
    figure = page.locator("[data-figure=states]")
    slider = figure.get_by_role("slider")
    x = (digits.test_x[:500].flatten(1) >= 0.5).float()
    for _ in move(slider):
        model = load_pretrained(f"vae-mnist-beta-{slider.get_attribute('aria-valuetext')}")
        mu, logvar = model.encode(x)
        std = torch.exp(0.5 * logvar)
        q, prior = torch.distributions.Normal(mu, std), torch.distributions.Normal(0, 1)
        z = mu + std * torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))
        pixel_nats = torch.nn.functional.binary_cross_entropy(model.decode(z), x, reduction="sum")
        nats = torch.stack([torch.distributions.kl_divergence(q, prior).sum(), pixel_nats])
        bits = (nats / 500 / math.log(2)).tolist()
        left, right = figure.locator("svg").all()
        assert bars(left, 260) == pytest.approx(bits, abs=0.01)
        (height,) = right.locator("circle[r='8']").evaluate_all(
            "(all) => all.map((dot) => +dot.getAttribute('cy'))"
        )
        top, bottom = 12, 240 - 44
        size = 60_000 - 30_000 * (height - top) / (bottom - top)
        assert size == pytest.approx(sum(bits) * 2_000 / 8, rel=1e-4)


@pytest.mark.parametrize("name", ["02_architecture", "03_loss"])
@torch.no_grad()
def test_the_xray_by_key_and_by_pointer(visit, name):
    page, model = visit(name), load_pretrained("vae-mnist-20")
    awaken(page)
    figure = page.locator("[data-figure=xray]")
    state = """(place) => ['x', 'eps', 'z'].map((name) =>
      Array.from(place.firstElementChild.xray.values[name]))"""
    seen = []
    for press in (
        lambda: None,
        lambda: figure.get_by_role("button", name="new ε").press("Enter"),
        lambda: figure.get_by_role("button", name="a test image").click(),
        lambda: figure.get_by_role("application").click(position={"x": 30, "y": 50}),
    ):
        press()
        x, eps, z = (torch.tensor([part]) for part in figure.evaluate(state))
        mu, logvar = model.encode(x)
        code = mu + torch.exp(0.5 * logvar) * eps
        assert (z - code).abs().max() < 1e-3
        seen.append(pixels(figure.get_by_role("img", name="recon_x")).flatten())
        assert (seen[-1] - model.decode(code)[0]).abs().max() < 1 / 255
    assert all((a - b).abs().max() > 0.05 for a, b in itertools.pairwise(seen))


def test_on_a_phone_the_xrays_note_and_its_code_stay_in_sight(visit):
    page = visit("02_architecture", viewport={"width": 390, "height": 844})
    awaken(page)
    figure = page.locator("[data-figure=xray]")
    for name, line in {
        "σ": "std = torch.exp(0.5 * logvar)",
        "x": "def encode(self, x):",
        "new ε": None,
    }.items():
        button = figure.get_by_role("button", name=name, exact=True)
        button.evaluate("(part) => part.scrollIntoView({ block: 'center' })")
        button.click()
        note = figure.locator(".note")
        box = note.bounding_box()
        assert 0 < box["y"] < box["y"] + box["height"] <= 844
        assert (line or "Draws ε anew") in note.inner_text()
        assert not figure.locator(".lines").evaluate(
            "(part) => part.getBoundingClientRect().top < innerHeight"
        )
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("browser", ["chromium", "firefox"], indirect=True)
def test_predictions_are_committed_judged_kept_and_counted(visit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the package keeps its own
    page = visit("02_architecture")
    awaken(page)
    places, counted = (
        page.locator("[data-figure=prediction]"),
        page.locator("[data-figure=prediction_summary] p"),
    )
    first = places.first
    first.get_by_role("button").click()
    assert "Choose one first." in first.inner_text()
    first.get_by_role("radio").nth(1).press(" ")  # about half: right
    first.get_by_role("slider").press("End")
    first.get_by_role("button").press("Enter")
    assert "✓ You were right: about half." in first.inner_text()
    places.nth(1).get_by_text("yes", exact=True).click()
    places.nth(1).get_by_role("button").click()
    assert "✗ Not this time: no." in places.nth(1).inner_text()
    predictions._MADE.clear()
    cells = [cell.source for cell in nbformat.read(NOTEBOOKS["02_architecture"], 4).cells]
    for cell in cells:
        if "= predict(" in cell:
            exec(cell, {"predict": predictions.predict})
    made = list(predictions._MADE.values())
    for guess, answer, sure, truth in zip(
        made, ("about half", "yes"), (100, 70), ("about half", "no"), strict=False
    ):
        guess.guess.value, guess.sure.value = answer, sure
        guess.commit()
        guess.reveal(truth)
    said = counted.inner_text()
    assert said == predictions._summary()
    assert "1 of 2 right, 2 not committed" in said
    page.reload()
    awaken(page)
    assert counted.inner_text() == said
    assert first.get_by_role("radio").nth(1).is_checked()
    assert first.get_by_role("radio").nth(0).is_disabled()
    page.get_by_role("button", name="Forget these guesses").click()
    assert "none of 4 committed" in counted.inner_text()
    assert first.get_by_role("radio").nth(0).is_enabled()
    predictions._MADE.clear()


@pytest.mark.parametrize("name", LABS)
@torch.no_grad()
def test_the_lab_moves_by_key_and_by_pointer_as_in_pytorch(visit, name):
    page, model = visit(name), load_pretrained(LABS[name])
    awaken(page)
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
    page.wait_for_function(f"document.querySelector('[data-figure] > div') && {LAB}")
    first = shown(page)
    page.wait_for_timeout(600)
    assert abs(shown(page) - first).max() > 0.05
    page.wait_for_function(f"!{LAB}.waiting")
    says = f"(() => {{ const lab = {LAB}; return [lab.said.textContent, lab.impression()] }})()"
    for _ in range(5):  # the text is about the picture beside it, also in motion
        said, now = page.evaluate(says)
        assert said == now != ""
        page.wait_for_timeout(100)
    page.get_by_role("slider", name="latent plane").press("ArrowUp")
    still = shown(page)
    page.wait_for_timeout(300)
    assert (shown(page) == still).all()


@pytest.mark.parametrize("name", ["index", "00_start_here"])
def test_a_figure_whose_weights_do_not_come_says_so(visit, address, name):
    page = visit("02_architecture").context.browser.new_page()  # of its own, as it has errors
    page.route("**/models/*.bin", lambda route: route.fulfill(status=404, body="not found"))
    page.goto(f"{address}/{name}.html")
    page.locator("[data-figure]").first.get_by_text("did not load").wait_for()
    assert page.locator("[data-figure]").first.locator("canvas, img.code").count() == 0
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_first_page_needs_no_other_file_to_look_as_it_does(visit, address, width):
    """What is seen at once stands where it stands when the style sheets have come."""
    parts = "header, h1, article p, [data-figure], aside a, aside input"
    visible = (
        f"[...document.querySelectorAll('{parts}')]"
        + """.map((part) => {
      const [{ x, y, width, height }, style] = [part.getBoundingClientRect(), getComputedStyle(part)];
      return [x, y, width, height, style.color, style.backgroundColor, style.font];
    }).filter(([, y]) => y < innerHeight)"""
    )
    seen = []
    page = visit("02_architecture").context.browser.new_page(
        viewport={"width": width, "height": 800}
    )
    for sheet in (None, ""):
        if sheet is not None:
            page.route("**/*.css*", lambda route: route.fulfill(body="", content_type="text/css"))
        page.goto(f"{address}/index.html")
        page.wait_for_function(f"document.querySelector('[data-figure] > div') && {LAB}")
        page.wait_for_load_state("networkidle")
        seen.append(page.evaluate(visible))
    page.close()
    assert len(seen[0]) > 3
    assert seen[0] == seen[1]


def test_on_paper_the_answers_are_unfolded(visit):
    page = visit("02_architecture")
    folded = "document.querySelectorAll('details:not([open])').length"
    before = page.evaluate(folded)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (before > 3, page.evaluate(folded)) == (True, 0)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(folded) == before


def test_search_finds_a_lesson(visit, address):
    page = visit("index")
    page.goto(f"{address}/search.html?q=reparameterization")
    page.wait_for_selector("ul.search li a")
    assert "02" in page.locator("ul.search").inner_text()


def test_an_answer_that_a_lesson_computes_is_known_to_the_page(visit):
    page = visit("06_exercise")
    awaken(page)
    first, third = page.locator("[data-figure=prediction]").all()[:2]
    first.get_by_role("button").click()
    assert "Move the slider to your guess first." in first.inner_text()
    for place, guess, said in ((first, 540, "✓ You were right: 550 nats."), (third, 50, "✗ Not")):
        place.get_by_role("slider").first.fill(str(guess))
        place.get_by_role("button").click()
        assert said in place.inner_text()
    assert "1 of 2 right" in page.locator("[data-figure=prediction_summary]").inner_text()


def test_an_answer_is_read_from_what_a_lesson_prints(sphinx):
    figures = importlib.import_module("site_figures")
    solutions = FOLDER / "solutions"
    for name, answers in {
        "06_exercise": {"first_loss": (550, 60), "third_epoch": (155, 30), "row_2": ("B", None)},
        "07_mini_project": {
            "cost": ("5 to 100", None),
            "two_numbers": ("30 to 75 %", None),
            "told": ("stays about the same", None),
            "in_plane": ("15 to 45 %", None),
        },
        "08_how_good_is_it": {"expected": (105.5, None)},
        "12_compression": {"size": (31_006, 3_000)},
    }.items():
        path = next(
            file for file in (solutions / f"{name}.ipynb", NOTEBOOKS[name]) if file.exists()
        )
        cells = nbformat.read(path, as_version=4).cells
        found = figures.Lesson(name, cells, None).answers
        assert {variable: found[variable] for variable in answers} == answers
        for cell in cells:
            cell.outputs = []
        with pytest.raises(AssertionError, match="is printed 0 times"):
            figures.Lesson(name, cells, None)


STATES = list(itertools.product((320, 1400), ("light", "dark")))


@pytest.mark.parametrize("name", PAGES)
def test_no_barrier(visit, name):
    """The first page in each width and each scheme, the others in turn, each answer open and each figure alive."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs the extra 'dev'"
    )
    page = visit(name)
    awaken(page)
    page.wait_for_load_state("networkidle")
    barriers = []
    # code and formulas, thousands of elements that are alike on every page, are looked at on two
    everywhere = name in ("index", "02_architecture")
    context = None if everywhere else {"exclude": [[".highlight"], ["mjx-container"]]}
    for width, scheme in STATES if name == "index" else [STATES[PAGES.index(name) % 4]]:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page, context, {"resultTypes": ["violations"]}).response["violations"]
        barriers += [
            (width, scheme, barrier["id"], node["html"][:200])
            for barrier in found
            if barrier["impact"] != "minor"
            for node in barrier["nodes"]
        ]
    assert barriers == []
