// One Gaussian with sliders for μ and log σ²; the same ε are used again at each move: gaussian_sliders, in the page.
import { make } from "./drawing.js";
import { frame, sliders } from "./controls.js";
import { gaussian, GREY, ORANGE, Plot } from "./plot.js";

const RANGE = [-8, 8];

function render({ model, el }) {
  const { eps } = model.get("spec");
  const density = new Plot({ x: RANGE, y: [0, 1.2], yName: "density", xTicks: [-8, -4, 0, 4, 8], yTicks: [0, 0.5, 1] });
  const draws = new Plot({ x: RANGE, y: [-0.4, 1.4], xName: "value", yName: " ", xTicks: [-8, -4, 0, 4, 8], yTicks: [[0, "z"], [1, "ε"]], height: 150 });
  const said = make("p", { "aria-live": "polite" });
  const figure = {};
  const draw = ({ μ: mu, "log σ²": logvar }) => {
    const sigma = Math.exp(0.5 * logvar);
    Object.assign(figure, { sigma, z: eps.map((e) => mu + sigma * e) });
    density.clear();
    density.curve(gaussian(0, 1, RANGE), GREY, { "stroke-dasharray": "6 4" });
    density.curve(gaussian(mu, sigma, RANGE).map(([x, y]) => [x, Math.min(y, 1.2)]), ORANGE);
    density.text("- - N(0, 1), where ε comes from", -7.8, 1.1, GREY);
    density.text("— N(μ, σ²), where z comes from", -7.8, 0.98, "#a84800");
    draws.clear();
    eps.forEach((e, i) => draws.curve([[e, 1], [figure.z[i], 0]], "#111", { "stroke-width": 0.4 }));
    eps.forEach((e, i) => (draws.dot(e, 1, GREY, 3), draws.dot(figure.z[i], 0, ORANGE, 3)));
    said.textContent = `σ = exp(½ log σ²) = ${sigma.toFixed(2)}. The ${eps.length} draws of ε stay where they are; each z follows μ and σ.`;
    density.svg.setAttribute("aria-label", `The density of z, with mean ${mu.toFixed(1)} and standard deviation ${sigma.toFixed(2)}, beside that of ε`);
    draws.svg.setAttribute("aria-label", `Lines from ${eps.length} draws of ε to their z`);
  };
  const controls = sliders({ μ: { low: -3, high: 3, step: 0.1, value: 0 }, "log σ²": { low: -4, high: 2, step: 0.1, value: 0 } }, draw);
  controls.rows.style.flex = "1 1 100%";
  const stacked = make("div", { style: "flex: 1 1 100%; min-width: 0; display: grid" }, density.svg, draws.svg);
  el.replaceChildren(frame("Gaussian sliders", controls.rows, stacked, said));
  draw(controls.values());
  el.figure = figure; // for tests
}

export default { render };
