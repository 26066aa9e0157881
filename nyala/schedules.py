"""Learning rates as functions of the step; also ``nyala.optimizers.schedules``.

Steps are ints or tensors; what is returned is a scalar tensor of the running backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nyala import ops
from nyala._typing import Config, Tensor, TensorLike
from nyala.base import check, configurable
from nyala.base.configurable import Configurable


class LearningRateSchedule(Configurable):
    """A learning rate that depends on the step. A subclass defines ``__call__(step)``."""

    role = "schedule"
    keras_module = "keras.optimizers.schedules"

    def __call__(self, step: TensorLike) -> Tensor:
        """The learning rate at ``step``, the number of updates made before."""
        return check.fail(self, "a schedule must define __call__(self, step)", NotImplementedError)


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Args:
        decay_steps: after so many steps the rate is multiplied by ``decay_rate``.
        staircase: only at whole multiples of ``decay_steps``.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        periods = _float(step) / self.decay_steps
        return self.initial_learning_rate * ops.power(
            self.decay_rate, ops.floor(periods) if self.staircase else periods
        )


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Args:
        decay_steps: the unit of time.
        staircase: time advances only at whole multiples of ``decay_steps``.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        periods = _float(step) / self.decay_steps
        return self.initial_learning_rate / (
            1.0 + self.decay_rate * (ops.floor(periods) if self.staircase else periods)
        )


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and including step ``boundaries[i]``, the last value afterwards.

    Args:
        boundaries: increasing steps.
        values: one more than the boundaries.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            check.fail(self, f"there must be one value more than boundaries, got {len(values)} and {len(boundaries)}")
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        step = _float(step)
        rate = ops.full_like(step, self.values[-1])
        for boundary, value in zip(reversed(self.boundaries), reversed(self.values[:-1])):
            rate = ops.where(ops.less_equal(step, boundary), value, rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ** power + end, with ``step`` at most ``decay_steps``.

    Args:
        decay_steps: steps until the end is reached.
        end_learning_rate: the rate from then on.
        power: 1 is linear.
        cycle: start again at the end, over the smallest multiple of ``decay_steps`` above ``step``.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        step = _float(step)
        if self.cycle:
            end: Any = self.decay_steps * ops.maximum(ops.ceil(step / self.decay_steps), 1.0)
        else:
            end = float(self.decay_steps)
            step = ops.minimum(step, end)
        span = self.initial_learning_rate - self.end_learning_rate
        return span * ops.power(1.0 - step / end, self.power) + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from ``initial_learning_rate`` down to ``alpha`` times it, after a linear warm-up.

    Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983

    Args:
        decay_steps: steps of the decay, without the warm-up.
        alpha: the part of the rate that remains.
        warmup_target: with it the rate rises from ``initial_learning_rate`` to it and decays from there.
        warmup_steps: steps of the warm-up.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive(self, decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: TensorLike) -> Tensor:
        step = _float(step)
        if self.warmup_target is None:
            return self.initial_learning_rate * self.decayed(step)
        decayed = self.warmup_target * self.decayed(step - self.warmup_steps)
        if not self.warmup_steps:
            return decayed
        rise = self.warmup_target - self.initial_learning_rate
        rising = self.initial_learning_rate + rise * (step / self.warmup_steps)
        return ops.where(ops.less(step, self.warmup_steps), rising, decayed)

    def decayed(self, step: Tensor) -> Tensor:
        done = ops.minimum(step, float(self.decay_steps)) / self.decay_steps
        return (1.0 - self.alpha) * 0.5 * (1.0 + ops.cos(math.pi * done)) + self.alpha


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts anew, each period ``t_mul`` times as long and ``m_mul`` times as high as the last.

    Loshchilov & Hutter 2016, https://arxiv.org/abs/1608.03983

    Args:
        first_decay_steps: length of the first period.
        alpha: the part of the rate that remains at the end of a period.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(self, first_decay_steps, "first_decay_steps")
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: TensorLike) -> Tensor:
        done = _float(step) / self.first_decay_steps
        if self.t_mul == 1.0:
            restart = ops.floor(done)
            done = done - restart
        else:
            # n periods take (1 - t_mul ** n) / (1 - t_mul) of the first one's length.
            restart = ops.floor(ops.log(1.0 - done * (1.0 - self.t_mul)) / math.log(self.t_mul))
            length = ops.power(self.t_mul, restart)
            done = (done - (1.0 - length) / (1.0 - self.t_mul)) / length
        height = 0.5 * ops.power(self.m_mul, restart) * (1.0 + ops.cos(math.pi * done))
        return self.initial_learning_rate * ((1.0 - self.alpha) * height + self.alpha)


def _float(step: TensorLike) -> Tensor:
    return ops.cast(step, "float32")


def _positive(owner: Any, steps: Any, name: str = "decay_steps") -> Any:
    if not steps > 0:
        check.fail(owner, f"{name} must be positive, got {steps!r}")
    return steps


def serialize(learning_rate_schedule: LearningRateSchedule) -> Config:
    return configurable.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A schedule from its config."""
    return configurable.deserialize(config, custom_objects, role="schedule")
