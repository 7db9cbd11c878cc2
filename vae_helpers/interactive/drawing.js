// What the figures of the page are made of: elements, pictures of 28 x 28 pixels, and paper to draw a digit on.

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;
export const STYLE = `
.vae-figure { font: 14px/1.4 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--jp-content-font-color1, #111);
  background: var(--jp-layout-color1, #fff); display: flex; flex-wrap: wrap; gap: 16px; padding: 8px; max-width: 100%; box-sizing: border-box; }
.vae-figure * { box-sizing: border-box; }
.vae-figure .name { font-weight: bold; }
.vae-figure canvas { max-width: 100%; border: 1px solid var(--jp-border-color0, #767676); }
.vae-figure canvas.picture { background: #000; }
.vae-figure canvas.paper { touch-action: none; }
.vae-figure :is(canvas, button, input, select, [tabindex]):focus-visible { outline: 3px solid var(--lab-focus, var(--jp-brand-color1, #0060df)); outline-offset: 2px; }
.vae-figure .row { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.vae-figure :is(button, select) { font: inherit; color: inherit; background: var(--jp-layout-color2, #eee); border: 1px solid var(--jp-border-color0, #767676);
  border-radius: 3px; padding: 3px 9px; min-height: 28px; }
.vae-figure button[aria-pressed="true"] { font-weight: bold; box-shadow: inset 0 -3px var(--lab-focus, var(--jp-brand-color1, #0060df)); }
.vae-figure .sliders { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(220px, 100%), 1fr)); gap: 2px 12px; }
.vae-figure .sliders label { display: grid; grid-template-columns: minmax(48px, auto) 1fr 44px; gap: 6px; align-items: center; min-height: 24px; }
.vae-figure input[type="range"] { min-width: 0; width: 100%; }
.vae-figure output { font-variant-numeric: tabular-nums; text-align: right; }
.vae-figure p { margin: 0; min-height: 1.4em; }
.vae-figure p.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); min-height: 0; }
`;

/** An element with attributes, handlers (names that begin with "on") and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function square(size, attributes) {
  return make("canvas", { width: size, height: size, ...attributes });
}

/** Show 784 probabilities on a canvas of 28 x 28 pixels. */
export function show(canvas, image) {
  const pen = canvas.getContext("2d");
  const shown = pen.createImageData(SIDE, SIDE);
  for (let i = 0; i < PIXELS; i++) {
    const grey = Math.round(255 * Math.min(Math.max(image[i], 0), 1));
    shown.data.set([grey, grey, grey, 255], 4 * i);
  }
  pen.putImageData(shown, 0, 0);
}

export const named = (text) => make("div", { class: "name" }, text);
export const round = (value) => value.toFixed(1).replace("-", "\u2212");

/**
 * A drawing as MNIST has its digits: the ink fitted into 20 x 20 pixels, its centre of mass in the middle of 28 x 28.
 * `canvas` holds white strokes on black. Null where nothing is drawn.
 */
export function asDigit(canvas) {
  const size = canvas.width;
  const data = canvas.getContext("2d").getImageData(0, 0, size, size).data;
  let [left, top, right, bottom] = [size, size, -1, -1];
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      if (data[4 * (y * size + x)] > 16) {
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
  if (right < 0) return null;
  const [width, height] = [right - left + 1, bottom - top + 1];
  const scale = 20 / Math.max(width, height);
  // Halve step by step: one large reduction would skip pixels.
  let source = document.createElement("canvas");
  source.width = width;
  source.height = height;
  source.getContext("2d").drawImage(canvas, left, top, width, height, 0, 0, width, height);
  while (source.width * 0.5 > width * scale) {
    const half = document.createElement("canvas");
    half.width = Math.max(1, Math.round(source.width / 2));
    half.height = Math.max(1, Math.round(source.height / 2));
    half.getContext("2d").drawImage(source, 0, 0, half.width, half.height);
    source = half;
  }
  const small = document.createElement("canvas");
  small.width = small.height = SIDE;
  const pen = small.getContext("2d", { willReadFrequently: true });
  const read = (x, y) => {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, SIDE, SIDE);
    pen.drawImage(source, x, y, width * scale, height * scale);
    const shown = pen.getImageData(0, 0, SIDE, SIDE).data;
    return Float32Array.from({ length: PIXELS }, (_, i) => shown[4 * i] / 255);
  };
  const corner = [(SIDE - width * scale) / 2, (SIDE - height * scale) / 2];
  const digit = read(...corner);
  let [mass, across, down] = [0, 0, 0];
  digit.forEach((v, i) => {
    mass += v;
    across += v * ((i % SIDE) + 0.5);
    down += v * (Math.floor(i / SIDE) + 0.5);
  });
  return mass ? read(corner[0] + Math.round(SIDE / 2 - across / mass), corner[1] + Math.round(SIDE / 2 - down / mass)) : null;
}

