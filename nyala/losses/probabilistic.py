"""Losses between labels or distributions and predicted probabilities."""

from __future__ import annotations

from nyala import ops
from nyala._typing import Axis, DType, Nest, Tensor, TensorLike
from nyala.base import check, config
from nyala.losses.base import LossFunctionWrapper, Reduction, loss_function, pair


def _smoothing(owner: str, value: float) -> float:
    return check.number_in(owner, "label_smoothing", value, 0.0, 1.0)


@loss_function("bce", "BCE")
def binary_crossentropy(
    y_true: TensorLike, y_pred: TensorLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: Axis = -1
) -> Tensor:
    """mean(-y log p - (1 - y) log(1 - p)) over ``axis``.

    Args:
        from_logits: ``y_pred`` are logits, p = sigmoid(y_pred); else probabilities, kept epsilon away from 0 and 1.
        label_smoothing: in [0, 1]; labels move that far towards 1/2.
    """
    smoothing = _smoothing("binary_crossentropy", label_smoothing)
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    if smoothing:
        y_true = y_true * (1.0 - smoothing) + 0.5 * smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@loss_function()
def binary_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: Axis = -1,
) -> Tensor:
    """Binary cross-entropy times (1 - p_t)^gamma, p_t the probability of the true class; https://arxiv.org/abs/1708.02002.

    Args:
        apply_class_balancing: weigh class 1 by ``alpha``, class 0 by ``1 - alpha``.
        gamma: how little easy samples count; 0 is plain cross-entropy.
    """
    smoothing = _smoothing("binary_focal_crossentropy", label_smoothing)
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    if smoothing:
        y_true = y_true * (1.0 - smoothing) + 0.5 * smoothing
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    values = ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    values = values * ops.power(1.0 - (y_true * p + (1.0 - y_true) * (1.0 - p)), gamma)
    if apply_class_balancing:
        values = values * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return ops.mean(values, axis=axis)


def _one_hot_pair(
    owner: str, y_true: TensorLike, y_pred: TensorLike, smoothing: float, axis: int
) -> tuple[Tensor, Tensor]:
    y_true, y_pred = pair(owner, y_true, y_pred)
    if tuple(y_true.shape) != tuple(y_pred.shape) and y_true.shape[axis] != y_pred.shape[axis]:
        check.fail(
            owner,
            f"y_true of shape {tuple(y_true.shape)} is not one-hot over the {y_pred.shape[axis]} classes of y_pred of "
            f"shape {tuple(y_pred.shape)}; for class indices use a sparse loss, sparse_categorical_crossentropy",
        )
    if _smoothing(owner, smoothing):
        y_true = y_true * (1.0 - smoothing) + smoothing / y_pred.shape[axis]
    return y_true, y_pred


