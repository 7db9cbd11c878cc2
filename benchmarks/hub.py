"""Learners at once in one JupyterHub: each logs in, starts a server, and runs a whole lesson.

    python benchmarks/hub.py [--learners 1 4 8] [--lesson 01_key_concepts]

Needs `pip install -e '.[hub]'` and `npm install -g configurable-http-proxy`. Everything stays on loopback. Reports for
each number of learners how long the login, the server and the lesson took, and the memory of each learner.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import record

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from learners import Hub, Learner, running_hub  # noqa: E402


def memory_of_learners(hub: Hub) -> int:
    """Bytes of all servers and kernels together; what they share is counted once."""
    total = 0
    for process in psutil.Process(hub.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if "jupyterhub.singleuser" in command or "ipykernel" in command:
                total += process.memory_full_info().pss
    return total


async def _one(hub: Hub, name: str, cells: list[str]) -> dict[str, float]:
    learner, times = Learner(hub, name), [time.perf_counter()]
    for step in (learner.log_in, learner.start_server):
        await step()
        times.append(time.perf_counter())
    await learner.run(cells)
    times.append(time.perf_counter())
    steps = ("log_in", "server", "lesson")
    return {step: b - a for step, a, b in zip(steps, times, times[1:], strict=False)}


async def _all(hub: Hub, count: int, cells: list[str]) -> list[dict[str, float]]:
    work = [_one(hub, f"learner-{number}", cells) for number in range(count)]
    return list(await asyncio.wait_for(asyncio.gather(*work), timeout=1200))


def measure(count: int, cells: list[str]) -> dict[str, Any]:
    """One hub, this many learners at once."""
    with tempfile.TemporaryDirectory() as name, running_hub(Path(name)) as hub:
        found = asyncio.run(_all(hub, count, cells))
        memory = memory_of_learners(hub)
    steps = {
        step: {"median": statistics.median(times), "longest": max(times)}
        for step in found[0]
        for times in [[one[step] for one in found]]
    }
    return {"seconds": steps, "megabytes_each": memory / count / 1e6}


def main() -> None:
    """Measure for each number of learners, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--lesson", default="01_key_concepts")
    given = parser.parse_args()
    notebook = json.loads((ROOT / "notebooks" / f"{given.lesson}.ipynb").read_text("utf-8"))
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    results = {}
    for count in given.learners:
        results[str(count)] = measure(count, cells)
        print(count, json.dumps(results[str(count)], indent=1))
    record.write(
        "hub", {"settings": {"lesson": given.lesson, "threads_each": 1}, "results": results}
    )


if __name__ == "__main__":
    main()
