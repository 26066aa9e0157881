"""Intersection over union of predicted and true regions, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.base import check, config, masks
from nyala.losses.base import fit_weights
from nyala.metrics.base import Metric


class IoU(Metric):
    """Mean over classes of tp / (tp + fp + fn); classes that do not occur are left out.

    Args:
        num_classes: of labels and predictions.
        target_class_ids: the classes to average over.
        dtype: of the confusion matrix, default ``"int32"``; with fractional sample weights use ``"float32"``.
        ignore_class: entries with this label do not count.
        sparse_y_true, sparse_y_pred: class indices; else scores or one-hot over ``axis``.
        axis: of the classes where not sparse.
    """

    config_order = ("name", "dtype")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DType = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(name=name, dtype=dtype or "int32")
        self.num_classes = check.positive_int(self, "num_classes", num_classes)
        self.target_class_ids = list(target_class_ids)
        if any(not 0 <= i < num_classes for i in self.target_class_ids):
            check.fail(self, f"target_class_ids must lie in [0, {num_classes}), got {self.target_class_ids}")
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis

    def make_variables(self) -> None:
        n = self.num_classes
        self.total_cm = self.add_variable((n, n), name="total_confusion_matrix")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        if not self.sparse_y_true:
            y_true = ops.argmax(y_true, axis=self.axis)
        if not self.sparse_y_pred:
            y_pred = ops.argmax(y_pred, axis=self.axis)
        self._count(y_true, y_pred, sample_weight, mask)

    def _count(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None, mask: Tensor | None
    ) -> None:
        y_true, y_pred = ops.cast(y_true, "int32"), ops.cast(y_pred, "int32")
        # Weights stay float until they are summed up: an integer matrix rounds a cell, not each weight.
        dtype = self.dtype if sample_weight is None else "float32"
        weights = ops.ones_like(y_true, dtype=dtype)
        for what, given in (("sample_weight", sample_weight), ("mask", mask)):
            if given is not None:
                given = fit_weights(self, ops.convert_to_tensor(given), y_true, what)
                weights = weights * ops.cast(given, dtype)
        y_true, y_pred, weights = (ops.reshape(x, (-1,)) for x in (y_true, y_pred, weights))
        n = self.num_classes
        valid = ops.logical_and(ops.logical_and(y_true >= 0, y_true < n), ops.logical_and(y_pred >= 0, y_pred < n))
        if self.ignore_class is not None:
            valid = ops.logical_and(valid, ops.not_equal(y_true, self.ignore_class))
        weights = ops.where(valid, weights, ops.zeros_like(weights))
        cell = ops.where(valid, y_true * n + y_pred, ops.zeros_like(y_true))
        self.total_cm.assign_add(ops.reshape(ops.segment_sum(weights, cell, n * n), (n, n)))

    def result(self) -> Tensor:
        matrix = ops.cast(self.total_cm.value, "float32")
        both = ops.diagonal(matrix)
        either = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - both
        targets = self.target_class_ids
        both, either = ops.take(both, targets, axis=0), ops.take(either, targets, axis=0)
        occurs = ops.cast(either > 0, "float32")
        return ops.divide_no_nan(ops.sum(both / (either + config.epsilon())), ops.sum(occurs))


class BinaryIoU(IoU):
    """IoU of yes-or-no predictions.

    Args: threshold: predictions at or above it are class 1, in [0, 1]; target_class_ids: 0, 1 or both.
    """

    config_order = ("target_class_ids", "threshold", "name", "dtype")
    config_skip = frozenset({"num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis"})

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: DType = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = check.number_in(self, "threshold", threshold, 0.0, 1.0)

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        self._count(y_true, ops.convert_to_tensor(y_pred) >= self.threshold, sample_weight, mask)


class MeanIoU(IoU):
    """IoU averaged over all classes; arguments as for IoU."""

    config_order = ("num_classes", "name", "dtype")
    config_skip = frozenset({"target_class_ids"})

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DType = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """IoU for one-hot labels; arguments as for IoU."""

    config_order = ("num_classes", "target_class_ids", "name", "dtype")
    config_skip = frozenset({"sparse_y_true"})

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DType = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """IoU for one-hot labels averaged over all classes; arguments as for IoU."""

    config_skip = frozenset({"sparse_y_true"})

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DType = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
