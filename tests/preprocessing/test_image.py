"""ImageDataGenerator and its parts, image by image and batch by batch against the Keras that still has them."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from keras._tf_keras.keras.preprocessing import image as theirs
from PIL import Image

import nyala
from nyala.base import config
from nyala.preprocessing import image as ours

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 255, (7, 9, 8, 3)).astype("float32")
Y = np.arange(7)


@pytest.fixture
def channels_first(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(config._settings, "image_data_format", "channels_first")
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several modes and endings in folders of three classes, one of them nested."""
    root = tmp_path_factory.mktemp("images")
    for n, place in enumerate(
        [
            "b/1.png",
            "b/2.jpg",
            "b/deep/3.png",
            "a/1.bmp",
            "a/2.PNG",
            "a/not.txt",
            "c/1.tif",
            "c/2.png",
            "c/3.png",
            "top.png",
        ]
    ):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 255, (10 + n, 12, 4), np.uint8)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            mode = "RGB" if path.suffix in (".jpg", ".bmp") else ("RGBA", "L", "RGB")[n % 3]
            Image.fromarray(pixels).convert(mode).save(path)
    return root


# -- files and arrays --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kwargs", [{}, {"color_mode": "grayscale"}, {"color_mode": "rgba"}, {"target_size": (5, 7)},
    {"target_size": (5, 7), "interpolation": "lanczos"}, {"target_size": (4, 9), "keep_aspect_ratio": True},
    {"target_size": (9, 4), "keep_aspect_ratio": True, "interpolation": "bilinear"}])  # fmt: skip
@pytest.mark.parametrize("name", ["b/1.png", "b/2.jpg", "a/2.PNG"])
def test_load_img(name: str, kwargs: Any, folder: Path) -> None:
    mine, expected = (np.asarray(m.load_img(folder / name, **kwargs)) for m in (ours, theirs))
    np.testing.assert_array_equal(mine, expected)
    stream = io.BytesIO((folder / name).read_bytes())
    np.testing.assert_array_equal(np.asarray(ours.load_img(stream, **kwargs)), expected)


ARRAYS = [X[0], X[0] - 100, X[0, ..., :1], X[0, ..., :1] * 100, np.zeros((2, 2, 3)), RNG.integers(0, 255, (3, 4, 4))]


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("case", range(len(ARRAYS)))
def test_array_to_img_and_back(case: int, scale: bool) -> None:
    if case == 1 and not scale:
        pytest.skip("negative values as bytes are undefined")
    mine, expected = (m.array_to_img(ARRAYS[case], scale=scale) for m in (ours, theirs))
    assert mine.mode == expected.mode
    np.testing.assert_array_equal(np.asarray(mine), np.asarray(expected))
    for kwargs in ({}, {"data_format": "channels_first", "dtype": "float16"}):
        first, second = ours.img_to_array(mine, **kwargs), theirs.img_to_array(expected, **kwargs)
        np.testing.assert_array_equal(first, second)
        assert first.dtype == second.dtype


def test_save_img(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        for module, place in ((ours, "mine"), (theirs, "theirs")):
            (tmp_path / place).mkdir(exist_ok=True)
            module.save_img(tmp_path / place / name, X[0])
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    with pytest.warns(UserWarning, match="no transparency"):
        ours.save_img(tmp_path / "b.jpg", np.zeros((3, 3, 4)))
    ours.save_img(stream := io.BytesIO(), X[0], file_format="png")
    assert Image.open(stream).size == (8, 9)


@pytest.mark.parametrize("kwargs", [{}, {"interpolation": "nearest"}, {"interpolation": "bicubic"}])
@pytest.mark.parametrize("size", [(4, 8), (12, 5), (9, 8)])
def test_smart_resize(size: Any, kwargs: Any, backend: str) -> None:
    for x in (X[0], X):
        mine, expected = ours.smart_resize(x, size, **kwargs), theirs.smart_resize(x, size, **kwargs)
        assert isinstance(mine, np.ndarray)
        np.testing.assert_allclose(mine, expected, atol=2e-3)


# -- single transforms -------------------------------------------------------------------------------------------------

AXES = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
SINGLE: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("apply_affine_transform", (), AXES),
    ("apply_affine_transform", (), {"theta": 30, "tx": 1, "ty": -2, "shear": 10, "zx": 0.7, "zy": 1.3, **AXES}),
    ("apply_affine_transform", (), {"tx": 3, "fill_mode": "constant", "cval": 7.0, "order": 0, **AXES}),
    ("random_rotation", (40,), {"fill_mode": "reflect", **AXES}),
    ("random_shift", (0.3, 0.2), {"fill_mode": "wrap", **AXES}),
    ("random_shear", (20,), AXES),
    ("random_zoom", ((0.5, 1.5),), {"interpolation_order": 3, **AXES}),
    ("random_zoom", ((1, 1),), AXES),
    ("random_channel_shift", (50.0,), {"channel_axis": 2}),
    ("apply_channel_shift", (50.0,), {"channel_axis": 2}),
    ("random_brightness", ((0.5, 1.5),), {}),
    ("random_brightness", ((0.5, 1.5),), {"scale": False}),
    ("apply_brightness_shift", (0.7,), {"scale": False}),
]


