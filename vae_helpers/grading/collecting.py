"""Finds the submissions in what a teacher has: a folder of notebooks, a folder for each learner, or a ZIP of either.

Nothing in it is trusted: links are not followed, names are never used as paths, archives are unpacked under limits.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

WORK = "vae-grading-"  # the name of a work folder begins so
LARGEST_FILE = 50 << 20  # bytes
LARGEST_ARCHIVE = 4 << 30  # bytes of all files in the archive of a class, unpacked
LARGEST_INNER_ARCHIVE = 200 << 20  # and in that of one learner
_numbers = itertools.count()
MOST_FILES = 20_000  # in one archive, or in the folder of one learner
# what systems and editors leave behind: no submission
LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini", "__pycache__", "report.html")


ALL_LESSONS = (
    *("00_start_here", "01_key_concepts", "02_architecture", "03_loss", "04_why_it_matters"),
    *("05_vae_and_gan", "06_exercise", "07_mini_project", "08_how_good_is_it"),
    *("09_text", "10_molecules", "11_sharper", "12_compression"),
)


class CollectingError(ValueError):
    """What was given is no folder or archive of submissions."""


@dataclass
class Submission:
    """One entry of what was handed in: its files by the names they had, and a reason if none can be graded."""

    name: str
    files: dict[str, Path] = field(default_factory=dict)
    problem: str = ""

    @property
    def notebooks(self) -> list[str]:
        """The names of its notebooks, in the order of the alphabet."""
        return sorted(name for name in self.files if name.lower().endswith(".ipynb"))

    def notebooks_of(self, lesson: str) -> list[str]:
        """Those with the lesson's number in their name; without any, those that are not named like a lesson.

        The course's own, in folders named `solutions`, are left out. Copies, which have longer names, come last.
        """
        names = {path: PurePosixPath(path).name for path in self.notebooks}
        own = [path for path in names if "solutions" not in PurePosixPath(path).parts]
        own.sort(key=lambda path: (len(path), path))
        numbered = [path for path in own if re.search(rf"(?<!\d){lesson}(?!\d)", names[path])]
        return numbered or [path for path in own if not names[path].startswith(ALL_LESSONS)]


def disk_is_full(error: BaseException) -> bool:
    """Whether it is the disk that failed, which is nobody's submission's fault."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary folder that goes at the end; one that a killed run left behind goes now.

    Each holds a lock, which the system opens when its owner is gone.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{WORK}*"):
        with contextlib.suppress(OSError, Timeout):
            status = old.lstat()
            ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
            if ours and time.time() - status.st_mtime > 60:  # a newer one may not have its lock yet
                with FileLock(old / "lock", timeout=0):
                    shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix=WORK) as name, FileLock(Path(name) / "lock"):
        yield Path(name)


