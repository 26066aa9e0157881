"""Keras 1: precision, recall and their kin as functions of a batch, whose mean over the batches was reported."""

from __future__ import annotations

from nyala import ops
from nyala._typing import Tensor
from nyala.base import check, config, registry


def _counts(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of the classes rounded to 0 and 1: true positives, false positives, false negatives, true negatives."""
    y = ops.round(ops.clip(ops.cast(y_true, ops.dtype(y_pred)), 0.0, 1.0))
    p = ops.round(ops.clip(y_pred, 0.0, 1.0))
    return ops.sum(y * p), ops.sum((1.0 - y) * p), ops.sum(y * (1.0 - p)), ops.sum((1.0 - y) * (1.0 - p))


def precision(y_true: Tensor, y_pred: Tensor) -> Tensor:
    tp, fp, _, _ = _counts(y_true, y_pred)
    return tp / (tp + fp + config.epsilon())


def recall(y_true: Tensor, y_pred: Tensor) -> Tensor:
    tp, _, fn, _ = _counts(y_true, y_pred)
    return tp / (tp + fn + config.epsilon())


def fbeta_score(y_true: Tensor, y_pred: Tensor, beta: float = 1.0) -> Tensor:
    """(1 + beta^2) p r / (beta^2 p + r) of precision p and recall r. Raises ValueError if beta is negative."""
    check.number_in("fbeta_score", "beta", beta, 0.0)
    p, r = precision(y_true, y_pred), recall(y_true, y_pred)
    return (1.0 + beta**2) * p * r / (beta**2 * p + r + config.epsilon())


def fmeasure(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """``fbeta_score`` with beta = 1."""
    return fbeta_score(y_true, y_pred)


def matthews_correlation(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """(tp tn - fp fn) / sqrt((tp + fp) (tp + fn) (tn + fp) (tn + fn))."""
    tp, fp, fn, tn = _counts(y_true, y_pred)
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / (ops.sqrt(below) + config.epsilon())


for _fn in (fbeta_score, fmeasure, matthews_correlation):
    registry.add("metric", _fn)
