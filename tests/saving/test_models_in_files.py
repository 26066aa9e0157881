"""Models of every shape, optimizers, precisions: both ways with Keras; and the configs of all classes against Keras's."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.base import configurable
from nyala.saving import load_model, weights

X = np.random.default_rng(0).random((4, 6), dtype="float32")


def shared(k: Any) -> Any:
    a, b = k.Input((6,), name="a"), k.Input((6,), name="b")
    twice = k.layers.Dense(4, activation="tanh", name="twice")
    return k.Model([a, b], k.layers.Concatenate()([twice(a), twice(b), twice(a)]))


def nested_twice(k: Any) -> Any:
    tower_in = k.Input((6,))
    tower = k.Model(tower_in, k.layers.Dense(3)(k.layers.BatchNormalization()(tower_in)), name="tower")
    inner = k.Sequential([k.Input((3,)), k.layers.Dense(5, activation="relu"), k.layers.Dense(2)], name="inner")
    a, b = k.Input((6,), name="a"), k.Input((6,), name="b")
    return k.Model([a, b], [inner(tower(a)), k.layers.Subtract()([tower(a), tower(b)])])


def named(k: Any) -> Any:
    inputs = {"a": k.Input((6,), name="a"), "b": k.Input((6,), name="b")}
    both = k.layers.Add()([inputs["a"], inputs["b"]])
    return k.Model(inputs, {"left": k.layers.Dense(2)(both), "right": k.layers.Dense(3)(both) * 2.0})


def frozen(k: Any) -> Any:
    model = shared(k)
    model.get_layer("twice").trainable = False
    return model


def mixed(k: Any) -> Any:
    x = k.Input((6,), name="a")
    y = k.layers.Dense(4, dtype="mixed_bfloat16")(x)
    return k.Model(
        x, k.layers.Dense(2, dtype=k.DTypePolicy("float32"))(k.layers.LayerNormalization(dtype="mixed_float16")(y))
    )


def row(k: Any) -> Any:
    """Layers in layers."""
    x = k.Input((6,), name="a")
    y = k.layers.Reshape((3, 2))(x)
    y = k.layers.TimeDistributed(k.layers.Dense(4))(y)
    y = k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True))(y)
    y = k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)])(y)
    return k.Model(x, k.layers.Dense(2, kernel_regularizer=k.regularizers.L1L2(1e-3, 1e-3))(y))


MODELS = [shared, nested_twice, named, frozen, mixed, row]


def feed(model: Any) -> Any:
    return {"a": X, "b": X[::-1].copy()} if len(model.inputs) > 1 else X


def outputs(model: Any) -> list[np.ndarray]:
    given = feed(model)
    if isinstance(given, dict) and not isinstance(model.input, dict):
        given = [given["a"], given["b"]]
    return [np.asarray(y, "float32") for y in keras.tree.flatten(model.predict(given, verbose=0))]


def close(one: Any, other: Any, tolerance: float = 1e-6) -> None:
    for a, b in zip(outputs(one), outputs(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=max(tolerance, 1e-5), atol=tolerance)


@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_models_go_to_keras_and_back(make: Any, tmp_path: Path) -> None:
    tolerance = 2e-2 if make is mixed else 1e-6
    ours, theirs = make(nyala), make(keras)
    for ending in ("keras", "h5"):
        ours.save(tmp_path / f"o.{ending}")
        close(keras.models.load_model(tmp_path / f"o.{ending}"), ours, tolerance)
        close(load_model(tmp_path / f"o.{ending}"), ours)
        theirs.save(tmp_path / f"t.{ending}")
        loaded = load_model(tmp_path / f"t.{ending}")
        close(loaded, theirs, tolerance)
        assert [v.trainable for v in loaded.weights] == [v.trainable for v in theirs.weights]
        assert [x.dtype_policy.name for x in loaded.layers] == [x.dtype_policy.name for x in theirs.layers]


def test_places_do_not_depend_on_what_memory_is_free() -> None:
    model = nested_twice(nyala)
    expected = [path for path, _ in weights.walk(model)]
    for n in range(200):
        junk = [[] for _ in range(n)]
        assert [path for path, _ in weights.walk(model)] == expected
        assert "layers/sequential/layers/dense" in expected
        del junk[::2]


def classes(ours: Any, theirs: Any, base: str) -> list[str]:
    root = getattr(ours, base)
    return sorted(
        n for n in dir(theirs)
        if inspect.isclass(getattr(theirs, n)) and isinstance(getattr(ours, n, None), type)
        and issubclass(getattr(ours, n), root) and n not in (base, "Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    )  # fmt: skip


OPTIMIZERS = classes(nyala.optimizers, keras.optimizers, "Optimizer")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_go_to_keras_and_back(name: str, tmp_path: Path) -> None:
    def trained(k: Any) -> Any:
        x = k.Input((6,))
        model = k.Model(x, k.layers.Dense(2)(k.layers.Dense(3)(x)))
        model.compile(getattr(k.optimizers, name)(0.01, use_ema=name == "Adam"), "mse")
        model.fit(X, X[:, :2], verbose=0)
        return model

    def same(one: Any, other: Any) -> None:
        values = [
            (np.asarray(a), np.asarray(b))
            for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True)
        ]
        for a, b in values:
            np.testing.assert_array_equal(a, b)
        assert json.dumps(one.optimizer.get_config()) == json.dumps(other.optimizer.get_config())

    ours, theirs = trained(nyala), trained(keras)
    ours.save(tmp_path / "o.keras")
    same(ours, keras.models.load_model(tmp_path / "o.keras"))
    theirs.save(tmp_path / "t.keras")
    same(load_model(tmp_path / "t.keras"), theirs)
    if name != "Adafactor":  # Keras cannot write two of its variables under one name
        theirs.save(tmp_path / "t.h5")
        same(load_model(tmp_path / "t.h5"), theirs)


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "Constant": (0.5,), "Identity": (), "STFT": (), "LearningRateSchedule": (), "CosineDecay": (0.1, 10),
    "CosineDecayRestarts": (0.1, 10), "ExponentialDecay": (0.1, 10, 0.9), "InverseTimeDecay": (0.1, 10, 0.9),
    "PiecewiseConstantDecay": ([1, 2], [0.1, 0.2, 0.3]), "PolynomialDecay": (0.1, 10), "MeanIoU": (3,), "IoU": (3, [0, 1]),
    "BinaryIoU": ([0, 1],), "OneHotIoU": (3, [0, 1]), "OneHotMeanIoU": (3,), "RecallAtPrecision": (0.5,),
    "PrecisionAtRecall": (0.5,), "SensitivityAtSpecificity": (0.5,), "SpecificityAtSensitivity": (0.5,),
    "MeanRelativeError": ([1.0, 2.0],),
}  # fmt: skip
FAMILIES = [
    (nyala.initializers, keras.initializers, "Initializer"),
    (nyala.regularizers, keras.regularizers, "Regularizer"),
    (nyala.constraints, keras.constraints, "Constraint"),
    (nyala.losses, keras.losses, "Loss"),
    (nyala.metrics, keras.metrics, "Metric"),
    (nyala.optimizers.schedules, keras.optimizers.schedules, "LearningRateSchedule"),
]
KERAS_FORGETS = {
    "CosineSimilarity": "axis", "Huber": "delta", "Identity": "gain", "IdentityInitializer": "gain", "identity": "gain",
    "SparseCategoricalCrossentropy": "axis", "SparseTopKCategoricalAccuracy": "from_sorted_ids",
}  # fmt: skip
"""Arguments that Keras leaves out of the config, so that they are lost in its files; here they are kept."""
ABSTRACT = {"MeanMetricWrapper"}
CONFIGS = [
    (ours, theirs, name)
    for ours, theirs, base in FAMILIES
    for name in classes(ours, theirs, base)
    if name not in ABSTRACT
]


def rounded(x: Any) -> Any:
    """Keras keeps some numbers as float32."""
    if isinstance(x, dict):
        return {k: rounded(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [rounded(v) for v in x]
    return float(np.float32(x)) if isinstance(x, float) else x


@pytest.mark.parametrize(("ours", "theirs", "name"), CONFIGS, ids=lambda x: x if isinstance(x, str) else "")
def test_configs_are_keras_s(ours: Any, theirs: Any, name: str) -> None:
    made = [getattr(k, name)(*ARGUMENTS.get(name, ())) for k in (ours, theirs)]
    mine, expected = configurable.serialize(made[0]), keras.saving.serialize_keras_object(made[1])
    if "name" in expected["config"]:  # Keras goes on counting from test to test
        expected["config"]["name"] = re.sub(r"_\d+$", "", expected["config"]["name"])
    if name in KERAS_FORGETS and KERAS_FORGETS[name] not in expected["config"]:
        del mine["config"][KERAS_FORGETS[name]]
    assert list(mine["config"]) == list(expected["config"])
    assert rounded(mine) == rounded(expected)
    again = configurable.deserialize(expected)
    assert type(again) is type(made[0])
    assert rounded(again.get_config()) == rounded(made[0].get_config())


OTHER: dict[str, Any] = {
    "from_logits": True, "label_smoothing": 0.1, "reduction": "sum", "name": "other", "axis": 1, "delta": 2.0, "gamma": 3.0,
    "alpha": 0.3, "beta": 0.7, "apply_class_balancing": True, "ignore_class": 2, "dtype": "float16", "threshold": 0.4,
    "thresholds": [0.3, 0.6], "top_k": 2, "class_id": 1, "k": 3, "num_thresholds": 11, "curve": "PR",
    "summation_method": "minoring", "multi_label": True, "sparse_y_true": True, "sparse_y_pred": False, "average": "macro",
    "class_aggregation": "mean", "num_regressors": 2, "seed": 7, "mean": 0.1, "stddev": 0.2, "minval": -0.3, "maxval": 0.4,
    "gain": 1.5, "scale": 2.5, "mode": "fan_out", "distribution": "uniform", "value": 0.25, "l1": 0.02, "l2": 0.03,
    "factor": 0.05, "max_value": 3.0, "min_value": 0.5, "rate": 0.9, "learning_rate": 0.02, "weight_decay": 0.004,
    "clipnorm": 1.5, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 5, "loss_scale_factor": 4.0,
    "gradient_accumulation_steps": 3, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-5, "amsgrad": True, "momentum": 0.7,
    "nesterov": True, "rho": 0.85, "centered": True, "initial_accumulator_value": 0.2, "learning_rate_power": -0.4,
    "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2, "l2_shrinkage_regularization_strength": 0.3,
    "staircase": True, "end_learning_rate": 0.003, "power": 2.0, "cycle": True, "warmup_target": 0.2, "warmup_steps": 3,
    "t_mul": 3.0, "m_mul": 0.7, "margin": 0.2, "temperature": 0.3,
}  # fmt: skip
"""A value for each argument that is no default."""


@pytest.mark.parametrize("ours, theirs, base", [*FAMILIES, (nyala.optimizers, keras.optimizers, "Optimizer")], ids=str)
def test_configs_with_other_arguments(ours: Any, theirs: Any, base: str) -> None:
    compared = 0
    for name in classes(ours, theirs, base):
        kind, given = getattr(theirs, name), ARGUMENTS.get(name, ())
        for argument in list(inspect.signature(kind.__init__).parameters)[1 + len(given) :]:
            # Keras forgets the dtype of a loss.
            if argument not in OTHER or name in ABSTRACT or (base, argument) == ("Loss", "dtype"):
                continue
            try:
                expected = kind(*given, **{argument: OTHER[argument]}).get_config()
            except ValueError:  # of two that exclude each other
                continue
            mine = getattr(ours, name)(*given, **{argument: OTHER[argument]}).get_config()
            if name in KERAS_FORGETS and KERAS_FORGETS[name] not in expected:
                del mine[KERAS_FORGETS[name]]
            if argument != "name" and "name" in mine:
                mine["name"] = expected["name"]  # which count upwards
            assert list(mine) == list(expected), (name, argument)
            assert rounded(mine) == rounded(expected), (name, argument)
            compared += 1
    assert compared > 5
