"""What stands beside the course: the workflow, the forms, the citation, the versions that a term can be pinned to."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import vae_helpers

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
README = (ROOT / "README.md").read_text("utf-8")
SCHEMAS = {
    ".github/workflows/tests.yml": "github-workflows",
    ".github/workflows/site.yml": "github-workflows",
    ".github/dependabot.yml": "dependabot",
    ".github/ISSUE_TEMPLATE/problem.yml": "github-issue-forms",
    "CITATION.cff": "citation-file-format",
}


def read(name):
    yaml = pytest.importorskip("yaml", reason="needs the extra 'dev'")
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


@pytest.mark.skipif(not find_spec("check_jsonschema"), reason="needs the extra 'dev'")
@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_each_file_keeps_to_its_schema(name, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, ROOT / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_file_there_goes_without_a_schema():
    found = {path.relative_to(ROOT).as_posix() for path in GITHUB.rglob("*.yml")}
    assert found == {name for name in SCHEMAS if name.endswith(".yml")}


def test_the_workflow_runs_the_test_commands_of_the_readme():
    steps = read(".github/workflows/tests.yml")["jobs"]["readme"]["steps"]
    patterns = [
        found for step in steps for found in re.findall(r"'(\^[^']+\$)'", step.get("run", ""))
    ]
    assert len(patterns) == 2
    lines = [re.findall(pattern, README, re.MULTILINE) for pattern in patterns]
    assert [len(found) for found in lines] == [1, 1]
    assert all("-r requirements.txt" in found[0] for found in lines)


def test_the_form_names_every_lesson():
    form = read(".github/ISSUE_TEMPLATE/problem.yml")["body"]
    named = next(part for part in form if part.get("id") == "lesson")["attributes"]["options"]
    assert named[:-1] == re.findall(r"^\| \[(\d\d [^\]]+)\]\(notebooks/", README, re.MULTILINE)


def test_the_citation_is_of_this_version():
    assert read("CITATION.cff")["version"] == vae_helpers.__version__


def test_every_requirement_has_a_pin_within_its_range():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        version = Version(pin.version)
        assert (pin.operator, version.local) == ("==", None), line
        pins[requirement.name.lower().replace("_", "-")] = version
    listed = [
        line.split("#")[0].strip()
        for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    ]
    wanted = [Requirement(line) for line in listed if line and not line.startswith("-")]
    assert len(wanted) > 15
    for requirement in wanted:
        assert pins[requirement.name] in requirement.specifier, requirement
