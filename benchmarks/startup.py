"""What a learner waits for: the import, the embedded images, a slider's picture; and the whole way to the first.

    python benchmarks/startup.py
    python benchmarks/startup.py --from-nothing

`import vae_helpers` is timed in pairs of new processes, with and without it after `import torch`. With
`--from-nothing` a clone is also set up as the README says, pip's cache as it is, and lesson 00 runs in it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from record import write

ROOT = Path(__file__).parents[1]
PAIRS = 7
IMPORT_TORCH = "import time; s = time.perf_counter(); import torch; print(time.perf_counter() - s)"
IMPORT_BOTH = "import time; s = time.perf_counter(); import torch, vae_helpers; print(time.perf_counter() - s)"
LOAD = """
import time, torch
from vae_helpers import load_images
s = time.perf_counter()
load_images({name!r})
print(time.perf_counter() - s)
"""
FIRST_SLIDER = """
import sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
from notebooks import measure
print(measure(Path("notebooks/00_start_here.ipynb"))["first_widget_seconds"])
"""


def seconds(program: str) -> float:
    """Run a program in a new process; the number that it prints."""
    return float(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, text=True
        ).stdout
    )


def slider_milliseconds() -> float:
    """The median time in the kernel from a slider's new value to its new picture, twenty latents."""
    from vae_helpers import LatentSliders, load_pretrained

    sliders = LatentSliders(load_pretrained("vae-mnist-20"))
    first = next(iter(sliders.sliders.values()))
    times = []
    for step in range(200):
        start = time.perf_counter()
        first.value = (step % 60) / 10 - 3
        times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def from_nothing() -> dict[str, float]:
    """Seconds of the README's set-up on Linux and macOS, and then from a kernel's start to lesson 00's first slider."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "venv", ".venv"], cwd=folder, check=True)
        python = f"{folder}/.venv/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", "-r", "requirements.txt"]
        subprocess.run(install, cwd=folder, check=True)
        set_up = time.perf_counter() - start
        slider = subprocess.check_output([python, "-c", FIRST_SLIDER], cwd=folder, text=True)
    return {"set_up_seconds": round(set_up, 1), "first_slider_seconds": float(slider)}


def measured() -> dict[str, Any]:
    """The import, the images and a slider's picture, in the environment as it is."""
    pairs = [(seconds(IMPORT_TORCH), seconds(IMPORT_BOTH)) for _ in range(PAIRS)]
    return {
        "import_torch_seconds": [round(a, 3) for a, _ in pairs],
        "import_torch_and_vae_helpers_seconds": [round(b, 3) for _, b in pairs],
        "import_adds_seconds_median": round(median(b - a for a, b in pairs), 3),
        "load_images_seconds": {
            name: [round(seconds(LOAD.format(name=name)), 3) for _ in range(PAIRS)]
            for name in ("mnist", "fashion-mnist")
        },
        "slider_kernel_milliseconds_median": round(slider_milliseconds(), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--from-nothing", action="store_true", help="the README's set-up, too")
    given = parser.parse_args()
    result = measured()
    if given.from_nothing:
        result["from_nothing"] = from_nothing()
    print(result)
    write("startup", result)


if __name__ == "__main__":
    main()
