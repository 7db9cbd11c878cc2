"""The command line: `python -m vae_helpers grade …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .grading import LESSONS, grade


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 if it was done, 2 with a sentence on stderr if it could not be."""
    parser = argparse.ArgumentParser(prog="python -m vae_helpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_grade(commands)
    given = parser.parse_args(arguments)
    try:
        return int(given.run(given))
    except (ValueError, OSError) as error:
        print(f"{parser.prog} {given.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def _add_grade(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "grade",
        help="grade a folder of submissions",
        description="Grade the submissions in a folder, or in the ZIP that a learning platform exports. "
        "Each notebook, and each folder, at the top is one submission. See classroom/guide.md.",
    )
    parser.add_argument("submissions", type=Path, help="the folder or ZIP")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the results")
    parser.add_argument(
        "--lesson",
        action="append",
        choices=LESSONS,
        help="what to grade (default: 06); may be given twice",
    )
    parser.add_argument("--jobs", type=int, help="submissions at a time (default: one a core)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=30.0,
        help="time limit of each step of a notebook (default: 30)",
    )
    parser.add_argument(
        "--uncontained",
        action="store_true",
        help="go on without bubblewrap, inside a container of yours",
    )
    parser.set_defaults(run=_grade)


def _grade(given: argparse.Namespace) -> int:
    from tqdm import tqdm

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
            progress=progress,
        )
    graded = sum(not row.status.startswith("not graded") for row in rows)
    print(f"{len(rows)} submissions, {graded} graded. Look at {given.out / 'class.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
