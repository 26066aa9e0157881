"""get_file and the data sets: caches, hashes, archives; no network."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import inspect
import io
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nyala import datasets, utils
from nyala.datasets import _files
from nyala.utils import files


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a network that is never reached."""
    real = urllib.request.OpenerDirector.open

    def opened(self: Any, origin: Any, *args: Any, **kwargs: Any) -> Any:
        address = origin if isinstance(origin, str) else origin.full_url
        if not address.startswith(("file:", "http://127.0.0.1:")):
            raise urllib.error.URLError("no network")
        return real(self, origin, *args, **kwargs)

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    monkeypatch.setenv("NYALA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(b"hello" * 50_000)
    return path


def digest(path: Path, name: str = "sha256") -> str:
    return hashlib.new(name, path.read_bytes()).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_get_file(algorithm: str, source: Path, home: Path) -> None:
    path = utils.get_file(origin=source.as_uri(), file_hash=digest(source, algorithm))
    assert path == str(home / "datasets" / "data.bin") and Path(path).read_bytes() == source.read_bytes()
    assert [p.name for p in (home / "datasets").iterdir()] == ["data.bin"]


def test_get_file_downloads_only_what_is_missing_or_wrong(source: Path, home: Path) -> None:
    place = home / "sub" / "name"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"old")
    args: Any = {"fname": "name", "origin": source.as_uri(), "cache_subdir": "sub"}
    assert Path(utils.get_file(**args)).read_bytes() == b"old"
    assert Path(utils.get_file(**args, file_hash=digest(source))).read_bytes() == source.read_bytes()
    place.write_bytes(b"old")
    assert Path(utils.get_file(**args, force_download=True)).read_bytes() == source.read_bytes()


