"""The cells of SimpleRNN, LSTM and GRU: one step each, and whole sequences by the backend's kernels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from nyala import activations, ops, random
from nyala._typing import Config, Identifier, Shape, Tensor, TensorLike
from nyala.base import check, configurable, naming
from nyala.base.seeds import SeedGenerator
from nyala.layers import _weights
from nyala.layers._arguments import call_of
from nyala.layers.base import Layer
from nyala.ops import rnn


class DropoutCell(Layer):
    """Base of the cells with ``dropout`` on the input and ``recurrent_dropout`` on h: one pattern for all steps of a call.

    Args:
        dropout, recurrent_dropout: the part that is set to 0 in training, in [0, 1].
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    dropout: float
    recurrent_dropout: float

    def _set_dropout(self, dropout: float, recurrent_dropout: float, seed: Any) -> None:
        self.dropout = check.number_in(self, "dropout", dropout, 0, 1)
        self.recurrent_dropout = check.number_in(self, "recurrent_dropout", recurrent_dropout, 0, 1)
        self.seed = seed
        self.seed_generator: Any = seed
        if not isinstance(seed, SeedGenerator):
            self.seed_generator = SeedGenerator(seed) if dropout or recurrent_dropout else None
        self._patterns: tuple[Any, Any] | None = None

    _untracked = Layer._untracked | {"_patterns"}

    def _drawn(self, sizes: tuple[Any, ...], recurrent_sizes: tuple[Any, ...]) -> tuple[Any, Any]:
        """Factors for the input and for h, ``None`` where there is no dropout."""

        def pattern(shape: tuple[Any, ...], rate: float) -> Any:
            return random.dropout(ops.ones(shape, self.compute_dtype), rate, seed=self.seed_generator) if rate else None

        return pattern(sizes, self.dropout), pattern(recurrent_sizes, self.recurrent_dropout)

    def begin(self, batch: Any) -> None:
        """Draw the patterns of a sequence, which all steps until ``end`` share."""
        raise NotImplementedError

    def end(self) -> None:
        self._patterns = None

    def _dropped(self, x: Tensor, h: Tensor, training: bool | None) -> tuple[Tensor, Tensor]:
        if not training or not (self.dropout or self.recurrent_dropout):
            return x, h
        for_x, for_h = self._patterns or self._drawn(ops.shape(x), ops.shape(h))
        return x if for_x is None else x * for_x, h if for_h is None else h * for_h


def implementation(cell: Layer, kwargs: dict[str, Any]) -> int:
    return check.one_of(cell, "implementation", kwargs.pop("implementation", 2), (0, 1, 2))


@functools.lru_cache(maxsize=None)
def _step_of(maker: Any, *activations: Any) -> rnn.Step:
    """One step for all cells of a kind, by which backends know what they have compiled. Never of a user's functions."""
    return maker(*activations)


