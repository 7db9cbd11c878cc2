"""The rules that every committed lesson keeps, and that a lesson and the package define the same things alike."""

import ast
import json
import re
import sys

import derive_exercises
import nbformat
import pytest
import torch
import torch.nn.functional as F
from execute_notebooks import EXPLAIN, answers
from lessons import (
    COMPLETE,
    DERIVED,
    LEARNERS,
    PATHS,
    ROOT,
    cells,
    code_cells,
    definitions,
    prose,
    shows,
    source,
)

import vae_helpers as vh

sys.path.insert(0, str(ROOT / "benchmarks"))
import notebooks  # isort: skip

WIDGET = "application/vnd.jupyter.widget-view+json"
lesson = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def test_the_lessons_are_there():
    assert [path.stem[:2] for path in LEARNERS] == [
        "00",
        "01",
        "02",
        "03",
        "04",
        "05",
        "06",
        "07",
        "08",
        "09",
        "10",
        "11",
        "12",
    ]
    assert {path.name for path in PATHS} == {path.name for path in LEARNERS}


@lesson
def test_it_was_run_from_top_to_bottom(path):
    assert [cell["execution_count"] for cell in code_cells(path)] == list(
        range(1, len(code_cells(path)) + 1)
    )


@lesson
def test_its_outputs_hold_no_error_warning_or_progress_left_over(path):
    for cell in code_cells(path):
        for output in cell["outputs"]:
            assert output["output_type"] != "error", source(cell)
            assert output.get("name") != "stderr", source(cell)
            assert "\r" not in "".join(output.get("text", "")), source(cell)


@lesson
def test_its_file_is_small_and_holds_no_widget_state(path):
    assert path.stat().st_size < 1_000_000
    assert "widgets" not in json.loads(path.read_text(encoding="utf-8"))["metadata"]


@lesson
def test_a_checked_cell_has_something_to_check(path):
    for cell in code_cells(path):
        if "nbval-check-output" in cell["metadata"].get("tags", []):
            assert cell["outputs"], source(cell)
            assert cell["execution_count"], source(cell)


@lesson
def test_its_cells_are_short(path):
    for cell in code_cells(path):
        lines = [line for line in source(cell).splitlines() if line.strip()]
        marks = sum(
            line.strip() in (derive_exercises.BEGIN, derive_exercises.END) for line in lines
        )
        assert len(lines) - marks <= 25, source(cell)


@lesson
def test_it_asserts_what_it_claims(path):
    asserts = sum(
        isinstance(node, ast.Assert)
        for cell in code_cells(path)
        for node in ast.walk(ast.parse(source(cell)))
    )
    assert asserts >= 8


@lesson
def test_prose_stands_before_each_code_cell_and_after_each_figure(path):
    sequence = cells(path)
    for before, cell in zip([None, *sequence], sequence, strict=False):
        if cell["cell_type"] == "code":
            assert before is not None, source(cell)
            assert before["cell_type"] == "markdown", source(cell)
    for cell, after in zip(sequence, [*sequence[1:], None], strict=True):
        if shows(cell, "image/png"):
            assert after is not None, source(cell)
            assert after["cell_type"] == "markdown", source(cell)


@lesson
def test_beside_every_widget_stands_a_figure(path):
    code = code_cells(path)
    for cell, after in zip(code, [*code[1:], None], strict=True):
        if shows(cell, WIDGET) and not asks(cell):
            assert after is not None, source(cell)
            assert shows(after, "image/png"), source(cell)


def asks(cell):
    """Whether what it shows is a prediction, or the count of them: for those the text has the choices."""
    said = ["".join(output.get("data", {}).get("text/plain", "")) for output in cell["outputs"]]
    return any(text.startswith(("Prediction: ", "Your predictions: ")) for text in said)


@lesson
def test_a_figure_has_a_title_and_its_axes_have_names(path):
    for cell in code_cells(path):
        if shows(cell, "image/png"):
            assert re.search(r"title\(|title=", source(cell)), source(cell)


