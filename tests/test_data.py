"""The embedded data, and the full image sets: in every layout, downloaded from a server here, and damaged."""

import dataclasses
import gzip
import hashlib
import json
import re
import shutil
import struct
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import embed_images
import embed_texts
import numpy as np
import pytest
import torch
from torchvision import datasets

from vae_helpers import data, load_benchmark, load_images, load_texts

NAMES = ["mnist", "fashion-mnist"]


def test_a_set_cannot_be_changed_under_others_who_use_it():
    for one in (load_images("mnist"), load_texts("surnames")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.name = "another"


# --- the embedded images ------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_embedded_images(name):
    images = load_images(name)
    for x, y, per_class in (
        (images.train_x, images.train_y, 1_000),
        (images.test_x, images.test_y, 200),
    ):
        assert x.shape == (10 * per_class, 1, 28, 28)
        assert x.dtype == torch.float32
        assert (x.min(), x.max()) == (0, 1)
        assert torch.equal(x, (x * 255).round() / 255)
        assert y.dtype == torch.int64
        assert y.bincount().tolist() == [per_class] * 10
    assert len(images.class_names) == 10
    assert "embedded" in images.source
    assert images.name == name


def test_the_labels_belong_to_the_images():
    """A linear classifier could not learn labels that were shifted against their images."""
    for name in NAMES:
        images = load_images(name)
        means = torch.stack([images.train_x[images.train_y == k].mean(dim=0) for k in range(10)])
        nearest = torch.cdist(images.test_x.flatten(1), means.flatten(1)).argmin(dim=1)
        assert (nearest == images.test_y).float().mean() > 0.6


def test_licence_and_size_of_the_embedded_images():
    files = [data.EMBEDDED / entry["file"] for entry in data._index().values()]
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    for entry in data._index().values():
        assert entry["licence"]
        assert entry["attribution"]


@pytest.mark.parametrize(
    ("name", "near"),
    [("minst", "mnist"), ("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist"), (None, None)],
)
def test_an_unknown_name(name, near):
    words = f"Did you mean '{near}'" if near else "There is no data set None"
    with pytest.raises(ValueError, match=words):
        load_images(name)


def test_root_belongs_to_the_full_set(tmp_path):
    with pytest.raises(ValueError, match="full=True"):
        load_images("mnist", root=tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut short", "changed", "another set"])
def test_damaged_embedded_images_are_never_loaded(damage, tmp_path, monkeypatch):
    shutil.copytree(data.EMBEDDED, tmp_path / "embedded")
    monkeypatch.setattr(data, "EMBEDDED", tmp_path / "embedded")
    path = tmp_path / "embedded" / "mnist.zlib"
    if damage == "missing":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "changed":
        pixels = bytearray(zlib.decompress(path.read_bytes()))
        pixels[400] ^= 1
        path.write_bytes(zlib.compress(pixels, 1))
    else:
        shutil.copy(tmp_path / "embedded" / "fashion-mnist.zlib", path)
    with pytest.raises(OSError, match=re.escape(str(path))) as caught:
        load_images("mnist")
    assert "git checkout" in str(caught.value)


# --- the embedded texts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes"), [("surnames", (16_000, 2_000, 68_161)), ("molecules", (3_400, 400, 93))]
)
def test_the_embedded_texts(name, sizes):
    texts = load_texts(name)
    parts = (texts.train, texts.test, texts.others)
    assert tuple(map(len, parts)) == sizes
    assert len(set().union(*parts)) == sum(sizes)  # none of them twice
    assert all(text.isascii() and text.strip() == text != "" for part in parts for text in part)
    assert texts.name == name
    assert "Licence: " in texts.source


def test_surnames_are_of_capitals_and_drawn_alike():
    names = load_texts("surnames")
    every = [*names.train, *names.test, *names.others]
    assert all(re.fullmatch("[A-Z]{3,10}", name) for name in every)
    assert {"SMITH", "JOHNSON", "WILLIAMS"} <= set(every)
    lengths = [np.mean([len(name) for name in part]) for part in (names.train, names.test)]
    assert abs(lengths[0] - lengths[1]) < 0.15


def test_size_of_the_embedded_texts():
    files = [data.EMBEDDED / entry["file"] for entry in data._index("texts.json").values()]
    assert sum(path.stat().st_size for path in files) <= 1_000_000


def test_an_unknown_text():
    with pytest.raises(ValueError, match="Did you mean 'surnames'"):
        load_texts("surname")


def test_damaged_texts_are_never_loaded(tmp_path, monkeypatch):
    shutil.copytree(data.EMBEDDED, tmp_path / "embedded")
    monkeypatch.setattr(data, "EMBEDDED", tmp_path / "embedded")
    path = tmp_path / "embedded" / "surnames.zlib"
    path.write_bytes(zlib.compress(zlib.decompress(path.read_bytes()).replace(b"SMITH", b"SMYTH")))
    with pytest.raises(OSError, match=re.escape(str(path))):
        load_texts("surnames")


def test_the_tool_builds_what_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(embed_texts, "EMBEDDED", tmp_path)
    names = load_texts("surnames")
    entry = embed_texts.build("surnames", {*names.others, *names.test, *names.train})
    assert entry == data._index("texts.json")["surnames"]
    monkeypatch.setattr(data, "EMBEDDED", tmp_path)
    assert data._payload(entry).decode().split("\n")[:16_000] == list(names.train)
    with pytest.raises(ValueError, match="only 2 surnames"):
        embed_texts.build("surnames", {"A", "B"})


# --- the tool of the images ---------------------------------------------------------------------


def test_the_tool_chooses_the_first_of_each_class():
    labels = np.array([3, 0, 3, 3, *range(10), *range(10)], np.uint8)
    chosen = embed_images.choose(labels, 2)
    assert labels[chosen].tolist() == [3, 0, 3, 0, 1, 2, 4, 5, 6, 7, 8, 9, 1, 2, 4, 5, 6, 7, 8, 9]
    with pytest.raises(ValueError, match=r"\[0, 1, 2, 4, 5, 6, 7, 8, 9\]"):
        embed_images.choose(labels, 4)


def test_the_tools_payload_is_what_is_loaded(small_set):
    """Images first, then labels, of the training set first: the order that `load_images` reads."""
    arrays = small_set.arrays
    payload = embed_images.build(arrays, 2, 1)
    assert len(payload) == 30 * 785
    labels = np.frombuffer(payload, np.uint8, offset=30 * 784)
    assert np.bincount(labels[:20]).tolist() == [2] * 10
    first = np.frombuffer(payload, np.uint8, count=784).reshape(28, 28)
    assert (first == arrays["train-images"][0]).all()


# --- the full sets: small ones in their place ---------------------------------------------------


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def filename(part):
    return f"{part}-idx{3 if 'images' in part else 1}-ubyte"


class SmallSet:
    """Thirty and twenty made-up images that the package takes for all of MNIST."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.arrays = {}
        for part, count in (("train", 30), ("t10k", 20)):
            self.arrays[f"{part}-images"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
            self.arrays[f"{part}-labels"] = np.arange(count, dtype=np.uint8) % 10
        self.files = {filename(part): idx(array) for part, array in self.arrays.items()}
        self.archives = {f"{name}.gz": gzip.compress(raw) for name, raw in self.files.items()}

    def write(self, folder, archives=False):
        folder.mkdir(parents=True, exist_ok=True)
        for name, raw in (self.archives if archives else self.files).items():
            (folder / name).write_bytes(raw)

    def is_in(self, images):
        return (
            torch.equal((images.train_x[:, 0] * 255).byte(), self.tensor("train-images"))
            and torch.equal(images.train_y, self.tensor("train-labels").long())
            and torch.equal((images.test_x[:, 0] * 255).byte(), self.tensor("t10k-images"))
            and torch.equal(images.test_y, self.tensor("t10k-labels").long())
        )

    def tensor(self, part):
        return torch.from_numpy(self.arrays[part])


@pytest.fixture
def small_set(monkeypatch):
    small = SmallSet()
    index = json.loads(json.dumps(data._index()))
    index["mnist"]["full_sha256"] = {
        part: hashlib.sha256(array.tobytes()).hexdigest() for part, array in small.arrays.items()
    }
    monkeypatch.setattr(data, "_index", lambda: index)
    monkeypatch.delenv("VAE_DATA", raising=False)
    md5 = {name: hashlib.md5(raw).hexdigest() for name, raw in small.archives.items()}
    monkeypatch.setattr(datasets.MNIST, "resources", list(md5.items()))
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens
    return small


@pytest.mark.parametrize("archives", [True, False])
@pytest.mark.parametrize("place", ["MNIST/raw", "."])
def test_the_full_set_in_each_layout(small_set, tmp_path, place, archives):
    small_set.write(tmp_path / place, archives)
    images = load_images("mnist", full=True, root=tmp_path)
    assert small_set.is_in(images)
    assert images.train_x.dtype == torch.float32
    assert images.train_x.shape == (30, 1, 28, 28)
    assert str(tmp_path) in images.source


def test_the_folder_from_the_environment_and_from_the_users_cache(small_set, tmp_path, monkeypatch):
    small_set.write(tmp_path / "mine")
    small_set.write(tmp_path / "cache" / "vae-course")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if (
        data.data_folder() == tmp_path / "cache" / "vae-course"
    ):  # elsewhere than on Linux it differs
        assert small_set.is_in(load_images("mnist", full=True))
    monkeypatch.setenv("VAE_DATA", str(tmp_path / "mine"))
    assert str(tmp_path / "mine") in load_images("mnist", full=True).source


def test_the_hashes_of_the_full_sets_are_known():
    for name in NAMES:
        hashes = data._index()[name]["full_sha256"]
        assert list(hashes) == list(data.PARTS)
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes.values())
    assert data._index()["mnist"]["full_sha256"] != data._index()["fashion-mnist"]["full_sha256"]


def test_files_of_another_set_are_never_taken_for_this_one(small_set, tmp_path):
    small_set.write(tmp_path)
    with pytest.raises(OSError, match=r"train-images.*of another data set"):
        load_images("fashion-mnist", full=True, root=tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: raw[:-1], "its length is not what its header says"),
        (lambda raw: raw[:6], "its length is not what its header says"),
        (lambda raw: raw + b"\0", "its length is not what its header says"),
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "it is damaged"),
        (lambda raw: b"<html>Sign in</html>", "is not an idx file"),
        (lambda raw: b"", "is not an idx file"),
        (lambda raw: gzip.compress(raw)[:-20], "it does not unpack"),
    ],
)
def test_a_damaged_file_is_named_and_never_loaded(small_set, tmp_path, damage, words):
    small_set.write(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OSError, match=f"t10k-labels.*{words}"):
        load_images("mnist", full=True, root=tmp_path)


def test_read_idx(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "plain").write_bytes(idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(idx(array)))
    for name in ("plain", "packed"):
        read = data.read_idx(tmp_path / name)
        assert read.shape == (2, 3, 4)
        assert (read == array).all()
    with pytest.raises(FileNotFoundError):
        data.read_idx(tmp_path / "none")


# --- the download, from a server on this machine ------------------------------------------------


class Server(ThreadingHTTPServer):
    """Serves archives; `behave` says how the next request is answered, after that all is well."""

    daemon_threads = True

    def __init__(self, archives):
        super().__init__(("127.0.0.1", 0), Handler)
        self.archives, self.behave, self.requests = archives, "well", []
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def asked_for(self, part):
        return [span for name, span in self.requests if part in name]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name, span = self.path.strip("/"), self.headers.get("Range")
        behave, self.server.behave = self.server.behave, "well"
        self.server.requests.append((name, span))
        if behave == "not found":
            return self.send_error(404)
        if behave == "silent":
            time.sleep(1.5)
            return None
        if behave == "no HTTP":
            self.wfile.write(b"220 mail server ready\r\n\r\n")
            return None
        payload = self.server.archives[name]
        if behave == "another file":
            payload = b"<html>Sign in to this network</html>"
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        if span and behave != "no ranges":
            if start >= len(payload):
                return self.send_error(416)
            self.send_response(206)
            payload = payload[start:]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if behave == "break" else payload)
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(small_set, monkeypatch):
    with Server(small_set.archives) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [server.url])
        monkeypatch.setattr(data, "TIMEOUT", 0.5)
        yield server
        server.shutdown()
        thread.join()


def fetch(root):
    return load_images("mnist", full=True, root=root)


def left_over(root):
    return sorted(path.name for path in (root / "MNIST" / "raw").iterdir())


def test_the_download_gives_the_set_and_is_made_once(server, small_set, tmp_path, capfd):
    assert small_set.is_in(fetch(tmp_path))
    assert len(server.requests) == 4
    assert "100%" in capfd.readouterr().err  # progress was shown
    assert left_over(tmp_path) == sorted(small_set.files)
    assert len(datasets.MNIST(str(tmp_path))) == 30  # torchvision finds it too
    assert small_set.is_in(fetch(tmp_path))
    assert len(server.requests) == 4


def test_a_broken_download_goes_on_where_it_stopped(server, small_set, tmp_path):
    server.behave = "break"
    with pytest.raises(OSError, match=r"connection broke.*are kept, and the next call goes on"):
        fetch(tmp_path)
    half = len(small_set.archives["train-images-idx3-ubyte.gz"]) // 2
    assert small_set.is_in(fetch(tmp_path))
    assert server.asked_for("train-images") == [None, f"bytes={half}-"]


def test_a_server_without_ranges_sends_all_again(server, small_set, tmp_path):
    server.behave = "break"
    with pytest.raises(OSError, match="connection broke"):
        fetch(tmp_path)
    server.behave = "no ranges"
    assert small_set.is_in(fetch(tmp_path))


def test_what_is_already_whole_is_not_fetched_again(server, small_set, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    part = "train-images-idx3-ubyte.gz"
    (raw / f"{part}.part").write_bytes(small_set.archives[part])  # all but the renaming was done
    (raw / "t10k-labels-idx1-ubyte").write_bytes(small_set.files["t10k-labels-idx1-ubyte"])
    assert small_set.is_in(fetch(tmp_path))
    assert server.asked_for("train-images") == [
        f"bytes={len(small_set.archives[part])}-"  # the server says that there is no more
    ]
    assert server.asked_for("t10k-labels") == []


def test_a_part_that_is_wrong_is_thrown_away(server, small_set, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte.gz.part").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="not the expected file"):
        fetch(tmp_path)
    assert left_over(tmp_path) == []
    assert small_set.is_in(fetch(tmp_path))


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("not found", "404"),
        ("silent", "timed out"),
        ("another file", "not the expected file"),
        ("no HTTP", "220 mail server ready"),
    ],
)
def test_a_failing_server_is_named_and_nothing_wrong_is_kept(
    server, small_set, tmp_path, behave, words
):
    server.behave = behave
    with pytest.raises(OSError, match=words) as caught:
        fetch(tmp_path)
    assert server.url in str(caught.value)
    assert "need no network" in str(caught.value)
    assert left_over(tmp_path) == []
    assert small_set.is_in(fetch(tmp_path))


def test_the_next_mirror_is_tried(server, small_set, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", server.url])
    assert small_set.is_in(fetch(tmp_path))


def test_without_a_network_the_error_says_what_to_do(small_set, tmp_path):
    with pytest.raises(OSError, match=r"could not be downloaded.*Check your network.*by hand"):
        fetch(tmp_path)


# --- results of benchmarks ------------------------------------------------------------------------


def test_a_benchmarks_result_is_found_from_a_lessons_folder(monkeypatch, tmp_path):
    root = Path(__file__).parents[1]
    for folder in (root, root / "notebooks", root / "notebooks" / "solutions", tmp_path):
        monkeypatch.chdir(folder)
        assert load_benchmark("exercise")["settings"]["batch_size"] == 128
    with pytest.raises(ValueError, match=r"'speed'. There are: .*exercise"):
        load_benchmark("speed")


def test_a_course_without_its_results_says_so(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vae_helpers.data.__file__", str(tmp_path / "vae_helpers" / "data.py"))
    with pytest.raises(FileNotFoundError, match="as a whole"):
        load_benchmark("exercise")
