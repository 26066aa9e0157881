"""Layers whose ``call`` names symbolic tensors beside its inputs, as layers of Keras 1 and 2 could."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nyala import ops
from nyala.base import check, old
from nyala.graph import closures
from nyala.graph.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from nyala.layers.base import Layer

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


def arguments(layer: Layer, function: Any) -> dict[str, Any]:
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
