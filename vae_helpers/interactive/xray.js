// The x-ray: one image on its way through a VAE, each number of it computed in the page, and the gradient's way back.
//
// `render({ model, el })` draws it into `el`. `model` holds `spec` (the network's layers), `blob` (its weights as float16)
// and `images` (a few test images).

import { back, divergences, fromHalf, normal, reconstruction, run, trace } from "./network.js";
import { imageAt, keepKeys, make, Paper, PIXELS, show, SIDE, square, STYLE } from "./drawing.js";

const OWN_STYLE = `
.xray { align-items: flex-start; }
.xray .way { flex: 1 1 560px; min-width: 0; max-width: 720px; display: grid; gap: 4px; grid-template: "x latents hidden" auto "h latents recon" 1fr "press press press" auto "cost cost cost" auto / 112px minmax(0, 1fr) 112px; }
.xray .box { min-width: 0; padding: 4px; border: 2px solid transparent; border-radius: 4px; display: flex; flex-direction: column; gap: 4px; }
.xray .lit { border-color: var(--lab-focus, var(--jp-brand-color1, #0060df)); }
.xray .tag { text-align: left; align-self: flex-start; }
.xray canvas { width: 100%; max-width: 150px; image-rendering: pixelated; }
.xray canvas.curve { image-rendering: auto; max-width: 300px; }
.xray table { border-collapse: collapse; width: 100%; margin: 0; table-layout: fixed; font-size: 13px; font-variant-numeric: tabular-nums; }
.xray :is(th, td) { padding: 0 2px; text-align: right; border: 0; border-left: 2px solid transparent; border-right: 2px solid transparent; background: none; color: inherit; font-weight: normal; line-height: 1.45; }
.xray td { background: linear-gradient(var(--bar, transparent), var(--bar, transparent)) no-repeat var(--from, 50%) 50% / var(--long, 0) 80%; }
.xray :is(th, td).lit { border-left-color: var(--lab-focus, var(--jp-brand-color1, #0060df)); border-right-color: var(--lab-focus, var(--jp-brand-color1, #0060df)); }
.xray thead button { padding: 0; min-width: 24px; width: 100%; font-size: 12px; }
.xray tr.chosen :is(th, td) { border-top: 1px solid; border-bottom: 1px solid; }
.xray .note { flex: 1 1 100%; min-height: 2.8em; }
.xray .note code { display: none; }
.xray .code { flex: 1 1 300px; min-width: 0; }
.xray .lines { padding: 4px; border: 1px solid var(--jp-border-color0, #767676); }
.xray .lines > * { display: block; white-space: pre-wrap; overflow-wrap: anywhere; font: 12px/1.5 ui-monospace, monospace; min-height: 0; padding: 3px 6px 3px calc(6px + var(--hang)); text-indent: calc(-1 * var(--hang)); border: 0; border-left: 4px solid transparent; background: none; text-align: left; color: inherit; width: 100%; }
.xray .lines > .lit { border-left-color: var(--lab-focus, var(--jp-brand-color1, #0060df)); background: var(--jp-layout-color2, #eee); }
.xray .cost { display: grid; grid-template-columns: 11em 1fr; align-items: center; gap: 2px 8px; }
.xray .cost i { display: block; height: 14px; }
@media (max-width: 38em) {
  .xray .way { grid-template: "x h" auto "press press" auto "latents latents" auto "hidden recon" auto "cost cost" auto / 1fr 1fr; }
  .xray .note { position: sticky; bottom: 0; order: 1; padding: 6px; background: inherit; border-top: 1px solid; } /* in sight of each box; the code is not */
  .xray .note code { display: block; white-space: pre-wrap; font: 12px/1.4 ui-monospace, monospace; }
}
@media (max-width: 30em) { .xray table { font-size: 11px; } .xray thead button { font-size: 10px; letter-spacing: -0.3px; } }
`;
const [BLUE, ORANGE] = ["#0072b2", "#d55e00"];

