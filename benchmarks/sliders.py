"""From a key to a new picture: `interact` with matplotlib, `LatentSliders`, and the latent lab, in one JupyterLab.

    python benchmarks/sliders.py

All three show the same model, 20 latents, in one notebook in Chromium. A slider gets the right arrow key; the time is
from the key's event to the first frame with a new picture, in milliseconds, the three in turn. For the lab also the
time that its script takes for one input event, without waiting for the frame.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import nbformat
import record
from playwright.sync_api import Page, sync_playwright
from tqdm import trange

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from browser import jupyter, launch, run_all_cells
from execute_notebooks import METADATA

ROUNDS = 40
CELLS = [
    """
import matplotlib.pyplot as plt
import torch
from ipywidgets import FloatSlider, interact
from vae_helpers import LatentLab, LatentSliders, load_pretrained
vae = load_pretrained("vae-mnist-20")
""",
    """
@interact(value=FloatSlider(min=-3, max=3, step=0.1))
def draw(value):
    z = torch.zeros(1, 20)
    z[0, 13] = value
    with torch.inference_mode():
        plt.imshow(vae.decode(z).reshape(28, 28), cmap="gray")
    plt.show()
""",
    "LatentSliders(vae, latents=[13])",
    "LatentLab(vae)",
]
# For each way: its slider, its picture, and what of the picture changes.
WAYS = {
    "interact with matplotlib": (
        ".jp-OutputArea .widget-interact .noUi-handle",
        ".widget-interact img",
        "src",
    ),
    "LatentSliders": (".widget-gridbox .noUi-handle", "img.widget-image", "src"),
    "latent lab": (
        '.latent-lab input[aria-label="z[13]"]',
        ".latent-lab canvas[role=img]",
        "pixels",
    ),
}
# Resolves once a frame shows another picture than at the time of the key.
WATCH = """([selector, kind]) => {
  const look = () => {
    const element = document.querySelector(selector);
    return kind === 'src' ? element?.src : element.toDataURL();
  };
  const before = look();
  window.changed = new Promise((done) => {
    addEventListener('keydown', (event) => {
      const start = event.timeStamp;
      const frame = () => {
        const now = look();
        if (now && now !== before) done(performance.now() - start);
        else requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }, { once: true, capture: true });
  });
}"""
SCRIPT = """(slider) => {
  const times = [];
  for (let i = 0; i < 300; i++) {
    slider.value = 3 * Math.sin(i / 7);
    const start = performance.now();
    slider.dispatchEvent(new Event('input'));
    times.push(performance.now() - start);
  }
  return times;
}"""


def summary(values: list[float]) -> dict[str, float]:
    """Median and the 5th and 95th percentile, in milliseconds."""
    cuts = quantiles(values, n=20)
    return {"median": round(median(values), 2), "p5": round(cuts[0], 2), "p95": round(cuts[-1], 2)}


def press(page: Page, way: str) -> float:
    """One key, and the milliseconds to the new picture."""
    handle, picture, kind = WAYS[way]
    page.locator(handle).first.focus()
    page.evaluate(WATCH, [picture, kind])
    page.keyboard.press("ArrowRight")
    return float(page.evaluate("changed"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in CELLS]
        book = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
        nbformat.write(book, Path(folder) / "sliders.ipynb")
        browser = launch(playwright, "chromium")
        with jupyter(Path(folder)) as address:
            page = browser.new_page(viewport={"width": 1300, "height": 2500})
            failed = run_all_cells(page, address("sliders.ipynb"))
            if failed:
                raise RuntimeError(f"A cell failed: {failed}")
            page.wait_for_selector(".latent-lab")
            for handle, *_ in WAYS.values():
                page.locator(handle).first.focus()
                page.keyboard.press("Home")
            page.wait_for_timeout(1_000)
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in trange(ROUNDS):
                for way, found in times.items():
                    found.append(press(page, way))
                    page.wait_for_timeout(150)
            script = page.locator(WAYS["latent lab"][0]).evaluate(SCRIPT)
        browser.close()
    result: dict[str, Any] = {"unit": "milliseconds", "rounds": ROUNDS, "model": "vae-mnist-20"}
    result["key to new picture"] = {way: summary(found) for way, found in times.items()}
    result["script of the lab for one input event"] = summary(script)
    record.write("sliders", result)


if __name__ == "__main__":
    main()
