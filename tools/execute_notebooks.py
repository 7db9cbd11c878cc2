"""Execute notebooks top to bottom and store their outputs, as they are committed.

    python tools/execute_notebooks.py notebooks/01_key_concepts.ipynb …

Widget state and the kernel's own metadata are left out; a progress bar leaves its last line only. The outputs between
a prediction and its explanation, and below a refresher, are folded: JupyterLab shows them once the cell has run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


PREDICT, EXPLAIN = "> **Predict.**", "> **Explain.**"


def answers(book: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells between each prediction's question and its explanation, or below a refresher's question."""
    found: list[nbformat.NotebookNode] = []
    since: list[nbformat.NotebookNode] | None = None  # what followed the last question
    asked = False
    for cell in book.cells:
        if cell.cell_type == "code" and asked:
            found.append(cell)
        asked = "<summary>Refresher</summary>" in cell.source
        if cell.cell_type == "code" and since is not None:
            since.append(cell)
        if EXPLAIN in cell.source and since is not None:
            found += since[1:]  # the first one asks
            since = None
        if PREDICT in cell.source:
            since = []
    return found


def execute(path: Path) -> float:
    """Run one notebook and write it back; the seconds it took. A failing cell raises, and nothing is written."""
    book = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    NotebookClient(
        book,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    ).execute()
    seconds = time.perf_counter() - start
    book.metadata = nbformat.from_dict(METADATA)
    for cell in answers(book) if path.parent.name != "solutions" else []:
        cell.metadata["jupyter"] = {"outputs_hidden": True}
    nbformat.validate(book)
    nbformat.write(book, path)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute notebooks and store their outputs.")
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        print(f"{path}: {execute(path):.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
