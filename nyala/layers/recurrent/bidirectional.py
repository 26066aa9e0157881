"""A recurrent layer run in both directions."""

from __future__ import annotations

from typing import Any

from nyala import ops
from nyala.base import check, tree
from nyala.base.configurable import copied
from nyala.layers.base import Layer
from nyala.layers.recurrent.cells import is_list

_MERGES = ("sum", "mul", "ave", "concat", None)
_MERGE = {
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda a, b: (a + b) / 2,
    "concat": lambda a, b: ops.concatenate([a, b], -1),
}


class Bidirectional(Layer):
    """A recurrent layer from the first step on and one from the last on (https://doi.org/10.1109/78.650093).

    Args:
        layer: a layer with ``go_backwards``, ``return_sequences``, ``return_state``; two copies of it are made.
        merge_mode: how the outputs become one: "concat", "sum", "mul", "ave"; ``None``: a list of both.
        weights: first values of the weights.
        backward_layer: in place of a copy, a layer with the opposite ``go_backwards``.

    Call: as that of ``layer``, ``initial_state`` being the forward states, then the backward ones. -> output or, with
    ``return_state``, a list of the output(s), the forward states and the backward states.
    """

    supports_masking = True
    config_skip = frozenset({"weights"})
    config_order = (*Layer.config_order, "merge_mode")

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Layer | None = None,
        **kwargs: Any,
    ):
        for one in (layer, backward_layer):
            if one is not None and not (isinstance(one, Layer) and all(hasattr(one, a) for a in _NEEDED)):
                check.fail(type(self), f"it needs a recurrent layer with {', '.join(_NEEDED)}, got {one!r}")
        kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(**kwargs)
        self.merge_mode = check.one_of(self, "merge_mode", merge_mode, _MERGES)
        name = layer.name.removeprefix("forward_")
        self.forward_layer: Any = copied(layer, name=f"forward_{name}")
        self.backward_layer: Any = backward_layer
        if backward_layer is None:
            self.backward_layer = copied(
                layer, name=f"backward_{name}", go_backwards=not self.forward_layer.go_backwards
            )
        self._check_directions()
        self.layer = self.forward_layer
        self.return_sequences: bool = self.forward_layer.return_sequences
        self.return_state: bool = self.forward_layer.return_state
        self.stateful: bool = self.forward_layer.stateful
        self.input_spec = self.forward_layer.input_spec
        if self.return_sequences:
            # What a direction held over masked steps would be mixed with the other's outputs; Keras zeroes both as well.
            self.forward_layer.zero_output_for_mask = self.backward_layer.zero_output_for_mask = True
        self._initial_weights = weights

    def _check_directions(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            check.fail(
                self, f"layer and backward_layer both have go_backwards={forward.go_backwards}; they must be opposite"
            )
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(forward, name) != getattr(backward, name):
                check.fail(self, f"layer and backward_layer must have the same {name}")

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def __call__(self, sequences: Any, initial_state: Any = None, **kwargs: Any) -> Any:
        if is_list(sequences) and self.input_spec is not None and len(sequences) > 1 and initial_state is None:
            sequences, *initial_state = sequences  # as Keras 2 passed states
        if initial_state is not None:
            kwargs["initial_state"] = initial_state
        return super().__call__(sequences, **kwargs)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        states: list[Any] = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            if len(initial_state) % 2:
                check.fail(self, f"initial_state needs as many states backward as forward, got {len(initial_state)}")
            states = [list(initial_state[:half]), list(initial_state[half:])]
        forward, backward = (
            layer(sequences, initial_state=s, mask=mask, training=training)
            for layer, s in zip((self.forward_layer, self.backward_layer), states)
        )
        ends: list[Any] = []
        if self.return_state:
            ends = [*forward[1:], *backward[1:]]
            forward, backward = forward[0], backward[0]
        if self.return_sequences:
            backward = tree.map(lambda y: ops.flip(y, 1), backward)
        if self.merge_mode is None:
            return [forward, backward, *ends]
        merged = tree.map(_MERGE[self.merge_mode], forward, backward)
        return [merged, *ends] if self.return_state else merged

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = tree.flatten(mask)[0] if mask is not None and self.return_sequences else None
        ends = [None] * (2 * len(self.forward_layer.state_size)) if self.return_state else []
        if self.merge_mode is None:
            return [mask, mask, *ends]
        return [mask, *ends] if ends else mask

    @property
    def states(self) -> Any:
        """The states between batches of both layers; ``None`` unless stateful."""
        own = self.forward_layer.states
        return None if own is None else [*own, *self.backward_layer.states]

    def reset_state(self) -> None:
        """Set the states of stateful layers to zero."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """As ``reset_state``."""
        self.reset_state()


_NEEDED = ("go_backwards", "return_sequences", "return_state", "stateful", "state_size")
