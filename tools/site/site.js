// What lives in the pages. A place names its module, and holds what that computes with: numbers as JSON, and the files of
// its weights, which come from the site itself, each once.

const files = new Map();

async function asked(name) {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}

function file(name) {
  if (!files.has(name)) files.set(name, asked(name).then((answer) => answer.arrayBuffer()));
  return files.get(name);
}

/** Several files as one, as a DataView. */
async function joined(names) {
  const parts = await Promise.all(names.map(file));
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(new Uint8Array(part), at);
    at += part.byteLength;
  }
  return new DataView(whole.buffer);
}

/** Files as one DataView, read one after the other: `ready` once there is `enough` of it, `rest` once it is whole. */
function begun(names, { size, enough }) {
  const whole = new Uint8Array(size);
  let at = 0;
  let begin;
  const first = new Promise((resolve) => (begin = resolve));
  const rest = (async () => {
    for (const name of names) {
      const reader = (await asked(name)).body.getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        whole.set(part.value, at);
        at += part.value.length;
        if (at >= enough) begin();
      }
    }
  })();
  return { view: new DataView(whole.buffer), ready: Promise.race([first, rest]), rest };
}

/** Draw the figure of a place, with the module that JupyterLab has, or with one of the site's own. */
async function start(place) {
  const { state, bytes, begin } = JSON.parse(place.querySelector("script").textContent);
  const coming = begin && begun(bytes.blob, begin);
  if (coming) {
    Object.assign(state, { blob: coming.view, waiting: true });
    delete bytes.blob;
  }
  const loading = Object.entries(bytes).map(async ([name, names]) => (state[name] = await joined(names)));
  const [module] = await Promise.all([import(`./${place.dataset.figure}.js`), coming?.ready, ...loading]);
  const model = {
    get: (name) => state[name],
    set: (name, value) => (state[name] = value),
    save_changes: () => {},
    on: () => {},
    off: () => {},
  };
  const el = document.createElement("div");
  module.default.render({ model, el });
  place.replaceChildren(el);
  coming?.rest.then(() => el.latentLab.complete(), () => failed(place));
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if ("plays" in place.dataset && !still) el.latentLab.play(); // it moves until the first touch
}

/** What the figure says where it does not come: its sentence and its picture stay. */
function failed(place) {
  place.append(Object.assign(document.createElement("p"), { textContent: "This figure did not load. Reload the page to try again." }));
}

/** A code cell or a table that is wider than the page scrolls by the arrow keys too. */
function reachable() {
  for (const part of document.querySelectorAll("pre, .table-wrapper, mjx-container, .cell_output"))
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
}

/** On paper the answers are unfolded. */
function unfold() {
  const folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
  addEventListener("afterprint", () => folded.forEach((part) => (part.open = false)), { once: true });
}

const near = new IntersectionObserver(
  (places) => {
    for (const { target, isIntersecting } of places) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      start(target).catch(() => failed(target));
    }
  },
  { rootMargin: "1500px 0px" }, // it is there before the reader is
);
for (const place of document.querySelectorAll("[data-figure]")) near.observe(place);
reachable();
addEventListener("resize", reachable);
addEventListener("load", reachable);
addEventListener("beforeprint", unfold);
