"""Seconds an epoch and loss of `python -m vae_helpers train`: one process, and two under torchrun on the same cores.

    python benchmarks/processes.py [--root FOLDER] [--rounds 3]

60,000 digits, 20 latents, 3 epochs, batches of 128 and of 2,048. One process has all cores; each of two has half of
them. In each round the two run one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from record import write

EPOCHS = 3
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]


def train(
    processes: int, batch_size: int, seed: int, root: Path | None, out: Path
) -> dict[str, Any]:
    """Train once in a folder of its own; the seconds of the epochs and the losses after them."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    command = [sys.executable, "-m", *(TORCHRUN if processes == 2 else []), "vae_helpers", "train"]
    command += ["--full", "--epochs", str(EPOCHS), "--batch-size", str(batch_size)]
    command += ["--seed", str(seed), "--out", str(out)]
    if root:
        command += ["--root", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    told = json.loads((out / "training.json").read_text("utf-8"))
    return {"seconds": told["seconds"], "test_loss": told["test"]["loss"]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="folder of the full image sets")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for batch_size in (128, 2_048):
        found: dict[str, list[dict[str, Any]]] = {"1": [], "2": []}
        for seed in range(given.rounds):
            for processes in (1, 2):
                with tempfile.TemporaryDirectory() as folder:
                    run = train(processes, batch_size, seed, given.root, Path(folder) / "out")
                found[str(processes)].append(run)
                print(batch_size, processes, run, flush=True)
        runs[str(batch_size)] = found
    summary = {
        batch_size: {
            processes: {
                "seconds_an_epoch": round(median(s for run in of for s in run["seconds"]), 2),
                "test_loss": [round(run["test_loss"][-1], 2) for run in of],
            }
            for processes, of in found.items()
        }
        for batch_size, found in runs.items()
    }
    write("processes", {"summary_by_batch_size_and_processes": summary, "runs": runs})


if __name__ == "__main__":
    main()
