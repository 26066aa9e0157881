"""How often predictions are right."""

from __future__ import annotations

from collections.abc import Sequence

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.losses.base import pair
from nyala.losses.probabilistic import class_indices
from nyala.metrics.base import Metric
from nyala.metrics.reduction import MeanMetricWrapper


def _float(right: Tensor) -> Tensor:
    return ops.cast(right, dtypes.standardize(None))


def accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where ``y_pred`` equals ``y_true``, else 0; same shape as ``y_true``."""
    y_true, y_pred = pair("accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, y_pred))


def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Tensor:
    """1 where ``y_pred > threshold`` says what ``y_true`` (0 or 1) says, else 0; same shape as ``y_true``."""
    y_true, y_pred = pair("binary_accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, ops.cast(y_pred > threshold, dtypes.standardize(y_true.dtype))))


def categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the highest score is that of the true class: one-hot and scores (batch, ..., classes) -> (batch, ...)."""
    y_true, y_pred = pair("categorical_accuracy", y_true, y_pred)
    return _float(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)))


def _sparse_pair(owner: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Tensor, Tensor]:
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = class_indices(y_true, y_pred)
    shape, scores = tuple(y_true.shape), tuple(y_pred.shape)
    if len(shape) != len(scores) - 1 or any(m != n and None not in (m, n) for m, n in zip(shape, scores)):
        check.fail(
            owner,
            f"y_true of shape {shape} does not hold one class index for each prediction in y_pred of shape {scores}; "
            f"it should have shape {scores[:-1]}. For one-hot labels use {owner.removeprefix('sparse_')}",
        )
    return y_true, y_pred


def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """1 where the highest score is that of the class in ``y_true``.

    Shapes: indices (batch, ...), scores (batch, ..., classes) -> (batch, ...).
    """
    y_true, y_pred = _sparse_pair("sparse_categorical_accuracy", y_true, y_pred)
    return _float(ops.equal(y_true, ops.cast(ops.argmax(y_pred, axis=-1), "int32")))


def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Tensor:
    """1 where the true class is among the ``k`` highest scores; ``y_true`` is one-hot."""
    y_true, y_pred = pair("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(ops.cast(ops.argmax(y_true, axis=-1), "int32"), y_pred, k)


def sparse_top_k_categorical_accuracy(
    y_true: TensorLike, y_pred: TensorLike, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the class in ``y_true`` is among the ``k`` highest scores.

    Args: from_sorted_ids: ``y_pred`` holds class indices, the best first, instead of scores.
    """
    y_true, y_pred = _sparse_pair("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        best = ops.cast(y_pred[..., :k], "int32")
        return _float(ops.any(ops.equal(ops.expand_dims(y_true, -1), best), axis=-1))
    return _in_top_k(y_true, y_pred, k)


def _in_top_k(labels: Tensor, scores: Tensor, k: int) -> Tensor:
    """1 where fewer than ``k`` scores are higher than that of the label (so ties count as right)."""
    own = ops.take_along_axis(scores, ops.expand_dims(labels, -1), axis=-1)
    higher = ops.sum(ops.cast(scores > own, "int32"), axis=-1)
    return _float(ops.logical_and(higher < k, ops.isfinite(own[..., 0])))


class Accuracy(MeanMetricWrapper, names=("acc",)):
    """Share of predictions that equal the label."""

    def __init__(self, name: str = "accuracy", dtype: DType = None):
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """Share of yes-or-no predictions that are right.

    Args: threshold: predictions above it are a yes, in [0, 1].
    """

    def __init__(self, name: str = "binary_accuracy", dtype: DType = None, threshold: float = 0.5):
        if threshold is not None:
            check.number_in("BinaryAccuracy", "threshold", threshold, 0.0, 1.0)
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """Share of predictions whose highest score is that of the true class; labels are one-hot."""

    def __init__(self, name: str = "categorical_accuracy", dtype: DType = None):
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Share of predictions whose highest score is that of the true class; labels are class indices."""

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: DType = None):
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of predictions with the true class among the ``k`` highest scores; labels are one-hot."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: DType = None):
        super().__init__(
            top_k_categorical_accuracy, name, dtype, k=check.positive_int("TopKCategoricalAccuracy", "k", k)
        )


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Share of predictions with the true class among the ``k`` highest scores; labels are class indices.

    Args: from_sorted_ids: predictions are class indices, the best first, instead of scores.
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: DType = None,
        from_sorted_ids: bool = False,
    ):
        check.positive_int("SparseTopKCategoricalAccuracy", "k", k)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)


def kind_of_labels(y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> str:
    """``"binary"``, ``"sparse_categorical"`` or ``"categorical"``, by the shapes alone."""
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return "binary"
    sparse = len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1
    return "sparse_categorical" if sparse else "categorical"


def resolve_accuracy(y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> type[Metric]:
    """The class that ``"accuracy"`` means for labels and predictions of these shapes."""
    return {
        "binary": BinaryAccuracy,
        "sparse_categorical": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    }[kind_of_labels(y_true_shape, y_pred_shape)]
