"""Build the course as a static site from the committed notebooks; needs the extra 'site', no network and no kernel.

    python tools/build_site.py OUT [--repository OWNER/NAME] [--branch main]

Where a notebook shows a widget that `site_figures.py` knows, the page computes it; another leaves a sentence. Links
to files that are no page lead to the repository, if it is named; otherwise their text alone is left.
"""

from __future__ import annotations

import argparse
import html
import json
import posixpath
import re
import shutil
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nbformat
from add_badges import BADGE, TAG
from derive_exercises import BEGIN, END
from PIL import Image
from site_figures import VIEW, Lesson, Store, lab, place
from sphinx.application import Sphinx

from vae_helpers.checks import check, code_in_html
from vae_helpers.checks.registry import HINTS
from vae_helpers.interactive.pages import FOLDER

ROOT = Path(__file__).parents[1]
SITE = Path(__file__).with_name("site")
ALONE = ("latent_lab.html", "xray.html")  # pages that are one file
HERE = "this folder: clone it, or download and unpack it, and open a terminal in it"
THERE = "the course's folder: clone or download it [from GitHub](https://github.com/{}), and open a terminal in it"
NOWHERE = (
    "the course's folder, which you can get from whoever gave you this page; open a terminal in it"
)
BACK = '<p><a href="index.html">The course that this page belongs to</a></p>'
READING = (
    "*You can read the whole lesson here and make its predictions, and most figures move. Where it says to run a cell, "
    "what the cell showed stands below it, or in a fold. To run and change cells, run the course yourself.*"
)
WRITING = (
    "*You can read the exercise here, write your lines on paper or in an editor, and compare: below each blank are "
    "hints and one right answer, folded, and below other cells what a complete version shows. To be checked, run the "
    "course yourself.*"
)
BY_HAND = (
    "This page runs no code. Write your lines on paper or in an editor, then open a hint, or compare with one right "
    "answer; where you run the course, a check says which mistake it sees."
)
SETTINGS: dict[str, Any] = {
    "project": "Variational Autoencoders",
    "html_title": "Variational Autoencoders: a course you can run",
    "extensions": ["myst_nb"],
    "nb_execution_mode": "off",
    "nb_code_prompt_hide": "Fold it again",
    "nb_ipywidgets_js": {},
    "myst_enable_extensions": ["dollarmath"],
    "myst_heading_anchors": 3,
    "mathjax_path": "mathjax/tex-chtml.js",
    "smartquotes": False,
    "html_theme": "furo",
    "html_static_path": ["_static"],
    "html_extra_path": ["_extra"],
    "html_css_files": ["site.css"],
    "html_js_files": [("site.js", {"type": "module"})],
    "html_favicon": "_static/icon.svg",
    "html_use_index": False,
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_copyright": False,
    "html_show_sphinx": False,
    "pygments_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def first_lab(store: Store) -> str:
    """The lab of the first page, which plays until it is touched."""
    instead = """<noscript><img src="_static/lab.png" alt="The lab: a plane of codes, a decoded picture, a drawing">
</noscript>
<p>The lab needs JavaScript and a page that comes from a server. Opened from a folder, use
<a href="latent_lab.html">latent_lab.html</a>.</p>"""
    begin = store.beginning(["lab-vae-mnist-2", "lab-classifier-mnist"])
    return place(lab(store, "lab-vae-mnist-2"), instead, begin=begin)


class Links:
    """Where the repository's own links lead on the site."""

    def __init__(self, pages: list[str], repository: str | None, branch: str) -> None:
        self.pages = pages
        self.home = repository and f"https://github.com/{repository}/blob/{branch}"

    def mapped(self, text: str, folder: str) -> str:
        """Markdown that stands in `folder` of the repository, with its links as the site has them."""

        def replace(found: re.Match[str]) -> str:
            label, target = found.groups()
            path, _, anchor = target.partition("#")
            if target.startswith(("http", "#")):
                return found[0]
            path = posixpath.normpath(posixpath.join(folder, path))
            name = posixpath.basename(path)
            if path in self.pages:
                return f"[{label}]({name}{anchor and '#'}{anchor})"
            if name in ALONE:
                return f'<a href="{name}">{label}</a>'
            if path == "README.md":
                return f"[{label}](index.md)"
            return f"[{label}]({self.home}/{path}{anchor and '#'}{anchor})" if self.home else label

        return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", replace, text)


def lesson(
    path: Path, links: Links, store: Store, repository: str | None, branch: str
) -> nbformat.NotebookNode:
    """A committed notebook as the page shows it; one with blanks shows what its complete version shows."""
    book: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    solution = path.parent / "solutions" / path.name
    complete = nbformat.read(solution, as_version=4).cells if solution.exists() else book.cells
    pairs = [
        (cell, whole)
        for cell, whole in zip(book.cells, complete, strict=True)
        if TAG not in cell.metadata.get("tags", [])
    ]
    book.cells = [cell for cell, _ in pairs]
    figures = Lesson(path.stem, [whole for _, whole in pairs], store)
    setup = next(cell for cell in book.cells if cell.cell_type == "code")
    told = f"<p>{BY_HAND}</p>"  # once, at the first blank
    for cell, whole in pairs:
        if cell.cell_type == "markdown":
            cell.source = links.mapped(cell.source, "notebooks")
            continue
        cell.metadata["mystnb"] = {"image": {"alt": "A figure, which the text below describes"}}
        asks = re.search(r"^check\.(\w+)\(\w+\)$", cell.source, re.MULTILINE)
        if asks or whole.source != cell.source:
            if asks:
                answer = _by_hand(asks[1])
            elif cell.source.startswith("class "):
                answer = ""  # the checks below have one for each of its parts
            else:
                answer = _right_answer(whole.source, whole.outputs)
            page = {"text/html": told + answer}
            cell.outputs, told = [nbformat.v4.new_output("display_data", page)], ""
            continue
        cell.outputs = whole.outputs
        still = not any(VIEW in output.get("data", {}) for output in cell.outputs)
        if cell is setup:
            _fold(cell, "hide-input", "The set-up cell")
        elif ".reveal(" in cell.source or "jupyter" in cell.metadata:  # code tells, too
            _fold(cell, "hide-cell", "After your guess: the cell, and what it shows")
        elif "check.if_written(" in cell.source and cell.outputs and still:
            _fold(cell, "hide-output", "In a complete version: what the cell shows")
        for output in cell.outputs:
            data = output.get("data", {})
            if VIEW in data:
                output.data = {"text/html": figures.instead(cell, data["text/plain"])}
    assert not figures.known, f"{path.name} no longer shows {', '.join(figures.known)}."
    title, *rest = book.cells[0].source.split("\n")
    rest = [line for line in rest if BADGE not in line]
    offers = _offers(path.name, repository, branch)
    book.cells[0].source = "\n".join(
        [title, "", offers, "", WRITING if solution.exists() else READING, *rest]
    )
    return book


def _fold(cell: Any, tag: str, prompt: str) -> None:
    cell.metadata["tags"] = [*cell.metadata.get("tags", []), tag]
    cell.metadata["mystnb"]["code_prompt_show"] = prompt


def _by_hand(name: str) -> str:
    """What stands below an answer that a reader of the page writes: what a check gives on request, folded."""
    hints = (
        f"<details><summary>Hint {number}</summary><p>{code_in_html(hint)}</p></details>"
        for number, hint in enumerate(HINTS[name], 1)
    )
    return "".join(hints) + _right_answer(getattr(check, name).solution().text, [])


def _right_answer(code: str, outputs: list[Any]) -> str:
    marks = rf"^ *(?:{BEGIN}|{END}).*\n?"
    text = html.escape(re.sub(marks, "", code, flags=re.MULTILINE))
    shown = "".join(html.escape(output.text) for output in outputs)
    shown = shown and f"<p>It prints:</p><pre>{shown}</pre>"
    return f"<details><summary>One right answer</summary><pre>{text}</pre>{shown}</details>"


def _offers(name: str, repository: str | None, branch: str) -> str:
    offers = [f'<a href="notebooks/{name}" download>Download this notebook</a>']
    if repository:
        colab = (
            f"https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{name}"
        )
        binder = (
            f"https://mybinder.org/v2/gh/{repository}/{branch}?urlpath=lab/tree/notebooks/{name}"
        )
        offers += [f"[open it in Colab]({colab})", f"[in Binder]({binder})"]
    return " · ".join([*offers, "[what it needs to run](index.md#run-it-yourself)"])


def landing(readme: str, links: Links, store: Store, repository: str | None) -> str:
    """The first page; the lessons and the commands on it are the README's."""
    rows = re.findall(r"^\| \[(\d\d) .*\]\(notebooks/(\w+)\.ipynb\).*$", readme, re.MULTILINE)
    lines = re.findall(r"^\| \[\d\d .*$", readme, re.MULTILINE)
    (route,) = re.findall(r"The core route is ([\d →]+\d)", readme)
    core = [row for row in rows if row[0] in route.split(" → ")]
    head = re.findall(r"^\| lesson .*\n\|[-|]+$", readme, re.MULTILINE)[0]
    (start,) = re.findall(r"^## Start\n\n(.*?)(?=^## )", readme, re.MULTILINE | re.DOTALL)
    assert HERE in start, "The README no longer says where the folder comes from."
    start = start.replace(HERE, THERE.format(repository) if repository else NOWHERE)

    def table(rows: list[tuple[str, str]]) -> str:
        return "\n".join([head, *(line for line in lines if line[3:5] in dict(rows))])

    further = [row for row in rows if row not in core]
    blanks = {
        "lab": first_lab(store),
        "core": table(core),
        "beyond": "And further, in any order, once you have done what the third column names:\n\n"
        + table(further),
        "start": start.strip(),
        "core_pages": "\n".join(name for _, name in core),
        "further_pages": "\n".join(name for _, name in further),
    }
    text = (SITE / "index.md").read_text("utf-8")
    for name, value in blanks.items():
        text = text.replace("{{ " + name + " }}", links.mapped(value, ""))
    return links.mapped(text, "notebooks")


def prepare(folder: Path, repository: str | None, branch: str) -> None:
    """Write what Sphinx reads: the pages, and the files that they load."""
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    pages = [f"notebooks/{path.name}" for path in paths] + [
        "notebooks/cheat_sheet.md",
        "notebooks/references.md",
        "notebooks/guide.md",
    ]
    links = Links(pages, repository, branch)
    static, extra = folder / "_static", folder / "_extra"
    (extra / "notebooks").mkdir(parents=True)
    static.mkdir()
    store = Store(static)
    for path in paths:
        nbformat.write(lesson(path, links, store, repository, branch), folder / path.name)
        shutil.copy(path, extra / "notebooks")
    readme = (ROOT / "README.md").read_text("utf-8")
    (folder / "index.md").write_text(landing(readme, links, store, repository), "utf-8")
    for name, source in {
        "cheat_sheet": "notebooks/cheat_sheet.md",
        "references": "notebooks/references.md",
        "guide": "classroom/guide.md",
    }.items():
        text = (ROOT / source).read_text("utf-8")
        (folder / f"{name}.md").write_text(links.mapped(text, posixpath.dirname(source)), "utf-8")
    for name in ALONE:
        page = (ROOT / "notebooks" / name).read_text("utf-8")
        (extra / name).write_text(page.replace("</main>", f"{BACK}</main>"), "utf-8")
    for path in (
        *SITE.glob("*.svg"),
        *SITE.glob("*.css"),
        *SITE.glob("*.js"),
        *FOLDER.glob("*.js"),
        ROOT / "notebooks/pictures/lab.png",
    ):
        shutil.copy(path, static)
    mathjax = Path(
        str(
            distribution("sphinx-mathjax-offline").locate_file(
                "sphinx-mathjax-offline/static/mathjax"
            )
        )
    )
    for part in ("tex-chtml.js", "output/chtml/fonts/woff-v2"):
        goal = static / "mathjax" / part
        goal.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (mathjax / part).is_dir() else shutil.copy)(mathjax / part, goal)


