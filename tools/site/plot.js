// A small plot in SVG: axes with names, and curves, dots and bars on a white ground.

const NAMESPACE = "http://www.w3.org/2000/svg";
export const [BLUE, ORANGE, GREY] = ["#0072B2", "#D55E00", "#5F5F5F"];

function mark(tag, attributes, ...children) {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A plot of x from low to high and y likewise; `ticks` are numbers, or [number, text], on each axis. */
export class Plot {
  constructor({ x, y, xName = "", yName = "", xTicks = [], yTicks = [], width = 420, height = 240 }) {
    const [left, bottom] = [yName ? 52 : 34, xName ? 44 : 26];
    Object.assign(this, { x, y, box: [left, 12, width - 10, height - bottom] });
    const words = (text, more) => mark("text", { "font-size": 13, fill: "#111", "text-anchor": "middle", ...more }, text);
    this.marks = mark("g", {});
    this.svg = mark("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", style: `max-width: ${1.25 * width}px` }, mark("rect", { width, height, fill: "#fff" }));
    const [x0, y0, x1, y1] = this.box;
    this.svg.append(mark("path", { d: `M${x0},${y0}V${y1}H${x1}`, fill: "none", stroke: "#111" }));
    for (const tick of xTicks) this.svg.append(words([tick].flat().at(-1), { x: this.across([tick].flat()[0]), y: y1 + 17 }));
    for (const tick of yTicks) this.svg.append(words([tick].flat().at(-1), { x: x0 - 6, y: this.up([tick].flat()[0]) + 4, "text-anchor": "end" }));
    if (xName) this.svg.append(words(xName, { x: (x0 + x1) / 2, y: height - 8 }));
    if (yName) this.svg.append(words(yName, { transform: `translate(14 ${(y0 + y1) / 2}) rotate(-90)` }));
    this.svg.append(this.marks);
  }

  across(x) {
    return this.box[0] + ((x - this.x[0]) / (this.x[1] - this.x[0])) * (this.box[2] - this.box[0]);
  }

  up(y) {
    return this.box[3] - ((y - this.y[0]) / (this.y[1] - this.y[0])) * (this.box[3] - this.box[1]);
  }

  clear() {
    this.marks.replaceChildren();
  }

  curve(points, colour, more = {}) {
    const path = points.map(([x, y]) => `${this.across(x).toFixed(2)},${this.up(y).toFixed(2)}`).join("L");
    this.marks.append(mark("path", { d: `M${path}`, fill: "none", stroke: colour, "stroke-width": 2, ...more }));
  }

  dot(x, y, colour, r = 4) {
    this.marks.append(mark("circle", { cx: this.across(x), cy: this.up(y), r, fill: colour }));
  }

  bar(x, y, colour) {
    const top = this.up(Math.min(y, this.y[1]));
    this.marks.append(mark("rect", { x: this.across(x - 0.35), y: top, width: this.across(x + 0.35) - this.across(x - 0.35), height: this.up(0) - top, fill: colour }));
  }

  ellipse(x, y, rx, ry, more = {}) {
    const unit = [this.across(rx) - this.across(0), this.up(0) - this.up(ry)];
    this.marks.append(mark("ellipse", { cx: this.across(x), cy: this.up(y), rx: unit[0], ry: unit[1], fill: "none", stroke: "#111", "stroke-width": 2.5, ...more }));
  }

  text(text, x, y, colour = "#111", more = {}) {
    this.marks.append(mark("text", { x: this.across(x), y: this.up(y), "font-size": 13, fill: colour, ...more }, text));
  }
}

/** The density of N(mu, sigma²) between two ends, as points. */
export function gaussian(mu, sigma, [low, high]) {
  const density = (x) => Math.exp(-0.5 * ((x - mu) / sigma) ** 2) / (sigma * Math.sqrt(2 * Math.PI));
  // evenly over the width, and close by around the mean, where a narrow one has its top
  const places = Array.from({ length: 201 }, (_, i) => low + (i * (high - low)) / 200);
  const near = Array.from({ length: 201 }, (_, i) => mu + sigma * (i / 25 - 4)).filter((x) => x > low && x < high);
  return [...places, ...near].sort((a, b) => a - b).map((x) => [x, density(x)]);
}
