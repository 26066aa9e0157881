"""Metrics between numbers: errors, hinges, cosine, correlation, R2."""

from __future__ import annotations

from nyala import ops
from nyala._typing import Axis, DType, Tensor, TensorLike
from nyala.base import check, config, masks
from nyala.losses import margin, regression
from nyala.losses.base import fit_weights, pair
from nyala.metrics.base import SizedMetric
from nyala.metrics.reduction import Mean, MeanMetricWrapper


def cosine_similarity(y_true: TensorLike, y_pred: TensorLike, axis: Axis = -1) -> Tensor:
    """The cosine of the angle between ``y_true`` and ``y_pred`` along ``axis``."""
    return -regression.cosine_similarity(y_true, y_pred, axis)


def _centred(owner: str, y_true: TensorLike, y_pred: TensorLike, axis: Axis) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    y_true, y_pred = pair(owner, y_true, y_pred)
    true_mean, pred_mean = ops.mean(y_true, axis=axis, keepdims=True), ops.mean(y_pred, axis=axis, keepdims=True)
    return y_true - true_mean, y_pred - pred_mean, true_mean, pred_mean


def pearson_correlation(y_true: TensorLike, y_pred: TensorLike, axis: Axis = -1) -> Tensor:
    """cov(y_true, y_pred) / (std(y_true) std(y_pred)) along ``axis``, in [-1, 1]; 0 where one of them is constant."""
    y_true, y_pred, *_ = _centred("pearson_correlation", y_true, y_pred, axis)
    return ops.sum(regression.unit(y_true, axis) * regression.unit(y_pred, axis), axis=axis)


def concordance_correlation(y_true: TensorLike, y_pred: TensorLike, axis: Axis = -1) -> Tensor:
    """2 cov / (var(y_true) + var(y_pred) + (mean(y_true) - mean(y_pred))^2) along ``axis``; Lin, 1989."""
    y_true, y_pred, true_mean, pred_mean = _centred("concordance_correlation", y_true, y_pred, axis)
    covariance = ops.mean(y_true * y_pred, axis=axis)
    spread = ops.mean(ops.square(y_true), axis=axis) + ops.mean(ops.square(y_pred), axis=axis)
    shift = ops.mean(ops.square(true_mean - pred_mean), axis=axis)
    return 2.0 * covariance / (spread + shift + config.epsilon())


