"""What goes wrong around the course, done for real: a full disk, a folder that cannot be written, a killed kernel, two
notebooks at once, another locale, no torchvision, a wrong clock. Each ends in a sentence, and nothing that was kept is
lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from vae_helpers.progress import FILE

RECORD = """
import sys
from vae_helpers import progress
for number in range(int(sys.argv[2])):
    progress.record_prediction(f"{sys.argv[1]} {number}", {"answer": "x" * 200})
    print(number, flush=True)
"""
# as a notebook shows them: warnings and errors, one line each
KEEP = """
import sys, warnings
import torch
import vae_helpers as vh
from vae_helpers import progress
warnings.formatwarning = lambda message, *_: f"WARNING {message}\\n"
def report():
    vh.save_report("report.html", title="t" * 2000, answers={}, figures={})
def checkpoint():
    vh.fit(vh.VAE(2, 8), torch.rand(8, 784), epochs=2, checkpoint="model.pt", progress=False)
def page():
    vh.LatentLab(vh.VAE(2, 8)).save_html("lab.html")
for call in (lambda: progress.record_prediction("new", {"answer": "x" * 2000}), report, checkpoint, page):
    try:
        call()
    except OSError as error:
        print("ERROR", error, file=sys.stderr)
"""


def python(program, *arguments, cwd, before=(), **environment):
    """Run a program; what it wrote to stderr."""
    done = subprocess.run(
        [*before, sys.executable, "-", *arguments],
        input=program,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def mounted(script):
    """A command's prefix that runs this script, in a namespace where it may mount, before the command."""
    prefix = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{script} && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("this machine mounts nothing for its users")
    return prefix


@pytest.fixture
def kept(tmp_path):
    """A folder with what a learner has kept there."""
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in (FILE, "report.html", "lab.html"):
        (folder / name).write_text('{"predictions": {"old": {"answer": 1}}}')
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_what_was_said(said, why):
    assert len(said) == 4
    assert said[0].startswith("WARNING Your progress could not be kept in ")
    assert all(line.startswith("ERROR ") for line in said[1:])
    assert all(why in line for line in said)


def test_a_folder_that_cannot_be_written(kept):
    before = contents(kept)
    prefix = mounted(f"mount --bind {kept} {kept} && mount -o remount,bind,ro {kept} && cd {kept}")
    check_what_was_said(python(KEEP, cwd=kept, before=prefix).splitlines(), "Read-only file system")
    assert contents(kept) == before


def test_a_damaged_file_in_a_folder_that_cannot_be_written(kept):
    (kept / FILE).write_text("{")
    before = contents(kept)
    prefix = mounted(f"mount --bind {kept} {kept} && mount -o remount,bind,ro {kept} && cd {kept}")
    said = python(KEEP, cwd=kept, before=prefix).splitlines()
    assert "could not be read" in said[0]
    assert "could not be set aside either" in said[0]
    assert said[1].startswith("WARNING Your progress could not be kept in ")
    assert contents(kept) == before


def test_a_full_disk(kept, tmp_path):
    """A disk of 64 kB with what was kept, and the rest of it full; afterwards it is as before."""
    disk, zeros = tmp_path / "disk", "dd if=/dev/zero of=filled status=none 2>/dev/null"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=64k none {disk} && cp -a {kept}/. {disk} && cd {disk}"
    prefix = mounted(f"{mount} && ! {zeros}")
    program = KEEP + "import shutil\nshutil.copytree('.', sys.argv[1], dirs_exist_ok=True)\n"
    before = contents(kept)
    said = python(program, str(tmp_path / "after"), cwd=kept, before=prefix).splitlines()
    check_what_was_said(said, "No space left on device")
    after = contents(tmp_path / "after")
    assert set(after) <= {*before, "filled", f"{FILE}.lock"}
    assert {name: after[name] for name in before} == before


def test_two_notebooks_that_keep_their_progress_at_once(tmp_path):
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RECORD, name, "60"], cwd=tmp_path, stdout=subprocess.DEVNULL
        )
        for name in ("one", "two", "three")
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0]
    assert len(json.loads((tmp_path / FILE).read_text("utf-8"))["predictions"]) == 180


