// The latent lab: encoder and decoder of a fully connected VAE, computed in the page.
//
// `render({ model, el })` draws the lab into `el`. `model` is an anywidget model, or a stand-in with get, set,
// save_changes, on and off. It holds `spec` (the networks' layers and the settings), `blob` (all weights as
// float16), `codes` and `labels` of the test images, and the shared state: `z`, the code, and `x`, the drawing.

const SIDE = 28;
const PIXELS = SIDE * SIDE;
const PAD = 300; // the pad's width in CSS pixels
const REACH = 3.2; // the pad shows codes from -REACH to REACH, at least
const INK = "#1a1a1a";
const STYLE = `
.latent-lab { font: 14px/1.4 var(--jp-ui-font-family, system-ui, sans-serif); color: var(--jp-content-font-color1, #111);
  background: var(--jp-layout-color1, #fff); display: flex; flex-wrap: wrap; gap: 16px; padding: 8px; max-width: 100%; box-sizing: border-box; }
.latent-lab * { box-sizing: border-box; }
.latent-lab section { display: flex; flex-direction: column; gap: 6px; min-width: 0; flex: 1 1 220px; max-width: ${PAD}px; }
.latent-lab .name { font-weight: bold; }
.latent-lab canvas { width: 100%; max-width: ${PAD}px; aspect-ratio: 1; border: 1px solid var(--jp-border-color0, #767676); touch-action: none; }
.latent-lab canvas.picture { image-rendering: auto; background: #000; }
.latent-lab :is(canvas, button, input, select):focus-visible { outline: 3px solid var(--lab-focus, var(--jp-brand-color1, #0060df)); outline-offset: 2px; }
.latent-lab .row { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.latent-lab :is(button, select) { font: inherit; color: inherit; background: var(--jp-layout-color2, #eee); border: 1px solid var(--jp-border-color0, #767676);
  border-radius: 3px; padding: 3px 9px; min-height: 28px; }
.latent-lab button[aria-pressed="true"] { font-weight: bold; box-shadow: inset 0 -3px var(--lab-focus, var(--jp-brand-color1, #0060df)); }
.latent-lab .sliders { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 2px 12px; max-height: 330px; overflow: auto; }
.latent-lab .sliders label { display: grid; grid-template-columns: 48px 1fr 44px; gap: 6px; align-items: center; }
.latent-lab output { font-variant-numeric: tabular-nums; text-align: right; }
.latent-lab p { margin: 0; min-height: 1.4em; }
.latent-lab p.hint { font-size: 12px; min-height: 0; }
`;

const HINTS = {
  plane: "The circles hold 39, 86 and 99 of 100 codes drawn from the prior; the ellipse is q(z|x) of your drawing, at two standard deviations. Behind them: what each place decodes to.",
  costs: "Reconstruction: how badly the decoded picture predicts your drawing. KL: what its code costs. Lower is better, for the sum.",
};

// --- arithmetic ---------------------------------------------------------------------------------

/** float16 numbers, little-endian in a DataView, as a Float32Array. */
function fromHalf(view) {
  const found = new Float32Array(view.byteLength >> 1);
  for (let i = 0; i < found.length; i++) {
    const bits = view.getUint16(2 * i, true);
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
    found[i] = bits & 32768 ? -size : size;
  }
  return found;
}

/** Run layers on a vector. A layer is ["linear", inputs, outputs, place of its weights], or the name of an activation. */
function run(layers, weights, input) {
  let values = input;
  for (const [kind, inputs, outputs, start] of layers) {
    if (kind === "linear") {
      const found = new Float32Array(outputs);
      const biases = start + inputs * outputs;
      for (let row = 0, at = start; row < outputs; row++) {
        let sum = weights[biases + row];
        for (let column = 0; column < inputs; column++) sum += weights[at++] * values[column];
        found[row] = sum;
      }
      values = found;
    } else if (kind === "relu") {
      values = values.map((v) => (v > 0 ? v : 0));
    } else if (kind === "sigmoid") {
      values = values.map((v) => 1 / (1 + Math.exp(-v)));
    } else if (kind === "tanh") {
      values = values.map(Math.tanh);
    } else {
      throw new Error(`The lab has no layer ${kind}.`);
    }
  }
  return values;
}

