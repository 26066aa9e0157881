"""What layers could do in Keras 1 and 2 under another name; each says so once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nyala.base import check, old, tracking, tree
from nyala.base.variable import Variable
from nyala.graph import infer
from nyala.graph.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from nyala.graph.node import Node


def _weight(layer: Any, name: str, today: tuple[str, ...]) -> Any:
    """A weight by its name in Keras 1."""
    found = next((n for n in today if n in vars(layer)), None)
    if found is None:
        raise AttributeError(f"{type(layer).__name__!r} object has no attribute {name!r}")
    old.tell(f"layer.{name}", f"layer.{found}")
    return vars(layer)[found]


class OldLayer:
    """Mixed into ``Layer``."""

    _call_nodes: list[Node]
    _own_variables: list[Variable]
    _added_metrics: dict[str, Any] = {}
    uses_learning_phase: bool = False
    """In Keras 1 and 2: whether ``K.function`` must be fed a learning phase. It may be, and need not."""

    def add_variable(self, *args: Any, **kwargs: Any) -> Variable:
        """Keras 1 and 2: ``add_weight``."""
        old.tell("layer.add_variable", "layer.add_weight")
        return self.add_weight(*args, **kwargs)  # type: ignore[attr-defined]

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Keras 1 and 2: run updates with the step; pairs of variable and new value, callables, or what
        ``K.update`` gave (that has been run already). In training only, as an assignment under ``if training``.
        """
        old.tell("layer.add_update(updates)", "variable.assign(value) in call, under `if training:`")
        if not self._in_training():  # type: ignore[attr-defined]
            return
        pair = isinstance(updates, tuple) and len(updates) == 2 and isinstance(updates[0], Variable)
        for update in [updates] if pair or not isinstance(updates, (list, tuple)) else updates:
            if callable(update) and not isinstance(update, Variable):
                update()
            elif isinstance(update, (list, tuple)) and len(update) == 2 and isinstance(update[0], Variable):
                update[0].assign(update[1])

    def add_metric(self, value: Any, aggregation: str | None = None, name: str | None = None) -> None:
        """TensorFlow's Keras 2, in ``call``: report the mean of ``value`` over the epoch as ``name``.

        What a metric of the layer's own gave needs no name, for that metric is reported by itself.
        Raises: NotImplementedError for a symbolic tensor, with the way out.
        """
        today = "self.score = metrics.Mean(name='score') in __init__ and self.score.update_state(value) in call"
        if isinstance(value, SymbolicTensor):
            check.fail(
                self, f"add_metric takes no symbolic tensor; in a layer of your own write {today}", NotImplementedError
            )
        old.tell("layer.add_metric(value)", today)
        if name is None:
            return
        from nyala.metrics import Mean

        if name not in self._added_metrics:
            self._added_metrics = {**self._added_metrics, name: Mean(name=name)}
        if not infer.is_abstract():
            self._added_metrics[name].update_state(value)

    def _adopt(self, variables: list[Variable], trainable: bool) -> None:
        """Keras 1: ``self.trainable_weights = [self.W, self.b]`` in ``build``."""
        old.tell("self.trainable_weights = [...]", "self.add_weight(...) for each weight")
        for variable in variables:
            variable.trainable = trainable
        self._own_variables = tracking.unique([*self._own_variables, *variables])

    W: Any = old.Attribute(lambda layer: _weight(layer, "W", ("kernel", "embeddings", "depthwise_kernel")))
    U: Any = old.Attribute(lambda layer: _weight(layer, "U", ("recurrent_kernel",)))
    b: Any = old.Attribute(lambda layer: _weight(layer, "b", ("bias",)))
    updates: Any = old.Attribute(lambda layer: [])
    """Keras 1 and 2: pending updates. There are none: an assignment is done where it stands."""
    state_updates: Any = old.Attribute(lambda layer: [])

    def get_updates_for(self, inputs: Any) -> list[Any]:
        return []

    def get_losses_for(self, inputs: Any) -> list[Any]:
        """TensorFlow's Keras 2: ``losses``."""
        old.tell("layer.get_losses_for(x)", "layer.losses")
        return self.losses  # type: ignore[attr-defined]

    @property
    def outbound_nodes(self) -> list[Node]:
        """The calls that take an output of this layer."""
        return tracking.unique([n for node in self._call_nodes for x in node.flat_outputs for n in x.consumers])

    _outbound_nodes = outbound_nodes

    input_shape: Any = old.Attribute(lambda layer: tree.map(lambda x: x.shape, layer.input))
    output_shape: Any = old.Attribute(lambda layer: tree.map(lambda x: x.shape, layer.output))

    def get_input_shape_at(self, node_index: int) -> Any:
        return tree.map(lambda x: x.shape, self.get_input_at(node_index))  # type: ignore[attr-defined]

    def get_output_shape_at(self, node_index: int) -> Any:
        return tree.map(lambda x: x.shape, self.get_output_at(node_index))  # type: ignore[attr-defined]
