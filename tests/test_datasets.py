"""The data sets, from small files in the layout of the real ones, and the reader that runs no pickled code."""

from __future__ import annotations

import inspect
import io
import json
import pickle
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nyala import datasets
from nyala.base import config
from nyala.datasets import _plain

REAL = Path(__file__).parent.parent.parent / "shared" / "data"
RNG = np.random.default_rng(0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data sets, without a network; Keras finds its files in the same one."""

    def no_network(origin: str, *args: Any, **kwargs: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", no_network)
    monkeypatch.setenv("NYALA_HOME", str(tmp_path))
    folder = tmp_path / "datasets"
    folder.mkdir()
    for module in vars(keras.datasets).values():
        if hasattr(module, "load_data"):
            monkeypatch.setitem(module.load_data.__globals__, "get_file", lambda fname, **_: str(folder / fname))
    return folder


def lists(n: int) -> np.ndarray:
    return np.array([RNG.integers(1, 30, RNG.integers(1, 9)).tolist() for _ in range(n)] + [[1]], object)[:n]


FILES = {
    "imdb": {
        "x_train": lists(12), "y_train": RNG.integers(0, 2, 12), "x_test": lists(5), "y_test": RNG.integers(0, 2, 5),
    },
    "reuters": {"x": lists(13), "y": RNG.integers(0, 46, 13)},
    "boston_housing": {"x": RNG.normal(size=(10, 13)), "y": RNG.normal(size=10)},
    "california_housing": {"x": RNG.normal(size=(1000, 8)).astype("f"), "y": RNG.normal(size=1000).astype("f")},
}  # fmt: skip
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("imdb", {}),
    ("imdb", {"maxlen": 6, "seed": 5}),
    ("imdb", {"start_char": None}),
    ("imdb", {"start_char": None, "index_from": 0}),
    ("imdb", {"oov_char": None, "num_words": 10}),
    ("imdb", {"skip_top": 10, "num_words": 20, "start_char": 7, "oov_char": 9, "index_from": 1}),
    ("reuters", {}),
    ("reuters", {"num_words": 20, "skip_top": 5, "test_split": 0.5, "seed": 1}),
    ("reuters", {"maxlen": 8}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.0, "seed": 3}),
    ("california_housing", {"test_split": 0.3}),
    ("california_housing", {"version": "small"}),
]


@pytest.mark.parametrize(("name", "kwargs"), CALLS)
def test_as_keras(name: str, kwargs: dict[str, Any], cache: Path) -> None:
    np.savez(cache / f"{name}.npz", **FILES[name])
    with pytest.warns(UserWarning, match="not the published file") as warned:
        mine = getattr(datasets, name).load_data(**kwargs)
    assert len(warned) == 1
    expected = getattr(keras.datasets, name).load_data(**kwargs)
    for got, wanted in zip((a for part in mine for a in part), (a for part in expected for a in part)):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        if got.dtype == object:
            assert got.tolist() == wanted.tolist() and all(type(n) is int for row in got for n in row)
        else:
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.filterwarnings("ignore:.*not the published file")
@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_word_index_and_bad_arguments(name: str, cache: Path) -> None:
    module, index = getattr(datasets, name), {"the": 1, "and": 2}
    (cache / f"{name}_word_index.json").write_text(json.dumps(index))
    assert module.get_word_index() == index
    np.savez(cache / f"{name}.npz", **FILES[name])
    with pytest.raises(ValueError, match="maxlen=1 leaves nothing"):
        module.load_data(maxlen=1)
    with pytest.raises(TypeError, match="num_word"):
        module.load_data(num_word=1)


def test_the_rest_of_the_arguments(cache: Path) -> None:
    assert datasets.reuters.get_label_names() == keras.datasets.reuters.get_label_names()
    for call in (
        lambda: datasets.california_housing.load_data("tiny"),
        lambda: datasets.boston_housing.load_data(test_split=1.5),
        lambda: datasets.cifar100.load_data("medium"),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()


def batch(n: int, protocol: int, keys: tuple[str, ...]) -> bytes:
    content: dict[bytes, Any] = {b"batch_label": b"one", b"data": RNG.integers(0, 255, (n, 3072), np.uint8)}
    content |= {key.encode(): RNG.integers(0, 10, n).tolist() for key in keys}
    return pickle.dumps(content, protocol)


def archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("place", ["cifar-10-batches-py-target_archive", "cifar-10-batches-py.tar.gz", "unpacked"])
def test_cifar10(place: str, layout: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    files = {name: batch(4, protocol, ("labels",)) for protocol, name in enumerate(names)}
    if place == "unpacked":
        (cache / "cifar-10-batches-py").mkdir()
        for name, content in files.items():
            (cache / "cifar-10-batches-py" / name).write_bytes(content)
    else:
        archive(cache / place, "cifar-10-batches-py", files)
    monkeypatch.setitem(config._settings, "image_data_format", layout)
    with pytest.warns(UserWarning, match="unchecked|not the published") as warned:
        (x, y), (x_test, y_test) = datasets.cifar10.load_data()
    assert len(warned) == 1
    assert x.shape == ((20, 32, 32, 3) if layout == "channels_last" else (20, 3, 32, 32)) and len(x_test) == 4
    assert x.dtype == y.dtype == x_test.dtype == y_test.dtype == np.uint8 and y.shape == (20, 1)
    first = pickle.loads(files["data_batch_2"])
    picture = x[4] if layout == "channels_first" else x[4].transpose(2, 0, 1)
    np.testing.assert_array_equal(picture.ravel(), first[b"data"][0])
    np.testing.assert_array_equal(y[4:8, 0], first[b"labels"])


def test_cifar100_as_keras(cache: Path) -> None:
    files = {name: batch(5, 4, ("fine_labels", "coarse_labels")) for name in ("train", "test")}
    archive(cache / "cifar-100-python-target_archive", "cifar-100-python", files)
    folder = cache / "cifar-100-python-target" / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    for mode in ("fine", "coarse"):
        with pytest.warns(UserWarning, match="not the published"):
            mine = datasets.cifar100.load_data(mode)
        for got, wanted in zip(mine, keras.datasets.cifar100.load_data(mode)):
            for a, b in zip(got, wanted):
                np.testing.assert_array_equal(a, b)
                assert a.dtype == b.dtype


def test_cifar_errors(cache: Path) -> None:
    with pytest.raises(OSError, match="put the file at"):
        datasets.cifar10.load_data()
    archive(cache / "cifar-10-batches-py-target_archive", "other", {"a": b""})
    with pytest.raises(ValueError, match="is not the archive"), pytest.warns(UserWarning):
        datasets.cifar10.load_data()


class Evil:
    """Its pickle calls ``open``."""

    def __reduce__(self) -> Any:
        return open, ("evil", "w")


class Forged:
    """Its pickle gives an array a state of its own choice."""

    def __init__(self, *state: Any):
        self.state = state

    def __reduce__(self) -> Any:
        rebuild = np.zeros(1).__reduce__()
        return *rebuild[:2], self.state


REFUSED = {
    "function": Evil(),
    "inside": {b"data": [Evil()]},
    "inside-an-array": np.array([Evil(), [1]], object),
    "object": slice(1, 2),
    "too-short": Forged(1, (3,), np.dtype("f8"), False, b"12345678"),
    "objects-from-bytes": Forged(1, (1,), np.dtype("O"), False, b"12345678"),
    "negative": Forged(1, (-1,), np.dtype("u1"), False, b"12345678"),
    "structure": Forged(1, (1,), np.dtype([("a", "f8")]), False, b"12345678"),
    "bare": np.ndarray,
}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", REFUSED)
def test_nothing_but_data_is_unpickled(
    kind: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(REFUSED[kind], protocol)
    with pytest.raises(ValueError, match=r"file\.pkl: holds more than plain data"):
        _plain.load(io.BytesIO(content), "file.pkl")
    assert not (tmp_path / "evil").exists()


def test_a_name_takes_no_state() -> None:
    # numpy.dtype, then BUILD with a dict and with slots: nothing of ours may change.
    for state in (b"}X\x04\x00\x00\x00makeK\x01s", b"N}X\x04\x00\x00\x00makeK\x01s\x86"):
        with pytest.raises(ValueError, match="holds more than plain data"):
            _plain.load(io.BytesIO(b"\x80\x02cnumpy\ndtype\n" + state + b"b."), "x")


@pytest.mark.parametrize("protocol", range(6))
def test_data_is_unpickled(protocol: int) -> None:
    data = {
        b"f": np.arange(6, dtype=">f4").reshape(2, 3), b"F": np.asfortranarray(np.arange(6).reshape(2, 3)),
        b"o": np.array([[1], [2, 3]], object), "t": (1.5, None, True, [b"\xff", "\u00e9", -(2**70)]),
        b"0": np.array(5.0), b"b": np.array([True]),
    }  # fmt: skip
    found = _plain.load(io.BytesIO(pickle.dumps(data, protocol)), "x")
    assert found["t"] == data["t"] and found[b"o"].tolist() == [[1], [2, 3]]
    for key in (b"f", b"F", b"0", b"b"):
        np.testing.assert_array_equal(found[key], data[key])  # type: ignore[index]
        assert found[key].dtype == data[key].dtype and found[key].flags.writeable  # type: ignore[index,union-attr]


@pytest.mark.parametrize("name", [n for n in datasets.__all__ if n not in ("mnist", "fashion_mnist")])
def test_signatures_are_keras(name: str) -> None:
    for function in ("load_data", "get_word_index", "get_label_names"):
        theirs = getattr(getattr(keras.datasets, name), function, None)
        if theirs is None:
            continue
        mine = inspect.signature(getattr(getattr(datasets, name), function)).parameters.values()
        assert [(p.name, p.default) for p in mine] == [
            (p.name, p.default) for p in inspect.signature(theirs).parameters.values()
        ]


@pytest.mark.skipif(not REAL.exists(), reason="needs the real files beside the repository")
@pytest.mark.filterwarnings("ignore:.*not the published file")
def test_real_files(cache: Path) -> None:
    (x, y), (_, y_test) = datasets.reuters.load_data(str(REAL / "text/reuters/reuters.npz"))
    assert len(x) == 8982 and len(y_test) == 2246 and np.bincount(y)[:5].tolist() == [55, 432, 74, 3159, 1949]
    (x, y), _ = datasets.boston_housing.load_data(str(REAL / "tabular/boston_housing.npz"))
    assert y[:4].tolist() == [15.2, 42.3, 50.0, 21.1] and abs(x[0, 0] - 1.23247) < 1e-9
    assert datasets.imdb.get_word_index(str(REAL / "text/imdb/imdb_word_index.json"))["the"] == 1
