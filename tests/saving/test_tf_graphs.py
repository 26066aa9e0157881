"""Graphs of tf.keras 2.1 to 2.15 with functions of TensorFlow in them, in the form of functions and in that of graph nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.models import model_from_json
from tests.saving.tf_graphs import FILE, NOT_STORED, ROWS

STORED = json.loads(FILE.read_text())
X = np.random.default_rng(0).random((2, 4, 3), dtype="float32") + 0.1
SIZES = [name for name in ROWS if "size" in name or "rows" in name or "shape" in name]


def values(model: Any, names: list[str]) -> dict[str, np.ndarray]:
    return dict(zip(names, map(nyala.ops.convert_to_numpy, model(X))))


@pytest.mark.parametrize("kind", STORED)
def test_functions_and_nodes(kind: str) -> None:
    import tensorflow as tf

    names = STORED[kind]["names"]
    assert set(names) == set(ROWS) - NOT_STORED[kind]
    with nyala.backend_scope("torch"):
        model = model_from_json(json.dumps(STORED[kind]["model"]))
        found = values(model, names)
        again = values(model_from_json(model.to_json()), names)
    for name in names:
        expected = ROWS[name](tf, tf.constant(X)).numpy()
        assert found[name].shape == expected.shape and found[name].dtype.kind == expected.dtype.kind, name
        np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(found[name], again[name], err_msg=name)


def part(kind: str, names: list[str]) -> Any:
    """The stored model with these outputs."""
    config = json.loads(json.dumps(STORED[kind]["model"]))
    outputs = dict(zip(STORED[kind]["names"], config["config"]["output_layers"]))
    config["config"]["output_layers"] = [outputs[name] for name in names]
    needed, layers = {place[0] for place in config["config"]["output_layers"]}, []
    for layer in reversed(config["config"]["layers"]):
        if layer["name"] in needed:
            layers.append(layer)
            text = json.dumps(layer["inbound_nodes"])
            needed |= {x["name"] for x in config["config"]["layers"] if f'["{x["name"]}", ' in text}
    config["config"]["layers"] = layers[::-1]
    return model_from_json(json.dumps(config))


def test_sizes_are_known_in_a_compiled_step(backend: str) -> None:
    import tensorflow as tf

    names = [n for n in SIZES if n not in ("range of a size",)]
    model = part("nodes", names)
    rows = model.output_shape[names.index("rows of unknown number")]
    assert rows == (None, 12)
    for name, y in zip(names, model.predict(X, verbose=0)):
        np.testing.assert_allclose(y, ROWS[name](tf, tf.constant(X)).numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_was_made_of_ops_is_a_file_of_keras_3(tmp_path: Path) -> None:
    names = ["matmul", "l2_normalize", "gelu", "column", "split by sizes", "where", "conv2d"]
    model = part("functions", names)
    model.save(tmp_path / "m.keras")
    for y, z in zip(keras.models.load_model(tmp_path / "m.keras")(X), model(X), strict=True):
        np.testing.assert_allclose(np.asarray(y), np.asarray(z), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("functions", "math.multiply", "math.bessel_i0", r"function tf\.math\.bessel_i0, which is not known"),
        ("nodes", "Mul", "Bessel", "op Bessel of a graph, which is not known"),
    ],
)
def test_unknown_ones_are_named(kind: str, old: str, new: str, message: str) -> None:
    text = json.dumps(STORED[kind]["model"]).replace(f'"{old}"', f'"{new}"')
    with pytest.raises(ValueError, match=rf"{message}.*custom_objects"):
        model_from_json(text)


def test_sizes_stay_few(tmp_path: Path) -> None:
    """Lists of sizes are made while a file is read: they cannot grow without bound."""
    config = json.loads(json.dumps(STORED["functions"]["model"]))
    by_name = {x["name"]: x for x in config["config"]["layers"]}
    shape = next(x for x in by_name.values() if x["config"].get("function") == "compat.v1.shape")
    layers, last = [by_name["x"], {**shape, "inbound_nodes": [["x", 0, 0, {}]]}], shape["name"]
    for i in range(30):
        place = [last, 0, 0, {"axis": 0}]
        last = f"concat{i}"
        layers.append({"class_name": "TFOpLambda", "name": last, "config": {"name": last, "function": "concat"},
                       "inbound_nodes": [[place, place]]})  # fmt: skip
    config["config"] |= {"layers": layers, "output_layers": [[last, 0, 0]]}
    with pytest.raises(ValueError, match="numbers are made from the sizes"):
        model_from_json(json.dumps(config))
