"""Hostile submissions. Each is bounded of itself, so that a limit that failed would harm nothing."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from submissions import RIGHT, with_walk

from vae_helpers import grading
from vae_helpers.grading import attempt, containment

SECONDS = 8.0

HEAD = "def walk(points, steps):\n"
# The body of `walk`, and what its verdict must say: this, or one of these. {…} is filled in below.
HOSTILE = {
    "endless": ("    import time\n    time.sleep(60)", "longer than 8 seconds"),
    "many processes": (
        "    import os, time\n    for _ in range(200):\n        if os.fork() == 0:\n"
        "            time.sleep(20)\n            os._exit(0)\n    time.sleep(20)",
        ("more processes than the limit", "temporarily unavailable"),
    ),
    "much memory at once": ("    return torch.ones(3 << 28, dtype=torch.float64)", "memory"),
    "memory in many processes": (
        "    import os, time\n    for _ in range(4):\n        if os.fork() == 0:\n"
        "            held = bytearray(300 << 20)\n            time.sleep(20)\n            os._exit(0)\n"
        "    time.sleep(20)",
        "more memory than the limit",
    ),
    "shared memory": (
        "    import mmap, time\n    held = [mmap.mmap(-1, 200 << 20) for _ in range(6)]\n"
        "    for part in held:\n        part.write(bytes(200 << 20))\n    time.sleep(20)",
        "more memory than the limit",
    ),
    "closes the way to the grader": (
        "    import os, time\n    os.closerange(3, 60)\n    time.sleep(60)",
        "longer than 8 seconds",
    ),
    "a large file": (
        "    with open('/tmp/large', 'wb') as file:\n        file.write(bytes(40 << 20))",
        "File too large",
    ),
    "many files": (
        "    for i in range(20):\n        with open(f'/tmp/{{i}}', 'wb') as file:\n"
        "            file.write(bytes(8 << 20))",
        "No space left",
    ),
    "much to the grader": (
        "    import os\n    for fd in range(3, 40):\n        try:\n"
        "            for _ in range(80):\n                os.write(fd, bytes(1 << 20))\n"
        "        except OSError:\n            pass",
        ("sent more than the limit", "cannot be read"),
    ),
    "junk to the grader": (
        "    import os\n    for fd in range(3, 40):\n        try:\n"
        "            os.write(fd, (1000).to_bytes(8, 'little') + b'junk' * 250)\n"
        "        except OSError:\n            pass",
        "cannot be read",
    ),
    "leaves at once": ("    import os\n    os._exit(0)", "ended its own process"),
    "leaves with a code": ("    import os\n    os._exit(7)", "ended its own process"),
    "sys.exit": ("    import sys\n    sys.exit('bye')", "SystemExit: bye"),
    "crash in native code": ("    import ctypes\n    ctypes.string_at(0)", "SIGSEGV"),
    "kills its group": (
        "    import os, signal\n    os.kill(-1, signal.SIGKILL)\n    os.killpg(0, signal.SIGKILL)",
        ("No such process", "ended"),
    ),
    "deletes files": (
        "    import shutil\n    shutil.rmtree({canary_folder!r})",
        ("No such file", "Read-only", "Permission"),
    ),
    "overwrites the package": (
        "    import vae_helpers.checks as c\n    open(c.__file__, 'a').write('# harm')",
        ("Read-only", "Permission"),
    ),
    "reads a neighbour": ("    return open({neighbour!r}).read()", "No such file"),
    "reads the environment": (
        "    import glob, os\n    seen = repr(dict(os.environ))\n"
        "    for name in glob.glob('/proc/*/environ'):\n        try:\n"
        "            seen += open(name, errors='replace').read()\n        except OSError:\n"
        "            pass\n    raise ValueError('secret' if 'hunter2' in seen else 'nothing found')",
        "nothing found",
    ),
    "opens a socket": (
        "    import socket\n    socket.create_connection(('127.0.0.1', {port}), timeout=3)",
        ("unreachable", "refused"),
    ),
    "patches the judge": (
        "    import builtins, torch\n    from vae_helpers import checks\n"
        "    from vae_helpers.checks import registry\n"
        "    from vae_helpers.grading import attempt, child\n"
        "    yes = checks.Verdict(True, True, None, 'Right.')\n"
        "    for module in (checks, registry, attempt, child):\n"
        "        module.judge = lambda *a, **k: yes\n    checks.refused = lambda *a: yes\n"
        "    torch.equal = torch.allclose = lambda *a, **k: True\n    builtins.abs = lambda v: 0\n"
        "    return torch.zeros(steps, points.shape[1])",
        "",
    ),
    "outlives itself": (
        "    import atexit, os, threading, time\n    atexit.register(time.sleep, 30)\n"
        "    threading.Thread(target=time.sleep, args=(30,)).start()\n"
        "    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            time.sleep(30)\n        os._exit(0)\n"
        "    class Stays:\n        def __del__(self):\n            time.sleep(30)\n"
        "    builtins = Stays()\n    return torch.zeros(1)",
        "",
    ),
    "asks who it is": (
        "    import os\n    raise ValueError(f'the user {{os.getuid()}}')",
        # root becomes a user that nobody is, where there is one
        "the user 6" if os.geteuid() == 0 and containment._spare_user() else "the user",
    ),
    "raises what is no Exception": (
        "    class Out(BaseException): pass\n    raise Out('far out')",
        "far out",
    ),
}


@pytest.fixture(scope="module")
def batch(tmp_path_factory, sealed):
    """Everything graded in one run, between two right neighbours; the rows by name, and what stood around them."""
    base = tmp_path_factory.mktemp("class")
    handed_in, canary = base / "in", base / "canary"
    handed_in.mkdir()
    canary.mkdir()
    (canary / "kept").write_text("unharmed")
    patch = pytest.MonkeyPatch()
    patch.setenv("TEACHERS_SECRET", "hunter2")
    patch.setattr(containment, "TREE_MEMORY", 900 << 20)
    own = (containment.PACKAGE / "checks" / "__init__.py").read_bytes()
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server, patch.context():
        server.settimeout(0.1)
        places = {
            "canary_folder": str(canary),
            "neighbour": str(handed_in / "a right one.ipynb"),
            "port": server.getsockname()[1],
        }
        for name, (body, _) in HOSTILE.items():
            text = with_walk(HEAD + body.format(**places))
            (handed_in / f"{name}.ipynb").write_bytes(text)
        for name in ("a right one", "z right one"):
            (handed_in / f"{name}.ipynb").write_bytes(RIGHT)
        (handed_in / "linked.ipynb").symlink_to(handed_in / "a right one.ipynb")
        (handed_in / "endless definitions.ipynb").write_bytes(
            with_walk("def forever():\n    while True: pass\nlimit = forever()", HEAD + "    limit")
        )
        rows = grading.grade(handed_in, base / "out", lessons=["07"], jobs=2, seconds=SECONDS)
        with pytest.raises(TimeoutError):
            server.accept()
    patch.undo()
    return {row.submission.removesuffix(".ipynb"): row for row in rows}, base, own


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_submission_loses_its_own_check_and_no_other(batch, name):
    rows = batch[0]
    said = HOSTILE[name][1]
    verdict = rows[name].checks["walk"]
    assert not verdict.passed
    assert any(part in verdict.message for part in ([said] if isinstance(said, str) else said)), (
        verdict.message
    )
    assert rows[name].checks["prior_grid"].passed
    assert rows[name].checks["principal_plane"].passed


def test_the_neighbours_are_graded_rightly(batch):
    rows = batch[0]
    for name in ("a right one", "z right one"):
        assert (rows[name].status, rows[name].score) == ("graded", 3)
    assert len(rows) == len(HOSTILE) + 4


def test_a_link_is_not_followed(batch):
    assert batch[0]["linked"].status == "not graded: a symbolic link, which is not followed"


def test_definitions_that_do_not_end_cost_the_notebook_alone(batch):
    row = batch[0]["endless definitions"]
    assert row.status == "stopped"
    assert row.notes == ["while its definitions ran, it took longer than 8 seconds"]


def test_nothing_around_was_touched(batch):
    _, base, own = batch
    assert (base / "canary" / "kept").read_text() == "unharmed"
    assert (containment.PACKAGE / "checks" / "__init__.py").read_bytes() == own
    assert not Path("/tmp/large").exists()


def test_no_process_is_left(batch):
    own = psutil.Process()
    beside = {other.pid for other in own.parent().children()} - {own.pid}  # of pytest-xdist
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "vae_helpers.grading.child" in " ".join(process.cmdline()):
                above = {parent.pid for parent in process.parents()}
                left += [] if above & beside else [process]
    assert not left


# --- which boundary there is --------------------------------------------------------------------


def test_windows_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(containment.os, "name", "nt")
    with pytest.raises(OSError, match="on Windows use WSL"):
        containment.find_containment(uncontained=True)


@pytest.mark.parametrize(
    ("installed", "failure", "problem"),
    [
        (False, "", "it is not installed"),
        (True, "not permitted", r"it is not allowed \(not permitted\)"),
    ],
)
def test_without_bubblewrap_it_goes_on_only_if_asked(monkeypatch, installed, failure, problem):
    monkeypatch.setattr(containment.shutil, "which", lambda program: program if installed else None)
    monkeypatch.setattr(containment, "_failure", lambda command: failure)
    with pytest.raises(PermissionError, match=problem):
        containment.find_containment()
    assert containment.find_containment(uncontained=True) is False


@pytest.mark.parametrize("uncontained", [False, True])
@pytest.mark.parametrize("package", ["empty", "nowhere"])
def test_where_the_course_does_not_start_inside_bubblewrap_nothing_is_graded(
    tmp_path,
    monkeypatch,
    sealed,
    package,
    uncontained,
):
    """As after a move of modules: a wrong path is bound. It must not become a run without a boundary."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.ipynb").write_bytes(RIGHT)
    monkeypatch.setattr(containment, "PACKAGE", tmp_path / package)
    monkeypatch.setattr(attempt, "run_child", lambda *_, **__: pytest.fail("a submission was run"))
    with pytest.raises(OSError, match="bubblewrap works here, but the course does not start"):
        grading.grade(tmp_path, f"{tmp_path}-out", uncontained=uncontained)


