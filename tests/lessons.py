"""Reads the committed notebooks, for the tests that hold their rules."""

from __future__ import annotations

import ast
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
COMPLETE = sorted(
    (NOTEBOOKS / "solutions").glob("*.ipynb")
)  # the learner's copies are derived from these
DERIVED = [NOTEBOOKS / path.name for path in COMPLETE]
LEARNERS = sorted(NOTEBOOKS.glob("*.ipynb"))  # what a learner opens
PATHS = [
    path for path in LEARNERS if path not in DERIVED
] + COMPLETE  # what is committed with its outputs


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(path: Path) -> list[dict]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def prose(path: Path) -> str:
    return "\n\n".join(source(cell) for cell in cells(path) if cell["cell_type"] == "markdown")


def shows(cell: dict, kind: str) -> bool:
    return any(kind in output.get("data", {}) for output in cell.get("outputs", []))


def definitions(name: str) -> dict:
    """What a lesson imports and defines: its functions and classes, without running its training."""
    kept = []
    path = next(path for path in PATHS if path.stem == name)
    for cell in code_cells(path):
        kept += [
            node
            for node in ast.parse(source(cell)).body
            if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)
        ]
    namespace: dict = {}
    exec(compile(ast.Module(kept, []), name, "exec"), namespace)
    return namespace
