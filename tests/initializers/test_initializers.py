"""Initializers: configs as Keras's, distributions, determinism, and the same bits on every backend."""

from __future__ import annotations

import inspect
import json
from typing import Any

import keras
import numpy as np
import pytest

from nyala import backends, initializers
from nyala.base.seeds import SeedGenerator, set_random_seed
from nyala.base.variable import Variable

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 2.5}),
    ("Constant", {"value": [1.0, 2.0, 3.0, 4.0]}),
    ("Identity", {}),
    ("Identity", {"gain": 3.0}),
    ("RandomNormal", {"mean": 1.0, "stddev": 0.5, "seed": 3}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0, "seed": 3}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 0.5, "seed": 3}),
    ("VarianceScaling", {"seed": 3}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_avg", "distribution": "untruncated_normal", "seed": 3}),
    ("VarianceScaling", {"distribution": "uniform", "seed": 3, "input_axes": [0], "output_axes": [1]}),
    ("GlorotNormal", {"seed": 3}),
    ("GlorotUniform", {"seed": 3}),
    ("HeNormal", {"seed": 3}),
    ("HeUniform", {"seed": 3}),
    ("LecunNormal", {"seed": 3}),
    ("LecunUniform", {"seed": 3}),
    ("Orthogonal", {"gain": 2.0, "seed": 3}),
    ("STFT", {}),
    ("STFT", {"side": "imag", "window": "hamming", "scaling": "spectrum", "periodic": True}),
]  # fmt: skip
IDS = ["-".join([name, *kwargs]) for name, kwargs in CASES]
FIXED = [c for c in CASES if "seed" not in c[1]]
DRAWN = [c for c in CASES if "seed" in c[1]]


def shape_of(name: str) -> tuple[int, ...]:
    return (8, 1, 5) if name == "STFT" else (3, 4)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_config_as_keras(case: Any) -> None:
    name, kwargs = case
    mine = getattr(initializers, name)(**kwargs)
    wanted = keras.initializers.serialize(getattr(keras.initializers, name)(**kwargs))
    if name == "Identity":
        wanted["config"] = {"gain": kwargs.get("gain", 1.0)}  # Keras forgets it
    config = initializers.serialize(mine)
    assert json.dumps(config) == json.dumps(wanted)
    again = initializers.deserialize(json.loads(json.dumps(config)))
    np.testing.assert_array_equal(again.draw(shape_of(name), "float32"), mine.draw(shape_of(name), "float32"))
    assert initializers.serialize(mine.clone()) == config


@pytest.mark.parametrize("case", FIXED, ids=lambda c: "-".join([c[0], *c[1]]))
def test_fixed_values_as_keras(case: Any, backend: str) -> None:
    name, kwargs = case
    wanted = np.asarray(getattr(keras.initializers, name)(**kwargs)(shape_of(name)))
    got = backends.current().to_numpy(getattr(initializers, name)(**kwargs)(shape_of(name)))
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("case", DRAWN, ids=lambda c: "-".join([c[0], *c[1]]))
def test_moments_as_keras(case: Any) -> None:
    name, kwargs = case
    shape = (3, 3, 40, 50) if "input_axes" not in kwargs else (200, 300)
    wanted = np.asarray(getattr(keras.initializers, name)(**kwargs)(shape))
    got = getattr(initializers, name)(**kwargs).draw(shape, "float32")
    spread = wanted.std()
    assert abs(got.mean() - wanted.mean()) < 0.03 * spread
    np.testing.assert_allclose(got.std(), spread, rtol=0.02)
    if "ormal" not in name or "Truncated" in name:
        np.testing.assert_allclose(np.abs(got).max(), np.abs(wanted).max(), rtol=0.2)


@pytest.mark.parametrize("name", [*dict(DRAWN)])
def test_same_bits_on_every_backend(name: str) -> None:
    drawn = []
    for backend in backends.NAMES:
        with backends.backend_scope(backend):
            made = getattr(initializers, name)(seed=7)
            drawn += [Variable(made, (5, 4)).numpy(), backends.current().to_numpy(made((5, 4)))]
            set_random_seed(11)
            drawn.append(Variable(getattr(initializers, name)(), (5, 4)).numpy())
    for i, values in enumerate(drawn):
        np.testing.assert_array_equal(values, drawn[i % 3 if i % 3 == 2 else 0])
    assert (drawn[2] != drawn[0]).any()


