"""``Recurrent`` of Keras 1 and 2.0, whose subclasses say what one step does, and the model ``Graph`` of Keras 0 and 1."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nyala import backend as K
from nyala import layers, ops
from nyala._typing import Tensor
from nyala.base import check, old
from nyala.compat.old import merge
from nyala.models import Functional


class Recurrent(layers.Layer):
    """A layer over time. A subclass defines ``step(x, states) -> (output, new states)``, where ``states`` ends in the
    constants; and may define ``get_initial_state(inputs)``, ``get_constants(inputs)`` and ``preprocess_input(inputs)``.

    Args: see ``RNN``; the rest of Keras 1's asks for nothing. ``self.states`` is a list with an entry a state.
    """

    supports_masking = True
    states: Any = (None,)
    _untracked = layers.Layer._untracked | {"states"}

    def __init__(
        self,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        **kwargs: Any,
    ):
        for name in ("implementation", "consume_less"):
            kwargs.pop(name, None)
        super().__init__(**kwargs)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.unroll = unroll
        if stateful:
            check.fail(self, "stateful=True works in RNN with a cell; write step as the call of a cell", TypeError)
        self.stateful = False

    def step(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states from the input of one step and the states."""
        return check.fail(self, f"class {type(self).__name__} defines no step(self, x, states)", NotImplementedError)

    def preprocess_input(self, inputs: Tensor) -> Tensor:
        return inputs

    def get_constants(self, inputs: Tensor) -> list[Tensor]:
        return []

    def get_initial_state(self, inputs: Tensor) -> list[Tensor]:
        """Zeros as wide as the layer says by ``units`` or ``output_dim``."""
        width = getattr(self, "units", None) or getattr(self, "output_dim", None)
        if width is None:
            check.fail(self, "needs units, output_dim or a get_initial_state(self, inputs) of its own")
        return [ops.zeros((ops.shape(inputs)[0], width), self.compute_dtype) for _ in self.states or [None]]

    def call(self, inputs: Tensor, mask: Any = None, initial_state: Any = None) -> Any:
        first = (
            initial_state
            if initial_state is not None
            else _own(self, "get_initial_states", "get_initial_state")(inputs)
        )
        last, outputs, states = K.rnn(
            self.step,
            self.preprocess_input(inputs),
            first,
            go_backwards=self.go_backwards,
            mask=mask[0] if isinstance(mask, list) else mask,
            constants=self.get_constants(inputs),
            unroll=self.unroll,
        )
        output = outputs if self.return_sequences else last
        return [output, *states] if self.return_state else output

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None


def _own(layer: Any, older: str, newer: str) -> Callable[..., Any]:
    """A method under its name in Keras 1 where the class has that, else under that of Keras 2."""
    return getattr(layer, older, None) or getattr(layer, newer)


def time_distributed_dense(
    x: Tensor,
    w: Any,
    b: Any = None,
    dropout: float | None = None,
    input_dim: int | None = None,
    output_dim: int | None = None,
    timesteps: int | None = None,
    training: Any = None,
) -> Tensor:
    """``x @ w + b`` for each step; ``dropout``: one mask for all steps, in training. The sizes follow from ``w``."""
    if dropout:
        shape = (ops.shape(x)[0], 1, x.shape[-1])
        x = K.in_train_phase(lambda: K.dropout(x, dropout, shape), x, training)
    x = K.dot(x, w)
    return x if b is None else K.bias_add(x, b)


class Graph:
    """Keras 0 and 1: a model of named nodes; ``fit``, ``evaluate`` and ``predict`` take and give dictionaries by name.

    ``model`` is the ``Model`` behind it, whose other methods and attributes it has, too.
    """

    def __init__(self) -> None:
        old.tell("Graph()", "Model(inputs, outputs)")
        self.heads: dict[str, Any] = {}
        self.tails: dict[str, Any] = {}
        self.nodes: dict[str, Any] = {}

    @functools.cached_property
    def model(self) -> Any:
        return Functional(self.heads, self.tails)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.model, name)

    def add_input(
        self, name: str, input_shape: Any = None, batch_input_shape: Any = None, dtype: str = "float32"
    ) -> None:
        shape = batch_input_shape or (None, *input_shape)
        self.nodes[name] = self.heads[name] = layers.Input(batch_shape=tuple(shape), dtype=dtype, name=name)

    def add_node(
        self,
        layer: Any,
        name: str,
        input: str | None = None,
        inputs: Sequence[str] = (),
        merge_mode: str = "concat",
        concat_axis: int = -1,
        dot_axes: Any = -1,
        create_output: bool = False,
    ) -> None:
        """``layer`` (``None``: nothing) on the node ``input``, or on several merged. create_output: it is an output, too."""
        x = self._gathered(input, inputs, merge_mode, concat_axis, dot_axes)
        self.nodes[name] = x if layer is None else layer(x)
        if create_output:
            self.add_output(name, name)

    def add_output(
        self,
        name: str,
        input: str | None = None,
        inputs: Sequence[str] = (),
        merge_mode: str = "concat",
        concat_axis: int = -1,
        dot_axes: Any = -1,
    ) -> None:
        self.tails[name] = self._gathered(input, inputs, merge_mode, concat_axis, dot_axes)

    def _gathered(self, input: str | None, inputs: Sequence[str], mode: str, concat_axis: int, dot_axes: Any) -> Any:
        names = [input] if input else list(inputs)
        unknown = [n for n in names if n not in self.nodes]
        if unknown or not names:
            check.fail("Graph", f"knows no node {unknown}; there are {list(self.nodes)}")
        found = [self.nodes[n] for n in names]
        return found[0] if len(found) == 1 else merge(found, mode, concat_axis, dot_axes)

    def _split(self, data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return {n: data[n] for n in self.heads}, {n: data[n] for n in self.tails if n in data}

    def fit(self, data: Mapping[str, Any], **kwargs: Any) -> Any:
        """``data``: arrays by the names of inputs and outputs."""
        kept = kwargs.pop("validation_data", None)
        return self.model.fit(*self._split(data), validation_data=kept and self._split(kept), **kwargs)

    def evaluate(self, data: Mapping[str, Any], **kwargs: Any) -> Any:
        return self.model.evaluate(*self._split(data), **kwargs)

    def train_on_batch(self, data: Mapping[str, Any], **kwargs: Any) -> Any:
        return self.model.train_on_batch(*self._split(data), **kwargs)

    def predict(self, data: Mapping[str, Any], **kwargs: Any) -> Any:
        return self.model.predict(self._split(data)[0], **kwargs)
