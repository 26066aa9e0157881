"""Layers, models, optimizers and metrics as TensorFlow's ``Trackable``: for ``tf.train.Checkpoint`` and SavedModels.

The children of an object are named by the attributes that hold them; a variable stands for its storage.
"""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from nyala.backends import host, interop
from nyala.base.variable import Variable

_KINDS = (Variable, interop.Citizen, tf.__internal__.tracking.Trackable)


class Trackable(tf.__internal__.tracking.Trackable):
    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        skip = getattr(self, "_untracked", frozenset()) - {"_own_variables", "optimizer"}
        found: dict[int, tuple[str, Any]] = {}
        for name, value in self.__dict__.items():
            if name not in skip and not name.startswith("_self_") and name not in ("_init_args", "_parents"):
                for path, child in _children(name, value, 0):
                    if not isinstance(child, Variable) or child.backend.name == "tensorflow":
                        found.setdefault(id(child), (path, child))
        children = {p: c._storage if isinstance(c, Variable) else c for p, c in found.values() if c is not self}
        if save_type == "savedmodel" and getattr(self, "built", False) and hasattr(self, "inputs"):
            children["_default_save_signature"] = _signature(self)
        return children

    def _restore_waiting(self) -> None:
        for name, child in self._trackable_children().items():
            self._handle_deferred_dependencies(name, child)


def _children(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _KINDS):
        yield path, value
    elif isinstance(value, (list, tuple, dict)) and depth < 3:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _children(f"{path}-{key}", item, depth + 1)


def _signature(model: Any) -> Any:
    """The model's call as a function with a signature, for ``tf.saved_model.save(model, path)``."""
    specs = [tf.TensorSpec(x.shape, x.dtype, name) for x, name in zip(model.inputs, model.input_names)]

    @tf.function(input_signature=specs, autograph=False)
    def serving_default(*inputs: Any) -> Any:
        with host.for_file():
            outputs = model(inputs[0] if len(inputs) == 1 else list(inputs), training=False)
        if isinstance(outputs, dict):
            return outputs
        found = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        return {f"output_{i}": x for i, x in enumerate(found)}

    return serving_default


def install() -> None:
    interop.Citizen.__bases__ = (Trackable,)
