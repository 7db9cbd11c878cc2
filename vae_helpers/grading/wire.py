"""What crosses the pipe from the child process to the grader: frames, and in them records of plain arrays and strings.

A frame is its length, 8 bytes, and as many bytes. The child sends `b"ready"`, then what can be said of the notebook
before a line of it runs (JSON), then the errors of its definitions (JSON), then a record for each check.
"""

from __future__ import annotations

import json
import os
import struct

import numpy as np

from vae_helpers.checks import Record


def pack(record: Record) -> bytes:
    """A record as bytes: arrays and strings in the safetensors format, which holds nothing that could run."""
    from safetensors.numpy import save

    arrays = {key: np.asarray(v, order="C") for key, v in record.items() if not isinstance(v, str)}
    strings = {
        key: v.encode("utf-8", "replace").decode()
        for key, v in record.items()
        if isinstance(v, str)
    }
    return bytes(save(arrays, metadata=strings))


def unpack(data: bytes) -> Record:
    """The record again.

    Raises:
        ValueError: these bytes are no record.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        (length,) = struct.unpack("<Q", data[:8])
        strings = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, struct.error, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"not a record: {error}") from None
    return {**arrays, **{str(key): str(value) for key, value in strings.items()}}


def send(pipe: int, payload: bytes) -> None:
    """Write one frame to the pipe of this file descriptor."""
    data = struct.pack("<Q", len(payload)) + payload
    while data:
        data = data[os.write(pipe, data) :]


def take_frames(buffer: bytearray, frames: list[bytes]) -> bool:
    """Move whole frames out of the buffer; True if there was one."""
    before = len(frames)
    while len(buffer) >= 8:
        (length,) = struct.unpack("<Q", buffer[:8])
        if len(buffer) < 8 + length:
            break
        frames.append(bytes(buffer[8 : 8 + length]))
        del buffer[: 8 + length]
    return len(frames) > before
