"""Data sets from folders and arrays: the same files, labels and values as Keras's, on every backend without TensorFlow."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import nyala
from nyala import utils as ours
from nyala.base import tree
from nyala.utils.dataset import AUTOTUNE, Dataset

theirs = keras.utils
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of images, texts and waves."""
    root = tmp_path_factory.mktemp("data")
    for c, k in itertools.product("ab", range(4)):
        (root / c).mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 255, (9 + k, 12 - k, 3), np.uint8)).save(root / c / f"{k}.png")
        (root / c / f"{k}.txt").write_text(f"text {c}{k} with an umlaut \u00e4")
        with wave.open(str(root / c / f"{k}.wav"), "wb") as file:
            file.setparams((2, 2, 8000, 0, "NONE", ""))
            file.writeframes(RNG.integers(-9000, 9000, (5 + k, 2), np.int16).tobytes())
    return root


def host(nest: Any) -> Any:
    return tree.map(np.asarray, nest)


def same(mine: Any, expected: Any, atol: float = 0.0, dtypes: bool = True) -> None:
    mine, expected = [host(e) for e in mine], [host(e) for e in expected]
    assert len(mine) == len(expected)
    for a, b in zip(mine, expected):
        assert type(a) is type(b)
        for x, y in zip(tree.flatten(a), tree.flatten(b)):
            assert x.shape == y.shape
            if y.dtype.kind == "O":
                assert [t if isinstance(t, bytes) else t.encode() for t in x.ravel()] == list(y.ravel())
            else:
                assert x.dtype == y.dtype or not dtypes
                np.testing.assert_allclose(x, y, atol=atol)


LABELS: list[dict[str, Any]] = [
    {}, {"label_mode": "categorical"}, {"label_mode": "binary"}, {"label_mode": None}, {"labels": None},
    {"class_names": ["b", "a"], "batch_size": None}, {"labels": [0, 2, 1, 1, 0, 0, 2, 1], "batch_size": 3},
    {"validation_split": 0.3, "subset": "training"}, {"validation_split": 0.3, "subset": "validation"},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["image", "text", "audio"])
@pytest.mark.parametrize("case", range(len(LABELS)))
def test_folders(kind: str, case: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kwargs = {"shuffle": False, **LABELS[case], **({"image_size": (5, 7)} if kind == "image" else {})}
    if kind == "audio":
        kwargs["output_sequence_length"] = 6
    found, printed = [], []
    for module in (ours, theirs):
        found.append(getattr(module, f"{kind}_dataset_from_directory")(folder, **kwargs))
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    mine, expected = found
    assert mine.file_paths == list(getattr(expected, "file_paths", mine.file_paths))
    assert getattr(mine, "class_names", None) == getattr(expected, "class_names", None)
    assert len(mine) == len(expected) and int(mine.cardinality()) == int(expected.cardinality())
    same(mine, expected, atol=1e-3)


IMAGES: list[dict[str, Any]] = [
    *({"interpolation": i} for i in ours.images.RESIZING), {"color_mode": "grayscale"}, {"color_mode": "rgba"},
    {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}, {"data_format": "channels_first"},
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(IMAGES)))
def test_images(case: int, folder: Path) -> None:
    kwargs = {"image_size": (6, 16), "shuffle": False, "verbose": False, **IMAGES[case]}
    mine, expected = (m.image_dataset_from_directory(folder, **kwargs) for m in (ours, theirs))
    # TensorFlow has a rounder table of cubics, gives bytes with "nearest", and turns colours to grey otherwise than Pillow.
    atol = {8: 1.5, 2: 0.3}.get(case, 2e-2)
    same(mine, expected, atol, dtypes=case != 1)


def test_shuffled_files_are_those_of_keras(folder: Path) -> None:
    kwargs: dict[str, Any] = dict(seed=3, verbose=False, validation_split=0.5, subset="both", image_size=(4, 4))
    mine, expected = (m.image_dataset_from_directory(folder, **kwargs) for m in (ours, theirs))
    assert [d.file_paths for d in mine] == [list(d.file_paths) for d in expected]
    passes = [np.concatenate([np.asarray(x) for x, _ in mine[0]]) for _ in range(2)]
    assert not np.array_equal(*passes)
    np.testing.assert_allclose(*(np.sort(p.sum((1, 2, 3))) for p in passes))
    again = ours.image_dataset_from_directory(folder, **kwargs)[0]
    np.testing.assert_array_equal(np.concatenate([np.asarray(x) for x, _ in again]), passes[0])