def named(page: str, sizes: dict[str, tuple[int, int]]) -> str:
    """A page with a heading of the first level, levels for the others, names for its asides, and pictures as WebP.

    Each picture's place is kept free until it comes. One that is far wider than high stays legible on a phone.
    """

    def place(found: re.Match[str]) -> str:
        width, height = sizes[found[1]]
        kind = ' class="wide"' if width > 2 * height else ""
        return f'src="_images/{found[1]}.webp" width="{width}" height="{height}"{kind}'

    page = re.sub(r'src="_images/(\w+)\.png"', place, page)
    page = page.replace('<div id="search-results">', '<h1>Search</h1>\n<div id="search-results">')
    for part, name in (("sidebar", "The course"), ("toc", "This page")):
        page = page.replace(
            f'<aside class="{part}-drawer', f'<aside aria-label="{name}" class="{part}-drawer'
        )
    return page.replace('role="heading">', 'role="heading" aria-level="2">')


def concerning(style: str, page: str) -> str:
    """The rules of a style sheet that name only what is in the page, with the variables that are used."""
    names = set(" ".join(re.findall(r'(?:class|id)="([^"]*)"', page)).split())
    elements = set(re.findall(r"<([a-z][a-z0-9]*)", page))

    def held(selector: str) -> bool:
        plain = re.sub(r":not\([^)]*\)|\[[^]]*\]|::?[\w-]+(?:\([^)]*\))?", " ", selector)
        return names.issuperset(re.findall(r"[.#]([\w-]+)", plain)) and elements.issuperset(
            re.findall(r"(?<![\w.#-])[a-z]\w*", plain)
        )

    def rule(found: re.Match[str]) -> str:
        kept = [one for one in re.split(r",(?![^(]*\))", found[1]) if held(one)]
        return f"{','.join(kept)}{{{found[2]}}}" if kept else ""

    style = re.sub(r"([^{}]+)\{([^{}]*)\}", rule, re.sub(r"/\*.*?\*/", "", style))
    style = re.sub(r"@[^{}]+\{\s*\}", "", style)
    used = set(re.findall(r"var\((--[\w-]+)", style + page))
    variable = r"(--[\w-]+):(?:url\([^)]*\)|[^;{}])*;?"
    return re.sub(variable, lambda found: found[0] if found[1] in used else "", style)