// The lines of lesson 02's VAE and of lesson 03's loss, each with the boxes that it makes.
const LINES = [
  ["class VAE(nn.Module):", ""],
  ["    def __init__(self, latent_dim=20):", ""],
  ["        super().__init__()", ""],
  ["        self.fc1 = nn.Linear(784, 400)", "h"],
  ["        self.fc_mu = nn.Linear(400, latent_dim)", "mu"],
  ["        self.fc_logvar = nn.Linear(400, latent_dim)", "logvar"],
  ["        self.fc_dec = nn.Sequential(", "hidden recon_x"],
  ["            nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid()", "hidden recon_x"],
  ["        )", ""],
  ["", ""],
  ["    def encode(self, x):", "x"],
  ["        h = torch.relu(self.fc1(x.flatten(1)))", "h"],
  ["        return self.fc_mu(h), self.fc_logvar(h)", "mu logvar"],
  ["", ""],
  ["    def reparameterize(self, mu, logvar):", "mu logvar"],
  ["        std = torch.exp(0.5 * logvar)", "sigma"],
  ["        return mu + std * torch.randn_like(std)", "eps z"],
  ["", ""],
  ["    def decode(self, z):", "z"],
  ["        return self.fc_dec(z)", "hidden recon_x"],
  ["", ""],
  ["    def forward(self, x):", "x"],
  ["        mu, logvar = self.encode(x)", "mu logvar"],
  ["        return self.decode(self.reparameterize(mu, logvar)), mu, logvar", "z recon_x"],
  ["", ""],
  ["def loss_function(recon_x, x, mu, logvar):", "cost"],
  ["    recon = F.binary_cross_entropy(recon_x, x, reduction=\"sum\")", "cost"],
  ["    kl = 0.5 * (mu.pow(2) + logvar.exp() - 1 - logvar).sum()", "kl cost"],
  ["    return recon + kl", "cost"],
];
const NOTES = {
  x: "x: the image, 784 numbers between 0 and 1.",
  h: "h: 400 numbers that the encoder computes from the image; those below zero become 0.",
  mu: "mu: the mean of q(z|x), one number for each latent.",
  logvar: "logvar: log σ² of q(z|x). Any number is allowed.",
  sigma: "σ = exp(½ · logvar): the standard deviation, always above zero. The curve shows it for every latent.",
  eps: "ε: drawn from N(0, 1), and held until you draw it anew.",
  z: "z = mu + σ · ε: the code, a draw from q(z|x).",
  kl: "KL in nats, latent by latent: ½ (mu² + σ² − 1 − logvar). It is what the code costs.",
  hidden: "The decoder's h: 400 numbers computed from z alone.",
  recon_x: "recon_x: 784 probabilities, one for each pixel.",
  cost: "The loss: how badly recon_x predicts x, plus the KL of all latents.",
  anew: "Draws ε anew: the same image gets another code, and another recon_x.",
  none: "Without noise the code is the mean: z = mu.",
  back: "Shows in place of each number the slope of the loss in it: how the loss changes as this number grows.",
};
const COLUMNS = { mu: "mu", logvar: "logvar", sigma: "σ", eps: "ε", z: "z", kl: "KL" };

const said = (value) => value.toFixed(2).replace("-", "\u2212").replace(/^\u2212(0\.00)$/, "$1");

class XRay {
  constructor(model, el) {
    this.network = model.get("spec").network;
    this.weights = fromHalf(model.get("blob"));
    this.images = model.get("images");
    this.number = 0;
    this.chosen = 0; // the latent whose point is marked on the curve
    this.latents = this.network.latents;
    this.eps = Float32Array.from({ length: this.latents }, normal);
    this.build(el);
    this.take(imageAt(this.images, 0), true);
  }

  // --- computing: the whole pass, and the way back ---

  compute() {
    const { encoder, mu, logvar, decoder } = this.network;
    const forward = trace(encoder, this.weights, this.x);
    const h = forward.at(-1);
    const found = { x: this.x, h, mu: run(mu, this.weights, h), logvar: run(logvar, this.weights, h), eps: this.eps };
    found.sigma = found.logvar.map((v) => Math.exp(0.5 * v));
    found.z = found.mu.map((m, d) => m + found.sigma[d] * found.eps[d]);
    const decoded = trace(decoder, this.weights, found.z);
    found.recon_x = decoded.at(-1);
    found.hidden = decoded.at(-3); // before the last layer and the sigmoid
    found.kl = divergences(found.mu, found.logvar);
    found.reconstruction = reconstruction(found.recon_x, this.x);
    found.divergence = found.kl.reduce((sum, part) => sum + part, 0);
    this.values = found;

    // The sigmoid and the cross-entropy together have the gradient recon_x - x before the sigmoid.
    const slope = { recon_x: found.recon_x.map((p, i) => p - this.x[i]) };
    const way = back(decoder.slice(0, -1), this.weights, decoded.slice(0, -1), slope.recon_x);
    [slope.z, slope.hidden] = [way[0], way.at(-2)];
    slope.sigma = slope.z.map((g, d) => g * found.eps[d] + found.sigma[d] - 1 / found.sigma[d]);
    slope.mu = slope.z.map((g, d) => g + found.mu[d]);
    slope.logvar = slope.sigma.map((g, d) => g * 0.5 * found.sigma[d]);
    const heads = [mu, logvar].map((layers, i) => back(layers, this.weights, [h, null], [slope.mu, slope.logvar][i])[0]);
    slope.h = heads[0].map((g, i) => g + heads[1][i]);
    slope.x = back(encoder, this.weights, forward, slope.h)[0];
    this.gradients = slope;
  }

