"""Rescaling of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.base import config
from nyala.layers.base import Layer


class Rescaling(Layer):
    """y = x * scale + offset, such as ``Rescaling(1 / 255)`` for pixels in [0, 255].

    Args: scale, offset: numbers, or one for each channel.
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self._scale, self._offset = _by_channel(scale), _by_channel(offset)

    def call(self, inputs: TensorLike) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        return ops.add(ops.multiply(x, self._cast(self._scale)), self._cast(self._offset))

    def _cast(self, value: Any) -> Any:
        return ops.convert_to_tensor(value, self.compute_dtype) if isinstance(value, np.ndarray) else value


def _by_channel(value: Any) -> Any:
    """A float, or an array that broadcasts along the channels of the global image layout."""
    if isinstance(value, (int, float)):
        return float(value)
    array = np.asarray(value, "float32")
    return (
        array.reshape(array.shape + (1, 1)) if array.ndim and config.image_data_format() == "channels_first" else array
    )
