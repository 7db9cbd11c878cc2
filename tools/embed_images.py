"""Build the embedded images from the full sets, bit by bit the same each time.

    python tools/embed_images.py FOLDER

FOLDER holds all of MNIST and Fashion-MNIST in torchvision's layout (FOLDER/MNIST/raw/…). The choice is
fixed: the first 1,000 training and the first 200 test images of each class, in the order of the original
files. The payload is the images' bytes, then the labels' bytes; its SHA-256 is taken before compression,
so that another release of zlib gives the same hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vae_helpers.data import EMBEDDED, PARTS, read_idx

Bytes = npt.NDArray[np.uint8]
TRAIN_PER_CLASS, TEST_PER_CLASS = 1_000, 200
SETS = {
    "mnist": {
        "folder": "MNIST",
        "title": "MNIST",
        "class_names": [str(digit) for digit in range(10)],
        "attribution": "MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges.",
        "licence": "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/",
    },
    "fashion-mnist": {
        "folder": "FashionMNIST",
        "title": "Fashion-MNIST",
        "class_names": [
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ],
        "attribution": "Fashion-MNIST, by Han Xiao, Kashif Rasul and Roland Vollgraf. © 2017 Zalando SE.",
        "licence": "MIT, https://github.com/zalandoresearch/fashion-mnist/blob/master/LICENSE",
    },
}


def choose(labels: Bytes, per_class: int) -> npt.NDArray[np.int64]:
    """Positions of the first `per_class` images of each class, in the order of the file."""
    kept = [np.flatnonzero(labels == label)[:per_class] for label in range(10)]
    short = [label for label, positions in enumerate(kept) if len(positions) < per_class]
    if short:
        raise ValueError(f"Fewer than {per_class} images of the classes {short}.")
    return np.sort(np.concatenate(kept))


def build(arrays: dict[str, Bytes], train_per_class: int, test_per_class: int) -> bytes:
    """The payload: the bytes of all images, training images first, then the bytes of all labels."""
    train = choose(arrays["train-labels"], train_per_class)
    test = choose(arrays["t10k-labels"], test_per_class)
    images = [arrays["train-images"][train], arrays["t10k-images"][test]]
    labels = [arrays["train-labels"][train], arrays["t10k-labels"][test]]
    return b"".join(part.tobytes() for part in images + labels)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the embedded images from the full sets.")
    parser.add_argument("folder", type=Path, help="holds MNIST/raw and FashionMNIST/raw")
    folder = parser.parse_args().folder
    index = {}
    for name, entry in SETS.items():
        raw = folder / str(entry["folder"]) / "raw"
        arrays = {
            part: read_idx(raw / f"{part}-idx{3 if 'images' in part else 1}-ubyte")
            for part in PARTS
        }
        payload = build(arrays, TRAIN_PER_CLASS, TEST_PER_CLASS)
        path = EMBEDDED / f"{name}.zlib"
        path.write_bytes(zlib.compress(payload, 9))
        index[name] = {
            "file": path.name,
            "sha256": hashlib.sha256(payload).hexdigest(),
            "train": 10 * TRAIN_PER_CLASS,
            "test": 10 * TEST_PER_CLASS,
            "folder": entry["folder"],
            "full_sha256": {part: hashlib.sha256(a.data).hexdigest() for part, a in arrays.items()},
            "title": entry["title"],
            "class_names": entry["class_names"],
            "attribution": entry["attribution"],
            "licence": entry["licence"],
            "source": (
                f"10,000 training and 2,000 test images of {entry['title']}, the first 1,000 and 200 of each "
                "class, embedded in the course."
            ),
        }
        print(f"{path}: {path.stat().st_size:,} bytes")
    (EMBEDDED / "index.json").write_text(
        json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
