"""Cross-entropies of targets and predictions; losses and metrics are made of them."""

from __future__ import annotations

from typing import Any

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op
from nyala.ops.nn import _wide

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "ctc_decode",
    "ctc_loss",
    "sparse_categorical_crossentropy",
]


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


@op
def ctc_decode(
    inputs: TensorLike,
    sequence_lengths: TensorLike,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Tensor, Tensor]:
    """The sequences that the logits of a CTC model most likely spell, filled up with -1.

    "greedy" takes the best class of each step and scores with -sum(logits); "beam_search" sums over all paths that spell
    a sequence (https://arxiv.org/abs/1408.2873) and scores with log probabilities.

    Args:
        strategy: "greedy" or "beam_search".
        beam_width: how many sequences the search keeps from step to step.
        top_paths: how many sequences the search returns, best first.
        merge_repeated: whether a class that "greedy" takes several times in a row counts once. The search, whose sums are
            over paths, always has it so.
        mask_index: the class that is the blank.

    Shapes: inputs (batch, time, classes), sequence_lengths (batch,) -> (1 or top_paths, batch, time) ints and
    (batch, 1 or top_paths).
    """
    check.one_of("ctc_decode", "strategy", strategy, ("greedy", "beam_search"))
    if len(inputs.shape) != 3:
        check.fail("ctc_decode", f"inputs must be (batch, time, classes), got {tuple(inputs.shape)}")
    dtype = dtypes.result_type(ops.dtype(inputs), float)
    inputs = _wide(ops.cast(inputs, dtype))
    lengths = ops.expand_dims(ops.cast(sequence_lengths, "int32"), 1)
    mask_index %= inputs.shape[2]
    if strategy == "greedy":
        found, scores = _greedy(inputs, lengths, merge_repeated, mask_index)
    else:
        beam_width = check.positive_int("ctc_decode", "beam_width", beam_width)
        top_paths = check.positive_int("ctc_decode", "top_paths", top_paths)
        if top_paths > beam_width:
            check.fail("ctc_decode", f"top_paths must be at most beam_width, got {top_paths} and {beam_width}")
        found, scores = _beam_search(ops.log_softmax(inputs, -1), lengths, beam_width, top_paths, mask_index)
    return found, ops.cast(scores, dtype)


def _greedy(logits: Tensor, lengths: Tensor, merge: bool, blank: int) -> tuple[Tensor, Tensor]:
    steps = logits.shape[1]
    best = ops.cast(ops.argmax(logits, -1), "int32")
    inside = ops.less(ops.arange(steps), lengths)
    kept = ops.logical_and(inside, ops.not_equal(best, blank))
    if merge:
        before = ops.pad(best[:, :-1], [(0, 0), (1, 0)], constant_values=-1)
        kept = ops.logical_and(kept, ops.not_equal(best, before))
    # What is kept moves to the front in its order.
    order = ops.argsort(ops.where(kept, 0, steps) + ops.arange(steps), -1)
    found = ops.take_along_axis(ops.where(kept, best, -1), order, 1)
    scores = -ops.sum(ops.where(inside, ops.max(logits, -1), 0.0), 1, keepdims=True)
    return ops.expand_dims(found, 0), scores


