"""Layers that Keras has no more, for old programs and files: reachable by name, and not in ``__all__``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from nyala import activations, initializers, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.base import check, config
from nyala.layers import _weights
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec


class _LocallyConnected(Layer):
    """A convolution with filters of its own at each place. Keras 1 to 2.15.

    Args:
        filters, kernel_size, strides, padding, data_format: as of ``Conv2D``.
        implementation: how the kernel is stored: 1 (out, window * channels, filters), "valid" padding only;
            2 (*in, channels, *out, filters), of which the windows count; 3 the numbers of 1 in one row, by output first.

    Shapes: the input's are known; bias (*out, filters).
    """

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        implementation: int = 1,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = check.positive_int(self, "filters", filters)
        self.kernel_size = check.ints(self, "kernel_size", kernel_size, self.rank)
        self.strides = check.ints(self, "strides", strides, self.rank)
        self.implementation = check.one_of(self, "implementation", implementation, (1, 2, 3))
        self.padding = check.one_of(self, "padding", padding, ("valid", "same") if implementation == 2 else ("valid",))
        self.data_format = config.standardize_data_format(self, data_format)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Shape) -> None:
        first = self.data_format == "channels_first"
        if None in input_shape[1:]:
            check.fail(self, f"needs an input of known size, got {tuple(input_shape)}")
        known: list[Any] = list(input_shape[1:])
        channels, *sizes = known if first else (known[-1], *known[:-1])
        windows = [_windows(*s, self.padding) for s in zip(sizes, self.kernel_size, self.strides)]
        self._windows = windows
        self._out = tuple(len(w) for w in windows)
        places, inside = math.prod(self._out), math.prod(self.kernel_size) * channels
        whole = (
            ((channels, *sizes), (self.filters, *self._out))
            if first
            else ((*sizes, channels), (*self._out, self.filters))
        )
        shape = {
            1: (places, inside, self.filters),
            2: (*whole[0], *whole[1]),
            3: (places * self.filters * inside,),
        }[self.implementation]
        self.kernel = _weights.add(self, "kernel", shape)
        self.bias = _weights.add(self, "bias", (*self._out, self.filters)) if self.use_bias else None
        if self.implementation == 2:
            mask = np.zeros((*sizes, *self._out), "float32")
            for out in itertools.product(*map(range, self._out)):
                for place in itertools.product(*(w[i][w[i] >= 0] for w, i in zip(windows, out))):
                    mask[(*place, *out)] = 1
            self._mask = np.expand_dims(mask, (0, self.rank + 1) if first else (self.rank, 2 * self.rank + 1))

    def call(self, inputs: TensorLike) -> Tensor:
        first = self.data_format == "channels_first"
        if self.implementation == 2:
            y = ops.tensordot(inputs, ops.multiply(self.kernel, self._mask), self.rank + 1)
            y = ops.moveaxis(y, 1, -1) if first else y
        else:
            y = ops.einsum("npk,pkf->npf", self._patches(inputs, first), self._kernel())
            y = ops.reshape(y, (-1, *self._out, self.filters))
        y = ops.moveaxis(y, -1, 1) if first else y
        if self.bias is not None:  # its numbers as they lie, in the order of the output's axes
            y = ops.add(y, ops.reshape(self.bias, y.shape[1:]))
        return y if self.activation is None else self.activation(y)

    def _kernel(self) -> Any:
        if self.implementation == 1:
            return self.kernel
        places = math.prod(self._out)
        if self.data_format == "channels_first":
            return ops.transpose(ops.reshape(self.kernel, (self.filters, places, -1)), (1, 2, 0))
        return ops.transpose(ops.reshape(self.kernel, (places, self.filters, -1)), (0, 2, 1))

    def _patches(self, x: TensorLike, first: bool) -> Tensor:
        """(batch, places, window * channels), the window before the channels unless these come first."""
        start = 2 if first else 1
        for i, window in enumerate(self._windows):
            axis = start + 2 * i
            x = ops.take(x, window, axis=axis)  # each axis becomes one of places and one within the window
        places = [start + 2 * i for i in range(self.rank)]
        within = [axis + 1 for axis in places]
        x = ops.transpose(x, (0, *places, *((1, *within) if first else (*within, start + 2 * self.rank))))
        return ops.reshape(x, (-1, math.prod(self._out), math.prod(x.shape[1 + self.rank :])))


def _windows(size: int, kernel: int, stride: int, padding: str) -> np.ndarray:
    """(places, kernel): the positions in each window; -1 outside."""
    before = kernel // 2 if padding == "same" else 0
    count = -(-size // stride) if padding == "same" else (size - kernel) // stride + 1
    found = np.arange(count)[:, None] * stride + np.arange(kernel) - before
    return np.where(found < size, found, -1).astype("int32")


class LocallyConnected1D(_LocallyConnected):
    __doc__ = _LocallyConnected.__doc__
    rank = 1


class LocallyConnected2D(_LocallyConnected):
    __doc__ = _LocallyConnected.__doc__
    rank = 2


class ThresholdedReLU(Layer):
    """y = x for x > theta, else 0. Keras 1 to 2.15.

    Args: theta: >= 0.
    """

    supports_masking = True

    def __init__(self, theta: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.theta = check.number_in(self, "theta", theta, 0)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.threshold(inputs, self.theta, 0.0)


class MaxoutDense(Layer):
    """y = max over i of x @ kernel[i] + bias[i]. Keras 1. Goodfellow et al. 2013, https://arxiv.org/abs/1302.4389

    Args: units: width of the output. nb_feature: how many the maximum is taken of.
    Shapes: (batch, n) -> (batch, units); kernel (nb_feature, n, units), bias (nb_feature, units).
    """

    def __init__(
        self,
        units: int,
        nb_feature: int = 4,
        kernel_initializer: Identifier = "glorot_uniform",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        use_bias: bool = True,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = check.positive_int(self, "units", units)
        self.nb_feature = check.positive_int(self, "nb_feature", nb_feature)
        self.use_bias = use_bias
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", "zeros", bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        self.kernel = _weights.add(self, "kernel", (self.nb_feature, input_shape[-1], self.units))
        self.bias = _weights.add(self, "bias", (self.nb_feature, self.units)) if self.use_bias else None

    def call(self, inputs: TensorLike) -> Tensor:
        y = ops.einsum("nc,kcu->nku", inputs, self.kernel)
        return ops.max(y if self.bias is None else ops.add(y, self.bias), axis=1)


class Highway(Layer):
    """y = t * activation(x @ kernel + bias) + (1 - t) * x with t = sigmoid(x @ carry + its bias). Keras 1.

    Srivastava et al. 2015, https://arxiv.org/abs/1505.00387

    Args: transform_bias: of t at the start; below 0 the input passes at first.
    Shapes: (batch, n) -> (batch, n); kernel and carry (n, n), biases (n,).
    """

    def __init__(
        self,
        kernel_initializer: Identifier = "glorot_uniform",
        activation: Identifier = None,
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        use_bias: bool = True,
        transform_bias: float = -2.0,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.transform_bias = transform_bias
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", "zeros", bias_regularizer, bias_constraint)

    def build(self, input_shape: Shape) -> None:
        n: Any = input_shape[-1]
        self.kernel, self.carry = (_weights.add(self, "kernel", (n, n), name=name) for name in ("kernel", "carry"))
        self.bias = _weights.add(self, "bias", (n,)) if self.use_bias else None
        self.carry_bias = _weights.add(self, "bias", (n,), name="carry_bias") if self.use_bias else None
        if self.carry_bias is not None:
            self.carry_bias.assign(np.full(n, self.transform_bias, "float32"))

    def call(self, inputs: TensorLike) -> Tensor:
        y, t = ops.matmul(inputs, self.kernel), ops.matmul(inputs, self.carry)
        if self.bias is not None:
            y, t = ops.add(y, self.bias), ops.add(t, self.carry_bias)
        t = ops.sigmoid(t)
        y = y if self.activation is None else self.activation(y)
        return ops.add(ops.multiply(t, y), ops.multiply(ops.subtract(1.0, t), inputs))


class ParametricSoftplus(Layer):
    """y = alpha * log(1 + exp(beta * x)) with learned alpha and beta for each place. Keras 1.

    Args: alpha_init, beta_init: at the start. shared_axes: axes, counted with the batch, along which they are one number.
    """

    supports_masking = True

    def __init__(
        self, alpha_init: float = 0.2, beta_init: float = 5.0, shared_axes: Sequence[int] | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.alpha_init, self.beta_init = alpha_init, beta_init
        self.shared_axes = shared_axes

    def build(self, input_shape: Shape) -> None:
        shape = _each_place(input_shape, self.shared_axes)
        self.alpha = self.add_weight(shape, initializers.Constant(self.alpha_init), name="alpha")
        self.beta = self.add_weight(shape, initializers.Constant(self.beta_init), name="beta")

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.multiply(self.alpha, ops.softplus(ops.multiply(self.beta, inputs)))


class SReLU(Layer):
    """y = x between two learned thresholds, and lines of learned slopes beyond. Keras 1. https://arxiv.org/abs/1512.07030

    y = t_left + a_left * (x - t_left) below t_left, t + a_right * (x - t) above t = t_left + abs(t_right).

    Args: the four at the start. shared_axes: axes, counted with the batch, along which they are one number.
    """

    supports_masking = True
    _parts = ("t_left", "a_left", "t_right", "a_right")

    def __init__(
        self,
        t_left_init: Identifier = "zeros",
        a_left_init: Identifier = "glorot_uniform",
        t_right_init: Identifier = "glorot_uniform",
        a_right_init: Identifier = "ones",
        shared_axes: Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        given = (t_left_init, a_left_init, t_right_init, a_right_init)
        for part, initializer in zip(self._parts, given):
            setattr(self, f"{part}_init", {"zero": "zeros", "one": "ones"}.get(str(initializer), initializer))
        self.shared_axes = shared_axes

    def build(self, input_shape: Shape) -> None:
        shape = _each_place(input_shape, self.shared_axes)
        for part in self._parts:
            setattr(self, part, self.add_weight(shape, getattr(self, f"{part}_init"), name=part))

    def call(self, inputs: TensorLike) -> Tensor:
        right = ops.add(self.t_left, ops.absolute(self.t_right))
        below = ops.multiply(ops.subtract(1.0, self.a_left), ops.relu(ops.subtract(self.t_left, inputs)))
        above = ops.multiply(ops.subtract(self.a_right, 1.0), ops.relu(ops.subtract(inputs, right)))
        return ops.add(ops.add(inputs, below), above)


def _each_place(input_shape: Shape, shared: Sequence[int] | None) -> tuple[int | None, ...]:
    return tuple(1 if axis in (shared or ()) else n for axis, n in enumerate(input_shape) if axis)


class RandomFourierFeatures(Layer):
    """y = cos(x @ kernel / kernel_scale + bias), so that 2 y(a) . y(b) / output_dim is near k(a, b). TensorFlow 2.2 to 2.15.

    Rahimi & Recht 2007, "Random features for large-scale kernel machines".

    Args:
        kernel_initializer: k is exp(-||a - b||**2 / (2 scale**2)) for "gaussian", exp(-||a - b||_1 / scale) for "laplacian"; or
            an initializer, whose distribution is k's Fourier transform.
        scale: default sqrt(n / 2) for "gaussian", else 1.
        trainable: whether ``kernel_scale`` is learned.

    Shapes: (batch, n) -> (batch, output_dim); unscaled_kernel (n, output_dim), bias (output_dim,), kernel_scale (1,).
    """

    def __init__(
        self,
        output_dim: int,
        kernel_initializer: Identifier = "gaussian",
        scale: float | None = None,
        trainable: bool = False,
        **kwargs: Any,
    ):
        super().__init__(trainable=trainable, **kwargs)
        self.output_dim = check.positive_int(self, "output_dim", output_dim)
        self.kernel_initializer = kernel_initializer
        if scale is not None and not scale > 0:
            check.fail(self, f"scale must be positive, got {scale!r}")
        self.scale = scale

    def build(self, input_shape: Shape) -> None:
        n: Any = input_shape[-1]
        shape, kind = (n, self.output_dim), self.kernel_initializer
        if kind == "gaussian":
            kind = initializers.RandomNormal(stddev=1.0)
        elif kind == "laplacian":
            kind = _cauchy
        scale = self.scale or (math.sqrt(n / 2) if self.kernel_initializer == "gaussian" else 1.0)
        self.unscaled_kernel = self.add_weight(shape, kind, name="unscaled_kernel", trainable=False)
        uniform = initializers.RandomUniform(0.0, 2 * math.pi)
        self.bias = self.add_weight(shape[1:], uniform, name="bias", trainable=False)
        self.kernel_scale = self.add_weight(
            (1,), initializers.Constant(scale), name="kernel_scale", constraint="non_neg"
        )

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.cos(ops.add(ops.divide(ops.matmul(inputs, self.unscaled_kernel), self.kernel_scale), self.bias))


def _cauchy(shape: Any, dtype: Any = None) -> Tensor:
    """The Fourier transform of exp(-abs(x)), by the inverse of its distribution."""
    uniform = initializers.RandomUniform(0.0, 1.0)(shape, dtype)
    return ops.tan(ops.multiply(ops.subtract(uniform, 0.5), math.pi))


class RandomHeight(Layer):
    """Another height for the images of each batch, in training. TensorFlow 2.3 to 2.15.

    Shapes that change from step to step cannot be compiled, so that training raises; RandomZoom changes what they show.

    Args: factor, interpolation, seed: kept for files.
    """

    def __init__(self, factor: Any, interpolation: str = "bilinear", seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor, self.interpolation, self.seed = factor, interpolation, seed

    def call(self, inputs: TensorLike, training: bool = False) -> Tensor:
        if training:
            check.fail(self, "has no equal in training; write RandomZoom or RandomTranslation", NotImplementedError)
        return ops.convert_to_tensor(inputs)


class RandomWidth(RandomHeight):
    """Another width for the images of each batch, in training: see ``RandomHeight``."""