def test_audio(folder: Path) -> None:
    kwargs: dict[str, Any] = dict(shuffle=False, verbose=False, batch_size=3)
    mine, expected = (m.audio_dataset_from_directory(folder, **kwargs) for m in (ours, theirs))
    same(mine, expected)
    waves, _ = next(iter(ours.audio_dataset_from_directory(folder, ragged=True, **kwargs)))
    assert [len(w) for w in waves] == [5, 6, 7]
    resampled, _ = next(iter(ours.audio_dataset_from_directory(folder, sampling_rate=16000, **kwargs)))
    assert resampled.shape == (3, 14, 2)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_waves_of_all_widths(width: int, tmp_path: Path) -> None:
    wanted = np.array([[0.5], [-0.25], [0.0]], "float32")
    numbers = np.round(wanted[:, 0] * 2.0 ** (8 * width - 1)).astype("int64") + (128 if width == 1 else 0)
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, width, 100, 0, "NONE", ""))
        file.writeframes(b"".join(int(n).to_bytes(width, "little", signed=width > 1) for n in numbers))
    x, rate = ours.loading._read_wave(str(tmp_path / "a.wav"))
    assert rate == 100
    np.testing.assert_allclose(x, wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["image", "text", "audio"])
def test_backends(kind: str, backend: str, folder: Path) -> None:
    kwargs: dict[str, Any] = {"image": {"image_size": (5, 7)}, "audio": {"output_sequence_length": 6}}.get(kind, {})
    train, test = getattr(ours, f"{kind}_dataset_from_directory")(
        folder, batch_size=3, validation_split=0.5, subset="both", seed=1, verbose=False, **kwargs
    )
    assert type(train).__module__.startswith("tensorflow" if backend == "tensorflow" else "nyala")
    assert train.class_names == ["a", "b"] and len(train) == len(train.file_paths) // 2 == 2
    x, y = next(iter(train.take(1)))
    assert train.class_names[y[0]] in "ab" and x.numpy().shape[0] == 3 and y[0].numpy().shape == ()
    if kind == "text":
        return
    train = train.cache().shuffle(10).map(lambda x, y: (x / 255.0, y)).prefetch(buffer_size=AUTOTUNE)
    model = nyala.Sequential([nyala.layers.Flatten(), nyala.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(train, validation_data=test, epochs=2, verbose=0)
    assert len(history.history["val_loss"]) == 2
    assert model.predict(test, verbose=0).shape == (4, 2)


SERIES: list[dict[str, Any]] = [
    {"batch_size": 3}, {"sampling_rate": 2, "sequence_stride": 3, "batch_size": 2}, {"start_index": 4, "end_index": 15},
    {"batch_size": None, "end_index": 8}, {"sequence_length": 30}, {"targets": None, "batch_size": 4},
    {"targets": np.arange(6)},
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SERIES)))
def test_timeseries(case: int) -> None:
    kwargs = {"data": RNG.normal(size=(20, 2)), "targets": np.arange(100, 120), "sequence_length": 5, **SERIES[case]}
    mine, expected = (m.timeseries_dataset_from_array(**kwargs) for m in (ours, theirs))
    same(mine, expected)


def test_timeseries_shuffled_and_trained(backend: str) -> None:
    data = np.arange(20.0, dtype="float32")[:, None]
    windows = ours.timeseries_dataset_from_array(data, data, 3, shuffle=True, seed=1, batch_size=4)
    firsts = np.concatenate([np.asarray(x)[:, 0, 0] for x, _ in windows])
    assert sorted(firsts) == list(range(18)) and list(firsts) != list(range(18))
    model = nyala.Sequential([nyala.layers.Flatten(), nyala.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert len(model.fit(windows, epochs=2, verbose=0).history["loss"]) == 2


SPLITS: list[tuple[Any, dict[str, Any]]] = [
    (np.arange(10), {"left_size": 0.7}), (np.arange(10), {"right_size": 3}), (np.arange(10), {"left_size": 0.5, "right_size": 0.2}),
    ((np.arange(4), np.arange(8).reshape(4, 2)), {"left_size": 2}), ([np.arange(4), np.arange(4)], {"left_size": 0.5}),
    (np.arange(10), {"left_size": 0.8, "shuffle": True, "seed": 1}),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SPLITS)))
