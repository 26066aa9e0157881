"""Metrics against Keras over several updates; reset, merge, stateless use, configs, masks, moving between backends."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

import nyala.backends as backends
from nyala import losses, metrics, ops
from nyala.base import masks

rng = np.random.default_rng(3)
N, C = 8, 4


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype("float32")


def _f(x: Any) -> np.ndarray:
    return np.asarray(x, "float32")


def _twice(make: Any) -> list[Any]:
    return [make() for _ in range(2)]


NUMBERS = _twice(lambda: (_f(rng.normal(size=(N, C))), _f(rng.normal(size=(N, C)))))
POSITIVE = _twice(lambda: (_f(rng.random((N, C))), _f(rng.random((N, C)))))
LABELS = _twice(lambda: (_f(rng.integers(0, 3, (N, 1))), _f(rng.integers(0, 3, (N, 1)))))
BINARY = _twice(lambda: (_f(rng.integers(0, 2, (N, 1))), _f(rng.random((N, 1)))))
MULTI = _twice(lambda: (_f(rng.integers(0, 2, (N, C))), _f(rng.random((N, C)))))
MULTI_LOGITS = _twice(lambda: (_f(rng.integers(0, 2, (N, C))), _f(rng.normal(size=(N, C)) * 3)))
ONE_HOT = _twice(lambda: (np.eye(C, dtype="float32")[rng.integers(0, C, N)], _softmax(rng.normal(size=(N, C)))))
SPARSE = _twice(lambda: (rng.integers(0, C, N), _softmax(rng.normal(size=(N, C)))))
SPARSE_2D = _twice(lambda: (rng.integers(0, C, (N, 3)), _softmax(rng.normal(size=(N, 3, C)))))
CLASSES = _twice(lambda: (rng.integers(0, C, (N, 5)), rng.integers(0, C, (N, 5))))
RANKED = _twice(lambda: (rng.integers(0, C, N), np.argsort(rng.random((N, C)), axis=-1)))
VALUES = _twice(lambda: (_f(rng.random((N, 3))),))

TABLE: list[tuple[str, dict[str, Any], Any]] = [
    ("Mean", {}, VALUES),
    ("Sum", {}, VALUES),
    ("Accuracy", {}, LABELS),
    ("BinaryAccuracy", {}, BINARY),
    ("BinaryAccuracy", {"threshold": 0.3}, MULTI),
    ("CategoricalAccuracy", {}, ONE_HOT),
    ("SparseCategoricalAccuracy", {}, SPARSE),
    ("SparseCategoricalAccuracy", {}, SPARSE_2D),
    ("TopKCategoricalAccuracy", {"k": 2}, ONE_HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, SPARSE),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, SPARSE_2D),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, RANKED),
    ("MeanSquaredError", {}, NUMBERS),
    ("MeanAbsoluteError", {}, NUMBERS),
    ("MeanAbsolutePercentageError", {}, NUMBERS),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("LogCoshError", {}, NUMBERS),
    ("RootMeanSquaredError", {}, NUMBERS),
    ("CosineSimilarity", {}, NUMBERS),
    ("CosineSimilarity", {"axis": 0}, NUMBERS),
    ("PearsonCorrelation", {}, NUMBERS),
    ("PearsonCorrelation", {"axis": 0}, NUMBERS),
    ("ConcordanceCorrelation", {}, NUMBERS),
    ("R2Score", {}, NUMBERS),
    ("R2Score", {"class_aggregation": None}, NUMBERS),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 2}, NUMBERS),
    ("Hinge", {}, MULTI),
    ("SquaredHinge", {}, MULTI),
    ("CategoricalHinge", {}, ONE_HOT),
    ("KLDivergence", {}, POSITIVE),
    ("Poisson", {}, POSITIVE),
    ("BinaryCrossentropy", {}, MULTI),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, MULTI_LOGITS),
    ("CategoricalCrossentropy", {}, ONE_HOT),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, ONE_HOT),
    ("SparseCategoricalCrossentropy", {}, SPARSE),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, SPARSE_2D),
    ("TruePositives", {}, MULTI),
    ("TrueNegatives", {}, MULTI),
    ("FalsePositives", {"thresholds": 0.7}, MULTI),
    ("FalseNegatives", {"thresholds": [0.2, 0.8, 0.5]}, MULTI),
    ("TruePositives", {"thresholds": [i / 19 for i in range(20)][::-1]}, MULTI),
    ("Precision", {}, MULTI),
    ("Precision", {"thresholds": [0.1, 0.6]}, MULTI),
    ("Precision", {"top_k": 2}, MULTI),
    ("Precision", {"class_id": 1}, MULTI),
    ("Recall", {}, MULTI),
    ("Recall", {"top_k": 2, "class_id": 3}, MULTI),
    ("Recall", {"thresholds": 0.3, "top_k": 3}, MULTI),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, MULTI),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 20, "class_id": 2}, MULTI),
    ("PrecisionAtRecall", {"recall": 0.4}, MULTI),
    ("RecallAtPrecision", {"precision": 0.6, "num_thresholds": 1}, MULTI),
    ("RecallAtPrecision", {"precision": 0.5}, MULTI),
    ("AUC", {}, MULTI),
    ("AUC", {"curve": "PR"}, MULTI),
    ("AUC", {"num_thresholds": 7, "summation_method": "minoring"}, MULTI),
    ("AUC", {"curve": "PR", "summation_method": "majoring", "from_logits": True}, MULTI_LOGITS),
    ("AUC", {"thresholds": [0.7, 0.2, 0.4]}, MULTI),
    ("AUC", {"multi_label": True}, MULTI),
    ("AUC", {"multi_label": True, "num_labels": C, "label_weights": [0.1, 0.5, 0.3, 0.2], "curve": "PR"}, MULTI),
    ("AUC", {"label_weights": [0.1, 0.5, 0.3, 0.2]}, MULTI),
    ("FBetaScore", {}, ONE_HOT),
    ("FBetaScore", {"average": "macro", "beta": 2.0, "threshold": 0.4}, MULTI),
    ("F1Score", {"average": "micro"}, ONE_HOT),
    ("F1Score", {"average": "weighted", "threshold": 0.5}, MULTI),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 2]}, CLASSES),
    ("MeanIoU", {"num_classes": C, "ignore_class": 1}, CLASSES),
    ("MeanIoU", {"num_classes": C, "sparse_y_pred": False}, SPARSE),
    ("BinaryIoU", {"threshold": 0.4}, MULTI),
    ("BinaryIoU", {"target_class_ids": [1]}, MULTI),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [1, 3]}, ONE_HOT),
    ("OneHotMeanIoU", {"num_classes": C}, ONE_HOT),
]
ROWS = [pytest.param(*row, id=f"{row[0]}{i}") for i, row in enumerate(TABLE)]
LOST = {"CosineSimilarity": {"axis"}, "SparseTopKCategoricalAccuracy": {"from_sorted_ids"}}
"""Arguments that Keras leaves out of the config, so that a saved metric forgets them; ours has them, at the end."""
WEIGHTS = np.array([1, 2, 0, 1, 3, 1, 2, 1], "float32")


def make(name: str, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    return getattr(metrics, name)(**kwargs), getattr(keras.metrics, name)(**kwargs)


def weight_for(data: Any) -> np.ndarray:
    """One weight a sample; as columns, which both sides take, where a value is an element."""
    return WEIGHTS if data[0].ndim == 1 else WEIGHTS[:, None]


def close(got: Any, want: Any) -> None:
    got, want = ops.convert_to_numpy(got), np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "kwargs", "data"), ROWS)
def test_contract(backend: str, name: str, kwargs: dict[str, Any], data: Any) -> None:
    ours, theirs = make(name, kwargs)
    for batch in data:
        ours.update_state(*batch)
        theirs.update_state(*batch)
        close(ours.result(), theirs.result())
    assert ours.variables and all(v.backend.name == backend for v in ours.variables)
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]

    state = [ops.convert_to_numpy(v.value) for v in ours.variables]
    other, _ = make(name, kwargs)
    other.update_state(*data[0])
    empty, _ = make(name, kwargs)
    empty.merge_state([other])
    second, _ = make(name, kwargs)
    second.update_state(*data[1])
    empty.merge_state([second])
    close(empty.result(), theirs.result())

    values = ours.stateless_reset_state()
    for batch in data:
        values = ours.stateless_update_state(values, *batch)
    close(ours.stateless_result(values), theirs.result())
    for v, before in zip(ours.variables, state):
        np.testing.assert_array_equal(ops.convert_to_numpy(v.value), before)

    ours.reset_state()
    theirs.reset_state()
    assert all(not np.any(v.numpy()) for v in ours.variables)
    close(ours(*data[1]), theirs(*data[1]))


@pytest.mark.parametrize(("name", "kwargs", "data"), ROWS)
def test_weights(backend: str, name: str, kwargs: dict[str, Any], data: Any) -> None:
    ours, theirs = make(name, kwargs)
    reduced = name in ("CategoricalAccuracy", "R2Score", "FBetaScore", "F1Score", "TopKCategoricalAccuracy")
    for batch in data:
        if name == "Sum" or "IoU" in name or isinstance(theirs, (keras.metrics.AUC, keras.metrics.Precision)):
            weight = np.broadcast_to(weight_for(batch), batch[0].shape).copy()
            weight = weight[:, 0] if name.startswith("OneHot") else weight
            if kwargs.get("class_id") is not None:
                weight = WEIGHTS
        elif hasattr(theirs, "class_id") or name in (
            "TruePositives",
            "TrueNegatives",
            "FalsePositives",
            "FalseNegatives",
        ):
            weight = WEIGHTS if kwargs.get("class_id") is not None else np.broadcast_to(WEIGHTS[:, None], (N, C)).copy()
        elif kwargs.get("axis") == 0:
            weight = WEIGHTS[:C]
        else:
            weight = WEIGHTS if reduced else weight_for(batch)
        ours.update_state(*batch, sample_weight=weight)
        theirs.update_state(*batch, sample_weight=weight)
    close(ours.result(), theirs.result())


@pytest.mark.parametrize(("name", "kwargs", "data"), ROWS)
def test_config(name: str, kwargs: dict[str, Any], data: Any) -> None:
    from nyala.base import naming

    naming.reset()
    keras.utils.clear_session(free_memory=False)
    ours, theirs = make(name, kwargs)
    got, want = ours.get_config(), theirs.get_config()
    for config in (got, want):
        for k in ("label_weights", "thresholds", "target_class_ids"):
            if isinstance(config.get(k), (list, tuple)) or hasattr(config.get(k), "shape"):
                config[k] = [round(float(v), 6) for v in config[k]]
    assert {k: v for k, v in got.items() if k in want or k not in LOST.get(name, ())} == want
    assert list(got)[: len(want)] == list(want)
    again = metrics.deserialize(metrics.serialize(ours))
    assert type(again) is type(ours) and again.get_config() == ours.get_config()


def test_every_public_name_is_there() -> None:
    tested = {row[0] for row in TABLE}
    for name in dir(keras.metrics):
        if name.startswith("_"):
            continue
        theirs = getattr(keras.metrics, name)
        got = [(p.name, p.default) for p in inspect.signature(getattr(metrics, name)).parameters.values()]
        want = [(p.name, p.default) for p in inspect.signature(theirs).parameters.values()]
        assert got == want, name
        if isinstance(theirs, type) and name not in ("Metric", "MeanMetricWrapper"):
            assert name in tested, name


FUNCTIONS = [
    ("binary_accuracy", BINARY), ("categorical_accuracy", ONE_HOT), ("sparse_categorical_accuracy", SPARSE),
    ("sparse_categorical_accuracy", SPARSE_2D), ("pearson_correlation", NUMBERS), ("concordance_correlation", NUMBERS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), FUNCTIONS)
def test_functions(backend: str, name: str, data: Any) -> None:
    close(getattr(metrics, name)(*data[0]), getattr(keras.metrics, name)(*data[0]))


@pytest.mark.parametrize("k", [1, 2, 4])
def test_top_k_functions(backend: str, k: int) -> None:
    close(
        metrics.top_k_categorical_accuracy(*ONE_HOT[0], k=k), keras.metrics.top_k_categorical_accuracy(*ONE_HOT[0], k=k)
    )
    close(
        metrics.sparse_top_k_categorical_accuracy(*SPARSE[0], k=k),
        keras.metrics.sparse_top_k_categorical_accuracy(*SPARSE[0], k=k),
    )


NAMES = [
    "mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE", "bce", "BCE", "cosine_similarity", "hinge",
    "accuracy", "binary_crossentropy", "auc", "AUC", "precision", "Precision", "mean", "sum",
    "top_k_categorical_accuracy", "sparse_categorical_crossentropy", "r2_score", "f1_score", "poisson",
    "kl_divergence", "log_cosh_error", "root_mean_squared_error", "pearson_correlation",
    "sparse_top_k_categorical_accuracy",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_get(name: str) -> None:
    assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


def test_get_an_unknown_one() -> None:
    with pytest.raises(ValueError, match=r"unknown metric 'precisoin'. Did you mean 'precision'"):
        metrics.get("precisoin")


def test_wrapper_round_trip() -> None:
    for fn in (losses.mean_squared_error, metrics.sparse_categorical_accuracy):
        metric = metrics.MeanMetricWrapper(fn, name="own")
        again = metrics.deserialize(metrics.serialize(metric))
        assert again._fn is fn and again.name == "own"
    ours = metrics.serialize(metrics.MeanMetricWrapper(losses.mean_squared_error, name="x"))
    assert ours == keras.metrics.serialize(keras.metrics.MeanMetricWrapper(keras.losses.mean_squared_error, name="x"))


# -- the rule for masks --------------------------------------------------------------------------------------------

VALID = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)


def _masked(x: np.ndarray, mask: np.ndarray) -> Any:
    x = ops.convert_to_tensor(x)
    masks.set_mask(x, ops.convert_to_tensor(mask))
    return x


def test_masked_values_do_not_count(backend: str) -> None:
    values = _f(rng.random((4, 3)))
    weights = _f([1, 2, 3, 0.5])
    dirty = np.where(VALID, values, np.nan)
    mean = metrics.Mean()
    mean.update_state(_masked(dirty, VALID))
    mean.update_state(_masked(dirty[:, :2], VALID[:, :2]))
    want = (values[VALID].sum() + values[:, :2][VALID[:, :2]].sum()) / (VALID.sum() + VALID[:, :2].sum())
    close(mean.result(), want)
    mean.reset_state()
    mean.update_state(_masked(dirty, VALID), sample_weight=weights)
    w = VALID * weights[:, None]
    close(mean.result(), (values * w).sum() / w.sum())


def test_masked_predictions_do_not_count(backend: str) -> None:
    y, p = SPARSE_2D[0][0][:4], SPARSE_2D[0][1][:4]
    metric = metrics.SparseCategoricalAccuracy()
    metric.update_state(y, _masked(p, VALID))
    close(metric.result(), (p.argmax(-1) == y)[VALID].mean())
    y, p = MULTI[0][0][:4, :3], MULTI[0][1][:4, :3]
    precision = metrics.Precision()
    precision.update_state(y, _masked(p, VALID))
    close(precision.result(), y[VALID & (p > 0.5)].mean())


def test_ignored_classes_do_not_count(backend: str) -> None:
    y, p = SPARSE_2D[0]
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=2)
    metric.update_state(y, p)
    close(metric.result(), losses.SparseCategoricalCrossentropy(ignore_class=2)(y, p))


# -- life of a metric ----------------------------------------------------------------------------------------------


def test_nothing_is_made_before_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "current", lambda: pytest.fail("a backend was asked for"))
    for name, kwargs, _ in TABLE:
        metric = getattr(metrics, name)(**kwargs)
        metric.get_config()
        assert not metric._made


def test_a_metric_moves_to_the_backend_it_meets(backend: str) -> None:
    with backends.backend_scope("torch" if backend == "jax" else "jax"):
        mean, own = metrics.Mean(), Own()
        mean.update_state([1.0, 2.0])
    for metric in (mean, own):
        metric.update_state(ops.convert_to_tensor([6.0]))
        assert all(v.backend.name == backend for v in metric.variables)
    close(mean.result(), 3.0)
    close(own.result()["total"], 7.0)


class Own(metrics.Metric):
    """As users write them: variables in the constructor, another metric inside, a dict as the result."""

    def __init__(self, name: str = "own", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="ones")
        self.mean = metrics.Mean(name="inner")

    def update_state(self, values: Any) -> Any:
        self.mean.update_state(values)
        return self.total.assign_add(ops.sum(ops.cast(values, self.dtype)))

    def result(self) -> Any:
        return {"total": self.total, "mean": self.mean.result()}


def test_a_metric_of_ones_own(backend: str) -> None:
    metric = Own()
    assert [v.path for v in metric.variables] == ["own/total", "inner/total", "inner/count"]
    result = metric(np.array([1.0, 3.0]))
    close(result["total"], 5.0)
    close(result["mean"], 2.0)
    metric.reset_state()
    close(metric.result()["total"], 1.0)
    close(metric.result()["mean"], 0.0)
    values = metric.stateless_update_state(metric.stateless_reset_state(), np.array([4.0]))
    close(metric.stateless_result(values)["mean"], 4.0)
    assert metric.get_config() == {"name": "own", "dtype": "float32"}


def test_an_update_compiles_once(backend: str) -> None:
    metric = metrics.AUC(num_thresholds=20)
    calls = []

    def update(y: Any, p: Any) -> Any:
        calls.append(1)
        metric.update_state(y, p)
        return metric.result()

    current = backends.current()
    step = current.compile(update, metric.variables, jit=None)
    for batch in MULTI:
        result = step(*(ops.convert_to_tensor(x) for x in batch))
    theirs = keras.metrics.AUC(num_thresholds=20)
    for batch in MULTI:
        theirs.update_state(*batch)
    close(result, theirs.result())
    close(metric.result(), theirs.result())


def test_an_update_keeps_no_gradients() -> None:
    with backends.backend_scope("torch"):
        x = ops.convert_to_tensor([1.0, 2.0]).requires_grad_()
        mean = metrics.Mean()
        mean.update_state(x * 2.0)
        assert not mean.result().requires_grad


def test_dtype(backend: str) -> None:
    metric = metrics.MeanSquaredError(dtype="float16")
    metric.update_state(*NUMBERS[0])
    assert ops.convert_to_numpy(metric.result()).dtype == "float16"
    assert metrics.MeanSquaredError().dtype == "float32" and metrics.Mean(dtype="mixed_bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize(
    ("y_true", "y_pred", "kind"),
    [
        ((None, 1), (None, 1), "Binary"),
        ((None,), (None, 1), "Binary"),
        ((None,), (None,), "Binary"),
        ((None,), (None, 5), "SparseCategorical"),
        ((None, 1), (None, 5), "SparseCategorical"),
        ((None, 7), (None, 7, 5), "SparseCategorical"),
        ((None, 5), (None, 5), "Categorical"),
    ],
)
def test_resolving_by_shapes(y_true: Any, y_pred: Any, kind: str) -> None:
    assert metrics.resolve_accuracy(y_true, y_pred).__name__ == f"{kind}Accuracy"
    assert metrics.resolve_crossentropy(y_true, y_pred).__name__ == f"{kind}Crossentropy"


def test_errors(backend: str) -> None:
    with pytest.raises(ValueError, match="there is no result yet; call update_state first"):
        metrics.F1Score().result()
    f1 = metrics.F1Score()
    f1.update_state(*ONE_HOT[0])
    with pytest.raises(ValueError, match="the data has 3 outputs, before it had 4"):
        f1.update_state(ONE_HOT[0][0][:, :3], ONE_HOT[0][1][:, :3])
    with pytest.raises(ValueError, match=r"expected 2 state values .* got 1"):
        metrics.Mean().stateless_result([1.0])
    with pytest.raises(ValueError, match="does not hold one class index for each prediction"):
        metrics.SparseCategoricalAccuracy().update_state(*ONE_HOT[0])
    with pytest.raises(ValueError, match=r"y_true of shape .* does not go with y_pred of shape"):
        metrics.Precision().update_state(MULTI[0][0], MULTI[0][1][:, :3])
    with pytest.raises(ValueError, match="thresholds must be a number in"):
        metrics.Precision(thresholds=[0.5, 2.0])
    with pytest.raises(ValueError, match="beta must be a positive float"):
        metrics.FBetaScore(beta=-1.0)
