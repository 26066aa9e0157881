"""Pruning during training: the weights of small magnitude are set to 0 and stay there, more of them from step to step.

Zhu & Gupta 2017, https://arxiv.org/abs/1710.01878

The masks are a matter of the weights' constraints, which the optimizer applies after each update: a step compiled for any
backend prunes, and what is trained is what is used. The functions that take models are in ``nyala.pruning``.
"""

from __future__ import annotations

from typing import Any

from nyala import ops
from nyala._typing import Shape, Tensor
from nyala.base import check
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable
from nyala.layers.base import Layer
from nyala.layers.wrappers import Wrapper

WEIGHTS = ("kernel", "embeddings", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel")
"""The weights that are pruned, by their names."""


class PruningSchedule(Configurable):
    """When weights are pruned, and how many. A subclass defines ``sparsity(step)``.

    Args:
        begin_step, end_step: the first and last step at which masks are made anew; ``end_step=-1``: no last.
        frequency: steps from one to the next.
    """

    role = "pruning"
    keras_module = "nyala.pruning"

    def __init__(self, begin_step: int, end_step: int = -1, frequency: int = 100):
        for name, value in (("begin_step", begin_step), ("end_step", end_step)):
            if not check.is_int(value) or value < (-1 if name == "end_step" else 0):
                check.fail(self, f"{name} must be an int >= 0, got {value!r}")
        if end_step != -1 and end_step < begin_step:
            check.fail(self, f"end_step must not be before begin_step={begin_step}, got {end_step}")
        self.begin_step, self.end_step = begin_step, end_step
        self.frequency = check.positive_int(self, "frequency", frequency)

    def sparsity(self, step: Tensor) -> Tensor | float:
        """The part of the weights that is 0 after ``step``."""
        check.fail(self, f"class {type(self).__name__} defines no sparsity(self, step)", NotImplementedError)

    def __call__(self, step: Any) -> tuple[Tensor, Tensor]:
        """``(whether masks are made anew at step, sparsity)``."""
        step = ops.cast(step, "int32")
        since = ops.subtract(step, self.begin_step)
        due = ops.logical_and(ops.greater_equal(since, 0), ops.equal(ops.mod(since, self.frequency), 0))
        if self.end_step != -1:
            due = ops.logical_and(due, ops.less_equal(step, self.end_step))
        return due, ops.convert_to_tensor(self.sparsity(ops.cast(step, "float32")), dtype="float32")


class ConstantSparsity(PruningSchedule):
    """The same sparsity from ``begin_step`` on.

    Args: target_sparsity: the part that is 0, in [0, 1). others: see ``PruningSchedule``.
    """

    config_order = ("target_sparsity",)

    def __init__(self, target_sparsity: float, begin_step: int, end_step: int = -1, frequency: int = 100):
        super().__init__(begin_step, end_step, frequency)
        self.target_sparsity = check.number_in(self, "target_sparsity", target_sparsity, 0, 1, open_high=True)

    def sparsity(self, step: Tensor) -> float:
        return self.target_sparsity


class PolynomialDecay(PruningSchedule):
    """final + (initial - final) * (1 - t)^power, t going from 0 at ``begin_step`` to 1 at ``end_step``.

    Args: initial_sparsity, final_sparsity: in [0, 1). others: see ``PruningSchedule``.
    """

    config_order = ("initial_sparsity", "final_sparsity", "power")

    def __init__(
        self,
        initial_sparsity: float,
        final_sparsity: float,
        begin_step: int,
        end_step: int,
        power: float = 3,
        frequency: int = 100,
    ):
        super().__init__(begin_step, end_step, frequency)
        if end_step == -1:
            check.fail(self, "end_step must say where the final sparsity is reached, got -1")
        self.initial_sparsity = check.number_in(self, "initial_sparsity", initial_sparsity, 0, 1, open_high=True)
        self.final_sparsity = check.number_in(self, "final_sparsity", final_sparsity, 0, 1, open_high=True)
        self.power = power

    def sparsity(self, step: Tensor) -> Tensor:
        whole = float(max(1, self.end_step - self.begin_step))
        left = ops.subtract(1.0, ops.clip(ops.divide(ops.subtract(step, float(self.begin_step)), whole), 0.0, 1.0))
        return ops.add(self.final_sparsity, ops.multiply(self.initial_sparsity - self.final_sparsity, left**self.power))


class PruneLowMagnitude(Wrapper):
    """A layer whose kernels and embeddings are pruned while it is trained.

    Args:
        layer: with a weight to prune: Dense, Conv*, Embedding, LSTM and so on.
        pruning_schedule: default: half of the weights from the first step.
        block_size: rows and columns of the blocks that a matrix is pruned in.
        block_pooling_type: ``"AVG"`` or ``"MAX"``: the magnitude of a block.
        sparsity_m_by_n: ``(m, n)``: of each n weights in a row along the inputs, the m smallest are 0, whatever the schedule's
            sparsity; the schedule says when.
    """

    def __init__(
        self,
        layer: Layer,
        pruning_schedule: Any = None,
        block_size: tuple[int, int] = (1, 1),
        block_pooling_type: str = "AVG",
        sparsity_m_by_n: tuple[int, int] | None = None,
        **kwargs: Any,
    ):
        kwargs.setdefault("name", f"prune_low_magnitude_{getattr(layer, 'name', '')}")
        super().__init__(layer, **kwargs)
        if not prunable(layer):
            check.fail(self, f"{check.who(layer)} has no weight to prune; these are pruned: {', '.join(WEIGHTS)}")
        self.pruning_schedule = ConstantSparsity(0.5, 0) if pruning_schedule is None else pruning_schedule
        self.block_size: Any = check.ints(self, "block_size", block_size, 2)
        self.block_pooling_type = check.one_of(self, "block_pooling_type", block_pooling_type, ("AVG", "MAX"))
        if sparsity_m_by_n is not None and not 0 < sparsity_m_by_n[0] < sparsity_m_by_n[1]:
            check.fail(self, f"sparsity_m_by_n must be (m, n) with 0 < m < n, got {sparsity_m_by_n!r}")
        self.sparsity_m_by_n = None if sparsity_m_by_n is None else tuple(sparsity_m_by_n)
        self.supports_masking = layer.supports_masking

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        self.masks = []
        self.pruning_step = self.add_weight((), "zeros", "int32", trainable=False, name="pruning_step")
        for weight in self._weights_to_prune():
            if self.block_size != (1, 1) and len(weight.shape) != 2:
                check.fail(self, f"block_size goes with matrices; `{weight.path}` has shape {weight.shape}")
            mask = self.add_weight(weight.shape, "ones", trainable=False, autocast=False, name=f"{weight.name}_mask")
            self.masks.append(mask)
            weight.constraint = _Masked(self, mask, weight.constraint)

    def _weights_to_prune(self) -> list[Variable]:
        return [w for w in self.layer.trainable_weights if w.name in WEIGHTS]

    def call(self, inputs: Any, **kwargs: Any) -> Any:
        return self.layer(inputs, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.layer.compute_mask(inputs, mask)

    def mask_of(self, w: Tensor, sparsity: Tensor) -> Tensor:
        """1 for the weights that stay, 0 for the others."""
        size = ops.abs(w)
        if self.sparsity_m_by_n is not None:
            return _largest_of_each(size, *self.sparsity_m_by_n)
        if self.block_size != (1, 1):
            return _spread(
                _largest(_pooled(size, self.block_size, self.block_pooling_type), sparsity), self.block_size, w
            )
        return _largest(size, sparsity)


class _Masked:
    """The constraint of a pruned weight: the one that it had, and its mask, made anew when the schedule says so."""

    def __init__(self, owner: PruneLowMagnitude, mask: Variable, before: Any):
        self.owner, self.mask, self.before = owner, mask, before

    def __call__(self, w: Tensor) -> Tensor:
        w = w if self.before is None else self.before(w)
        step = self.owner.pruning_step
        due, sparsity = self.owner.pruning_schedule(step.raw_value)
        old = self.mask.raw_value
        new = ops.cond(due, lambda: ops.cast(self.owner.mask_of(w, sparsity), self.mask.dtype), lambda: old)
        self.mask.assign(new)
        if self.mask is self.owner.masks[-1]:
            step.assign(ops.add(step.raw_value, 1))
        return ops.multiply(w, ops.cast(new, ops.dtype(w)))


def prunable(layer: Any) -> bool:
    """Whether a layer has, or will have, a weight that can be pruned."""
    holder = getattr(layer, "cell", layer)
    names = (f"{w}_initializer" for w in WEIGHTS)
    return isinstance(layer, Layer) and any(getattr(holder, n, None) is not None for n in names)


def _largest(size: Tensor, sparsity: Tensor) -> Tensor:
    """1 for the (1 - sparsity) largest, at least one."""
    flat = ops.sort(ops.reshape(size, (-1,)))
    n = flat.shape[0]
    first = ops.cast(ops.round(ops.multiply(sparsity, float(n))), "int32")
    limit = ops.take(flat, ops.clip(first, 0, n - 1), axis=0)
    return ops.cast(ops.greater_equal(size, limit), "float32")


def _largest_of_each(size: Tensor, m: int, n: int) -> Tensor:
    """1 for the n - m largest of each n along the inputs, the last axis but one."""
    moved = ops.moveaxis(size, -2 if len(size.shape) > 1 else -1, -1)
    shape, length = tuple(moved.shape), moved.shape[-1]
    more = -length % n
    filled = ops.pad(moved, [[0, 0]] * (len(shape) - 1) + [[0, more]])
    groups = ops.reshape(filled, (-1, n))
    places = ops.argsort(ops.argsort(groups, axis=-1), axis=-1)
    mask = ops.reshape(ops.cast(ops.greater_equal(places, m), "float32"), (*shape[:-1], length + more))
    return ops.moveaxis(mask[..., :length], -1, -2 if len(size.shape) > 1 else -1)


def _pooled(size: Tensor, block: tuple[int, int], kind: str) -> Tensor:
    """The mean or largest magnitude of each block; blocks at the ends may be smaller."""
    ends = [-n % b for n, b in zip(size.shape, block)]
    rows, columns = ((n + e) // b for n, e, b in zip(size.shape, ends, block))

    def blocks(x: Tensor) -> Tensor:
        return ops.reshape(ops.pad(x, [[0, e] for e in ends]), (rows, block[0], columns, block[1]))

    if kind == "MAX":
        return ops.max(blocks(size), axis=(1, 3))
    return ops.divide(ops.sum(blocks(size), axis=(1, 3)), ops.sum(blocks(ops.ones_like(size)), axis=(1, 3)))


def _spread(mask: Tensor, block: tuple[int, int], w: Tensor) -> Tensor:
    whole = ops.repeat(ops.repeat(mask, block[0], axis=0), block[1], axis=1)
    return whole[: w.shape[0], : w.shape[1]]


__all__ = ["ConstantSparsity", "PolynomialDecay", "PruneLowMagnitude", "PruningSchedule"]
