"""Losses between numbers. ``y_true`` and ``y_pred``: (batch, ..., n) -> (batch, ...), the mean over the last axis."""

from __future__ import annotations

import math

from nyala import ops
from nyala._typing import Axis, DType, Tensor, TensorLike
from nyala.base import config
from nyala.losses.base import LossFunctionWrapper, Reduction, loss_function, pair


@loss_function("mse", "MSE")
def mean_squared_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean((y_true - y_pred)^2)."""
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@loss_function("mae", "MAE")
def mean_absolute_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(|y_true - y_pred|)."""
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@loss_function("mape", "MAPE")
def mean_absolute_percentage_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """100 mean(|y_true - y_pred| / max(|y_true|, epsilon))."""
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    return 100.0 * ops.mean(ops.abs(y_true - y_pred) / ops.maximum(ops.abs(y_true), config.epsilon()), axis=-1)


@loss_function("msle", "MSLE")
def mean_squared_logarithmic_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean((log(1 + y_true) - log(1 + y_pred))^2), both at least epsilon."""
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    low = config.epsilon()
    difference = ops.log1p(ops.maximum(y_true, low)) - ops.log1p(ops.maximum(y_pred, low))
    return ops.mean(ops.square(difference), axis=-1)


@loss_function("huber_loss")
def huber(y_true: TensorLike, y_pred: TensorLike, delta: float = 1.0) -> Tensor:
    """mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2); Huber, 1964."""
    y_true, y_pred = pair("huber", y_true, y_pred)
    error = ops.abs(y_true - y_pred)
    return ops.mean(ops.where(error <= delta, 0.5 * ops.square(error), delta * (error - 0.5 * delta)), axis=-1)


@loss_function("logcosh")
def log_cosh(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(log(cosh(y_pred - y_true))), as e + softplus(-2 e) - log 2, which does not overflow."""
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(-2.0 * error) - math.log(2.0), axis=-1)


def unit(x: Tensor, axis: Axis) -> Tensor:
    """``x`` divided by its length along ``axis``."""
    length2 = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(length2, 1e-12))


@loss_function("cosine", "cosine_proximity")
def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: Axis = -1) -> Tensor:
    """Minus the cosine of the angle between ``y_true`` and ``y_pred`` along ``axis``; -1: same direction."""
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return -ops.sum(unit(y_true, axis) * unit(y_pred, axis), axis=axis)


class MeanSquaredError(LossFunctionWrapper):
    """Mean of the squares of the errors."""

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "mean_squared_error", dtype: DType = None
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """Mean of the absolute errors."""

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "mean_absolute_error", dtype: DType = None
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """Mean of the absolute errors in percent of the true value."""

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: DType = None,
    ):
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """Mean of the squares of the differences of log(1 + y)."""

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: DType = None,
    ):
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """Quadratic for small errors, linear for large ones.

    Args: delta: the error where one becomes the other.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: DType = None,
    ):
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """Mean of log(cosh(error)): about e^2 / 2 for small errors, |e| - log 2 for large ones."""

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "log_cosh", dtype: DType = None):
        super().__init__(log_cosh, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle between target and prediction.

    Args: axis: along which the vectors lie.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: DType = None,
    ):
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
