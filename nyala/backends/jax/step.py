"""``compile``: a stateful function as one jitted pure function from the state's old values to its new ones."""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
import optree
from jax import lax
from jax._src.array import ArrayImpl

from nyala import backends
from nyala._typing import Nest
from nyala.backends.jax import distribute
from nyala.backends.jax.core import Core, _Static, join, split, strong
from nyala.base import scope, tree
from nyala.base.scope import StateScope
from nyala.base.variable import Variable

_TRACED = (jax.Array, np.ndarray, np.generic)


@jax.tree_util.register_pytree_node_class
class _Out:
    """What a step returns, as jax sees it: the tensors are leaves, the rest belongs to the trace."""

    __slots__ = ("tensors", "static")

    def __init__(self, tensors: Any, static: _Static):
        self.tensors = tensors
        self.static = static

    def tree_flatten(self) -> tuple[Any, _Static]:
        return self.tensors, self.static

    @classmethod
    def tree_unflatten(cls, static: _Static, tensors: Any) -> _Out:
        return cls(tensors, static)


class _Found(Exception):
    """A trace met variables that are not inputs yet, or wrote some that are not outputs."""


class _Root(StateScope):
    """The scope of a compiled function: it holds the inputs and notes every variable that is not among them."""

    def __init__(self, values: dict[Variable, Any]):
        super().__init__(values, isolated=True)
        self.missed: dict[Variable, None] = {}

    def miss(self, variable: Variable) -> Any:
        self.missed[variable] = None
        return variable._storage.array


class _Entry:
    """One traced version of a step: for one nesting and one set of static arguments."""

    def __init__(self, step: _Compiled, treedef: Any, leaves: list[Any]):
        self.step = step
        self.treedef = treedef
        self.static = [None if isinstance(x, _TRACED) else x for x in leaves]
        self.traced = [i for i, x in enumerate(leaves) if isinstance(x, _TRACED)]
        self.known: dict[Variable, None] = dict.fromkeys(step.variables)
        self.writes: dict[Variable, None] = {}
        self.jaxpr: Any = None
        self.settle([leaves[i] for i in self.traced])

    def settle(self, dynamic: list[Any]) -> None:
        """Trace until every variable is known, then make the jitted function; that takes over the last trace."""
        while True:
            self.kept = [v for v in self.known if v not in self.writes]
            self.written = list(self.writes)
            try:
                self.trace(dynamic)
                break
            except _Found:
                pass
        # Whatever is not in `writes` is never donated: the same array may be an input of other steps.
        self.call = jax.jit(self.run, donate_argnums=(0,) if self.step.donate else ())

    def trace(self, dynamic: list[Any]) -> None:
        held = [v._storage.array for v in self.written], [v._storage.array for v in self.kept], dynamic
        self.jaxpr, shapes = jax.make_jaxpr(lambda *args: self.pure(*args), return_shape=True)(*held)
        self.out = jax.tree_util.tree_structure(shapes)
        self.avals = list(self.jaxpr.in_avals)

    def run(self, written: list[Any], kept: list[Any], dynamic: list[Any]) -> tuple[_Out, list[Any]]:
        jaxpr, self.jaxpr = self.jaxpr, None
        values = jax.tree_util.tree_leaves((written, kept, dynamic))
        if jaxpr is None or [(a.shape, a.dtype, a.weak_type) for a in jaxpr.in_avals] != [
            (v.aval.shape, v.aval.dtype, v.aval.weak_type) for v in values
        ]:
            return self.pure(written, kept, dynamic)
        return jax.tree_util.tree_unflatten(self.out, jax.extend.core.jaxpr_as_fun(jaxpr)(*values))

    def pure(self, written: list[Any], kept: list[Any], dynamic: list[Any]) -> tuple[_Out, list[Any]]:
        leaves = list(self.static)
        for i, x in zip(self.traced, dynamic):
            leaves[i] = x
        args, kwargs = tree.unflatten(self.treedef, leaves)
        root = _Root({**dict(zip(self.written, written)), **dict(zip(self.kept, kept))})
        with root, backends.backend_scope(self.step.backend):
            out = self.step.fn(*args, **kwargs)
        if root.missed or not root.written.keys() <= self.writes.keys():
            self.known.update(root.missed | root.written)
            self.writes.update(root.written)
            raise _Found
        tensors, static = split(out)
        # A donated buffer must be nobody else's: what is returned twice, or is an input as it came, is copied.
        seen = {id(x) for x in (*written, *kept, *dynamic)}

        def own(x: Any) -> Any:
            x = strong(x)
            if id(x) in seen:
                return jnp.copy(x)
            seen.add(id(x))
            return x

        return _Out([own(x) for x in tensors], static), [own(distribute.kept(v, root.values[v])) for v in self.written]


