"""Seconds and memory of each lesson, and seconds until its first slider; the table of them in README.md.

    python benchmarks/notebooks.py [notebooks/00_start_here.ipynb …]

Each notebook runs in a new kernel, as "Run All Cells" does; nothing is written into it. Seconds count from the
start of the kernel. Memory is the kernel's peak resident size, which Linux reports.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from record import write

from vae_helpers import load_benchmark

README = Path(__file__).with_name("README.md")
START, END = "<!-- lessons -->", "<!-- end of lessons -->"
WIDGET = "application/vnd.jupyter.widget-view+json"


def measure(path: Path) -> dict[str, Any]:
    """Run one notebook; seconds, peak memory in MB, seconds until the first widget is there."""
    book = nbformat.read(path, as_version=4)
    client = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    first_widget = None
    start = time.perf_counter()
    with client.setup_kernel():
        manager: Any = client.km
        pid = manager.provisioner.pid
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
            shown = [output.get("data", {}) for output in cell.get("outputs", [])]
            if first_widget is None and any(WIDGET in data for data in shown):
                first_widget = time.perf_counter() - start
        seconds = time.perf_counter() - start
        status = Path(f"/proc/{pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(peak / 1024),
        "first_widget_seconds": round(first_widget, 1) if first_widget is not None else None,
    }


def table(lessons: dict[str, dict[str, Any]]) -> str:
    """The lessons in their order, as Markdown."""
    rows = [
        f"| {name.replace('_', ' ')} | {row['seconds']:.0f} | {row['first_widget_seconds']:.0f} | "
        f"{row['peak_memory_mb'] / 1000:.1f} |"
        for name, row in sorted(lessons.items())
    ]
    total = sum(row["seconds"] for row in lessons.values())
    rows.append(f"| all, one after the other | {total:.0f} | | |")
    head = [
        "| lesson | seconds | until the first slider | memory at most, GB |",
        "|---|---|---|---|",
    ]
    return "\n".join([START, *head, *rows, END])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", nargs="*", type=Path)
    folder = Path(__file__).parents[1] / "notebooks"
    complete = sorted((folder / "solutions").glob("*.ipynb"))
    names = {path.name for path in complete}  # of these the learner's copies are blank
    open_ones = [path for path in sorted(folder.glob("*.ipynb")) if path.name not in names]
    given = parser.parse_args().notebooks
    paths = given or [*open_ones, *complete]
    lessons = load_benchmark("notebooks")["lessons"] if given else {}  # the others as they were
    for path in paths:
        lessons[path.stem] = measure(path)
        print(path.stem, lessons[path.stem], flush=True)
    total = round(sum(lesson["seconds"] for lesson in lessons.values()), 1)
    write("notebooks", {"seconds_in_all": total, "lessons": lessons})
    text = README.read_text(encoding="utf-8")
    before, after = text.split(START)[0], text.split(END)[1]
    README.write_text(before + table(lessons) + after, encoding="utf-8")


if __name__ == "__main__":
    main()
