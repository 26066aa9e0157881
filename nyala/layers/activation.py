"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import activations, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.base import check
from nyala.layers import _weights
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec


class Activation(Layer):
    """y = activation(x), elementwise or as the function is.

    Args: activation: a name, function or layer; ``None``: y = x.
    """

    supports_masking = True

    def __init__(self, activation: Identifier, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: TensorLike) -> Tensor:
        return self.activation(inputs)


class ReLU(Layer):
    """y = min(x, max_value) for x >= threshold, negative_slope * (x - threshold) below.

    Args: max_value: >= 0, ``None``: no limit. negative_slope: >= 0. threshold: >= 0.
    """

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ):
        if "alpha" in kwargs:  # Keras 1 and 2
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else check.number_in(self, "max_value", max_value, 0)
        self.negative_slope = check.number_in(self, "negative_slope", negative_slope, 0)
        self.threshold = check.number_in(self, "threshold", threshold, 0)

    def call(self, inputs: TensorLike) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """y = x for x >= 0, negative_slope * x below.

    Args: negative_slope: >= 0.
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        if "alpha" in kwargs:  # Keras 1 and 2
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        self.negative_slope = check.number_in(self, "negative_slope", negative_slope, 0)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer):
    """y = x for x >= 0, alpha * x below, with a learned alpha for each place. He et al. 2015, https://arxiv.org/abs/1502.01852

    Args: shared_axes: axes, counted with the batch, along which alpha is one number, such as ``[1, 2]`` for an image.

    Shapes: alpha has the input's without the batch, with 1 along shared axes.
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Identifier = "Zeros",
        alpha_regularizer: Identifier = None,
        alpha_constraint: Identifier = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        _weights.options(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        axes = [shared_axes] if check.is_int(shared_axes) else shared_axes
        self.shared_axes = None if axes is None else list(axes)  # type: ignore[arg-type]

    def build(self, input_shape: Shape) -> None:
        ndim = len(input_shape)
        shared = {axis % ndim for axis in self.shared_axes or ()}
        own = {axis: input_shape[axis] for axis in range(1, ndim) if axis not in shared}
        self.alpha = _weights.add(self, "alpha", tuple(own.get(axis, 1) for axis in range(1, ndim)))
        self.input_spec = InputSpec(ndim=ndim, axes=own)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.subtract(ops.relu(inputs), ops.multiply(ops.relu(ops.negative(inputs)), self.alpha))


class ELU(Layer):
    """y = x for x > 0, alpha * (exp(x) - 1) below. Clevert et al. 2015, https://arxiv.org/abs/1511.07289

    Args: alpha: the limit towards minus infinity is -alpha.
    """

    supports_masking = True
    config_order = ("name", "alpha", "trainable", "dtype")

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.elu(inputs, alpha=self.alpha)


class Softmax(Layer):
    """y = exp(x) / sum(exp(x)) over ``axis``; places that the mask leaves out get 0.

    Args: axis: an axis or several.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis if check.is_int(axis) else list(axis)  # type: ignore[arg-type]

    def call(self, inputs: TensorLike, mask: TensorLike = None) -> Tensor:
        if mask is not None:
            # Finite, so that a row without any place left gives zeros and not nan.
            inputs = ops.where(mask, inputs, -3e4 if self.compute_dtype == "float16" else -1e9)
        if isinstance(self.axis, int):
            y = ops.softmax(inputs, axis=self.axis)
        else:
            y = ops.exp(ops.subtract(inputs, ops.logsumexp(inputs, axis=tuple(self.axis), keepdims=True)))
        return y if mask is None else ops.multiply(y, ops.cast(mask, self.compute_dtype))
