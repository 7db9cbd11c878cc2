"""Submissions graded together: solutions, wrong answers of the bug zoo, blanks, half-done ones, then the tests' traits.

    python benchmarks/grading.py [--jobs 2] [--submissions 300]

Reports seconds, memory, and whether every score and every name of a mistake is the expected one.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import json
import re
import resource
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import record

from vae_helpers.grading import LESSONS, Row, grade

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "bug_zoo"), str(ROOT / "tests")]
KNOWN = {"torch", "F", "nn", "VAE", "kl_divergence", "reconstruction_loss", "loss_function"}


def with_cell(cells: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The same notebook with one code cell more, after the last definition."""
    return [
        *cells,
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": text,
        },
    ]


def zoo() -> Iterator[tuple[str, str, str]]:
    """(check, name of the mistake, source) of the wrong answers that can be pasted under the right ones."""
    from wrong import WRONG  # type: ignore[import-not-found]

    for check, bug, answer in WRONG:
        if check not in LESSONS["06"]:
            continue
        lines = textwrap.dedent(inspect.getsource(answer)).splitlines()
        text = "\n".join(line for line in lines if not line.startswith("@"))
        names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
        free = names - KNOWN - set(dir(__builtins__)) - _own_names(text)
        if free:
            continue
        if inspect.isclass(answer):
            base = answer.__bases__[0].__name__
            yield check, bug, text.replace(f"class {answer.__name__}({base})", "class VAE(VAE)")
        elif check == "reparameterize":
            method = re.sub(r"^def \w+\(", "def reparameterize(self, ", text)
            yield check, bug, f"class VAE(VAE):\n{textwrap.indent(method, '    ')}"
        elif check not in KNOWN or f"{check}(" not in text.split(":", 1)[1]:
            yield check, bug, re.sub(r"^def \w+\(", f"def {check}(", text)


def _own_names(text: str) -> set[str]:
    tree = ast.parse(text)
    stored = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
    }
    return stored | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def hand_in(folder: Path, count: int) -> dict[str, Callable[[Row], bool]]:
    """Write sixty submissions, and traits up to this count; for each name, what its row must be like."""
    solved = json.loads((ROOT / "notebooks" / "solutions" / "06_exercise.ipynb").read_text("utf-8"))
    blank = json.loads((ROOT / "notebooks" / "06_exercise.ipynb").read_text("utf-8"))
    expected: dict[str, Callable[[Row], bool]] = {}

    def put(name: str, cells: list[dict[str, Any]], check: Callable[[Row], bool]) -> None:
        (folder / name).mkdir()
        text = json.dumps(solved | {"cells": cells})
        (folder / name / "06_exercise.ipynb").write_text(text, encoding="utf-8")
        expected[name] = check

    for number in range(10):
        put(f"solved {number}", solved["cells"], lambda row: row.score == 8)
        put(f"blank {number}", blank["cells"], lambda row: row.score == 0 and not _attempted(row))
    found = list(zoo())
    for number, (_, bug, text) in enumerate(found[:: max(1, len(found) // 30)][:30]):
        put(
            f"zoo {number:02d} {bug}",
            with_cell(solved["cells"], text),
            lambda row, bug=bug: bug in [v.diagnosis for v in row.checks.values()],  # type: ignore[misc]
        )
    for number in range(10):
        kept = [c for c in solved["cells"] if "def training_step" not in "".join(c["source"])]
        put(
            f"half {number}",
            kept,
            lambda row: row.score == 7 and not row.checks["training_step"].attempted,
        )
    from traits import TRAITS, is_fair  # type: ignore[import-not-found]

    for number, (name, (content, fair)) in enumerate(itertools.cycle(TRAITS.items())):
        if len(expected) >= count:
            break
        file = f"trait {number:03d} {name}.ipynb"
        (folder / file).write_bytes(content)
        expected[file] = lambda row, fair=fair: is_fair(row, fair)  # type: ignore[misc]
    return expected


def _attempted(row: Row) -> bool:
    return any(verdict.attempted for verdict in row.checks.values())


def main() -> None:
    """Grade, compare, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--submissions", type=int, default=300)
    given = parser.parse_args()
    own, memory = psutil.Process(), list[float]()

    def note_memory(done: int, total: int) -> None:
        memory.append(own.memory_info().rss / 2**20)

    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "in", Path(name) / "out"
        folder.mkdir()
        expected = hand_in(folder, given.submissions)
        started = time.perf_counter()
        rows = grade(folder, out, jobs=given.jobs, progress=note_memory)
        seconds = time.perf_counter() - started
        wrong = [row.submission for row in rows if not expected[row.submission](row)]
        started = time.perf_counter()
        grade(folder, out, jobs=given.jobs)
        again = time.perf_counter() - started
    third = len(memory) // 3
    grader = [max(memory[:third]), max(memory[-third:])]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(
        f"{len(rows)} submissions in {seconds:.0f} s with {given.jobs} jobs; again in {again:.1f} s"
    )
    print(
        f"MB: the grader {grader[0]:.0f} in the first third and {grader[1]:.0f} in the last,",
        end=" ",
    )
    print(f"the largest submission {largest:.0f}")
    print("not as expected:", ", ".join(wrong) or "none")
    record.write(
        "grading",
        {
            "settings": {"submissions": len(rows), "jobs": given.jobs, "lesson": "06"},
            "results": {
                "seconds": seconds,
                "seconds_again": again,
                "megabytes_of_the_grader": grader,
                "megabytes_of_the_largest_submission": largest,
                "not_as_expected": wrong,
            },
        },
    )
    assert not wrong, wrong


if __name__ == "__main__":
    main()
