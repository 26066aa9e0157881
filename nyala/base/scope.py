"""The state scope: where a variable is read from and written to while a transform runs.

A transform (compile, value_and_grad, cond, scan, ...) runs its function in a child scope. Reads fall through to the
parents and in the end to the variable's storage; writes stay in the innermost scope, from which the transform returns
them as auxiliary outputs and assigns them in the parent.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
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


class StatelessScope(StateScope):
    """Within it variables have the values of a mapping, and assignments are kept in it instead of in the variables.

    Args:
        state_mapping: pairs of a variable and its value. collect_losses: gather what ``add_loss`` gets as ``losses``.
        initialize_variables: True: a variable made inside has its value at once.
    """

    __slots__ = ("collect_losses", "losses")

    def __init__(self, state_mapping: Any = None, collect_losses: bool = False, initialize_variables: bool = True):
        if not initialize_variables:
            raise ValueError("StatelessScope: initialize_variables must be True: variables have their value at once")
        super().__init__({v: v.backend.convert(value, v.dtype) for v, value in state_mapping or ()})
        self.collect_losses = collect_losses
        self.losses: list[Any] = []

    def add_loss(self, loss: Any) -> None:
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """A pair: the variable has the value from now on."""
        variable, value = update
        self.write(variable, variable.backend.convert(value, variable.dtype))

    def get_current_value(self, variable: Variable) -> Any:
        """The value given at entry or assigned since; ``None`` if there is none."""
        return self.values.get(variable)


class Replayed(StateScope):
    """Code that is run again and again, and what it makes in the first run is given again, in the order in which it asks.

    ``made``: what the runs before made. ``asked``: whether it has read a variable. Assignments are those of the first run.
    """

    __slots__ = ("made", "at", "asked", "again")

    def __init__(self, made: list[Any]):
        super().__init__()
        self.made = made
        self.at = 0
        self.asked = False
        self.again = bool(made)

    def read(self, variable: Variable) -> Any:
        self.asked = True
        return super().read(variable)

    def write(self, variable: Variable, value: Any) -> None:
        if self.again:
            return
        if self.parent is None:
            variable.backend.write(variable, value)
        else:
            self.parent.write(variable, value)


class Deferred(Replayed):
    """Assignments inside take effect at its end: every read sees the value from before, as in the graphs of older Keras."""

    __slots__ = ("pending",)

    def __init__(self, made: list[Any]):
        super().__init__(made)
        self.pending: dict[Variable, Any] = {}

    def write(self, variable: Variable, value: Any) -> None:
        self.pending[variable] = value

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        if exc[0] is None:
            for variable, value in self.pending.items():
                variable.assign(value)


def deferred() -> Deferred | None:
    """The innermost ``Deferred`` scope."""
    found = local.scope
    while found is not None and not isinstance(found, Deferred):
        found = found.parent
    return found


def made_once(make: Callable[[], Any]) -> Any:
    """``make()``; in a ``Replayed`` scope what it gave in the first run."""
    runs, found = [], local.scope
    while found is not None:
        if isinstance(found, Replayed):
            runs.append(found)
        found = found.parent
    known = next((run for run in runs if run.at < len(run.made)), None)
    value = make() if known is None else known.made[known.at]
    for run in runs:
        if run.at == len(run.made):
            run.made.append(value)
        run.at += 1
    return value


def latest(variable: Variable) -> Any:
    """The value that is about to be assigned, else the present one."""
    run = deferred()
    return run.pending[variable] if run is not None and variable in run.pending else variable.raw_value


class SymbolicScope(StateScope):
    """Code inside is run for shapes only: what it assigns is dropped."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()


def collect_loss(loss: Any) -> None:
    """Hand a loss to the scopes around that collect them."""
    scope = local.scope
    while scope is not None:
        if isinstance(scope, StatelessScope) and scope.collect_losses:
            scope.add_loss(loss)
        scope = scope.parent


class _PythonState:
    """What of the Python state a trace reads: part of every compile key.

    ``version`` counts the changes (dtype policies, backends, ...) after which no older trace is of use. ``flags`` is a digest of
    what is switched to and fro (``trainable``): switched back it is what it was, and the older traces serve again.
    """

    def __init__(self) -> None:
        self._counter = itertools.count(1)
        self.version = 0
        self.flags = 0

    def changed(self) -> None:
        self.version = next(self._counter)

    def switched(self, owner: object) -> None:
        """A flag of ``owner`` (a living one: it goes by its identity) was turned over."""
        self.flags ^= hash((id(owner),))


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