def test_split_dataset(case: int) -> None:
    data, kwargs = SPLITS[case]
    mine, expected = (m.split_dataset(data, **kwargs) for m in (ours, theirs))
    for a, b in zip(mine, expected):
        same(a, b, dtypes=False)  # jax has no 64 bits


def test_split_of_other_sources(backend: str) -> None:
    for data in (Dataset.range(5), {"a": np.arange(5)}, [1, 2, 3, 4, 5], nyala.ops.arange(5)):
        left, right = ours.split_dataset(data, 0.6)
        assert len(left) == 3 and len(right) == 2 and len(list(left)) == 3


ERRORS: list[tuple[Any, str]] = [
    (lambda d: ours.image_dataset_from_directory(d, interpolation="cubic"), "interpolation"),
    (lambda d: ours.image_dataset_from_directory(d, color_mode="hsv"), "color_mode"),
    (lambda d: ours.image_dataset_from_directory(d, labels="none"), "labels must be"),
    (lambda d: ours.image_dataset_from_directory(d, labels=[1, 2]), "labels has 2 numbers for 8 files"),
    (lambda d: ours.image_dataset_from_directory(d, label_mode="float"), "label_mode"),
    (lambda d: ours.image_dataset_from_directory(d, class_names=["a", "c"]), "no folder 'c'"),
    (lambda d: ours.image_dataset_from_directory(d, validation_split=0.5), "go together"),
    (lambda d: ours.image_dataset_from_directory(d, validation_split=0.5, subset="test", seed=1), "subset"),
    (lambda d: ours.image_dataset_from_directory(d, validation_split=0.5, subset="both"), "needs a seed"),
    (lambda d: ours.image_dataset_from_directory(d, validation_split=0.01, subset="both", seed=1), "leaves none for validation"),
    (lambda d: ours.image_dataset_from_directory(d, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "only one of"),
    (lambda d: ours.image_dataset_from_directory(d / "a"), "no files"),
    (lambda d: ours.image_dataset_from_directory(d, format="grain"), "grain"),
    (lambda d: ours.text_dataset_from_directory(d, labels=[0, 1, 2, 0, 1, 2, 0, 1], label_mode="binary"), "needs 2 classes"),
    (lambda d: ours.audio_dataset_from_directory(d, ragged=True, output_sequence_length=3), "do not go together"),
    (lambda d: ours.timeseries_dataset_from_array(np.ones(5), None, 0), "sequence_length"),
    (lambda d: ours.timeseries_dataset_from_array(np.ones(5), None, 2, start_index=9), "start_index"),
    (lambda d: ours.timeseries_dataset_from_array(np.ones(5), None, 2, start_index=3, end_index=2), "start_index"),
    (lambda d: ours.split_dataset(np.arange(4)), "give left_size"),
    (lambda d: ours.split_dataset(np.arange(4), 4), "left_size must be"),
    (lambda d: ours.split_dataset(np.arange(10), 0.8, 0.8), "but there are 10"),
    (lambda d: ours.split_dataset(np.arange(4), 0.01), "both need some"),
    (lambda d: ours.split_dataset("abc", 0.5), "cannot split a str"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case: int, folder: Path) -> None:
    call, message = ERRORS[case]
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=message):
        call(folder)


@pytest.mark.parametrize(
    "name",
    ["image_dataset_from_directory", "text_dataset_from_directory", "audio_dataset_from_directory",
     "timeseries_dataset_from_array", "split_dataset", "load_img", "img_to_array", "array_to_img", "save_img", "pad_sequences"],
)  # fmt: skip
def test_signatures_are_keras(name: str) -> None:
    mine, expected = (inspect.signature(getattr(m, name)).parameters.values() for m in (ours, theirs))
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in expected]


def test_no_tensorflow(folder: Path) -> None:
    code = (
        "import sys, nyala; d = nyala.utils.image_dataset_from_directory(sys.argv[1], verbose=False, image_size=(4, 4));"
        "next(iter(d)); assert 'tensorflow' not in sys.modules"
    )
    env = {
        "NYALA_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PATH": "",
        "PYTHONPATH": str(Path(nyala.__file__).parent.parent),
    }
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=env)