class _Cell(DropoutCell):
    """A cell with an input kernel and a recurrent one, whose columns are the gates side by side.

    Args:
        units: width of state and output, a positive int.
        activation: of the output. use_bias: whether a bias is added.
        implementation: 0, 1 or 2, as Keras 2 had it; the gates are computed together in every case.

    Shapes: inputs (batch, n), states of (batch, units) each -> (batch, units) and the new states; kernel
    (n, gates * units), recurrent_kernel (units, gates * units), bias (gates * units,).
    """

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    recurrent_activation: Any = None
    _cudnn: bool = True

    def _set(
        self,
        units: int,
        activation: Identifier,
        use_bias: bool,
        kernel: tuple[Any, Any, Any],
        recurrent: tuple[Any, Any, Any],
        bias: tuple[Any, Any, Any],
    ) -> None:
        self.units = check.positive_int(self, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        _weights.options(self, "kernel", *kernel)
        _weights.options(self, "recurrent", *recurrent)
        _weights.options(self, "bias", *bias)

    @property
    def state_size(self) -> Any:
        return self.units if self.states == 1 else [self.units] * self.states

    @property
    def output_size(self) -> int:
        return self.units

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """Zeros for each state."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in range(self.states)]

    def build(self, input_shape: Shape) -> None:
        width = self.gates * self.units
        self.kernel = _weights.add(self, "kernel", (input_shape[-1], width))
        self.recurrent_kernel = _weights.add(self, "recurrent", (self.units, width), name="recurrent_kernel")
        self.bias = self._add_bias(width) if self.use_bias else None

    def _add_bias(self, width: int) -> Any:
        return _weights.add(self, "bias", (width,))

    _maker: ClassVar[Any]

    def _activations(self) -> list[Any]:
        return [fn for fn in (self.activation, self.recurrent_activation) if fn is not None]

    def _biases(self) -> tuple[Any, Any]:
        """Of x @ kernel and of h @ recurrent_kernel."""
        return self.bias, None

    def call(self, inputs: TensorLike, states: Any, training: bool | None = False) -> Any:
        nested = isinstance(states, (list, tuple))
        states = tuple(states) if nested else (states,)
        x, h = self._dropped(inputs, states[0], training)
        bias, recurrent_bias = self._biases()
        x = ops.matmul(x, self.kernel)
        x = x if bias is None else ops.add(x, bias)
        # Dropout is on what the gates see of h, not on what the state keeps.
        r = ops.matmul(h, self.recurrent_kernel)
        r = r if recurrent_bias is None else ops.add(r, recurrent_bias)
        step = self._maker(*self._activations())
        new = step.new(states, ops.add(x, r)) if step.summed else step.new(states, x, r)
        return new[0], list(new) if nested else new[0]

    # -- whole sequences ---------------------------------------------------------------------------------------------

    def begin(self, batch: Any) -> None:
        self._patterns = self._drawn((batch, self.kernel.shape[0]), (batch, self.units))

    def whole(self, training: bool | None) -> bool:
        """Whether ``run`` gives what steps would."""
        ours = type(self).__module__ == __name__
        plain = all((naming.is_ours(fn) and hasattr(fn, "__code__")) for fn in self._activations())
        return ours and plain and not (training and self.recurrent_dropout)

    def _kind(self) -> str | None:
        """The kernel of that formula, as ``ops.rnn.fused`` calls it."""
        return None

    def run(
        self, inputs: Tensor, states: Any, mask: Any, sequences: bool, unroll: bool, training: bool | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Outputs (all, or the last one) and states after the sequences ``inputs`` (batch, time, n)."""
        if training and self.dropout:
            assert self._patterns is not None
            inputs = inputs * ops.expand_dims(self._patterns[0], 1)
        weights = [None if w is None else w.value for w in (self.kernel, self.recurrent_kernel, self.bias)]
        kind = self._kind()
        found = rnn.fused(kind, inputs, tuple(states), *weights, mask, sequences, self._cudnn) if kind else None
        if found is not None:
            return found[0], list(found[1])
        bias, recurrent_bias = self._biases()
        x = ops.matmul(ops.swapaxes(inputs, 0, 1), weights[0])
        x = x if bias is None else ops.add(x, bias)
        mask = None if mask is None else ops.swapaxes(mask, 0, 1)
        outputs, last = rnn.recurrence(
            _step_of(self._maker, *self._activations()), x, states, weights[1], recurrent_bias, mask, sequences, unroll
        )
        return (ops.swapaxes(outputs, 0, 1) if sequences else outputs), list(last)


class SimpleRNNCell(_Cell):
    """One step of the simple recurrent network: h' = activation(x @ kernel + h @ recurrent_kernel + bias)."""

    _maker = staticmethod(rnn.simple_step)

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
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
        self._set(
            units, activation, use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )  # fmt: skip
        self._set_dropout(dropout, recurrent_dropout, seed)

    def call(self, sequence: TensorLike, states: Any, training: bool | None = False) -> Any:
        return super().call(sequence, states, training)

    def _kind(self) -> str | None:
        return {activations.tanh: "tanh", activations.relu: "relu"}.get(self.activation)


class LSTMCell(_Cell):
    """One step of the long short-term memory: c' = f c + i activation(g), h' = o activation(c').

    The gates i, f, o = recurrent_activation(x @ kernel + h @ recurrent_kernel + bias) and g stand in the order i, f, g, o
    (https://doi.org/10.1162/neco.1997.9.8.1735, https://doi.org/10.1162/089976600300015015). The states are h and c.

    Args:
        recurrent_activation: of the gates.
        unit_forget_bias: the bias of f begins at 1 (https://proceedings.mlr.press/v37/jozefowicz15.html).
    """

    _maker = staticmethod(rnn.lstm_step)
    gates = 4
    states = 2
    config_order = (*Layer.config_order, "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias")

    def __init__(
        self,
        units: int,
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
        self._set(
            units, activation, use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self._set_dropout(dropout, recurrent_dropout, seed)

    def _add_bias(self, width: int) -> Any:
        return add_forget_bias(self, width)

    def _kind(self) -> str | None:
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return "lstm" if usual else None


def add_forget_bias(cell: Any, width: int) -> Any:
    """The bias of an LSTM's gates, that of the forget gate beginning at 1 if the cell says so."""
    initializer = cell.bias_initializer
    if not cell.unit_forget_bias:
        return _weights.add(cell, "bias", (width,))

    def first(shape: Any, dtype: Any = None) -> np.ndarray:
        n = width // 4
        parts = [(n, initializer), (n, np.ones), (2 * n, initializer)]
        return np.concatenate([np.asarray(ops.convert_to_numpy(draw((size,), dtype=dtype))) for size, draw in parts])

    return cell.add_weight(
        name="bias",
        shape=(width,),
        initializer=first,
        regularizer=cell.bias_regularizer,
        constraint=cell.bias_constraint,
    )


class GRUCell(_Cell):
    """One step of the gated recurrent unit: h' = z h + (1 - z) activation(n), gates z, r, n in that order.

    n = x_n + r (h @ U_n + bias_n) with ``reset_after``, as cuDNN has it (https://arxiv.org/abs/1406.1078v3), where the
    bias is (2, 3 * units), of input and recurrence; else n = x_n + (r h) @ U_n (https://arxiv.org/abs/1406.1078v1).

    Args: recurrent_activation: of the gates z and r. reset_after: see above.
    """

    _maker = staticmethod(rnn.gru_step)
    gates = 3

    def __init__(
        self,
        units: int,
        activation: Identifier = "tanh",
        recurrent_activation: Identifier = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Identifier = "glorot_uniform",
        recurrent_initializer: Identifier = "orthogonal",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        recurrent_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: Any = None,
        **kwargs: Any,
    ):
        self.implementation = implementation(self, kwargs)
        super().__init__(**kwargs)
        self._set(
            units, activation, use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
        )  # fmt: skip
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after
        self._set_dropout(dropout, recurrent_dropout, seed)

    def _add_bias(self, width: int) -> Any:
        return _weights.add(self, "bias", (2, width) if self.reset_after else (width,))

    def _biases(self) -> tuple[Any, Any]:
        if self.bias is None or not self.reset_after:
            return self.bias, None
        return self.bias[0], self.bias[1]

    def _kind(self) -> str | None:
        usual = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return "gru" if usual else None

    def whole(self, training: bool | None) -> bool:
        return self.reset_after and super().whole(training)

    def call(self, inputs: TensorLike, states: Any, training: bool | None = False) -> Any:
        if self.reset_after:
            return super().call(inputs, states, training)
        nested = isinstance(states, (list, tuple))
        before = states[0] if nested else states
        x, h = self._dropped(inputs, before, training)
        x = ops.matmul(x, self.kernel)
        x = x if self.bias is None else ops.add(x, self.bias)
        n, kernel = 2 * self.units, self.recurrent_kernel.value
        update, reset = ops.split(self.recurrent_activation(x[:, :n] + ops.matmul(h, kernel[:, :n])), 2, -1)
        candidate = self.activation(x[:, n:] + ops.matmul(reset * h, kernel[:, n:]))
        new = update * before + (1 - update) * candidate
        return new, [new] if nested else new


class StackedRNNCells(Layer):
    """Cells in a row as one: each takes the output of the one before.

    Args: cells: cells, or anything with ``call`` and ``state_size``.
    """

    def __init__(self, cells: Any, **kwargs: Any):
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(self, cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """The states of each cell."""
        return [initial_state(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Any) -> None:
        batch, shape = input_shape[0] if is_list(input_shape) else None, input_shape
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(shape)
            size = output_size(cell)
            shape = (batch, *size) if is_list(size) else (batch, size)

    def call(self, inputs: Any, states: Any, training: bool | None = False, **kwargs: Any) -> Any:
        new = []
        for cell, state in zip(self.cells, states):
            inputs, state = step(cell, inputs, state, training, **kwargs)
            new.append(state)
        return inputs, new

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        cells = [configurable.deserialize(c, custom_objects, role="layer") for c in config["cells"]]
        return cls(**{**config, "cells": cells})

    def whole(self, training: bool | None) -> bool:
        return type(self) is StackedRNNCells and all(hasattr(c, "whole") and c.whole(training) for c in self.cells)

    def run(
        self, inputs: Tensor, states: Any, mask: Any, sequences: bool, unroll: bool, training: bool | None
    ) -> tuple[Tensor, list[Any]]:
        """One cell after the other, each over the whole sequences."""
        new = []
        for i, (cell, state) in enumerate(zip(self.cells, states)):
            every = sequences or i + 1 < len(self.cells)
            inputs, state = cell.run(inputs, state, mask, every, unroll, training)
            new.append(state)
        return inputs, new


# -- any cell ----------------------------------------------------------------------------------------------------------


def is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple))


def check_cell(owner: Any, cell: Any) -> None:
    """Raises ValueError for what is no cell."""
    if not callable(getattr(cell, "call", None)):
        check.fail(owner, f"a cell needs a method call(inputs, states), got {cell!r}")
    if not hasattr(cell, "state_size"):
        check.fail(owner, f"cell {cell!r} needs the attribute state_size, an int or a list of them, one a state")


def output_size(cell: Any) -> Any:
    """What the cell says, else the size of its first state."""
    found = getattr(cell, "output_size", None)
    return found if found is not None else cell.state_size[0] if is_list(cell.state_size) else cell.state_size


def step(cell: Any, inputs: Any, states: Any, training: bool | None, **kwargs: Any) -> tuple[Any, Any]:
    """One step of any cell, the states in whichever nesting it gives them."""
    if call_of(type(cell)).training:
        kwargs["training"] = training
    run: Any = cell if isinstance(cell, Layer) else cell.call
    return run(inputs, states, **kwargs)


def initial_state(cell: Any, batch_size: Any, dtype: str) -> list[Any]:
    """The first states of any cell: its own ``get_initial_state``, else zeros; always a list."""
    own = getattr(cell, "get_initial_state", None)
    if own is not None:
        found = own(batch_size=batch_size)
        return found if is_list(found) else [found]
    sizes = cell.state_size if is_list(cell.state_size) else [cell.state_size]
    return [ops.zeros((batch_size, *((s,) if check.is_int(s) else s)), dtype) for s in sizes]
