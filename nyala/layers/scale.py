"""Layers inside published networks, which files of those networks name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import initializers, ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check
from nyala.layers.base import Layer


class LayerScale(Layer):
    """y = x * gamma, a factor for each channel (Touvron et al. 2021, https://arxiv.org/abs/2103.17239).

    Args: init_values: of the factors at the start. projection_dim: number of channels.
    """

    keras_module = "keras.src.applications.convnext"

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = check.positive_int(self, "projection_dim", projection_dim)

    def build(self, input_shape: Shape) -> None:
        self.gamma = self.add_weight((self.projection_dim,), initializers.Constant(self.init_values))

    def call(self, x: TensorLike) -> Tensor:
        return ops.multiply(x, self.gamma)


class CustomScaleLayer(Layer):
    """y = a + scale * b of two inputs ``[a, b]``."""

    keras_module = "keras.src.applications.inception_resnet_v2"

    def __init__(self, scale: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Sequence[TensorLike]) -> Tensor:
        a, b = inputs
        return ops.add(a, ops.multiply(b, self.scale))