/** -log p(x|z) of pixels that are Bernoulli with these probabilities, in nats. */
function reconstruction(probabilities, x) {
  let nats = 0;
  for (let i = 0; i < PIXELS; i++) {
    const p = Math.min(Math.max(probabilities[i], 1e-7), 1 - 1e-7);
    nats -= x[i] * Math.log(p) + (1 - x[i]) * Math.log(1 - p);
  }
  return nats;
}

/** KL(N(mu, exp(logvar)) || N(0, I)), in nats. */
function divergence(mu, logvar) {
  return mu.reduce((sum, m, d) => sum + 0.5 * (m * m + Math.exp(logvar[d]) - 1 - logvar[d]), 0);
}

function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

/**
 * A drawing as MNIST has its digits: the ink fitted into 20 x 20 pixels, its centre of mass in the middle of 28 x 28.
 * `canvas` holds white strokes on black. Null where nothing is drawn.
 */
function asDigit(canvas) {
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

// --- the parts of the page ----------------------------------------------------------------------

/** An element with attributes, handlers (names that begin with "on") and children. */
function make(tag, attributes = {}, ...children) {
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

function square(size, attributes) {
  return make("canvas", { width: size, height: size, ...attributes });
}

/** Show 784 probabilities on a canvas of 28 x 28 pixels. */
function show(canvas, image) {
  const pen = canvas.getContext("2d");
  const shown = pen.createImageData(SIDE, SIDE);
  for (let i = 0; i < PIXELS; i++) {
    const grey = Math.round(255 * Math.min(Math.max(image[i], 0), 1));
    shown.data.set([grey, grey, grey, 255], 4 * i);
  }
  pen.putImageData(shown, 0, 0);
}

/** Text with a white rim, legible on anything. */
function lettered(pen, text, x, y) {
  pen.save();
  Object.assign(pen, { lineWidth: 5, lineJoin: "round", strokeStyle: "#fff", fillStyle: INK, textAlign: "center", textBaseline: "middle" });
  pen.font = `${pen.canvas.width / 30}px sans-serif`;
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
  pen.restore();
}

const named = (text) => make("div", { class: "name" }, text);
const round = (value) => value.toFixed(1).replace("-", "\u2212");

// --- the lab ------------------------------------------------------------------------------------

class Lab {
  constructor(model, el) {
    this.model = model;
    this.spec = model.get("spec");
    this.weights = fromHalf(model.get("blob"));
    this.networks = this.spec.networks;
    this.kind = Object.keys(this.networks)[0];
    this.axes = [this.spec.order[0], this.spec.order[1]];
    this.z = Float32Array.from(model.get("z"));
    this.drawing = null; // the 784 numbers of what was drawn
    this.posterior = null; // its mean and log-variance
    this.pins = [null, null];
    this.timers = {};
    this.unsaved = {};
    this.build(el);
    this.follow();
    const x = model.get("x");
    if (x.length) this.take(Float32Array.from(x), false);
    else this.refresh();
  }

  get network() {
    return this.networks[this.kind];
  }

  get latents() {
    return this.network.latents;
  }

  // --- computing ---

  decode(z) {
    return run(this.network.decoder, this.weights, z);
  }

  /** The mean and the log-variance of q(z|x); an autoencoder has no log-variance. */
  encode(x) {
    const hidden = run(this.network.encoder, this.weights, x);
    const mu = run(this.network.mu, this.weights, hidden);
    return { mu, logvar: this.network.logvar ? run(this.network.logvar, this.weights, hidden) : null };
  }

  classify(image) {
    const logits = run(this.spec.classifier, this.weights, image);
    const top = Math.max(...logits);
    const parts = Array.from(logits, (l) => Math.exp(l - top));
    const total = parts.reduce((sum, part) => sum + part, 0);
    const best = parts.indexOf(Math.max(...parts));
    return { label: best, sure: parts[best] / total };
  }

  // --- building ---

  build(el) {
    const root = make("div", { class: "latent-lab", role: "group", "aria-label": "Latent lab" }, make("style", {}, STYLE));
    // Jupyter has its own use for arrow keys and letters, and takes them on their way down, at the document. In here
    // they belong to the lab, so they are taken before, at the window. What a browser does by itself stays as it is.
    this.onKey = (event) => {
      const target = event.composedPath()[0];
      if (event.ctrlKey || event.metaKey || !root.contains(target)) return;
      event.stopPropagation();
      if (target === this.pad) this.padKey(event);
      else if (target === this.paper) this.paperKey(event);
    };
    window.addEventListener("keydown", this.onKey, true);
    root.append(this.buildPad(), this.buildPicture(), this.buildDrawing(), this.buildSliders());
    el.replaceChildren(root);
    this.drawMap();
  }

  buildPad() {
    this.pad = square(2 * PAD, {
      tabindex: 0,
      role: "slider",
      "aria-label": "latent plane, the arrow keys move the point",
      onpointerdown: (event) => this.drag(event),
      onpointermove: (event) => event.buttons & 1 && this.drag(event),
    });
    this.map = square(2 * PAD); // the codes of the test images, drawn once
    const hint = make("p", { class: "hint" }, HINTS.plane);
    const section = make("section", {}, named("Latent plane"), this.pad, hint);
    if (this.latents > 2) {
      const menu = (place) =>
        make(
          "select",
          { "aria-label": place ? "vertical axis" : "horizontal axis", onchange: (event) => this.chooseAxis(place, Number(event.target.value)) },
          ...this.spec.order.map((d) => make("option", { value: d, selected: d === this.axes[place] }, `z[${d}]`)),
        );
      this.menus = [menu(0), menu(1)];
      section.append(make("div", { class: "row" }, "across", this.menus[0], "up", this.menus[1]));
    }
    const kinds = Object.keys(this.networks);
    if (kinds.length > 1) {
      this.switches = kinds.map((kind) => make("button", { type: "button", "aria-pressed": kind === this.kind, onclick: () => this.choose(kind) }, kind));
      section.append(make("div", { class: "row", role: "group", "aria-label": "model" }, ...this.switches));
    }
    return section;
  }

  buildPicture() {
    this.picture = square(SIDE, { class: "picture", role: "img", "aria-label": "decoded picture" });
    this.said = make("p", { "aria-live": "polite" });
    const button = (text, onclick, more) => make("button", { type: "button", onclick, ...more }, text);
    this.pinButtons = [0, 1].map((place) => button(`pin ${"AB"[place]}`, () => this.pin(place), { "aria-pressed": false }));
    this.between = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, disabled: true, "aria-label": "from A to B", oninput: () => this.mix() });
    this.playButton = button("play", () => this.play(), { "aria-pressed": false });
    return make(
      "section",
      {},
      named("Decoded"),
      this.picture,
      this.said,
      make("div", { class: "row" }, button("new sample", () => this.sample()), button("zero", () => this.move(new Float32Array(this.latents))), this.playButton),
      make("div", { class: "row" }, ...this.pinButtons, this.between),
    );
  }

  buildDrawing() {
    this.paper = square(280, {
      class: "picture",
      tabindex: 0,
      role: "application",
      "aria-label": "draw a digit: drag, or move the pen by the arrow keys and lift or lower it by the space bar",
      onpointerdown: (event) => this.stroke(event, true),
      onpointermove: (event) => event.buttons & 1 && this.stroke(event, false),
    });
    this.pen = this.paper.getContext("2d", { willReadFrequently: true });
    this.cursor = { x: 140, y: 60, down: false };
    this.wipe();
    this.costs = make("p", { "aria-live": "polite" });
    const row = make("div", { class: "row" }, make("button", { type: "button", onclick: () => this.clear() }, "clear"));
    if (this.spec.images) row.append(make("button", { type: "button", onclick: () => this.nextImage() }, "a test image"));
    return make("section", {}, named("Draw a digit"), this.paper, this.costs, row, make("p", { class: "hint" }, HINTS.costs));
  }

  buildSliders() {
    this.sliders = new Map();
    for (const d of this.spec.order) {
      const output = make("output");
      const slider = make("input", { type: "range", min: -4, max: 4, step: 0.05, "aria-label": `z[${d}]`, oninput: () => this.nudge(d, Number(slider.value)) });
      this.sliders.set(d, [slider, output]);
    }
    const rows = [...this.sliders].map(([d, [slider, output]]) => make("label", {}, `z[${d}]`, slider, output));
    return make("section", { style: "flex: 1 1 100%; max-width: none" }, named("Latents"), make("div", { class: "sliders" }, ...rows));
  }

  // --- the shared state: Python may set z and x, and learns of changes here ---

  follow() {
    this.onZ = () => {
      if (this.echo("z")) return;
      this.z = Float32Array.from(this.model.get("z"));
      this.refresh();
    };
    this.onX = () => {
      if (this.echo("x")) return;
      const x = this.model.get("x");
      if (x.length) this.take(Float32Array.from(x), false);
      else this.clear(false);
    };
    this.model.on("change:z", this.onZ);
    this.model.on("change:x", this.onX);
  }

  /** Whether a change is the one that was made here. */
  echo(name) {
    return this.sending === name;
  }

  /** Tell Python, at most every 50 ms, and always of the last value. */
  tell(name, value) {
    this.unsaved[name] = value;
    this.timers.tell ??= setTimeout(() => {
      this.timers.tell = undefined;
      for (const [key, latest] of Object.entries(this.unsaved)) {
        this.sending = key;
        this.model.set(key, Array.from(latest));
      }
      this.sending = null;
      this.unsaved = {};
      this.model.save_changes();
    }, 50);
  }

  // --- moving the code ---

  move(z, stop = true) {
    if (stop) this.stop();
    this.z = Float32Array.from(z);
    this.tell("z", this.z);
    this.refresh();
  }

  nudge(d, value) {
    const z = this.z.slice();
    z[d] = value;
    this.move(z);
  }

  sample() {
    this.move(Float32Array.from({ length: this.latents }, normal));
  }

  drag(event) {
    event.preventDefault();
    this.pad.focus();
    if (event.type === "pointerdown" && event.isTrusted) this.pad.setPointerCapture(event.pointerId);
    const box = this.pad.getBoundingClientRect();
    const z = this.z.slice();
    z[this.axes[0]] = ((event.clientX - box.left) / box.width - 0.5) * 2 * this.reach;
    z[this.axes[1]] = -((event.clientY - box.top) / box.height - 0.5) * 2 * this.reach;
    this.move(z);
  }

  padKey(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "Home") this.move(new Float32Array(this.latents));
    else if (steps[event.key]) {
      const size = event.shiftKey ? 0.5 : 0.1;
      const z = this.z.slice();
      this.axes.forEach((d, place) => {
        const moved = z[d] + size * steps[event.key][place];
        z[d] = Math.min(Math.max(moved, -this.reach), this.reach); // the point stays on the pad
      });
      this.move(z);
    } else return;
    event.preventDefault();
  }

  chooseAxis(place, d) {
    if (this.axes[1 - place] === d) this.axes[1 - place] = this.axes[place]; // the two change places
    this.axes[place] = d;
    this.menus.forEach((menu, index) => (menu.value = this.axes[index]));
    this.drawMap();
    this.refresh();
  }

  choose(kind) {
    this.stop();
    this.kind = kind;
    this.switches.forEach((button) => button.setAttribute("aria-pressed", button.textContent === kind));
    this.drawMap();
    if (this.drawing) this.take(this.drawing);
    else this.refresh();
  }

  // --- two pinned points, and autoplay ---

  pin(place) {
    this.pins[place] = this.z.slice();
    this.pinButtons[place].setAttribute("aria-pressed", true);
    this.between.disabled = !(this.pins[0] && this.pins[1]);
    if (!this.between.disabled) this.between.value = place;
    this.refresh();
  }

  mix(stop = true) {
    const t = Number(this.between.value);
    this.move(this.pins[0].map((a, d) => (1 - t) * a + t * this.pins[1][d]), stop);
  }

  /** The code of a test image, one that decodes to a clear digit if such is found; without images, a draw of the prior. */
  next() {
    const codes = this.codesOf(this.kind);
    let z = Float32Array.from({ length: this.latents }, normal);
    for (let tries = 0; codes && tries < 20; tries++) {
      z = Float32Array.from(codes[Math.floor(Math.random() * codes.length)]);
      if (!this.spec.classifier || this.classify(this.decode(z)).sure > 0.99) break;
    }
    return z;
  }

  /** From A to B and back where both are pinned; otherwise from one digit to the next. */
  play() {
    if (this.timers.play) return this.stop();
    this.playButton.setAttribute("aria-pressed", true);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let [from, to, t] = [this.z.slice(), this.next(), 0];
    const step = () => {
      t += calm ? 0.5 : 0.02;
      if (!this.between.disabled) {
        this.between.value = 1 - Math.abs(1 - (t % 2));
        this.mix(false);
      } else {
        if (t >= 1) [from, to, t] = [to, this.next(), 0];
        this.move(from.map((a, d) => (1 - t) * a + t * to[d]), false);
      }
    };
    this.timers.play = setInterval(step, calm ? 1500 : 40); // few still pictures for those who asked for less motion
  }

  stop() {
    clearInterval(this.timers.play);
    this.timers.play = undefined;
    this.playButton.setAttribute("aria-pressed", false);
  }

  // --- drawing ---

  wipe() {
    this.pen.fillStyle = "#000";
    this.pen.fillRect(0, 0, 280, 280);
  }

  clear(tell = true) {
    this.wipe();
    this.drawing = this.posterior = null;
    this.costs.textContent = "";
    this.cursor.down = false;
    if (tell) this.tell("x", []);
    this.refresh();
  }

  line(x, y) {
    Object.assign(this.pen, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    this.pen.beginPath();
    this.pen.moveTo(this.cursor.x, this.cursor.y);
    this.pen.lineTo(x, y);
    this.pen.stroke();
  }

  stroke(event, begins) {
    event.preventDefault();
    this.paper.focus();
    if (begins && event.isTrusted) this.paper.setPointerCapture(event.pointerId);
    const box = this.paper.getBoundingClientRect();
    const [x, y] = [((event.clientX - box.left) / box.width) * 280, ((event.clientY - box.top) / box.height) * 280];
    if (begins) {
      if (this.shown) this.wipe(); // a test image makes room for a drawing
      this.shown = false;
      this.cursor = { x, y, down: false };
    }
    this.line(x, y);
    Object.assign(this.cursor, { x, y });
    this.read();
  }

  paperKey(event) {
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
    this.costs.textContent ||= `pen ${this.cursor.down ? "down" : "up"}`;
  }

  read() {
    const digit = asDigit(this.paper);
    if (digit) this.take(digit);
  }

  nextImage() {
    const images = this.model.get("images");
    const count = images.byteLength / PIXELS;
    this.number = ((this.number ?? -1) + 1) % count;
    this.take(Float32Array.from({ length: PIXELS }, (_, i) => images.getUint8(this.number * PIXELS + i) / 255), true, true);
  }

  /** An image is there: encode it, go to its mean, say what it costs. */
  take(x, tell = true, paint = !tell) {
    if (paint) {
      const small = square(SIDE);
      show(small, x);
      this.pen.imageSmoothingEnabled = false;
      this.pen.drawImage(small, 0, 0, 280, 280);
      this.shown = true;
    }
    this.drawing = x;
    this.posterior = this.encode(x);
    const { mu, logvar } = this.posterior;
    if (tell) this.tell("x", x);
    this.move(mu);
    const recon = reconstruction(this.decoded, x).toFixed(0);
    const kl = logvar ? `, KL ${divergence(mu, logvar).toFixed(1)} nats` : "";
    this.costs.textContent = `reconstruction ${recon} nats${kl}`;
  }

  // --- showing ---

  refresh() {
    this.decoded = this.decode(this.z);
    show(this.picture, this.decoded);
    for (const [d, [slider, output]] of this.sliders) {
      slider.value = this.z[d];
      output.textContent = round(this.z[d]);
    }
    this.drawPad();
    const [across, up] = this.axes;
    this.pad.setAttribute("aria-valuenow", this.z[across].toFixed(2));
    this.pad.setAttribute("aria-valuetext", `z[${across}] ${round(this.z[across])}, z[${up}] ${round(this.z[up])}`);
    clearTimeout(this.timers.rest); // read the picture out, and redraw what lies behind, once it stands still
    this.timers.rest = setTimeout(() => this.rest(), 250);
  }

  rest() {
    this.say();
    if (this.elsewhere() === this.behind) return;
    this.drawMap();
    this.drawPad();
  }

  /** Where the plane lies: the latents that it does not show. */
  elsewhere() {
    return this.z.filter((_, d) => !this.axes.includes(d)).join();
  }

  say() {
    let text = "";
    if (this.spec.classifier) {
      const { label, sure } = this.classify(this.decoded);
      text = `${sure > 0.9 ? "looks like" : sure > 0.5 ? "perhaps" : "unclear, perhaps"} ${this.spec.names[label]} (${Math.round(100 * sure)} %)`;
    }
    this.said.textContent = text;
    this.picture.setAttribute("aria-label", `decoded picture${text && ": " + text}`);
  }

  /** What a grid of places decodes to, as dark strokes on white, pale. */
  drawManifold(pen, size) {
    const [side, small] = [9, square(SIDE)];
    const z = this.z.slice();
    pen.save();
    pen.globalAlpha = 0.28;
    pen.globalCompositeOperation = "difference";
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        z[this.axes[0]] = ((2 * column + 1) / side - 1) * this.reach;
        z[this.axes[1]] = (1 - (2 * row + 1) / side) * this.reach;
        show(small, this.decode(z));
        pen.drawImage(small, (column * size) / side, (row * size) / side, size / side, size / side);
      }
    }
    pen.restore();
    this.behind = this.elsewhere();
  }

  /** The manifold, the prior's circles, and the codes of the test images, each as its label. */
  drawMap() {
    const pen = this.map.getContext("2d");
    const size = this.map.width;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, size, size);
    const codes = this.codesOf(this.kind);
    this.reach = REACH;
    if (codes) {
      const far = codes.map((code) => Math.max(...this.axes.map((d) => Math.abs(code[d])))).sort((a, b) => a - b);
      this.reach = Math.max(REACH, 1.05 * far[Math.floor(0.99 * far.length)]);
    }
    this.drawManifold(pen, size);
    pen.strokeStyle = "#777";
    pen.lineWidth = 2;
    this.pad.setAttribute("aria-valuemin", -this.reach);
    this.pad.setAttribute("aria-valuemax", this.reach);
    for (const [slider] of this.sliders.values()) Object.assign(slider, { min: -Math.ceil(this.reach), max: Math.ceil(this.reach) });
    for (const radius of [1, 2, 3]) {
      pen.beginPath();
      pen.arc(size / 2, size / 2, (radius / this.reach) * (size / 2), 0, 2 * Math.PI);
      pen.stroke();
    }
    pen.font = `${size / 34}px sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    codes?.forEach((code, i) => {
      const label = this.spec.labels[i];
      pen.fillStyle = this.spec.colours[label % 10];
      pen.fillText(label, ...this.onPad(code));
    });
    for (const [radius, share] of [[1, 39], [2, 86], [3, 99]]) {
      const away = (radius / this.reach) * (size / 2) * Math.SQRT1_2;
      if (size / 2 / this.reach > 40) lettered(pen, `${share} %`, size / 2 + away, size / 2 + away);
    }
  }

  codesOf(kind) {
    const view = this.model.get("codes");
    const { latents, codes } = this.networks[kind];
    if (codes == null) return null;
    this.numbers ??= fromHalf(view);
    return this.spec.labels.map((_, i) => this.numbers.subarray(codes + i * latents, codes + (i + 1) * latents));
  }

  onPad(code) {
    const half = this.pad.width / 2;
    return [half * (1 + code[this.axes[0]] / this.reach), half * (1 - code[this.axes[1]] / this.reach)];
  }

  drawPad() {
    const pen = this.pad.getContext("2d");
    pen.drawImage(this.map, 0, 0);
    pen.strokeStyle = INK;
    this.pins.forEach((pin, place) => {
      if (!pin) return;
      const [x, y] = this.onPad(pin);
      pen.font = "bold 34px sans-serif";
      pen.fillStyle = INK;
      pen.fillText("AB"[place], x + 20, y - 20);
      pen.fillRect(x - 6, y - 6, 12, 12);
    });
    pen.lineWidth = 4;
    pen.beginPath();
    pen.arc(...this.onPad(this.z), 12, 0, 2 * Math.PI);
    pen.fillStyle = "#ffd000";
    pen.fill();
    pen.stroke();
    if (this.posterior?.logvar) {
      const [across, up] = this.axes;
      const unit = this.pad.width / 2 / this.reach;
      const width = (d) => 2 * Math.exp(0.5 * this.posterior.logvar[d]) * unit; // two standard deviations
      pen.lineWidth = 3;
      pen.beginPath();
      const [x, y] = this.onPad(this.posterior.mu);
      pen.ellipse(x, y, width(across), width(up), 0, 0, 2 * Math.PI);
      pen.stroke();
      lettered(pen, "q(z|x)", Math.min(Math.max(x, 50), this.pad.width - 50), y + width(up) + (y > this.pad.height - 90 ? -2 * width(up) - 30 : 24));
    }
  }

  dispose() {
    this.stop();
    clearTimeout(this.timers.rest);
    clearTimeout(this.timers.tell);
    window.removeEventListener("keydown", this.onKey, true);
    this.model.off("change:z", this.onZ);
    this.model.off("change:x", this.onX);
  }
}

function render({ model, el }) {
  const lab = new Lab(model, el);
  el.latentLab = lab; // for tests
  return () => lab.dispose();
}

export default { render };