def test_seeds() -> None:
    fixed, free, stream = (initializers.RandomNormal(seed=s) for s in (1, None, SeedGenerator(1)))
    first = [i.draw((4,), "float32") for i in (fixed, free, stream)]
    second = [i.draw((4,), "float32") for i in (fixed, free, stream)]
    assert [bool((a == b).all()) for a, b in zip(first, second)] == [True, False, False]
    config = initializers.serialize(initializers.RandomNormal(seed=SeedGenerator(3, name="s")))
    assert json.dumps(config) == json.dumps(
        keras.initializers.serialize(keras.initializers.RandomNormal(seed=keras.random.SeedGenerator(3, name="s")))
    )
    assert initializers.deserialize(config).seed.seed == 3


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 3, 4), (4, 4)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    q = initializers.Orthogonal(seed=1).draw(shape, "float32").reshape(-1, shape[-1])
    small = min(q.shape)
    np.testing.assert_allclose(q @ q.T if q.shape[0] == small else q.T @ q, np.eye(small), atol=1e-5)


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 3, 4, 5), (3, 2, 4, 5)])
def test_fans(shape: tuple[int, ...]) -> None:
    for mode in ("fan_in", "fan_out", "fan_avg"):
        arguments = {"mode": mode, "distribution": "uniform", "seed": 0}
        fan_in, fan_out = initializers.VarianceScaling(**arguments).fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        limit = np.sqrt(3 / max(n, 1))
        wanted = np.abs(np.asarray(keras.initializers.VarianceScaling(**arguments)(shape)))
        assert wanted.max() <= limit
        assert wanted.max() >= limit * 0.9 ** (1 + 10 / (1 + wanted.size))


class Threes(initializers.Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, 3.0)


class Shifted(initializers.RandomNormal):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return super().__call__(shape, dtype) * 0.0 + 5.0


def test_custom_initializers(backend: str) -> None:
    np.testing.assert_array_equal(Variable(Threes(), (2,)).numpy(), [3, 3])
    np.testing.assert_array_equal(Variable(lambda shape, dtype=None: np.ones(shape), (2,)).numpy(), [1, 1])
    assert initializers.get(Threes).__class__ is Threes
    config = initializers.serialize(Threes())
    assert type(initializers.deserialize(config, {"Threes": Threes})) is Threes
    with pytest.raises(ValueError, match="custom_objects"):
        initializers.deserialize(config)


def test_public_names_and_signatures() -> None:
    for name in dir(keras.initializers):
        wanted = getattr(keras.initializers, name)
        if name.startswith("_"):
            continue
        mine = getattr(initializers, name)
        if isinstance(wanted, type):
            assert mine.__name__ == wanted.__name__
            if wanted.__init__ is not object.__init__:
                a, b = (inspect.signature(o.__init__).parameters.values() for o in (mine, wanted))
                assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b], name
            if name not in ("Initializer",):
                assert type(initializers.get(name)) is mine
    for name in ("normal", "uniform", "one", "zero"):
        assert type(initializers.get(name)).__name__ == type(keras.initializers.get(name)).__name__
    assert initializers.get(None) is None


ERRORS = [
    (lambda: initializers.get("glorot_unifrom"), ValueError, "Did you mean 'glorot_uniform'"),
    (lambda: initializers.get(3), TypeError, "got 3"),
    (lambda: initializers.VarianceScaling(scale=0.0), ValueError, "scale must be positive"),
    (lambda: initializers.VarianceScaling(mode="fan"), ValueError, "mode must be one of"),
    (lambda: initializers.VarianceScaling(distribution="x"), ValueError, "distribution must be one of"),
    (lambda: initializers.VarianceScaling(input_axes=[0]), ValueError, "both or neither"),
    (lambda: initializers.RandomNormal(seed=1.5), ValueError, "seed must be"),
    (lambda: initializers.RandomNormal()((2,), "int32"), ValueError, "must be a float"),
    (lambda: initializers.Identity()((2, 2, 2)), ValueError, "2 axes"),
    (lambda: initializers.Orthogonal()((2,)), ValueError, "at least 2 axes"),
    (lambda: initializers.STFT()((8, 5)), ValueError, "frame_length"),
    (lambda: initializers.Initializer()((2,)), NotImplementedError, "define draw"),
]


@pytest.mark.parametrize("row", ERRORS, ids=range(len(ERRORS)))
def test_errors(row: Any) -> None:
    call, kind, text = row
    with pytest.raises(kind, match=text):
        call()
