"""Metrics that add up or average values, and the one that averages a function of labels and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala import backends, ops
from nyala._typing import Config, DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import masks
from nyala.losses.base import deserialize as deserialize_loss
from nyala.losses.base import fit_weights, serialize_with_functions
from nyala.metrics.base import Metric


def weighted_sums(
    metric: Metric, values: TensorLike, sample_weight: TensorLike | None, mask: TensorLike | None
) -> tuple[Tensor, Tensor]:
    """``(sum(weight * value), sum(weight))`` by the rule of metrics, see ``Metric``."""
    values = ops.convert_to_tensor(values, metric.dtype)
    weights = None if sample_weight is None else ops.convert_to_tensor(sample_weight, metric.dtype)
    if weights is not None:
        if mask is None:
            values = _without_finer_axes(values, weights)
        weights = fit_weights(metric, weights, values)
    if mask is not None:
        valid = fit_weights(metric, ops.cast(mask, metric.dtype), values, "mask")
        weights = valid if weights is None else weights * valid
        values = ops.where(valid > 0, values, ops.zeros_like(values))
        return ops.sum(values * weights), ops.sum(weights * ops.ones_like(values))
    if weights is None:
        count = ops.cast(ops.shape(values)[0] if len(values.shape) else 1, metric.dtype)
        return ops.sum(_per_sample(values)), count
    return ops.sum(_per_sample(values * weights)), ops.sum(_per_sample(weights))


def _without_finer_axes(values: Tensor, weights: Tensor) -> Tensor:
    """Average ``values`` over the axes that ``weights`` do not have."""
    extra = len(values.shape) - len(weights.shape)
    return ops.mean(values, axis=tuple(range(-extra, 0))) if extra > 0 else values


def _per_sample(values: Tensor) -> Tensor:
    n = len(values.shape)
    return ops.mean(values, axis=tuple(range(1, n))) if n > 1 else values


class Sum(Metric):
    """Weighted sum of all (valid) values."""

    def __init__(self, name: str = "sum", dtype: DType = None):
        super().__init__(name=name, dtype=dtype)

    def make_variables(self) -> None:
        self.total = self.add_variable((), name="total")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(values)
        values = ops.convert_to_tensor(values, self.dtype)
        for what, weights in (("sample_weight", sample_weight), ("mask", mask)):
            if weights is not None:
                values = values * fit_weights(self, ops.cast(weights, self.dtype), values, what)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Tensor:
        return self.total.value


class Mean(Metric):
    """Weighted mean of values; see ``Metric`` for what counts how much. Nothing seen gives 0."""

    def __init__(self, name: str = "mean", dtype: DType = None):
        super().__init__(name=name, dtype=dtype)

    def make_variables(self) -> None:
        self.total = self.add_variable((), name="total")
        self.count = self.add_variable((), name="count")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        self._add(values, sample_weight, masks.get_mask(values))

    def _add(self, values: TensorLike, sample_weight: TensorLike | None, mask: Tensor | None) -> None:
        total, count = weighted_sums(self, values, sample_weight, mask)
        self.total.assign_add(total)
        self.count.assign_add(count)

    def add_mean(self, mean: Tensor, count: int) -> None:
        """Take in ``count`` values by their mean: what a loss that is a mean already needs, in few operations."""
        if not self._made or self._own_backend is not backends.current():
            self.to_backend(backends.current())
        with self._own_backend.no_grad():
            self.total.assign_add(mean * count)
            self.count.assign_add(count)

    def result(self) -> Tensor:
        return ops.divide_no_nan(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """Weighted mean of ``fn(y_true, y_pred, **kwargs)``.

    Args: fn: gives one value for each sample or element; kwargs: handed to it and kept as attributes.
    """

    config_skip = frozenset({"fn"})

    def __init__(self, fn: Callable[..., Tensor], name: str | None = None, dtype: DType = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype)  # type: ignore[arg-type]
        self._fn = fn
        self._fn_arguments = tuple(kwargs)
        self.__dict__.update(kwargs)

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        own = self.valid(y_true)
        if own is not None:
            mask = own if mask is None else ops.logical_and(mask, own)
        self._add(self._values(y_true, y_pred), sample_weight, mask)

    def _values(self, y_true: TensorLike, y_pred: TensorLike) -> Tensor:
        fn = backends.user_code(self._fn)
        arguments = {k: getattr(self, k) for k in self._fn_arguments}
        try:
            return fn(y_true, y_pred, **arguments)
        except (TypeError, ValueError):
            # In Keras 2 labels came in the dtype of the predictions; TensorFlow does not multiply ints with floats.
            labels, floats = ops.dtype(y_true), ops.dtype(y_pred)
            if fn is self._fn or labels == floats or dtypes.is_float(labels) or not dtypes.is_float(floats):
                raise
            return fn(ops.cast(y_true, floats), y_pred, **arguments)

    def valid(self, y_true: TensorLike) -> Tensor | None:
        """Which values count, by the labels; ``None``: all."""
        return None

    def get_config(self) -> Config:
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = serialize_with_functions(self._fn)
            config.update({k: getattr(self, k) for k in self._fn_arguments})
        return config

    @classmethod
    def from_config(cls, config: Config) -> MeanMetricWrapper:
        if "fn" in config:
            from nyala.metrics import functions

            fn = config["fn"]
            name = fn.get("config") if isinstance(fn, dict) and fn.get("class_name") == "function" else fn
            config = {**config, "fn": functions.get(name) or deserialize_loss(fn)}
        return super().from_config(config)