def quick(page: str, folder: Path) -> str:
    """The first page, which waits for no other file before it is painted.

    What the styles of the theme and of the site say of it stands in it; the sheets and the drawings of its icons come
    last, and what the lab computes with is asked for at once.
    """
    sheets = re.findall(r'<link rel="stylesheet".*?href="([^"?]+).*?/>\n', page)
    page = re.sub(r'\s*<link rel="stylesheet".*?/>(?=\n)', "", page)
    theme, ours = (
        (folder / "_static" / name).read_text("utf-8").split("/*#")[0]
        for name in ("styles/furo.css", "site.css")
    )
    (data,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    files = [names[0] for names in json.loads(data)["bytes"].values()]
    wanted = [
        *(
            f'<link rel="modulepreload" href="_static/{name}.js">'
            for name in ("latent_lab", "network", "drawing")
        ),
        *(f'<link rel="preload" as="fetch" crossorigin href="_static/{file}">' for file in files),
    ]
    wanted += [  # a style sheet that is for paper until it has come holds nothing up
        f"""<link rel="stylesheet" href="{sheet}" media="print" onload="this.media='all'">"""
        for sheet in sheets
    ]
    styles = concerning(theme, page + ours) + ours
    page = page.replace("</head>", f"<style>{styles}</style></head>", 1)
    page = page.replace('<script type="module"', '<script type="module" async', 1)
    (icons,) = re.findall(r"<svg [^>]*display: none.*?</symbol>\s*</svg>", page, re.DOTALL)
    page = page.replace(icons, "", 1)
    return page.replace("</body>", f"{icons}{''.join(wanted)}</body>")


def build(out: Path, repository: str | None = None, branch: str = "main") -> None:
    """Build the site into `out`, which is new or was built before; a warning of Sphinx is an error."""
    if out.exists():
        if any(out.iterdir()) and not (out / "searchindex.js").exists():
            raise FileExistsError(f"{out} holds something else than this site.")
        shutil.rmtree(out)
    with tempfile.TemporaryDirectory() as temporary:
        source, trees = Path(temporary, "source"), Path(temporary, "trees")
        source.mkdir()
        prepare(source, repository, branch)
        settings = "\n".join(f"{name} = {value!r}" for name, value in SETTINGS.items())
        (source / "conf.py").write_text(settings, "utf-8")
        app = Sphinx(source, source, out, trees, "html", status=None, warningiserror=True)
        app.build(force_all=True)
    (out / "_sources").rmdir()  # Sphinx leaves it, empty
    sizes = {}
    for picture in out.glob("_images/*.png"):  # the same pixels in half the bytes
        with Image.open(picture) as pixels:
            sizes[picture.stem] = pixels.size
            pixels.save(picture.with_suffix(".webp"), lossless=True, method=2, quality=50)
        picture.unlink()
    for page in out.glob("*.html"):
        page.write_text(named(page.read_text("utf-8"), sizes), "utf-8")
    first = out / "index.html"
    first.write_text(quick(first.read_text("utf-8"), out), "utf-8")
    if app.statuscode:
        sys.exit(app.statuscode)


def main() -> None:
    """Build the site that the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the course as a static site.")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--repository", help="OWNER/NAME on GitHub, for links to it, to Colab and to Binder"
    )
    parser.add_argument("--branch", default="main")
    given = parser.parse_args()
    if given.repository and not re.fullmatch(r"[\w.-]+/[\w.-]+", given.repository):
        parser.error(f"{given.repository!r} is not of the form OWNER/NAME.")
    build(given.out, given.repository, given.branch)


if __name__ == "__main__":
    main()
