// The latent lab: encoder and decoder of a fully connected VAE, computed in the page.
//
// `render({ model, el })` draws the lab into `el`. `model` is an anywidget model, or a stand-in with get, set,
// save_changes, on and off. It holds `spec` (the networks' layers and the settings), `blob` (all weights as
// float16), `codes` and `labels` of the test images, and the shared state: `z`, the code, and `x`, the drawing.

import { divergence, fromHalf, normal, reconstruction, run } from "./network.js";
import { imageAt, keepKeys, make, named, Paper, PIXELS, round, show, SIDE, square, STYLE } from "./drawing.js";

const PAD = 300; // the pad's width in CSS pixels
const REACH = 3.2; // the pad shows codes from -REACH to REACH, at least
const INK = "#1a1a1a";
const OWN_STYLE = `
.latent-lab section { display: flex; flex-direction: column; gap: 6px; min-width: 0; flex: 1 1 220px; max-width: ${PAD}px; }
.latent-lab canvas { width: 100%; max-width: ${PAD}px; aspect-ratio: 1; }
.latent-lab .sliders { max-height: 330px; overflow: auto; }
.latent-lab p.hint { font-size: 12px; min-height: 0; }
`;

const HINTS = {
  plane: "The circles hold 39, 86 and 99 of 100 codes drawn from N(0, I), the prior; the ellipse q(z|x) is where the encoder sees your drawing, at two standard deviations. Behind them: what each place decodes to.",
  costs: "Reconstruction: how badly the decoded picture predicts your drawing. KL: what its code costs. Lower is better, for the sum; lesson 03 of the course explains both.",
};

// --- the parts of the page ----------------------------------------------------------------------

/** Text with a white rim, legible on anything. */
function lettered(pen, text, x, y) {
  pen.save();
  Object.assign(pen, { lineWidth: 5, lineJoin: "round", strokeStyle: "#fff", fillStyle: INK, textAlign: "center", textBaseline: "middle" });
  pen.font = `${pen.canvas.width / 30}px sans-serif`;
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
  pen.restore();
}

// --- the lab ------------------------------------------------------------------------------------

class Lab {
  constructor(model, el) {
    this.model = model;
    this.spec = model.get("spec");
    this.weights = fromHalf(model.get("blob"));
    this.waiting = Boolean(model.get("waiting")); // the decoder's weights are there, the others are to come
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

  /** All weights are there. */
  complete() {
    this.weights = fromHalf(this.model.get("blob"));
    this.waiting = this.desk.inert = false;
    this.say();
  }

  // --- building ---

  build(el) {
    const root = make("div", { class: "vae-figure latent-lab", role: "group", "aria-label": "Latent lab" }, make("style", {}, STYLE + OWN_STYLE));
    root.append(this.buildPad(), this.buildPicture(), this.buildDrawing(), this.buildSliders());
    const handlers = new Map([[this.pad, (event) => this.padKey(event)], [this.paper.canvas, (event) => this.paper.key(event)]]);
    this.release = keepKeys(root, handlers);
    el.replaceChildren(root);
    this.drawMap();
  }

  buildPad() {
    this.pad = square(2 * PAD, {
      class: "paper",
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
    this.said = make("p", { "aria-hidden": true }); // follows each move; the picture's name and `spoken` wait until it stands still
    this.spoken = make("p", { "aria-live": "polite", class: "spoken" });
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
      this.spoken,
      make("div", { class: "row" }, button("new sample", () => this.sample()), button("zero", () => this.move(new Float32Array(this.latents))), this.playButton),
      make("div", { class: "row" }, ...this.pinButtons, this.between),
    );
  }

  buildDrawing() {
    this.paper = new Paper({
      ondigit: (x) => this.take(x),
      onclear: () => this.forget(),
      onpen: (text) => (this.costs.textContent ||= text),
    });
    this.costs = make("p", { "aria-live": "polite" });
    const row = make("div", { class: "row" }, make("button", { type: "button", onclick: () => this.paper.clear() }, "clear"));
    if (this.spec.images) row.append(make("button", { type: "button", onclick: () => this.nextImage() }, "a test image"));
    this.desk = make("section", { inert: this.waiting }, named("Draw a digit"), this.paper.canvas, this.costs, row, make("p", { class: "hint" }, HINTS.costs));
    return this.desk;
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
      else {
        this.paper.wipe();
        this.forget(false);
      }
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
      if (this.waiting || !this.spec.classifier || this.classify(this.decode(z)).sure > 0.99) break;
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

  forget(tell = true) {
    this.drawing = this.posterior = null;
    this.costs.textContent = "";
    if (tell) this.tell("x", []);
    this.refresh();
  }

  nextImage() {
    const images = this.model.get("images");
    const count = images.byteLength / PIXELS;
    this.number = ((this.number ?? -1) + 1) % count;
    this.take(imageAt(images, this.number), true, true);
  }

  /** An image is there: encode it, go to its mean, say what it costs. */
  take(x, tell = true, paint = !tell) {
    if (paint) this.paper.show(x);
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
    this.said.textContent = this.impression();
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
    const text = this.impression();
    this.said.textContent = this.spoken.textContent = text;
    this.picture.setAttribute("aria-label", `decoded picture${text && ": " + text}`);
  }

  /** What the classifier takes the decoded picture for. */
  impression() {
    if (!this.spec.classifier || this.waiting) return "";
    const { label, sure } = this.classify(this.decoded);
    return `${sure > 0.9 ? "looks like" : sure > 0.5 ? "perhaps" : "unclear, perhaps"} ${this.spec.names[label]} (${Math.round(100 * sure)} %)`;
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
    for (const side of [-1, 1]) lettered(pen, round(side * this.reach), size / 2 + side * (size / 2 - 30), size / 2);
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
    const place = this.onPad(this.z);
    const [x, y] = place.map((at) => Math.min(Math.max(at, 14), this.pad.width - 14));
    pen.arc(x, y, 12, 0, 2 * Math.PI);
    pen.fillStyle = "#ffd000";
    pen.fill();
    pen.stroke();
    if (Math.hypot(x - place[0], y - place[1]) > 14) lettered(pen, "beyond the edge", Math.min(Math.max(x, 110), this.pad.width - 110), y < 60 ? y + 34 : y - 34);
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
    this.release();
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
