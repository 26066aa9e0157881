"""Ops in Functional graphs: written as the op classes that Keras names, and read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.base import naming
from nyala.saving import load_model

X = np.random.default_rng(0).random((2, 4, 3), dtype="float32") + 0.1

OPS: dict[str, Any] = {
    "add": lambda o, x: x + 1,
    "subtract": lambda o, x: 2 - x,
    "multiply": lambda o, x: x * x,
    "divide": lambda o, x: x / 2.0,
    "power": lambda o, x: x**2,
    "negative": lambda o, x: -x,
    "abs": lambda o, x: abs(-x),
    "mod": lambda o, x: x % 0.3,
    "floor_divide": lambda o, x: x // 0.3,
    "matmul": lambda o, x: x @ o.transpose(x, (0, 2, 1)),
    "greater": lambda o, x: o.cast(x > 0.5, "float32"),
    "slice of rows": lambda o, x: x[:, 1:3],
    "column": lambda o, x: x[:, 0],
    "ellipsis": lambda o, x: x[..., None, 0],
    "steps": lambda o, x: x[:, ::-2],
    "sum": lambda o, x: o.sum(x, axis=1),
    "mean": lambda o, x: o.mean(x, axis=(1, 2), keepdims=True),
    "max": lambda o, x: o.max(x, axis=-1),
    "argmax": lambda o, x: o.argmax(x, axis=-1),
    "var": lambda o, x: o.var(x, axis=1),
    "norm": lambda o, x: o.norm(x),
    "logsumexp": lambda o, x: o.logsumexp(x, axis=1),
    "cumsum": lambda o, x: o.cumsum(x, axis=1),
    "sort": lambda o, x: o.sort(x, axis=1),
    "top_k": lambda o, x: o.top_k(x, 2)[0],
    "quantile": lambda o, x: o.quantile(x, 0.25),
    "reshape": lambda o, x: o.reshape(x, (-1, 12)),
    "expand_dims": lambda o, x: o.expand_dims(x, 1),
    "squeeze": lambda o, x: o.squeeze(o.expand_dims(x, 1), 1),
    "concatenate": lambda o, x: o.concatenate([x, x * 2], axis=-1),
    "stack": lambda o, x: o.stack([x, x], axis=1),
    "split": lambda o, x: o.split(x, 2, axis=1)[1],
    "repeat": lambda o, x: o.repeat(x, 2, axis=1),
    "tile": lambda o, x: o.tile(x, (1, 2, 1)),
    "pad": lambda o, x: o.pad(x, ((0, 0), (1, 1), (0, 0)), "constant", 7.0),
    "roll": lambda o, x: o.roll(x, 1, axis=1),
    "flip": lambda o, x: o.flip(x, axis=1),
    "take": lambda o, x: o.take(x, [0, 2], axis=1),
    "broadcast_to": lambda o, x: o.broadcast_to(o.mean(x), (2, 3)),
    "zeros_like": lambda o, x: o.zeros_like(x),
    "where": lambda o, x: o.where(x > 0.5, x, 0.0),
    "clip": lambda o, x: o.clip(x, 0.2, 0.4),
    "maximum": lambda o, x: o.maximum(x, 0.5),
    "cast": lambda o, x: o.cast(x, "int32"),
    "isclose": lambda o, x: o.isclose(x, x + 0.01, atol=0.1),
    "einsum": lambda o, x: o.einsum("bij,bkj->bik", x, x),
    "one_hot": lambda o, x: o.one_hot(o.cast(x[:, :, 0] * 3, "int32"), 4),
    "softmax": lambda o, x: o.softmax(x, axis=1),
    "relu": lambda o, x: o.relu(x - 0.5),
    "gelu": lambda o, x: o.gelu(x, approximate=False),
    "leaky_relu": lambda o, x: o.leaky_relu(x - 0.5, negative_slope=0.1),
    "rsqrt": lambda o, x: o.rsqrt(x),
    "l2 normalize": lambda o, x: o.normalize(x, axis=-1),
    "moments": lambda o, x: o.moments(x, axes=[1])[1],
    "conv": lambda o, x: o.conv(o.expand_dims(x, -1), np.ones((2, 2, 1, 3), "float32")),
    "max_pool": lambda o, x: o.max_pool(x, 2, strides=1),
    "resize": lambda o, x: o.image.resize(o.expand_dims(x, -1), (8, 6)),
    "crossentropy": lambda o, x: o.categorical_crossentropy(o.softmax(x), o.softmax(x)),
    "segment_sum": lambda o, x: o.segment_sum(x[0], np.array([0, 0, 1, 1]), num_segments=2),
    "with a constant": lambda o, x: x + np.arange(3, dtype="float32"),
}


def model(k: Any, names: Any = OPS) -> Any:
    x = k.Input((4, 3))
    return k.Model(x, {name: OPS[name](k.ops, x) for name in names})


def close(one: Any, other: Any, names: Any = OPS) -> None:
    a, b = one(X), other(X)
    for name in names:
        np.testing.assert_allclose(np.asarray(a[name]), np.asarray(b[name]), rtol=1e-5, atol=1e-6, err_msg=name)


def test_ops_go_to_keras_and_back(tmp_path: Path) -> None:
    ours, theirs = model(nyala), model(keras)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    close(load_model(tmp_path / "ours.keras"), theirs)
    close(load_model(tmp_path / "theirs.keras"), theirs)
    close(keras.models.load_model(tmp_path / "ours.keras"), ours)
    theirs.save(tmp_path / "theirs.h5")
    close(load_model(tmp_path / "theirs.h5"), theirs)
    without_ellipsis = [name for name in OPS if name != "ellipsis"]  # Keras reads none in such a file
    model(nyala, without_ellipsis).save(tmp_path / "ours.h5")
    close(keras.models.load_model(tmp_path / "ours.h5"), ours, without_ellipsis)


KERAS_TAKES_ANOTHER_OP = {"divide"}
"""``/`` is ``TrueDivide`` there, the same as ``Divide``."""


def entries(k: Any, name: str) -> Any:
    """Class, module and config of the ops; what the default stands for is filled in by Keras in some of them."""
    defaults = {"data_format": "channels_last", "dtype": "float32"}
    layers = [e for e in model(k, [name]).get_config()["layers"] if e["class_name"] != "InputLayer"]
    configs = [{n: defaults.get(n) if v is None else v for n, v in e["config"].items()} for e in layers]
    return sorted((e["module"], e["class_name"], str(c)) for e, c in zip(layers, configs))


@pytest.mark.parametrize("name", [name for name in OPS if name not in KERAS_TAKES_ANOTHER_OP])
def test_entries_are_keras_s(name: str) -> None:
    naming.reset()
    keras.utils.clear_session(free_memory=False)
    assert entries(nyala, name) == entries(keras, name)


def test_a_backend_s_own_function_cannot_be_saved(tmp_path: Path) -> None:
    from nyala.graph.node import record

    x = nyala.Input((3,))
    built = nyala.Model(x, record(lambda v: v * 2, (x,), {}))
    with pytest.raises(TypeError, match="backend's own function"):
        built.save(tmp_path / "m.keras")