/**
 * Keep what is pressed inside `root` from the page. Jupyter has its own use for arrow keys and letters, and takes them
 * on their way down, at the document; here they are taken before, at the window. What a browser does by itself stays
 * as it is. `handlers` maps elements to what their keys do. Gives what ends it.
 */
export function keepKeys(root, handlers) {
  const onKey = (event) => {
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || !root.contains(target)) return;
    event.stopPropagation();
    handlers.get(target)?.(event);
  };
  window.addEventListener("keydown", onKey, true);
  return () => window.removeEventListener("keydown", onKey, true);
}

/** Paper to draw a digit on, by pointer or by key. `ondigit` gets 784 numbers after each stroke, `onclear` is called when it is empty. */
export class Paper {
  constructor({ ondigit, onclear, onpen = () => {} }) {
    Object.assign(this, { ondigit, onclear, onpen });
    this.canvas = square(280, {
      class: "picture paper",
      tabindex: 0,
      role: "application",
      "aria-label": "draw a digit: drag, or move the pen by the arrow keys and lift or lower it by the space bar",
      onpointerdown: (event) => this.stroke(event, true),
      onpointermove: (event) => event.buttons & 1 && this.stroke(event, false),
    });
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.cursor = { x: 140, y: 60, down: false };
    this.wipe();
  }

  wipe() {
    this.cursor.down = false;
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, 280, 280);
  }

  clear() {
    this.wipe();
    this.onclear();
  }

  /** Show an image of 784 numbers; the next stroke makes room for a drawing. */
  show(x) {
    const small = square(SIDE);
    show(small, x);
    this.pen.imageSmoothingEnabled = false;
    this.pen.drawImage(small, 0, 0, 280, 280);
    this.shown = true;
  }

  line(x, y) {
    Object.assign(this.pen, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    this.pen.beginPath();
    this.pen.moveTo(this.cursor.x, this.cursor.y);
    this.pen.lineTo(x + 0.01, y); // of no length it would draw nothing
    this.pen.stroke();
  }

  stroke(event, begins) {
    event.preventDefault();
    this.canvas.focus();
    if (begins && event.isTrusted) this.canvas.setPointerCapture(event.pointerId);
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * 280, ((event.clientY - box.top) / box.height) * 280];
    if (begins) {
      if (this.shown) this.wipe();
      this.shown = false;
      this.cursor = { x, y, down: false };
    }
    this.line(x, y);
    Object.assign(this.cursor, { x, y });
    this.read();
  }

  key(event) {
    const steps = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
    if (event.key === " ") {
      this.cursor.down = !this.cursor.down;
      if (this.cursor.down) this.line(this.cursor.x, this.cursor.y);
    } else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else if (steps[event.key]) {
      const [x, y] = [this.cursor.x + steps[event.key][0], this.cursor.y + steps[event.key][1]].map((v) => Math.min(Math.max(v, 12), 268));
      if (this.cursor.down) this.line(x, y);
      Object.assign(this.cursor, { x, y });
    } else return;
    event.preventDefault();
    if (this.cursor.down) this.read();
    this.onpen(this.cursor.down ? "pen down" : "pen up");
  }

  read() {
    const digit = asDigit(this.canvas);
    if (digit) this.ondigit(digit);
  }
}

/** Image number `i` of those in a DataView of bytes, as 784 numbers between 0 and 1. */
export function imageAt(view, i) {
  return Float32Array.from({ length: PIXELS }, (_, pixel) => view.getUint8(i * PIXELS + pixel) / 255);
}