def collect(source: str | Path, workplace: Path) -> list[Submission]:
    """The submissions in a folder or a ZIP, by name; archives are unpacked into `workplace`, an empty folder.

    Each entry at the top is one submission: a notebook, the folder of a learner, or an archive of such a folder.

    Raises:
        FileNotFoundError: there is nothing of that name.
        CollectingError: it is neither a folder nor a ZIP, or holds nothing.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"There is no folder or file {source}.")
    if source.is_dir():
        found = [_from_entry(entry, workplace) for entry in _entries(source)]
    elif zipfile.is_zipfile(source):
        try:
            found = _from_archive(source, workplace)
        except CollectingError as error:
            raise CollectingError(f"{source.name}: {error}.") from None
    else:
        raise CollectingError(
            f"{source} is neither a folder nor a ZIP archive. Give the folder that holds the submissions, or the "
            "ZIP that your learning platform exports."
        )
    if not found:
        raise CollectingError(f"{source} holds no submissions: it is empty.")
    return sorted(found, key=lambda submission: submission.name)


def _litter(name: str) -> bool:
    return name.startswith(".") or name in LITTER


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not _litter(e.name)), key=lambda entry: entry.name)


def _from_entry(entry: os.DirEntry[str], workplace: Path) -> Submission:
    submission = Submission(entry.name)
    if entry.is_symlink():
        submission.problem = "a symbolic link, which is not followed"
    elif entry.is_dir():
        _gather(submission, entry.path, "")
    elif not entry.is_file():
        submission.problem = "neither a file nor a folder"
    else:
        _add(submission, entry.name, Path(entry.path))
    return _opened(submission, workplace)


def _gather(submission: Submission, folder: str, prefix: str) -> None:
    try:
        entries = _entries(Path(folder))
    except OSError as error:
        submission.problem = f"its folder cannot be read: {error.strerror}"
        return
    for entry in entries:
        name = prefix + entry.name
        if len(submission.files) >= MOST_FILES or name.count("/") > 20:
            submission.problem = "too many files or folders"
            return
        if entry.is_symlink():
            continue
        if entry.is_dir():
            _gather(submission, entry.path, name + "/")
        elif entry.is_file():
            _add(submission, name, Path(entry.path))


def _add(submission: Submission, name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        if name.lower().endswith(".ipynb"):
            submission.problem = f"{name} cannot be read: {error.strerror}"
        return
    if size <= LARGEST_FILE:
        submission.files[name] = path
    elif name.lower().endswith(".ipynb"):
        submission.problem = _too_large(name)


def _too_large(name: str) -> str:
    return f"{name} is larger than {LARGEST_FILE >> 20} MB: clear its outputs, save it, and hand it in again"


def _opened(submission: Submission, workplace: Path) -> Submission:
    """Where there is no notebook but archives, what these hold; archives inside them stay closed."""
    if not submission.notebooks and not submission.problem:
        for name in [name for name in submission.files if name.lower().endswith(".zip")]:
            archive = submission.files.pop(name)
            try:
                for inner, path in _unpacked(archive, workplace, LARGEST_INNER_ARCHIVE):
                    if path is None:
                        submission.problem = _too_large(inner)
                    else:
                        submission.files[f"{name}/{inner}"] = path
            except CollectingError as error:
                submission.problem = f"{name}: {error}"
    if not submission.notebooks and not submission.problem:
        kinds = sorted({PurePosixPath(name).suffix or name for name in submission.files})
        held = f"only {', '.join(kinds[:5])}" if kinds else "nothing"
        submission.problem = f"no notebook (.ipynb): there is {held}"
    return submission


def _from_archive(archive: Path, workplace: Path) -> list[Submission]:
    """What stands at the top of an archive; a single folder around it all is stepped into."""
    files = dict(_unpacked(archive, workplace, LARGEST_ARCHIVE))
    found = _by_top(files)
    if len(found) == 1 and _holds_a_class(*found):
        found = _by_top({name.partition("/")[2]: path for name, path in files.items()})
    return [_opened(submission, workplace) for submission in found]


def _by_top(files: Mapping[str, Path | None]) -> list[Submission]:
    """The files of an archive as submissions, by the first part of their names; a path is None if it is too large."""
    found: dict[str, Submission] = {}
    for name, path in files.items():
        top, _, rest = name.partition("/")
        submission = found.setdefault(top, Submission(top))
        if path is None:
            submission.problem = _too_large(name)
        else:
            submission.files[rest or top] = path
    return list(found.values())


def _holds_a_class(folder: Submission) -> bool:
    """Whether a folder is that of a class, and not of one learner with a notebook for each of several lessons."""
    if folder.files and all("/" in name for name in folder.files):
        return True
    numbers = [re.findall(r"(?<!\d)\d\d(?!\d)", name) for name in folder.notebooks]
    lessons = {found[-1] for found in numbers if found}
    return len(folder.notebooks) > 1 and len(lessons) < len(folder.notebooks)


def _unpacked(archive: Path, workplace: Path, limit: int) -> Iterator[tuple[str, Path | None]]:
    """Each file of an archive under the name it has there, and where it was put: under a number, never that name."""
    total = 0
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES:
                raise CollectingError(f"it holds more than {MOST_FILES:,} files")
            for member in members:
                parts = [p for p in re.split(r"[/\\]", member.filename) if p not in ("", ".")]
                if not parts or any(map(_litter, (part for part in parts if part != ".."))):
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    continue
                name = str(PurePosixPath(*parts))
                target = workplace / f"{next(_numbers):06d}"
                size = _copy_member(opened, member, target, limit - total)
                total += size
                if size > LARGEST_FILE:
                    target.write_bytes(b"")
                    yield name, None
                else:
                    yield name, target
    except CollectingError:
        raise
    except Exception as error:  # what the decompressors raise on damaged data is of many kinds
        if disk_is_full(error):
            raise
        raise CollectingError(f"it cannot be unpacked: {error}") from None


def _copy_member(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Unpack one file, at most as far as to see that it is too large; the bytes that came."""
    size = 0
    with opened.open(member) as packed, target.open("wb") as file:
        while chunk := packed.read(1 << 20):
            size += len(chunk)
            if size > left:
                raise CollectingError("it unpacks to more than the limit")
            if size > LARGEST_FILE:
                break
            file.write(chunk)
    return size


def copy_for_one(submission: Submission, notebook: str, folder: Path) -> str:
    """Put a copy of a notebook, and of what lies beside it, into an empty folder; the notebook's name there."""
    beside = str(PurePosixPath(notebook).parent)
    for name, path in submission.files.items():
        if name != notebook and str(PurePosixPath(name).parent) == beside:
            plain = PurePosixPath(name).name
            if re.fullmatch(r"[\w.-]{1,100}", plain) and not plain.endswith(".ipynb"):
                shutil.copyfile(path, folder / plain)
    shutil.copyfile(submission.files[notebook], folder / "submission.ipynb")
    return "submission.ipynb"
