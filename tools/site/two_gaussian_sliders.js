// q = N(μ, σ²) beside the prior, and what their KL divergence is made of: two_gaussian_sliders, in the page.
import { make } from "./drawing.js";
import { frame, sliders } from "./controls.js";
import { BLUE, gaussian, GREY, ORANGE, Plot } from "./plot.js";

const RANGE = [-6, 6];

function render({ el }) {
  const curves = new Plot({ x: RANGE, y: [0, 1.5], xName: "z", yName: "density", xTicks: [-6, -3, 0, 3, 6], yTicks: [0, 0.5, 1, 1.5] });
  const bars = new Plot({ x: [-0.6, 1.6], y: [0, 5], yName: "nats", xTicks: [[0, "mean"], [1, "spread"]], yTicks: [0, 1, 2, 3, 4, 5], width: 240 });
  const said = make("p", { "aria-live": "polite" });
  const figure = {};
  const draw = ({ μ: mu, "log σ²": logvar }) => {
    const sigma = Math.exp(0.5 * logvar);
    const parts = [0.5 * mu ** 2, 0.5 * (sigma ** 2 - 1 - logvar)];
    figure.parts = parts;
    curves.clear();
    curves.curve(gaussian(0, 1, RANGE), GREY, { "stroke-dasharray": "6 4" });
    curves.curve(gaussian(mu, sigma, RANGE).map(([x, y]) => [x, Math.min(y, 1.5)]), BLUE);
    curves.text("- - p(z) = N(0, 1)", -5.8, 1.38, GREY);
    curves.text("— q(z|x) = N(μ, σ²)", -5.8, 1.24, BLUE);
    bars.clear();
    parts.forEach((part, i) => bars.bar(i, part, [BLUE, ORANGE][i]));
    bars.text(`KL = ${(parts[0] + parts[1]).toFixed(2)} nats`, -0.45, 4.6);
    said.textContent = `σ = ${sigma.toFixed(2)}: the mean costs ½μ² = ${parts[0].toFixed(2)} nats and the spread ½(σ² − 1 − log σ²) = ${parts[1].toFixed(2)}.`;
    curves.svg.setAttribute("aria-label", `q(z|x) with mean ${mu.toFixed(1)} and standard deviation ${sigma.toFixed(2)}, beside the prior`);
    bars.svg.setAttribute("aria-label", `KL divergence ${(parts[0] + parts[1]).toFixed(2)} nats: mean ${parts[0].toFixed(2)}, spread ${parts[1].toFixed(2)}`);
  };
  const controls = sliders({ μ: { low: -3, high: 3, step: 0.1, value: 1 }, "log σ²": { low: -4, high: 2, step: 0.1, value: 0 } }, draw);
  controls.rows.style.flex = "1 1 100%";
  bars.svg.style.flex = "0 1 220px";
  el.replaceChildren(frame("Two Gaussians and their KL divergence", controls.rows, curves.svg, bars.svg, said));
  draw(controls.values());
  el.figure = figure; // for tests
}

export default { render };
