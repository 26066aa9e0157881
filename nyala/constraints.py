"""Projections of weights, applied after each update by the optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala import ops
from nyala._typing import Config, Identifier, Tensor
from nyala.base import config, configurable, old, registry
from nyala.base.configurable import Configurable


class Constraint(Configurable):
    """A projection: the new weight from the weight. A subclass defines ``__call__(w)``."""

    role = "constraint"
    keras_module = "keras.constraints"

    def __call__(self, w: Tensor) -> Tensor:
        """The weight that is used in place of ``w``; ``w`` itself unless a subclass says otherwise."""
        return w


class MaxNorm(Constraint):
    """Scales down what has a norm above ``max_value``.

    Args:
        max_value: largest norm allowed.
        axis: an int or several, along which norms are taken: 0 for the inputs of each unit of a Dense kernel,
            ``[0, 1, 2]`` for a Conv2D kernel.
    """

    @old.takes(m="max_value")
    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0):
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        return w * (ops.clip(norm, 0.0, self.max_value) / (config.epsilon() + norm))


class MinMaxNorm(Constraint):
    """Brings norms into ``[min_value, max_value]``: w * (rate * clip(norm) + (1 - rate) * norm) / norm.

    Args:
        min_value, max_value: bounds of the norm.
        rate: in [0, 1], how much of the way is gone at each step.
        axis: as for MaxNorm.
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        norm = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norm, self.min_value, self.max_value) + (1.0 - self.rate) * norm
        return w * (wanted / (config.epsilon() + norm))


class NonNeg(Constraint):
    """Sets negative weights to 0."""

    def __call__(self, w: Tensor) -> Tensor:
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """Scales to norm 1.

    Args: axis: as for MaxNorm.
    """

    def __init__(self, axis: int | Sequence[int] = 0):
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        return w / (config.epsilon() + _norm(w, self.axis))


def _norm(w: Tensor, axis: int | Sequence[int]) -> Tensor:
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    return ops.sqrt(ops.sum(ops.square(w), axis=axes, keepdims=True))


max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm


def get(identifier: Identifier) -> Any:
    """A constraint from a name, a config, a class, an object or a callable ``(w) -> w``; ``None`` stays ``None``."""
    return registry.get("constraint", identifier)


def serialize(constraint: Any) -> Config:
    return configurable.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="constraint")
