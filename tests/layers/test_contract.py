"""What every layer keeps, on every backend: Keras's values, weights, configs, masks and shapes; gradients; half precision."""

from __future__ import annotations

import functools
import json
import warnings
import zlib
from typing import Any

import numpy as np
import pytest

from nyala import backends, layers, ops
from nyala.base import tree
from tests.layers.cases import CASES, Case

by_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)


def plain(x: Any) -> Any:
    return tree.map(lambda v: np.asarray(ops.convert_to_numpy(v)) if backends.of(v) else v, x)


def data(case: Case) -> Any:
    rng = np.random.default_rng(zlib.crc32(case.id.encode()))
    draw = (lambda s: rng.integers(0, case.high, s)) if case.high else (lambda s: rng.normal(size=s).astype("float32"))
    arrays = [draw(s) for s in case.shapes]
    if case.layer == "Masking":
        arrays[0][:, 2:4] = case.kwargs["mask_value"]
    return arrays if isinstance(case.shape, list) else arrays[0]


def mask_of(case: Case) -> Any:
    rng = np.random.default_rng(3)
    drawn = [rng.random(s[: case.mask]) > 0.4 for s in case.shapes]
    return drawn if isinstance(case.shape, list) else drawn[0]


def unknown(case: Case) -> Any:
    shapes = [tuple(None if i == 0 or i in case.free else n for i, n in enumerate(s)) for s in case.shapes]
    return shapes if isinstance(case.shape, list) else shapes[0]


def rounded(config: Any) -> str:
    """A config as text, key order and all; Keras keeps some numbers with the digits of float32 only."""
    return json.dumps(json.loads(json.dumps(config), parse_float=lambda x: float(np.float32(x))))


class Oracle:
    """The same layer of Keras and what it gives, computed once a case."""

    def __init__(self, case: Case):
        import keras

        self.layer = keras.layers.__dict__[case.layer](**case.kwargs, name="layer")
        self.config = rounded(self.layer.get_config())
        inputs = data(case)
        self.layer.build([x.shape for x in inputs] if isinstance(inputs, list) else inputs.shape)
        rng = np.random.default_rng(1)
        self.names = [w.name for w in self.layer.weights]
        self.trainable = [w.name for w in self.layer.trainable_weights]
        self.weights = [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in self.layer.weights]
        self.layer.set_weights(self.weights)
        self.output = np.asarray(self.layer(inputs))
        self.loss = float(sum(self.layer.losses))
        self.trained, self.after = None, None
        if case.train:
            self.trained = np.asarray(self.layer(inputs, training=True) if takes_training(self.layer) else self.output)
            self.after = self.layer.get_weights()
        self.shape = keras.layers.__dict__[case.layer](**case.kwargs)(_symbols(keras, case)).shape
        self.mask = None
        if case.mask:
            found = self.layer.compute_mask(inputs, mask_of(case))
            self.mask = None if found is None else np.asarray(found)


def _symbols(keras: Any, case: Case) -> Any:
    dtype = "int32" if case.high else "float32"
    made = [keras.KerasTensor(s, dtype) for s in (unknown(case) if isinstance(case.shape, list) else [unknown(case)])]
    return made if isinstance(case.shape, list) else made[0]


def takes_training(layer: Any) -> bool:
    return "training" in layer.call.__code__.co_varnames


@functools.lru_cache(maxsize=None)
def oracle(case_index: int) -> Oracle:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Oracle(CASES[case_index])


def expected(case: Case) -> Oracle:
    return oracle(CASES.index(case))


def make(case: Case, **kwargs: Any) -> Any:
    return layers.__dict__[case.layer](**case.kwargs, **{"name": "layer", **kwargs})


def built(case: Case, **kwargs: Any) -> Any:
    layer = make(case, **kwargs)
    layer(data(case))
    layer.set_weights(expected(case).weights)
    return layer


