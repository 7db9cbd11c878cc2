"""Lessons 06 and 07 as a learner meets them: blank, complete, and with each mistake of the zoo pasted in."""

import ast
import inspect
import linecache
import re
import sys
import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from lessons import COMPLETE, DERIVED, code_cells, source

from vae_helpers import answers
from vae_helpers.checks import Result
from vae_helpers.interactive import predictions

sys.path.insert(0, str(Path(__file__).parent / "bug_zoo"))
import wrong as zoo  # isort: skip

IN_LESSON = {
    "encode": "VAE",
    "decode": "VAE",
    "reparameterize": "VAE",
    "vae": "VAE",
}  # where the exercise has another name than its check
EXERCISES = {path.stem: path for path in COMPLETE}
BLANK = {path.stem: path for path in DERIVED}


@pytest.fixture(autouse=True, scope="module")
def style_restored():
    """The lessons set a style, which must not reach other tests."""
    with plt.rc_context():
        yield


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predictions._MADE.clear()
    predictions._SUMMARIES.clear()


def run_cell(text, space):
    """Run one cell as a notebook does; what its last expression is worth."""
    linecache.cache["cell"] = (len(text), None, text.splitlines(keepends=True), "cell")
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), space)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), space)


def defines_or_checks(text):
    """Whether a cell only imports, defines and checks; no training, no figure."""
    return re.match(r"(class |def |check\.)", text) is not None


def run_definitions(path, space):
    """Run the set-up, the definitions and the checks of a lesson; the results of the checks."""
    results = []
    for number, cell in enumerate(code_cells(path)):
        if number == 0 or defines_or_checks(source(cell)):
            value = run_cell(source(cell).split("with check.if_written")[0], space)
            results += [value] if isinstance(value, Result) else []
    return results


@pytest.mark.parametrize("stem", EXERCISES)
def test_a_copy_with_every_blank_filled_passes_every_check(stem):
    results = run_definitions(EXERCISES[stem], {})
    asked = re.findall(
        r"^check\.(\w+)\(", "\n".join(map(source, code_cells(EXERCISES[stem]))), re.MULTILINE
    )
    assert [result.check.name for result in results] == asked
    assert len(asked) >= 3
    assert all(result.passed for result in results), results


@pytest.mark.parametrize("stem", BLANK)
def test_a_copy_with_no_blank_filled_is_not_attempted(stem):
    results = run_definitions(BLANK[stem], {})
    assert len(results) >= 3
    assert not any(result.passed or result.attempted for result in results), results


@pytest.mark.parametrize("stem", BLANK)
def test_training_steps_of_a_blank_copy_are_passed_over_with_a_sentence(stem, capsys):
    space, guarded = {"display": print}, 0
    for cell in code_cells(BLANK[stem]):
        if source(cell).startswith(
            "class Failing"
        ):  # from here on 06 trains the course's own models
            break
        capsys.readouterr()
        run_cell(source(cell), space)
        if source(cell).startswith("with check.if_written"):
            guarded += 1
            assert capsys.readouterr().out.startswith("Passed over: ")
    assert guarded >= 6


def lines_of(answer, name):
    """The source of a wrong answer as a learner would paste it into the lesson."""
    text = textwrap.dedent(inspect.getsource(answer))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("@"))
    if name in IN_LESSON and inspect.isclass(answer):
        base = answer.__bases__[0].__name__
        kept = base if base in HELPERS else "VAE"  # layers that the lesson's class does not have
        return text.replace(f"class {answer.__name__}({base})", f"class VAE({kept})")
    if name == "reparameterize":
        method = re.sub(r"^def \w+\(", "def reparameterize(self, ", text)
        return f"class VAE(VAE):\n{textwrap.indent(method, '    ')}"
    return re.sub(r"^def \w+\(", f"def {name}(", text)


# The names of a wrong answer's own helpers, and answers that call the right one and spoil it afterwards.
HELPERS = ("in_order", "SOME_MODEL", "copy", "itertools", "math", "ConvVAE", "Resized")
PASTED = [
    (n, b, a) for n, b, a in zoo.WRONG if a is not zoo.PositiveLogvar
]  # it holds no line of its own


@pytest.fixture(scope="module")
def definitions():
    space: dict = {}
    for path in reversed(COMPLETE):  # 06 last: its VAE is the learner's, that of 07 the package's
        for number, cell in enumerate(code_cells(path)):
            if number == 0 or re.match(r"(class |def )", source(cell)):
                text = re.sub(r"^check\..*$", "", source(cell), flags=re.MULTILINE)
                text = text.split("with check.if_written")[0]
                run_cell(text, space)
    return space


@pytest.mark.parametrize(
    ("name", "bug", "answer"), PASTED, ids=[f"{n}-{a.__name__}" for n, _, a in PASTED]
)
def test_a_mistake_pasted_into_the_lesson_gets_its_own_diagnosis(definitions, name, bug, answer):
    space = dict(definitions)
    space |= {helper: getattr(zoo, helper) for helper in HELPERS}
    pasted = lines_of(answer, name)
    called = {node.id for node in ast.walk(ast.parse(pasted)) if isinstance(node, ast.Name)}
    if name in called:  # it calls the right function of the same name
        pasted = re.sub(rf"(?<!def )\b{name}\(", "right_one(", pasted)
        space["right_one"] = getattr(answers, name)
    exec(pasted, space)
    result = run_cell(f"check.{name}({IN_LESSON.get(name, name)})", space)
    assert (result.passed, result.diagnosis) == (False, bug), result


def test_the_mini_project_works_with_clothing_too(monkeypatch, capsys):
    space = {"display": lambda widget: None}
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    for cell in code_cells(EXERCISES["07_mini_project"]):
        text = source(cell)
        switched = text.replace('DATASET = "mnist"', 'DATASET = "fashion-mnist"')
        run_cell(switched, space)
    assert "Fashion-MNIST" in space["images"].source
    assert "written: report.html" in capsys.readouterr().out
    with torch.no_grad():
        assert space["flat"].encode(space["images"].test_x[:2].flatten(1))[0].shape == (2, 2)
