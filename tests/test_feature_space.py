"""FeatureSpace against Keras's: values, configs, files both ways, and the data that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nyala
from nyala import layers, ops, saving
from nyala.utils import FeatureSpace

DATA: dict[str, Any] = {
    "f": [1.0, 2, 3, 4],
    "fn": [0.0, 1, 2, 3],
    "fr": [1.0, 2, 3, 4],
    "fd": [0.0, 1, 2, 3],
    "ic": [1, 2, 3, 1],
    "sc": ["a", "b", "a", "c"],
    "ih": [1, 2, 3, 4],
    "sh": ["x", "y", "z", "x"],
}


def space(library: Any, **kwargs: Any) -> Any:
    features = {
        "f": "float",
        "fn": "float_normalized",
        "fr": library.float_rescaled(2.0, 1.0),
        "fd": library.float_discretized(num_bins=3),
        "ic": "integer_categorical",
        "sc": library.string_categorical(max_tokens=4, name="words"),
        "ih": library.integer_hashed(num_bins=5),
        "sh": "string_hashed",
    }
    crosses = [("sc", "ic"), library.cross(("ih", "sh"), crossing_dim=7)]
    return library(features, crosses=crosses, name="space", **kwargs)


@pytest.fixture(scope="module")
def theirs() -> Any:
    made = space(keras.utils.FeatureSpace)
    made.adapt(DATA)
    return made


@pytest.fixture(scope="module")
def expected(theirs: Any) -> np.ndarray:
    return np.asarray(theirs(DATA))


def host(x: Any) -> Any:
    return ops.convert_to_numpy(x)


def test_values_and_files_both_ways(backend: str, theirs: Any, expected: np.ndarray, tmp_path: Path) -> None:
    ours = space(FeatureSpace)
    with pytest.raises(ValueError, match=r"FeatureSpace `space`: has not seen data yet: call adapt"):
        ours(DATA)
    ours.adapt(DATA)
    np.testing.assert_allclose(host(ours(DATA)), expected, rtol=1e-6)
    np.testing.assert_allclose(host(ours({k: v[1] for k, v in DATA.items()})), expected[1], rtol=1e-6)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    for name in ("ours", "theirs"):
        np.testing.assert_allclose(host(saving.load_model(tmp_path / f"{name}.keras")(DATA)), expected, rtol=1e-6)
    if backend == "torch":
        np.testing.assert_allclose(keras.models.load_model(tmp_path / "ours.keras")(DATA), expected, rtol=1e-6)


def test_configs(theirs: Any) -> None:
    def plain(x: Any) -> Any:
        if isinstance(x, dict):
            return {k: plain(v) for k, v in x.items() if k not in ("build_config", "dtype")}
        return [plain(v) for v in x] if isinstance(x, (list, tuple)) else x

    nyala.base.naming.reset()
    ours = space(FeatureSpace)
    ours.adapt(DATA)
    config = ours.get_config()
    assert list(config) == list(theirs.get_config())
    ours_, theirs_ = plain(config), plain(theirs.get_config())
    for name in ("fr", "fd", "ih"):  # names that count up go by what was made before
        for c in (ours_, theirs_):
            del c["features"][name]["config"]["preprocessor"]["config"]["name"]
    assert ours_ == theirs_
    again = FeatureSpace.from_config(config)
    assert [plain(again.get_config())["features"][n] for n in ("f", "fn", "fr", "ih")] == [
        plain(config)["features"][n] for n in ("f", "fn", "fr", "ih")
    ]
    assert again.get_config()["crosses"] == config["crosses"]


def test_dict_mode(backend: str) -> None:
    found = []
    for library in (FeatureSpace, keras.utils.FeatureSpace):
        features = {
            "a": library.integer_categorical(output_mode="int"),
            "b": library.string_categorical(output_mode="one_hot"),
            "c": "float",
            "d": library.float_discretized(num_bins=2, bin_boundaries=[1.5], output_mode="int") if library is FeatureSpace else "float",
        }  # fmt: skip
        crosses = [library.cross(("a", "b"), crossing_dim=8, output_mode="int")]
        made = library(features, "dict", crosses)
        data = {"a": [1, 2, 3, 1], "b": ["a", "b", "a", "c"], "c": [1.0, 2, 3, 4], "d": [1.0, 2, 3, 4]}
        made.adapt(data)
        found.append(made(data))
    ours, theirs = found
    assert list(ours) == ["a", "b", "c", "d", "a_X_b"] and host(ours["d"]).ravel().tolist() == [0, 1, 1, 1]
    for name in ("a", "b", "c", "a_X_b"):
        np.testing.assert_array_equal(host(ours[name]), theirs[name])


def test_in_a_model(backend: str) -> None:
    made = FeatureSpace({"a": "float_normalized", "b": FeatureSpace.integer_hashed(4)})
    data = {"a": np.arange(6.0), "b": np.arange(6)}
    made.adapt(data)
    encoded = made.get_encoded_features()
    assert encoded.shape == (None, 5)
    model = nyala.Model(made.get_inputs(), layers.Dense(1, kernel_initializer="ones")(encoded))
    columns = {k: v[:, None] for k, v in data.items()}
    np.testing.assert_allclose(model.predict(columns, verbose=0)[:, 0], host(made(data)).sum(1), rtol=1e-5)


def test_tables_and_data_sets(theirs: Any, expected: np.ndarray) -> None:
    import tensorflow as tf

    tables = [pd.DataFrame(DATA), pl.DataFrame(DATA), pa.table(DATA)]
    dataset = tf.data.Dataset.from_tensor_slices((DATA, [0, 1, 0, 1]))
    rows = ({k: v[i : i + 2] for k, v in DATA.items()} for i in (0, 2))
    for data in (*tables, dataset, dataset.batch(3), rows):
        made = space(FeatureSpace)
        made.adapt(data)
        np.testing.assert_allclose(host(made(DATA)), expected, rtol=1e-6)
    for table in tables:
        np.testing.assert_allclose(host(made(table)), expected, rtol=1e-6)
    mapped = np.concatenate([x for x, _ in dataset.batch(3).map(lambda x, y: (made(x), y)).as_numpy_iterator()])
    np.testing.assert_allclose(mapped, expected, rtol=1e-6)


def test_layers_of_ones_own() -> None:
    features = {
        "t": FeatureSpace.feature("string", layers.TextVectorization(output_mode="multi_hot"), "float"),
        "o": FeatureSpace.feature("int32", layers.IntegerLookup(vocabulary=[1, 2]), "one_hot"),
    }
    made = FeatureSpace(features)
    made.adapt({"t": ["a b", "b c"], "o": [5, 6]})
    out = host(made({"t": ["a b", "b c"], "o": [2, 9]}))
    assert out[:, :3].tolist() == [[0, 0, 1], [1, 0, 0]] and out[:, 3:].sum(1).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: f({}), "at least one feature"),
        (lambda f: f({"a": "flot"}), r"features\['a'\] must be one of"),
        (lambda f: f({"a": "float"}, "list"), "output_mode must be one of"),
        (lambda f: f({"a": "float"}, crosses=[("a", "b")]), "crosses names 'b', no feature"),
        (lambda f: f({"a": f.integer_categorical(output_mode="float32")}), "output_mode must be one of"),
        (lambda f: f({"a": "float_normalized"}).adapt([[1, 2]]), "must yield dicts"),
        (lambda f: f({"a": "float_normalized"}).adapt({"b": [1]}), "no column 'a'"),
        (lambda f: f({"a": f.integer_hashed(3, output_mode="int")})({"a": [1]}), "cannot be concatenated"),
        (lambda f: f({"a": "float"})({"b": [1]}), "no column 'a'"),
    ],
)
def test_errors(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(FeatureSpace)
