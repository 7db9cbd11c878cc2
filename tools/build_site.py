"""Build the course as a static site from the committed notebooks; needs the extra 'site', no network and no kernel.

    python tools/build_site.py OUT [--repository OWNER/NAME] [--branch main]

Where the notebooks show the latent lab, the page computes it; other widgets leave a sentence. Links to files that are
no page lead to the repository, if it is named; otherwise their text alone is left.
"""

from __future__ import annotations

import argparse
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
from sphinx.application import Sphinx

from vae_helpers.data import load_images
from vae_helpers.interactive.latent_lab import SCRIPT, LatentLab
from vae_helpers.pretrained import load_pretrained

ROOT = Path(__file__).parents[1]
SITE = Path(__file__).with_name("site")
LABS = {  # a VAE, and the autoencoder beside it
    "small": ("lab-vae-mnist-2", None),
    "plane": ("vae-mnist-2", "autoencoder-mnist-2"),
    "twenty": ("vae-mnist-20", None),
}
LABS_OF = {"00_start_here": "twenty", "01_key_concepts": "plane", "04_why_it_matters": "twenty"}
VIEW = "application/vnd.jupyter.widget-view+json"
STILL = {
    "predict(": "In JupyterLab you commit to your guess here. On this page, make it before you open what follows.",
    "prediction_summary(": "In JupyterLab this line says how well you judged yourself.",
    "": "These controls move in JupyterLab; the figure below shows some of their positions.",
}
SETTINGS: dict[str, Any] = {
    "project": "Variational Autoencoders",
    "html_title": "Variational Autoencoders: a course you can run",
    "extensions": ["myst_nb"],
    "nb_execution_mode": "off",
    "nb_code_prompt_show": "After your guess: what the cell shows",
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


def lab(name: str, *, plays: bool = False) -> str:
    """A place where a lab comes alive; until then, or on paper, its picture."""
    return f"""<div data-lab="{name}"{' data-plays="1"' if plays else ""}>
<img src="_static/lab.png" alt="The latent lab: a plane with the codes of test digits, the decoded picture, a drawing">
<p>The lab needs JavaScript and a page that comes from a server. Opened from a folder, use
<a href="latent_lab.html">latent_lab.html</a>.</p>
</div>"""


def save_labs(folder: Path) -> None:
    """Write what each lab computes with: its settings as JSON, and its numbers, in half precision, as they are."""
    folder.mkdir()
    for name, (vae, autoencoder) in LABS.items():
        widget = LatentLab(
            load_pretrained(vae),
            autoencoder=load_pretrained(autoencoder) if autoencoder else None,
            classifier=load_pretrained("lab-classifier-mnist"),
            images=load_images("mnist"),
        )
        pieces = {key: bytes(getattr(widget, key)) for key in ("blob", "codes", "images")}
        state = {"spec": widget.spec, "z": widget.z, "x": widget.x}
        sizes = [[key, len(piece)] for key, piece in pieces.items()]
        text = json.dumps({"state": state, "sizes": sizes}, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text, "utf-8")
        (folder / f"{name}.bin").write_bytes(b"".join(pieces.values()))


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
            if name == "latent_lab.html":
                return f'<a href="{name}">{label}</a>'
            if path == "README.md":
                return f"[{label}](index.md)"
            return f"[{label}]({self.home}/{path}{anchor and '#'}{anchor})" if self.home else label

        return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", replace, text)


def lesson(path: Path, links: Links, repository: str | None, branch: str) -> nbformat.NotebookNode:
    """A committed notebook as the page shows it."""
    book: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    book.cells = [cell for cell in book.cells if TAG not in cell.metadata.get("tags", [])]
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = links.mapped(cell.source, "notebooks")
            continue
        if cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            cell.metadata.tags = [*cell.metadata.get("tags", []), "hide-output"]
        cell.metadata["mystnb"] = {"image": {"alt": "A figure, which the text below describes"}}
        for output in cell.outputs:
            if VIEW in output.get("data", {}):
                output.data = {"text/html": _instead(cell.source, path.stem)}
    title, *rest = book.cells[0].source.split("\n")
    rest = [line for line in rest if BADGE not in line]
    book.cells[0].source = "\n".join([title, "", _offers(path.name, repository, branch), *rest])
    return book


def _instead(source: str, stem: str) -> str:
    if "LatentLab(" in source:
        return lab(LABS_OF[stem])
    sentence = next(text for call, text in STILL.items() if call in source)
    return f'<p class="still">{sentence}</p>'


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


def landing(readme: str, links: Links) -> str:
    """The first page; the lessons and the commands on it are the README's."""
    rows = re.findall(r"^\| \[(\d\d) .*\]\(notebooks/(\w+)\.ipynb\).*$", readme, re.MULTILINE)
    lines = re.findall(r"^\| \[\d\d .*$", readme, re.MULTILINE)
    (route,) = re.findall(r"The core route is ([\d →]+\d)", readme)
    core = [row for row in rows if row[0] in route.split(" → ")]
    head = re.findall(r"^\| lesson .*\n\|[-|]+$", readme, re.MULTILINE)[0]
    (start,) = re.findall(r"^## Start\n\n(.*?)(?=^## )", readme, re.MULTILINE | re.DOTALL)

    def table(rows: list[tuple[str, str]]) -> str:
        return "\n".join([head, *(line for line in lines if line[3:5] in dict(rows))])

    further = [row for row in rows if row not in core]
    blanks = {
        "lab": lab("small", plays=True),
        "core": table(core),
        "beyond": "And further, in any order that the second column but one allows:\n\n"
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
    for path in paths:
        nbformat.write(lesson(path, links, repository, branch), folder / path.name)
        shutil.copy(path, extra / "notebooks")
    readme = (ROOT / "README.md").read_text("utf-8")
    (folder / "index.md").write_text(landing(readme, links), "utf-8")
    for name, source in {
        "cheat_sheet": "notebooks/cheat_sheet.md",
        "references": "notebooks/references.md",
        "guide": "classroom/guide.md",
    }.items():
        text = (ROOT / source).read_text("utf-8")
        (folder / f"{name}.md").write_text(links.mapped(text, posixpath.dirname(source)), "utf-8")
    shutil.copy(ROOT / "notebooks" / "latent_lab.html", extra)
    for path in (
        SITE / "icon.svg",
        SITE / "site.css",
        SITE / "site.js",
        SCRIPT,
        ROOT / "notebooks/pictures/lab.png",
    ):
        shutil.copy(path, static)
    save_labs(static / "labs")
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
    for page in out.glob("*.html"):  # Sphinx's headings of the contents do not say their level
        text = page.read_text("utf-8").replace('role="heading">', 'role="heading" aria-level="2">')
        page.write_text(text, "utf-8")
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
