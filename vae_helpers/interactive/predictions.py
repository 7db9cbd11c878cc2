"""Predictions: the learner commits to a guess, and says how sure, before the answer is shown.

    guess = predict("Which one varies more?", ["the first", "the second"])
    guess                          # shown: choices, a slider for the confidence, a button
    guess.reveal("the second")     # in the cell that finds the answer; shown once the learner has committed

What was committed is kept in the progress file, so that a new kernel finds it again.
"""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Sequence

import ipywidgets as widgets

from vae_helpers.progress import load_progress, record_prediction

_LOCK = threading.RLock()  # a button may be pressed in another thread than a cell runs in
_MADE: dict[str, Prediction] = {}  # the predictions of this notebook, by question
_SUMMARIES: list[_Summary] = []


def predict(
    question: str,
    choices: Sequence[str] | None = None,
    *,
    range: tuple[float, float] | None = None,  # noqa: A002 - reads as a sentence
    unit: str = "",
) -> Prediction:
    """Ask for a guess: one of `choices`, or a number in `range` (low, high) with its unit. Display what comes back.

    Raises:
        TypeError: the question or a choice is no string.
        ValueError: neither or both of choices and range; fewer than two choices, or two alike; a range that is not
            low < high.
    """
    return Prediction(question, choices, range, unit)


class Prediction(widgets.VBox):
    """One question, with the learner's guess and confidence. Made by `predict`.

    `answer` and `confidence` (a share between 0 and 1) are None until the learner commits; `right` is None until
    the answer was revealed as well.
    """

    def __init__(
        self,
        question: str,
        choices: Sequence[str] | None,
        limits: tuple[float, float] | None,
        unit: str,
    ) -> None:
        _check(question, choices, limits)
        self.question, self._choices, self._limits, self._unit = question, choices, limits, unit
        self.answer: str | float | None = None
        self.confidence: float | None = None
        self.right: bool | None = None
        self._truth: tuple[str | float, float] | None = None
        self.guess = self._guess_widget()
        lowest = 5 * round(20 / len(choices)) if choices else 10  # in %, as sure as by chance
        self.sure = widgets.IntSlider(
            value=70,
            min=lowest,
            max=100,
            step=5,
            description="How sure, in %",
            style={"description_width": "120px"},
            layout=widgets.Layout(width="380px"),
        )
        self.button = widgets.Button(
            description="Commit", tooltip="keep this guess; it cannot be changed afterwards"
        )
        self.button.on_click(lambda _: self.commit())
        self.said = widgets.HTML()
        title = widgets.HTML(f"<b>{html.escape(question)}</b>")
        super().__init__([title, self.guess, self.sure, self.button, self.said])
        with _LOCK:
            _MADE[question] = self
        self._restore()

    def _guess_widget(self) -> widgets.Widget:
        if self._choices is not None:
            layout = widgets.Layout(width="auto")
            return widgets.RadioButtons(options=list(self._choices), value=None, layout=layout)
        assert self._limits is not None
        low, high = self._limits
        return widgets.FloatSlider(
            value=low,  # an end, so that a guess left as it is does not pass for one
            min=low,
            max=high,
            step=(high - low) / 100,
            description=self._unit or "your guess",
            style={"description_width": "120px"},
            layout=widgets.Layout(width="380px"),
        )

    def __repr__(self) -> str:
        what = (
            " · ".join(self._choices)
            if self._choices
            else f"a number{f' in {self._unit}' if self._unit else ''}"
        )
        return f"Prediction: {self.question} ({what}). Run the cell to commit to a guess."

    def commit(self) -> None:
        """Keep the present guess and confidence, for good."""
        with _LOCK:
            if self.answer is not None:
                return
            if self.guess.value is None:
                self.said.value = "Choose one first."
                return
            self.answer, self.confidence = self.guess.value, self.sure.value / 100
            self._close()
            self._judge()
            self._keep()

    def reveal(self, answer: str | float, *, within: float | None = None) -> None:
        """Say what came out. The learner sees it once they have committed.

        `answer` is one of the choices, or a number; a guessed number is right if it is at most `within` away (by
        default a tenth of the range).

        Raises:
            ValueError: the answer is none of the choices, or not a finite number.
        """
        if self._choices is not None:
            if answer not in self._choices:
                raise ValueError(
                    f"The answer {answer!r} is none of the choices: {', '.join(self._choices)}."
                )
            truth = (answer, 0.0)
        else:
            assert self._limits is not None
            number = float(answer)
            if not math.isfinite(number):
                raise ValueError(f"The answer must be a finite number, not {answer!r}.")
            truth = (
                number,
                within if within is not None else (self._limits[1] - self._limits[0]) / 10,
            )
        with _LOCK:
            self._truth = truth
            if self.answer is not None:
                self._judge()
                self._keep()
            else:
                self.said.value = (
                    "The answer is known by now. Commit to a guess, and it appears here."
                )

    def _restore(self) -> None:
        """Take up what was committed before the kernel was started anew."""
        entry = load_progress()["predictions"].get(self.question)
        if not isinstance(entry, dict):
            return
        answer, confidence = entry.get("answer"), entry.get("confidence")
        if not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
            return
        if self._choices is not None and answer not in self._choices:
            return  # the question has other choices by now: ask again
        if self._choices is None and not isinstance(answer, int | float):
            return
        with _LOCK:
            self.answer, self.confidence = answer, float(confidence)
            self.right = entry.get("right") if isinstance(entry.get("right"), bool) else None
            self.guess.value, self.sure.value = answer, round(100 * confidence)
            self._close()
            self._judge()

    def _close(self) -> None:
        self.guess.disabled = self.sure.disabled = (
            True  # not the button: the keyboard's focus would be lost
        )
        self.button.description = "Committed"

    def _judge(self) -> None:
        if self._truth is None:
            self.said.value = "Noted. The answer appears here when the cell that finds it has run."
        else:
            truth, within = self._truth
            if isinstance(truth, str) or isinstance(self.answer, str):
                self.right = self.answer == truth
            else:
                assert self.answer is not None
                self.right = abs(self.answer - truth) <= within
            shown = truth if isinstance(truth, str) else f"{truth:.3g} {self._unit}".strip()
            verdict = "✓ You were right" if self.right else "✗ Not this time"
            self.said.value = f"{verdict}: {html.escape(shown)}."
        _refresh()

    def _keep(self) -> None:
        record_prediction(
            self.question,
            {"answer": self.answer, "confidence": self.confidence, "right": self.right},
        )
        _refresh()


