"""For whoever publishes the course on GitHub: gives each lesson its Colab badge, and what Colab needs first.

    python tools/add_badges.py OWNER/REPOSITORY [--branch main]

Under each lesson's title comes a badge that opens it in Colab, and before its first cell one that fetches the course
there and does nothing elsewhere. The README gets a Binder badge. Run again with another address, it replaces them.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import derive_exercises
import nbformat

ROOT = Path(__file__).parents[1]
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
BINDER = "[![Binder](https://mybinder.org/badge_logo.svg)]"
TAG = "colab"
NOTE = "On Google Colab, run this cell first: it fetches the course. Elsewhere it does nothing."
FETCH = """\
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    if not os.path.exists("/content/course"):
        subprocess.run(
            ["git", "clone", "--quiet", "--depth=1", "--branch={branch}", "{address}", "/content/course"],
            check=True,
        )
    os.chdir("/content/course/notebooks")
    sys.path.insert(0, "/content/course")"""


def add_to_lesson(path: Path, repository: str, branch: str) -> None:
    """Write the badge and the fetching cell into one lesson, in place of older ones; its outputs stay."""
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    title = cells[0]
    lines = [line for line in title.source.split("\n") if BADGE not in line]
    name = f"{branch}/notebooks/{path.name}"
    link = f"{BADGE}(https://colab.research.google.com/github/{repository}/blob/{name})"
    kept = "\n".join(lines[1:]).strip("\n")
    title.source = f"{lines[0]}\n\n{link}\n\n{kept}"
    code = FETCH.format(branch=branch, address=f"https://github.com/{repository}")
    new = [nbformat.v4.new_markdown_cell(NOTE), nbformat.v4.new_code_cell(code)]
    for cell in new:
        cell.metadata.tags = [TAG]
        cell.id = f"{TAG}-{cell.cell_type}"
    notebook.cells = [title, *new, *cells[1:]]
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(
        cell.execution_count for cell in code_cells
    ):  # the new one ran first, and printed nothing
        for count, cell in enumerate(code_cells, 1):
            cell.execution_count = count
    nbformat.write(notebook, path)


def add_to_readme(path: Path, repository: str, branch: str) -> None:
    """Write the Binder badge under the title, in place of an older one."""
    text = path.read_text("utf-8")
    lines = [line for line in text.split("\n") if not line.startswith(BINDER)]
    kept = "\n".join(lines[1:]).lstrip("\n")
    start = "urlpath=lab/tree/notebooks/00_start_here.ipynb"
    badge = f"{BINDER}(https://mybinder.org/v2/gh/{repository}/{branch}?{start})"
    path.write_text(f"{lines[0]}\n\n{badge}\n\n{kept}", "utf-8")


def add_badges(root: Path, repository: str, branch: str) -> None:
    """Add them to the README and to every lesson in this folder of the course."""
    lessons, solved = root / "notebooks", root / "notebooks" / "solutions"
    complete = sorted(solved.glob("*.ipynb"))
    derived = {path.name for path in complete}
    for path in sorted(lessons.glob("[0-9]*.ipynb")):
        if path.name not in derived:
            add_to_lesson(path, repository, branch)
    for path in complete:
        add_to_lesson(path, repository, branch)
        book = derive_exercises.derive(nbformat.read(path, as_version=4))
        nbformat.write(book, lessons / path.name)
    add_to_readme(root / "README.md", repository, branch)


def main() -> None:
    """Add the badges of one address everywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository", help="OWNER/REPOSITORY on GitHub")
    parser.add_argument("--branch", default="main")
    given = parser.parse_args()
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", given.repository):
        parser.error(f"{given.repository!r} is not of the form OWNER/REPOSITORY.")
    if not re.fullmatch(r"[\w./-]+", given.branch):
        parser.error(f"{given.branch!r} is no name of a branch.")
    add_badges(ROOT, given.repository, given.branch)


if __name__ == "__main__":
    main()
