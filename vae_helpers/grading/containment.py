"""Runs a submission in a process that can harm nothing, and brings back what it sent, whatever became of it.

With bubblewrap (Linux) it sees the system's libraries, this Python and a copy of its own folder, all read-only;
no other file, no network, no other process, no variable of the environment. Everywhere it has a time limit, and
limits on memory, file size and processes. Those limits alone are no boundary: see `classroom/guide.md`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .wire import take_frames

MEMORY = 2 << 30  # bytes that one process may allocate
TREE_MEMORY = 3 << 30  # and all processes of a submission together
PROCESSES = 64
SCRATCH = 64 << 20  # bytes it may write in all, in memory
SENT = 64 << 20  # bytes it may send to the grader
START_SECONDS = 120.0  # for Python and torch to load: none of the submission's code
LIMITS = {
    "RLIMIT_DATA": MEMORY,
    "RLIMIT_FSIZE": 16 << 20,
    "RLIMIT_NPROC": PROCESSES,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_CORE": 0,
}
PACKAGE = Path(__file__).parents[1]
# the child runs this very package, whatever else is installed under its name
IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import vae_helpers; del sys.path[0]"
PROGRAM = f"{IMPORT}; from vae_helpers.grading.child import main; main(sys.argv[2])"
TRIAL = f"{IMPORT}; assert vae_helpers.__path__ == [sys.argv[2]]; import vae_helpers.grading.child"
_slots = itertools.count()
_running: set[subprocess.Popen[bytes]] = set()


def stop_all() -> None:
    """End every submission that is running, of whatever thread."""
    for process in list(_running):
        process.kill()


@dataclass
class Sent:
    """What a process sent before it ended: its frames, and why no more came ('' if it said all it had to)."""

    frames: list[bytes] = field(default_factory=list)
    stopped: str = ""


def find_containment(*, uncontained: bool = False) -> bool:
    """Whether bubblewrap will contain the submissions, tried out; False only where `uncontained` allows it.

    Raises:
        PermissionError: bubblewrap is missing or not allowed, and `uncontained` is False.
        OSError: bubblewrap works, but the course does not start inside it; or this is Windows.
    """
    if os.name == "nt":
        raise OSError(
            "Grading runs submissions under limits that Windows does not have. It runs on Linux and macOS; "
            "on Windows use WSL, as classroom/guide.md says."
        )
    problem = "it is not installed (Debian and Ubuntu: apt install bubblewrap)"
    if shutil.which("bwrap"):
        mounts = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
        refused = _failure([*_namespaces(), *mounts, "true"])
        if not refused:
            trial = [sys.executable, "-I", "-B", "-c", TRIAL, str(PACKAGE.parent), str(PACKAGE)]
            if failure := _failure([*_bubblewrap(PACKAGE), *trial]):
                raise OSError(
                    f"bubblewrap works here, but the course does not start inside it: {failure}. Nothing was graded."
                )
            return True
        problem = f"it is not allowed ({refused})"
    if not uncontained:
        raise PermissionError(
            f"Nothing here keeps a submission from your files. bubblewrap would, but {problem}. Install or allow it, "
            "or grade inside a container or virtual machine, as classroom/guide.md says, with --uncontained."
        )
    return False


def _failure(command: list[str]) -> str:
    """What a command says at its end if it fails; '' if it succeeds."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=START_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = done.stderr.decode(errors="replace").strip()
    return (said.splitlines()[-1] if said else f"exit {done.returncode}") if done.returncode else ""


