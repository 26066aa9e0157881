"""One call of an op or a layer on symbolic tensors."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

from nyala._typing import Nest
from nyala.backends.base import BackendBase, TensorSpec
from nyala.base import check, naming, tree
from nyala.graph.infer import infer, is_size
from nyala.graph.symbolic import SymbolicTensor, leaves_of


class Called:
    """Mixed into what nodes call: the symbolic tensors of its calls."""

    _call_nodes: list[Node]

    @property
    def input(self) -> Nest:
        """The symbolic input of the first call. Raises AttributeError when it was never called so."""
        first = self._first_node("input")
        return first.args[0] if len(first.args) == 1 and len(first.inputs) > 1 else _alone(first.inputs)

    @property
    def output(self) -> Nest:
        """The symbolic output of the first call."""
        return self._first_node("output").outputs

    def get_input_at(self, node_index: int) -> Nest:
        return _alone(self._call_nodes[node_index].inputs)

    def get_output_at(self, node_index: int) -> Nest:
        return self._call_nodes[node_index].outputs

    @property
    def inbound_nodes(self) -> list[Node]:
        return self._call_nodes

    _inbound_nodes = inbound_nodes

    def _first_node(self, what: str) -> Node:
        if not self._call_nodes:
            raise AttributeError(
                f"{check.who(self)} has no {what}: it was not called on a symbolic tensor. Call it on "
                "nyala.Input(shape=...) or put it in a model with a known input shape"
            )
        return self._call_nodes[0]


class OpCall(Called):
    """Gives the function of an op a name in the graph, as a layer has one."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None):
        self.fn = fn
        own = naming.snake(getattr(fn, "__name__", "op").lstrip("_"))
        self.name = name or naming.unique({"getitem": "get_item"}.get(own, own))
        self._call_nodes: list[Node] = []
        self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class Node:
    """``operation(*args, **kwargs)`` gave ``outputs``; ``operation`` is a layer or an ``OpCall``."""

    __slots__ = ("operation", "args", "kwargs", "inputs", "outputs", "flat_outputs", "call_index")

    def __init__(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Nest):
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.inputs = [x for x in leaves_of((args, kwargs)) if isinstance(x, SymbolicTensor)]
        self.outputs = outputs
        self.flat_outputs = tree.flatten(outputs)
        self.call_index = len(operation._call_nodes)
        operation._call_nodes.append(self)
        for x in self.inputs:
            x.consumers = (*x.consumers, self)
        for i, out in enumerate(self.flat_outputs):
            if isinstance(out, SymbolicTensor):
                out.node, out.index = self, i

    @property
    def is_input(self) -> bool:
        return not self.inputs

    @property
    def parents(self) -> list[Node]:
        return [x.node for x in self.inputs if x.node is not None]

    parent_nodes = parents

    @property
    def input_tensors(self) -> list[SymbolicTensor]:
        return self.inputs

    @property
    def output_tensors(self) -> list[Any]:
        return self.flat_outputs

    @property
    def outbound_layer(self) -> Any:
        """Keras 2's name of ``operation``."""
        return self.operation

    layer = outbound_layer

    @property
    def inbound_layers(self) -> Any:
        """Keras 2: the layers (ops among them) whose outputs the call takes; one alone stands without a list."""
        return _alone([node.operation for node in self.parents])


def _alone(found: list[Any]) -> Any:
    """One thing stands without a list."""
    return found[0] if len(found) == 1 else found


_FUNCTIONS = (types.FunctionType, functools.partial)
_inferred: dict[Any, Nest] = {}
_MAX_INFERRED = 4096


def record(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Nest:
    """Add the call of an op (or of a backend's own function) to the graph; returns its symbolic outputs.

    Functions among the arguments (branches, bodies of loops) may name other symbolic tensors.
    """
    functions = [x for x in tree.flatten((args, kwargs)) if isinstance(x, _FUNCTIONS)]
    if functions and not isinstance(fn, _Closed):
        from nyala.graph.closures import named_by

        named = list({id(x): x for f in functions for x in named_by(f)}.values())
        if named:
            return record(_Closed(fn, named), (named, args, kwargs), {})
    kwargs = dict(kwargs)
    node_name = kwargs.pop("name", None) if "name" in kwargs and not _takes_name(fn) else None
    backend = backend_of_inputs((args, kwargs))
    key = _key(fn, args, kwargs, backend)
    specs = _inferred.get(key) if key is not None else None
    if specs is None:
        try:
            specs = infer(fn, args, kwargs, backend)
        except Exception as error:
            shapes = ", ".join(str(x.shape) for x in tree.flatten((args, kwargs)) if isinstance(x, SymbolicTensor))
            error.add_note(
                f"while op `{getattr(fn, '__name__', fn)}` was applied to symbolic tensors of shape {shapes}"
            )
            raise
        if key is not None:
            if len(_inferred) > _MAX_INFERRED:
                _inferred.clear()
            _inferred[key] = specs
    outputs = symbolic_outputs(specs, backend)
    Node(OpCall(fn, node_name), args, kwargs, outputs)
    return outputs


class _Closed:
    """A function whose arguments hold functions that name symbolic tensors, as one of these tensors, too."""

    def __init__(self, fn: Callable[..., Any], named: list[SymbolicTensor]):
        self.fn = fn
        self.named = named
        self.__name__ = getattr(fn, "__name__", "function")

    def __call__(self, values: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        from nyala.graph.closures import with_values

        known = {id(x): value for x, value in zip(self.named, values)}
        args, kwargs = tree.map(lambda x: with_values(x, known) if isinstance(x, _FUNCTIONS) else x, (args, kwargs))
        return self.fn(*args, **kwargs)


def _takes_name(fn: Callable[..., Any]) -> bool:
    try:
        return "name" in inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return True


def symbolic_outputs(specs: Nest, backend: BackendBase) -> Nest:
    return tree.map(
        lambda s: SymbolicTensor(s.shape, s.dtype, backend=backend) if isinstance(s, TensorSpec) else s, specs
    )


def backend_of_inputs(nest: Nest) -> BackendBase:
    """The backend that the symbolic tensors were made for; TypeError if they differ."""
    found: BackendBase | None = None
    for x in tree.flatten(nest):
        if isinstance(x, SymbolicTensor):
            if found is not None and x.backend is not found:
                raise TypeError(
                    f"symbolic tensors of two backends, {found.name!r} and {x.backend.name!r}, meet in one call; "
                    "build a model inside one `nyala.backend_scope(...)`"
                )
            found = x.backend
    assert found is not None
    return found


def _key(fn: Any, args: Any, kwargs: Any, backend: BackendBase) -> Any:
    """What the inferred shapes depend on; ``None`` for arguments that are no keys (arrays, functions, sizes)."""
    leaves, treedef = tree.flatten_with_structure((args, kwargs))
    parts: list[Any] = []
    for x in leaves:
        if isinstance(x, SymbolicTensor):
            if is_size(x):
                return None
            parts.append(x.spec)
        elif x is None or isinstance(x, (int, float, str, bool, type(Ellipsis))):
            parts.append((type(x), x))
        elif isinstance(x, slice) and all(v is None or isinstance(v, int) for v in (x.start, x.stop, x.step)):
            parts.append(("slice", x.start, x.stop, x.step))
        else:
            return None
    return (fn, treedef, tuple(parts), backend.name)
