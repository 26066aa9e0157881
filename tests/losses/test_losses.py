"""Losses against Keras: values, reductions, weights, configs, names; and the rule for masks."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import backends, losses, ops
from nyala.base import masks

rng = np.random.default_rng(7)
N, C = 6, 4


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


NUMBERS = (rng.normal(size=(N, C)).astype("float32"), rng.normal(size=(N, C)).astype("float32"))
POSITIVE = (rng.random((N, C)).astype("float32") * 3, rng.random((N, C)).astype("float32") * 3)
BINARY = (rng.integers(0, 2, (N, C)).astype("float32"), rng.random((N, C)).astype("float32"))
BINARY_LOGITS = (BINARY[0], rng.normal(size=(N, C)).astype("float32") * 3)
ONE_HOT = (np.eye(C, dtype="float32")[rng.integers(0, C, N)], _softmax(rng.normal(size=(N, C))))
ONE_HOT_LOGITS = (ONE_HOT[0], rng.normal(size=(N, C)).astype("float32") * 3)
SPARSE = (rng.integers(0, C, N), ONE_HOT[1])
SPARSE_LOGITS = (SPARSE[0], ONE_HOT_LOGITS[1])
SPARSE_COLUMN = (SPARSE[0][:, None], ONE_HOT[1])
SPARSE_2D = (rng.integers(0, C, (N, 3)), _softmax(rng.normal(size=(N, 3, C))))
DISTRIBUTIONS = (_softmax(rng.normal(size=(N, C))), ONE_HOT[1])
MASKS = (rng.integers(0, 2, (2, 3, 3, 1)).astype("float32"), rng.random((2, 3, 3, 1)).astype("float32"))
_e = rng.normal(size=(N, 5)).astype("float32")
EMBEDDINGS = (np.array([0, 1, 0, 1, 2, 0]), _e / np.linalg.norm(_e, axis=1, keepdims=True))
SEQUENCES = (np.array([[1, 2, 2], [3, 1, 0]]), rng.normal(size=(2, 8, C)).astype("float32"))
COLUMN = (NUMBERS[0][:, 0], NUMBERS[1][:, :1])

TABLE: list[tuple[str, dict[str, Any], Any]] = [
    ("MeanSquaredError", {}, NUMBERS),
    ("MeanSquaredError", {}, COLUMN),
    ("MeanAbsoluteError", {}, NUMBERS),
    ("MeanAbsolutePercentageError", {}, NUMBERS),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("Huber", {}, NUMBERS),
    ("Huber", {"delta": 0.3}, NUMBERS),
    ("LogCosh", {}, NUMBERS),
    ("CosineSimilarity", {}, NUMBERS),
    ("CosineSimilarity", {"axis": 0}, NUMBERS),
    ("BinaryCrossentropy", {}, BINARY),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, BINARY_LOGITS),
    ("BinaryFocalCrossentropy", {}, BINARY),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, BINARY),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, BINARY_LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalCrossentropy", {"from_logits": True, "axis": 0}, ONE_HOT_LOGITS),
    ("CategoricalFocalCrossentropy", {}, ONE_HOT),
    ("CategoricalFocalCrossentropy", {"alpha": 0.5, "gamma": 1.0, "from_logits": True}, ONE_HOT_LOGITS),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4], "label_smoothing": 0.1}, ONE_HOT),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {}, SPARSE_COLUMN),
    ("SparseCategoricalCrossentropy", {}, SPARSE_2D),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SPARSE_LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, SPARSE_2D),
    ("CategoricalGeneralizedCrossEntropy", {}, SPARSE),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, SPARSE),
    ("KLDivergence", {}, DISTRIBUTIONS),
    ("Poisson", {}, POSITIVE),
    ("Hinge", {}, (2 * BINARY[0] - 1, BINARY[1])),
    ("Hinge", {}, BINARY),
    ("SquaredHinge", {}, BINARY),
    ("CategoricalHinge", {}, ONE_HOT),
    ("Circle", {}, EMBEDDINGS),
    ("Circle", {"gamma": 20.0, "margin": 0.2, "remove_diagonal": False}, EMBEDDINGS),
    ("Dice", {}, MASKS),
    ("Dice", {"axis": (1, 2, 3)}, MASKS),
    ("Tversky", {}, MASKS),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": (1, 2, 3)}, MASKS),
    ("CTC", {}, SEQUENCES),
]
ROWS = [pytest.param(*row, id=f"{row[0]}{i}") for i, row in enumerate(TABLE)]
CLASSES = sorted({row[0] for row in TABLE})
LOST = {"Huber": {"delta"}, "CosineSimilarity": {"axis"}, "SparseCategoricalCrossentropy": {"axis"}}
"""Arguments that Keras leaves out of the config, so that a saved loss forgets them; ours has them, at the end."""


@pytest.mark.parametrize(("name", "kwargs", "data"), ROWS)
def test_value(backend: str, name: str, kwargs: dict[str, Any], data: Any) -> None:
    ours, theirs = getattr(losses, name)(**kwargs), getattr(keras.losses, name)(**kwargs)
    got, want = ops.convert_to_numpy(ours(*data)), np.asarray(theirs(*data))
    assert got.shape == want.shape and got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-5)


REDUCTIONS = ("sum", "sum_over_batch_size", "mean", "mean_with_sample_weight", "none", None)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [None, (N,), (N, 1), ()])
def test_reduction_and_weights(backend: str, reduction: Any, shape: Any) -> None:
    weight = None if shape is None else np.linspace(0.5, 2.0, N).astype("float32").reshape(shape) if shape else 2.0
    got = losses.MeanSquaredError(reduction=reduction)(*NUMBERS, sample_weight=weight)
    if shape == () and reduction == "mean_with_sample_weight":
        weight = None  # Keras divides the sum by the one weight, which is no mean
    want = keras.losses.MeanSquaredError(reduction=reduction)(*NUMBERS, sample_weight=weight)
    np.testing.assert_allclose(ops.convert_to_numpy(got), np.asarray(want).squeeze(), rtol=1e-5)


def test_weights_lie_on_the_leading_axes(backend: str) -> None:
    weight = np.arange(1.0, N + 1, dtype="float32")
    values = np.asarray(keras.losses.sparse_categorical_crossentropy(*SPARSE_2D))
    got = losses.SparseCategoricalCrossentropy()(*SPARSE_2D, sample_weight=weight)
    np.testing.assert_allclose(ops.convert_to_numpy(got), (values * weight[:, None]).mean(), rtol=1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_mask_leaves_entries_out(backend: str, reduction: Any, weighted: bool) -> None:
    valid = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    y, p = SPARSE_2D
    p = np.where(valid[..., None], p, np.nan)
    weight = np.linspace(0.5, 2.0, N).astype("float32")
    y_pred = ops.convert_to_tensor(p)
    masks.set_mask(y_pred, ops.convert_to_tensor(valid))
    got = losses.SparseCategoricalCrossentropy(reduction=reduction)(y, y_pred, weight if weighted else None)
    values = np.asarray(keras.losses.sparse_categorical_crossentropy(*SPARSE_2D))
    w = (weight[:, None] if weighted else 1.0) * valid
    want = {
        "sum": (values * w).sum(),
        "mean_with_sample_weight": (values * w).sum() / w.sum(),
        "none": values * w,
        None: values * w,
    }.get(reduction, (values * w).sum() / valid.sum())
    np.testing.assert_allclose(ops.convert_to_numpy(got), want, rtol=1e-5)


def test_nothing_valid_is_zero(backend: str) -> None:
    y_pred = ops.convert_to_tensor(NUMBERS[1])
    masks.set_mask(y_pred, ops.convert_to_tensor(np.zeros(N, bool)))
    assert float(losses.MeanSquaredError()(NUMBERS[0], y_pred)) == 0.0


def test_masks_come_off(backend: str) -> None:
    x = ops.convert_to_tensor(NUMBERS[0])
    masks.set_mask(x, ops.convert_to_tensor(np.ones(N, bool)))
    assert masks.get_mask(x) is not None
    masks.set_mask(x, None)
    assert masks.get_mask(x) is None


def test_a_mask_travels_through_a_compiled_step(backend: str) -> None:
    valid = np.arange(N) < 2

    def step(y: Any, p: Any, m: Any) -> Any:
        p = p * 1.0
        masks.set_mask(p, m)
        return losses.MeanSquaredError()(y, p)

    args = [ops.convert_to_tensor(x) for x in (*NUMBERS, valid)]
    got = backends.current().compile(step, [])(*args)
    want = ((NUMBERS[0] - NUMBERS[1]) ** 2)[:2].mean()
    np.testing.assert_allclose(ops.convert_to_numpy(got), want, rtol=1e-5)


def test_low_precision_is_computed_in_float32(backend: str) -> None:
    y, p = (x.astype("float16") for x in NUMBERS)
    got = losses.MeanSquaredError()(ops.convert_to_tensor(y), ops.convert_to_tensor(p))
    assert ops.convert_to_numpy(got).dtype == "float32"
    assert losses.MeanSquaredError(dtype="mixed_float16").dtype == "float16"


def test_circle_with_references(backend: str) -> None:
    y, e = EMBEDDINGS
    args = {"ref_labels": y[:3], "ref_embeddings": e[:3]}
    for remove in (True, False):
        got = losses.circle(y, e, remove_diagonal=remove, **args)
        want = keras.losses.circle(y, e, remove_diagonal=remove, **args)
        np.testing.assert_allclose(ops.convert_to_numpy(got), np.asarray(want), rtol=1e-4, atol=1e-4)


def test_generalized_cross_entropy_takes_one_hot(backend: str) -> None:
    got = losses.categorical_generalized_cross_entropy(*ONE_HOT, 0.5)
    want = losses.categorical_generalized_cross_entropy(ONE_HOT[0].argmax(-1), ONE_HOT[1], 0.5)
    np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(want), rtol=1e-5)


# -- names and configs, on no backend ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kwargs", "data"), ROWS)
def test_config(name: str, kwargs: dict[str, Any], data: Any) -> None:
    ours = getattr(losses, name)(**kwargs)
    want = getattr(keras.losses, name)(**kwargs).get_config()
    got = ours.get_config()
    assert {k: v for k, v in got.items() if k not in LOST.get(name, ())} == want
    assert list(got)[: len(want)] == list(want)
    again = losses.deserialize(losses.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == got


def test_config_keeps_a_chosen_dtype() -> None:
    loss = losses.MeanSquaredError(dtype="float64")
    assert losses.MeanSquaredError.from_config(loss.get_config()).dtype == "float64"


def test_every_public_name_is_there() -> None:
    for name in dir(keras.losses):
        if not name.startswith("_"):
            theirs = getattr(keras.losses, name)
            assert inspect.signature(getattr(losses, name)) is not None
            got = [(p.name, p.default) for p in inspect.signature(getattr(losses, name)).parameters.values()]
            want = [(p.name, p.default) for p in inspect.signature(theirs).parameters.values()]
            assert got == want, name
            if isinstance(theirs, type) and name != "Loss":
                assert name in CLASSES


FUNCTIONS_BY_NAME = [
    "mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "kld", "KLD", "bce", "BCE", "huber", "log_cosh",
    "cosine_similarity", "hinge", "squared_hinge", "categorical_hinge", "dice", "tversky", "circle", "ctc",
    "poisson", "mean_squared_error", "binary_crossentropy", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "binary_focal_crossentropy", "categorical_focal_crossentropy",
]  # fmt: skip


@pytest.mark.parametrize("alias", FUNCTIONS_BY_NAME)
def test_get_a_function(alias: str) -> None:
    assert losses.get(alias).__name__ == keras.losses.get(alias).__name__
    assert inspect.isfunction(losses.get(alias))


def test_get_the_rest() -> None:
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Hinge), losses.Hinge)
    assert losses.get(None) is None
    assert losses.deserialize(losses.serialize(losses.mse)) is losses.mse
    assert losses.serialize(losses.mse) == keras.losses.serialize(keras.losses.mean_squared_error)
    with pytest.raises(ValueError, match="'categorical_crossentropy'"):
        losses.get("categorical_crossentropi")


class Custom(losses.Loss):
    def __init__(self, power: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.power = power

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return ops.sum(ops.abs(y_true - y_pred) ** self.power, axis=-1)


def test_a_loss_of_ones_own(backend: str) -> None:
    loss = Custom(power=2, name="own")
    got = loss(NUMBERS[0].astype("int32"), NUMBERS[1])
    want = ((NUMBERS[0].astype("int32") - NUMBERS[1]) ** 2).sum(-1).mean()
    np.testing.assert_allclose(ops.convert_to_numpy(got), want, rtol=1e-5)
    again = losses.deserialize(losses.serialize(loss), custom_objects={"Custom": Custom})
    assert (again.power, again.name) == (2, "own")


def test_a_function_gets_targets_of_the_rank_of_predictions(backend: str) -> None:
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(loss=lambda y_true, y_pred: ops.mean((y_true - y_pred) ** 2, axis=-1))
    y = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(model.evaluate(np.ones((3, 3)), y, verbose=0), np.mean(y**2), rtol=1e-6)


# -- errors --------------------------------------------------------------------------------------------------------


def test_errors(backend: str) -> None:
    with pytest.raises(ValueError, match=r"mean_squared_error: y_true of shape \(6, 4\) .* y_pred of shape \(6, 3\)"):
        losses.MeanSquaredError()(NUMBERS[0], NUMBERS[1][:, :3])
    with pytest.raises(ValueError, match="use a sparse loss"):
        losses.CategoricalCrossentropy()(SPARSE_COLUMN[0], SPARSE[1])
    with pytest.raises(ValueError, match="For one-hot labels use categorical_crossentropy"):
        losses.SparseCategoricalCrossentropy()(*ONE_HOT)
    with pytest.raises(ValueError, match=r"sample_weight of shape \(5,\)"):
        losses.MeanSquaredError()(*NUMBERS, sample_weight=np.ones(5))
    with pytest.raises(ValueError, match="ctc: y_true must have shape"):
        losses.CTC()(SEQUENCES[0][0], SEQUENCES[1])


def test_errors_of_arguments() -> None:
    with pytest.raises(ValueError, match=r"reduction must be one of .* got 'men'"):
        losses.MeanSquaredError(reduction="men")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"label_smoothing must be a number in \[0.0, 1.0\], got 2"):
        losses.BinaryCrossentropy(label_smoothing=2)
    with pytest.raises(ValueError, match="q must lie between 0 and 1"):
        losses.CategoricalGeneralizedCrossEntropy(q=1.5)
    with pytest.raises(ValueError, match="indices from 0 to 3, got 9 at position 1 "):
        losses.check_sparse_labels("fit", np.array([0, 9, 3]), 4)
    losses.check_sparse_labels("fit", np.array([0, 3]), 4)
