// Sliders with names and values, as the figures of the pages have them.
import { make, STYLE } from "./drawing.js";

/** A figure's frame. */
export function frame(name, ...parts) {
  return make("div", { class: "vae-figure", role: "group", "aria-label": name }, make("style", {}, STYLE), ...parts);
}

/**
 * Sliders for numbers. `wanted` maps a name to { low, high, step, value, say }; `say` writes the value. `onmove` gets all
 * values by name, and the name of the slider that was moved. What comes back has the sliders by name, `rows` to show, and `set` for new values.
 */
export function sliders(wanted, onmove) {
  const parts = Object.entries(wanted).map(([name, { low, high, step, value, say = (v) => v.toFixed(1).replace("-", "\u2212") }]) => {
    const slider = make("input", { type: "range", min: low, max: high, step, value, "aria-label": name, oninput: () => moved(name) });
    const output = make("output");
    const tell = () => {
      output.textContent = say(Number(slider.value));
      slider.setAttribute("aria-valuetext", output.textContent);
    };
    return { name, slider, tell, row: make("label", {}, name, slider, output) };
  });
  const values = () => Object.fromEntries(parts.map(({ name, slider }) => [name, Number(slider.value)]));
  const moved = (name) => {
    parts.forEach(({ tell }) => tell());
    onmove(values(), name);
  };
  parts.forEach(({ tell }) => tell());
  return {
    rows: make("div", { class: "sliders" }, ...parts.map(({ row }) => row)),
    values,
    /** Put the sliders at new values, by name, and draw. */
    set(found) {
      for (const { name, slider } of parts) if (name in found) slider.value = found[name];
      moved();
    },
  };
}
