"""Models made from the graph between symbolic inputs and outputs."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import Nest, Shape
from nyala.backends import host
from nyala.base import check, masks, old, tree
from nyala.graph import closures, infer
from nyala.graph.function import Encoded, Function
from nyala.graph.node import OpCall
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._running import running
from nyala.layers.base import Layer
from nyala.layers.input import InputLayer
from nyala.models.model import Model


class Functional(Model):
    """A model that runs a graph of layers and ops.

    Args:
        inputs: symbolic tensors, alone or in a list or dict; tensors inside another model's graph cut it there.
        outputs: symbolic tensors that depend on the inputs.
        name: default ``"functional"``, ``"functional_1"``, ...

    Raises: ValueError when an output needs an input that is not given; TypeError for what is not symbolic.
    """

    keras_module = "keras.src.models.functional"
    config_skip = frozenset({"inputs", "outputs"})

    def __init__(self, inputs: Nest, outputs: Nest, name: str | None = None, **kwargs: Any):
        trainable = kwargs.pop("trainable", None)
        Layer.__init__(self, name=name, **kwargs)
        self._set_graph(inputs, outputs)
        self.autocast = False
        if trainable is not None and not trainable:
            self.trainable = False

    def _set_graph(self, inputs: Nest, outputs: Nest) -> None:
        who = check.who(self)
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        self._function = _quick(Function(inputs, outputs, who))
        self._extended: Function | None = None
        self._graph_losses: list[SymbolicTensor] = []
        self._named: list[SymbolicTensor] = []
        self._reported: dict[str, SymbolicTensor] = {}
        # Inputs inside another model's graph get an InputLayer of their own; the plan is still fed at the old place.
        heads = [x if x.node is not None and x.node.is_input else _head(x) for x in self._function.flat_inputs]
        self._input_tensors = heads
        cut = [h.node.operation for h, x in zip(heads, self._function.flat_inputs) if h is not x]  # type: ignore[union-attr]
        self.operations: list[Any] = [*cut, *self._function.operations]
        self._input_names = [h.name if h.node is None else h.node.operation.name for h in heads]
        names: dict[str, Any] = {}
        for op in self.operations:
            other = names.setdefault(op.name, op)
            if other is not op and isinstance(op, Layer) and isinstance(other, Layer):
                check.fail(who, f"two of its layers are called {op.name!r}; give each a name of its own")
        self._graph_layers = [op for op in self.operations if isinstance(op, Layer)]
        self._own_backend = self._function.flat_inputs[0].backend if self._function.flat_inputs else None
        self.built = True

    _untracked = Model._untracked | {
        "operations",
        "_function",
        "_extended",
        "_graph_losses",
        "_named",
        "_reported",
        "_input_tensors",
    }

    @property
    def layers(self) -> list[Layer]:
        return list(self._graph_layers)

    @property
    def inputs(self) -> list[SymbolicTensor]:
        return list(self._input_tensors)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        return list(self._function.flat_outputs)

    @property
    def input(self) -> Nest:
        return _only(tree.unflatten(tree.structure(self._function.inputs), list(self._input_tensors)))

    @property
    def output(self) -> Nest:
        return _only(self._function.outputs)

    @property
    def input_names(self) -> list[str]:
        return list(self._input_names)

    @property
    def output_names(self) -> list[str]:
        """A name for each output: that of the layer that gives it."""
        return [x.node.operation.name if x.node is not None else x.name for x in self._function.flat_outputs]

    @property
    def input_shape(self) -> Any:
        return tree.map(lambda x: x.shape, self.input)

    @property
    def output_shape(self) -> Any:
        return tree.map(lambda x: x.shape, self.output)

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the layers were built when the graph was made."""

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": None}

    def call(self, inputs: Nest, training: bool | None = None, mask: Any = None) -> Nest:
        flat = inputs if isinstance(inputs, Encoded) else self._match(inputs)
        if mask is not None:
            for x, m in zip(flat, tree.flatten(mask)):
                if m is not None:
                    masks.set_mask(x, m)
        if self._extended is None:
            return _only(self._function.run(flat))
        outputs, losses, self._named_values = self._extended.run(flat)
        for loss in losses:
            super().add_loss(ops.mean(loss))
        for name, tensor in self._reported.items():
            super().add_metric(self._value_of(tensor), name=name)
        return _only(outputs)

    def _without_texts(self, inputs: Nest) -> Any:
        backend = self._find_backend()
        if host.has_strings(backend) or not any(map(host.is_texts, tree.flatten(inputs))):
            return inputs
        with backends.backend_scope(backend):
            return (self._extended or self._function).encode(self._match(self._convert_input(inputs, backend)))

    @old.takes_old_loss
    def add_loss(self, loss: Any) -> None:
        """Add a loss to that of ``compile``: in a call a scalar; or, as in Keras 2, a symbolic tensor of the model's graph,
        whose mean is added in every call.
        """
        given = tree.flatten(loss)
        if not any(isinstance(x, SymbolicTensor) for x in given):
            super().add_loss(loss)
            return
        old.tell("model.add_loss(symbolic tensor)", "a layer that calls self.add_loss(value) in its call")
        self._extend([*self._graph_losses, *given], self._named)

    def add_metric(self, value: Any, aggregation: str | None = None, name: str | None = None) -> None:
        """As a layer's; or, as in Keras 2, report the mean of a symbolic tensor of the model's graph as ``name``."""
        if isinstance(value, SymbolicTensor):
            self._reported = {**self._reported, name or value.name: value}
            self._extend(self._graph_losses, [*self._named, value])
        else:
            super().add_metric(value, aggregation, name)

    def _extend(self, losses: list[SymbolicTensor], named: list[SymbolicTensor]) -> None:
        """Let a call give what losses and metrics need beside the outputs."""
        wanted = [self._function.outputs, losses, named]
        self._extended = _quick(Function(self._function.inputs, wanted, check.who(self)))
        self._graph_losses, self._named = losses, named
        self._forget_steps()

    def _bind_to_graph(self, given: Any) -> Any:
        def bound(fn: Any) -> Any:
            named = closures.named_by(fn)
            if not named:
                return fn
            old.tell("a loss or metric that names tensors of the model", "a layer that calls self.add_loss in its call")
            new = [x for x in named if not any(x is known for known in self._named)]
            try:
                self._extend(self._graph_losses, [*self._named, *new])
            except ValueError as error:
                error.add_note(
                    f"compile was given `{getattr(fn, '__name__', fn)}`, which names {[x.name for x in named]}"
                )
                raise
            graph = closures.GraphFunction(fn, named)

            @functools.wraps(fn)
            def call(*args: Any) -> Any:
                return graph([self._value_of(x) for x in named], *args)

            return call

        return closures.bind(given, bound)

    def _value_of(self, tensor: SymbolicTensor) -> Any:
        """The value that a tensor of the graph had in the last call."""
        return next(value for x, value in zip(self._named, self._named_values) if x is tensor)

    def _match(self, inputs: Nest) -> list[Any]:
        """The values in the order of the graph's inputs, checked and cast to their dtypes."""
        wanted = self._input_tensors
        if isinstance(inputs, dict) and not isinstance(self._function.inputs, dict):
            missing = [n for n in self._input_names if n not in inputs]
            if missing:
                check.fail(self, f"the input dict lacks {missing}; it has {list(inputs)}", KeyError)
            flat = [inputs[n] for n in self._input_names]
        elif isinstance(self._function.inputs, dict) and isinstance(inputs, dict):
            missing = [k for k in self._function.inputs if k not in inputs]
            if missing:
                check.fail(self, f"the input dict lacks {missing}; it has {list(inputs)}", KeyError)
            flat = tree.flatten({k: inputs[k] for k in self._function.inputs})
        else:
            flat = tree.flatten(inputs) if isinstance(inputs, (list, tuple, dict)) else [inputs]
        if len(flat) != len(wanted):
            check.fail(self, f"expected {len(wanted)} inputs {self._input_names}, got {len(flat)}")
        return [self._fit(x, w, n) for x, w, n in zip(flat, wanted, self._input_names)]

    def _of_more_axes(self, name: str, expected: Shape, shape: Shape) -> Shape:
        """The shape without its surplus axes, with which Keras 2 ran a model that was part of another."""
        message = f"input `{name}` expects shape {expected}, got {shape}"
        if len(shape) < len(expected) or not (infer.is_abstract() or len(running.stack) > 1):
            check.fail(self, message)
        warnings.warn(f"{check.who(self)}: {message}; its layers take the further axes as they can", stacklevel=2)
        return (shape[0], *shape[1 + len(shape) - len(expected) :])

    def _fit(self, x: Any, wanted: SymbolicTensor, name: str) -> Any:
        if x is None:
            if not getattr(wanted.node.operation if wanted.node else None, "optional", False):
                check.fail(self, f"input `{name}` is None; make it Input(..., optional=True) if it may be missing")
            return x
        shape, expected = x.shape, wanted.shape
        rank = len(shape)
        texts = host.is_texts(x)
        if rank != len(expected):
            if rank == len(expected) - 1 and expected[-1] == 1:
                return self._fit(np.expand_dims(x, -1) if texts else ops.expand_dims(x, -1), wanted, name)
            if rank == len(expected) + 1 and shape[-1] == 1:
                return self._fit(np.squeeze(x, -1) if texts else ops.squeeze(x, -1), wanted, name)
            shape = self._of_more_axes(name, expected, tuple(shape))
        for size, want in zip(shape, expected):
            if want is not None and size is not None and size != want:
                check.fail(self, f"input `{name}` expects shape {expected}, got {tuple(x.shape)}")
        if isinstance(x, SymbolicTensor):
            return x
        backend = self._find_backend()
        dtype = "string" if texts else backend.dtype_of(x)
        if dtype == "string" != wanted.dtype:
            check.fail(self, f"input `{name}` expects {wanted.dtype}, got strings", TypeError)
        if dtype != wanted.dtype:
            mask = masks.get_mask(x)
            x = backend.cast(x, wanted.dtype)
            if mask is not None:
                masks.set_mask(x, mask)
        return x

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        from nyala.models.graph_config import functional_config

        return functional_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        from nyala.base import registry
        from nyala.models.graph_config import functional_from_config

        with registry.custom_object_scope(custom_objects or {}):
            return functional_from_config(cls, config)


def _quick(function: Function) -> Function:
    for step in function.steps:
        if step.fill is None and isinstance(step.operation, Layer):
            step.run = step.operation._quick()
    return function


def _only(nest: Nest) -> Nest:
    """What stands alone in a list, which every Keras takes for the tensor itself, at the latest when the model runs."""
    return nest[0] if isinstance(nest, (list, tuple)) and len(nest) == 1 else nest


def _head(x: SymbolicTensor) -> SymbolicTensor:
    return InputLayer(batch_shape=x.shape, dtype=x.dtype, name=x.name).output


def is_op(operation: Any) -> bool:
    return isinstance(operation, OpCall)