@lesson
def test_its_frame(path):
    text = prose(path)
    assert text.startswith(f"# {path.stem[:2]} · ")
    assert re.search(r"\*\*\d+ minutes\.\*\*", text)
    for part in (
        "In this lesson you",
        "> **Predict.**",
        "> **Explain.**",
        "## Recap",
        "**Next:**",
        "**Further reading**",
    ):
        assert part in text, part
    assert text.count("> **Predict.**") == text.count("> **Explain.**")
    assert len(re.findall(r"^- ", text.split("**Further reading**")[1], re.MULTILINE)) == 2


@lesson
def test_it_keeps_its_answers_folded_until_the_guess(path):
    book = nbformat.read(path, as_version=4)
    folded = [cell for cell in book.cells if "jupyter" in cell.metadata]
    learners_own = path.stem[:2] in ("06", "07")  # they come without an answer
    assert folded == ([] if learners_own else answers(book))
    assert all(cell.metadata.jupyter == {"outputs_hidden": True} for cell in folded)
    for cell in book.cells:
        if EXPLAIN in cell.source:  # the explanation, whole and alone
            [inside] = re.findall(r"<details>(.*?)</details>", cell.source, re.DOTALL)
            assert inside.startswith(f"<summary>After your guess</summary>\n\n{EXPLAIN}")
            assert all(line.startswith(">") for line in inside.strip().split("\n")[2:])
        elif ".reveal(" in cell.source:
            assert learners_own or cell in folded


@lesson
def test_its_voice(path):
    text = re.sub(r"\$\$.*?\$\$|`[^`]*`", "", prose(path), flags=re.DOTALL)
    assert "!" not in text
    found = re.findall(
        r"\b(simply|obviously|just|easy|easily|clearly|of course|amazing|powerful)\b",
        text,
        re.IGNORECASE,
    )
    assert not found


@lesson
def test_its_links_to_other_lessons_work(path):
    for target in re.findall(r"\]\((?!http)([^)#]+)", prose(path)):
        assert (path.parent / target).is_file(), target


# --- one definition, compared by number -----------------------------------------------------------


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.rand(7, 1, 28, 28)


def test_the_autoencoder_of_lesson_01_is_the_packages(batch):
    theirs, ours = definitions("01_key_concepts")["Autoencoder"](3), vh.Autoencoder(3)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(theirs.encode(batch), ours.encode(batch))
    assert torch.equal(theirs(batch), ours(batch))


def test_the_vae_of_lesson_02_is_the_packages(batch):
    theirs, ours = definitions("02_architecture")["VAE"](), vh.VAE()
    ours.load_state_dict(theirs.state_dict())
    outputs = []
    for model in (theirs, ours):
        torch.manual_seed(1)
        outputs.append(model(batch))
    for a, b in zip(*outputs, strict=True):
        assert torch.equal(a, b)


def test_the_loss_of_lesson_03_is_the_packages():
    theirs = definitions("03_loss")
    torch.manual_seed(0)
    recon_x, x, mu, logvar = (
        torch.rand(5, 784),
        torch.rand(5, 784),
        torch.randn(5, 3),
        torch.randn(5, 3),
    )
    torch.testing.assert_close(theirs["kl_divergence"](mu, logvar), vh.kl_divergence(mu, logvar))
    torch.testing.assert_close(
        -theirs["reconstruction_loss"](recon_x, x), vh.bernoulli_log_likelihood(recon_x, x)
    )
    torch.testing.assert_close(
        -theirs["gaussian_loss"](recon_x, x, 0.3), vh.gaussian_log_likelihood(recon_x, x, 0.3)
    )
    torch.testing.assert_close(
        theirs["loss_function"](recon_x, x, mu, logvar), vh.loss_function(recon_x, x, mu, logvar)
    )


def test_the_path_of_lesson_04_is_the_packages():
    start, end = torch.randn(2, 20, generator=torch.Generator().manual_seed(0)).double()
    theirs = definitions("04_why_it_matters")["slerp"](start, end, 9)
    torch.testing.assert_close(
        theirs, vh.interpolate(start, end, 9, spherical=True), atol=1e-6, rtol=1e-6
    )


