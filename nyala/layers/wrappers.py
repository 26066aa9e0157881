"""Layers that hold another layer."""

from __future__ import annotations

from typing import Any

from nyala import ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check, tree
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec


class Wrapper(Layer):
    """Base of layers that hold another one.

    Args: layer: the layer inside.
    """

    def __init__(self, layer: Layer, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            check.fail(self, f"layer must be a layer, got {layer!r}", TypeError)
        self.layer = layer

    def build(self, input_shape: Shape | None = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)


class TimeDistributed(Wrapper):
    """Applies a layer to each time step: (batch, time, ...) -> (batch, time, ...), with the same weights.

    The steps are folded into the batch, so a layer that mixes samples (BatchNormalization) sees all steps at once.
    """

    supports_masking = True

    def __init__(self, layer: Layer, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Shape) -> None:
        super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: TensorLike, training: bool | None = None, mask: TensorLike = None) -> Tensor:
        def fold(x: Tensor) -> Tensor:
            return ops.reshape(x, (-1, *ops.shape(x)[2:]))

        kwargs: dict[str, Any] = {}
        if mask is not None and len(mask.shape) > 2:
            kwargs["mask"] = fold(mask)
        batch, steps = ops.shape(inputs)[:2]
        outputs = self.layer(fold(inputs), training=training, **kwargs)
        return tree.map(lambda y: ops.reshape(y, (batch, steps, *ops.shape(y)[1:])), outputs)
