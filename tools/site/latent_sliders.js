// A slider for each latent, and the picture that the decoder makes of them: LatentSliders, in the page.
import { fromHalf, normal, run } from "./network.js";
import { make, show, SIDE, square } from "./drawing.js";
import { frame, sliders } from "./controls.js";

function render({ model, el }) {
  const { decoder, latents, z: start, classes, label } = model.get("spec");
  const weights = fromHalf(model.get("blob"));
  const figure = { z: Float32Array.from(start), label };
  const picture = square(SIDE, { class: "picture", role: "img", "aria-label": "decoded picture", style: "width: 224px" });
  const draw = () => {
    const menu = Array.from({ length: classes ?? 0 }, (_, i) => Number(i === figure.label));
    figure.decoded = run(decoder, weights, Float32Array.of(...figure.z, ...menu));
    show(picture, figure.decoded);
  };
  const names = latents.map((d) => `z[${d}]`);
  const wanted = Object.fromEntries(names.map((name, i) => [name, { low: -3, high: 3, step: 0.1, value: start[latents[i]] }]));
  const controls = sliders(wanted, (values, name) => {
    if (name) figure.z[latents[names.indexOf(name)]] = values[name]; // the others keep their decimals
    draw();
  });
  const go = (z) => {
    figure.z = Float32Array.from(z);
    controls.set(Object.fromEntries(latents.map((d, i) => [names[i], z[d]])));
  };
  const button = (text, onclick) => make("button", { type: "button", onclick }, text);
  const buttons = make("div", { class: "row" }, button("new sample", () => go(start.map(normal))), button("reset", () => go(start)));
  if (classes) {
    const options = Array.from({ length: classes }, (_, i) => make("option", { value: i, selected: i === label }, String(i)));
    const menu = make("select", { onchange: () => ((figure.label = Number(menu.value)), draw()) }, ...options);
    buttons.prepend(make("label", { class: "row" }, "class", menu));
  }
  const left = make("div", { style: "display: grid; gap: 6px" }, picture, buttons);
  Object.assign(controls.rows.style, { flex: "1 1 260px", alignContent: "start" });
  el.replaceChildren(frame("Latent sliders", left, controls.rows));
  draw();
  el.figure = figure; // for tests
}

export default { render };
