"""A model for a while on a backend that can do what its own cannot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nyala import backends
from nyala.base import check, scope, tracking
from nyala.base.variable import Variable
from nyala.layers.base import Layer
from nyala.models.model import point_to


def able(format: str, layer: Layer) -> Any:
    """The backend that exports to ``format``: the layer's own, or another that is installed.

    Raises ModuleNotFoundError naming what to install.
    """
    own = layer._find_backend()
    if format in own.export_formats:
        return own
    missing = []
    for name in reversed(backends.NAMES):
        if importlib.util.find_spec(name) is None:
            missing.append(name)
        elif format in backends.get(name).export_formats:
            return backends.get(name)
    return check.fail(
        layer,
        f"on {own.name}, is not exported to {format!r}, and no backend that is installed does that; not installed are {missing}",
        ModuleNotFoundError,
    )


@contextmanager
def moved(layers: Sequence[Layer], target: Any, storage: Callable[[Variable], Any] | None = None) -> Iterator[None]:
    """Within it the layers are on backend ``target`` with the same values; after it they have the storage that they had.

    Args: storage: what ``target`` keeps a variable's value in; default: made anew.
    """
    before = [(v, v.backend, v._storage) for v in tracking.unique([v for layer in layers for v in layer._states()])]
    own = [layer._find_backend() for layer in layers]
    for variable, backend, _ in before:
        if backend is not target and "_foreign" in variable.__dict__:
            check.fail(
                variable,
                f"`{variable.path}` belongs to {backend.name} itself and cannot move to {target.name}",
                TypeError,
            )
    made = [storage(v) if storage is not None else None for v, _, _ in before]
    try:
        for (variable, backend, _), new in zip(before, made):
            if backend is not target:
                value = variable.numpy()
                variable.backend = target
                if new is None:
                    target.create(variable, value)
                else:
                    variable._storage = new
        for layer in layers:
            point_to(layer, target)
        scope.python_state.changed()
        yield
    except Exception as error:
        error.add_note(f"while {check.who(layers[-1])} ran on {target.name} to be exported")
        raise
    finally:
        for variable, backend, kept in before:
            variable.backend, variable._storage = backend, kept
        for layer, backend in zip(layers, own):
            point_to(layer, backend)
        scope.python_state.changed()


__all__ = ["able", "moved"]
