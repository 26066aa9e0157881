"""Metrics between labels or distributions and predicted probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.losses import probabilistic
from nyala.metrics.accuracy import kind_of_labels
from nyala.metrics.base import Metric
from nyala.metrics.reduction import MeanMetricWrapper


class KLDivergence(MeanMetricWrapper, names=("kld", "KLD", "kullback_leibler_divergence")):
    """Mean Kullback-Leibler divergence of the prediction from the target distribution."""

    def __init__(self, name: str = "kl_divergence", dtype: DType = None):
        super().__init__(probabilistic.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """Mean of y_pred - y_true log(y_pred)."""

    def __init__(self, name: str = "poisson", dtype: DType = None):
        super().__init__(probabilistic.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper, names=("bce", "BCE")):
    """Mean cross-entropy of yes-or-no labels; arguments as ``losses.binary_crossentropy``."""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: DType = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        super().__init__(
            probabilistic.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross-entropy of one-hot labels; arguments as ``losses.categorical_crossentropy``."""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: DType = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        super().__init__(
            probabilistic.categorical_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross-entropy of class indices; arguments as ``losses.sparse_categorical_crossentropy``.

    Entries of ``ignore_class`` do not count.
    """

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: DType = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        super().__init__(
            probabilistic.sparse_categorical_crossentropy, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip

    def valid(self, y_true: TensorLike) -> Tensor | None:
        return None if self.ignore_class is None else ops.not_equal(ops.cast(y_true, "int32"), self.ignore_class)


def resolve_crossentropy(y_true_shape: Sequence[int | None], y_pred_shape: Sequence[int | None]) -> type[Metric]:
    """The class that ``"crossentropy"`` means for labels and predictions of these shapes."""
    return {
        "binary": BinaryCrossentropy,
        "sparse_categorical": SparseCategoricalCrossentropy,
        "categorical": CategoricalCrossentropy,
    }[kind_of_labels(y_true_shape, y_pred_shape)]
