"""The process that runs one submitted notebook: it probes the answers, and sends plain arrays to the grader.

What can be said of the notebook without running it is sent first, while no line of it has run.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import inspect
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, patch

import torch

from vae_helpers import answers
from vae_helpers.checks import EXERCISES, OURS, Record, holder_of, probe, refused

from .notebook import Notebook, UnreadableError, cells_of, run_definitions
from .wire import pack, send


def main(argument: str) -> None:
    """Probe the notebook as the grader's `argument` (JSON) says, then end this process at once."""
    job = json.loads(argument)
    _limit(job["limits"], job["uid"])
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - stays open
    torch.set_num_threads(1)
    for frame in frames_of(job):
        send(job["pipe"], frame)
    os._exit(0)


def frames_of(job: dict[str, Any]) -> Iterator[bytes]:
    """The frames that one notebook sends, each as soon as it is there; the notebook runs on the way."""
    yield b"ready"
    facts, notebook = _read(Path(job["notebook"]), job["checks"])
    yield json.dumps(facts).encode()
    if notebook is None:
        return
    sys.path.append(str(Path(job["notebook"]).parent))
    # what IPython puts there does nothing here
    space: dict[str, Any] = {
        "__name__": "__main__",
        "display": MagicMock(),
        "get_ipython": MagicMock(),
    }
    wanted = {holder_of(name) for name in job["checks"]}
    errors = run_definitions(notebook.needed(*wanted), space)
    yield json.dumps({"errors": errors}).encode()
    for name in job["checks"]:
        with ours_in_place(space, name, job["instead"].get(name, ())) as mended:
            record = _probed(name, mended, notebook, job["seed"])
        yield pack(record)


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
        "uses": {check: _used_by(check, notebook) for check in checks},
    }, notebook


def _used_by(check: str, notebook: Notebook) -> list[str]:
    """The checks whose answers this one builds on: functions that it calls; the methods, for a whole model."""
    exercise = EXERCISES[check]
    if isinstance(exercise.answer, type):
        return [name for name in EXERCISES if holder_of(name) == exercise.holder and name != check]
    return sorted(notebook.uses(check) & set(EXERCISES)) if exercise.holder == check else []


@contextlib.contextmanager
def ours_in_place(
    space: dict[str, Any], check: str, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Let the course's own answers stand in for the learner's of these names while a check is probed.

    Functions are replaced for all that calls them. Methods are replaced in a subclass that this check alone gets, since
    `super(VAE, self)` in the learner's class counts on what its name means.
    """
    functions = {name: EXERCISES[name].answer for name in names if holder_of(name) == name}
    methods = [name for name in names if name not in functions]
    holder = holder_of(check)
    with patch.dict(space, functions):
        if methods and isinstance(space.get(holder), type):
            yield space | {holder: _with_our_methods(space[holder], methods)}
        else:
            yield space


def _with_our_methods(model: Any, names: Sequence[str]) -> Any:
    """A subclass of a learner's model that hands these methods to a model of the course, of as many latents."""

    class Mended(model):
        __module__ = model.__module__  # it is the learner's, and not taken from the course

        def __init__(self) -> None:
            super().__init__()
            latents = 20
            with contextlib.suppress(Exception), torch.no_grad():
                latents = super().encode(torch.zeros(2, 784))[0].shape[1]
            self.course = answers.VAE(latents)

    def handed_on(name: str) -> Any:
        return lambda self, *given: getattr(self.course, name)(*given)

    for name in names:
        setattr(Mended, name, handed_on(name))
    return Mended


def _probed(name: str, space: dict[str, Any], notebook: Notebook, seed: int) -> Record:
    """The record of one check; where there is nothing to call, it says so under `refused` or `missing`.

    An exception of the probe itself stands under `fault`.
    """
    target = holder_of(name)
    if target not in space:
        broken = target in notebook.defined
        return {"missing": "broken" if broken else _may_be_meant(target, notebook)}
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


# what the arguments of the answers are called elsewhere, without capitals and _
CALLED = {
    "mu": ("mean", "means", "zmean", "zmu", "m"),
    "logvar": (
        "zlogvar",
        "logv",
        "lv",
        "logvariance",
        "logsigma2",
        "logsigmasq",
        "logsigmasquared",
    ),
    "reconx": (
        "xrecon",
        "xhat",
        "recon",
        "recons",
        "reconstruction",
        "reconstructed",
        "output",
        "xr",
    ),
    "x": ("data", "batch", "images", "target", "inputs", "input"),
    "model": ("vae", "net", "network"),
    "optimizer": ("optimiser", "optim", "opt"),
}
USUAL = {other: usual for usual, others in CALLED.items() for other in others}


def _may_be_meant(target: str, notebook: Notebook) -> str:
    """What of the notebook may be an answer under another name: by its spelling, its arguments, its methods; or ''."""
    others = [name for name in notebook.defined if name not in OURS]
    for near in difflib.get_close_matches(target, others, n=1):
        return near
    answer: Any = getattr(answers, target)
    wanted = sorted(map(_usual, inspect.signature(answer).parameters))
    for node in (one.node for one in notebook.statements):
        if isinstance(node, ast.ClassDef) and isinstance(answer, type):
            methods = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            if {"encode", "decode"} <= methods:
                return node.name
        elif isinstance(node, ast.FunctionDef) and node.name in others:
            named = [argument.arg for argument in node.args.args]
            if sorted(map(_usual, named)) == wanted and not isinstance(answer, type):
                return f"{node.name}({', '.join(named)})"
    return ""


def _usual(name: str) -> str:
    plain = name.lower().replace("_", "")
    return USUAL.get(plain, plain)
