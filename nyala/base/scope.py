"""The state scope: where a variable is read from and written to while a transform runs.

A transform (compile, value_and_grad, cond, scan, ...) runs its function in a child scope. Reads fall through to the
parents and in the end to the variable's storage; writes stay in the innermost scope, from which the transform returns
them as auxiliary outputs and assigns them in the parent.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nyala.base.variable import Variable


class _Local(threading.local):
    scope: StateScope | None = None
    autocast: str | None = None


local = _Local()


class StateScope:
    """One level of pending state. ``values`` holds what was put in at entry and what was written since."""

    __slots__ = ("parent", "values", "written", "_outer")

    def __init__(self, values: dict[Variable, Any] | None = None, *, isolated: bool = False):
        """``isolated``: reads do not fall through to the scopes around (a compiled function's root)."""
        self.values: dict[Variable, Any] = dict(values or {})
        self.written: dict[Variable, None] = {}
        self.parent: StateScope | None = None if isolated else local.scope

    def __enter__(self) -> StateScope:
        self._outer = local.scope
        local.scope = self
        return self

    def __exit__(self, *exc: Any) -> None:
        local.scope = self._outer

    def read(self, variable: Variable) -> Any:
        scope: StateScope | None = self
        while scope is not None:
            if variable in scope.values:
                return scope.values[variable]
            if scope.parent is None:
                return scope.miss(variable)
            scope = scope.parent
        raise AssertionError("a chain of scopes ends in one without a parent")

    def miss(self, variable: Variable) -> Any:
        """What no scope holds: the storage. A compile's root overrides this to lift the variable."""
        return variable.backend.read(variable)

    def write(self, variable: Variable, value: Any) -> None:
        self.values[variable] = value
        self.written[variable] = None

    def writes(self) -> dict[Variable, Any]:
        """The variables written in this scope with their last values."""
        return {v: self.values[v] for v in self.written}


class _PythonState:
    """A version of the Python state that a trace reads (``trainable``, dtype policies, ...): part of every compile key."""

    def __init__(self) -> None:
        self._counter = itertools.count(1)
        self.version = 0

    def changed(self) -> None:
        self.version = next(self._counter)


python_state = _PythonState()


class autocast:
    """Within it, reading a float variable that allows it gives ``dtype`` (``None``: the variable's own)."""

    __slots__ = ("dtype", "_outer")

    def __init__(self, dtype: str | None):
        self.dtype = dtype

    def __enter__(self) -> None:
        self._outer = local.autocast
        local.autocast = self.dtype

    def __exit__(self, *exc: Any) -> None:
        local.autocast = self._outer
