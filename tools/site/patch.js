// Draws from one image's patch q(z|x), made wider by a slider: the patch of lesson 01, in the page.
import { fromHalf, run } from "./network.js";
import { show, SIDE, square } from "./drawing.js";
import { frame, sliders } from "./controls.js";
import { Plot } from "./plot.js";

const COLUMNS = 6;

function render({ model, el }) {
  const { decoder, mu, sigma, eps, codes, labels, colours, limits } = model.get("spec");
  const weights = fromHalf(model.get("blob"));
  const plane = new Plot({ x: limits[0], y: limits[1], xName: "z[0]", yName: "z[1]", xTicks: [-2, 0, 2], yTicks: [-2, 0, 2], width: 340, height: 320 });
  codes.forEach(([x, y], i) => plane.text(labels[i], x, y, colours[labels[i]], { "font-size": 9, "text-anchor": "middle" }));
  const behind = plane.marks.cloneNode(true); // the codes stay
  plane.marks.before(behind);
  const canvas = square(SIDE, { class: "picture", role: "img", style: "width: 380px" });
  [canvas.width, canvas.height] = [COLUMNS * (SIDE + 2), Math.ceil(eps.length / COLUMNS) * (SIDE + 2)];
  const [small, figure] = [square(SIDE), {}];
  const draw = ({ width }) => {
    const z = eps.map((e) => e.map((part, d) => mu[d] + width * sigma[d] * part));
    figure.pictures = z.map((code) => run(decoder, weights, code));
    plane.clear();
    plane.ellipse(...mu, 2 * width * sigma[0], 2 * width * sigma[1]);
    z.forEach((code) => plane.dot(...code, "#111", 3));
    figure.pictures.forEach((image, k) => {
      show(small, image);
      canvas.getContext("2d").drawImage(small, (k % COLUMNS) * (SIDE + 2) + 1, Math.floor(k / COLUMNS) * (SIDE + 2) + 1);
    });
    plane.svg.setAttribute("aria-label", `Codes of ${codes.length} test images in the plane; the ellipse of one of them, ${width.toFixed(1)} times as wide as the encoder has it, with ${z.length} draws`);
    canvas.setAttribute("aria-label", `${z.length} draws at width ${width.toFixed(1)}, decoded`);
  };
  const controls = sliders({ width: { low: 0.1, high: 15, step: 0.1, value: 1 } }, draw);
  controls.rows.style.flex = "1 1 100%";
  el.replaceChildren(frame("A patch and its draws", controls.rows, plane.svg, canvas));
  draw(controls.values());
  el.figure = figure; // for tests
}

export default { render };