def test_the_conditional_vae_of_lesson_04_is_the_packages(batch):
    theirs, ours = definitions("04_why_it_matters")["ConditionalVAE"](), vh.ConditionalVAE()
    ours.load_state_dict(theirs.state_dict())
    labels, z = torch.arange(7), torch.randn(7, 20)
    torch.testing.assert_close(theirs.encode(batch, labels), ours.encode(batch, labels))
    torch.testing.assert_close(theirs.decode(z, labels), ours.decode(z, labels))


def test_the_game_of_lesson_05_is_the_packages(digits):
    x = digits.train_x[:600].flatten(1)
    gans = []
    for _ in range(2):
        torch.manual_seed(0)
        gans.append(vh.GAN())
    ours, theirs = gans
    history = vh.fit_gan(
        ours, x, epochs=1, lr=1e-3, generator=torch.Generator().manual_seed(0), progress=False
    )
    lesson = definitions("05_vae_and_gan")
    lesson |= {"generator": theirs.generator, "discriminator": theirs.discriminator}
    for name, part in (("d_steps", theirs.discriminator), ("g_steps", theirs.generator)):
        lesson[name] = torch.optim.Adam(part.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=True)
    torch.manual_seed(int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(0))))
    losses = [
        torch.tensor(lesson["play"](x[batch])) * len(batch)
        for batch in torch.randperm(600).split(64)
    ]
    found = history.train["discriminator"] + history.train["generator"]
    assert found == pytest.approx((sum(losses) / 600).tolist(), rel=1e-4)


def test_the_models_of_lesson_11_are_the_packages(batch):
    from vae_helpers.latent_priors import LatentDiffusion, MixtureOfPosteriors

    lesson = definitions("11_sharper")
    both = []
    for start in (lambda: lesson["start_evenly"](lesson["ConvVAE"]()), vh.ConvVAE):
        torch.manual_seed(0)
        both.append(start())
    theirs, ours = both
    for name, value in theirs.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name
    for found, expected in zip(theirs.encode(batch), ours.encode(batch), strict=True):
        assert torch.equal(found, expected)
    z, t = torch.randn(7, 20), torch.rand(7, 1)
    assert torch.equal(theirs.decode(z), ours.decode(z))

    theirs = lesson["VampVAE"](vh.VAE(), batch[:3])
    ours = MixtureOfPosteriors(vh.VAE(), batch[:3])
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(theirs.log_prior(z), ours.log_prior(z))

    no_class = torch.zeros(7, 0)
    theirs, ours = lesson["Denoiser"](classes=0), LatentDiffusion(torch.randn(30, 20))
    ours.net.load_state_dict(theirs.net.state_dict())
    assert torch.equal(theirs(z, t, no_class), ours(z, t))
    torch.manual_seed(0)
    expected = ours.draw(7, steps=5)
    torch.manual_seed(0)
    found = lesson["draw"](theirs, torch.randn(7, 20), no_class, steps=5)
    torch.testing.assert_close(found * ours.scale + ours.centre, expected)


def test_the_readme_and_the_teachers_guide_map_the_lessons():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in LEARNERS:
        minutes = re.search(r"\*\*(\d+) minutes\.\*\*", prose(path)).group(1)
        row = next(
            (
                line
                for line in readme.splitlines()
                if f"notebooks/{path.name}" in line and "|" in line
            ),
            "",
        )
        assert f"| {minutes} |" in row, path.name
        title = re.match(r"# (\d\d) · ([^:\n]*)", prose(path))
        guide = (ROOT / "classroom" / "guide.md").read_text(encoding="utf-8")
        assert f"### {title[1]} {title[2]} ({minutes} minutes)" in guide, path.name


# --- the exercises --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DERIVED, ids=lambda path: path.stem)
def test_the_learners_copy_is_derived_from_the_complete_one(path):
    complete = nbformat.read(path.parent / "solutions" / path.name, as_version=4)
    expected = derive_exercises.derive(complete)
    found = nbformat.read(path, as_version=4)
    stale = "run python tools/derive_exercises.py"
    assert [cell.source for cell in found.cells] == [cell.source for cell in expected.cells], stale
    for cell in found.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            assert derive_exercises.BEGIN not in cell.source


