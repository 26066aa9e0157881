"""Activation functions by Keras's names; most are the ops of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala import ops
from nyala._typing import Config, Identifier, Tensor, TensorLike
from nyala.base import configurable, old, registry

celu = ops.celu
elu = ops.elu
glu = ops.glu
hard_shrink = ops.hard_shrink
hard_sigmoid = ops.hard_sigmoid
hard_silu = hard_swish = ops.hard_silu
hard_tanh = ops.hard_tanh
leaky_relu = ops.leaky_relu
log_sigmoid = ops.log_sigmoid
log_softmax = ops.log_softmax
relu6 = ops.relu6
selu = ops.selu
sigmoid = ops.sigmoid
silu = swish = ops.silu
soft_shrink = ops.soft_shrink
softmax = ops.softmax
softplus = ops.softplus
softsign = ops.softsign
sparse_plus = ops.sparse_plus
sparse_sigmoid = ops.sparse_sigmoid
sparsemax = ops.sparsemax
squareplus = ops.squareplus
tanh = ops.tanh
tanh_shrink = ops.tanh_shrink
threshold = ops.threshold


@old.takes(alpha="negative_slope")
def relu(x: TensorLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """x from ``threshold`` to ``max_value``, ``max_value`` above, negative_slope * (x - threshold) below."""
    if not threshold and max_value is None:
        return ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    x = ops.convert_to_tensor(x)
    y = ops.where(ops.greater_equal(x, threshold), x, ops.multiply(x - threshold, negative_slope))
    return y if max_value is None else ops.minimum(y, max_value)


def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """x * P(X <= x) for standard normal X (``approximate``: by tanh). https://arxiv.org/abs/1606.08415"""
    return ops.gelu(x, approximate=approximate)


def exponential(x: TensorLike) -> Tensor:
    """exp(x)"""
    return ops.exp(x)


def linear(x: TensorLike) -> Tensor:
    """x"""
    return x


def mish(x: TensorLike) -> Tensor:
    """x * tanh(softplus(x)). https://arxiv.org/abs/1908.08681"""
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


_FUNCTIONS = (
    celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid,
    log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus,
    sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold,
)  # fmt: skip
for _fn in _FUNCTIONS:
    registry.add("activation", _fn)
registry.add("activation", hard_silu, "hard_swish")
registry.add("activation", silu, "swish")


def get(identifier: Identifier) -> Any:
    """An activation from a name, a config, a class, an object or a callable; ``None`` means ``linear``."""
    return linear if identifier is None else registry.get("activation", identifier)


def serialize(activation: Any) -> Config | str:
    """The name of a function of this module; a config for an object or a user's function."""
    return configurable.serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="activation")
