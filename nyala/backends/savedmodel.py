"""TensorFlow's SavedModel as something to fill: functions, and the variables that they read, whatever backend these are of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nyala._typing import Nest
from nyala.base import check, tree
from nyala.base.variable import Variable


class Archive:
    """What becomes a SavedModel. Raises ImportError without TensorFlow."""

    def __init__(self) -> None:
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError("a SavedModel is written by TensorFlow: pip install 'nyala[tensorflow]'") from error
        self._tf: Any = tf
        self._root: Any = tf.__internal__.tracking.AutoTrackable()
        self._storages: dict[Variable, Any] = {}
        self._endpoints: dict[str, Any] = {}
        self.custom_gradients = False
        """Whether an endpoint's gradient is no sum of those of its ops, and must be written, too."""

    def storage(self, variable: Variable) -> Any:
        """The ``tf.Variable`` that stands for a variable: its own, or one with its value."""
        tf = self._tf
        if isinstance(variable._storage, tf.Variable):
            return variable._storage
        if variable not in self._storages:
            self._storages[variable] = tf.Variable(
                variable.numpy(), trainable=variable.trainable, name=variable.path.replace("/", "_")
            )
        return self._storages[variable]

    def is_resource(self, x: Any) -> bool:
        """Whether ``x`` is what TensorFlow itself saves: a variable, a module, a lookup table."""
        return isinstance(x, self._tf.__internal__.tracking.Trackable)

    def is_traced(self, fn: Any) -> bool:
        """Whether ``fn`` is a ``tf.function`` that has been called."""
        return isinstance(fn, self._tf.types.experimental.PolymorphicFunction) and bool(
            fn._list_all_concrete_functions()
        )

    def hold(self, name: str, value: Any) -> None:
        """Attribute ``name`` of what is loaded: a resource, or a list of variables."""
        if isinstance(value, (list, tuple)):
            value = [self.storage(v) if isinstance(v, Variable) else v for v in value]
        setattr(self._root, name, value)

    def spec(self, nest: Nest) -> Nest:
        """TensorFlow's own specs for ``NamedSpec``s."""
        return tree.map(lambda s: self._tf.TensorSpec(s.shape, s.dtype, s.name), nest)

    def add(self, name: str, function: Any) -> None:
        """A ``tf.function`` with a signature."""
        self._endpoints[name] = function
        setattr(self._root, name, function)

    def write(self, path: str, options: Any = None) -> None:
        """Write a folder. Raises ValueError for what works in this process only."""
        signatures = {name: _concrete(fn) for name, fn in self._endpoints.items()}
        for name, fn in signatures.items():
            if host := sorted({op.type for op in _ops(fn) if op.type in _OF_THIS_PROCESS}):
                check.fail(
                    f"endpoint `{name}`",
                    f"runs Python code ({host[0]}), which no file holds. Export the model without the layer that does, and run "
                    "that on the data in front of it",
                )
        signatures.setdefault("serving_default", next(iter(signatures.values())))
        options = options or self._tf.saved_model.SaveOptions(experimental_custom_gradients=self.custom_gradients)
        self._tf.saved_model.save(self._root, path, signatures=signatures, options=options)

    def describe(self) -> list[str]:
        """A line for each endpoint."""
        lines = []
        for name, function in self._endpoints.items():
            fn = _concrete(function)
            given = ", ".join(_described(s) for s in tree.flatten(fn.structured_input_signature))
            made = ", ".join(f"{s.dtype.name} {tuple(s.shape)}" for s in tree.flatten(fn.structured_outputs))
            lines.append(f"{name}({given}) -> {made}")
        return lines


_OF_THIS_PROCESS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def _concrete(function: Any) -> Any:
    found = function._list_all_concrete_functions()
    return found[0] if found else function.get_concrete_function()


def _ops(fn: Any) -> Iterable[Any]:
    """Of the function and of those that it calls."""
    yield from fn.graph.get_operations()
    for inner in fn.graph._functions.values():
        yield from getattr(inner, "graph", fn.graph).get_operations()


def _described(spec: Any) -> str:
    return f"{spec.name}: {spec.dtype.name} {tuple(spec.shape)}"


__all__ = ["Archive"]
