"""Metrics of the confusion matrix of yes-or-no predictions: counts, precision, recall, curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Config, DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import allowance, check, config, masks
from nyala.losses.base import fit_weights, pair
from nyala.metrics.base import Metric, SizedMetric

Thresholds = float | Sequence[float] | None
_FEW = 8
_NOT_PREDICTED = -1e10


def _thresholds(owner: Any, value: Thresholds, default: float) -> list[float]:
    if value is None:
        return [default]
    values: list[Any] = list(np.atleast_1d(np.asarray(value, object)))
    for v in values:
        check.number_in(owner, "thresholds", v, 0.0, 1.0)
    return values


def _prepare(
    metric: Metric,
    y_true: TensorLike,
    y_pred: TensorLike,
    sample_weight: TensorLike | None,
    class_id: int | None = None,
    top_k: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels 0.0 and 1.0, predictions and weights, all of one shape; the mask is among the weights."""
    mask = masks.get_mask(y_pred)
    y_true, y_pred = ops.convert_to_tensor(y_true, metric.dtype), ops.convert_to_tensor(y_pred, metric.dtype)
    y_true, y_pred = pair(metric, y_true, y_pred)
    if top_k is not None:
        best = ops.top_k(y_pred, top_k)[1]
        chosen = ops.sum(ops.one_hot(best, y_pred.shape[-1], dtype=metric.dtype), axis=-2)
        y_pred = ops.where(chosen > 0, y_pred, ops.full_like(y_pred, _NOT_PREDICTED))
    if class_id is not None:
        classes = y_pred.shape[-1]
        if classes is not None and not -classes <= class_id < classes:
            check.fail(metric, f"class_id must be less than the number of classes {classes}, got {class_id}")
        y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
    weights = ops.ones_like(y_pred)
    for what, given in (("sample_weight", sample_weight), ("mask", mask)):
        if given is not None:
            weights = weights * fit_weights(metric, ops.cast(given, metric.dtype), y_pred, what)
    return y_true, y_pred, weights


