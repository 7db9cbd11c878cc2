"""Every wrong and every right answer of the bug zoo through its check, with 40 seeds, in float32 and float64.

    python benchmarks/checks.py [--seeds 40] [--jobs 2]

Counts the wrong answers that are rejected under their own name, and the right ones that are accepted; and times
each check on the right answers.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from record import write

from vae_helpers.checks import judge, probe

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "bug_zoo"))
from right import RIGHT  # type: ignore[import-not-found]
from wrong import WRONG  # type: ignore[import-not-found]


def verdict(name: str, answer: Any, seed: int, dtype: torch.dtype) -> tuple[bool, str | None]:
    """Whether the answer passed, and the name it was rejected under."""
    found = judge(name, probe(name, answer, seed=seed, dtype=dtype), seed=seed, dtype=dtype)
    return found.passed, found.diagnosis


def zoo(case: tuple[torch.dtype, int]) -> tuple[int, int, list[str]]:
    """How many wrong answers were named rightly, how many right ones accepted, and the others."""
    dtype, seed = case
    named, accepted, slips = 0, 0, []
    for name, bug, answer in WRONG:
        good = verdict(name, answer, seed, dtype) == (False, bug)
        named += good
        slips += [] if good else [f"{answer.__name__}, seed {seed}, {dtype}"]
    for name, _, answer in RIGHT:
        good = verdict(name, answer, seed, dtype)[0]
        accepted += good
        slips += [] if good else [f"{answer.__name__}, seed {seed}, {dtype}"]
    return named, accepted, slips


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    given = parser.parse_args()
    seeds = given.seeds
    rounds = [(dtype, seed) for dtype in (torch.float32, torch.float64) for seed in range(seeds)]
    named, accepted = 0, 0
    slips: list[str] = []
    with ProcessPoolExecutor(given.jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for (dtype, seed), found in zip(rounds, pool.map(zoo, rounds), strict=True):
            named, accepted, slips = named + found[0], accepted + found[1], slips + found[2]
            print(f"{dtype}, seed {seed}: {len(slips)} slips", flush=True)
    seconds: dict[str, float] = {}
    for name, _, answer in RIGHT:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            verdict(name, answer, 0, torch.float32)
            times.append(time.perf_counter() - start)
        seconds[name] = round(max(seconds.get(name, 0.0), sorted(times)[1]), 3)
    runs = 2 * seeds
    write(
        "checks",
        {
            "seeds": seeds,
            "dtypes": ["float32", "float64"],
            "wrong_answers": len(WRONG),
            "right_answers": len(RIGHT),
            "names_in_use": len({bug for _, bug, _ in WRONG}),
            "wrong_named_rightly": f"{named} of {runs * len(WRONG)}",
            "right_accepted": f"{accepted} of {runs * len(RIGHT)}",
            "slips": slips,
            "slowest_answer_seconds": seconds,
        },
    )


if __name__ == "__main__":
    main()
