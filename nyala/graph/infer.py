"""Shapes and dtypes of what a function gives, found by the backend's abstract evaluation and nothing else.

An unknown dimension is probed with two sizes; what differs between the two results is unknown in the result. The batch
axis and the other axes have pairs of their own, so that their quotients differ too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from nyala import backends
from nyala._typing import Nest
from nyala.backends import host
from nyala.backends.base import BackendBase, TensorSpec
from nyala.base import tree
from nyala.graph.symbolic import SymbolicTensor, leaves_of

_BATCH = (120, 168)
_OTHER = (360, 216)
_LARGER = 16
_SMALLER = (24, 16), (8, 4)


class _Local(backends._Local):
    probe_batch: int | None = None
    probe_other: int | None = None
    depth: int = 0


local = _Local()


def abstract_batch() -> int | None:
    """The batch size that stands for "unknown" in the abstract evaluation that is running."""
    return local.probe_batch


def unprobed(shape: tuple[int | None, ...], features: bool) -> tuple[int | None, ...]:
    """``shape`` with ``None`` again for sizes that stand for "unknown", but for that of the last axis if it is of features."""
    kept = len(shape) - 1 if features else len(shape)
    unknown = [local.probe_batch, *[local.probe_other] * (kept - 1)]
    return tuple(None if n == u else n for n, u in zip(shape, unknown)) + shape[max(kept, 1) :]


def is_abstract() -> bool:
    """Whether an abstract evaluation is running, which looks at shapes and dtypes only."""
    return local.depth > 0


def infer(fn: Callable[..., Nest], args: Any, kwargs: Any, backend: BackendBase) -> Nest:
    """``fn(*args, **kwargs)`` with symbolic leaves among the arguments; tensors in the result become ``TensorSpec``.

    Raises what ``fn`` raises; a result whose shape depends on values raises too.
    """
    flat = leaves_of((args, kwargs))
    sized = any(isinstance(x, SymbolicTensor) and is_size(x) for x in flat)
    try:
        return _infer(fn, args, kwargs, flat, sized, backend)
    except Exception:
        # Axes that were moved: what they come from tells which sizes agree.
        moved = not sized and any(isinstance(x, SymbolicTensor) and None in x.shape[1:] for x in flat)
        if not moved:
            raise
        try:
            return _infer(fn, args, kwargs, flat, True, backend)
        except Exception:
            pass  # the first error is the clear one
        raise


def _infer(fn: Callable[..., Nest], args: Any, kwargs: Any, flat: list[Any], back: bool, backend: BackendBase) -> Nest:
    """``back``: values are made up for what the symbolic tensors come from, not for themselves."""
    leaves, treedef = tree.flatten_with_structure((args, kwargs))
    sources: dict[int, SymbolicTensor] = {}
    for x in flat:
        _find_sources(x, sources, back)
    specs = [x.spec for x in sources.values()]

    def run(*values: Any) -> Nest:
        known = dict(zip(sources, values))
        local.depth += 1
        try:
            inner_args, inner_kwargs = tree.unflatten(treedef, [_value_of(x, known) for x in leaves])
            out = fn(*inner_args, **inner_kwargs)
            return tree.map(lambda y: backend.convert(y, None) if isinstance(y, np.ndarray) else y, out)
        finally:
            local.depth -= 1

    if not any(None in s.shape or s.dtype == "string" for s in specs):  # a text has an unknown number of words
        with backends.backend_scope(backend):
            return backend.abstract(run, tuple(specs))
    return _probed(run, specs, backend)


def _abstract(run: Callable[..., Nest], specs: tuple[TensorSpec, ...], backend: BackendBase) -> Nest:
    """The backend's evaluation; strings are arrays in it where the backend has no tensors of them."""
    if host.has_strings(backend) or all(s.dtype != "string" for s in specs):
        return backend.abstract(run, specs)

    def filled(*values: Any) -> Nest:
        given = iter(values)
        return run(*(np.full(tuple(s.shape), "", object) if s.dtype == "string" else next(given) for s in specs))  # type: ignore[arg-type]

    return backend.abstract(filled, tuple(s for s in specs if s.dtype != "string"))


def is_size(x: SymbolicTensor) -> bool:
    """Whether ``x`` may hold sizes, as ``tf.shape(y)[0]`` does: a few ints that a function gave."""
    return (
        x.dtype in ("int32", "int64")
        and len(x.shape) < 2
        and None not in x.shape
        and x.node is not None
        and not x.node.is_input
        and hasattr(x.node.operation, "fn")
    )