def test_a_kernel_that_is_killed_while_it_writes(tmp_path):
    """Ten times, at a moment that nobody chose. What it had said to be kept is kept."""
    wait = random.Random(0)
    for round_ in range(10):
        command = [sys.executable, "-c", RECORD, f"round {round_}", "100000"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
            said = [run.stdout.readline() for _ in range(3)]
            time.sleep(0.05 * wait.random())
            run.send_signal(signal.SIGKILL)
            said += run.stdout.readlines()
        predictions = json.loads((tmp_path / FILE).read_text("utf-8"))["predictions"]
        numbers = [int(line) for line in said if line.endswith("\n")]
        assert all(f"round {round_} {number}" in predictions for number in numbers)
        assert f"round {max(round_ - 1, 0)} 2" in predictions


LETTERS = """
import json
from pathlib import Path
import vae_helpers as vh
guess = vh.predict("Größer als μ?", ["ja ✓", "nein"])
guess.guess.value = "ja ✓"
guess.commit()
vh.save_report("r.html", title="σ² — Größe", answers={"é": "ş İ ı"}, figures={})
kept = json.loads(Path(".vae_progress.json").read_bytes())
assert "ja ✓" in json.dumps(kept, ensure_ascii=False)
assert "ş İ ı" in Path("r.html").read_bytes().decode("utf-8")
assert vh.load_texts("surnames").train and vh.pretrained_info("vae-mnist-20")
try:
    vh.load_images("MNIST")
except ValueError as error:
    assert "'mnist'" in str(error)
print(vh.LogLikelihood(-1.0, 0.5, 3, 4))
"""


STRANGE = {"LC_ALL": "C", "LANG": "tr_TR", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_another_locale(tmp_path):
    """No file is read or written in the encoding of the locale, which is ASCII here."""
    python(LETTERS, cwd=tmp_path, PYTHONIOENCODING="ascii:replace", **STRANGE)


COMMANDS = """
import sys
from vae_helpers.__main__ import main
assert main(["grade", sys.argv[1], "--out", "out"]) == 2
few_steps = ["--epochs", "1", "--latents", "2", "--batch-size", "5000"]
assert main(["train", *few_steps, "--out", sys.argv[1]]) == 0
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_another_terminal(tmp_path, encoding):
    """What a terminal cannot show it shows otherwise."""
    settings = {"cwd": tmp_path, "capture_output": True}
    settings["env"] = os.environ | STRANGE | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", COMMANDS, "Größe ✓"], check=False, **settings)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"1 epochs" in done.stdout


def test_without_torchvision(tmp_path):
    """torchvision from another index than torch does not load; what needs no torchvision does not ask for it."""
    python(
        "import sys; sys.modules['torchvision'] = None\n"
        "import torch, vae_helpers as vh\n"
        "x = vh.load_images('mnist').train_x[:64]\n"
        "vh.fit(vh.VAE(2, 8), x, epochs=1, progress=False)\n"
        "vh.LatentSliders(vh.load_pretrained('vae-mnist-20'), 3)",
        cwd=tmp_path,
    )


@pytest.mark.skipif(
    not torch.version.cuda or torch.cuda.is_available(),
    reason="this is for PyTorch's CUDA build on a machine without a GPU",
)
def test_a_cuda_build_without_a_driver(tmp_path):
    said = python(
        "import torch, vae_helpers as vh, sys\n"
        "x = torch.rand(8, 784)\n"
        "vh.fit(vh.VAE(2, 8), x, epochs=1, progress=False)\n"
        "try:\n    vh.fit(vh.VAE(2, 8), x, epochs=1, device='cuda', progress=False)\n"
        "except ValueError as error:\n    print(error, file=sys.stderr)",
        cwd=tmp_path,
    )
    assert len(said.splitlines()) == 1
    assert "There is no device 'cuda' here" in said.replace("\\", "")
    assert "There is: cpu" in said


WRONG_CLOCK = """
import itertools, sys, time
readings = itertools.cycle([0.0, 4.1e9, 1.0, -5.0])  # 1970, the year 2099, and back
time.time = lambda: next(readings)
"""
TRAIN = """
torch.manual_seed(0)
history = vh.fit(vh.VAE(2, 8), torch.rand(64, 784), epochs=3)
print("SECONDS", *history.seconds, file=sys.stderr)
"""


def test_a_clock_that_is_wrong_and_jumps(tmp_path):
    said = python(WRONG_CLOCK + KEEP + TRAIN, cwd=tmp_path)
    assert "ERROR" not in said
    assert "WARNING" not in said
    seconds = [float(part) for part in said.split("SECONDS")[1].split()]
    assert len(seconds) == 3
    assert all(0 < second < 60 for second in seconds)
    assert {"report.html", "model.pt", "lab.html", FILE} <= {p.name for p in tmp_path.iterdir()}
    assert "new" in json.loads((tmp_path / FILE).read_text("utf-8"))["predictions"]
