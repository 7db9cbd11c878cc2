// What lives in the pages. A place names its module, and holds what that computes with: numbers as JSON, and the files of
// its weights, which come from the site itself, each once.

const files = new Map();

function file(name) {
  if (!files.has(name))
    files.set(
      name,
      fetch(new URL(name, import.meta.url)).then((answer) => {
        if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
        return answer.arrayBuffer();
      }),
    );
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

/** Draw the figure of a place, with the module that JupyterLab has, or with one of the site's own. */
async function start(place) {
  const { state, bytes } = JSON.parse(place.querySelector("script").textContent);
  const loading = Object.entries(bytes).map(async ([name, names]) => (state[name] = await joined(names)));
  const [module] = await Promise.all([import(`./${place.dataset.figure}.js`), ...loading]);
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