@pytest.mark.parametrize("case", range(len(SINGLE)))
def test_single_transforms(case: int) -> None:
    name, args, kwargs = SINGLE[case]
    for x in (X[0], X[0] - 50):
        found = []
        for module in (ours, theirs):
            np.random.seed(3)
            found.append(getattr(module, name)(x.copy(), *args, **kwargs))
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-4)
        assert found[0].dtype == found[1].dtype


def test_channels_first_transform() -> None:
    x = X[0].transpose(2, 0, 1)
    mine, expected = (m.apply_affine_transform(x, theta=20, zx=0.5) for m in (ours, theirs))
    np.testing.assert_allclose(mine, expected, rtol=1e-5)


# -- the generator -----------------------------------------------------------------------------------------------------

GENERATORS: dict[str, dict[str, Any]] = {
    "plain": {},
    "moved": {"rotation_range": 30, "width_shift_range": 0.2, "height_shift_range": 3, "shear_range": 10, "zoom_range": 0.3},
    "listed": {"width_shift_range": [1, 2], "height_shift_range": (-0.1, 0.2), "zoom_range": (0.5, 0.9)},
    "flips": {"horizontal_flip": True, "vertical_flip": True, "channel_shift_range": 20.0},
    "bright": {"brightness_range": (0.4, 1.2), "rescale": 1 / 255},
    "filled": {"rotation_range": 45, "fill_mode": "constant", "cval": 9.0, "interpolation_order": 0},
    "samplewise": {"samplewise_center": True, "samplewise_std_normalization": True},
    "featurewise": {"featurewise_center": True, "featurewise_std_normalization": True, "horizontal_flip": True},
    "zca": {"zca_whitening": True, "zca_epsilon": 1e-2, "rescale": 1 / 255, "featurewise_center": True},
    "function": {"preprocessing_function": lambda x: 255.0 - x, "dtype": "float64", "rescale": 2.0},
}  # fmt: skip


def both(kwargs: Any) -> list[Any]:
    return [m.ImageDataGenerator(**kwargs) for m in (ours, theirs)]


def same(mine: Any, expected: Any, **tolerance: Any) -> None:
    if isinstance(expected, (list, tuple)):
        assert type(mine) is type(expected) and len(mine) == len(expected)
        for a, b in zip(mine, expected):
            same(a, b, **tolerance)
    elif np.asarray(expected).dtype.kind == "U":
        assert mine.tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(mine, expected, **({"rtol": 1e-4, "atol": 1e-3} | tolerance))
        assert np.asarray(mine).dtype == np.asarray(expected).dtype