class _Compiled:
    """A function and its traced versions, by nesting, static arguments and the Python state that traces read."""

    def __init__(self, backend: Core, fn: Callable[..., Nest], variables: Sequence[Variable], donate: bool):
        self.backend = backend
        self.fn = fn
        self.variables = list(variables)
        self.donate = donate
        self.version = -1
        self.entries: dict[Any, _Entry] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Nest:
        local = scope.local
        if local.scope is not None:  # inside another transform: a part of its trace
            return self.fn(*args, **kwargs)
        leaves, treedef = optree.tree_flatten((args, kwargs), none_is_leaf=True)
        static: list[Any] = []
        dynamic: list[Any] = []
        for x in leaves:
            if type(x) is ArrayImpl or isinstance(x, _TRACED):
                dynamic.append(x)
                static.append(None)
            else:
                static.append((type(x), x))
        if self.version != scope.python_state.version:
            self.entries.clear()
            self.version = scope.python_state.version
        key = (treedef, tuple(static), local.autocast, scope.python_state.flags)
        try:
            entry = self.entries.get(key)
        except TypeError as error:
            error.add_note(
                "a compiled function takes tensors, arrays and hashable values, which it treats as constants"
            )
            raise
        if entry is None:
            entry = self.entries[key] = _Entry(self, treedef, leaves)
        while True:
            cells = [v._storage for v in entry.written]
            held = (
                [c.array.copy() if c.exposed else c.array for c in cells] if self.donate else [c.array for c in cells]
            )
            try:
                out, values = entry.call(held, [v._storage.array for v in entry.kept], dynamic)
                break
            except _Found:  # a new shape of the inputs led to other variables
                entry.settle(dynamic)
            except jax.errors.UnexpectedTracerError as error:
                error.add_note(
                    "if jax.lax.scan, cond, vmap, ... runs code that assigns variables, use nyala.ops.scan, cond, "
                    "vectorized_map, ... instead: they keep what is assigned"
                )
                raise
        for cell, value in zip(cells, values):
            cell.array = value
            cell.exposed = False
        return join(out.tensors, out.static)


class Step(Core):
    """``compile`` and ``compile_loop``."""

    def compile(
        self,
        fn: Callable[..., Nest],
        variables: Sequence[Variable] = (),
        *,
        jit: bool | None = None,
        donate: bool = True,
    ) -> Callable[..., Nest]:
        return fn if jit is False else _Compiled(self, fn, variables, donate)

    def compile_loop(
        self, fn: Callable[..., Nest], variables: Sequence[Variable] = (), *, jit: bool | None = None
    ) -> Callable[..., Nest]:
        def loop(xs: Nest, *rest: Any) -> Nest:
            if jit is False:
                n = len(tree.flatten(xs)[0])
                out = None
                for i in range(n):
                    out = fn(tree.map(operator.itemgetter(i), xs), *rest)
                return out
            return _scan(lambda x: fn(x, *rest), tree.map(self.convert, xs))

        return loop if jit is False else _Compiled(self, loop, variables, True)


def _scan(fn: Callable[..., Nest], xs: Nest) -> Nest:
    """``fn`` over the leading axis; what it writes is the carry, the last result is returned."""
    current = scope.local.scope
    assert current is not None
    written: dict[Variable, None] = {}
    static: Any = None
    shapes: Any = None

    def probe(xs: Nest) -> Any:
        nonlocal static
        with StateScope() as child:
            out = fn(tree.map(lambda x: x[0], xs))
        written.update(child.written)
        tensors, static = split(out)
        return tensors

    shapes = jax.eval_shape(probe, xs)
    variables = list(written)

    def step(carry: Any, x: Any) -> tuple[Any, None]:
        with StateScope(dict(zip(variables, carry[0]))) as child:
            tensors, _ = split(fn(x))
        return ([strong(child.values[v]) for v in variables], [strong(t) for t in tensors]), None

    start = [v.raw_value for v in variables], [jnp.zeros(s.shape, s.dtype) for s in shapes]
    (values, tensors), _ = lax.scan(step, start, xs)
    for variable, value in zip(variables, values):
        variable.assign(value)
    return join(tensors, static)
