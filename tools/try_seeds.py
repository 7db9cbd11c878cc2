"""Run lessons with other seeds, instruction sets and numbers of threads, and list each cell that fails.

    python tools/try_seeds.py 01 08 --seeds 1 2 3 --instructions default avx2
    python tools/try_seeds.py --training --seeds 1 --instructions default
    python tools/try_seeds.py --training --device cuda
    python tools/try_seeds.py --all

Each lesson runs from a copy, in a kernel of its own; of 06 and 07 the complete versions. A seed s puts N + s in the
place of each seed N that the lesson names. A cell fails when it raises, or when an output that must not vary (the tag
`nbval-check-output`) does. Cells are counted from 0, those with text included.

With `--device` every `fit` and `fit_gan` trains there.

`--all` runs every lesson with five seeds on three instruction sets, the numbers of threads in turn, and keeps the
result in benchmarks/results/try_seeds.json after each run: stopped, it goes on where it was. A lesson whose code has
changed since is run again; after a change of the package, delete the file. An instruction set that the processor lacks
is said to be missing, and left out. A failure, or a run without a result, makes the exit status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from vae_helpers.files import write_whole

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from record import RESULTS, machine  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
INSTRUCTIONS = ("default", "avx2", "avx512")  # each with what the one before it has
THREADS = (1, 2, 4)
SEEDS = range(5)
NAMED_SEED = re.compile(r"(manual_seed\(|\b(?:seed|random_state)=)(\d+)")
TRAINS = re.compile(r"\bfit(?:_gan)?\(|\.backward\(")
ON_DEVICE = """import functools, vae_helpers
for name in ("fit", "fit_gan"):
    setattr(vae_helpers, name, functools.partial(getattr(vae_helpers, name), device={device!r}))
"""
CAPABILITY = "import torch; print(torch.backends.cpu.get_cpu_capability())"


@dataclass(frozen=True)
class Setting:
    """One run: a lesson, what is added to its seeds, and the processor that it meets."""

    lesson: str
    seed: int
    instructions: str
    threads: int

    def __str__(self) -> str:
        return f"{self.lesson}, seed {self.seed}, {self.instructions}, threads: {self.threads}"


def lessons() -> dict[str, Path]:
    """Each lesson's path by its name; of those with blanks the complete version."""
    found = {path.stem: path for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))}
    return found | {path.stem: path for path in (NOTEBOOKS / "solutions").glob("*.ipynb")}


def reseeded(source: str, seed: int) -> str:
    """The code with `seed` added to each seed that it names."""
    return NAMED_SEED.sub(lambda found: f"{found[1]}{int(found[2]) + seed}", source)


def missing(instructions: str) -> bool:
    """Whether this processor, or this build of torch, lacks an instruction set.

    Asked for one that is missing, torch says that it has it, and the process dies in the first computation.
    """
    environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    told = subprocess.check_output([sys.executable, "-c", CAPABILITY], env=environment, text=True)
    best = told.strip().lower()
    present = INSTRUCTIONS.index(best) if best in INSTRUCTIONS else 0  # such as NEON
    return INSTRUCTIONS.index(instructions) > present


