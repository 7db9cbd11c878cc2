// A guess and how sure the reader is, before the answer: `predict`, in the page. Guesses are kept in this browser alone.
import { make } from "./drawing.js";
import { frame } from "./controls.js";

const PLACE = "vae-course-predictions";
let without = {}; // where the browser keeps nothing, until the page is left

/** All guesses so far, by question: { answer, confidence, right }. */
export function guesses() {
  try {
    return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
  } catch {
    return without;
  }
}

/** Keep all guesses, and tell the page's figures. */
export function keep(all) {
  without = all;
  try {
    localStorage.setItem(PLACE, JSON.stringify(all));
  } catch {
    // private windows and files from a folder may have no storage
  }
  dispatchEvent(new Event("vae-guesses"));
}

function render({ model, el }) {
  const { question, choices, range, unit, answer, within } = model.get("spec");
  const said = make("p", { "aria-live": "polite" });
  const name = `guess-${question}`;
  const guess = choices
    ? choices.map((choice) => make("label", { class: "row" }, make("input", { type: "radio", name, value: choice }), choice))
    : [number(unit || "your guess", range[0], range[1], (range[1] - range[0]) / 100, range[0])];
  const sure = number("How sure, in %", choices ? 5 * Math.round(20 / choices.length) : 10, 100, 5, 70);
  const button = make("button", { type: "button", onclick: () => commit() }, "Commit");
  const fields = make("fieldset", { style: "border: 0; margin: 0; padding: 0; display: grid; gap: 6px; width: 100%; min-width: 0" });
  fields.append(make("legend", { class: "name", style: "padding: 0" }, question), ...guess, sure, make("div", {}, button), said);
  el.replaceChildren(frame("Prediction", fields));

  let moved = false; // a slider that nobody moved is no guess
  if (!choices) guess[0].addEventListener("input", () => (moved = true));
  const chosen = () => (choices ? (fields.querySelector("input:checked")?.value ?? null) : moved ? Number(guess[0].querySelector("input").value) : null);
  const commit = () => {
    if (guesses()[question]) return;
    if (chosen() === null) return void (said.textContent = choices ? "Choose one first." : "Move the slider to your guess first.");
    keep({ ...guesses(), [question]: { answer: chosen(), confidence: Number(sure.querySelector("input").value) / 100, right: judged(chosen()) } });
  };
  const judged = (given) => (answer === null ? null : choices ? given === answer : Math.abs(given - answer) <= within);
  const show = () => {
    const kept = guesses()[question];
    for (const input of fields.querySelectorAll("input")) input.disabled = Boolean(kept);
    button.textContent = kept ? "Committed" : "Commit"; // it stays, or the keyboard would lose its place
    if (!kept) return void (said.textContent = "");
    for (const input of fields.querySelectorAll("input[type=radio]")) input.checked = input.value === kept.answer;
    if (!choices) set(guess[0], kept.answer);
    set(sure, Math.round(100 * kept.confidence));
    const right = judged(kept.answer);
    const truth = choices ? answer : `${answer?.toLocaleString("en", { maximumSignificantDigits: 3 })} ${unit}`.trim();
    said.textContent = right === null ? "Noted. The lesson answers below." : `${right ? "✓ You were right" : "✗ Not this time"}: ${truth}.`;
  };
  const onGuesses = () => show();
  addEventListener("vae-guesses", onGuesses);
  show();
  return () => removeEventListener("vae-guesses", onGuesses);
}

/** A slider with its name and value. */
function number(name, low, high, step, value) {
  const output = make("output", {}, String(value));
  const slider = make("input", { type: "range", min: low, max: high, step, value, "aria-label": name, oninput: () => (output.textContent = slider.value) });
  return make("label", { class: "row" }, name, make("span", { style: "flex: 0 1 220px; min-width: 0" }, slider), output);
}

function set(row, value) {
  row.querySelector("input").value = value;
  row.querySelector("output").textContent = value;
}

export default { render };