class MeanSquaredError(MeanMetricWrapper, names=("mse", "MSE")):
    """Mean of the squares of the errors."""

    def __init__(self, name: str = "mean_squared_error", dtype: DType = None):
        super().__init__(regression.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper, names=("mae", "MAE")):
    """Mean of the absolute errors."""

    def __init__(self, name: str = "mean_absolute_error", dtype: DType = None):
        super().__init__(regression.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper, names=("mape", "MAPE")):
    """Mean of the absolute errors in percent of the true value."""

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: DType = None):
        super().__init__(regression.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper, names=("msle", "MSLE")):
    """Mean of the squares of the differences of log(1 + y)."""

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: DType = None):
        super().__init__(regression.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(MeanMetricWrapper, names=("logcosh", "log_cosh")):
    """Mean of log(cosh(error))."""

    def __init__(self, name: str = "logcosh", dtype: DType = None):
        super().__init__(regression.log_cosh, name, dtype)


class RootMeanSquaredError(Mean, names=("rmse", "RMSE")):
    """Square root of the mean of the squares of the errors."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: DType = None):
        super().__init__(name, dtype)

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        self._add(regression.mean_squared_error(y_true, y_pred), sample_weight, mask)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


class Hinge(MeanMetricWrapper):
    """Mean of max(1 - y_true y_pred, 0); labels are -1 and 1, or 0 and 1."""

    def __init__(self, name: str = "hinge", dtype: DType = None):
        super().__init__(margin.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """Mean of max(1 - y_true y_pred, 0)^2; labels are -1 and 1, or 0 and 1."""

    def __init__(self, name: str = "squared_hinge", dtype: DType = None):
        super().__init__(margin.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """Hinge loss between the true class and the best of the others."""

    def __init__(self, name: str = "categorical_hinge", dtype: DType = None):
        super().__init__(margin.categorical_hinge, name, dtype)


class CosineSimilarity(MeanMetricWrapper, names=("cosine", "cosine_proximity")):
    """Mean cosine of the angle between target and prediction.

    Args: axis: along which the vectors lie.
    """

    def __init__(self, name: str = "cosine_similarity", dtype: DType = None, axis: int = -1):
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class PearsonCorrelation(MeanMetricWrapper):
    """Mean over the batch of the Pearson correlation of each sample's target and prediction along ``axis``.

    Args: axis: the axis, or axes, that a correlation is taken over; -1 is the outputs of one sample.
    """

    def __init__(self, name: str = "pearson_correlation", dtype: DType = None, axis: Axis = -1):
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """Mean over the batch of Lin's concordance correlation along ``axis``: Pearson's, less for a shift or a scale.

    Args: axis: the axis, or axes, that a correlation is taken over; -1 is the outputs of one sample.
    """

    def __init__(self, name: str = "concordance_correlation", dtype: DType = None, axis: Axis = -1):
        super().__init__(concordance_correlation, name, dtype, axis=axis)


_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class R2Score(SizedMetric):
    """Coefficient of determination, 1 - sum((y - p)^2) / sum((y - mean(y))^2), for (batch, outputs).

    Args:
        class_aggregation: how the outputs' scores become one: ``"uniform_average"``, ``"variance_weighted_average"``
            or ``None`` (one score each).
        num_regressors: of inputs, for the adjusted score 1 - (1 - r2) (n - 1) / (n - num_regressors - 1) with n the
            number of values; 0, or fewer values than that needs: not adjusted.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: DType = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.class_aggregation = check.one_of(self, "class_aggregation", class_aggregation, _AGGREGATIONS)
        self.num_regressors = check.non_negative_int(self, "num_regressors", num_regressors)

    def make_variables(self) -> None:
        self.num_samples = self.add_variable((), name="num_samples")

    def make_sized(self, size: int) -> None:
        self.squared_sum = self.add_variable((size,), name="squared_sum")
        self.sum = self.add_variable((size,), name="sum")
        self.total_mse = self.add_variable((size,), name="residual")
        self.count = self.add_variable((size,), name="count")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true, self.dtype), ops.convert_to_tensor(y_pred, self.dtype)
        y_true, y_pred = pair("R2Score", y_true, y_pred)
        if len(y_true.shape) != 2:
            check.fail(self, f"expects data of shape (batch, outputs), got y_true of shape {tuple(y_true.shape)}")
        self.need(y_true.shape[-1])
        weights = ops.ones_like(y_true)
        for what, given in (("sample_weight", sample_weight), ("mask", mask)):
            if given is not None:
                weights = weights * fit_weights(self, ops.cast(given, self.dtype), y_true, what)
        weighted = weights * y_true
        self.sum.assign_add(ops.sum(weighted, axis=0))
        self.squared_sum.assign_add(ops.sum(weighted * y_true, axis=0))
        self.total_mse.assign_add(ops.sum(weights * ops.square(y_true - y_pred), axis=0))
        self.count.assign_add(ops.sum(weights, axis=0))
        valid = ops.ones_like(y_true)
        if mask is not None:
            valid = valid * fit_weights(self, ops.cast(mask, self.dtype), y_true, "mask")
        self.num_samples.assign_add(ops.sum(valid))

    def result(self) -> Tensor:
        self.known_size()
        total = self.squared_sum.value - ops.square(self.sum.value) / self.count.value
        # A constant target has no variance to explain: 0, whatever the errors.
        explained = 1.0 - ops.divide_no_nan(self.total_mse.value, total)
        scores = ops.where(total > 0, explained, ops.zeros_like(total))
        if self.class_aggregation == "uniform_average":
            scores = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = ops.divide_no_nan(ops.sum(scores * total), ops.sum(total))
        if not self.num_regressors:
            return scores
        n = self.num_samples.value
        left = n - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - scores) * (n - 1.0) / ops.where(left > 0, left, ops.ones_like(left))
        return ops.where(left > 0, adjusted, scores)
