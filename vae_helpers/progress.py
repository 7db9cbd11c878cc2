"""What a learner has done so far, in a file beside the notebooks: predictions, and checks that were tried.

The file is written atomically, so that a crash leaves the old one. A lock beside it lets one notebook write at a
time. A file that cannot be read is set aside under another name, never overwritten.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from .files import write_whole

FILE = ".vae_progress.json"
PATIENCE = 10.0  # seconds to wait for another notebook
_LOCK = threading.RLock()


def progress_file() -> Path:
    """Where the progress is written: in the folder that the notebook runs in."""
    return Path.cwd() / FILE


def load_progress() -> dict[str, dict[str, Any]]:
    """The progress: 'predictions' and 'checks', each a dictionary. A damaged file is set aside with a warning."""
    path = progress_file()
    empty: dict[str, dict[str, Any]] = {"predictions": {}, "checks": {}}
    try:
        progress = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(progress, dict) or not all(
            isinstance(progress.get(k, {}), dict) for k in empty
        ):
            raise ValueError("it is not of the form that this course writes")
    except FileNotFoundError:
        return empty
    except ValueError as error:  # json and unicode errors are of this kind too
        aside = path.with_name(f"{path.stem}.damaged-{time.time_ns()}.json")
        try:
            path.replace(aside)
            done = f"It was set aside as {aside.name}, and a new one begun."
        except OSError as reason:  # a folder that cannot be written
            done = f"It could not be set aside either: {reason}."
        warnings.warn(f"Your progress file could not be read ({error}). {done}", stacklevel=3)
        return empty
    return empty | progress


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One thread of one notebook at a time. Where no lock can be had, go on: what is written is whole in any case."""
    with _LOCK, contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, NotImplementedError):
            held.enter_context(FileLock(f"{progress_file()}.lock", timeout=PATIENCE))
        yield


def record_check(name: str, passed: bool, diagnosis: str | None) -> None:
    """Keep that a check was tried, and with what result."""
    with _alone():
        progress = load_progress()
        before = progress["checks"].get(name)
        entry = before if isinstance(before, dict) else {}
        tries = entry.get("tries", 0)
        seen = [d for d in entry.get("seen", []) if d != diagnosis] + (
            [diagnosis] if diagnosis else []
        )
        progress["checks"][name] = {
            "tries": (tries if isinstance(tries, int) else 0) + 1,
            "passed": passed,
            "seen": seen,
        }
        _save(progress)


def record_prediction(key: str, entry: dict[str, Any]) -> None:
    """Keep one prediction under its key."""
    with _alone():
        progress = load_progress()
        progress["predictions"][key] = entry
        _save(progress)


def _save(progress: dict[str, dict[str, Any]]) -> None:
    """Write the whole file. In a folder that cannot be written, warn."""
    path = progress_file()
    try:
        write_whole(path, json.dumps(progress, indent=1, ensure_ascii=False))
    except OSError as error:
        warnings.warn(f"Your progress could not be kept in {path}: {error}", stacklevel=3)