@pytest.mark.parametrize(
    ("name", "layout"),
    [(n, d) for n in GENERATORS for d in ("channels_last", "channels_first") if (n, d) != ("bright", "channels_first")],
)
def test_flow(name: str, layout: str) -> None:
    x = X if layout == "channels_last" else X.transpose(0, 3, 1, 2)
    iterators = []
    for generator in both({**GENERATORS[name], "data_format": layout}):
        generator.fit(x)
        iterators.append(generator.flow(x, Y, batch_size=3, seed=5))
    mine, expected = iterators
    assert len(mine) == len(expected) == 3 and mine.n == 7
    loose = {"atol": 0.02} if name == "zca" else {}
    for _ in range(4):
        same(next(mine), next(expected), **loose)
    for it in iterators:
        np.random.seed(9)
        it.on_epoch_end()
        it.reset()
    for index in (1, 2, 0):
        same(mine[index], expected[index], **loose)


@pytest.mark.parametrize("name", GENERATORS)
def test_amounts(name: str) -> None:
    for seed in range(4):
        mine, expected = (g.get_random_transform((9, 8, 3), seed) for g in both(GENERATORS[name]))
        assert list(mine) == list(expected)
        for key, value in expected.items():
            assert mine[key] == pytest.approx(value) if value is not None else mine[key] is None
    first, second = (g.random_transform(X[1].copy(), seed=2) for g in both(GENERATORS[name]))
    same(first, second)
    amounts = {"theta": 10, "flip_horizontal": True, "brightness": 0.8}
    same(*(g.apply_transform(X[1].copy(), amounts) for g in both(GENERATORS[name])))


def test_fit_on_changed_images() -> None:
    for kwargs in ({}, {"augment": True, "rounds": 2, "seed": 3}):
        mine, expected = both({**GENERATORS["featurewise"], "rotation_range": 20})
        mine.fit(X, **kwargs), expected.fit(X, **kwargs)
        np.testing.assert_allclose(mine.mean, expected.mean, rtol=1e-5)
        np.testing.assert_allclose(mine.std, expected.std, rtol=1e-5)


def test_flow_with_weights_more_inputs_and_subsets() -> None:
    weights, other = np.linspace(0, 1, 7), np.arange(14).reshape(7, 2)
    for args, kwargs in (
        ((X,), {}), ((X, Y), {"sample_weight": weights}), (((X, [other]), Y), {}),
        ((X, Y % 2), {"subset": "validation"}), ((X, Y), {"subset": "training", "ignore_class_split": True}),
    ):  # fmt: skip
        mine, expected = (g.flow(*args, batch_size=4, seed=1, **kwargs) for g in both({"validation_split": 0.5}))
        for _ in range(3):
            same(next(mine), next(expected))


def test_brightness_with_channels_first() -> None:
    amounts = {"brightness": 0.5}  # Keras takes the first axis for rows here
    last = ours.ImageDataGenerator().apply_transform(X[0], amounts)
    first = ours.ImageDataGenerator(data_format="channels_first").apply_transform(X[0].transpose(2, 0, 1), amounts)
    np.testing.assert_array_equal(first.transpose(1, 2, 0), last)


def test_images_are_saved(tmp_path: Path) -> None:
    for generator, name in zip(both({"horizontal_flip": True}), ("mine", "theirs")):
        (tmp_path / name).mkdir()
        next(generator.flow(X, batch_size=2, seed=1, save_to_dir=str(tmp_path / name), save_prefix="p"))
    files = sorted((tmp_path / "mine").iterdir())
    assert [f.name for f in files] == sorted(f.name for f in (tmp_path / "theirs").iterdir()) and len(files) == 2
    assert all(f.read_bytes() == (tmp_path / "theirs" / f.name).read_bytes() for f in files)


