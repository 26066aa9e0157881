"""RNN: any cell over time, and SimpleRNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any, ClassVar

from nyala import backends, ops
from nyala._typing import Config, Identifier, Nest, Tensor
from nyala.base import check, old, tree
from nyala.base.variable import Variable
from nyala.layers import _derived
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec
from nyala.layers.recurrent.cells import (
    DropoutCell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    check_cell,
    initial_state,
    is_list,
    step,
)
from nyala.ops import rnn


class RNN(Layer):
    """A cell over time: output, states = cell(x, states) for each step x.

    Args:
        cell: a layer, or any object, with ``call(inputs, states) -> (output, new states)`` and ``state_size``, an int or
            a list of them; it may have ``output_size`` and ``get_initial_state(batch_size)``. A list is stacked.
        return_sequences: give the output of every step, else of the last.
        return_state: give the last states too, after the output.
        go_backwards: begin at the last step; outputs come in that order.
        stateful: a batch begins with the states in which the one before ended; the batch size must be known.
        unroll: write the steps out instead of looping: faster for short sequences, slower to compile.
        zero_output_for_mask: a masked step gives zeros, else the output before it.

    Call: sequences (batch, time, ...), or a nest of them; ``initial_state``: a tensor for each state; ``mask``
    (batch, time): where it is false, states stay what they are. -> (batch, [time,] ...) or a list with the states.
    """

    supports_masking = True
    _untracked = Layer._untracked | {"states"}
    config_order: ClassVar[tuple[str, ...]] = (
        *Layer.config_order, "return_sequences", "return_state", "go_backwards", "stateful", "unroll",
        "zero_output_for_mask",
    )  # fmt: skip

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.cell = StackedRNNCells(cell, dtype=self.dtype_policy) if is_list(cell) else cell
        check_cell(self, self.cell)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states: Any = None
        sizes = self.cell.state_size
        self.state_size = list(sizes) if is_list(sizes) else [sizes]

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        step_shape = _map_shapes(lambda s: (s[0], *s[2:]), sequences_shape)
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(step_shape)
        if self.stateful and self.states is None:
            first = sequences_shape
            while is_list(first) and first and is_list(first[0]):
                first = first[0]
            if first[0] is None:
                check.fail(
                    self,
                    f"stateful=True needs a known batch size, got an input of shape {tuple(first)}; "
                    "use Input(batch_shape=...) or Input(shape, batch_size=...)",
                )
            with backends.current().outside_trace():
                zeros = self.get_initial_state(int(first[0]))
                self.states = tree.map(self._state, zeros)

    def _state(self, first: Tensor) -> Variable:
        return Variable(ops.convert_to_numpy(first), trainable=False, name="rnn_state")

    def _seed_states(self) -> list[Variable]:
        """What is neither a weight nor lost: the states between batches."""
        kept = [] if self.states is None else tree.flatten(self.states)
        return [*super()._seed_states(), *kept]

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """What the cell begins with: zeros, unless it says otherwise."""
        return initial_state(self.cell, batch_size, self.compute_dtype)

    def __call__(self, sequences: Any, initial_state: Any = None, **kwargs: Any) -> Any:
        if is_list(sequences) and self.input_spec is not None and len(sequences) > 1 and initial_state is None:
            sequences, *initial_state = sequences  # as Keras 2 passed states
        if initial_state is not None:
            kwargs["initial_state"] = initial_state if is_list(initial_state) else [initial_state]
        return super().__call__(sequences, **kwargs)

    def call(self, sequences: Nest, initial_state: Any = None, mask: Any = None, training: bool | None = False) -> Any:
        mask = tree.flatten(mask)[0] if mask is not None else None
        if initial_state is not None:
            states = self._checked_states(initial_state)
        elif self.stateful:
            states = tree.map(lambda v: ops.cast(v.value, self.compute_dtype), self.states)
        else:
            states = self.get_initial_state(ops.shape(tree.flatten(sequences)[0])[0])
        if self.go_backwards:
            sequences = tree.map(lambda x: ops.flip(x, 1), sequences)
            mask = None if mask is None else ops.flip(mask, 1)

        with _derived.anew(c for c in _cells(self.cell) if isinstance(c, Layer)):
            outputs, states = self._loop(sequences, states, mask, training)
        if mask is not None and self.zero_output_for_mask:
            ok = mask if self.return_sequences else mask[:, -1]
            outputs = tree.map(lambda y: rnn.keep(ok, y, ops.zeros_like(y)), outputs)
        if self.stateful:
            for variable, value in zip(tree.flatten(self.states), tree.flatten(states)):
                variable.assign(value)
        return [outputs, *states] if self.return_state else outputs

    def _checked_states(self, states: Any) -> list[Any]:
        if len(states) != len(self.state_size):
            check.fail(
                self,
                f"initial_state needs {len(self.state_size)} states, of sizes {self.state_size}, got {len(states)}",
            )
        return list(states)

    def _loop(self, sequences: Nest, states: Any, mask: Any, training: bool | None) -> tuple[Nest, Any]:
        """Outputs (all, or the last one) and states."""
        cell = self.cell
        droppers = [c for c in _cells(cell) if isinstance(c, DropoutCell)] if training else []
        for c in droppers:
            c.begin(ops.shape(tree.flatten(sequences)[0])[0])
        try:
            if hasattr(cell, "whole") and cell.whole(training):
                return cell.run(sequences, states, mask, self.return_sequences, self.unroll, training)
            return rnn.rnn(
                lambda x, s: step(cell, x, s if len(s) > 1 or is_list(s) else s[0], training),
                sequences,
                states,
                mask=mask,
                sequences=self.return_sequences,
                unroll=self.unroll,
                first_output=self._first_output(states),
            )
        finally:
            for c in droppers:
                c.end()

    def _first_output(self, states: Any) -> Any:
        """The output that masked steps give before the first valid one: h, where the cell is one of ours."""
        cells = _cells(self.cell)
        if not isinstance(cells[-1], DropoutCell) or type(cells[-1]).__module__.split(".")[0] != __name__.split(".")[0]:
            return None
        return states[-1][0] if isinstance(self.cell, StackedRNNCells) else states[0]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = tree.flatten(mask)[0] if mask is not None else None
        out = mask if self.return_sequences else None
        return [out, *(None for _ in self.state_size)] if self.return_state else out

    def reset_state(self) -> None:
        """Set the states of a stateful layer to zero (to what ``get_initial_state`` gives)."""
        if self.states is not None:
            batch = tree.flatten(self.states)[0].shape[0]
            for variable, value in zip(tree.flatten(self.states), tree.flatten(self.get_initial_state(batch))):
                variable.assign(value)

    def reset_states(self) -> None:
        """As ``reset_state``."""
        self.reset_state()


def _cells(cell: Any) -> list[Any]:
    """The cell, or those that are stacked in it."""
    return [c for one in cell.cells for c in _cells(one)] if isinstance(cell, StackedRNNCells) else [cell]


def _map_shapes(fn: Any, shape: Any) -> Any:
    if isinstance(shape, dict):
        return {k: _map_shapes(fn, v) for k, v in shape.items()}
    if is_list(shape) and shape and is_list(shape[0]):
        return type(shape)(_map_shapes(fn, v) for v in shape)
    return fn(shape)


class _BuiltIn(RNN):
    """An RNN whose cell's arguments are its own: see the cell for them.

    Args: use_cudnn: "auto"; ``False``: without cuDNN; ``True``: an error if the arguments are not such that it could.
    """

    config_skip = frozenset({"cell"})

    def __getattr__(self, name: str) -> Any:
        cell = self.__dict__.get("cell")
        found = next((n for n in (name, *old.LAYER_ARGUMENTS.get(name, ())) if cell and n in cell.__dict__), "_")
        if found.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        value = getattr(cell, found)
        if name in ("init", "inner_init"):  # in Keras 1 they made a variable of a shape
            return lambda shape, name=None: Variable(value, tuple(shape), name=name)
        return value

    def step(self, x: Tensor, states: Any) -> tuple[Tensor, list[Tensor]]:
        """One step: ``(output, new states)``. A subclass may define it, as in Keras 1 and 2.0, calling this one."""
        return self.cell(x, states)

    def _loop(self, sequences: Nest, states: Any, mask: Any, training: bool | None) -> tuple[Nest, Any]:
        if type(self).step is _BuiltIn.step:
            return super()._loop(sequences, states, mask, training)
        step = backends.user_code(self.step)
        return rnn.rnn(step, sequences, states, mask=mask, sequences=self.return_sequences, unroll=self.unroll)

    def config_value(self, name: str) -> Any:
        own = name in RNN.config_order or name == "activity_regularizer"
        return super().config_value(name) if own else self.cell.config_value(name)

    def get_config(self) -> Config:
        config = super().get_config()
        first = [*Layer.config_order, *(["activity_regularizer"] if self.activity_regularizer is not None else [])]
        last = {"seed": config.pop("seed")} if "seed" in config else {}
        return {**{k: config[k] for k in first}, **config, **last}

    def _set_cudnn(self, use_cudnn: bool | str) -> None:
        cell: Any = self.cell
        self.use_cudnn = check.one_of(self, "use_cudnn", use_cudnn, ("auto", True, False))
        cell._cudnn = use_cudnn is not False
        fits = cell._kind() and cell.whole(True) and cell.use_bias and not self.unroll
        if use_cudnn is True and not fits:
            check.fail(
                self,
                "use_cudnn=True needs activation='tanh', recurrent_activation='sigmoid', recurrent_dropout=0, "
                "use_bias=True, unroll=False and reset_after=True; use_cudnn='auto' takes what there is",
            )


def _shared(kwargs: dict[str, Any], name: str) -> dict[str, Any]:
    """The options of a built-in layer's cell that stand among its ``kwargs``."""
    options = {k: kwargs.pop(k) for k in ("implementation",) if k in kwargs}
    return {**options, "dtype": kwargs.get("dtype"), "trainable": kwargs.get("trainable", True), "name": name}