@by_case
def test_values(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/values")
    layer, keras = built(case), expected(case)
    assert [w.name for w in layer.weights] == keras.names
    assert [w.name for w in layer.trainable_weights] == keras.trainable
    inputs = data(case)
    y = plain(layer(inputs))
    assert y.dtype == keras.output.dtype
    np.testing.assert_allclose(y, keras.output, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(float(plain(sum(layer.losses))) if layer.losses else 0.0, keras.loss, rtol=1e-4)
    if case.train:
        trained = plain(layer(inputs, training=True))
        np.testing.assert_allclose(trained, keras.trained, rtol=5e-5, atol=5e-5)
        for ours, theirs in zip(layer.get_weights(), keras.after):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@by_case
def test_config(case: Case) -> None:
    layer = make(case)
    config = layer.get_config()
    assert rounded(config) == expected(case).config
    again = layers.deserialize(json.loads(json.dumps(layers.serialize(layer))))
    assert type(again) is type(layer)
    assert json.dumps(again.get_config()) == json.dumps(config)


@by_case
def test_symbolic_shape(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/shape")
    shapes = unknown(case)
    dtype = "int32" if case.high else "float32"
    x = tree.map(lambda s: layers.Input(batch_shape=s.shape, dtype=dtype), _boxed(shapes))
    y = make(case)(x)
    assert y.shape == tuple(expected(case).shape)
    assert y.dtype == expected(case).output.dtype


class _Shape:
    def __init__(self, shape: tuple[int | None, ...]):
        self.shape = shape


def _boxed(shapes: Any) -> Any:
    return [_Shape(s) for s in shapes] if isinstance(shapes, list) else _Shape(shapes)


@by_case
def test_half_precision(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/half")
    layer = built(case, dtype="mixed_float16")
    y = layer(data(case))
    assert backends.current().dtype_of(y) == "float16"
    assert {w.dtype for w in layer.weights} <= {"float32"}
    want = expected(case).output
    np.testing.assert_allclose(plain(y).astype("float32"), want, rtol=case.half, atol=case.half * max(1, np.abs(want).max()))


@pytest.mark.parametrize("case", [c for c in CASES if c.mask], ids=lambda c: c.id)
def test_mask(case: Case, backend: str) -> None:
    layer, want = built(case), expected(case).mask
    inputs = tree.map(ops.convert_to_tensor, data(case))
    masks = tree.map(ops.convert_to_tensor, mask_of(case))
    got = layer.compute_mask(inputs, masks)
    if want is None:
        assert got is None
    else:
        np.testing.assert_array_equal(plain(got), want)


@functools.lru_cache(maxsize=None)
def reference_gradients(case_index: int) -> list[np.ndarray]:
    """Those of the jax backend, which the others must agree with."""
    with backends.backend_scope("jax"):
        return gradients(CASES[case_index])


def gradients(case: Case) -> list[np.ndarray]:
    """Of a random linear function of the output, by inputs and trainable weights."""
    layer, want = built(case), expected(case)
    backend = backends.current()
    # Away from the kinks of relu and the ties of max, all backends must agree; at them each may choose.
    inputs = tree.map(ops.convert_to_tensor, data(case))
    factors = ops.convert_to_tensor(np.random.default_rng(2).normal(size=want.output.shape).astype("float32"))

    def loss(*xs: Any) -> Any:
        y = layer(list(xs) if isinstance(inputs, list) else xs[0], training=case.train)
        return ops.sum(ops.multiply(y, factors))

    found: list[Any] = []
    xs = inputs if isinstance(inputs, list) else [inputs]
    if not case.high:
        found += backend.grad(loss, xs)[1]
    if layer.trainable_variables:
        found += backend.value_and_grad(lambda: loss(*xs), layer.trainable_variables)()[1]
    return [backend.to_numpy(g) for g in found]


@pytest.mark.parametrize("case", [c for c in CASES if c.grad], ids=lambda c: c.id)
def test_gradients(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/gradients")
    got = gradients(case)
    assert all(np.isfinite(g).all() for g in got)
    assert any(np.abs(g).max() > 0 for g in got) or not got
    for ours, theirs in zip(got, reference_gradients(CASES.index(case)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
