// How many guesses of this page were right, and whether that fits how sure the reader was: `prediction_summary`.
import { make } from "./drawing.js";
import { frame } from "./controls.js";
import { guesses, keep } from "./prediction.js";

const percent = (share) => `${Math.round(100 * share)}%`;

/** The sentence for the questions of a page; the same as the package's. */
export function summary(questions, all) {
  const made = questions.map((question) => all[question]).filter(Boolean);
  const judged = made.filter(({ right }) => right !== null);
  const open = questions.length - made.length;
  if (!judged.length) return `Your predictions: none of ${questions.length} committed yet. Commit above, and this line counts them.`;
  const mean = (of) => judged.reduce((sum, entry) => sum + of(entry), 0) / judged.length;
  const [sure, share] = [mean(({ confidence }) => confidence), mean(({ right }) => Number(right))];
  const brier = mean(({ confidence, right }) => (confidence - Number(right)) ** 2);
  const text =
    `Your predictions: ${judged.filter(({ right }) => right).length} of ${judged.length} right${open ? `, ${open} not committed` : ""}. ` +
    `You were ${percent(sure)} sure on average, and right in ${percent(share)}. The mean squared gap between confidence and ` +
    `outcome (Brier score, best 0) is ${brier.toFixed(2)}; always saying 50% would give 0.25. `;
  const noise = 2 * Math.sqrt(Math.max(sure * (1 - sure), 0.01) / judged.length); // two standard errors, had you been as sure as right
  if (Math.abs(sure - share) <= noise) return `${text}The difference is within chance, for so few guesses.`;
  return text + (sure > share ? "You were surer than right." : "You were right more often than you thought.");
}

function render({ model, el }) {
  const { questions } = model.get("spec");
  const text = make("p", { "aria-live": "polite", style: "max-width: 60em" });
  const forget = () => keep(Object.fromEntries(Object.entries(guesses()).filter(([question]) => !questions.includes(question))));
  const button = make("button", { type: "button", onclick: forget }, "Forget these guesses");
  el.replaceChildren(frame("Your predictions", text, button));
  const show = () => (text.textContent = summary(questions, guesses()));
  addEventListener("vae-guesses", show);
  show();
  return () => removeEventListener("vae-guesses", show);
}

export default { render };