  // --- building ---

  build(el) {
    const button = (text, onclick, more = {}) => make("button", { type: "button", onclick, ...more }, text);
    const tag = (box, text = box) => button(text, () => this.pin(box), { class: "tag", "aria-pressed": false, "data-tag": box });
    const picture = () => square(SIDE, { class: "picture", role: "img" });
    const box = (name, area, ...parts) => make("div", { class: "box", "data-box": name, style: `grid-area: ${area}` }, ...parts);
    const after = (arrow, part) => make("div", { class: "row" }, make("span", { "aria-hidden": true }, arrow), part);

    this.paper = new Paper({ ondigit: (x) => this.take(x), onclear: () => this.take(new Float32Array(PIXELS)) });
    this.pictures = { h: square(20, { role: "img" }), hidden: square(20, { role: "img" }), recon_x: picture() };
    this.rows = Array.from({ length: this.latents }, (_, d) => {
      const cells = Object.fromEntries(Object.keys(COLUMNS).map((column) => [column, make("td", { "data-box": column })]));
      const row = make("tr", { onclick: () => this.choose(d) }, make("th", { scope: "row" }, `z[${d}]`), ...Object.values(cells));
      return { row, cells };
    });
    const head = Object.entries(COLUMNS).map(([column, text]) => make("th", { scope: "col", "data-box": column }, tag(column, text)));
    this.caption = make("caption", { style: "text-align: left; caption-side: top" });
    const table = make("table", {}, this.caption, make("thead", {}, make("tr", {}, make("td"), ...head)), make("tbody", {}, ...this.rows.map(({ row }) => row)));
    this.menu = make("select", { "aria-label": "latent on the curve", onchange: () => this.choose(Number(this.menu.value)) });
    this.menu.append(...this.rows.map((_, d) => make("option", { value: d }, `z[${d}]`)));
    this.curve = make("canvas", { width: 600, height: 320, class: "curve", role: "img" });
    this.reverse = button("the gradient's way back", () => this.turn(), { "aria-pressed": false, "data-box": "back" });
    this.bars = ["reconstruction", "KL", "loss"].map((name) => ({ name, text: make("span"), bar: make("i") }));
    this.costs = make("div", { class: "cost" }, ...this.bars.flatMap(({ text, bar }) => [text, bar]));
    this.note = make("p", { "aria-live": "polite", class: "note" });
    this.spoken = make("p", { "aria-live": "polite", class: "spoken" });
    this.lines = LINES.map(([text, boxes]) => {
      const style = `--hang: ${text.search(/\S|$/) + 2}ch`; // where a line goes on that is too long for the box
      return boxes ? button(text, () => this.pin(boxes), { "data-box": boxes, "aria-pressed": false, tabindex: -1, style }) : make("code", { style }, text || " ");
    });

    const way = make(
      "div",
      { class: "way" },
      box("x", "x", tag("x"), this.paper.canvas, button("a test image", () => this.next()), button("clear", () => this.paper.clear())),
      box("h", "h", after("\u2193", tag("h")), this.pictures.h),
      make("div", { class: "row", style: "grid-area: press; padding: 4px" }, button("new ε", () => this.draw(normal), { "data-box": "anew" }), button("ε = 0", () => this.draw(() => 0), { "data-box": "none" }), this.reverse),
      make("div", { class: "box", style: "grid-area: latents" }, table),
      box("hidden", "hidden", after("\u2192", tag("hidden", "decoder's h")), this.pictures.hidden),
      box("recon_x", "recon", after("\u2193", tag("recon_x")), this.pictures.recon_x),
      box("cost", "cost", tag("cost", "loss"), this.costs),
    );
    const code = make("div", { class: "lines", role: "group", "aria-label": "the code of the VAE; the arrow keys go from line to line" }, ...this.lines);
    const curve = make("div", { class: "box", "data-box": "sigma" }, make("label", { class: "row" }, "σ = exp(½ · logvar) of", this.menu), this.curve);
    const side = make("div", { class: "code" }, code, curve);
    this.root = make("div", { class: "vae-figure xray", role: "group", "aria-label": "X-ray of a VAE" }, make("style", {}, STYLE + OWN_STYLE), this.note, way, side, this.spoken);
    this.root.addEventListener("pointerover", (event) => this.point(event.target));
    this.root.addEventListener("focusin", (event) => this.point(event.target));
    this.root.addEventListener("pointerleave", () => this.light(this.pinned));
    const targets = this.lines.filter((line) => line.dataset.box);
    targets[0].tabIndex = 0;
    const handlers = new Map(targets.map((line, i) => [line, (event) => this.walk(event, targets, i)]));
    handlers.set(this.paper.canvas, (event) => this.paper.key(event));
    this.release = keepKeys(this.root, handlers);
    el.replaceChildren(this.root);
    this.light("");
  }

