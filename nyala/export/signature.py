"""Input signatures: what the arguments of an exported function look like."""

from __future__ import annotations

from typing import Any

from nyala import backends
from nyala._typing import Nest
from nyala.backends import dtypes
from nyala.backends.base import NamedSpec
from nyala.base import check, tree
from nyala.layers._arguments import map_shapes
from nyala.layers.base import Layer


def standardize(owner: Any, given: Nest) -> list[Nest]:
    """``NamedSpec``s, a nest an argument, for specs, symbolic tensors, tensors or arrays. Raises ValueError, TypeError."""
    if not isinstance(given, (list, tuple)):
        check.fail(owner, f"input_signature must be a list with an entry for each argument, got {given!r}", TypeError)
    return [tree.map(lambda x: _spec(owner, x), one) for one in given]


def _spec(owner: Any, x: Any) -> NamedSpec:
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is None or dtype is None:
        check.fail(owner, f"each entry of input_signature needs a shape and a dtype, got {x!r}")
    tensor_of = backends.of(x)
    dtype = tensor_of.dtype_of(x) if tensor_of is not None else dtypes.standardize(getattr(dtype, "name", dtype))
    return NamedSpec(tuple(None if n is None else int(n) for n in shape), dtype, getattr(x, "name", None))


def signature_of(layer: Layer) -> list[Nest]:
    """The signature of a layer's call: the inputs of a graph, else the shape that it was built for with any batch.

    Raises ValueError for one that was not called yet, or has several arguments.
    """
    if not layer.built:
        check.fail(layer, "is not built yet: call it on data or use build(input_shape), or give input_signature")
    graph: Any = getattr(layer, "_graph", lambda: None)()
    if graph is not None:
        names = iter(graph.input_names)
        named = tree.map(lambda x: NamedSpec(x.shape, x.dtype, next(names)), graph.input)
        return [named]
    args, kwargs = layer._build_args or ((), {})
    if len(args) != 1 or kwargs or args[0] is None:
        check.fail(layer, "its inputs are not known; give input_signature, a list with an InputSpec for each argument")
    dtype = layer.input_dtype
    return [map_shapes(lambda s: NamedSpec((None, *s[1:]) if s else (), dtype), args[0])]


def fitted(layer: Layer, signature: list[Nest]) -> list[Nest]:
    """The signature with what belongs to a graph's several inputs taken together as its one argument."""
    graph: Any = getattr(layer, "_graph", lambda: None)()
    inputs = tree.flatten(graph.input) if graph is not None else []
    if graph is not None and len(signature) == len(inputs) > 1:
        return [tree.unflatten(tree.structure(graph.input), tree.flatten(signature))]
    return signature


__all__ = ["fitted", "signature_of", "standardize"]
