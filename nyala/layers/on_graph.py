"""Layers called on symbolic tensors; among them those whose ``call`` names others of the graph, as in Keras 1 and 2."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nyala import ops
from nyala._typing import Nest
from nyala.backends.base import TensorSpec
from nyala.base import check, naming, old, tree
from nyala.graph import closures, infer
from nyala.graph.node import Node, backend_of_inputs, symbolic_outputs
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._arguments import Call, map_shapes, masks_of
from nyala.layers._running import call_ids, running

if TYPE_CHECKING:
    from nyala.layers.base import Layer


def call(layer: Layer, spec: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Add the call to the graph; returns its symbolic outputs."""
    backend = backend_of_inputs((args, kwargs))
    if layer._own_backend is not None and layer._own_backend is not backend:
        check.fail(
            layer,
            f"belongs to backend {layer._own_backend.name!r} and was called on a symbolic tensor made for {backend.name!r}; "
            "build a model inside one `nyala.backend_scope(...)`",
            TypeError,
        )
    outer = running.stack, running.training, running.call_id
    if not outer[0]:
        running.call_id = next(call_ids)
    running.stack = (*outer[0], layer)
    try:
        if not layer.built:
            layer._build_for(spec, args, kwargs, backend)
        if layer.input_spec is not None:
            layer._check_input(args[0] if args else kwargs.get(spec.names[0]), backend)
    finally:
        running.stack, running.training, running.call_id = outer
    kwargs = {**kwargs, **_named_tensors(layer, layer._users_function(spec))}
    given = dict(kwargs)
    inputs, in_masks = masks_of(spec, args, given)
    specs = _output_specs(layer, args, given, backend)
    outputs = symbolic_outputs(specs, backend)
    # The node keeps the call as it was written: when it is run, masks travel with the values.
    Node(layer, args, kwargs, outputs)
    if layer.supports_masking or in_masks is not None or spec.own_mask:
        layer._give_mask(inputs, in_masks, outputs)
    return outputs


def _output_specs(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any], backend: Any) -> Nest:
    """By abstract evaluation; where that fails as a user's own ``compute_output_shape`` says, as in all of Keras."""
    try:
        return infer.infer(layer._call_abstract, args, kwargs, backend)
    except Exception:
        unknown = any(None in x.shape[1:] for x in tree.flatten(args) if isinstance(x, SymbolicTensor))
        said = getattr(layer, "said_shape", None) if unknown else None  # of a Lambda
        if not (args and (said is not None or not naming.is_ours(type(layer).compute_output_shape))):
            raise
        shapes = (said or layer.compute_output_shape)(tree.map(lambda x: getattr(x, "shape", x), args[0]))
        return map_shapes(lambda shape: TensorSpec(tuple(shape), layer.compute_dtype), shapes)


# -- tensors that a call names beside its inputs -----------------------------------------------------------------------

_collecting: ContextVar[list[SymbolicTensor] | None] = ContextVar("_collecting", default=None)


class GraphCall:
    """The ``call`` of such a layer: its nodes hand it the values of those tensors as ``named_tensors``."""

    def __init__(self, layer: Layer, named: list[SymbolicTensor]):
        self.layer = layer
        self.named = named
        self._call = layer.call
        self._graph = closures.GraphFunction(self._with_losses, named)

    def _with_losses(self, *args: Any, **kwargs: Any) -> list[Any]:
        losses: list[SymbolicTensor] = []
        token = _collecting.set(losses)
        try:
            return [self._call(*args, **kwargs), losses]
        finally:
            _collecting.reset(token)

    def __call__(self, *args: Any, named_tensors: Any = None, **kwargs: Any) -> Any:
        if named_tensors is None:
            names = [x.name for x in self.named]
            check.fail(
                self.layer, f"its call names the symbolic tensors {names}, so it works only in a model that has them"
            )
        outputs, losses = self._graph(named_tensors, *args, **kwargs)
        for loss in losses:
            self.layer.add_loss(ops.mean(loss))
        return outputs


def _named_tensors(layer: Layer, function: Any) -> dict[str, Any]:
    """What a node of the layer is given beside its arguments, because ``function``, which it calls, names it."""
    call = layer.__dict__.get("call")
    if not isinstance(call, GraphCall):
        named = closures.named_by(function)
        if not named:
            return {}
        old.tell("a layer that names tensors beside its inputs", "a layer that takes them among its inputs")
        call = layer.__dict__["call"] = GraphCall(layer, named)
    return {"named_tensors": call.named}


def collect_loss(loss: Any) -> bool:
    """Keep a symbolic loss for the layer whose graph is being made; whether it was one."""
    if not isinstance(loss, SymbolicTensor):
        return False
    losses = _collecting.get()
    if losses is None:
        check.fail("add_loss", f"got the symbolic tensor {loss}, which has no value here; model.add_loss takes such")
    losses.append(loss)
    return True
