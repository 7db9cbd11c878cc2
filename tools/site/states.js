// A figure of few states, each computed when the site was built; its sliders go from one to the next.
import { fromHalf, run } from "./network.js";
import { imageAt, make, show, SIDE, square } from "./drawing.js";
import { frame, sliders } from "./controls.js";
import { Plot } from "./plot.js";

const COLUMNS = 7;

function render({ model, el }) {
  const { name, choices, plots, states, decoder, note } = model.get("spec");
  const weights = decoder && fromHalf(model.get("blob"));
  const drawn = plots.map(({ axes }) => new Plot(axes));
  const said = make("p", { "aria-live": "polite" });
  const [small, canvas, figure] = [square(SIDE), square(SIDE, { class: "picture", role: "img", style: "width: 380px" }), {}];
  const decode = ({ image, codes, said: text }) => {
    figure.pictures = [imageAt(model.get("images"), image), ...codes.map((z) => run(decoder, weights, z))];
    [canvas.width, canvas.height] = [COLUMNS * (SIDE + 2), Math.ceil(figure.pictures.length / COLUMNS) * (SIDE + 2)];
    figure.pictures.forEach((picture, k) => {
      show(small, picture);
      canvas.getContext("2d").drawImage(small, (k % COLUMNS) * (SIDE + 2) + 1, Math.floor(k / COLUMNS) * (SIDE + 2) + 1);
    });
    codes.forEach((z) => drawn[0].dot(...z, "#111", 3));
    canvas.setAttribute("aria-label", `An image and ${codes.length} pictures decoded from its patch. ${text}`);
  };
  const draw = (values) => {
    // in the order of the choices; the last one runs fastest
    const state = states[choices.reduce((at, { label, values: all }) => at * all.length + values[label], 0)];
    plots.forEach(({ label, marks }, i) => {
      drawn[i].clear();
      for (const [kind, ...given] of [...marks, ...state.marks[i]]) drawn[i][kind](...given);
      drawn[i].svg.setAttribute("aria-label", `${label}. ${state.said}`);
    });
    said.textContent = state.said;
    if (decoder) decode(state);
  };
  const wanted = choices.map(({ label, values, start }) => [label, { low: 0, high: values.length - 1, step: 1, value: start, say: (i) => values[i] }]);
  const controls = sliders(Object.fromEntries(wanted), draw);
  controls.rows.style.flex = "1 1 100%";
  const words = make("div", { style: "flex: 1 1 100%" }, said, make("p", {}, note));
  el.replaceChildren(frame(name, controls.rows, ...drawn.map(({ svg }) => svg), ...(decoder ? [canvas] : []), words));
  draw(controls.values());
  el.figure = figure; // for tests
}

export default { render };
