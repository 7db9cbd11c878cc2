// Models trained with different weights β, their decoders computed here: beta_slider, in the page.
import { fromHalf, run } from "./network.js";
import { imageAt, make, show, SIDE, square } from "./drawing.js";
import { frame, sliders } from "./controls.js";

const ROWS = ["image x", "recon_x", "z ~ N(0, I)"];

function render({ model, el }) {
  const { betas, decoders, codes, samples, sentences } = model.get("spec");
  const weights = fromHalf(model.get("blob"));
  const [images, shown] = [model.get("images"), samples.length];
  const canvas = square(SIDE, { class: "picture", role: "img", style: "width: 640px" });
  [canvas.width, canvas.height] = [shown * (SIDE + 2), ROWS.length * (SIDE + 2)];
  const said = make("p", { "aria-live": "polite" });
  const [small, figure] = [square(SIDE), {}];
  const draw = ({ β: i }) => {
    const decoded = [...codes[i], ...samples].map((z) => run(decoders[i], weights, z));
    figure.pictures = [...samples.map((_, k) => imageAt(images, k)), ...decoded];
    figure.pictures.forEach((image, k) => {
      show(small, image);
      canvas.getContext("2d").drawImage(small, (k % shown) * (SIDE + 2) + 1, Math.floor(k / shown) * (SIDE + 2) + 1);
    });
    said.textContent = sentences[i];
    canvas.setAttribute("aria-label", `Three rows of ${shown} pictures at β = ${betas[i]}: ${ROWS.join("; ")}`);
  };
  const controls = sliders({ β: { low: 0, high: betas.length - 1, step: 1, value: 0, say: (i) => betas[i] } }, draw);
  controls.rows.style.flex = "1 1 100%";
  const rows = make("p", {}, `Rows, from above: ${ROWS.join(" · ")}.`);
  el.replaceChildren(frame("Models trained with different β", controls.rows, canvas, make("div", {}, rows, said)));
  draw(controls.values());
  el.figure = figure; // for tests
}

export default { render };
