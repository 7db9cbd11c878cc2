"""Predictions and the progress file: committed once, kept through a crash and a new kernel, never lost."""

import json
import threading
from pathlib import Path

import pytest

from vae_helpers import predict, prediction_summary, progress
from vae_helpers.interactive import predictions

FILE = ".vae_progress.json"


@pytest.fixture(autouse=True)
def a_new_kernel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    forget()


def forget():
    predictions._MADE.clear()
    predictions._SUMMARIES.clear()


def ask():
    return predict("Which is larger?", ["the first", "the second"])


def kept(tmp_path):
    return json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["predictions"]


def test_nothing_is_chosen_for_the_learner_and_nothing_kept_before_the_commit(tmp_path):
    guess = ask()
    assert guess.guess.value is None
    guess.button.click()
    assert guess.said.value == "Choose one first."
    guess.reveal("the second")
    assert guess.answer is None
    assert guess.right is None
    assert "second" not in guess.said.value  # the answer is not shown before
    assert "Commit to a guess" in guess.said.value
    assert not (tmp_path / FILE).exists()


def test_how_sure_goes_in_steps_from_chance_to_certainty():
    sure = ask().sure
    assert (sure.min, sure.max, sure.step, sure.value) == (50, 100, 5, 70)


def test_commit_then_reveal(tmp_path):
    guess = ask()
    guess.guess.value, guess.sure.value = "the second", 80
    guess.button.click()
    assert "Noted" in guess.said.value
    assert guess.guess.disabled
    guess.reveal("the second")
    assert guess.right is True
    assert "You were right" in guess.said.value
    assert kept(tmp_path) == {
        "Which is larger?": {"answer": "the second", "confidence": 0.8, "right": True}
    }


def test_reveal_then_commit_as_run_all_does():
    guess = ask()
    guess.reveal("the second")
    guess.guess.value = "the first"
    guess.button.click()
    assert guess.right is False
    assert "Not this time: the second." in guess.said.value


def test_a_commit_is_for_good():
    guess = ask()
    guess.guess.value = "the first"
    guess.button.click()
    guess.guess.value = "the second"
    guess.button.click()
    assert guess.answer == "the first"


def test_a_number_is_right_within_its_tolerance():
    for value, right in ((40.0, True), (60.0, False)):
        guess = predict(f"How many, {value}?", range=(0, 100), unit="nats")
        guess.guess.value = value
        guess.button.click()
        guess.reveal(45.3)
        assert guess.right is right
        assert "45.3 nats" in guess.said.value
        assert "(a number in nats)" in repr(guess)
        guess.reveal(45.3, within=30)
        assert guess.right is True
    assert "(a number)" in repr(predict("How many without a unit?", range=(0, 100)))


def test_a_new_kernel_finds_what_was_committed():
    guess = ask()
    guess.guess.value, guess.sure.value = "the second", 90
    guess.button.click()
    forget()
    again = ask()
    assert (again.answer, again.confidence, again.guess.disabled) == ("the second", 0.9, True)
    again.reveal("the first")
    assert again.right is False


def test_a_question_whose_choices_changed_is_asked_again():
    guess = ask()
    guess.guess.value = "the second"
    guess.button.click()
    forget()
    assert predict("Which is larger?", ["A", "B"]).answer is None


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", '{"predictions": 3}', "\x00\xff"])
def test_a_damaged_file_is_set_aside_and_not_overwritten(tmp_path, damage):
    (tmp_path / FILE).write_text(damage, encoding="latin-1")
    with pytest.warns(UserWarning, match="set aside as"):
        guess = ask()
    guess.guess.value = "the first"
    guess.button.click()
    aside = list(tmp_path.glob(".vae_progress.damaged-*.json"))
    assert [path.read_text(encoding="latin-1") for path in aside] == [damage]
    assert list(kept(tmp_path)) == ["Which is larger?"]


@pytest.mark.parametrize(
    "entry",
    [3, {}, {"answer": "the first", "confidence": "much"}, {"answer": 5, "confidence": 0.5}],
)
def test_an_entry_that_makes_no_sense_is_passed_over(tmp_path, entry):
    (tmp_path / FILE).write_text(
        json.dumps({"predictions": {"Which is larger?": entry}}), encoding="utf-8"
    )
    assert ask().answer is None


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    progress.record_prediction("a", {"answer": 1})
    before = (tmp_path / FILE).read_bytes()

    def crash(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.warns(UserWarning, match="could not be kept"):
        progress.record_prediction("b", {"answer": 2})
    assert (tmp_path / FILE).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {FILE, f"{FILE}.lock"}


def test_many_threads_lose_nothing(tmp_path):
    threads = [
        threading.Thread(target=progress.record_prediction, args=(str(n), {"answer": n}))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(tmp_path)) == 20


def commit(question, choice, sure, truth):
    guess = predict(question, ["a", "b"])
    guess.guess.value, guess.sure.value = choice, sure
    guess.button.click()
    guess.reveal(truth)


def test_the_summary_counts_and_judges_the_confidence():
    summary = prediction_summary()
    assert "none of 0 committed" in summary.value
    predict("left open", ["a", "b"])
    for number in range(4):
        commit(f"wrong {number}", "a", 100, "b")
    assert "0 of 4 right, 1 not committed" in summary.value
    assert "100% sure on average, and right in 0%" in summary.value
    assert "(Brier score, best 0) is 1.00" in summary.value
    assert "surer than right" in summary.value
    for number in range(12):
        commit(f"right {number}", "a", 75, "a")
    assert "12 of 16 right" in summary.value
    assert "is 0.30" in summary.value  # (4 · 1² + 12 · ¼²) / 16
    assert "within chance" in summary.value
    forget()
    summary = prediction_summary()
    for number in range(9):
        commit(f"modest {number}", "a", 50, "a")
    assert "more often than you thought" in summary.value


def test_what_is_asked_is_shown_as_text_too_and_as_text_only():
    assert repr(ask()).startswith("Prediction: Which is larger? (the first · the second)")
    assert "<i>" not in predict("<i>?", ["a", "b"]).children[0].value


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"question": 3, "choices": ["a", "b"]}, TypeError, "must be a string"),
        ({"question": "?"}, ValueError, "either choices"),
        ({"question": "?", "choices": ["a", "b"], "range": (0, 1)}, ValueError, "either choices"),
        ({"question": "?", "choices": ["a"]}, ValueError, "at least two choices"),
        ({"question": "?", "choices": ["a", "a"]}, ValueError, "no two alike"),
        ({"question": "?", "choices": "ab"}, TypeError, "list of strings"),
        ({"question": "?", "choices": [1, 2]}, TypeError, "list of strings"),
        ({"question": "?", "range": (1, 0)}, ValueError, "low < high"),
        ({"question": "?", "range": (0, float("nan"))}, ValueError, "low < high"),
    ],
)
def test_bad_questions_are_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        predict(**arguments)


def test_an_answer_that_was_no_choice_is_refused():
    with pytest.raises(ValueError, match="none of the choices"):
        ask().reveal("both")
    with pytest.raises(ValueError, match="finite"):
        predict("?", range=(0, 1)).reveal(float("inf"))
