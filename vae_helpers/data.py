"""The data of the course: embedded images, surnames and molecules, and the full image sets through torchvision."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import http.client
import json
import os
import struct
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

EMBEDDED = Path(__file__).parent / "embedded"
TIMEOUT = 20.0  # seconds without a byte before a download is given up
# the four files of a set, in idx format
PARTS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


@dataclass(frozen=True)
class ImageSet:
    """Images and labels for training and testing.

    ``train_x`` and ``test_x`` are float32 in [0, 1], shape (N, 1, 28, 28); ``train_y`` and ``test_y``
    are int64, shape (N,). ``class_names`` names each label, and ``source`` says where the data came from.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    class_names: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class TextSet:
    """Strings for training and testing, and `others`: real ones of the same kind that are in neither.

    `source` says where they came from, and under which licence.
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    others: tuple[str, ...]
    source: str


@cache
def _index(file: str = "index.json") -> dict[str, Any]:
    """What is known about each data set, as `tools/embed_images.py` (and `embed_texts.py`) wrote it."""
    index: dict[str, Any] = json.loads((EMBEDDED / file).read_text(encoding="utf-8"))
    return index


def load_images(name: str, *, full: bool = False, root: str | Path | None = None) -> ImageSet:
    """Load a set of images of 28 × 28 pixels: 'mnist' (digits) or 'fashion-mnist' (clothing).

    By default the subset that comes with the course: 10,000 training and 2,000 test images, the same
    number of each class. It needs no network.

    With ``full=True`` all 60,000 + 10,000 images. They are looked for in `root`, or else in the folder
    that the variable VAE_DATA names, or else in a cache folder of yours; what is missing is downloaded there.
    A folder may have torchvision's layout (``MNIST/raw/…``) or hold the idx files themselves, gzipped or not.

    Raises:
        ValueError: the name is unknown, or `root` is given without ``full=True``.
        OSError: a file is damaged, or a download failed (a second call goes on where it stopped).
    """
    _check_name(name, list(_index()))
    if not full:
        if root is not None:
            raise ValueError("`root` says where the full set is: use it together with full=True.")
        return _load_embedded(name)
    return _load_full(name, data_folder(root))


def _check_name(name: str, names: list[str]) -> None:
    if name not in names:
        near = difflib.get_close_matches(
            str(name).lower().replace("_", "-"), names, n=1, cutoff=0.5
        )
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no data set {name!r}.{hint} The course has {' and '.join(map(repr, names))}."
        )


def load_texts(name: str) -> TextSet:
    """Load a set of strings that comes with the course: 'surnames' or 'molecules'.

    Surnames are in capitals, of 3 to 10 letters: 16,000 for training, 2,000 for testing, and 68,161 others.
    Molecules are canonical SMILES without stereochemistry: 3,400 for training, 400 for testing, and 93 others.

    Raises:
        ValueError: the name is unknown.
        OSError: the file is missing or damaged.
    """
    index = _index("texts.json")
    _check_name(name, list(index))
    entry = index[name]
    strings = tuple(_payload(entry).decode("ascii").split("\n"))
    train, test = entry["train"], entry["train"] + entry["test"]
    source = f"{entry['attribution']} Licence: {entry['licence']}"
    return TextSet(name, strings[:train], strings[train:test], strings[test:], source)


def load_benchmark(name: str) -> dict[str, Any]:
    """The result of a script of `benchmarks/`, as it stands under benchmarks/results: figures, settings, machine.

    It is looked for in the course's folder: above the folder you work in, or around this package.

    Raises:
        ValueError: no script of that name has left a result.
        FileNotFoundError: there is no folder benchmarks/results here.
    """
    around = [*Path.cwd().parents, Path.cwd(), Path(__file__).parents[1]]
    folders = [f / "benchmarks" / "results" for f in around]
    folder = next((f for f in folders if f.is_dir()), None)
    if folder is None:
        raise FileNotFoundError(
            "There is no folder benchmarks/results here. Work in a folder of the course, cloned or unpacked as a whole."
        )
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.json")))
        raise ValueError(f"No benchmark has left a result {name!r}. There are: {known}.")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _payload(entry: dict[str, Any]) -> bytes:
    """What an embedded file holds, verified."""
    path = EMBEDDED / entry["file"]
    remedy = "Restore it with `git checkout -- vae_helpers/embedded`, or install the course again."
    try:
        payload = zlib.decompress(path.read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The embedded data {path} are missing. {remedy}") from error
    except zlib.error as error:
        raise OSError(f"The embedded data {path} are damaged. {remedy}") from error
    if hashlib.sha256(payload).hexdigest() != entry["sha256"]:
        raise OSError(
            f"The embedded data {path} are not the ones this version of the course knows. {remedy}"
        )
    return payload


def _load_embedded(name: str) -> ImageSet:
    entry = _index()[name]
    payload = _payload(entry)
    n_train, n_test = entry["train"], entry["test"]
    pixels = (n_train + n_test) * 784
    images = _to_float(np.frombuffer(payload, np.uint8, count=pixels))
    labels = torch.from_numpy(np.frombuffer(payload, np.uint8, offset=pixels).astype(np.int64))
    return ImageSet(
        name,
        images[:n_train],
        labels[:n_train],
        images[n_train:],
        labels[n_train:],
        tuple(entry["class_names"]),
        entry["source"],
    )


def _to_float(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Bytes to float32 in [0, 1], shape (N, 1, 28, 28)."""
    return torch.from_numpy(np.divide(pixels, 255, dtype=np.float32)).reshape(-1, 1, 28, 28)