def _check(
    question: str, choices: Sequence[str] | None, limits: tuple[float, float] | None
) -> None:
    if not isinstance(question, str):
        raise TypeError(f"The question must be a string, not {question!r}.")
    if (choices is None) == (limits is None):
        raise ValueError("Give either choices, a list of answers, or range, as in range=(0, 100).")
    if choices is not None:
        if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
            raise TypeError(f"choices must be a list of strings, not {choices!r}.")
        if len(choices) < 2 or len(set(choices)) < len(choices):
            raise ValueError(
                f"There must be at least two choices, no two alike; these are {list(choices)}."
            )
    if limits is not None and not (
        len(limits) == 2 and all(map(math.isfinite, limits)) and limits[0] < limits[1]
    ):
        raise ValueError(f"range must be (low, high) with low < high, not {limits!r}.")


class _Summary(widgets.HTML):
    """The line that counts; it brings itself up to date."""

    def __repr__(self) -> str:
        return _summary()


def prediction_summary() -> widgets.HTML:
    """How many guesses were right in this notebook, and whether that fits how sure the learner was."""
    summary = _Summary()
    with _LOCK:
        _SUMMARIES.append(summary)
        _refresh()
    return summary


def _refresh() -> None:
    for summary in _SUMMARIES:
        summary.value = f"<div style='max-width: 60em'>{html.escape(_summary())}</div>"


def _summary() -> str:
    made = list(_MADE.values())
    judged = [p for p in made if p.right is not None]
    open_ = sum(p.answer is None for p in made)
    if not judged:
        return f"Your predictions: none of {len(made)} committed yet. Commit above, and this line counts them."
    sure = sum(p.confidence or 0.0 for p in judged) / len(judged)
    share = sum(bool(p.right) for p in judged) / len(judged)
    brier = sum(((p.confidence or 0.0) - bool(p.right)) ** 2 for p in judged) / len(judged)
    text = (
        f"Your predictions: {sum(bool(p.right) for p in judged)} of {len(judged)} right"
        f"{f', {open_} not committed' if open_ else ''}. "
        f"You were {sure:.0%} sure on average, and right in {share:.0%}. "
        f"The mean squared gap between confidence and outcome (Brier score, best 0) is {brier:.2f}; always "
        "saying 50% would give 0.25. "
    )
    noise = 2 * math.sqrt(
        max(sure * (1 - sure), 0.01) / len(judged)
    )  # two standard errors, had you been as sure as right
    if abs(sure - share) <= noise:
        return text + "The difference is within chance, for so few guesses."
    return text + (
        "You were surer than right."
        if sure > share
        else "You were right more often than you thought."
    )