def test_taking_a_solution_out():
    inside = "def f(x):\n    # BEGIN SOLUTION\n    y = 2 * x\n    return y\n    # END SOLUTION\n\n\nprint(f)"
    assert (
        derive_exercises.blank(inside)
        == f"def f(x):\n    {derive_exercises.INSIDE[0]}\n\n\nprint(f)"
    )
    outside = "a = 1\n# BEGIN SOLUTION b c\nb = c = 2\n# END SOLUTION"
    lines = ["a = 1", 'with check.if_written("b", "c"):', derive_exercises.OUTSIDE[1]]
    assert derive_exercises.blank(outside) == "\n".join(lines)
    for broken in ("# BEGIN SOLUTION\nx", "# END SOLUTION", "# BEGIN SOLUTION\n# BEGIN SOLUTION"):
        with pytest.raises(ValueError, match="SOLUTION"):
            derive_exercises.blank(broken)


def without_annotations(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
            if ast.get_docstring(node):
                node.body = node.body[1:]
    return {
        node.name: ast.unparse(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def test_the_shown_solutions_are_those_of_the_lessons():
    ours = without_annotations((ROOT / "vae_helpers" / "answers.py").read_text(encoding="utf-8"))
    steps = {}
    for cell in (cell for path in [*COMPLETE, *LEARNERS[8:9]] for cell in code_cells(path)):
        steps |= without_annotations(source(cell))
    assert {name: steps[name] for name in ours} == ours


def test_the_table_of_seconds_and_memory_is_the_one_measured():
    lessons = vh.load_benchmark("notebooks")["lessons"]
    assert set(lessons) == {path.stem for path in LEARNERS}
    assert notebooks.table(lessons) in notebooks.README.read_text("utf-8")


def test_what_is_cited_is_on_the_list_of_references():
    """By the first author and the year, as in "Bowman and others (2016, section 3)"."""
    listed = {
        (re.search(r"\*\*([\w-]+)", line)[1], re.search(r"(\d{4})\*\*", line)[1])
        for line in (ROOT / "notebooks" / "references.md").read_text("utf-8").splitlines()
        if line.startswith("- ")
    }
    texts = [
        source(cell) for path in PATHS for cell in cells(path) if cell["cell_type"] == "markdown"
    ]
    texts += [path.read_text("utf-8") for path in (ROOT / "vae_helpers").glob("*.py")]
    name = r"[A-Z][\w-]*[a-zé]"
    cited = {
        found.groups()
        for text in texts
        for found in re.finditer(
            rf"({name})(?:(?:, (?:van den )?{name})*,? and (?:(?:van )?{name}|others)| et al\.)?,? \(?((?:19|20)\d\d)",
            " ".join(text.split()),
        )
    } - {("In", "2022"), ("August", "2026"), ("November", "2026")}  # no authors
    assert cited - listed == set()
    assert len(cited) > 40


def test_the_program_on_the_cheat_sheet_trains_a_vae():
    page = (ROOT / "notebooks" / "cheat_sheet.md").read_text("utf-8")
    [program] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert program.count("epochs = ") == program.count(", 10\n") == 1
    torch.manual_seed(0)
    found = {}
    exec(compile(program.replace(", 10\n", ", 3\n"), "cheat_sheet.md", "exec"), found)
    assert found["new_digits"].shape == (16, 784)
    model, x = found["model"], vh.load_images("mnist").test_x.flatten(1)
    with torch.no_grad():
        recon_x, mu, logvar = model(x)
    loss = (F.binary_cross_entropy(recon_x, x, reduction="sum") / len(x)).item()
    loss += vh.kl_divergence(mu, logvar).mean().item()
    for results in vh.load_benchmark("exercise")["results"].values():
        ranges = (results["test"][epochs] for epochs in ("1", "3", "10"))
        assert ", ".join(f"{min(seeds):.0f}–{max(seeds):.0f}" for seeds in ranges) in page
    for name in ("vae-mnist-20", "vae-mnist-2"):
        test = vh.pretrained_info(name)["test"]
        assert f"{test['loss']:.0f} = {test['recon']:.0f} + {test['kl']:.0f} of KL" in page
    assert 146 < loss < 152  # another seed, and another order of the images
