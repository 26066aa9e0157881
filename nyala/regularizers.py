"""Penalties on weights or outputs that are added to the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala import ops
from nyala._typing import Config, Identifier, Tensor
from nyala.base import check, configurable, old, registry
from nyala.base.configurable import Configurable


class Regularizer(Configurable):
    """A penalty: a scalar from a tensor. A subclass defines ``__call__(x)``."""

    role = "regularizer"
    keras_module = "keras.regularizers"

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty of ``x``; nothing unless a subclass says so."""
        return 0.0


class L1L2(Regularizer, names=("l1_l2",)):
    """l1 * sum(|x|) + l2 * sum(x²).

    Args: l1, l2: factors >= 0; ``None`` counts as 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1 = check.number_in(self, "l1", 0.0 if l1 is None else l1, 0.0)
        self.l2 = check.number_in(self, "l2", 0.0 if l2 is None else l2, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        penalty: Any = 0.0
        if self.l1:
            penalty = self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty


class L1(Regularizer):
    """l1 * sum(|x|).

    Args: l1: factor >= 0; ``None`` means 0.01.
    """

    @old.takes(l="l1")
    def __init__(self, l1: float = 0.01):
        self.l1 = check.number_in(self, "l1", 0.01 if l1 is None else l1, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l1 * ops.sum(ops.absolute(x))


class L2(Regularizer):
    """l2 * sum(x²).

    Args: l2: factor >= 0; ``None`` means 0.01.
    """

    @old.takes(l="l2")
    def __init__(self, l2: float = 0.01):
        self.l2 = check.number_in(self, "l2", 0.01 if l2 is None else l2, 0.0)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between different rows (or columns) of a matrix.

    Args:
        factor: >= 0.
        mode: "rows" or "columns", which are to be orthogonal.

    Raises: ValueError for an input that is no matrix.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = check.number_in(self, "factor", factor, 0.0)
        self.mode = check.one_of(self, "mode", mode, ("rows", "columns"))

    def __call__(self, inputs: Tensor) -> Tensor:
        if len(inputs.shape) != 2:
            check.fail(self, f"the input must have 2 axes, got shape {tuple(inputs.shape)}")
        x = ops.transpose(inputs) if self.mode == "columns" else inputs
        n = x.shape[0]
        x = ops.normalize(x, axis=1)
        cosines = ops.matmul(x, ops.transpose(x)) * (1.0 - ops.eye(n, dtype=ops.dtype(x)))
        return self.factor * ops.sum(ops.absolute(cosines)) / max(n * (n - 1), 1)


l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer


def get(identifier: Identifier) -> Any:
    """A regularizer from a name, a config, a class, an object or a callable ``(x) -> scalar``; ``None`` stays."""
    return registry.get("regularizer", identifier)


def serialize(regularizer: Any) -> Config:
    return configurable.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="regularizer")
