"""The process that runs one submitted notebook: it probes the answers, and sends plain arrays to the grader.

What can be said of the notebook without running it is sent first, while no line of it has run.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch

from vae_helpers.checks import Record, holder_of, probe, refused

from .notebook import Notebook, UnreadableError, cells_of, run_definitions
from .wire import pack, send


def main(argument: str) -> None:
    """Probe the notebook as the grader's `argument` (JSON) says, then end this process at once."""
    job = json.loads(argument)
    pipe = job["pipe"]
    _limit(job["limits"], job["uid"])
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - stays open
    torch.set_num_threads(1)
    send(pipe, b"ready")
    facts, notebook = _read(Path(job["notebook"]), job["checks"])
    send(pipe, json.dumps(facts).encode())
    if notebook is None:
        os._exit(0)
    sys.path.append(str(Path(job["notebook"]).parent))
    # what IPython puts there does nothing here
    space: dict[str, Any] = {
        "__name__": "__main__",
        "display": MagicMock(),
        "get_ipython": MagicMock(),
    }
    wanted = {holder_of(name) for name in job["checks"]}
    errors = run_definitions(notebook.needed(*wanted), space)
    send(pipe, json.dumps({"errors": errors}).encode())
    for name in job["checks"]:
        send(pipe, pack(_probed(name, space, notebook, job["seed"])))
    os._exit(0)


def _limit(limits: dict[str, int], uid: int | None) -> None:
    """Become the user `uid`, if there is one, and set the limits of `resource` by their names."""
    import resource

    if uid is not None:  # a user that nobody is, so that the limit on processes counts these alone
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    for name, value in limits.items():
        which = getattr(resource, name, None)
        if which is not None:
            _, hard = resource.getrlimit(which)
            top = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (top, top))


def _read(path: Path, checks: Sequence[str]) -> tuple[dict[str, Any], Notebook | None]:
    """What can be said of the notebook, and the notebook itself if it can be read."""
    try:
        notebook = Notebook(cells_of(path.read_bytes()))
    except UnreadableError as error:
        return {"problem": str(error)}, None
    return {
        "unreadable": notebook.unreadable[:20],
        "borrowed": [check for check in checks if notebook.borrowed(holder_of(check))],
    }, notebook


def _probed(name: str, space: dict[str, Any], notebook: Notebook, seed: int) -> Record:
    """The record of one check; where there is nothing to call, it says so under `refused` or `missing`.

    An exception of the probe itself stands under `fault`.
    """
    target = holder_of(name)
    if target not in space:
        near = difflib.get_close_matches(target, notebook.defined, n=1)
        broken = target in notebook.defined
        return {"missing": "broken" if broken else near[0] if near else ""}
    answer = space[target]
    if str(getattr(answer, "__module__", "")).startswith("vae_helpers"):
        return {"borrowed": "yes"}
    try:
        verdict = refused(name, answer)
        return {"refused": verdict.message} if verdict else probe(name, answer, seed=seed)
    except Exception as error:  # what the answer raises is in the record; this is the probe's own
        return {"fault": f"{type(error).__name__}: {error}"[:300]}
    except BaseException as error:
        return {"refused": f"It raised {type(error).__name__}: {error}"[:600]}
