"""What the package is made of: who imports whom, what it needs, what is in its wheel."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import list_names
import pytest
from packaging.requirements import Requirement

import vae_helpers

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vae_helpers"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in PACKAGE.rglob("*.py")
}
MOST_LINES = 450  # of a module, so that it can be read in one sitting
DISTRIBUTIONS = {
    "pytorch_optimizer": "pytorch-optimizer",
    "IPython": "ipython",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "axe_playwright_python": "axe-playwright-python",
}  # where the name to import differs


def imports(tree):
    """The (level, module) of each import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not node.module:
                yield from ((node.level, alias.name) for alias in node.names)
            else:
                yield node.level, node.module


def foreign(tree):
    return {module.split(".")[0] for level, module in imports(tree) if not level}


# --- its modules ----------------------------------------------------------------------------------


def test_a_module_can_be_read_in_one_sitting():
    lines = {name: len((PACKAGE / name).read_text("utf-8").splitlines()) for name in MODULES}
    assert not {name for name, count in lines.items() if count > MOST_LINES}


def test_no_module_uses_a_private_name_of_another():
    for name, tree in MODULES.items():
        imported = [
            alias
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and (node.level or (node.module or "").startswith("vae_helpers"))
            for alias in node.names
        ]
        here = {alias.asname or alias.name for alias in imported}
        used = {
            f"{node.value.id}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and isinstance(node.value, ast.Name)
            and node.value.id in here
        }
        used |= {alias.name for alias in imported if alias.name.startswith("_")}
        assert not used, (name, used)


def test_importing_the_package_imports_nothing_heavy():
    program = """
import sys, torch
before = set(sys.modules)
import vae_helpers
print(*sorted(set(sys.modules) - before))
vae_helpers.VAE
print(*sorted({"torchvision", "matplotlib", "ipywidgets", "sklearn"} & (set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    first, second = done.stdout.splitlines()
    assert first == "vae_helpers"
    assert second == ""


# --- the public names ---------------------------------------------------------------------------


def test_the_public_names_exist_and_explain_themselves():
    for name in vae_helpers.__all__:
        thing = getattr(vae_helpers, name)
        assert inspect.getdoc(thing), name
        assert thing.__module__.startswith("vae_helpers."), name
    assert set(vae_helpers.__all__) <= set(dir(vae_helpers))
    with pytest.raises(AttributeError, match="no attribute 'Vae'"):
        vae_helpers.Vae  # noqa: B018


def test_every_argument_can_be_named():
    functions = [
        node
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert len(functions) > 400
    assert not [node.name for node in functions if node.args.posonlyargs]


def test_the_list_of_public_names_is_up_to_date():
    assert list_names.PAGE.read_text("utf-8") == list_names.page(), "run tools/list_names.py"


def test_the_version_is_the_newest_of_the_changelog():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    newest = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert vae_helpers.__version__ == project["version"] == newest[1]


def test_a_type_checker_sees_the_same_names():
    """Names that load on first use are written out once more for type checkers."""
    tree = MODULES["__init__.py"]
    seen = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if node.level
    }
    assert seen == set(vae_helpers.__all__)


def test_every_public_function_has_a_docstring():
    for name, tree in MODULES.items():
        if name == "answers.py":  # shown to learners as they would write them
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                nested = any(
                    node in ast.walk(f)
                    for f in ast.walk(tree)
                    if isinstance(f, ast.FunctionDef) and f is not node
                )
                setter = any(getattr(d, "attr", "") == "setter" for d in node.decorator_list)
                of_exercise = name.startswith("checks/exercises/")
                said_once = of_exercise and node.name in ("inputs", "probe", "judge")
                assert nested or setter or said_once or ast.get_docstring(node), (
                    f"{name}.{node.name}"
                )


# --- what it needs ------------------------------------------------------------------------------


def requirements():
    """Each line of requirements.txt: the requirement, and the reason behind the #."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert lines[-1] == "-e ."
    found = {}
    for line in lines[:-1]:
        if not line.startswith("#"):
            text, _, reason = line.partition("#")
            found[Requirement(text).name] = (Requirement(text), reason.strip())
    return found


def test_each_requirement_is_bounded_and_has_a_reason():
    for name, (requirement, reason) in requirements().items():
        operators = sorted(bound.operator for bound in requirement.specifier)
        assert operators == ["<", ">="], name
        assert len(reason) > 8, name