  // --- what a visitor does ---

  take(x, paint = false) {
    if (paint) this.paper.show(x);
    this.x = x;
    this.refresh();
  }

  next() {
    this.number = (this.number + 1) % (this.images.byteLength / PIXELS);
    this.take(imageAt(this.images, this.number), true);
  }

  draw(how) {
    this.eps = Float32Array.from({ length: this.latents }, how);
    this.refresh();
  }

  choose(d) {
    this.chosen = d;
    this.menu.value = d;
    this.refresh();
  }

  turn() {
    this.reverse.setAttribute("aria-pressed", this.reverse.getAttribute("aria-pressed") !== "true");
    this.refresh();
  }

  /** Up and down from one line of the code to the next. */
  walk(event, lines, i) {
    const to = { ArrowUp: i - 1, ArrowDown: i + 1, Home: 0, End: lines.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    lines[i].tabIndex = -1;
    const line = lines[Math.min(Math.max(to, 0), lines.length - 1)];
    line.tabIndex = 0;
    line.focus();
  }

  // --- a box and its lines ---

  point(target) {
    this.light(target.closest("[data-box]")?.dataset.box ?? this.pinned);
  }

  pin(boxes) {
    this.pinned = this.pinned === boxes ? "" : boxes;
    this.light(boxes);
    for (const part of this.root.querySelectorAll("[data-tag], .lines button"))
      part.setAttribute("aria-pressed", (part.dataset.tag ?? part.dataset.box) === this.pinned);
  }

  /** Light up boxes, and the lines that make them. */
  light(boxes = "") {
    const wanted = boxes.split(" ").filter(Boolean);
    for (const part of this.root.querySelectorAll("[data-box]")) part.classList.toggle("lit", part.dataset.box.split(" ").some((box) => wanted.includes(box)));
    this.note.textContent = wanted.length ? wanted.map((box) => NOTES[box]).join(" ") : "Point at a box, or tap its name, and its lines of code light up; point at a line, and its boxes do.";
    const lit = this.lines.filter((line) => line.classList.contains("lit"));
    this.note.append(make("code", { "aria-hidden": true }, lit.map((line) => line.textContent.trim()).join("\n")));
  }

  // --- showing ---

  refresh() {
    this.compute();
    const backwards = this.reverse.getAttribute("aria-pressed") === "true";
    const shown = backwards ? this.gradients : this.values;
    this.caption.textContent = backwards ? "\u2190 The gradient of the loss with respect to each number" : `\u2192 The ${this.latents} latents`;
    const of = backwards ? "the loss's gradient with respect to " : "";
    for (const name of ["h", "hidden"]) {
      heat(this.pictures[name], shown[name], backwards);
      const active = this.values[name].filter((v) => v > 0).length;
      this.pictures[name].setAttribute("aria-label", `${of}${name === "h" ? "h" : "the decoder's h"}: ${shown[name].length} numbers, ${active} units above zero`);
    }
    if (backwards) heat(this.pictures.recon_x, shown.recon_x, true);
    else show(this.pictures.recon_x, shown.recon_x);
    this.pictures.recon_x.setAttribute("aria-label", backwards ? "recon_x minus x: the loss's gradient before the sigmoid" : "recon_x, the reconstruction");
    for (const column of Object.keys(COLUMNS)) {
      const values = shown[column];
      const most = values && Math.max(...values.map(Math.abs), 1e-9);
      this.rows.forEach(({ cells }, d) => bar(cells[column], values?.[d], most, backwards ? ORANGE : BLUE));
    }
    this.rows.forEach(({ row }, d) => row.classList.toggle("chosen", d === this.chosen));
    this.drawCurve();
    const nats = [this.values.reconstruction, this.values.divergence, this.values.reconstruction + this.values.divergence];
    this.bars.forEach(({ name, text, bar: strip }, i) => {
      text.textContent = `${name} ${nats[i].toFixed(1)}`;
      Object.assign(strip.style, { width: `${(100 * nats[i]) / Math.max(nats[2], 250)}%`, background: [BLUE, ORANGE, "#767676"][i] });
    });
    clearTimeout(this.timer); // read out once it stands still
    this.timer = setTimeout(() => {
      this.spoken.textContent = `In nats: reconstruction ${nats[0].toFixed(1)}, KL ${nats[1].toFixed(1)}, loss ${nats[2].toFixed(1)}.`;
    }, 400);
  }

  /** σ against logvar: all latents, and the chosen one. */
  drawCurve() {
    const { logvar, sigma } = this.values;
    const [pen, { width, height }] = [this.curve.getContext("2d"), this.curve];
    const low = Math.min(-6, ...logvar);
    const place = (v, s) => [60 + ((v - low) / (2 - low)) * (width - 90), height - 60 - (s / Math.E) * (height - 90)];
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    Object.assign(pen, { strokeStyle: "#111", fillStyle: "#111", lineWidth: 2, font: "24px sans-serif", textAlign: "center" });
    pen.beginPath();
    pen.moveTo(...place(low, Math.E));
    pen.lineTo(...place(low, 0));
    pen.lineTo(...place(2, 0));
    pen.stroke();
    for (const v of [-6, -4, -2, 0, 2]) pen.fillText(String(v).replace("-", "\u2212"), place(v, 0)[0], height - 34);
    for (const s of [0, 1, 2]) pen.fillText(String(s), 38, place(low, s)[1] + 8);
    pen.fillText("logvar", width / 2, height - 8);
    pen.fillText("σ", 38, 30);
    pen.strokeStyle = BLUE;
    pen.lineWidth = 4;
    pen.beginPath();
    for (let i = 0; i <= 100; i++) {
      const v = low + (i / 100) * (2 - low);
      pen.lineTo(...place(v, Math.exp(0.5 * v)));
    }
    pen.stroke();
    const dot = (d, radius, colour) => {
      pen.beginPath();
      pen.arc(...place(Math.min(logvar[d], 2), Math.min(sigma[d], Math.E)), radius, 0, 2 * Math.PI);
      pen.fillStyle = colour;
      pen.fill();
    };
    logvar.forEach((_, d) => dot(d, 6, "#5f5f5f"));
    dot(this.chosen, 15, "#1a1a1a");
    dot(this.chosen, 11, "#ffd000");
    this.curve.setAttribute("aria-label", `The curve of σ against logvar; z[${this.chosen}] has logvar ${said(logvar[this.chosen])} and σ ${said(sigma[this.chosen])}`);
  }

  dispose() {
    clearTimeout(this.timer);
    this.release();
  }
}

/** A cell with its number, and a bar as long as the number is large: to the right above zero, to the left below. */
function bar(cell, value, most, colour) {
  cell.textContent = value === undefined ? "\u2013" : said(value);
  const long = value === undefined ? 0 : (50 * Math.abs(value)) / most;
  const from = value < 0 ? (100 * (50 - long)) / (100 - long) : (100 * 50) / (100 - long); // of the space that the bar leaves
  cell.style.setProperty("--bar", `color-mix(in srgb, ${colour} 35%, transparent)`);
  cell.style.setProperty("--long", `${long}%`);
  cell.style.setProperty("--from", `${from}%`);
}

/** Numbers as the pixels of a square canvas: grey from zero up, or from blue below zero to orange above. */
function heat(canvas, values, signed) {
  const pen = canvas.getContext("2d");
  const shown = pen.createImageData(canvas.width, canvas.height);
  const most = Math.max(...values.map(Math.abs), 1e-9);
  values.forEach((value, i) => {
    const part = Math.abs(value) / most;
    const full = !signed ? [255, 255, 255] : value < 0 ? [86, 180, 233] : [230, 120, 0];
    shown.data.set([...full.map((c) => Math.round(c * part)), 255], 4 * i);
  });
  pen.putImageData(shown, 0, 0);
}

function render({ model, el }) {
  const xray = new XRay(model, el);
  el.xray = xray; // for tests
  return () => xray.dispose();
}

export default { render };