# -- the data set of our own -------------------------------------------------------------------------------------------


def numbers(n: int = 10) -> Dataset:
    return Dataset.range(n)


CHAINS: dict[str, Any] = {
    "map": lambda d: d.map(lambda x: x * 2), "threads": lambda d: d.map(lambda x: x * 2, num_parallel_calls=3),
    "filter": lambda d: d.filter(lambda x: x % 3 == 0), "batch": lambda d: d.batch(4),
    "remainder": lambda d: d.batch(4, drop_remainder=True), "unbatch": lambda d: d.batch(4).unbatch(),
    "take": lambda d: d.take(3), "take-all": lambda d: d.take(-1), "skip": lambda d: d.skip(7), "shard": lambda d: d.shard(3, 1),
    "repeat": lambda d: d.repeat(2), "endless": lambda d: d.repeat().take(25), "concatenate": lambda d: d.concatenate(d.take(2)),
    "enumerate": lambda d: d.skip(8).enumerate(5), "prefetch": lambda d: d.prefetch(3), "cache": lambda d: d.cache(),
    "apply": lambda d: d.apply(lambda e: e.take(2)), "together": lambda d: d.map(lambda x: x + 1).batch(3).prefetch(2).cache().repeat(2),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_methods_are_those_of_tf_data(name: str) -> None:
    import tensorflow as tf

    mine, expected = CHAINS[name](numbers()), CHAINS[name](tf.data.Dataset.range(10))
    same(mine, expected)
    same(mine, expected)  # and again
    count = int(mine.cardinality())
    assert count in (int(expected.cardinality()), -2)
    if count >= 0:
        assert len(mine) == count == len(list(mine))


def test_sources_and_ends() -> None:
    import tensorflow as tf

    data = {"a": np.arange(3), "b": np.arange(6).reshape(3, 2)}
    same(Dataset.from_tensor_slices(data), tf.data.Dataset.from_tensor_slices(data))
    assert [x.numpy().tolist() for x in Dataset.from_generator(lambda: iter([1, 2]))] == [1, 2]
    pairs = Dataset.zip((numbers(3), numbers(2)))
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 0), (1, 1)] and len(pairs) == 2
    assert numbers().reduce(0, lambda a, b: a + int(b)) == 45
    assert int(numbers(1).get_single_element()) == 0 and [type(x) for x in numbers(1).as_numpy_iterator()] == [
        np.ndarray
    ]
    assert numbers().repeat().cardinality() == -1 and Dataset.from_generator(list).cardinality() == -2
    for call in (lambda: len(numbers().repeat()), lambda: len(Dataset.from_generator(list))):
        with pytest.raises(TypeError, match=r"endless|unknown"):
            call()
    with pytest.raises(NotImplementedError, match="in memory"):
        numbers().cache("file")
    with pytest.raises(ValueError, match="equally long"):
        Dataset.from_tensor_slices((np.ones(2), np.ones(3)))


def test_shuffle() -> None:
    shuffled = numbers(50).shuffle(50, seed=1)
    first, second = ([int(x) for x in shuffled] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert [int(x) for x in numbers(50).shuffle(50, seed=1)] == first
    steady = numbers(50).shuffle(5, reshuffle_each_iteration=False)
    first, second = ([int(x) for x in steady] for _ in range(2))
    assert (
        first == second
        and max(i - x for i, x in enumerate(first)) < 50
        and min(i - x for i, x in enumerate(first)) >= -5
    )


def test_errors_and_threads_end() -> None:
    def broken(x: Any) -> Any:
        if x == 3:
            raise RuntimeError("three")
        return x

    for dataset in (numbers().map(broken).prefetch(2), numbers().map(broken, 2)):
        with pytest.raises(RuntimeError, match="three"):
            list(dataset)
    before = threading.active_count()
    for _ in range(3):
        iterator = iter(numbers().repeat().prefetch(2))
        next(iterator)
        iterator.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_threads_know_the_backend(backend: str) -> None:
    def name(x: Any) -> Any:
        return nyala.backends.current().name

    for dataset in (numbers(2).map(name).prefetch(1), numbers(2).map(name, 2)):
        assert list(dataset) == [backend, backend]
