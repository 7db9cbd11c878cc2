"""What a learner waits for: the import, the embedded images, and a slider's picture.

    python benchmarks/startup.py

`import vae_helpers` is timed in pairs of new processes, with and without it after `import torch`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import Any

from record import write

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


def main() -> None:
    pairs = [(seconds(IMPORT_TORCH), seconds(IMPORT_BOTH)) for _ in range(PAIRS)]
    result: dict[str, Any] = {
        "import_torch_seconds": [round(a, 3) for a, _ in pairs],
        "import_torch_and_vae_helpers_seconds": [round(b, 3) for _, b in pairs],
        "import_adds_seconds_median": round(median(b - a for a, b in pairs), 3),
        "load_images_seconds": {
            name: [round(seconds(LOAD.format(name=name)), 3) for _ in range(PAIRS)]
            for name in ("mnist", "fashion-mnist")
        },
        "slider_kernel_milliseconds_median": round(slider_milliseconds(), 2),
    }
    print(result)
    write("startup", result)


if __name__ == "__main__":
    main()