class SimpleRNN(_BuiltIn):
    """The simple recurrent network, h' = activation(x @ kernel + h @ recurrent_kernel + bias), over time."""

    config_skip = frozenset({"seed"})  # as Keras leaves it out

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
        activity_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        recurrent_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: Any = None,
        **kwargs: Any,
    ):
        cell = SimpleRNNCell(
            units, activation, use_bias, kernel_initializer, recurrent_initializer, bias_initializer,
            kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint,
            recurrent_constraint, bias_constraint, dropout, recurrent_dropout, seed, **_shared(kwargs,
            "simple_rnn_cell"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=3)


class LSTM(_BuiltIn):
    """The long short-term memory over time; see LSTMCell."""

    config_skip = frozenset({"use_cudnn"})

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
        unroll: bool = False,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        cell = LSTMCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, unit_forget_bias, kernel_regularizer,
            recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint, dropout, recurrent_dropout, seed, **_shared(kwargs, "lstm_cell"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=3)
        self._set_cudnn(use_cudnn)


class GRU(_BuiltIn):
    """The gated recurrent unit over time; see GRUCell."""

    config_skip = frozenset({"use_cudnn"})

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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        cell = GRUCell(
            units, activation, recurrent_activation, use_bias, kernel_initializer,
            recurrent_initializer, bias_initializer, kernel_regularizer, recurrent_regularizer,
            bias_regularizer, kernel_constraint, recurrent_constraint, bias_constraint, dropout,
            recurrent_dropout, reset_after, seed, **_shared(kwargs, "gru_cell"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful, unroll,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=3)
        self._set_cudnn(use_cudnn)