def digest(path: Path) -> str:
    """What tells a lesson's code from that of another version."""
    book = nbformat.read(path, as_version=4)
    code = [cell.source for cell in book.cells if cell.cell_type == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def written(cell: Any) -> str:
    """The text that a cell has printed."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def failures(book: Any, committed: list[str]) -> Iterator[dict[str, Any]]:
    """Each cell of an executed lesson that raised, or printed other than the committed text that it must print."""
    for number, (cell, expected) in enumerate(zip(book.cells, committed, strict=True)):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type != "code" or "raises-exception" in tags:
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                shown = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                line = next((row for row in shown.splitlines() if re.match("-+>", row)), "")
                yield {"cell": number, "error": f"{output.ename}: {output.evalue}", "line": line}
        if "nbval-check-output" in tags and written(cell) != expected:
            yield {"cell": number, "error": "another output", "line": written(cell)[:500]}


def run(setting: Setting, device: str | None = None) -> dict[str, Any]:
    """Run one lesson from a copy; its seconds, its kernel's peak memory in MB, and the cells that failed."""
    path = lessons()[setting.lesson]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "notebooks"
        shutil.copytree(NOTEBOOKS, copy, ignore=shutil.ignore_patterns(".*"))
        book = nbformat.read(path, as_version=4)
        committed = [written(cell) if cell.cell_type == "code" else "" for cell in book.cells]
        for cell in book.cells:
            if cell.cell_type == "code":
                cell.source, cell.outputs = reseeded(cell.source, setting.seed), []
        if device:
            first = next(cell for cell in book.cells if cell.cell_type == "code")
            first.source = ON_DEVICE.format(device=device) + first.source
        threads = str(setting.threads)
        environment = (
            os.environ
            | {
                "ATEN_CPU_CAPABILITY": setting.instructions,
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait slow down the other lessons
            }
        )
        client = NotebookClient(
            book,
            timeout=900,
            allow_errors=True,
            kernel_name="python3",
            resources={"metadata": {"path": str(copy / path.relative_to(NOTEBOOKS).parent)}},
        )
        start = time.perf_counter()
        with client.setup_kernel(env=environment):
            for index, cell in enumerate(book.cells):
                client.execute_cell(cell, index)
            seconds = time.perf_counter() - start
            manager: Any = client.km
            peak = peak_memory(manager.provisioner.pid)
    return asdict(setting) | {
        "processor": machine()["processor"],
        "digest": digest(path),
        "seconds": round(seconds, 1),
        "peak_memory_mb": peak,
        "failed": list(failures(book, committed)),
    }


def peak_memory(pid: int) -> int | None:
    """The largest resident size of a process so far, in MB; none where the system does not tell."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024)


def try_all(
    settings: list[Setting], done: list[dict[str, Any]], jobs: int, device: str | None = None
) -> Iterator[tuple[Setting, dict[str, Any] | BaseException]]:
    """What is not yet done of the settings, each with its row as it ends; `done` grows by it.

    In place of a row stands what kept a run from its end, as when its kernel dies; the others go on.
    """
    fresh = {name: digest(path) for name, path in lessons().items()}
    done[:] = [row for row in done if row["digest"] == fresh.get(row["lesson"])]
    known = {tuple(row[key] for key in asdict(settings[0])) for row in done} if settings else set()
    left = [setting for setting in settings if tuple(asdict(setting).values()) not in known]
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(run, setting, device): setting for setting in left}
        for future in as_completed(runs):
            error = future.exception()
            if error is None:
                done.append(future.result())
            yield runs[future], error or done[-1]


def chosen(arguments: argparse.Namespace) -> list[Setting]:
    """The settings that the arguments ask for, instruction sets that are missing left out."""
    names = list(lessons())
    if arguments.lessons:
        unknown = [want for want in arguments.lessons if not any(n.startswith(want) for n in names)]
        if unknown:
            raise SystemExit(f"There is no lesson {unknown[0]!r}. There are: {', '.join(names)}.")
        names = [name for name in names if name.startswith(tuple(arguments.lessons))]
    if arguments.training:
        names = [name for name in names if TRAINS.search(lessons()[name].read_text("utf-8"))]
    present = []
    for instructions in arguments.instructions:
        if missing(instructions):
            print(f"This machine cannot run {instructions}: left out.", flush=True)
        else:
            present.append(instructions)
    return [
        Setting(name, seed, instructions, threads)
        for seed in arguments.seeds
        for place, instructions in enumerate(present)
        for name in names
        for threads in arguments.threads or [THREADS[(seed + place) % len(THREADS)]]
    ]


def keep(path: Path, done: list[dict[str, Any]]) -> None:
    """Write the result as the other benchmarks write theirs."""
    rows = sorted(done, key=lambda row: [row[key] for key in ("lesson", "seed", "instructions")])
    write_whole(path, json.dumps({"machine": machine(), "runs": rows}, indent=1) + "\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "lessons", nargs="*", help="how their names begin: 01 08 (default: every lesson)"
    )
    parser.add_argument("--training", action="store_true", help="only lessons that train")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--instructions", nargs="+", choices=INSTRUCTIONS, default=list(INSTRUCTIONS)
    )
    parser.add_argument("--threads", nargs="+", type=int, help="default: 1, 2 and 4 in turn")
    parser.add_argument("--device", help="where to train: cuda, mps (default: the CPU)")
    parser.add_argument("--jobs", type=int, default=1, help="how many lessons run at once")
    parser.add_argument("--all", action="store_true", help="everything, with the result kept")
    arguments = parser.parse_args(argv)
    kept = RESULTS / "try_seeds.json"
    done: list[dict[str, Any]] = []
    if arguments.all and arguments.device:
        parser.error("--all is about processors: leave out --device")
    if arguments.all:
        arguments.seeds = list(SEEDS)
        done = json.loads(kept.read_text("utf-8"))["runs"] if kept.exists() else []
    settings = chosen(arguments)
    lost = 0
    for setting, row in try_all(settings, done, arguments.jobs, arguments.device):
        if isinstance(row, BaseException):
            lost += 1
            print(f"{setting}: no result, {type(row).__name__}: {row}", flush=True)
            continue
        failed = row["failed"]
        print(
            f"{setting}: {row['seconds']:.0f} s, {f'{len(failed)} failed' if failed else 'holds'}",
            flush=True,
        )
        for fault in failed:
            print(f"    cell {fault['cell']}: {fault['error']} {fault['line']}", flush=True)
        if arguments.all:
            keep(kept, done)
    bad = sum(bool(row["failed"]) for row in done)
    print(f"{len(done)} runs, {bad} with a failing cell, {lost} without a result")
    sys.exit(bad + lost > 0)


if __name__ == "__main__":
    main()