def _find_sources(x: Any, into: dict[int, SymbolicTensor], sized: bool) -> None:
    """The symbolic tensors to make up values for. Sizes, and what meets them, are computed from those that they come from
    instead: the 480 rows of a reshaped (120, 4, n) go back into 120 times 4.
    """
    todo, seen = [x], set()
    while todo:
        x = todo.pop()
        if not isinstance(x, SymbolicTensor) or id(x) in seen:
            continue
        seen.add(id(x))
        if sized and x.node is not None and x.node.inputs and hasattr(x.node.operation, "fn"):
            todo += reversed(x.node.inputs)
        else:
            into[id(x)] = x


def _value_of(x: Any, known: dict[int, Any]) -> Any:
    if isinstance(x, slice):
        return slice(*(_value_of(v, known) for v in (x.start, x.stop, x.step)))
    if not isinstance(x, SymbolicTensor):
        return x
    if id(x) not in known:
        node: Any = x.node
        args, kwargs = tree.map(lambda v: _value_of(v, known), (node.args, node.kwargs))
        known[id(x)] = tree.flatten(node.operation(*args, **kwargs))[x.index]
    return known[id(x)]


def _probed(run: Callable[..., Nest], specs: list[TensorSpec], backend: BackendBase) -> Nest:
    has_others = any(None in s.shape[1:] for s in specs)

    def probe(which: int, scale: int, others: tuple[int, int] = _OTHER) -> Nest:
        sized = tuple(_sized(s, _BATCH[which] * scale, others[which] * scale) for s in specs)
        outer = local.probe_batch, local.probe_other
        local.probe_batch = _BATCH[which] * scale
        local.probe_other = others[which] * scale if has_others else None
        try:
            with backends.backend_scope(backend):
                return _abstract(run, sized, backend)
        finally:
            local.probe_batch, local.probe_other = outer

    try:
        first, second = probe(0, 1), probe(1, 1)
    except Exception as small:
        # A window or a split may need more than the usual sizes, a kernel a power of two in them, a table of positions
        # less; if it is none of these, the first error is the clear one.
        smaller = [(1, few) for few in _SMALLER] if has_others else []
        for scale, others in [(_LARGER, _OTHER), *smaller]:
            try:
                first, second = probe(0, scale, others), probe(1, scale, others)
                break
            except Exception:
                continue
        else:
            return _of_one_size(run, specs, backend, small)
    return tree.map(_merge, first, second)


def _of_one_size(run: Callable[..., Nest], specs: list[TensorSpec], backend: BackendBase, error: Exception) -> Nest:
    """What code gives that was written for one size of the batch: a single row broadcasts to it, or some inputs have it, as the
    rows of a square matrix have.
    """
    batches = [s.shape[0] for s in specs if s.shape]
    others = [n for s in specs for n in s.shape[1:]]
    for rows in (1, *{n: None for n in [*batches, *others] if n not in (None, 1)}):
        outer, local.probe_batch = local.probe_batch, rows
        try:
            with backends.backend_scope(backend):
                found = _abstract(run, tuple(_sized(s, rows, _OTHER[0]) for s in specs), backend)
        except Exception:
            continue
        finally:
            local.probe_batch = outer
        shapes = [x.shape for x in tree.flatten(found) if isinstance(x, TensorSpec)]
        if shapes and not any((rows == 1 and s[:1] in ((), (1,))) or _OTHER[0] in s for s in shapes):
            return found if rows in batches or rows == 1 else tree.map(functools.partial(_without_batch, rows), found)
    raise error from None


def _without_batch(rows: int, x: Any) -> Any:
    return TensorSpec((None, *x.shape[1:]), x.dtype) if isinstance(x, TensorSpec) and x.shape[:1] == (rows,) else x


def _sized(spec: TensorSpec, batch: int, other: int) -> TensorSpec:
    shape = tuple((batch if i == 0 else other) if n is None else n for i, n in enumerate(spec.shape))
    return TensorSpec(shape, spec.dtype)


def _merge(a: Any, b: Any) -> Any:
    if not isinstance(a, TensorSpec):
        return a
    if len(a.shape) != len(b.shape):
        raise ValueError(f"the rank of the result depends on an unknown dimension: {a.shape} against {b.shape}")
    return TensorSpec(tuple(m if m == n else None for m, n in zip(a.shape, b.shape)), a.dtype)