FLOWS: list[dict[str, Any]] = [
    {}, {"class_mode": "sparse", "shuffle": False}, {"class_mode": "input", "color_mode": "grayscale"},
    {"class_mode": None, "color_mode": "rgba", "interpolation": "bilinear"}, {"classes": ["c", "a"], "class_mode": "binary"},
    {"subset": "training"}, {"subset": "validation"}, {"keep_aspect_ratio": True, "follow_links": True},
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(FLOWS)))
def test_flow_from_directory(case: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, printed = [], []
    for generator in both({"rotation_range": 10, "rescale": 1 / 255, "validation_split": 0.4}):
        found.append(generator.flow_from_directory(folder, (6, 7), batch_size=3, seed=2, **FLOWS[case]))
        printed.append(capsys.readouterr().out)
    mine, expected = found
    assert printed[0] == printed[1]
    for name in ("class_indices", "filenames", "filepaths", "samples", "num_classes", "image_shape", "class_mode"):
        assert getattr(mine, name) == getattr(expected, name), name
    np.testing.assert_array_equal(mine.classes, expected.classes)
    for _ in range(4):
        same(next(mine), next(expected))


def test_channels_first_from_directory(folder: Path, channels_first: None) -> None:
    mine, expected = (g.flow_from_directory(folder, (6, 7), seed=1) for g in both({"horizontal_flip": True}))
    same(next(mine), next(expected))


FRAMES: list[dict[str, Any]] = [
    {}, {"class_mode": "sparse", "shuffle": False}, {"y_col": "many"}, {"class_mode": "raw", "y_col": "number"},
    {"class_mode": "raw", "y_col": ["number", "weight"]}, {"class_mode": "multi_output", "y_col": ["number", "class"]},
    {"class_mode": None}, {"class_mode": "input"}, {"weight_col": "weight", "classes": ["c", "b"]},
    {"class_mode": "binary", "classes": ["a", "b"]}, {"y_col": "many", "classes": ["b", "c"]}, {"subset": "validation"},
]  # fmt: skip


@pytest.fixture
def table(folder: Path) -> pd.DataFrame:
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("?.*"))
    return pd.DataFrame({
        "filename": [*names, "missing.png"], "class": [n[0] for n in names] + ["a"],
        "number": np.arange(len(names) + 1), "weight": np.linspace(0, 1, len(names) + 1),
        "many": [[n[0], "b"] if n[0] == "a" else [n[0]] for n in names] + [["c"]],
    })  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*(invalid image filename|are left out)")
