"""Convolutions of one, two and three dimensions: plain, depthwise, separable and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import activations, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.base import check, config
from nyala.layers import _weights
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec

_Ints = int | Sequence[int]


class _Window(Layer):
    """What all convolutions share.

    Args:
        filters: channels of the output. kernel_size: of the window, an int or one for each dimension.
        strides: step of the window. dilation_rate: distance of neighbours in the window.
        padding: ``"valid"`` (none) or ``"same"`` (output size = input size / strides, rounded up); a plain convolution also
            takes ``"full"``: an output wherever the window meets the input.
        data_format: ``"channels_last"``: (batch, ..., channels), ``"channels_first"``: (batch, channels, ...);
            ``None``: ``config.image_data_format()``.
        activation: name or function; ``None``: linear. use_bias: whether a bias is added to each channel.
    """

    rank: ClassVar[int]
    _paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    _kernel_must_fit: ClassVar[bool] = True

    def _set_window(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
    ) -> None:
        self.kernel_size = check.ints(self, "kernel_size", kernel_size, self.rank)
        self.strides = check.ints(self, "strides", strides, self.rank)
        self.padding = check.one_of(self, "padding", str(padding).lower(), self._paddings)
        self.data_format = config.standardize_data_format(self, data_format)
        self.dilation_rate = check.ints(self, "dilation_rate", dilation_rate, self.rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            check.fail(
                self, f"strides and dilation_rate cannot both exceed 1, got {self.strides} and {self.dilation_rate}"
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Shape) -> int:
        """The size of the channel axis, asked from now on of every input. ValueError if the kernel does not fit."""
        channels = input_shape[self._channel_axis]
        if channels is None:
            check.fail(self, f"the channel axis of the input must have a known size, got shape {tuple(input_shape)}")
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._channel_axis: channels})
        spatial = input_shape[1:-1] if self._channel_axis == -1 else input_shape[2:]
        if self.padding == "valid" and self._kernel_must_fit:
            for size, k, d in zip(spatial, self.kernel_size, self.dilation_rate):
                if size is not None and d * (k - 1) >= size:
                    check.fail(
                        self,
                        f"kernel_size {self.kernel_size} with dilation_rate {self.dilation_rate} does not fit into "
                        f"the input of shape {tuple(input_shape)}; use a smaller kernel or padding='same'",
                    )
        return channels  # type: ignore[return-value]

    def _add_bias(self, channels: int) -> None:
        self.bias = _weights.add(self, "bias", (channels,)) if self.use_bias else None
        first = self.data_format == "channels_first"
        self._bias_shape = (channels, *(1,) * self.rank) if first else None

    def _finish(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            x = ops.add(x, self.bias if self._bias_shape is None else ops.reshape(self.bias, self._bias_shape))
        return x if self.activation is None else self.activation(x)


class _Conv(_Window):
    """y = activation(convolution(x, kernel) + bias).

    Args: groups: the channels are split into so many groups, each convolved with its own filters.

    Shapes: kernel (*kernel_size, channels / groups, filters), bias (filters,).
    """

    _paddings = ("valid", "same", "full")

    def __init__(
        self,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        groups: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = check.positive_int(self, "filters", filters)
        self.groups = check.positive_int(self, "groups", groups)
        if filters % groups:
            check.fail(self, f"filters must be a multiple of groups, got filters={filters} and groups={groups}")
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias)
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._before = None
        if self.padding in ("causal", "full"):
            reach = [d * (k - 1) for d, k in zip(self.dilation_rate, self.kernel_size)]
            widths = [(n, n if self.padding == "full" else 0) for n in reach]
            self._before = ((0, 0), *widths, (0, 0)) if self._channel_axis == -1 else ((0, 0), (0, 0), *widths)
        self._geometry = (
            self.strides,
            "valid" if self._before else self.padding,
            self.data_format,
            self.dilation_rate,
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        if channels % self.groups:
            check.fail(self, f"the input's channels must be a multiple of groups={self.groups}, got {channels}")
        self.kernel = _weights.add(self, "kernel", (*self.kernel_size, channels // self.groups, self.filters))
        self._add_bias(self.filters)

    def call(self, inputs: TensorLike) -> Tensor:
        if self._before is not None:
            inputs = ops.pad(inputs, self._before)
        return self._finish(self.convolution_op(inputs, self.kernel))

    def convolution_op(self, inputs: TensorLike, kernel: TensorLike) -> Tensor:
        """The convolution alone. Override it to change the kernel before, e.g. to standardise it."""
        return ops.conv(inputs, kernel, *self._geometry)


class Conv1D(_Conv, names=("Convolution1D",)):
    """Convolution over a sequence. ``padding="causal"``: output i depends on inputs up to i.

    Shapes: (batch, steps, channels) -> (batch, new steps, filters).
    """

    rank = 1
    _paddings = (*_Conv._paddings, "causal")


class Conv2D(_Conv, names=("Convolution2D",)):
    """Convolution over an image.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, filters).
    """

    rank = 2


class Conv3D(_Conv, names=("Convolution3D",)):
    """Convolution over a volume.

    Shapes: (batch, depth, height, width, channels) -> (batch, new depth, new height, new width, filters).
    """

    rank = 3


class _DepthwiseConv(_Window):
    """Each channel is convolved with filters of its own: y = activation(depthwise(x, kernel) + bias).

    Args: depth_multiplier: filters for a channel.

    Shapes: kernel (*kernel_size, channels, depth_multiplier), bias (channels * depth_multiplier,).
    """

    config_order = (*Layer.config_order, "depth_multiplier")

    def __init__(
        self,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        depthwise_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = check.positive_int(self, "depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias)
        _weights.options(self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._geometry = (self.strides, self.padding, self.data_format, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.kernel = _weights.add(
            self, "depthwise", (*self.kernel_size, channels, self.depth_multiplier), name="kernel"
        )
        self._add_bias(channels * self.depth_multiplier)

    def call(self, inputs: TensorLike) -> Tensor:
        return self._finish(ops.depthwise_conv(inputs, self.kernel, *self._geometry))


class DepthwiseConv1D(_DepthwiseConv):
    """Depthwise convolution over a sequence.

    Shapes: (batch, steps, channels) -> (batch, new steps, channels * depth_multiplier).
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Depthwise convolution over an image.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, channels * depth_multiplier).
    """

    rank = 2


class _SeparableConv(_Window):
    """A depthwise convolution, then a mixture of the channels at each place: y = activation(separable(x) + bias).

    Args: depth_multiplier: depthwise filters for a channel.

    Shapes: depthwise_kernel (*kernel_size, channels, depth_multiplier),
    pointwise_kernel (1, ..., channels * depth_multiplier, filters), bias (filters,).
    """

    config_order = (*Layer.config_order, "depth_multiplier")

    def __init__(
        self,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        depth_multiplier: int = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        depthwise_initializer: Identifier = "glorot_uniform",
        pointwise_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        depthwise_regularizer: Identifier = None,
        pointwise_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        depthwise_constraint: Identifier = None,
        pointwise_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = check.positive_int(self, "filters", filters)
        self.depth_multiplier = check.positive_int(self, "depth_multiplier", depth_multiplier)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias)
        _weights.options(self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint)
        _weights.options(self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._geometry = (self.strides, self.padding, self.data_format, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        n, m = self._channels(input_shape), self.depth_multiplier
        self.depthwise_kernel = _weights.add(self, "depthwise", (*self.kernel_size, n, m), name="depthwise_kernel")
        shape = (*(1,) * self.rank, n * m, self.filters)
        self.pointwise_kernel = _weights.add(self, "pointwise", shape, name="pointwise_kernel")
        self._add_bias(self.filters)

    def call(self, inputs: TensorLike) -> Tensor:
        x = ops.separable_conv(inputs, self.depthwise_kernel, self.pointwise_kernel, *self._geometry)
        return self._finish(x)


class SeparableConv1D(_SeparableConv, names=("SeparableConvolution1D",)):
    """Separable convolution over a sequence.

    Shapes: (batch, steps, channels) -> (batch, new steps, filters).
    """

    rank = 1


class SeparableConv2D(_SeparableConv, names=("SeparableConvolution2D",)):
    """Separable convolution over an image.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, filters).
    """

    rank = 2


class _ConvTranspose(_Window):
    """The transpose (the gradient by the input) of a convolution; ``strides`` > 1 enlarge.

    Args:
        output_padding: added to the output's size where strides leave it open, less than ``strides``;
            ``None``: as ``padding`` says.

    Shapes: kernel (*kernel_size, filters, channels), bias (filters,).
    """

    _kernel_must_fit = False

    def __init__(
        self,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        output_padding: _Ints | None = None,
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        activation: Identifier = None,
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = check.positive_int(self, "filters", filters)
        self._set_window(kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = check.ints(self, "output_padding", output_padding, self.rank, allow_zero=True)
            if any(p >= s for p, s in zip(self.output_padding, self.strides)):
                check.fail(self, f"output_padding must be less than strides={self.strides}, got {self.output_padding}")
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._geometry = (self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate)

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        self.kernel = _weights.add(self, "kernel", (*self.kernel_size, self.filters, channels))
        self._add_bias(self.filters)

    def call(self, inputs: TensorLike) -> Tensor:
        return self._finish(ops.conv_transpose(inputs, self.kernel, *self._geometry))


class Conv1DTranspose(_ConvTranspose, names=("Convolution1DTranspose",)):
    """Transposed convolution over a sequence.

    Shapes: (batch, steps, channels) -> (batch, new steps, filters).
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose, names=("Convolution2DTranspose",)):
    """Transposed convolution over an image.

    Shapes: (batch, height, width, channels) -> (batch, new height, new width, filters).
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose, names=("Convolution3DTranspose",)):
    """Transposed convolution over a volume; ``data_format`` comes before ``output_padding`` here.

    Shapes: (batch, depth, height, width, channels) -> (batch, new depth, new height, new width, filters).
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: _Ints | None = None,
        *args: Any,
        **kwargs: Any,
    ):
        super().__init__(filters, kernel_size, strides, padding, output_padding, data_format, *args, **kwargs)