@pytest.mark.parametrize(
    ("name", "version"),
    [  # Colab's release of August 2026, and Python's newest of 2026
        ("torch", "2.11.0"), ("torchvision", "0.26.0"), ("ipywidgets", "7.7.1"), ("numpy", "2.0.2"),
        ("matplotlib", "3.10.0"), ("ipykernel", "6.17.1"), ("pillow", "11.3.0"), ("scikit-learn", "1.6.1"),
    ],
)  # fmt: skip
def test_colabs_versions_will_do(name, version):
    assert requirements()[name][0].specifier.contains(version)


def notebooks(besides=None):
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        if path.stem == besides:
            continue
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield ast.parse("".join(cell["source"]))


def test_every_import_is_on_the_list():
    listed = set(requirements())
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = dev["optional-dependencies"]
    listed_dev = {
        Requirement(r).name
        for extra in ("dev", "hub", "molecules", "compression", "site")
        for r in extras[extra]
    }
    extra = {Requirement(r).name for r in extras["molecules"]}
    of_lesson_12 = {Requirement(r).name for r in extras["compression"]}
    others = [tree for name, tree in MODULES.items() if name != "molecules.py"]
    for trees, allowed in (
        ([*others, *notebooks(besides="12_compression")], listed),
        (notebooks(), listed | of_lesson_12),
        ([MODULES["molecules.py"]], listed | extra),
        (
            [
                ast.parse(path.read_text("utf-8"))
                for folder in ("tests", "tools", "benchmarks")
                for path in (ROOT / folder).rglob("*.py")
            ],
            listed | listed_dev | {"lightning", "pythae"},  # these two in peers.py's environment
        ),
    ):
        names = set().union(*map(foreign, trees)) - set(sys.stdlib_module_names)
        local = {p.stem for f in ("tests", "tools", "benchmarks") for p in (ROOT / f).rglob("*.py")}
        needed = {DISTRIBUTIONS.get(name, name) for name in names - local - {"vae_helpers"}}
        assert needed <= allowed, needed - allowed


def test_each_requirement_is_used():
    trees = [*MODULES.values(), *notebooks()]
    used = {DISTRIBUTIONS.get(n, n) for n in set().union(*map(foreign, trees))}
    rest = set(requirements()) - used
    # these are run, or used by the tests alone
    assert rest == {
        "jupyterlab",
        "ipykernel",
        "nbval",
        "pytest",
        "pytest-xdist",
        "packaging",
        "setuptools",
    }


def test_the_package_declares_what_it_imports_with_the_same_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {found.name: found for found in map(Requirement, project["dependencies"])}
    imported = set().union(*map(foreign, MODULES.values())) - set(sys.stdlib_module_names)
    extra = {Requirement(r).name for r in project["optional-dependencies"]["molecules"]}
    assert set(declared) == {DISTRIBUTIONS.get(n, n) for n in imported} - extra - {"vae_helpers"}
    listed = requirements()
    assert all(listed[name][0] == requirement for name, requirement in declared.items())


def test_the_conda_environment_has_the_same_bounds():
    text = (ROOT / "environment.yml").read_text("utf-8")
    found = {
        name: Requirement(f"{name}{bounds}").specifier
        for name, bounds in re.findall(r"^  - ([\w-]+) ([<>=.,\d]+)$", text, re.MULTILINE)
    }
    listed = requirements()
    assert found["pytorch-cpu"] == listed["torch"][0].specifier
    assert found["torchvision"] == listed["torchvision"][0].specifier
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    floor = project["requires-python"].removeprefix(">=")
    assert str(found["python"]).endswith(f">={floor}")
    assert "      - -r requirements.txt" in text
    assert set(found) == {"python", "pytorch-cpu", "torchvision"}


# --- what is shipped ----------------------------------------------------------------------------


def test_the_wheel_holds_the_data_the_style_and_the_weights(tmp_path):
    """Built from a copy, so that no build folder is left in the repository; with what is installed, no network."""
    shutil.copytree(
        PACKAGE, tmp_path / "course" / "vae_helpers", ignore=shutil.ignore_patterns("__pycache__")
    )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, tmp_path / "course")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q",
         "--disable-pip-version-check", "--wheel-dir", tmp_path],
        check=True, cwd=tmp_path / "course",
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    beside = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert beside <= inside
    for name in (
        "embedded/mnist.zlib",
        "weights/vae-mnist-20.safetensors",
        "course.mplstyle",
        "py.typed",
    ):
        assert f"vae_helpers/{name}" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)


@pytest.mark.skipif(not os.environ.get("CI"), reason="only the CI takes the network away")
def test_the_ci_runs_the_tests_without_a_network():
    interfaces = Path("/proc/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