def _beam_search(logs: Tensor, lengths: Tensor, width: int, paths: int, blank: int) -> tuple[Tensor, Tensor]:
    """A beam is a sequence with the log probabilities of its paths that end in a blank and of those that do not.

    Two beams meet where one, a class longer, spells the other: sequences are compared by two 32 bit hashes.
    """
    steps, classes = logs.shape[1:]
    like = ops.zeros_like(logs[:, :1, :1])  # (batch, 1, 1), whatever the batch is
    nothing = ops.tile(ops.cast(like, "int32"), (1, width, steps))
    impossible = ops.tile(like[:, 0] + _IMPOSSIBLE, (1, width))
    sure = ops.where(ops.equal(ops.arange(width), 0), 0.0, impossible)
    label = ops.arange(classes)
    factors = ops.convert_to_tensor([31, 1_000_003], "int32")

    def step(carry: Any, now: Any) -> Any:
        t, log_p = now
        found, sizes, hashes, ending, open_ = carry  # (batch, width, ...)
        last = ops.take_along_axis(found, ops.expand_dims(ops.maximum(sizes - 1, 0), 2), 2)
        last = ops.where(ops.expand_dims(sizes, 2) > 0, last, -1)  # (batch, width, 1)
        total = ops.logaddexp(ending, open_)
        grown = ops.where(ops.equal(last, label), ops.expand_dims(ending, 2), ops.expand_dims(total, 2))
        grown = ops.where(ops.equal(label, blank), _IMPOSSIBLE, grown + ops.expand_dims(log_p, 1))
        # (batch, from, to): the beam that another one becomes by one class more.
        longer = ops.expand_dims(hashes, 2) * factors + ops.expand_dims(ops.transpose(last, (0, 2, 1)), 3) + 1
        meets = ops.all(ops.equal(longer, ops.expand_dims(hashes, 1)), 3)
        meets = ops.logical_and(meets, ops.equal(ops.expand_dims(sizes, 2) + 1, ops.expand_dims(sizes, 1)))
        at_last = ops.tile(ops.transpose(ops.maximum(last, 0), (0, 2, 1)), (1, width, 1))
        arriving = ops.where(meets, ops.take_along_axis(grown, at_last, 2), _IMPOSSIBLE)
        repeated = open_ + ops.take_along_axis(log_p, ops.maximum(last[:, :, 0], 0), 1)
        stay_open = ops.logaddexp(ops.where(sizes > 0, repeated, _IMPOSSIBLE), ops.logsumexp(arriving, 1))
        stay_ending = total + log_p[:, blank : blank + 1]
        taken = ops.matmul(ops.cast(meets, "float32"), ops.cast(ops.equal(last, label), "float32")) > 0
        grown = ops.where(taken, _IMPOSSIBLE, grown)

        candidates = ops.concatenate(
            [ops.logaddexp(stay_open, stay_ending), ops.reshape(grown, (-1, width * classes))], 1
        )
        best, chosen = ops.top_k(candidates, width)
        chosen = ops.cast(chosen, "int32")
        grows = chosen >= width
        parent = ops.where(grows, ops.floor_divide(chosen - width, classes), chosen)
        added = ops.where(grows, ops.mod(chosen - width, classes), -1)

        def of_parent(x: Tensor) -> Tensor:
            return ops.take_along_axis(x, ops.reshape(parent, (-1, width) + (1,) * (len(x.shape) - 2)), 1)

        found, sizes, hashes = of_parent(found), of_parent(sizes), of_parent(hashes)
        writes = ops.logical_and(ops.expand_dims(grows, 2), ops.equal(ops.arange(steps), ops.expand_dims(sizes, 2)))
        following = (
            ops.where(writes, ops.expand_dims(added, 2), found),
            # What fills a beam that is not full must never meet another one and come to life.
            ops.where(best > _IMPOSSIBLE / 2, sizes + ops.cast(grows, "int32"), 0),
            ops.where(ops.expand_dims(grows, 2), hashes * factors + ops.expand_dims(added, 2) + 1, hashes),
            ops.where(grows, _IMPOSSIBLE, of_parent(stay_ending)),
            ops.where(grows, best, of_parent(stay_open)),
        )
        inside = ops.less(t, lengths)
        kept = [
            ops.where(inside if len(x.shape) == 2 else ops.expand_dims(inside, 2), x, y)
            for x, y in zip(following, carry)
        ]
        return tuple(kept), t

    start = (
        nothing - 1,
        nothing[:, :, 0],
        nothing[:, :, :1] + ops.convert_to_tensor([7, 13], "int32"),
        sure,
        impossible,
    )
    (found, sizes, _, ending, open_), _ = ops.scan(step, start, (ops.arange(steps), ops.transpose(logs, (1, 0, 2))))
    scores, order = ops.top_k(ops.logaddexp(ending, open_), paths)
    found = ops.where(ops.less(ops.arange(steps), ops.expand_dims(sizes, 2)), found, -1)
    found = ops.take_along_axis(found, ops.expand_dims(ops.cast(order, "int32"), 2), 1)
    return ops.transpose(found, (1, 0, 2)), scores