def _counts(y_true: Tensor, y_pred: Tensor, weights: Tensor, thresholds: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Weighted true and false positives, ``y_pred > threshold``: (n, labels) -> (thresholds, labels) each.

    Many thresholds are counted by a histogram: every prediction falls between two of them, and those above a threshold
    are a sum of cells, so the work does not grow with (predictions x thresholds).
    """
    ordered = np.sort(np.asarray(thresholds, "float32"))
    hits, misses = weights * y_true, weights * (1.0 - y_true)
    if len(ordered) <= _FEW:
        above = ops.stack([ops.cast(y_pred > float(t), dtypes.standardize(weights.dtype)) for t in thresholds], axis=0)
        return ops.sum(above * hits, axis=1), ops.sum(above * misses, axis=1)
    labels = int(y_pred.shape[-1])
    cells = len(ordered) + 1
    cell = ops.cast(ops.searchsorted(ops.convert_to_tensor(ordered), ops.reshape(y_pred, (-1,)), side="left"), "int32")
    place = ops.reshape(cell, (-1, labels)) + cells * ops.arange(labels, dtype="int32")
    both = ops.stack([ops.reshape(hits, (-1,)), ops.reshape(misses, (-1,))], axis=-1)
    histogram = ops.reshape(ops.segment_sum(both, ops.reshape(place, (-1,)), cells * labels), (labels, cells, 2))
    at_least = ops.flip(ops.cumsum(ops.flip(histogram, axis=1), axis=1), axis=1)[:, 1:]
    back = np.argsort(np.argsort(np.asarray(thresholds, "float32"), kind="stable"))
    if not np.array_equal(back, np.arange(len(back))):
        at_least = ops.take(at_least, back, axis=1)
    return ops.transpose(at_least[..., 0]), ops.transpose(at_least[..., 1])


def _flat(y_true: Tensor, y_pred: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return ops.reshape(y_true, (-1, 1)), ops.reshape(y_pred, (-1, 1)), ops.reshape(weights, (-1, 1))


class _Count(Metric):
    """Base of the four counts."""

    def __init__(self, thresholds: Thresholds = None, name: str | None = None, dtype: DType = None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(self, thresholds, 0.5)

    def make_variables(self) -> None:
        self.accumulator = self.add_variable((len(self.thresholds),), name="accumulator")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        labels, predictions, weights = _flat(*_prepare(self, y_true, y_pred, sample_weight))
        tp, fp = (x[:, 0] for x in _counts(labels, predictions, weights, self.thresholds))
        positives, negatives = ops.sum(weights * labels), ops.sum(weights * (1.0 - labels))
        self.accumulator.assign_add(self.choose(tp, fp, positives, negatives))

    def choose(self, tp: Tensor, fp: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        raise NotImplementedError

    def result(self) -> Tensor:
        value = self.accumulator.value
        return value[0] if len(self.thresholds) == 1 else value

    def config_value(self, name: str) -> Any:
        return self.init_thresholds if name == "thresholds" else super().config_value(name)


class TruePositives(_Count):
    """Number of positives predicted so.

    Args: thresholds: a prediction above it is positive; one or several, in [0, 1], default 0.5. Several give a vector.
    """

    def choose(self, tp: Tensor, fp: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return tp


class TrueNegatives(_Count):
    """Number of negatives predicted so; ``thresholds`` as for TruePositives."""

    def choose(self, tp: Tensor, fp: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return negatives - fp


class FalsePositives(_Count):
    """Number of negatives predicted positive; ``thresholds`` as for TruePositives."""

    def choose(self, tp: Tensor, fp: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return fp


class FalseNegatives(_Count):
    """Number of positives predicted negative; ``thresholds`` as for TruePositives."""

    def choose(self, tp: Tensor, fp: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return positives - tp


class _Ratio(Metric):
    """Base of precision and recall."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = None if top_k is None else check.positive_int(self, "top_k", top_k)
        self.class_id = class_id
        self.thresholds = _thresholds(self, thresholds, 0.5 if top_k is None else _NOT_PREDICTED)

    def config_value(self, name: str) -> Any:
        return self.init_thresholds if name == "thresholds" else super().config_value(name)

    def _update(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None) -> tuple[Tensor, ...]:
        labels, predictions, weights = _flat(*_prepare(self, y_true, y_pred, sample_weight, self.class_id, self.top_k))
        tp, fp = (x[:, 0] for x in _counts(labels, predictions, weights, self.thresholds))
        return tp, fp, ops.sum(weights * labels)

    def _ratio(self, part: Tensor, rest: Tensor) -> Tensor:
        ratio = ops.divide_no_nan(part, part + rest)
        return ratio[0] if len(self.thresholds) == 1 else ratio


class Precision(_Ratio):
    """Share of the positive predictions that are right, tp / (tp + fp).

    Args:
        thresholds: a prediction above it is positive; one or several, in [0, 1]. Default 0.5, with ``top_k`` none.
        top_k: only the ``k`` highest of the last axis can be positive.
        class_id: look at this entry of the last axis only.
    """

    def make_variables(self) -> None:
        self.true_positives = self.add_variable((len(self.thresholds),), name="true_positives")
        self.false_positives = self.add_variable((len(self.thresholds),), name="false_positives")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        tp, fp, _ = self._update(y_true, y_pred, sample_weight)
        self.true_positives.assign_add(tp)
        self.false_positives.assign_add(fp)

    def result(self) -> Tensor:
        return self._ratio(self.true_positives.value, self.false_positives.value)


class Recall(_Ratio):
    """Share of the positives that are predicted so, tp / (tp + fn); arguments as for Precision."""

    def make_variables(self) -> None:
        self.true_positives = self.add_variable((len(self.thresholds),), name="true_positives")
        self.false_negatives = self.add_variable((len(self.thresholds),), name="false_negatives")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        tp, _, positives = self._update(y_true, y_pred, sample_weight)
        self.true_positives.assign_add(tp)
        self.false_negatives.assign_add(positives - tp)

    def result(self) -> Tensor:
        return self._ratio(self.true_positives.value, self.false_negatives.value)


def _spread(n: int) -> list[float]:
    """The ``n - 2`` evenly spaced thresholds strictly between 0 and 1."""
    allowance.take("num_thresholds", (n,))
    return [(i + 1) / (n - 1) for i in range(n - 2)]


_CELLS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def _add_cells(metric: Any, y_true: Tensor, y_pred: Tensor, weights: Tensor, squeeze: bool) -> None:
    """Add the four counts of a batch, (n, labels), to the metric's variables."""
    tp, fp = _counts(y_true, y_pred, weights, metric.thresholds)
    positives, negatives = ops.sum(weights * y_true, axis=0), ops.sum(weights * (1.0 - y_true), axis=0)
    for name, value in zip(_CELLS, (tp, fp, negatives - fp, positives - tp)):
        getattr(metric, name).assign_add(value[:, 0] if squeeze else value)


class _AtPoint(Metric):
    """Base of: the best of one ratio where another is at least ``value``."""

    config_order = ("name", "dtype", "class_id", "num_thresholds")

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.value = value
        self.num_thresholds = check.positive_int(self, "num_thresholds", num_thresholds)
        self.class_id = class_id
        self.thresholds = [0.5] if num_thresholds == 1 else [0.0, *_spread(num_thresholds), 1.0]

    config_skip = frozenset({"value"})

    def make_variables(self) -> None:
        for name in _CELLS:
            setattr(self, name, self.add_variable((len(self.thresholds),), name=name))

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        prepared = _prepare(self, y_true, y_pred, sample_weight, self.class_id)
        _add_cells(self, *_flat(*prepared), squeeze=True)

    def _rate(self, part: str, rest: str) -> Tensor:
        value = getattr(self, part).value
        return ops.divide_no_nan(value, value + getattr(self, rest).value)

    @property
    def _sensitivity(self) -> Tensor:
        return self._rate("true_positives", "false_negatives")

    @property
    def _specificity(self) -> Tensor:
        return self._rate("true_negatives", "false_positives")

    @property
    def _precision(self) -> Tensor:
        return self._rate("true_positives", "false_positives")

    def _best(self, rate: Tensor, where: Tensor) -> Tensor:
        """The highest ``rate`` where the other is at least ``value``; 0 if it never is."""
        return ops.max(ops.where(where >= self.value, rate, ops.zeros_like(rate)))


class SensitivityAtSpecificity(_AtPoint):
    """The best sensitivity tp / (tp + fn) among the thresholds whose specificity tn / (tn + fp) is at least as given.

    Args:
        specificity: in [0, 1].
        num_thresholds: evenly spaced in [0, 1]; 1: only 0.5.
        class_id: look at this entry of the last axis only.
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        check.number_in(type(self).__name__, "specificity", specificity, 0.0, 1.0)
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity

    def result(self) -> Tensor:
        return self._best(self._sensitivity, self._specificity)


class SpecificityAtSensitivity(_AtPoint):
    """The best specificity where the sensitivity is at least as given; arguments as SensitivityAtSpecificity."""

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        check.number_in(type(self).__name__, "sensitivity", sensitivity, 0.0, 1.0)
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity

    def result(self) -> Tensor:
        return self._best(self._specificity, self._sensitivity)


class PrecisionAtRecall(_AtPoint):
    """The best precision where the recall is at least as given; arguments as SensitivityAtSpecificity."""

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        check.number_in(type(self).__name__, "recall", recall, 0.0, 1.0)
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = recall

    def result(self) -> Tensor:
        return self._best(self._precision, self._sensitivity)


class RecallAtPrecision(_AtPoint):
    """The best recall where the precision is at least as given; arguments as SensitivityAtSpecificity."""

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DType = None,
    ):
        check.number_in(type(self).__name__, "precision", precision, 0.0, 1.0)
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = precision

    def result(self) -> Tensor:
        return self._best(self._sensitivity, self._precision)


class AUC(SizedMetric):
    """Area under the ROC or the precision-recall curve, by a sum over thresholds.

    Args:
        num_thresholds: evenly spaced in [0, 1], with one below and one above; more are more exact.
        curve: ``"ROC"`` (recall over false positive rate) or ``"PR"`` (precision over recall).
        summation_method: ``"interpolation"`` (mean height; for PR that of Davis & Goadrich,
            https://dl.acm.org/doi/10.1145/1143844.1143874), ``"minoring"`` or ``"majoring"`` (lower or higher end).
        thresholds: instead of ``num_thresholds``, values in [0, 1].
        multi_label: one curve a label, (batch, labels), and the mean of their areas; else all entries are one curve.
        num_labels: with ``multi_label``, so that the state is there before the first batch.
        label_weights: of the labels in that mean, or of their entries without ``multi_label``.
        from_logits: predictions are logits; a sigmoid is applied.
    """

    config_order = (
        "name", "dtype", "num_thresholds", "curve", "summation_method", "multi_label", "num_labels", "label_weights",
        "from_logits", "thresholds",
    )  # fmt: skip

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DType = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ):
        super().__init__(name=name, dtype=dtype)
        self.curve = check.one_of(self, "curve", curve, ("ROC", "PR"))
        self.summation_method = check.one_of(
            self, "summation_method", summation_method, ("interpolation", "minoring", "majoring")
        )
        self.init_thresholds = None if thresholds is None else sorted(_thresholds(self, thresholds, 0.5))
        if self.init_thresholds is None and num_thresholds < 2:
            check.fail(self, f"num_thresholds must be an int >= 2, got {num_thresholds!r}")
        inner = _spread(num_thresholds) if self.init_thresholds is None else self.init_thresholds
        margin = config.epsilon()
        self.thresholds = [-margin, *inner, 1.0 + margin]
        self.num_thresholds = len(self.thresholds)
        self.multi_label = multi_label
        if num_labels is not None and not multi_label:
            check.fail(self, "num_labels needs multi_label=True")
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        if self.label_weights is not None and min(self.label_weights, default=0.0) < 0:
            check.fail(self, f"label_weights must not be negative, got {self.label_weights}")
        self.from_logits = from_logits

    def make_variables(self) -> None:
        if not self.multi_label:
            self.need(1)
        elif self.num_labels is not None:
            self.need(self.num_labels)

    def make_sized(self, size: int) -> None:
        if self.multi_label and self.label_weights is not None and len(self.label_weights) != size:
            check.fail(self, f"{len(self.label_weights)} label_weights for {size} labels")
        n = self.num_thresholds
        for name in _CELLS:
            setattr(self, name, self.add_variable((n, size) if self.multi_label else (n,), name=name))

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        labels, predictions, weights = _prepare(self, y_true, y_pred, sample_weight)
        if self.from_logits:
            predictions = ops.sigmoid(predictions)
        if self.multi_label:
            if len(labels.shape) != 2:
                check.fail(self, f"multi_label needs data of shape (batch, labels), got {tuple(labels.shape)}")
            self.need(labels.shape[-1])
        else:
            if self.label_weights is not None:
                weights = weights * ops.convert_to_tensor(self.label_weights, self.dtype)
            labels, predictions, weights = _flat(labels, predictions, weights)
        _add_cells(self, labels, predictions, weights, squeeze=not self.multi_label)

    def result(self) -> Tensor:
        self.known_size()
        tp, fp, tn, fn = (getattr(self, name).value for name in _CELLS)
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_pr(tp, fp, fn)
        else:
            recall = ops.divide_no_nan(tp, tp + fn)
            if self.curve == "ROC":
                x, y = ops.divide_no_nan(fp, fp + tn), recall
            else:
                x, y = recall, ops.divide_no_nan(tp, tp + fp)
            left, right = y[:-1], y[1:]
            heights = {
                "interpolation": lambda: (left + right) / 2.0,
                "minoring": lambda: ops.minimum(left, right),
                "majoring": lambda: ops.maximum(left, right),
            }[self.summation_method]()
            areas = ops.sum((x[:-1] - x[1:]) * heights, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(self.label_weights, self.dtype)
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def get_config(self) -> Config:
        config = super().get_config()
        if self.init_thresholds is None:
            del config["thresholds"]
        return config

    def config_value(self, name: str) -> Any:
        return self.init_thresholds if name == "thresholds" else super().config_value(name)


def _interpolated_pr(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """Area under the PR curve where, between thresholds, true positives grow linearly with the positive predictions p:

    tp = slope p + intercept, precision = tp / p, so the area is the integral of (slope + intercept / p) d(tp).
    """
    p = tp + fp
    d_tp, d_p = tp[:-1] - tp[1:], p[:-1] - p[1:]
    slope = ops.divide_no_nan(d_tp, ops.maximum(d_p, 0.0))
    intercept = tp[1:] - slope * p[1:]
    both = ops.logical_and(p[:-1] > 0, p[1:] > 0)
    ratio = ops.where(both, ops.divide_no_nan(p[:-1], p[1:]), ops.ones_like(d_p))
    area = slope * (d_tp + intercept * ops.log(ratio))
    return ops.sum(ops.divide_no_nan(area, ops.maximum(tp[1:] + fn[1:], 0.0)), axis=0)