def _namespaces() -> list[str]:
    """The start of a bubblewrap command: no network, no other process, no privilege."""
    options = ["--unshare-all"]
    if os.geteuid() == 0:  # root need not be mapped; the process itself becomes another user
        options = ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    command = ["bwrap", *options, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return command


def _bubblewrap(folder: Path) -> list[str]:
    """The bubblewrap command for a submission's folder: the file system that it sees is built up from nothing."""
    command = _namespaces()
    scratch = ["--size", str(SCRATCH), "--perms", "1777", "--tmpfs", "/tmp"]
    command += scratch  # first: the course or Python may lie below it
    for path in map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64")):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            command += ["--ro-bind", str(path), str(path)]
    seen = [Path("/usr"), Path("/etc/ld.so.cache"), Path("/etc/alternatives"), Path("/nix/store")]
    seen += [Path(sys.prefix), Path(sys.base_prefix), PACKAGE]
    seen += [Path(part) for part in sys.path if part and Path(part).name.endswith("-packages")]
    for path in sorted({path.resolve() for path in seen} | set(seen)):
        if path.exists():
            for parent in [*path.parents][-2::-1]:  # bubblewrap would make them for root alone
                command += ["--dir", str(parent)]
            command += ["--ro-bind", str(path), str(path)]
    command += ["--dev", "/dev", "--size", str(SCRATCH), "--tmpfs", "/dev/shm"]
    command += ["--remount-ro", "/dev", "--proc", "/proc"]
    command += ["--ro-bind", str(folder), "/submission", "--chdir", "/submission"]
    return [*command, "--remount-ro", "/", "--"]


def run_child(
    folder: Path,
    notebook: str,
    checks: Sequence[str],
    seed: int,
    seconds: float,
    *,
    sealed: bool,
    instead: Mapping[str, Sequence[str]] | None = None,
) -> Sent:
    """Run `child.main` on a notebook in `folder`, a copy that may be lost; `seconds` is for each step.

    It runs inside bubblewrap if `sealed`, else under limits alone. `instead` names, by check, the other checks in whose
    place it has the course's own answers.
    """
    reader, writer = os.pipe()
    job = {
        "pipe": writer,
        "notebook": str(("/submission" if sealed else folder) / Path(notebook)),
        "checks": list(checks),
        "seed": seed,
        "instead": dict(instead or {}),
        "limits": LIMITS | {"RLIMIT_CPU": round(START_SECONDS + seconds * (len(checks) + 1))},
        "uid": _spare_user() if sealed and os.geteuid() == 0 else None,
    }
    command = [sys.executable, "-I", "-B", "-c", PROGRAM, str(PACKAGE.parent), json.dumps(job)]
    if sealed:
        command = [*_bubblewrap(folder), *command]
    scratch = "/tmp" if sealed else str(folder)
    environment = {"PATH": "/usr/bin:/bin", "HOME": scratch, "TMPDIR": scratch, "LANG": "C.UTF-8"}
    environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "CUDA_VISIBLE_DEVICES": ""}
    # libraries ask for a name, which the process's number has not
    environment |= {"USER": "learner"}
    # `torch.compile` hands on what it is given: there is no compiler inside, and nothing to gain
    environment |= {"TORCH_COMPILE_DISABLE": "1"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writer],
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.close(writer)
    _running.add(process)
    try:
        return _listen(process, reader, 3 + len(checks), seconds)
    finally:
        _running.discard(process)
        _kill(process)
        os.close(reader)


def _spare_user() -> int | None:
    """The number of a user that nobody is, so that processes are counted for each submission; None if there is none."""
    uid = 60_000 + next(_slots) % 5_000
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        start, _, count = map(int, line.split())
        if start <= uid < start + count:
            return uid
    return None


def _listen(process: subprocess.Popen[bytes], reader: int, expected: int, seconds: float) -> Sent:
    """Take frames until all that are expected have come, or the process ends, or goes past a limit."""
    sent, buffer, total, looked, closed = Sent(), bytearray(), 0, 0.0, False
    deadline = time.monotonic() + START_SECONDS
    os.set_blocking(reader, False)
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            data = b""
            if closed:
                time.sleep(0.05)
            elif selector.select(0 if ended else 0.1):
                with contextlib.suppress(BlockingIOError):
                    data = os.read(reader, 1 << 20)
                    closed = not data
            buffer += data
            total += len(data)
            if total > SENT:
                sent.stopped = "it sent more than the limit"
                return sent
            if take_frames(buffer, sent.frames):
                deadline = time.monotonic() + seconds
            if len(sent.frames) >= expected:
                return sent
            if ended and not data:
                code = process.returncode
                sent.stopped = "" if code == 0 else _ending(code)
                return sent
            if time.monotonic() > deadline:
                sent.stopped = f"it took longer than {seconds:g} seconds"
                return sent
            if time.monotonic() - looked > 0.1:
                processes, memory = _used(process.pid)
                looked = time.monotonic()
                if memory > TREE_MEMORY or processes > PROCESSES:
                    used = "memory" if memory > TREE_MEMORY else "processes"
                    sent.stopped = f"it used more {used} than the limit"
                    return sent


def _ending(code: int) -> str:
    code = -code if code < 0 else code - 128 if code > 128 else 0
    with contextlib.suppress(ValueError):
        return f"its process was ended by {signal.Signals(code).name}"
    return "it ended its own process"


def _used(pid: int) -> tuple[int, int]:
    """Of a process and its descendants: how many there are, and the bytes of memory that they hold together."""
    processes, memory = [], 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    for exact in (False, True):
        memory = 0  # what they share counts for each of them, but in the exact way, which is slow
        for process in processes:
            with contextlib.suppress(psutil.Error):
                info = process.memory_full_info() if exact else process.memory_info()
                memory += getattr(info, "pss", info.rss)
        if memory <= TREE_MEMORY:
            break
    return len(processes), memory


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process, its session and its descendants; with bubblewrap nothing can outlive its first process."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
