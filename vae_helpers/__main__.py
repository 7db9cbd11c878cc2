"""The command line: `python -m vae_helpers train …` and `python -m vae_helpers grade …`."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from .command_train import MODELS, Training, train
from .grading import FORMATS, LESSONS, grade

GO_ON = "The same command goes on from what is done."


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 if it was done, 2 with a sentence on stderr if it could not be."""
    parser = argparse.ArgumentParser(prog="python -m vae_helpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_train(commands)
    _add_grade(commands)
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal may lack a letter of a folder's name
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return int(given.run(given))
    except (ValueError, OSError) as error:
        print(f"{parser.prog} {given.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nStopped. {GO_ON}", file=sys.stderr)
        return 130


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="train a model of the course",
        description="Train a model, and write its weights and its history into a folder. A training that was stopped "
        "goes on. For several processes: torchrun --nproc-per-node=N -m vae_helpers train … See benchmarks/README.md.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the folder for the results")
    add("--model", choices=MODELS, help="what to train")
    add("--data", choices=("mnist", "fashion-mnist"), help="the images")
    add("--full", action="store_true", help="all 60,000 images, not the 10,000 of the course")
    add("--root", type=Path, help="the folder of the full image sets")
    add("--latents", type=int, help="the size of z")
    add("--beta", type=float, help="the weight of the KL term")
    add("--epochs", type=int, help="passes over the images")
    add("--batch-size", type=int, help="images a step, in all processes")
    add("--lr", type=float, help="the learning rate of Adam")
    add("--seed", type=int, help="of the weights, the order and the noise")
    choices = ("cpu", "cuda", "mps", "auto")
    add("--device", choices=choices, default="cpu", help="where to train; auto: a GPU, if any")
    parser.set_defaults(run=_train, **asdict(Training()))


def _train(given: argparse.Namespace) -> int:
    names = [field.name for field in fields(Training)]
    training = Training(**{name: getattr(given, name) for name in names})
    try:
        history = train(training, given.out, root=given.root, device=given.device)
    except RuntimeError as error:
        if "WORLD_SIZE" not in os.environ:
            raise
        print(f"Another process of this training ended ({error}). {GO_ON}", file=sys.stderr)
        return 1
    if history.interrupted:
        raise KeyboardInterrupt
    last = ", ".join(
        f"{name} {values[-1]:.2f}" for name, values in (history.test or history.train).items()
    )
    if os.environ.get("RANK", "0") == "0":  # of several processes the first one tells
        print(f"{given.out}: {history.finished} epochs, {last}")
    return 0


def _add_grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions",
        description="Grade the submissions in a folder, or in the ZIP that a learning platform exports. "
        "Each notebook, and each folder, at the top is one submission. See classroom/guide.md.",
    )
    add = parser.add_argument
    add("submissions", type=Path, help="the folder or ZIP")
    add("--out", type=Path, required=True, help="the folder for the results")
    lesson = "what to grade (default: 06); may be given twice"
    add("--lesson", action="append", choices=LESSONS, help=lesson)
    add("--jobs", type=int, help="submissions at a time (default: one a core)")
    seconds = "time limit of each step of a notebook (default: 30)"
    add("--seconds", type=float, default=30.0, help=seconds)
    uncontained = "go on without bubblewrap, inside a container of yours"
    add("--uncontained", action="store_true", help=uncontained)
    platform = "write the results for this platform too; may be given several times"
    add("--format", action="append", choices=FORMATS, help=platform)
    parser.set_defaults(run=_grade)


def _grade(given: argparse.Namespace) -> int:
    from tqdm import tqdm

    # told to end, it clears up as after Ctrl-C
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tqdm(total=None, unit="submission", desc="grading") as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            rows = grade(
                given.submissions,
                given.out,
                lessons=given.lesson or ["06"],
                jobs=given.jobs,
                seconds=given.seconds,
                uncontained=given.uncontained,
                formats=given.format or (),
                progress=progress,
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    graded = sum(row.graded for row in rows)
    print(f"{len(rows)} submissions, {graded} graded. Look at {given.out / 'class.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
