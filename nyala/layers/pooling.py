"""Pooling over windows, over fixed numbers of cells, and over the whole extent, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import allowance, check, config
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec

_Ints = int | Sequence[int]


class _Pooling(Layer):
    """What pooling over windows shares.

    Args:
        pool_size: of the window, an int or one for each dimension.
        strides: step of the window; ``None``: ``pool_size``.
        padding: ``"valid"`` (none) or ``"same"`` (output size = input size / strides, rounded up).
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
    """

    rank: ClassVar[int]
    config_order = (*Layer.config_order, "pool_size", "padding")

    def __init__(
        self,
        pool_size: _Ints = 2,
        strides: _Ints | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.pool_size = check.ints(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size if strides is None else check.ints(self, "strides", strides, self.rank)
        self.padding = check.one_of(self, "padding", str(padding).lower(), ("valid", "same"))
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Shape) -> None:
        spatial = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        if self.padding == "valid" and any(n is not None and n < k for n, k in zip(spatial, self.pool_size)):
            check.fail(
                self,
                f"pool_size {self.pool_size} does not fit into the input of shape {tuple(input_shape)}; "
                "use a smaller one or padding='same'",
            )


class _MaxPooling(_Pooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class _AveragePooling(_Pooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.average_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(_MaxPooling, names=("MaxPool1D",)):
    """The largest value in each window.

    Shapes: (batch, steps, channels) -> (batch, new steps, channels).
    """

    rank = 1


class MaxPooling2D(_MaxPooling, names=("MaxPool2D",)):
    """The largest value in each window.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).
    """

    rank = 2


class MaxPooling3D(_MaxPooling, names=("MaxPool3D",)):
    """The largest value in each window.

    Shapes: (batch, depth, height, width, channels) -> (batch, new depth, new height, new width, channels).
    """

    rank = 3


class AveragePooling1D(_AveragePooling, names=("AvgPool1D",)):
    """The mean of each window, padding not counted.

    Shapes: (batch, steps, channels) -> (batch, new steps, channels).
    """

    rank = 1


class AveragePooling2D(_AveragePooling, names=("AvgPool2D",)):
    """The mean of each window, padding not counted.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels).
    """

    rank = 2


class AveragePooling3D(_AveragePooling, names=("AvgPool3D",)):
    """The mean of each window, padding not counted.

    Shapes: (batch, depth, height, width, channels) -> (batch, new depth, new height, new width, channels).
    """

    rank = 3


class _GlobalPooling(Layer):
    """What pooling over the whole extent shares.

    Args:
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
        keepdims: keep the pooled axes with size 1.
    """

    rank: ClassVar[int]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(self, data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)
        first = 1 if self.data_format == "channels_last" else 2
        self._axes = tuple(range(first, first + self.rank))


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.max(inputs, axis=self._axes, keepdims=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.mean(inputs, axis=self._axes, keepdims=self.keepdims)


class GlobalMaxPooling1D(_GlobalMaxPooling, names=("GlobalMaxPool1D",)):
    """The largest value over all steps. Shapes: (batch, steps, channels) -> (batch, channels)."""

    rank = 1


class GlobalMaxPooling2D(_GlobalMaxPooling, names=("GlobalMaxPool2D",)):
    """The largest value over an image. Shapes: (batch, height, width, channels) -> (batch, channels)."""

    rank = 2


class GlobalMaxPooling3D(_GlobalMaxPooling, names=("GlobalMaxPool3D",)):
    """The largest value over a volume. Shapes: (batch, depth, height, width, channels) -> (batch, channels)."""

    rank = 3


class GlobalAveragePooling1D(_GlobalAveragePooling, names=("GlobalAvgPool1D",)):
    """The mean over all steps; with a mask, over those present.

    Shapes: (batch, steps, channels) -> (batch, channels).
    """

    rank = 1
    supports_masking = True

    def call(self, inputs: TensorLike, mask: TensorLike = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        weights = ops.expand_dims(ops.cast(mask, self.compute_dtype), 2 if self._axes == (1,) else 1)
        total = ops.sum(ops.multiply(inputs, weights), axis=self._axes, keepdims=self.keepdims)
        return ops.divide(total, ops.sum(weights, axis=self._axes, keepdims=self.keepdims))

    def compute_mask(self, inputs: TensorLike, mask: Any = None) -> None:
        return None


class GlobalAveragePooling2D(_GlobalAveragePooling, names=("GlobalAvgPool2D",)):
    """The mean over an image. Shapes: (batch, height, width, channels) -> (batch, channels)."""

    rank = 2


class GlobalAveragePooling3D(_GlobalAveragePooling, names=("GlobalAvgPool3D",)):
    """The mean over a volume. Shapes: (batch, depth, height, width, channels) -> (batch, channels)."""

    rank = 3


class _AdaptivePooling(Layer):
    """Pooling over windows that are as large as they must be to give ``output_size`` cells.

    Args:
        output_size: cells, an int or one for each dimension.
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
    """

    rank: ClassVar[int]

    def __init__(self, output_size: _Ints, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.output_size = check.ints(self, "output_size", output_size, self.rank)
        allowance.take(self, self.output_size)
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)


class _AdaptiveMaxPooling(_AdaptivePooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.adaptive_max_pool(inputs, self.output_size, self.data_format)


class _AdaptiveAveragePooling(_AdaptivePooling):
    def call(self, inputs: TensorLike) -> Tensor:
        return ops.adaptive_average_pool(inputs, self.output_size, self.data_format)


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The largest value in each part: (batch, steps, channels) -> (batch, output_size, channels)."""

    rank = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The largest value in each part: (batch, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The largest value in each part: (batch, depth, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 3


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The mean of each part: (batch, steps, channels) -> (batch, output_size, channels)."""

    rank = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of each part: (batch, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The mean of each part: (batch, depth, height, width, channels) -> (batch, *output_size, channels)."""

    rank = 3
