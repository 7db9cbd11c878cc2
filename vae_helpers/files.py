"""Write files atomically."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


def write_whole(path: str | Path, content: bytes | str) -> None:
    """Write a file atomically: a crash, or a full disk, leaves an older one as it was.

    Strings are written in UTF-8; what UTF-8 cannot hold, half a surrogate pair, is written as its escape.

    Raises:
        OSError: the folder does not exist, cannot be written, or is full; the error names the file.
    """
    path = Path(path)
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            # or, on some systems, a crash of the machine leaves an empty file
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
