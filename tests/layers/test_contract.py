"""What every layer keeps on every backend: values, weights, configs, masks, shapes; gradients, half precision."""

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
from nyala.base.variable import Variable
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


def _listed(inputs: Any) -> list[Any]:
    return inputs if isinstance(inputs, list) else [inputs]


def _nested(case: Case, xs: Any) -> tuple[Any, ...]:
    return arguments(case, list(xs) if isinstance(case.shape, list) else xs[0])


def arguments(case: Case, inputs: Any) -> tuple[Any, ...]:
    """What the layer is called with."""
    return tuple(inputs) if case.spread else (inputs,)


def first(case: Case, inputs: Any, mask: Any) -> tuple[Any, Any]:
    """The argument whose mask decides, and that mask."""
    return (inputs[0], mask[0]) if case.spread else (inputs, mask)


def unknown(case: Case) -> Any:
    shapes = [tuple(None if i == 0 or i in case.free else n for i, n in enumerate(s)) for s in case.shapes]
    return shapes if isinstance(case.shape, list) else shapes[0]


def rounded(config: Any) -> str:
    """A config as text, key order and all; Keras keeps some numbers with the digits of float32 only."""
    return json.dumps(json.loads(json.dumps(config), parse_float=lambda x: float(np.float32(x))))


class Oracle:
    """The same layer of Keras and what it gives, computed once a case."""

    def __init__(self, case: Case):
        import jax
        import keras

        self.layer = keras.layers.__dict__[case.layer](**case.kwargs, name="layer")
        self.config = rounded(self.layer.get_config())
        inputs = data(case)
        shapes = [x.shape for x in _listed(inputs)]
        self.layer.build(*(shapes if case.spread else [shapes if isinstance(inputs, list) else shapes[0]]))
        rng = np.random.default_rng(1)
        self.names = [w.name for w in self.layer.weights]
        self.trainable = [w.name for w in self.layer.trainable_weights]
        self.weights = [rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in self.layer.weights]
        self.layer.set_weights(self.weights)
        tensors = [[w.value for w in ws] for ws in (self.layer.trainable_variables, self.layer.non_trainable_variables)]
        # Compiled as one: JAX would else compile each operation by itself.
        plain, trained = jax.jit(functools.partial(self._calls, train=case.train))(*tensors, arguments(case, inputs))
        self.output, self.loss = np.asarray(plain[0]), float(sum(plain[2]))
        if any(
            x.activity_regularizer is not None for x in self.layer._flatten_layers()
        ):  # which stateless_call leaves out
            self.layer(*arguments(case, inputs))
            self.loss = float(sum(self.layer.losses))
        self.trained, self.after = None, self.weights
        if trained:
            self.trained = np.asarray(trained[0])
            for variable, value in zip(self.layer.non_trainable_variables, trained[1]):
                variable.assign(value)
            self.after = self.layer.get_weights()
        self.shape = keras.layers.__dict__[case.layer](**case.kwargs)(*arguments(case, _symbols(keras, case))).shape
        self.mask = None
        if case.mask:
            found = self.layer.compute_mask(*first(case, inputs, mask_of(case)))
            self.mask = None if found is None else np.asarray(found)

    def _calls(self, trainable: Any, fixed: Any, inputs: Any, train: bool) -> Any:
        plain = self.layer.stateless_call(trainable, fixed, *inputs, return_losses=True)
        if not train or not takes_training(self.layer):
            return plain, None
        return plain, self.layer.stateless_call(trainable, fixed, *inputs, training=True)


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
    layer(*arguments(case, data(case)))
    layer.set_weights(expected(case).weights)
    return layer


@by_case
def test_values(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/values")
    layer, keras = built(case), expected(case)
    assert [w.name for w in layer.weights] == keras.names
    assert [w.name for w in layer.trainable_weights] == keras.trainable
    inputs = arguments(case, data(case))
    y = plain(layer(*inputs))
    assert y.dtype == keras.output.dtype
    np.testing.assert_allclose(y, keras.output, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(float(plain(sum(layer.losses))) if layer.losses else 0.0, keras.loss, rtol=1e-4)
    if case.train:
        trained = plain(layer(*inputs, training=True))
        want = keras.output if keras.trained is None else keras.trained
        np.testing.assert_allclose(trained, want, rtol=5e-5, atol=5e-5)
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
    y = make(case)(*arguments(case, x))
    assert y.shape == tuple(expected(case).shape)
    assert y.dtype == expected(case).output.dtype


class _Shape:
    def __init__(self, shape: tuple[int | None, ...]):
        self.shape = shape


def _boxed(shapes: Any) -> Any:
    return [_Shape(s) for s in shapes] if isinstance(shapes, list) else _Shape(shapes)


@pytest.mark.parametrize("case", {c.layer: c for c in reversed(CASES)}.values(), ids=lambda c: c.id)
def test_half_precision(case: Case, backend: str, deviation: Any) -> None:
    deviation(f"layers/{case.id}/half")
    layer = built(case, dtype="mixed_float16")
    y = backends.current().compile(lambda *xs: layer(*_nested(case, xs)), layer.variables)(*_listed(data(case)))
    assert backends.current().dtype_of(y) == "float16"
    assert {w.dtype for w in layer.weights} <= {"float32"}
    want = expected(case).output
    atol = case.half * max(1, np.abs(want).max())
    np.testing.assert_allclose(plain(y).astype("float32"), want, rtol=case.half, atol=atol)


@pytest.mark.parametrize("case", [c for c in CASES if c.mask], ids=lambda c: c.id)
def test_mask(case: Case, backend: str) -> None:
    layer, want = built(case), expected(case).mask
    inputs = tree.map(ops.convert_to_tensor, data(case))
    masks = tree.map(ops.convert_to_tensor, mask_of(case))
    got = layer.compute_mask(*first(case, inputs, masks))
    if want is None:
        assert got is None
    else:
        np.testing.assert_array_equal(plain(got), want)


@functools.lru_cache(maxsize=None)
def gradients(case_index: int, name: str) -> list[np.ndarray]:
    """Of a random linear function of the output, by inputs and trainable weights."""
    case = CASES[case_index]
    with backends.backend_scope(name) as backend:
        layer, want = built(case), expected(case)
        factors = ops.convert_to_tensor(np.random.default_rng(2).normal(size=want.output.shape).astype("float32"))
        # Variables, so that one trace gives all gradients; compiled, which is faster where each new operation is compiled.
        inputs = [Variable(x, dtype=x.dtype.name) for x in _listed(data(case))]
        wanted = [*([] if case.high else inputs), *layer.trainable_variables]

        def loss() -> Any:
            y = layer(*_nested(case, [x.value for x in inputs]), training=case.train)
            return ops.sum(ops.multiply(y, factors))

        run = backend.compile(lambda: backend.value_and_grad(loss, wanted)()[1], [*inputs, *layer.variables])
        return [backend.to_numpy(g) for g in run()] if wanted else []


@by_case
def test_gradients(case: Case, backend: str, deviation: Any) -> None:
    """The backends agree."""
    deviation(f"layers/{case.id}/gradients")
    index = CASES.index(case)
    got = gradients(index, backend)
    assert all(np.isfinite(g).all() for g in got)
    assert any(np.abs(g).max() > 0 for g in got) or not got
    for ours, theirs in zip(got, gradients(index, "jax"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=max(1e-4, 2e-5 * np.abs(theirs).max()))