def test_get_file_keeps_no_damaged_file(source: Path, home: Path) -> None:
    with pytest.raises(ValueError, match="hash is not 00"):
        utils.get_file(origin=source.as_uri(), file_hash="00")
    assert not list((home / "datasets").iterdir())


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({}, ValueError, "origin"),
        ({"origin": "http://example.org/a"}, ValueError, "https: or file:.*file_hash"),
        ({"origin": "ftp://example.org/a", "file_hash": "00"}, ValueError, "https: or file:"),
        ({"origin": "https://example.org/a"}, OSError, "no network.*put the file at .*home/datasets/a"),
        ({"origin": "https://example.org/a", "fname": "../a"}, ValueError, "plain file name"),
        ({"origin": "https://example.org/a", "hash_algorithm": "crc"}, ValueError, "hash_algorithm"),
    ],
)
def test_get_file_errors(kwargs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        utils.get_file(**kwargs)


class Server(http.server.BaseHTTPRequestHandler):
    """Breaks off the first answers. ``/range``: can go on; ``/away``: leads to a file; ``/never``: breaks off always."""

    body = bytes(range(256)) * 1000
    breaks = 0
    asked: list[str | None] = []

    def do_GET(self) -> None:
        cls = type(self)
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://example.org/a")
            self.end_headers()
            return
        span = self.headers.get("Range")
        cls.asked.append(span)
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.path == "/range" else 0
        content = self.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if cls.breaks > 0 or self.path == "/never":
            cls.breaks -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.asked, Server.breaks = [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


SHA256 = hashlib.sha256(Server.body).hexdigest()


@pytest.mark.parametrize(("place", "asked"), [("range", [None, "bytes=128000-"]), ("plain", [None, "bytes=128000-"])])
def test_a_broken_download_goes_on_or_starts_anew(place: str, asked: Any, server: str) -> None:
    Server.breaks = 1
    path = utils.get_file(origin=f"{server}/{place}", file_hash=SHA256)
    assert Path(path).read_bytes() == Server.body and Server.asked == asked


def test_a_download_that_keeps_breaking_leaves_nothing(server: str, home: Path) -> None:
    with pytest.raises(OSError, match=r"broke 3 times.*put the file at"):
        utils.get_file(origin=f"{server}/never", file_hash=SHA256)
    assert not list((home / "datasets").iterdir())


def test_http_needs_a_hash(server: str) -> None:
    with pytest.raises(ValueError, match="file_hash"):
        utils.get_file(origin=f"{server}/plain")
    assert not Server.asked
    with pytest.raises(ValueError, match="its hash is not"):
        utils.get_file(origin=f"{server}/plain", file_hash="0" * 64)


def test_an_address_cannot_lead_to_another_kind(server: str) -> None:
    with pytest.raises(ValueError, match=r"leads to ftp:.*must be an https:"):
        utils.get_file(origin=f"{server}/away", file_hash=SHA256)


def tar_of(path: Path, *members: tuple[str, bytes | None]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", [None, "named", "named.tgz"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_extracts_where_keras_does(kind: str, name: str | None, tmp_path: Path) -> None:
    archive = tmp_path / ("a.tar.gz" if kind == "tar" else "a.zip")
    if kind == "tar":
        tar_of(archive, ("in/x.txt", b"1"))
    else:
        with zipfile.ZipFile(archive, "w") as z:
            z.writestr("in/x.txt", "1")
    found = []
    for get, cache in ((utils.get_file, tmp_path / "mine"), (keras.utils.get_file, tmp_path / "theirs")):
        cache.mkdir()  # Keras wants it to be there
        path = Path(get(name, origin=archive.as_uri(), extract=True, cache_dir=str(cache)))
        found.append((path.relative_to(cache), sorted(str(p.relative_to(cache)) for p in cache.rglob("*"))))
    assert found[0] == found[1]


@pytest.mark.parametrize("members", [[("../x", b"1")], [("/x", b"1")], [("ok", b"1"), ("link", None)]])
def test_unsafe_archives_are_refused_whole(members: Any, tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "a.tar.gz", *members)
    with pytest.raises(ValueError, match="not unpacked"):
        utils.get_file("evil", origin=archive.as_uri(), extract=True, cache_dir=tmp_path / "c")
    assert [p.name for p in (tmp_path / "c" / "datasets").iterdir()] == ["evil_archive"]


def test_links_in_zips_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as z:
        z.writestr(link, "/etc/passwd")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("zeros", bytes(10**6))
    monkeypatch.setattr(files, "_FREE", 0)
    for name, message in (("a", "neither a file nor a folder"), ("b", "times its size")):
        with pytest.raises(ValueError, match=message):
            utils.get_file(name, origin=(tmp_path / f"{name}.zip").as_uri(), extract=True, cache_dir=tmp_path / "c")
        assert not (tmp_path / "c" / "datasets" / name).exists()


def test_extract_wants_an_archive(source: Path) -> None:
    with pytest.raises(ValueError, match="no archive"):
        utils.get_file(origin=source.as_uri(), extract=True)


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"train": 6, "test": 3}
    return {f"x_{k}": rng.integers(0, 255, (n, 28, 28), np.uint8) for k, n in sizes.items()} | {
        f"y_{k}": rng.integers(0, 9, n).astype(np.uint8) for k, n in sizes.items()
    }


def same(found: Any, expected: dict[str, np.ndarray]) -> None:
    (x_train, y_train), (x_test, y_test) = found
    for got, name in ((x_train, "x_train"), (y_train, "y_train"), (x_test, "x_test"), (y_test, "y_test")):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, expected[name])


def test_mnist_from_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    path = home / "datasets" / "mnist.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays())
    with pytest.warns(UserWarning, match="not the published file") as warned:
        same(datasets.mnist.load_data(), arrays())
    assert len(warned) == 1
    monkeypatch.setattr(datasets.mnist, "_SHA256", digest(path))
    recwarn.clear()
    same(datasets.mnist.load_data(str(path)), arrays())
    assert not recwarn.list


def test_mnist_is_downloaded(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "mnist.npz", **arrays())
    monkeypatch.setattr(_files, "ORIGIN", tmp_path.as_uri() + "/")
    monkeypatch.setattr(datasets.mnist, "_SHA256", digest(tmp_path / "mnist.npz"))
    same(datasets.mnist.load_data(), arrays())
    assert (home / "datasets" / "mnist.npz").is_file()


def test_offline_without_a_file(home: Path) -> None:
    with pytest.raises(OSError, match=r"put the file at .*home/datasets/mnist\.npz"):
        datasets.mnist.load_data()


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_fashion_mnist(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, names = datasets.fashion_mnist, list(datasets.fashion_mnist._MD5)
    for name, key in zip(names, ("x_train", "y_train", "x_test", "y_test")):
        write_idx(tmp_path / name, arrays()[key])
    monkeypatch.setattr(_files, "ORIGIN", tmp_path.as_uri() + "/")
    monkeypatch.setattr(module, "_MD5", {n: digest(tmp_path / n, "md5") for n in names})
    same(module.load_data(), arrays())
    assert sorted(p.name for p in (home / "datasets" / "fashion-mnist").iterdir()) == sorted(names)
    (tmp_path / "bad.gz").write_bytes(gzip.compress(b"123"))
    with pytest.raises(ValueError, match="no IDX file"):
        _files.idx(tmp_path / "bad.gz", 1)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (utils.get_file, keras.utils.get_file),
        (datasets.mnist.load_data, keras.datasets.mnist.load_data),
        (datasets.fashion_mnist.load_data, keras.datasets.fashion_mnist.load_data),
        (utils.to_categorical, keras.utils.to_categorical),
        (utils.normalize, keras.utils.normalize),
    ],
)
def test_signatures_are_keras(mine: Any, theirs: Any) -> None:
    first, second = ([(p.name, p.default) for p in inspect.signature(f).parameters.values()] for f in (mine, theirs))
    assert first == second


LABELS = [[0, 2, 1], [[0], [2]], [[0, 1], [2, 1]], np.array([1.0, 2.0])]


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("n", [None, 4])
def test_to_categorical(labels: Any, n: int | None) -> None:
    mine, expected = utils.to_categorical(labels, n), keras.utils.to_categorical(labels, n)
    np.testing.assert_array_equal(mine, expected)
    assert mine.dtype == expected.dtype


def test_to_categorical_of_tensors(backend: str) -> None:
    from nyala import ops

    x = ops.convert_to_tensor([[0], [2]])
    result = utils.to_categorical(x)
    assert type(result) is type(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(result), [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(("labels", "n"), [([0, 3], 3), ([-1, 0], 2), ([], None), ([0], 0)])
def test_to_categorical_errors(labels: Any, n: int | None) -> None:
    with pytest.raises(ValueError, match="to_categorical"):
        utils.to_categorical(labels, n)


@pytest.mark.parametrize(("axis", "order"), [(-1, 2), (-1, 1), (0, 2)])
def test_normalize(axis: int, order: int, deviation: Any) -> None:
    deviation(f"utils/normalize/axis={axis}")
    for x in (np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([3.0, 4.0]), np.ones((2, 2), "float32")):
        mine, expected = utils.normalize(x, axis, order), keras.utils.normalize(x, axis, order)
        np.testing.assert_allclose(mine, expected)
        assert mine.shape == expected.shape and mine.dtype == expected.dtype


def test_normalize_tensors(backend: str) -> None:
    from nyala import ops

    result = utils.normalize(ops.convert_to_tensor([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(ops.convert_to_numpy(result), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
