"""Operations of one's own, and functions cut out of a graph: ``keras.Operation`` and ``keras.Function``."""

from __future__ import annotations

from typing import Any

from nyala import backends
from nyala._typing import Nest
from nyala.base import check, naming, tree
from nyala.base.configurable import Configurable
from nyala.graph import function as graph
from nyala.graph.infer import infer
from nyala.graph.node import Called, Node, backend_of_inputs, symbolic_outputs
from nyala.graph.symbolic import SymbolicTensor


class Operation(Called, Configurable):
    """Something to call on tensors or symbolic tensors that has no weights; define ``call``.

    Args: name: default made from the class name.
    """

    built: bool = True

    def __init__(self, name: str | None = None):
        self.name = naming.auto(type(self).__name__, name)
        self._call_nodes: list[Node] = []

    def call(self, *args: Any, **kwargs: Any) -> Nest:
        """The outputs for tensors."""
        check.fail(self, f"class {type(self).__name__} defines no call(self, ...)", NotImplementedError)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Nest:
        """Symbolic outputs for symbolic inputs; by an abstract call unless overridden."""
        backend = backend_of_inputs((args, kwargs))
        return symbolic_outputs(infer(self.call, args, kwargs, backend), backend)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Nest:
        outputs = self.compute_output_spec(*args, **kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Nest:
        if any(isinstance(x, SymbolicTensor) for x in tree.flatten((args, kwargs))):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def get_build_config(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"<Operation name={self.name}>"


class Function(Operation):
    """The part of a graph between symbolic inputs and outputs, as a callable without weights of its own.

    Args: inputs, outputs: nests of symbolic tensors. name: default ``"function"``, ``"function_1"``, ...
    """

    config_skip = frozenset({"inputs", "outputs"})

    def __init__(self, inputs: Nest, outputs: Nest, name: str | None = None):
        super().__init__(name)
        self._graph = graph.Function(inputs, outputs, check.who(self))
        self.operations: list[Any] = self._graph.operations

    @property
    def inputs(self) -> list[SymbolicTensor]:
        return list(self._graph.flat_inputs)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        return list(self._graph.flat_outputs)

    def call(self, inputs: Nest) -> Nest:
        """The outputs, nested as those that were given, for values nested as the inputs."""
        flat = tree.flatten(inputs)
        if len(flat) != len(self._graph.flat_inputs):
            check.fail(self, f"takes {len(self._graph.flat_inputs)} inputs, got {len(flat)}")
        if any(isinstance(x, SymbolicTensor) for x in flat):
            return self._graph.run(flat)
        found = next((b for b in map(backends.of, flat) if b is not None), None)
        backend = found or self._graph.flat_inputs[0].backend
        return self._graph.run([backend.convert(x) for x in flat])


__all__ = ["Function", "Operation"]
