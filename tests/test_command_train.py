"""Training from the command line: what it writes, that it goes on, and that several processes equal one."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file

from vae_helpers import VAE, fit, load_images, processes
from vae_helpers.__main__ import main
from vae_helpers.command_train import MODELS, Training, train

COMMAND = [sys.executable, "-m", "vae_helpers", "train"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TORCHRUN += ["-m", "vae_helpers", "train"]
ENVIRONMENT = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def run(command, out, *options, check=True):
    done = subprocess.run(
        [*command, "--out", str(out), *options],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=240,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture
def here():
    """Trains in this process, with one thread as the others: no new interpreter is needed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield lambda out, *options: main(["train", "--out", str(out), *options])
    torch.set_num_threads(threads)


def weights(out):
    return load_file(out / "model.safetensors")


def same(a, b, **tolerance):
    for name in a | b:
        torch.testing.assert_close(a[name], b[name], **tolerance or {"rtol": 0, "atol": 0})


def told(out):
    return json.loads((out / "training.json").read_text("utf-8"))


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_trained_and_written(tmp_path, model, monkeypatch, capsys):
    few = load_images("mnist")
    object.__setattr__(few, "train_x", few.train_x[:1_000])
    object.__setattr__(few, "train_y", few.train_y[:1_000])
    monkeypatch.setattr("vae_helpers.command_train.load_images", lambda *a, **k: few)
    out = tmp_path / "new" / "out"
    options = ["--model", model, "--latents", "3", "--epochs", "2", "--batch-size", "100"]
    assert main(["train", "--out", str(out), *options]) == 0
    assert f"{out}: 2 epochs, " in capsys.readouterr().out
    MODELS[model](3).load_state_dict(weights(out))
    found = told(out)
    assert found["settings"]["model"] == model
    assert len(found["seconds"]) == 2
    assert all(len(values) == 2 for values in found["train"].values())
    assert found["source"] == few.source


def test_it_is_what_fit_does(tmp_path):
    train(Training(epochs=1, seed=3, beta=2.0), tmp_path)
    images = load_images("mnist")
    torch.manual_seed(3)
    model = VAE(20)
    generator = torch.Generator().manual_seed(3 * 1_000_003)
    fit(model, images.train_x, epochs=1, beta=2.0, generator=generator, progress=False)
    same(weights(tmp_path), model.state_dict())


def test_a_killed_training_goes_on_as_if_it_had_not_been(tmp_path, here):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert here(whole, "--epochs", "4") == 0
    process = subprocess.Popen(
        [*COMMAND, "--out", str(killed), "--epochs", "4"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert "train" not in told(killed)
    assert here(killed, "--epochs", "4") == 0
    same(weights(whole), weights(killed))
    assert told(whole)["test"] == told(killed)["test"]
    first_four = told(whole)["train"]
    assert here(whole, "--epochs", "5") == 0  # and further
    assert told(whole)["train"]["loss"][:4] == first_four["loss"]
    assert len(told(whole)["train"]["loss"]) == 5


def test_two_processes_take_the_steps_of_one(tmp_path, here):
    """An autoencoder draws no noise, so that the same order of images must give the same weights.

    Few steps: sums in another order differ by their rounding, and each step makes that larger, on some processors to
    as much as Adam moves a weight. After six steps it is below 1e-6; the least fault that was tried gives 3e-3.
    """
    options = ["--model", "autoencoder", "--epochs", "1"]
    options += ["--batch-size", "1999"]  # uneven halves, and a last batch of 5
    assert here(tmp_path / "one", *options) == 0
    run(TORCHRUN, tmp_path / "two", *options)
    one, two = told(tmp_path / "one"), told(tmp_path / "two")
    assert (one["processes"], two["processes"]) == (1, 2)
    same(weights(tmp_path / "one"), weights(tmp_path / "two"), rtol=0, atol=2e-5)
    assert one["train"]["loss"] == pytest.approx(two["train"]["loss"], rel=1e-5)


LEFT_OVER = """
import os, sys
from vae_helpers.__main__ import main
assert main(["train", "--epochs", "1", "--batch-size", "5000", "--out", sys.argv[1]]) == 0
for thread in os.listdir("/proc/self/task"):
    with open(f"/proc/self/task/{thread}/comm") as name:
        print(name.read().strip())
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads the threads' names in /proc"
)
def test_no_thread_of_the_process_group_outlives_it(tmp_path):
    """One that does can crash the interpreter as it ends, once in many times."""
    program = tmp_path / "program.py"
    program.write_text(LEFT_OVER)
    command = [*TORCHRUN[:3], "--standalone", "--nproc-per-node=1", str(program), tmp_path / "out"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "python" in done.stdout  # the main thread
    assert "gloo" not in done.stdout, done.stdout


def test_two_processes_draw_noise_of_their_own_and_reach_the_same_loss(tmp_path, here, capsys):
    assert here(tmp_path / "one", "--epochs", "2") == 0
    printed = {"one": capsys.readouterr().out}
    printed["two"] = run(TORCHRUN, tmp_path / "two", "--epochs", "2").stdout
    for name, out in printed.items():
        loss = told(tmp_path / name)["test"]["loss"][-1]  # of the first process, which alone tells
        assert out.count("0/2 epochs,") == 1
        assert re.findall(r": 2 epochs, loss ([\d.]+),", out) == [f"{loss:.2f}"]
    one, two = (told(tmp_path / name)["test"]["loss"] for name in ("one", "two"))
    assert one[-1] == pytest.approx(two[-1], abs=1.5)
    first, second = torch.load(tmp_path / "two" / "checkpoint.pt", weights_only=True)["random"]
    assert not torch.equal(first[0], second[0])


def test_when_a_process_is_killed_the_others_end_and_the_training_can_go_on(tmp_path):
    process = subprocess.Popen(
        [*TORCHRUN, "--out", str(tmp_path), "--epochs", "4000", "--batch-size", "1000"],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [c for c in children if "--epochs" in " ".join(c.cmdline())]
    workers[-1].kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Another process of this training ended" in said
    assert "The same command goes on from what is done." in said
    assert not any(worker.is_running() for worker in workers)
    done = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["history"]["seconds"]
    run(TORCHRUN, tmp_path, "--epochs", str(len(done) + 1), "--batch-size", "1000")
    assert told(tmp_path)["seconds"][: len(done)] == done


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--beta", "2", "--model", "gan"], "beta weights the KL term of a VAE"),
        (["--latents", "0"], "at least 1"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--lr", "nan"], "positive and finite"),
        (["--device", "cuda"], "There is no device 'cuda' here"),
        (["--full", "--root", "/dev/null"], "/dev/null"),
    ],
)
def test_bad_settings_end_with_a_sentence(tmp_path, options, said, capsys):
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["train", "--out", str(tmp_path / "out"), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_another_training_is_left_alone(tmp_path, capsys):
    (tmp_path / "training.json").write_text('{"settings": {"seed": 7}}')
    assert main(["train", "--out", str(tmp_path)]) == 2
    assert "holds another training, of {'seed': 7}" in capsys.readouterr().err
    (tmp_path / "training.json").write_text("{")
    assert main(["train", "--out", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["training.json"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "gan"], "A GAN is trained in one process"),
        (["--batch-size", "1"], "Each of the 2 processes needs an image of every batch"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(tmp_path, options, said, monkeypatch, capsys):
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "rank", lambda: 0)
    assert main(["train", "--out", str(tmp_path / "out"), "--epochs", "1", *options]) == 2
    assert said in capsys.readouterr().err