@loss_function()
def categorical_crossentropy(
    y_true: TensorLike, y_pred: TensorLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum(y log p) over the classes on ``axis``; ``y_true`` is one-hot or a distribution.

    Args:
        from_logits: p = softmax(y_pred); else ``y_pred`` are probabilities (brought to sum 1, kept off 0 and 1).
        label_smoothing: in [0, 1]; that share of each label is spread over all classes.
    """
    y_true, y_pred = _one_hot_pair("categorical_crossentropy", y_true, y_pred, label_smoothing, axis)
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@loss_function()
def categorical_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum(alpha (1 - p)^gamma y log p) over the classes; https://arxiv.org/abs/1708.02002.

    Args: alpha: a number or one weight a class; gamma: how little easy samples count.
    """
    y_true, y_pred = _one_hot_pair("categorical_focal_crossentropy", y_true, y_pred, label_smoothing, axis)
    p = ops.softmax(y_pred, axis=axis) if from_logits else y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    p = ops.clip(p, config.epsilon(), 1.0 - config.epsilon())
    return ops.sum(ops.multiply(ops.power(1.0 - p, gamma) * y_true * -ops.log(p), alpha), axis=axis)


def class_indices(y_true: TensorLike, y_pred: Tensor) -> Tensor:
    """``y_true`` as int32 without a last axis of length 1 that only makes its rank that of ``y_pred``."""
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return ops.cast(y_true, "int32")


@loss_function()
def sparse_categorical_crossentropy(
    y_true: TensorLike, y_pred: TensorLike, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """-log p of the class whose index ``y_true`` gives: (batch, ...), (batch, ..., classes) -> (batch, ...).

    Args:
        from_logits: p = softmax(y_pred); else ``y_pred`` are probabilities, kept epsilon away from 0 and 1.
        ignore_class: entries with this label give 0 (and do not count in the mean of the loss of this name).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = class_indices(y_true, y_pred)
    _check_sparse("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = ops.not_equal(y_true, ignore_class)
    labels = ops.where(valid, y_true, ops.zeros_like(y_true))
    values = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=from_logits, axis=axis)
    return ops.where(valid, values, ops.zeros_like(values))


def _check_sparse(owner: str, y_true: Tensor, y_pred: Tensor, axis: int) -> None:
    shape = list(y_pred.shape)
    del shape[axis]
    if len(shape) != len(y_true.shape) or any(m != n and None not in (m, n) for m, n in zip(y_true.shape, shape)):
        check.fail(
            owner,
            f"y_true of shape {tuple(y_true.shape)} does not hold one class index for each prediction in y_pred of "
            f"shape {tuple(y_pred.shape)}; it should have shape {tuple(shape)}. "
            "For one-hot labels use categorical_crossentropy",
        )


@loss_function()
def categorical_generalized_cross_entropy(y_true: TensorLike, y_pred: TensorLike, q: float) -> Tensor:
    """(1 - p^q) / q with p the probability of the true class; https://arxiv.org/abs/1805.07836.

    ``y_true`` holds class indices (batch, ...) or one-hot rows. Args: q: in (0, 1]; near 0 cross-entropy, at 1 the mean
    absolute error, which is robust against wrong labels.
    """
    owner = "categorical_generalized_cross_entropy"
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
        y_true = class_indices(y_true, y_pred)
        _check_sparse(owner, y_true, y_pred, -1)
        y_true = ops.one_hot(y_true, y_pred.shape[-1])
    y_true, y_pred = pair(owner, y_true, y_pred)
    p = ops.sum(y_true * y_pred, axis=-1)
    return (1.0 - ops.power(p, q)) / q


@loss_function("kld", "KLD", "kullback_leibler_divergence")
def kl_divergence(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """sum(y_true log(y_true / y_pred)) over the last axis, both in [epsilon, 1]."""
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true = ops.clip(y_true, config.epsilon(), 1.0)
    y_pred = ops.clip(y_pred, config.epsilon(), 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@loss_function()
def poisson(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """mean(y_pred - y_true log(y_pred + epsilon)) over the last axis."""
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), axis=-1)


@loss_function()
def ctc(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Connectionist temporal classification: -log p(y_true | y_pred) over all alignments; Graves et al., 2006.

    Class 0 is the blank and pads ``y_true``.
    Shapes: labels (batch, length), logits (batch, steps, classes) -> (batch,).
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, "int32")
    if len(y_true.shape) != 2 or len(y_pred.shape) != 3:
        check.fail(
            "ctc",
            f"y_true must have shape (batch, length) and y_pred (batch, steps, classes), got {tuple(y_true.shape)} "
            f"and {tuple(y_pred.shape)}",
        )
    lengths = ops.sum(ops.cast(ops.not_equal(y_true, 0), "int32"), axis=-1)
    steps = ops.ones_like(lengths) * ops.shape(y_pred)[1]
    return ops.ctc_loss(y_true, y_pred, lengths, steps, mask_index=0)


class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy of yes-or-no labels; arguments as ``binary_crossentropy``."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: DType = None,
    ):
        _smoothing("BinaryCrossentropy", label_smoothing)
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross-entropy in which easy samples count little; arguments as ``binary_focal_crossentropy``."""

    config_order = ("name", "reduction", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: DType = None,
    ):
        _smoothing("BinaryFocalCrossentropy", label_smoothing)
        super().__init__(
            binary_focal_crossentropy, reduction, name, dtype,
            apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of one-hot labels; arguments as ``categorical_crossentropy``."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: DType = None,
    ):
        _smoothing("CategoricalCrossentropy", label_smoothing)
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Categorical cross-entropy in which easy samples count little; arguments as ``categorical_focal_crossentropy``."""

    config_order = ("name", "reduction", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: DType = None,
    ):
        _smoothing("CategoricalFocalCrossentropy", label_smoothing)
        super().__init__(
            categorical_focal_crossentropy, reduction, name, dtype,
            alpha=alpha, gamma=gamma, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy of class indices; arguments as ``sparse_categorical_crossentropy``."""

    casts_labels = False

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: Reduction = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: DType = None,
    ):
        self.ignore_class = ignore_class
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip

    def valid(self, y_true: Nest) -> Tensor | None:
        return None if self.ignore_class is None else ops.not_equal(ops.cast(y_true, "int32"), self.ignore_class)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A loss between cross-entropy and absolute error, robust against wrong labels.

    Args: q: in (0, 1), the closer to 1 the more robust.
    """

    casts_labels = False

    def __init__(
        self,
        q: float = 0.5,
        reduction: Reduction = "sum_over_batch_size",
        name: str = "categorical_generalized_cross_entropy",
        dtype: DType = None,
    ):
        if not 0 < q < 1:
            check.fail("CategoricalGeneralizedCrossEntropy", f"q must lie between 0 and 1, got {q!r}")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class KLDivergence(LossFunctionWrapper):
    """Kullback-Leibler divergence of the prediction from the target distribution."""

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "kl_divergence", dtype: DType = None):
        super().__init__(kl_divergence, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """Negative log-likelihood of counts whose predicted rate is ``y_pred``, up to a constant."""

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "poisson", dtype: DType = None):
        super().__init__(poisson, reduction, name, dtype)


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification, for sequences without alignment; class 0 is blank and padding."""

    casts_labels = False

    def __init__(self, reduction: Reduction = "sum_over_batch_size", name: str = "ctc", dtype: DType = None):
        super().__init__(ctc, reduction, name, dtype)
