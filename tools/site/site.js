// What lives in the pages: the latent lab, from the same module as in JupyterLab; and keys for what scrolls.
import lab from "./latent_lab.js";

/** Load a lab's weights from the site itself, once for all its places, and draw it. */
async function start(place) {
  const address = new URL(`labs/${place.dataset.lab}`, import.meta.url);
  const [{ state, sizes }, bytes] = await Promise.all([
    fetch(`${address}.json`).then((answer) => answer.json()),
    fetch(`${address}.bin`).then((answer) => answer.arrayBuffer()),
  ]);
  let at = 0;
  for (const [name, size] of sizes) {
    state[name] = new DataView(bytes, at, size);
    at += size;
  }
  const model = {
    get: (name) => state[name],
    set: (name, value) => (state[name] = value),
    save_changes: () => {},
    on: () => {},
    off: () => {},
  };
  const el = document.createElement("div");
  lab.render({ model, el });
  place.replaceChildren(el);
  place.latentLab = el.latentLab; // for tests
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (place.dataset.plays && !still) el.latentLab.play(); // it moves until the first touch
}

/** A code cell or a table that is wider than the page scrolls by the arrow keys too. */
function reachable() {
  for (const part of document.querySelectorAll("pre, .table-wrapper, mjx-container, .cell_output"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
}

for (const place of document.querySelectorAll("[data-lab]"))
  start(place).catch(() => (place.textContent = "The lab did not load. Reload the page to try again."));
reachable();
addEventListener("resize", reachable);
addEventListener("load", reachable);