@pytest.mark.parametrize("case", range(len(FRAMES)))
def test_flow_from_dataframe(case: int, folder: Path, table: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    found, printed = [], []
    for generator in both({"validation_split": 0.4}):
        found.append(generator.flow_from_dataframe(table, str(folder), target_size=(6, 7), batch_size=3, seed=2, **FRAMES[case]))  # fmt: skip
        printed.append(capsys.readouterr().out)
    mine, expected = found
    assert printed[0] == printed[1]
    assert mine.filenames == list(expected.filenames)
    assert getattr(mine, "class_indices", None) == getattr(expected, "class_indices", None)
    for _ in range(4):
        same(next(mine), next(expected))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, d, t: ours.ImageDataGenerator(zoom_range=[1, 2, 3]), "zoom_range"),
        (lambda g, d, t: ours.ImageDataGenerator(brightness_range=3), "brightness_range"),
        (lambda g, d, t: ours.ImageDataGenerator(validation_split=1.5), "validation_split"),
        (lambda g, d, t: ours.ImageDataGenerator(fill_mode="edge"), "fill_mode"),
        (lambda g, d, t: ours.ImageDataGenerator(data_format="first"), "data_format"),
        (lambda g, d, t: ours.ImageDataGenerator(width_shift_range="a"), "width_shift_range must be a number"),
        (lambda g, d, t: ours.ImageDataGenerator(rotation_range="a"), "rotation_range must be a number"),
        (lambda g, d, t: g.flow(X, np.arange(5)), "x and y must be equally long, got 7 and 5"),
        (lambda g, d, t: g.flow(X[0]), "4 axes"),
        (lambda g, d, t: g.flow(X, subset="test"), "subset"),
        (lambda g, d, t: ours.ImageDataGenerator(validation_split=0.5).flow(X, Y, subset="training"), "shuffle the arrays"),
        (lambda g, d, t: g.fit(X[0]), "4 axes"),
        (lambda g, d, t: g.flow(X)[1], "no batch 1"),
        (lambda g, d, t: g.flow_from_directory(d, class_mode="raw"), "class_mode"),
        (lambda g, d, t: g.flow_from_directory(d, color_mode="hsv"), "color_mode"),
        (lambda g, d, t: g.flow_from_directory(d, interpolation="cubic"), "interpolation"),
        (lambda g, d, t: next(g.flow_from_directory(d / "c")), "no images"),
        (lambda g, d, t: g.flow_from_dataframe(t, d, y_col="label"), "no column 'label'"),
        (lambda g, d, t: g.flow_from_dataframe(t, d, y_col="number"), "must be strings"),
        (lambda g, d, t: g.flow_from_dataframe(t, d, class_mode="binary"), "needs 2 classes, there are 3"),
        (lambda g, d, t: g.flow_from_dataframe(t, d, weight_col="class"), "must be numbers"),
        (lambda g, d, t: g.flow_from_dataframe({"filename": []}, d), "pandas DataFrame, got dict"),
        (lambda g, d, t: g.flow_from_dataframe(t, d, foo=1), "unknown argument 'foo'"),
        (lambda g, d, t: ours.load_img(d / "top.png", "hsv"), "color_mode"),
        (lambda g, d, t: ours.load_img(5), "path must be"),
        (lambda g, d, t: ours.array_to_img(np.zeros((2, 2, 5))), "1, 3 or 4 channels"),
        (lambda g, d, t: ours.array_to_img(np.zeros((2, 2))), "3 axes"),
        (lambda g, d, t: ours.apply_affine_transform(X[0], row_axis=0, col_axis=2, channel_axis=1), "first or last"),
        (lambda g, d, t: ours.smart_resize(X[0, 0], (2, 2)), "3 axes"),
    ],
)  # fmt: skip
def test_errors(call: Any, message: str, folder: Path, table: pd.DataFrame) -> None:
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call(ours.ImageDataGenerator(), folder, table)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"zca_whitening": True}, "zca_whitening sets featurewise_center=True"),
        ({"featurewise_std_normalization": True}, "sets featurewise_center=True"),
        ({"samplewise_std_normalization": True}, "sets samplewise_center=True"),
    ],
)
def test_implied_settings(kwargs: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        mine = ours.ImageDataGenerator(**kwargs)
    with pytest.warns(UserWarning):
        expected = theirs.ImageDataGenerator(**kwargs)
    for name in (*kwargs, "featurewise_center", "samplewise_center"):
        assert getattr(mine, name) == getattr(expected, name)


def test_not_fitted() -> None:
    with pytest.warns(UserWarning, match=r"does nothing before fit"):
        ours.ImageDataGenerator(featurewise_center=True).standardize(X[0].copy())


def test_fit_and_predict_with_iterators(backend: str, folder: Path) -> None:
    train = ours.ImageDataGenerator(rescale=1 / 255, horizontal_flip=True).flow_from_directory(
        folder, (6, 6), batch_size=2, class_mode="categorical"
    )
    model = nyala.Sequential([nyala.layers.Flatten(), nyala.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    history = model.fit(train, epochs=2, verbose=0, validation_data=train)
    assert len(history.history["val_loss"]) == 2
    model.fit(train, steps_per_epoch=2, verbose=0)
    assert model.predict(train, verbose=0).shape == (8, 3)


def test_workers_see_every_image_once() -> None:
    iterator = ours.NumpyArrayIterator(X, Y, ours.ImageDataGenerator(), batch_size=2)
    iterator.workers = 3
    from nyala.training.data import make

    seen = np.concatenate([y for _, y, _ in make(iterator).batches()])
    assert sorted(seen) == list(range(7))


def test_needs(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"needs scipy.*nyala\[image\]"):
        ours.apply_affine_transform(X[0], theta=3, **AXES)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"need Pillow.*nyala\[image\]"):
        ours.load_img(folder / "top.png")


CLASSES = ("Iterator", "NumpyArrayIterator", "DirectoryIterator")
METHODS = ("flow", "flow_from_directory", "flow_from_dataframe", "fit", "standardize", "get_random_transform", "apply_transform", "random_transform")  # fmt: skip


@pytest.mark.parametrize("name", [*(n for n in ours.__all__ if n != "DataFrameIterator"), *METHODS])
def test_signatures_are_keras(name: str) -> None:
    def of(module: Any) -> list[Any]:
        owner = module.ImageDataGenerator if name in METHODS else module
        found = inspect.signature(getattr(owner, name)).parameters.values()
        return [(p.name, p.default) for p in found if p.name != "backend_module"]

    assert of(ours) == of(theirs)
