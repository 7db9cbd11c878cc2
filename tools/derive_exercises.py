"""Derive the learner's notebooks from the complete ones in notebooks/solutions.

    python tools/derive_exercises.py

What stands between the lines `# BEGIN SOLUTION` and `# END SOLUTION` is taken out. Inside a function a
`raise NotImplementedError` takes its place; elsewhere two lines that say that this step is passed over. The names that
such a step would make follow the mark, as in `# BEGIN SOLUTION model losses`. Outputs are taken out, and links made
to fit the folder above.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
INSIDE = ["raise NotImplementedError  # your turn: write this, and delete this line"]
OUTSIDE = [
    "with check.if_written({names}):",
    "    raise NotImplementedError  # your turn: put your program in place of these two lines",
]


def blank(source: str) -> str:
    """The source of a cell with its solutions taken out.

    Raises:
        ValueError: a BEGIN without its END, or an END without its BEGIN.
    """
    kept: list[str] = []
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark.startswith(BEGIN) or mark == END:
            begins = mark != END
            if inside == begins:
                raise ValueError(f"{BEGIN} and {END} do not alternate in:\n{source}")
            inside = begins
            if inside:
                indent = line[: len(line) - len(line.lstrip())]
                names = ", ".join(f'"{name}"' for name in mark.removeprefix(BEGIN).split())
                texts = INSIDE if indent else [text.format(names=names) for text in OUTSIDE]
                kept += [indent + text for text in texts]
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError(f"{BEGIN} has no {END} in:\n{source}")
    return "\n".join(kept)


def derive(complete: Any) -> Any:
    """The learner's notebook, from a complete one."""
    book = copy.deepcopy(complete)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.source = blank(cell.source)
            cell.outputs, cell.execution_count = [], None
        else:
            cell.source = re.sub(r"\]\(\.\./", "](", cell.source)
    return book


def main() -> None:
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        nbformat.write(derive(nbformat.read(path, as_version=4)), NOTEBOOKS / path.name)
        print(f"{path.name}: derived")


if __name__ == "__main__":
    main()
