"""Activations, regularizers, constraints and dtype policies against Keras."""

from __future__ import annotations

import inspect
import json
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from nyala import activations, backends, constraints, regularizers
from nyala.base import policy, scope

ACTIVATIONS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in dir(keras.activations) if not name.startswith("_")
      and name not in ("get", "serialize", "deserialize", "threshold")),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5}),
    ("relu", {"max_value": 1.5}),
    ("gelu", {"approximate": True}),
    ("elu", {"alpha": 0.5}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("softmax", {"axis": 0}),
    ("glu", {"axis": 0}),
]  # fmt: skip
OTHERS: list[tuple[ModuleType, str, dict[str, Any]]] = [
    (regularizers, "L1", {}),
    (regularizers, "L1", {"l1": 0.3}),
    (regularizers, "L2", {"l2": 0.3}),
    (regularizers, "L1L2", {}),
    (regularizers, "L1L2", {"l1": 0.1, "l2": 0.2}),
    (regularizers, "OrthogonalRegularizer", {}),
    (regularizers, "OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
    (constraints, "MaxNorm", {}),
    (constraints, "MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    (constraints, "MinMaxNorm", {}),
    (constraints, "MinMaxNorm", {"min_value": 1.0, "max_value": 1.5, "rate": 0.5, "axis": 1}),
    (constraints, "NonNeg", {}),
    (constraints, "UnitNorm", {"axis": 1}),
]
X = np.linspace(-6, 6, 12, dtype="float32").reshape(4, 3)[[2, 0, 3, 1]]


def family(module: ModuleType) -> Any:
    return getattr(keras, module.__name__.split(".")[-1])


def plain(x: Any) -> np.ndarray:
    found = backends.of(x)
    return np.asarray(x) if found is None else found.to_numpy(x)


@pytest.mark.parametrize("case", ACTIVATIONS, ids=lambda c: "-".join([c[0], *c[1]]))
def test_activation_values(case: Any, backend: str) -> None:
    name, kwargs = case
    x = X if name != "glu" else np.concatenate([X, X[::-1]], -1)
    got = getattr(activations, name)(backends.current().convert(x), **kwargs)
    wanted = getattr(keras.activations, name)(keras.ops.convert_to_tensor(x), **kwargs)
    np.testing.assert_allclose(plain(got), np.asarray(wanted), rtol=2e-5, atol=2e-6)


def test_activation_names() -> None:
    for name in dir(keras.activations):
        wanted = getattr(keras.activations, name)
        if not inspect.isfunction(wanted) or name.startswith("_"):
            continue
        mine = getattr(activations, name)
        parameters = (inspect.signature(f).parameters.values() for f in (mine, wanted))
        a, b = ([(p.name, p.default) for p in ps] for ps in parameters)
        assert a == b, name
        if name not in ("get", "serialize", "deserialize"):
            assert activations.serialize(mine) == keras.activations.serialize(wanted)
            assert activations.get(name) is mine
            assert activations.deserialize(name) is mine
    assert activations.get(None) is activations.linear
    assert activations.get(len) is len
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        activations.get("rellu")


@pytest.mark.parametrize("case", OTHERS, ids=lambda c: "-".join([c[1], *c[2]]))
def test_values_and_configs(case: Any, backend: str) -> None:
    module, name, kwargs = case
    mine, wanted = getattr(module, name)(**kwargs), getattr(family(module), name)(**kwargs)
    got = mine(backends.current().convert(X))
    np.testing.assert_allclose(plain(got), np.asarray(wanted(keras.ops.convert_to_tensor(X))), rtol=2e-5, atol=1e-6)
    config = module.serialize(mine)
    theirs = family(module).serialize(wanted)
    assert list(config["config"]) == list(theirs["config"])
    # Keras rounds some of these numbers to float32.
    rounded = {k: np.float32(v) if isinstance(v, float) else v for k, v in theirs["config"].items()}
    assert {k: np.float32(v) if isinstance(v, float) else v for k, v in config["config"].items()} == rounded
    assert {k: v for k, v in config.items() if k != "config"} == {k: v for k, v in theirs.items() if k != "config"}
    assert module.serialize(module.deserialize(json.loads(json.dumps(config)))) == config


@pytest.mark.parametrize("module", [regularizers, constraints], ids=lambda m: m.__name__)
def test_names(module: ModuleType) -> None:
    for name in dir(family(module)):
        wanted = getattr(family(module), name)
        if name.startswith("_"):
            continue
        mine = getattr(module, name)
        if isinstance(wanted, type):
            assert mine.__name__ == wanted.__name__
            if wanted.__init__ is not object.__init__:
                a, b = (inspect.signature(o.__init__).parameters.values() for o in (mine, wanted))
                assert [(p.name, p.default) for p in a] == [(p.name, p.default) for p in b], name
            assert type(module.get(name)) is mine
    assert module.get(None) is None
    with pytest.raises(ValueError, match="unknown"):
        module.get("nothing")


ERRORS = [
    (lambda: regularizers.L1(-1.0), "l1 must be a number in"),
    (lambda: regularizers.L2("a"), "l2 must be a number in"),
    (lambda: regularizers.OrthogonalRegularizer(mode="x"), "mode must be one of"),
    (lambda: regularizers.OrthogonalRegularizer()(X[0]), "2 axes"),
    (lambda: policy.get("mixed_float15"), "Did you mean 'mixed_float16'"),
    (lambda: policy.get(3), "got 3"),
]


@pytest.mark.parametrize("row", ERRORS, ids=range(len(ERRORS)))
def test_errors(row: Any) -> None:
    with pytest.raises(ValueError, match=row[1]):
        row[0]()


@pytest.mark.parametrize(
    "name", ["float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "int8", "bool", "uint8"]
)
def test_policies(name: str) -> None:
    mine, wanted = policy.DTypePolicy(name), keras.DTypePolicy(name)
    for attribute in ("name", "compute_dtype", "variable_dtype", "quantization_mode"):
        assert getattr(mine, attribute) == getattr(wanted, attribute)
    assert repr(mine) == repr(wanted)
    config = policy.serialize(mine)
    assert config == keras.dtype_policies.serialize(wanted)
    assert policy.deserialize(config) == policy.get(config) == policy.get(name) == policy.get(mine) == mine
    assert policy.FloatDTypePolicy(name) == mine


def test_global_policy() -> None:
    version = scope.python_state.version
    assert policy.get(None).name == "float32"
    policy.set_dtype_policy("mixed_bfloat16")
    try:
        assert policy.dtype_policy().compute_dtype == policy.get(None).compute_dtype == "bfloat16"
        assert policy.DTypePolicy().name == "mixed_bfloat16"
        assert scope.python_state.version > version
    finally:
        policy.set_dtype_policy(None)
    assert policy.dtype_policy().name == "float32"


def test_policy_map() -> None:
    made = policy.DTypePolicyMap("bfloat16", {"encoder/dense": "mixed_float16", ".*/head": "float64"})
    found = [made[path].name for path in ("encoder/dense", "decoder/head", "other")]
    assert found == ["mixed_float16", "float64", "bfloat16"]
    assert (made.name, made.compute_dtype, len(made)) == ("map_bfloat16", "bfloat16", 2)
    config = json.loads(json.dumps(policy.serialize(made)))
    assert policy.deserialize(config) == made
    made["decoder/.*"] = "float32"
    with pytest.raises(ValueError, match="matches"):
        made["decoder/head"]
