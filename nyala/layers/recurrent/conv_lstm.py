"""Convolutional LSTM: the products of an LSTM's gates are convolutions."""

from __future__ import annotations

from typing import Any, ClassVar

from nyala import activations, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.base import check, config
from nyala.layers import _weights
from nyala.layers.input_spec import InputSpec
from nyala.layers.recurrent.cells import DropoutCell, add_forget_bias, implementation
from nyala.layers.recurrent.rnn import _BuiltIn, _shared

_Ints = int | tuple[int, ...]


class ConvLSTMCell(DropoutCell):
    """One step of a convolutional LSTM: that of an LSTM with convolutions, over ``rank`` axes of space, for products.

    The gates stand in the order i, f, g, o; the states are h and c (https://arxiv.org/abs/1506.04214, without peepholes).

    Args:
        filters: channels of state and output. kernel_size: the window, of input and recurrence.
        strides, padding, dilation_rate: of the input's convolution, see Conv2D; the recurrent one keeps the size.
        data_format: "channels_last", "channels_first", default: the global setting.
        activation, recurrent_activation, unit_forget_bias, ...: see LSTMCell.

    Shapes: (batch, *space, channels) -> (batch, *space', filters), as Conv2D gives it; kernel
    (*kernel_size, channels, 4 * filters), recurrent_kernel (*kernel_size, filters, 4 * filters), bias (4 * filters,).
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        **kwargs: Any,
    ):
        self.implementation = implementation(self, kwargs)
        super().__init__(**kwargs)
        self.rank = rank
        self.filters = check.positive_int(self, "filters", filters)
        self.kernel_size = check.ints(self, "kernel_size", kernel_size, rank)
        self.strides = check.ints(self, "strides", strides, rank)
        self.padding = check.one_of(self, "padding", str(padding).lower(), ("valid", "same"))
        self.data_format = config.standardize_data_format(self, data_format)
        self.dilation_rate = check.ints(self, "dilation_rate", dilation_rate, rank)
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.use_bias = use_bias
        self.unit_forget_bias = unit_forget_bias
        _weights.options(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        _weights.options(self, "recurrent", recurrent_initializer, recurrent_regularizer, recurrent_constraint)
        _weights.options(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self._set_dropout(dropout, recurrent_dropout, seed)
        self._first = self.data_format == "channels_first"
        self.input_sizes: tuple[Any, ...] | None = None

    @property
    def state_size(self) -> Any:
        return [self.output_size] * 2

    @property
    def output_size(self) -> Any:
        """The shape of a state, without the batch; what is not known before ``build`` is -1."""
        space = (-1,) * self.rank if self.input_sizes is None else self._space(self.input_sizes)
        return (self.filters, *space) if self._first else (*space, self.filters)

    def _space(self, sizes: tuple[Any, ...]) -> tuple[Any, ...]:
        space = sizes[1:] if self._first else sizes[:-1]
        if self.padding == "same":
            return tuple(-(-n // s) for n, s in zip(space, self.strides))
        settings = zip(space, self.kernel_size, self.strides, self.dilation_rate)
        return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in settings)

    def build(self, input_shape: Shape) -> None:
        if any(n is None for n in input_shape[1:]):
            check.fail(
                self, f"the axes of space and the channels must have known sizes, got shape {tuple(input_shape)}"
            )
        self.input_sizes = tuple(input_shape[1:])
        channels: Any = input_shape[1 if self._first else -1]
        self.kernel = _weights.add(self, "kernel", (*self.kernel_size, channels, 4 * self.filters))
        shape = (*self.kernel_size, self.filters, 4 * self.filters)
        self.recurrent_kernel = _weights.add(self, "recurrent", shape, name="recurrent_kernel")
        self.bias = add_forget_bias(self, 4 * self.filters) if self.use_bias else None

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros for h and c."""
        return [ops.zeros((batch_size, *self.output_size), self.compute_dtype) for _ in range(2)]

    def begin(self, batch: Any) -> None:
        assert self.input_sizes is not None
        self._patterns = self._drawn((batch, *self.input_sizes), (batch, *self.output_size))

    def call(self, inputs: TensorLike, states: Any, training: bool | None = False) -> Any:
        x, h = self._dropped(inputs, states[0], training)
        x = ops.conv(x, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        if self.bias is not None:
            x = x + ops.reshape(self.bias, (-1, *(1,) * self.rank)) if self._first else x + self.bias
        z = x + ops.conv(h, self.recurrent_kernel, 1, "same", self.data_format)
        i, f, g, o = ops.split(z, 4, 1 if self._first else -1)
        gate = self.recurrent_activation
        c = gate(f) * states[1] + gate(i) * self.activation(g)
        h = gate(o) * self.activation(c)
        return h, [h, c]


class _ConvLSTM(_BuiltIn):
    """A convolutional LSTM over time; see ConvLSTMCell for the arguments, RNN for the rest.

    Shapes: (batch, time, *space, channels) -> (batch, [time,] *space', filters).
    """

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: _Ints,
        strides: _Ints = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: _Ints = 1,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: Any = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ):
        cell = ConvLSTMCell(
            self.rank, filters, kernel_size, strides, padding, data_format, dilation_rate, activation,
            recurrent_activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            unit_forget_bias, kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed,
            **_shared(kwargs, "conv_lstm_cell"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=self.rank + 3)


class ConvLSTM1D(_ConvLSTM):
    """A convolutional LSTM of sequences (batch, time, steps, channels)."""

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """A convolutional LSTM of images (batch, time, height, width, channels)."""

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """A convolutional LSTM of volumes (batch, time, depth, height, width, channels)."""

    rank = 3