# --- the full sets ------------------------------------------------------------------------------


def data_folder(root: str | Path | None = None) -> Path:
    """Where the full sets are looked for: `root`, or the variable VAE_DATA, or a cache folder of the user's."""
    if root is not None:
        return Path(root).expanduser()
    if os.environ.get("VAE_DATA"):
        return Path(os.environ["VAE_DATA"]).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("vae-course", appauthor=False)


def _load_full(name: str, folder: Path) -> ImageSet:
    entry = _index()[name]
    raw = folder / entry["folder"] / "raw"
    if not all(_find_idx(part, raw, folder) for part in PARTS):
        _download(name, raw)
    arrays, where = {}, folder
    for part in PARTS:
        path = _find_idx(part, raw, folder)
        assert path is not None
        arrays[part], where = read_idx(path), path.parent
        if hashlib.sha256(arrays[part].data).hexdigest() != entry["full_sha256"][part]:
            raise OSError(
                f"{path} is not the {part} of {entry['title']}: it is damaged, or of another data set. "
                "Move it away or delete it, and load again."
            )
    return ImageSet(
        name,
        _to_float(arrays["train-images"]),
        torch.from_numpy(arrays["train-labels"].astype(np.int64)),
        _to_float(arrays["t10k-images"]),
        torch.from_numpy(arrays["t10k-labels"].astype(np.int64)),
        tuple(entry["class_names"]),
        f"All 70,000 images of {entry['title']}, read from {where}.",
    )


def _find_idx(part: str, *folders: Path) -> Path | None:
    """The idx file of one part, from the first folder that has it, gzipped or not."""
    stem = f"{part}-idx{3 if 'images' in part else 1}-ubyte"
    paths = (folder / file for folder in folders for file in (stem, f"{stem}.gz"))
    return next((path for path in paths if path.is_file()), None)


def read_idx(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read a file of bytes in the idx format, gzipped or not, as an array of its own shape.

    The format: two zero bytes, 0x08 (unsigned bytes), the number of dimensions, each dimension as a
    big-endian 32-bit integer, then the bytes (yann.lecun.com/exdb/mnist, "the IDX file format").

    Raises:
        OSError: the file is missing, cut short, or not of this format.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OSError(
            f"{path} is damaged: it does not unpack. Delete it and load again."
        ) from error
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08":
        raise OSError(f"{path} is not an idx file of bytes.")
    dimensions = raw[3]
    header = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", raw[4:header]) if len(raw) >= header else ()
    if (
        dimensions == 0
        or len(raw) < header
        or len(raw) != header + int(np.prod(shape, dtype=np.int64))
    ):
        raise OSError(
            f"{path} is damaged: its length is not what its header says. Delete it and load again."
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _download(name: str, raw: Path) -> None:
    """Fetch and unpack what is missing of the files that torchvision knows, into its folder `raw`."""
    from torchvision import datasets  # imported here: it takes a second, and few need it

    dataset = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name]
    raw.mkdir(parents=True, exist_ok=True)
    for (filename, md5), part in zip(dataset.resources, PARTS, strict=True):
        if _find_idx(part, raw):
            continue
        archive = raw / filename
        _fetch([mirror + filename for mirror in dataset.mirrors], archive, md5)
        unpacked = archive.with_suffix(".unpacking")
        unpacked.write_bytes(gzip.decompress(archive.read_bytes()))
        unpacked.replace(archive.with_suffix(""))
        archive.unlink()


def _fetch(urls: list[str], target: Path, md5: str) -> None:
    """Download one file from the first mirror that gives it whole; a broken download is resumed."""
    part = target.with_name(target.name + ".part")
    faults = []
    for url in urls:
        try:
            _fetch_from(url, part)
        except (OSError, http.client.HTTPException) as error:  # time-outs and the like are OSErrors
            faults.append(f"{url}: {error}")
            continue
        digest = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
        if digest == md5:
            part.replace(target)
            return
        part.unlink()
        faults.append(f"{url}: what arrived is not the expected file (its md5 is {digest})")
    kept = (
        f" {part.stat().st_size:,} bytes are kept, and the next call goes on from there."
        if part.exists()
        else ""
    )
    raise OSError(
        f"{target.name} could not be downloaded ({'; '.join(faults)}).{kept} Check your network and call again, or "
        f"put the file into {target.parent} by hand. The embedded images, load_images(name), need no network."
    )


def _fetch_from(url: str, part: Path) -> None:
    """Append to `part` what is missing of the file at `url`."""
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is missing, or the part is too long: the md5 decides
            return
        raise
    with response:
        resumed = response.status == 206
        length = int(response.headers.get("Content-Length", 0))
        done = have if resumed else 0
        with (
            part.open("ab" if resumed else "wb") as out,
            tqdm(
                total=done + length or None, initial=done, unit="B", unit_scale=True, desc=part.stem
            ) as bar,
        ):
            while chunk := response.read(1 << 16):
                out.write(chunk)
                bar.update(len(chunk))
    if length and part.stat().st_size != done + length:
        raise ConnectionError(
            f"the connection broke after {part.stat().st_size - done:,} of {length:,} bytes"
        )