def test_the_child_runs_the_graders_own_code(tmp_path, monkeypatch, sealed):
    """And no other `vae_helpers` that this Python would import."""
    other = tmp_path / "vae_helpers"
    shutil.copytree(containment.PACKAGE, other, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(containment, "PACKAGE", other)
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.ipynb").write_bytes(
        with_walk(
            "def walk(p, s):\n    import vae_helpers\n    raise ValueError(vae_helpers.__file__)"
        )
    )
    (row,) = grading.grade(source, tmp_path / "out", lessons=["07"])
    assert f"ValueError: {other}" in row.checks["walk"].message


def test_the_course_and_its_environment_may_lie_below_tmp(tmp_path, sealed):
    """Where the submissions' own /tmp is put over the system's; `tmp_path` mostly lies there too."""
    base = tmp_path if tmp_path.is_relative_to("/tmp") else Path(tempfile.mkdtemp(dir="/tmp"))
    course, environment, source = base / "course", base / "environment", base / "in"
    shutil.copytree(
        containment.PACKAGE, course / "vae_helpers", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    found = [path for path in sys.path if path.endswith("-packages")]
    (packages / "course.pth").write_text("\n".join([*found, str(course)]))
    source.mkdir()
    (source / "a.ipynb").write_bytes(
        with_walk(
            "def walk(p, s):\n    import os\n    open('/tmp/scratch', 'w').close()\n"
            "    raise ValueError(sorted(os.listdir('/tmp')), os.path.exists(IN))",
            f"IN = {str(source)!r}",
        )
    )
    command = [environment / "bin" / "python", "-m", "vae_helpers", "grade", source]
    done = subprocess.run(
        [*command, "--out", base / "out", "--lesson", "07"],
        cwd=course, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("1 submissions, 1 graded"), done.stderr
    (record,) = (base / "out" / "records").iterdir()
    row = json.loads(record.read_text("utf-8"))
    assert [verdict["passed"] for verdict in row["checks"].values()] == [True, True, False]
    first = base.relative_to("/tmp").parts[0]
    assert f"ValueError: ({sorted([first, 'scratch'])}, False)" in row["checks"]["walk"]["message"]


def test_spare_users_are_different_and_in_a_range_that_no_one_uses():
    uids = [uid for uid in (containment._spare_user() for _ in range(12)) if uid is not None]
    assert len(set(uids)) == len(uids)
    assert all(60_000 <= uid < 65_000 for uid in uids)
