"""Losses that ask for a margin, and those that measure the overlap of masks."""

from __future__ import annotations

from nyala import ops
from nyala._typing import Axis, DType, Tensor, TensorLike
from nyala.base import check, config
from nyala.losses.base import LossFunctionWrapper, Reduction, loss_function, pair


def _signs(y_true: Tensor) -> Tensor:
    """Labels 0 and 1 become -1 and 1; others stay as they are."""
    binary = ops.all(ops.logical_or(ops.equal(y_true, 0.0), ops.equal(y_true, 1.0)))
    return ops.where(binary, 2.0 * y_true - 1.0, y_true)


@loss_function()
def hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)); labels are -1 and 1, or 0 and 1."""
    y_true, y_pred = pair("hinge", y_true, y_pred)
    return ops.mean(ops.relu(1.0 - _signs(y_true) * y_pred), axis=-1)


@loss_function()
def squared_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(max(1 - y_true y_pred, 0)^2); labels are -1 and 1, or 0 and 1."""
    y_true, y_pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.relu(1.0 - _signs(y_true) * y_pred)), axis=-1)


@loss_function()
def categorical_hinge(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """max(1 + the highest score of a wrong class - the score of the true class, 0); ``y_true`` is one-hot."""
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.relu(wrong - right + 1.0)


@loss_function()
def circle(
    y_true: TensorLike,
    y_pred: TensorLike,
    ref_labels: TensorLike | None = None,
    ref_embeddings: TensorLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Circle loss on the cosine similarities of embeddings, one value an anchor; https://arxiv.org/abs/2002.10857.

    log(1 + sum_n exp(gamma [s_n + m]+ (s_n - m)) sum_p exp(-gamma [1 + m - s_p]+ (s_p - 1 + m))) over the references of
    other (n) and of the same label (p).

    Args:
        ref_labels, ref_embeddings: what anchors are compared with; default: the batch itself.
        remove_diagonal: leave out the comparison of entry i with reference i.
        gamma: scale; margin: m, in (0, 1).
    Shapes: labels (batch,), embeddings of length 1 (batch, n) -> (batch,).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    references = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
    others = labels if ref_labels is None else ops.cast(ref_labels, "int32")
    similarity = ops.matmul(y_pred, ops.transpose(references))
    positive = ops.equal(labels, ops.reshape(others, (1, -1)))
    negative = ops.logical_not(positive)
    if remove_diagonal:
        # Index arithmetic rather than eye(): the batch size may be unknown while a graph is traced.
        row = ops.cumsum(ops.ones_like(similarity), axis=0)
        column = ops.cumsum(ops.ones_like(similarity), axis=1)
        positive = ops.logical_and(positive, ops.not_equal(row, column))
    p_weight = ops.stop_gradient(ops.relu(1.0 + margin - similarity))
    n_weight = ops.stop_gradient(ops.relu(similarity + margin))
    nothing = ops.full_like(similarity, -1e9)
    p_logits = ops.where(positive, -gamma * p_weight * (similarity - (1.0 - margin)), nothing)
    n_logits = ops.where(negative, gamma * n_weight * (similarity - margin), nothing)
    return ops.softplus(ops.logsumexp(p_logits, axis=-1) + ops.logsumexp(n_logits, axis=-1))


@loss_function()
def dice(y_true: TensorLike, y_pred: TensorLike, axis: Axis = None) -> Tensor:
    """1 - 2 sum(y p) / (sum(y) + sum(p)); sums over ``axis``, all axes if ``None``."""
    y_true, y_pred = pair("dice", y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    either = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis)
    return 1.0 - (2.0 * both) / (either + config.epsilon())


@loss_function()
def tversky(y_true: TensorLike, y_pred: TensorLike, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Tensor:
    """1 - tp / (tp + alpha fn + beta fp), sums over ``axis``, all axes if ``None``; https://arxiv.org/abs/1706.05721."""
    y_true, y_pred = pair("tversky", y_true, y_pred)
    both = ops.sum(y_true * y_pred, axis=axis)
    false_positives = ops.sum((1.0 - y_true) * y_pred, axis=axis)
    false_negatives = ops.sum(y_true * (1.0 - y_pred), axis=axis)
    return 1.0 - both / (both + alpha * false_negatives + beta * false_positives + config.epsilon())


class Hinge(LossFunctionWrapper):
    """Mean of max(1 - y_true y_pred, 0); labels are -1 and 1, or 0 and 1."""

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "hinge", dtype: DType = None):
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """Mean of max(1 - y_true y_pred, 0)^2; labels are -1 and 1, or 0 and 1."""

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "squared_hinge", dtype: DType = None):
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """Hinge loss between the true class and the best of the others."""

    def __init__(
        self, reduction: Reduction = "sum_over_batch_size", name: str = "categorical_hinge", dtype: DType = None
    ):
        super().__init__(categorical_hinge, reduction, name, dtype)


class Circle(LossFunctionWrapper):
    """Circle loss for embeddings of length 1 with class labels; arguments as ``circle``."""

    casts_labels = False

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "circle",
        dtype: DType = None,
    ):
        check.number_in("Circle", "margin", margin, 0.0, 1.0)
        self.remove_diagonal = remove_diagonal
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)

    def valid(self, y_true: TensorLike) -> Tensor | None:
        """An anchor without another of its label has no loss and does not count."""
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1, 1))
        alike = ops.sum(ops.cast(ops.equal(labels, ops.transpose(labels)), "int32"), axis=-1)
        return alike > (1 if self.remove_diagonal else 0)


class Dice(LossFunctionWrapper):
    """1 - Dice coefficient: how far two masks are from covering each other.

    Args: axis: over which the masks lie; all axes, the batch among them, if ``None``.
    """

    def __init__(
        self,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "dice",
        axis: Axis = None,
        dtype: DType = None,
    ):
        super().__init__(dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """Dice with separate weights for false positives and false negatives.

    Args: alpha: weight of false negatives; beta: of false positives; axis: as for Dice.
    """

    config_order = ("name", "reduction", "alpha", "beta")

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "tversky",
        axis: Axis = None,
        dtype: DType = None,
    ):
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
