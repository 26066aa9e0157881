"""Cross-entropies of targets and predictions; losses and metrics are made of them."""

from __future__ import annotations

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op
from nyala.ops.nn import _wide

__all__ = ["binary_crossentropy", "categorical_crossentropy", "ctc_loss", "sparse_categorical_crossentropy"]


def _inside(p: Tensor) -> Tensor:
    """Probabilities kept away from 0 and 1, whose logarithms are infinite."""
    return ops.clip(p, config.epsilon(), 1.0 - config.epsilon())


def _same_shape(who: str, target: Tensor, output: Tensor) -> None:
    a, b = tuple(target.shape), tuple(output.shape)
    if len(a) != len(b) or any(m is not None and n is not None and m != n for m, n in zip(a, b)):
        check.fail(who, f"target and output must have the same shape, got {a} and {b}")


@op("float")
def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    """-target * log(p) - (1 - target) * log(1 - p), elementwise.

    p is ``output``, or sigmoid(output) when ``from_logits``.

    Raises: ValueError when the shapes differ.
    """
    _same_shape("binary_crossentropy", target, output)
    dtype = ops.dtype(output)
    target, output = _wide(target), _wide(output)
    if from_logits:
        loss = target * ops.softplus(-output) + (1.0 - target) * ops.softplus(output)
    else:
        p = _inside(output)
        loss = -(target * ops.log(p) + (1.0 - target) * ops.log(1.0 - p))
    return ops.cast(loss, dtype)


def _log_probabilities(output: Tensor, from_logits: bool, axis: int) -> Tensor:
    output = _wide(output)
    if from_logits:
        return ops.log_softmax(output, axis)
    return ops.log(_inside(output / ops.sum(output, axis, keepdims=True)))


@op("float")
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum(target * log(p)) along the classes, which lie on ``axis``.

    p is ``output`` scaled to a sum of 1, or softmax(output) when ``from_logits``.

    Shapes: both (batch, ..., classes) -> (batch, ...). Raises: ValueError when they differ.
    """
    _same_shape("categorical_crossentropy", target, output)
    if not len(target.shape):
        check.fail("categorical_crossentropy", "target and output must have an axis of classes, got scalars")
    loss = -ops.sum(_wide(target) * _log_probabilities(output, from_logits, axis), axis)
    return ops.cast(loss, ops.dtype(output))


@op
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-log(p[target]), the classes lying on ``axis``; 0 for a target that is no class.

    p is ``output`` scaled to a sum of 1, or softmax(output) when ``from_logits``.

    Shapes: output (batch, ..., classes), target without that axis or with 1 on the last -> (batch, ...).

    Raises: ValueError when the shapes do not fit.
    """
    output = ops.cast(output, dtypes.result_type(ops.dtype(output), float))
    target, axis = label_indices(target, output, axis)
    logs = _log_probabilities(output, from_logits, axis)
    classes = ops.reshape(ops.arange(logs.shape[axis]), [-1 if i == axis else 1 for i in range(len(logs.shape))])
    # Chosen rather than multiplied: a log probability of -inf times 0 would be NaN.
    chosen = ops.where(ops.equal(ops.expand_dims(target, axis), classes), logs, 0.0)
    return ops.cast(-ops.sum(chosen, axis), ops.dtype(output))


def label_indices(target: Tensor, output: Tensor, axis: int) -> tuple[Tensor, int]:
    """``target`` as int32 without a last axis of 1, and ``axis`` counted from the front; raises if they do not fit."""
    if not len(output.shape):
        check.fail("sparse_categorical_crossentropy", "output must have an axis of classes, got a scalar")
    axis = axis % len(output.shape)
    if len(target.shape) == len(output.shape) and target.shape[-1] == 1:
        target = ops.squeeze(target, -1)
    wanted = [n for i, n in enumerate(output.shape) if i != axis]
    if len(target.shape) != len(wanted) or any(
        m is not None and n is not None and m != n for m, n in zip(target.shape, wanted)
    ):
        check.fail(
            "sparse_categorical_crossentropy",
            f"target must have the shape of output without the classes, {tuple(wanted)}, got {tuple(target.shape)}. "
            "One-hot targets are for categorical_crossentropy",
        )
    return ops.cast(target, "int32"), axis


_IMPOSSIBLE = -1e30
"""A log probability of nothing that, unlike -inf, has gradients without NaN."""


@op
def ctc_loss(
    target: TensorLike,
    output: TensorLike,
    target_length: TensorLike,
    output_length: TensorLike,
    mask_index: int = 0,
) -> Tensor:
    """-log of the probability that ``output`` spells ``target``, repeats merged and blanks dropped
    (https://doi.org/10.1145/1143844.1143891).

    Args: mask_index: the class that is the blank.

    Shapes: target (batch, n) ints, output (batch, time, classes) logits, lengths (batch,) -> (batch,).
    """
    if len(target.shape) != 2 or len(output.shape) != 3:
        check.fail(
            "ctc_loss",
            "target must be (batch, n) and output (batch, time, classes), got "
            f"{tuple(target.shape)} and {tuple(output.shape)}",
        )
    dtype = ops.dtype(output)
    target, target_length, output_length = (ops.cast(x, "int32") for x in (target, target_length, output_length))
    logs = ops.log_softmax(_wide(ops.cast(output, dtypes.result_type(dtype, float))), -1)
    # States: a blank before, between and after the labels.
    blank = ops.full_like(target, mask_index)
    states = ops.reshape(ops.stack([blank, target], 2), (-1, 2 * target.shape[1]))
    states = ops.concatenate([states, blank[:, :1]], 1)
    n = states.shape[1]
    # A label may follow another one without the blank between, unless they are the same.
    skips = ops.logical_and(ops.not_equal(states[:, 2:], mask_index), ops.not_equal(states[:, 2:], states[:, :-2]))
    skips = ops.pad(skips, [(0, 0), (2, 0)])
    emitted = ops.take_along_axis(logs, ops.expand_dims(states, 1), 2)
    emitted = ops.transpose(emitted, (1, 0, 2))

    def step(alpha: Tensor, now: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        t, log_p = now
        one = ops.pad(alpha[:, :-1], [(0, 0), (1, 0)], constant_values=_IMPOSSIBLE)
        two = ops.pad(alpha[:, :-2], [(0, 0), (2, 0)], constant_values=_IMPOSSIBLE)
        paths = ops.stack([alpha, one, ops.where(skips, two, _IMPOSSIBLE)])
        following = ops.logsumexp(paths, 0) + log_p
        return ops.where(ops.expand_dims(ops.less(t, output_length), 1), following, alpha), t

    start = ops.where(ops.less(ops.arange(n), 2), emitted[0], _IMPOSSIBLE)
    alpha, _ = ops.scan(step, start, (ops.arange(1, emitted.shape[0]), emitted[1:]))
    last = ops.expand_dims(2 * target_length, 1)
    ends = ops.take_along_axis(alpha, ops.concatenate([last, ops.maximum(last - 1, 0)], 1), 1)
    # Without labels there is one last state, not two.
    ends = ops.where(ops.concatenate([last >= 0, last > 0], 1), ends, _IMPOSSIBLE)
    return ops.cast(-ops.logsumexp(ends, 1), ops.dtype(logs) if not dtypes.is_float(dtype) else dtype)
