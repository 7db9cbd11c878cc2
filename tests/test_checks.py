"""The checks: each wrong answer of the zoo is named, each right one accepted, nothing of the learner's is changed."""

import dataclasses
import inspect
import json
import linecache
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vae_helpers import answers, check, checks
from vae_helpers.checks import (
    EXERCISES,
    HINTS,
    NAMES,
    ZOO,
    code_in_html,
    find,
    holder_of,
    judge,
    probe,
)
from vae_helpers.checks.verdicts import meaning
from vae_helpers.grading.wire import pack, unpack

sys.path.insert(0, str(Path(__file__).parent / "bug_zoo"))
from right import RIGHT  # isort: skip
from wrong import NAMELESS, WRONG, EncodeMuOnly, EncodeOneInATuple, EncodeThree  # isort: skip

# Each with a seed of its own; benchmarks/checks.py tries forty.
DTYPES = [(torch.float32, 0), (torch.float64, 1)]
OURS = {
    "encode": answers.VAE,
    "decode": answers.VAE,
    "vae": answers.VAE,
    "reparameterize": answers.VAE,
    "kl_divergence": answers.kl_divergence,
    "reconstruction_loss": answers.reconstruction_loss,
    "loss_function": answers.loss_function,
    "training_step": answers.training_step,
    "prior_grid": answers.prior_grid,
    "principal_plane": answers.principal_plane,
    "walk": answers.walk,
    "importance_weighted": answers.importance_weighted,
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Checks keep their progress in the present folder."""
    monkeypatch.chdir(tmp_path)


def titles(cases):
    return [f"{case[0]}-{case[2].__name__}" for case in cases]


# --- the zoo ----------------------------------------------------------------------------------------


SEEN = {}  # what the zoo's answers were told


@pytest.mark.parametrize(("dtype", "seed"), DTYPES, ids=str)
@pytest.mark.parametrize(("name", "bug", "answer"), WRONG, ids=titles(WRONG))
def test_a_wrong_answer_is_rejected_under_its_name(name, bug, answer, dtype, seed):
    record = probe(name, answer, seed=seed, dtype=dtype)
    verdict = judge(name, record, seed=seed, dtype=dtype)
    assert (verdict.passed, verdict.attempted, verdict.diagnosis) == (False, True, bug), verdict
    assert ZOO[bug].change in verdict.message
    if dtype == torch.float32:
        assert judge(name, unpack(pack(record)), seed=seed) == verdict  # as it is graded
        SEEN[name, answer] = checks.Result(False, True, bug, verdict.message, getattr(check, name))


@pytest.mark.parametrize(("name", "said", "answer"), NAMELESS, ids=titles(NAMELESS))
def test_where_several_causes_fit_what_was_seen_is_said_without_a_name(name, said, answer):
    for seed in (0, 1):
        verdict = judge(name, probe(name, answer, seed=seed), seed=seed)
        assert (verdict.status, verdict.diagnosis) == ("wrong", None), verdict
        assert said in verdict.message


@pytest.mark.parametrize(("dtype", "seed"), DTYPES, ids=str)
@pytest.mark.parametrize(("name", "note", "answer"), RIGHT, ids=titles(RIGHT))
def test_a_right_answer_is_accepted(name, note, answer, dtype, seed):
    record = probe(name, answer, seed=seed, dtype=dtype)
    verdict = judge(name, record, seed=seed, dtype=dtype)
    assert verdict.passed, verdict
    assert note in verdict.message if note else verdict.message == "Right."


def test_the_zoo_is_large_and_every_name_in_it_is_met():
    assert len({(name, bug) for name, bug, _ in WRONG}) >= 40
    assert len(RIGHT) >= 30
    assert set(ZOO) == {bug for _, bug, _ in WRONG}
    assert {name for name, _, _ in WRONG} == {name for name, _, _ in RIGHT} == set(NAMES)


class OddGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx, value, factor):
        ctx.factor = factor
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.factor * gradient, None


def z_with_odd_gradient(factor):
    return lambda mu, logvar: (
        mu + torch.exp(0.5 * OddGradient.apply(logvar, factor)) * torch.randn_like(mu)
    )


def bernoulli_with_epsilon(recon_x, x):
    ones, zeros = x * torch.log(recon_x + 1e-2), (1 - x) * torch.log(1 - recon_x + 1e-2)
    return -(ones + zeros).sum()


def walk_that_lingers(points, steps):
    path = answers.walk(points, steps)
    path[1:-1] += 0.1
    return path


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        (
            "kl_divergence",
            lambda mu, logvar: (0.5 * (mu**4 + logvar.exp() - 1 - logvar)).sum(dim=1),
            "none of the mistakes that the course knows",
        ),
        (
            "reconstruction_loss",
            lambda recon_x, x: ((recon_x - x) ** 4).sum(),
            "neither the cross-entropy nor",
        ),
        ("reconstruction_loss", bernoulli_with_epsilon, "neither the cross-entropy nor"),
        (
            "loss_function",
            lambda recon_x, x, mu, logvar: ((recon_x - x) ** 4).sum() + (mu**4).sum(),
            "The loss must be their sum",
        ),
        (
            "reparameterize",
            lambda mu, logvar: (
                mu
                + torch.exp(0.5 * logvar)
                * torch.randn_like(mu)
                * (1 + torch.arange(mu.shape[1]) / 9)
            ),
            "none of the mistakes that the course knows",
        ),
        ("reparameterize", z_with_odd_gradient(1.3), "gradient with respect to logvar is off by"),
        ("reparameterize", z_with_odd_gradient(torch.nan), "respect to logvar is off by nan"),
        (
            "prior_grid",
            lambda side: torch.cartesian_prod(
                *[torch.special.ndtri((torch.arange(side) + 0.3) / side)] * 2
            ),
            "must be the normal quantiles",
        ),
        ("walk", walk_that_lingers, "Both ends are right, and some steps between are not"),
        (
            "importance_weighted",
            lambda log_w: log_w.median(dim=0).values,
            "none of the mistakes that the course knows",
        ),
    ],
)
def test_a_mistake_without_a_name_is_wrong_too(name, answer, said):
    verdict = getattr(check, name)(answer)
    assert (verdict.passed, verdict.attempted, verdict.diagnosis) == (False, True, None), verdict
    assert said in verdict.message


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (EncodeMuOnly, "encode(x) gave back one tensor."),
        (EncodeThree, "encode(x) gave back 3 values."),
        (EncodeOneInATuple, "encode(x) gave back a tuple of one value."),
    ],
)
def test_the_verdict_on_an_encoder_says_how_many_came_back(model, said):
    assert said in check.encode(model).message


def test_a_shape_that_is_right_for_the_first_batch_only_is_seen():
    def of_five(mu, logvar):
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)
        return kl if len(kl) == 5 else kl[None]

    assert check.kl_divergence(of_five).diagnosis == "wrong-shape"


def test_the_verdict_on_a_loss_shows_the_first_that_came_back():
    given = []

    def odd(recon_x, x, mu, logvar):
        loss = ((recon_x - x) ** 4).sum() + (mu**4).sum()
        given.append(loss.item())
        return loss

    said = check.loss_function(odd).message
    assert f"For one batch of 4 images you give {given[0]:.5g};" in said


def returns(value):
    """A function, and a class of models, that give back this value whatever they are given."""

    def function(*arguments):
        return value(*arguments) if value in MADE_OF_INPUTS else value

    class Model(answers.VAE):
        def encode(self, x):
            return function(x)

        decode = forward = encode

        def reparameterize(self, mu, logvar):
            return function(mu, logvar)

    return function, Model


MADE_OF_INPUTS = [
    lambda *given: given,
    lambda *given: given[0] if torch.is_tensor(given[0]) else 1.0,
    lambda *given: (given[0], given[0]),
]
ODD = [
    *MADE_OF_INPUTS,
    None, True, 3, -(10**400), 2.5, float("nan"), 1j, "image", b"image", (), [], {}, set(), object(), int, len,
    [1.0, 2.0], (1.0, 2.0), ("mu", "logvar"), (None, None), {"mu": 1.0, "logvar": 2.0}, ((1, 2), (3, 4)), [[[]]],
    np.zeros(3), np.array("text"), np.array(None), np.float32(1), np.array(1.0), (np.zeros(3), np.zeros(3)),
    torch.tensor(1.0), torch.tensor(3), torch.tensor(True), torch.tensor(1j), torch.zeros(0), torch.zeros(2, 0),
    torch.zeros(7, 784), torch.zeros(7, 784, dtype=torch.int64), torch.eye(3).to_sparse(),
    torch.zeros(3, device="meta"),
    (torch.zeros(7, 3), torch.zeros(7, 3)), (torch.tensor(1.0), torch.tensor(2.0)), [torch.zeros(7)],
    (torch.zeros(7, 20, dtype=torch.int64), torch.ones(7, 20, dtype=torch.bool)),
    torch.distributions.Normal(0.0, 1.0), torch.distributions.Bernoulli(torch.zeros(7, 784)),
    nn.Linear(2, 2), nn.Parameter(torch.zeros(3)), torch.nn, (i for i in range(3)), NotImplemented, Ellipsis,
    torch.Size([1]), torch.float32, slice(None), Path("file"), type("Odd", (), {"__len__": lambda self: -1})(),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_back_the_check_itself_does_not_fail(name):
    for number, value in enumerate(ODD):
        function, model = returns(value)
        for answer in (model,) if find(name).of_model else (function,):
            result = getattr(check, name)(answer)
            assert result.status in ("right", "wrong"), (number, result)
        if callable(value) or name in ("kl_divergence", "vae"):
            assert getattr(check, name)(value).status != "not checked", (number, value)


@pytest.mark.parametrize("part", ["encode", "decode", "reparameterize"])
def test_whatever_a_method_is_the_check_of_the_class_does_not_fail(part):
    for number, value in enumerate(ODD[::4]):
        model = type("Model", (answers.VAE,), {part: value})
        assert check.vae(model).status == "wrong", (number, value)


def test_a_fault_of_the_check_is_no_wrong_answer(monkeypatch, tmp_path):
    def broken(*arguments):
        raise ZeroDivisionError("oh")

    for place in ("probe", "judge"):
        with monkeypatch.context() as patch:
            own = dataclasses.replace(find("walk"), **{place: broken})
            patch.setitem(EXERCISES, "walk", own)
            result = check.walk(lambda points, steps: None)
        assert result.status == "not checked"
        assert "The check itself failed (ZeroDivisionError: oh)" in result.message
        assert "fault of the course" in repr(result)
    assert not (tmp_path / ".vae_progress.json").exists()


# --- the probe and the judge --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_record_holds_arrays_and_strings_only_and_survives_a_file(name, tmp_path):
    record = probe(name, OURS[name], seed=3)
    assert all(isinstance(value, np.ndarray | str) for value in record.values())
    np.savez(tmp_path / "record.npz", **record)
    with np.load(tmp_path / "record.npz", allow_pickle=False) as file:
        assert judge(name, dict(file), seed=3).passed


WITH_NUMBERS = (
    "reparameterize",
    "kl_divergence",
    "reconstruction_loss",
    "loss_function",
    "principal_plane",
    "walk",
    "importance_weighted",
)  # the right numbers follow from the inputs; the other checks compare an answer with itself


@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_the_judge_does_not_believe_a_record_made_with_other_inputs(name):
    assert not judge(name, probe(name, OURS[name], seed=1), seed=2).passed


def test_a_record_that_is_cut_short_gives_a_verdict_and_no_crash(monkeypatch):
    for name in NAMES:
        record = probe(name, OURS[name])
        for key in list(record):
            cut = {k: v for k, v in record.items() if k != key}
            monkeypatch.setattr(checks, "probe", lambda *_, cut=cut: cut)
            assert getattr(check, name)(OURS[name]).message
        assert not judge(name, {}).passed
        assert not judge(name, {}).attempted


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no check 'kl'"):
        probe("kl", answers.kl_divergence)
    with pytest.raises(ValueError, match="no check 'kl'"):
        judge("kl", {})
    with pytest.raises(AttributeError, match=r"Did you mean check\.kl_divergence"):
        check.kl_divergenc  # noqa: B018


def test_nothing_of_the_learners_is_changed():
    model = answers.VAE(5)
    model.norm = nn.BatchNorm1d(5)
    model.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    for name in ("encode", "decode", "reparameterize"):
        assert getattr(check, name)(model)
    for name in ("kl_divergence", "reconstruction_loss", "loss_function", "training_step"):
        assert getattr(check, name)(OURS[name])
    assert torch.equal(state, torch.get_rng_state())
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_right_answer_passes_whatever_the_seed_of_the_noise():
    """The thresholds stand 8 standard errors away, so the z-scores of many seeds stay far below."""
    worst = 0.0
    for seed in range(30):
        given = find("reparameterize").given(seed, torch.float32)
        z = probe("reparameterize", answers.VAE, seed=seed)["many"]
        mu, sigma = given["mu.row"].numpy(), np.exp(0.5 * given["logvar.row"].numpy())
        eps = (z - mu) / sigma
        scores = [eps.mean(0) * len(z) ** 0.5, (eps.std(0) - 1) * (2 * len(z)) ** 0.5]
        scores += [
            ((eps**4).mean() - 3) / (96 / eps.size) ** 0.5,
            (eps**3).mean() / (15 / eps.size) ** 0.5,
        ]
        worst = max(worst, *(float(np.abs(score).max()) for score in scores))
    assert worst < 5.5


# --- what is attempted ----------------------------------------------------------------------------------


class Empty(nn.Module):
    def encode(self, *arguments):
        raise NotImplementedError

    reparameterize = decode = forward = encode


class EmptyFromTheStart(Empty):
    def __init__(self):
        raise NotImplementedError


def test_a_stub_is_not_attempted_and_not_wrong():
    def stub(*arguments):
        raise NotImplementedError

    for name in NAMES:
        blanks = [Empty, EmptyFromTheStart] if name in ("encode", "decode", "vae") else [stub]
        for blank in blanks:
            result = getattr(check, name)(blank)
            assert (result.passed, result.attempted, result.diagnosis) == (False, False, None)
            assert "Not attempted" in result.message


def test_what_pytorch_has_not_implemented_is_an_error_and_no_blank(capsys):
    def of_whole_numbers(recon_x, x):
        return torch.nn.functional.binary_cross_entropy(recon_x.long(), x.long(), reduction="sum")

    class WithoutForward(nn.Module):
        encode, reparameterize, decode = (
            answers.VAE.encode,
            answers.VAE.reparameterize,
            answers.VAE.decode,
        )
        __init__ = nn.Module.__init__

    result = check.reconstruction_loss(of_whole_numbers)
    assert result.attempted
    assert "of_whole_numbers" in result.message
    with pytest.raises(NotImplementedError, match="forward"), check.if_written():
        WithoutForward()(torch.zeros(1))
    assert capsys.readouterr().out == ""


def test_a_learners_own_attribute_survives_the_check():
    class Plain(answers.VAE):
        def __init__(self):
            super().__init__()
            self.reparameterize = super().reparameterize

    model = Plain()
    assert check.vae(model)
    assert "reparameterize" in vars(model)


def test_a_class_half_written_says_what_is_missing():
    class Half(answers.VAE):
        def decode(self, z):
            raise NotImplementedError

        forward = decode

    result = check.vae(Half)
    assert result.attempted
    assert not result.passed
    assert result.message == "Not written yet: decode, forward."


def test_an_exception_is_shown_as_the_learners_with_its_line():
    def mine(mu, logvar):
        return mu + unknown_name  # noqa: F821

    message = check.kl_divergence(mine).message
    assert "in your code: NameError" in message
    assert "of the cell, in mine: return mu + unknown_name" in message
    assert "Python does not know this name" in message


def test_classic_exceptions_are_explained():
    def mixes_types(mu, logvar):
        return nn.Linear(3, 3, dtype=torch.float64)(mu)

    class WrongWidth(answers.VAE):
        def encode(self, x):
            return super().encode(x[:, :100])

    def in_place(mu, logvar):
        std = torch.exp(0.5 * logvar)
        z = mu + std * torch.randn_like(std)
        std.add_(1)
        return z

    def two_shapes(recon_x, x):
        return (recon_x - x[:, :9]).sum()

    for result, part in (
        (check.kl_divergence(mixes_types), "must have the same dtype"),
        (check.encode(WrongWidth), "mat1 and mat2 shapes"),
        (check.reparameterize(in_place), "modified by an inplace operation"),
        (check.reconstruction_loss(two_shapes), "must match the size of tensor"),
    ):
        assert part in result.message
        assert meaning(part) in result.message, result.message


class WithoutSuperInit(answers.VAE):
    def __init__(self):
        self.fc1 = nn.Linear(784, 400)


class ConvolutionOfFlatImages(answers.VAE):
    def encode(self, x):
        return super().encode(nn.functional.conv2d(x, torch.ones(1, 1, 3, 3)).flatten(1))


class TakesImagesInRows(answers.VAE):
    def encode(self, x):
        return super().encode(x.view(-1, 28))


class DecodesFourHundred(answers.VAE):
    def __init__(self):
        super().__init__()
        self.fc_dec = nn.Sequential(nn.Linear(400, 784), nn.Sigmoid())


def loss_class_of_tensors(recon_x, x):
    return nn.BCELoss(recon_x, x)


def chooses_by_a_tensor(mu, logvar):
    return mu if mu > 0 else logvar


def goes_to_a_card(mu, logvar):
    return mu.to("cuda")


def misspelt(mu, logvar):
    return mu.powr(2)


def step_with_labels(model, optimizer, x):
    x, _ = x


def step_of_a_number(model, optimizer, x):
    loss = answers.loss_function(model(x)[0], x.flatten(1), *model(x)[1:]).item()
    loss.backward()


@pytest.mark.parametrize(
    ("name", "answer", "said", "unsaid"),
    [
        ("encode", WithoutSuperInit, "must be `super().__init__()`", "typing mistake"),
        ("encode", ConvolutionOfFlatImages, "takes images as (B, 1, 28, 28)", "flattened"),
        ("encode", TakesImagesInRows, "must be flattened to (B, 784)", "Print the shape"),
        ("decode", DecodesFourHundred, "Print the shape just before", "flattened"),
        ("reconstruction_loss", loss_class_of_tensors, "in a second pair of brackets", "an `if`"),
        ("kl_divergence", chooses_by_a_tensor, "as in an `if`", "brackets"),
        ("kl_divergence", goes_to_a_card, "no graphics card", "typing mistake"),
        ("kl_divergence", misspelt, "A tensor has nothing of that name", "__init__"),
        ("training_step", step_with_labels, "handed the images alone", "number of names"),
        ("training_step", step_of_a_number, "Call `backward` on the tensor", "typing mistake"),
    ],
)  # fmt: skip
def test_each_classic_exception_gets_the_hint_that_fits(name, answer, said, unsaid):
    message = getattr(check, name)(answer).message
    assert said in message, message
    assert unsaid not in message, message


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("kl_divergence", torch.zeros(3), "hand over the function, not its result"),
        ("kl_divergence", None, "the function itself, without brackets, not None"),
        ("vae", 3, "takes a model or its class"),
        ("encode", answers.kl_divergence, "takes a model or its class"),
    ],
)
def test_what_cannot_be_an_answer_is_refused_with_a_sentence(name, answer, said):
    assert said in getattr(check, name)(answer).message


def test_a_model_without_the_method_is_told_so():
    assert "no method encode" in check.encode(nn.Linear(3, 3)).message


def by_hand(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1)


# --- an exercise is one file --------------------------------------------------------------------------------

TOY = """
import numpy as np
import torch

from ..exercise import Exercise
from ..verdicts import Mistake, close, need, wrong


def halve(x):
    return x / 2


def probe(calls, answer, given):
    calls.tracked("only", answer, given, "x")


def judge(record, given):
    if close(need(record, "only", "halve(x)"), given["x"] / 2):
        return ""
    raise wrong("toy-doubled", "Too much.")


EXERCISE = Exercise(
    "halve", "13", 1, halve, lambda g: {"x": torch.rand(3, generator=g)}, probe, judge,
    ("one", "two", "three"), {"toy-doubled": Mistake("It is twice as much.", "Divide.")},
)
"""
TOY_USED = """
import json, sys
from vae_helpers import check, grading
from vae_helpers.checks import HINTS, NAMES, OURS, ZOO, probe
from vae_helpers.grading import attempt, child
from vae_helpers.grading.notebook import Notebook, run_definitions
from vae_helpers.grading.pages import class_page, feedback_page
from vae_helpers.grading.wire import pack

def mine(x):
    return 2 * x

cell = "def halve(x):\\n    return 2 * x"
notebook = Notebook([cell])
space = {}
run_definitions(notebook.needed("halve"), space)
sent = pack(child._probed("halve", space, notebook, 3))
verdict = attempt.verdict_on("halve", sent, 3, False)
row = grading.Row("someone", checks={"halve": verdict})
result = check.halve(mine)
print(json.dumps({
    "wrong": result.diagnosis, "right": check.halve(lambda x: 0.5 * x).message, "hint": repr(check.halve.hint()),
    "solution": repr(check.halve.solution()), "listed": "check.halve" in repr(check), "lesson": grading.LESSONS["13"],
    "graded": [verdict.diagnosis, verdict.message],
    "pages": "toy-doubled" in class_page([row], ["halve"]) and "It is twice" in feedback_page(row),
    "known": "halve" in NAMES and "halve" in OURS and "toy-doubled" in ZOO and "halve" in HINTS,
}))
"""


def test_one_file_makes_an_exercise_that_every_door_takes(tmp_path):
    shutil.copytree(
        Path(answers.__file__).parent,
        tmp_path / "vae_helpers",
        ignore=shutil.ignore_patterns("__pycache__", "embedded", "weights"),
    )
    (tmp_path / "vae_helpers" / "checks" / "exercises" / "halve.py").write_text(TOY)
    done = subprocess.run(
        [sys.executable, "-c", TOY_USED],
        check=False, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "wrong": "toy-doubled",
        "right": "Right.",
        "hint": "Hint 1 of 3: one",
        "solution": "def halve(x):\n    return x / 2",
        "listed": True,
        "lesson": ["halve"],
        "graded": ["toy-doubled", "Too much. It is twice as much. Divide."],
        "pages": True,
        "known": True,
    }


# --- results, hints, solutions ----------------------------------------------------------------------------


def test_results_read_well_in_a_terminal_and_in_a_notebook():
    right, wrong = (
        check.kl_divergence(by_hand),
        check.kl_divergence(lambda m, v: None),
    )
    assert repr(right) == "✓ kl_divergence: Right."
    assert "course's own" in repr(check.kl_divergence(answers.kl_divergence))
    assert repr(wrong).startswith("✗ kl_divergence [nothing-returned]: ")
    assert max(map(len, repr(wrong).splitlines())) <= 100
    page = wrong._repr_html_()
    assert "nothing-returned" in page
    assert "<code>return</code>" in page
    assert "color:" not in page.replace(
        "border-left: 4px solid", ""
    )  # the page's own, light or dark
    assert right
    assert not wrong


def test_what_a_learner_wrote_cannot_break_the_page():
    def mine(mu, logvar):
        raise RuntimeError("<script>alert(1)</script>")

    assert "<script>" not in check.kl_divergence(mine)._repr_html_()


@pytest.mark.parametrize("name", NAMES)
def test_hints_grow_and_stop(name):
    fresh, (one, two, three) = getattr(type(check)(), name), HINTS[name]
    solution = f" (The last hint. `check.{name}.solution()` shows one right answer.)"
    assert [repr(fresh.hint()) for _ in range(4)] == [
        f"Hint 1 of 3: {one}",
        f"Hint 2 of 3: {two}",
        f"Hint 3 of 3: {three}{solution}",
        f"Hint 3 of 3: {three}{solution}",
    ]


def test_the_checks_are_listed_and_a_slip_in_a_name_is_answered():
    listed = ", ".join(f"check.{name}" for name in NAMES)
    assert repr(check) == f"Checks: {listed}"
    assert f"check.{NAMES[0]}.hint()" in repr(getattr(check, NAMES[0]))
    with pytest.raises(AttributeError, match=r"Did you mean check\.kl_divergence\?"):
        check.kl_divergance  # noqa: B018
    with pytest.raises(AttributeError) as caught:
        check.something_else  # noqa: B018
    assert "Did you mean" not in str(caught.value)
    assert str(caught.value).endswith(", ".join(NAMES) + ".")


@pytest.mark.parametrize("name", NAMES)
def test_a_check_knows_which_function_or_class_holds_its_answer(name):
    model = ("encode", "decode", "reparameterize", "vae")
    assert holder_of(name) == ("VAE" if name in model else name)


def test_hints_and_solutions_in_a_notebook():
    hint, solution = check.kl_divergence.hint(), check.kl_divergence.solution()
    assert hint._repr_html_().startswith("<div")
    assert code_in_html("use `exp` or `log`") == "use <code>exp</code> or <code>log</code>"
    assert "<code>exp</code>" in type(hint)("use `exp`")._repr_html_()
    assert solution._repr_html_().startswith("<pre><code>def kl_divergence(mu, logvar)")
    assert "&lt;b&gt;" in type(hint)("<b>", code=True)._repr_html_()
    wrong, right = check.kl_divergence(lambda m, v: None), check.kl_divergence(by_hand)
    assert "check.kl_divergence.hint()" in wrong._repr_html_()
    assert "hint()" not in right._repr_html_()
    assert wrong.hint().text.startswith("Hint 2 of 3")
    assert wrong.solution().text == right.solution().text == solution.text


def solution_lines(name):
    return [
        line.strip()
        for line in repr(getattr(check, name).solution()).splitlines()
        if len(line.strip()) > 12
    ]


def test_no_check_shows_the_solution_before_it_is_asked_for():
    shown = [text for hints in HINTS.values() for text in hints]
    shown += [bug.why + bug.change for bug in ZOO.values()]
    for name, _, answer in WRONG:
        known = (name, answer) in SEEN
        result = SEEN[name, answer] if known else getattr(check, name)(answer)
        shown += [repr(result), result._repr_html_(), repr(getattr(check, name))]
    shown = [
        re.sub(r"It came from .*?$", "", text, flags=re.MULTILINE) for text in shown
    ]  # their own line
    for name in (
        "encode",
        "reparameterize",
        "kl_divergence",
        "reconstruction_loss",
        "loss_function",
        "importance_weighted",
    ):
        body = [line for line in solution_lines(name) if not line.startswith(("def ", "class "))]
        assert body
        for line in body:
            code = line.removeprefix("return ")
            assert not any(code in text for text in shown), code


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes_its_check(name):
    source = repr(getattr(check, name).solution())
    space = dict(vars(answers))
    if name in ("encode", "decode"):
        body = textwrap.indent(source, "    ")
        exec(f"class Mine(VAE):\n{body}", space)
        assert getattr(check, name)(space["Mine"]).passed
    else:
        exec(source, space)
        assert getattr(check, name)(space["VAE" if name == "vae" else name]).passed


def test_the_solution_has_no_annotations():
    assert "Tensor" not in repr(check.vae.solution())


# --- passing over what is not written ------------------------------------------------------------------------


def test_a_block_without_its_answer_is_passed_over_and_the_next_ones_too(capsys):
    def loss_function():
        raise NotImplementedError

    checks = type(check)()
    space = {"check": checks, "loss_function": loss_function}

    def run(name, text):
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), space)

    run("<cell 1>", "with check.if_written():\n    made = loss_function()\n")
    run("<cell 2>", "with check.if_written():\n    more = made + 1\n")
    run("<cell 3>", "with check.if_written():\n    more\n")
    first, second, third = capsys.readouterr().out.splitlines()
    assert "loss_function is not written yet" in first
    assert "there is no `made`" in second
    assert "there is no `more`" in third
    with pytest.raises(NameError, match="mode"):  # a slip of the learner's own
        run("<cell 4>", "with check.if_written():\n    mode\n")
    space["loss_function"] = lambda: 3
    run("<cell 1>", "with check.if_written():\n    made = loss_function()\n")
    del space["made"]
    with pytest.raises(NameError, match="made"):  # it was made, and is missed for another reason
        run("<cell 2>", "with check.if_written():\n    more = made + 1\n")


def test_a_block_answers_for_its_own_names_only(capsys):
    checks = type(check)()
    space = {"check": checks}

    def run(name, *lines):
        text = "\n".join(lines) + "\n"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), space)

    block = "with check.if_written():"
    run("<two 1>", block, "    before = 1", block, "    raise NotImplementedError", "    made = 2",
        block, "    after = 3", "del before, after")  # fmt: skip
    assert "not written yet" in capsys.readouterr().out
    for name in ("before", "after"):
        with pytest.raises(NameError, match=name):
            run("<two 2>", block, f"    {name}")
    run("<two 3>", block, "    made")
    assert "there is no `made`" in capsys.readouterr().out


def test_a_cell_with_a_magic_is_no_obstacle(capsys):
    text = "%matplotlib inline\nwith check.if_written():\n    raise NotImplementedError\n"
    linecache.cache["<magic>"] = (len(text), None, text.splitlines(True), "<magic>")
    exec(compile(text.replace("%", "#"), "<magic>", "exec"), {"check": type(check)()})
    assert "not written yet" in capsys.readouterr().out


def test_only_what_the_course_has_is_offered(capsys):
    def training_step(model, optimizer, x):
        raise NotImplementedError

    def mine():
        raise NotImplementedError

    class VAE:
        def encode(self, x):
            raise NotImplementedError

    checks = type(check)()
    for blank, arguments in ((training_step, (1, 2, 3)), (VAE().encode, (1,)), (mine, ())):
        with checks.if_written():
            blank(*arguments)
    offered, model_offered, not_offered = capsys.readouterr().out.splitlines()
    assert model_offered.endswith("from vae_helpers.answers import VAE")
    assert offered.endswith("from vae_helpers.answers import training_step")
    assert not_offered.endswith("mine is not written yet.")


def test_a_step_can_name_what_it_would_make(capsys):
    checks = type(check)()
    with checks.if_written("model"):
        raise NotImplementedError
    with checks.if_written():
        model  # noqa: B018, F821
    assert "there is no `model`" in capsys.readouterr().out


def test_other_exceptions_are_raised_as_they_are():
    checks = type(check)()
    with pytest.raises(NameError), checks.if_written():
        never_made  # noqa: B018, F821
    with pytest.raises(ZeroDivisionError), checks.if_written():
        1 / 0  # noqa: B018


def test_the_courses_own_is_offered():
    program = """
from vae_helpers import check
def training_step(model, optimizer, x):
    raise NotImplementedError
with check.if_written():
    training_step(1, 2, 3)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "from vae_helpers.answers import training_step" in done.stdout
    for name in ("VAE", "kl_divergence", "reconstruction_loss", "loss_function", "training_step"):
        assert inspect.getsource(getattr(answers, name))


# --- progress ---------------------------------------------------------------------------------------------------


def test_tries_are_kept_and_stubs_are_not(tmp_path):
    def stub(mu, logvar):
        raise NotImplementedError

    check.kl_divergence(stub)
    assert not (tmp_path / ".vae_progress.json").exists()
    check.kl_divergence(lambda mu, logvar: None)
    check.kl_divergence(by_hand)
    check.kl_divergence(answers.kl_divergence)  # not the learner's
    kept = json.loads((tmp_path / ".vae_progress.json").read_text(encoding="utf-8"))
    assert kept["checks"]["kl_divergence"] == {
        "tries": 2,
        "passed": True,
        "seen": ["nothing-returned"],
    }


def test_a_wrong_answer_says_which_one_that_it_calls_to_mend_first():
    """Each of them wrong by the first alone, then by itself, then no more."""
    cells = {"torch": torch, "F": nn.functional, "Tensor": torch.Tensor, "VAE": answers.VAE}
    names = ("kl_divergence", "reconstruction_loss", "loss_function", "training_step")
    for name in names:
        exec(inspect.getsource(getattr(answers, name)), cells)
    right = cells["kl_divergence"]
    cells["kl_divergence"] = lambda mu, logvar: -right(mu, logvar)
    fresh = checks.Checks()
    said = {name: getattr(fresh, name)(cells[name]).message for name in names}
    assert "mend" not in said["kl_divergence"] + said["reconstruction_loss"]
    mend = "whose last check did not pass: mend `kl_divergence` first, then check this again."
    assert said["loss_function"].endswith(f"It calls `kl_divergence`, {mend}")
    assert said["training_step"].endswith(f"It calls `loss_function`, {mend}")
    cells["kl_divergence"] = right
    assert fresh.kl_divergence(right).passed
    exec("def loss_function(r, x, m, v): return -kl_divergence(m, v).sum()", cells)
    assert "mend" not in fresh.loss_function(cells["loss_function"]).message
    step = fresh.training_step(cells["training_step"]).message
    assert "mend `loss_function` first" in step
    exec(inspect.getsource(answers.loss_function), cells)
    for name in names:
        assert getattr(fresh, name)(cells[name]).passed
