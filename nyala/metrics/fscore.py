"""F-scores: means of precision and recall for each class."""

from __future__ import annotations

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.base import check, config, masks
from nyala.losses.base import fit_weights, pair
from nyala.metrics.base import SizedMetric


class FBetaScore(SizedMetric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall) of each class; labels are one-hot (batch, classes).

    Args:
        average: ``None`` (one score a class), ``"micro"`` (of the counts of all classes), ``"macro"`` (mean of
            classes) or ``"weighted"`` (by the number of true samples).
        beta: how much more recall counts than precision, positive.
        threshold: predictions above it are a yes, in (0, 1]; ``None``: the highest score of the row is.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: DType = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.average = check.one_of(self, "average", average, (None, "micro", "macro", "weighted"))
        if not isinstance(beta, float) or beta <= 0:
            check.fail(self, f"beta must be a positive float, got {beta!r}")
        self.beta = beta
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            check.fail(self, f"threshold must be a float in (0, 1] or None, got {threshold!r}")
        self.threshold = threshold

    def make_sized(self, size: int) -> None:
        shape = () if self.average == "micro" else (size,)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, name="intermediate_weights")

    def update_state(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None) -> None:
        mask = masks.get_mask(y_pred)
        y_true, y_pred = ops.convert_to_tensor(y_true, self.dtype), ops.convert_to_tensor(y_pred, self.dtype)
        y_true, y_pred = pair(type(self).__name__, y_true, y_pred)
        if len(y_true.shape) != 2:
            check.fail(self, f"expects one-hot data of shape (batch, classes), got {tuple(y_true.shape)}")
        self.need(y_true.shape[-1])
        if self.threshold is None:
            highest = ops.max(y_pred, axis=-1, keepdims=True)
            yes = ops.logical_and(y_pred >= highest, ops.abs(y_pred) > 1e-9)
        else:
            yes = y_pred > self.threshold
        yes = ops.cast(yes, self.dtype)
        axis = None if self.average == "micro" else 0
        weights = None
        for what, given in (("sample_weight", sample_weight), ("mask", mask)):
            if given is not None:
                given = fit_weights(self, ops.cast(given, self.dtype), y_true, what)
                weights = given if weights is None else weights * given

        def total(x: Tensor) -> Tensor:
            return ops.sum(x if weights is None else x * weights, axis=axis)

        both = total(yes * y_true)
        true = total(y_true)
        self.true_positives.assign_add(both)
        self.false_positives.assign_add(total(yes * (1.0 - y_true)))
        self.false_negatives.assign_add(total((1.0 - yes) * y_true))
        self.intermediate_weights.assign_add(true)

    def result(self) -> Tensor:
        self.known_size()
        small = config.epsilon()
        tp = self.true_positives.value
        precision = tp / (tp + self.false_positives.value + small)
        recall = tp / (tp + self.false_negatives.value + small)
        beta2 = self.beta**2
        score = precision * recall * (1.0 + beta2) / (beta2 * precision + recall + small)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return ops.sum(score * weights / (ops.sum(weights) + small))
        return score if self.average is None else ops.mean(score)


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall of each class; arguments as for FBetaScore."""

    config_skip = frozenset({"beta"})

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: DType = None,
    ):
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)
