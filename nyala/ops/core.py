"""Conversion between tensors, NumPy and dtypes; gradients cut or replaced; control flow."""

from __future__ import annotations

import builtins
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import DType, Nest, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, tree
from nyala.base.variable import Variable
from nyala.graph.node import record
from nyala.graph.symbolic import SymbolicTensor
from nyala.ops._op import _in_scope, find_backend, op

__all__ = [
    "associative_scan",
    "cast",
    "cond",
    "convert_to_numpy",
    "convert_to_tensor",
    "custom_gradient",
    "dtype",
    "fori_loop",
    "is_tensor",
    "jvp",
    "map",
    "saturate_cast",
    "scan",
    "shape",
    "stop_gradient",
    "switch",
    "unstack",
    "vectorized_map",
    "while_loop",
]

# -- conversion --------------------------------------------------------------------------------------------------------


@op
def cast(x: TensorLike, dtype: DType) -> Tensor:
    """``x`` with another dtype; floats lose their fraction on the way to ints."""
    return backends.current().cast(x, dtypes.standardize(dtype))


@op
def saturate_cast(x: TensorLike, dtype: DType) -> Tensor:
    """``cast``, but what the dtype cannot hold becomes its nearest value instead of wrapping around."""
    name = dtypes.standardize(dtype)
    if name == "bool":
        return cast(x, name)
    low, high = _limits(name)
    have_low, have_high = _limits(dtypes.standardize(backends.current().dtype_of(x)))
    if low <= have_low and high >= have_high:
        return cast(x, name)
    clipped = ops.clip(x, builtins.max(low, have_low), builtins.min(high, have_high))
    out = cast(clipped, name)
    if not (dtypes.is_int(name) and dtypes.is_float(backends.current().dtype_of(x))):
        return out
    # The largest int may have no exact float: the clip then rounds up to one past it, and the cast would wrap.
    return ops.where(clipped >= float(high), cast(ops.full_like(x, high, dtype=name), name), out)


def _limits(name: str) -> tuple[Any, Any]:
    if name == "bool":
        return 0, 1
    kind = dtypes.numpy_dtype(name)
    if name in dtypes.INTS:
        return int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    import ml_dtypes

    return float(ml_dtypes.finfo(kind).min), float(ml_dtypes.finfo(kind).max)


def convert_to_tensor(
    x: TensorLike, dtype: DType = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """A tensor from an array, a Variable, numbers or a tensor. ``dtype=None`` keeps the dtype of what has one.

    Raises: ValueError for ``sparse=True`` or ``ragged=True``: tensors are dense here.
    """
    if sparse or ragged:
        check.fail("convert_to_tensor", "sparse and ragged tensors are not made here; give a dense array")
    name = None if dtype is None else dtypes.standardize(dtype)
    if isinstance(x, SymbolicTensor):
        return x if name in (None, x.dtype) else cast(x, name)
    if isinstance(x, Variable):
        x = x.value
    return find_backend([x], "convert_to_tensor").convert(x, name)


def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """The values as a NumPy array on the host."""
    if isinstance(x, Variable):
        return x.numpy()
    backend = backends.of(x)
    if backend is not None:
        return backend.to_numpy(x)
    if isinstance(x, (list, tuple)):
        return np.array([convert_to_numpy(v) for v in x])
    return np.asarray(x)


def is_tensor(x: Any) -> bool:
    """Whether ``x`` is a tensor of a backend; variables, arrays and symbolic tensors are not."""
    return backends.of(x) is not None


def shape(x: TensorLike) -> tuple[Any, ...]:
    """The shape. What is unknown is ``None`` for a symbolic tensor and a scalar tensor inside a traced graph."""
    if isinstance(x, (SymbolicTensor, Variable)):
        return x.shape
    backend = backends.of(x)
    if backend is None:
        return np.shape(x)
    native = backend.natives.get("shape")
    return native(x) if native else tuple(backend.shape_of(x))


def dtype(x: TensorLike) -> str:
    """The name of the dtype."""
    backend = backends.of(x)
    if backend is not None:
        return backend.dtype_of(x)
    return dtypes.standardize(x.dtype if hasattr(x, "dtype") else type(x))


@op
def stop_gradient(variable: TensorLike) -> Tensor:
    """The same values; no gradient passes."""


@op
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along ``axis``, which disappears. ``num``: their number, when the shape does not say it."""
    axis = axis % len(x.shape)
    n = num if num is not None else backends.current().shape_of(x)[axis]
    if n is None:
        check.fail("unstack", f"axis {axis} of shape {tuple(x.shape)} has no known length; give num")
    before = (slice(None),) * axis
    return [x[(*before, i)] for i in range(n)]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose gradient is given: ``f(*args)`` returns ``(output, grad)``.

    ``grad(*upstream)`` takes the gradient of each output and returns that of each argument.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _control("custom_gradient", (args, kwargs), call, args, kwargs, lambda b: b(f)(*args, **kwargs))

    return call


# -- control flow ------------------------------------------------------------------------------------------------------
#
# The arguments are functions, so the op decorator does not fit: operands become tensors here, and the backend's native
# of the same name and signature runs. Where it has none, the loop is made of those that every backend has: cond,
# while_loop, scan.


def _control(
    name: str, operands: Nest, fn: Callable[..., Any], args: Any, kwargs: Any, run: Callable[[Any], Any]
) -> Any:
    """``run(native)`` inside the backend of ``operands``, or a node when one of them is symbolic."""
    leaves = tree.flatten(operands)
    if any(isinstance(x, SymbolicTensor) for x in leaves):
        return record(fn, args, kwargs)
    backend = find_backend(leaves, name)
    return _in_scope(run, backend)(backend.natives.get(name))


def _tensors(nest: Nest) -> Nest:
    return tree.map(lambda x: None if x is None else convert_to_tensor(x), nest)


def cond(pred: TensorLike, true_fn: Callable[[], Nest], false_fn: Callable[[], Nest]) -> Nest:
    """``true_fn()`` where the scalar ``pred`` is true, else ``false_fn()``; both give the same shapes and dtypes."""
    if isinstance(pred, (bool, np.bool_)):
        return true_fn() if pred else false_fn()

    def run(native: Any) -> Any:
        return native(convert_to_tensor(pred), true_fn, false_fn)

    return _control("cond", pred, cond, (pred, true_fn, false_fn), {}, run)


def switch(index: TensorLike, branches: Sequence[Callable[..., Nest]], *operands: Nest) -> Nest:
    """``branches[index](*operands)``; an index out of range is clipped into it."""

    def run(native: Any) -> Any:
        i, values = convert_to_tensor(index, "int32"), _tensors(operands)
        if native:
            return native(i, branches, *values)
        return pick(i, list(branches), 0, values)

    def pick(i: Tensor, rest: list[Callable[..., Nest]], at: int, values: Any) -> Any:
        if len(rest) == 1:
            return rest[0](*values)
        return cond(i <= at, lambda: rest[0](*values), lambda: pick(i, rest[1:], at + 1, values))

    return _control("switch", (index, operands), switch, (index, branches, *operands), {}, run)


def while_loop(
    cond: Callable[..., Tensor],
    body: Callable[..., Nest],
    loop_vars: Nest,
    maximum_iterations: int | None = None,
) -> Nest:
    """``while cond(*loop_vars): loop_vars = body(*loop_vars)``, at most ``maximum_iterations`` times.

    Shapes and dtypes of ``loop_vars`` stay the same. A single tensor instead of a tuple is passed and returned as such.
    """
    single = not isinstance(loop_vars, (list, tuple))

    def step(*values: Any) -> tuple[Any, ...]:
        out = body(*values)
        return tuple(_tensors(out if isinstance(out, (list, tuple)) else (out,)))

    def run(native: Any) -> Any:
        values = tuple(_tensors((loop_vars,) if single else tuple(loop_vars)))
        out = native(cond, step, values, maximum_iterations)
        return out[0] if single else type(loop_vars)(out)

    return _control("while_loop", loop_vars, while_loop, (cond, body, loop_vars, maximum_iterations), {}, run)


def fori_loop(lower: TensorLike, upper: TensorLike, body_fun: Callable[[Any, Nest], Nest], init_val: Nest) -> Nest:
    """``for i in range(lower, upper): val = body_fun(i, val)``; returns the last ``val``."""

    def run(native: Any) -> Any:
        value = _tensors(init_val)
        if native:
            return native(lower, upper, body_fun, value)
        start, stop = convert_to_tensor(lower, "int32"), convert_to_tensor(upper, "int32")
        one = convert_to_tensor(1, "int32")
        return while_loop(lambda i, _: i < stop, lambda i, v: (i + one, body_fun(i, v)), (start, value))[1]

    return _control("fori_loop", (lower, upper, init_val), fori_loop, (lower, upper, body_fun, init_val), {}, run)


def scan(
    f: Callable[[Nest, Nest], tuple[Nest, Nest]],
    init: Nest,
    xs: Nest = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Nest, Nest]:
    """``carry, y = f(carry, x)`` over the leading axis of ``xs``; gives the last carry and the stacked ``y``.

    Args:
        length: number of steps, needed when ``xs`` is ``None``.
        reverse: start at the last ``x``; ``y`` keeps the order of ``xs``.
        unroll: how many steps to write out per turn of the loop, ``True`` for all; a matter of speed only.
    """
    if xs is None and length is None:
        check.fail("scan", "without xs it needs a length")

    def run(native: Any) -> Any:
        return native(f, _tensors(init), _tensors(xs), length, reverse, unroll)

    return _control("scan", (init, xs), scan, (f, init, xs, length, reverse, unroll), {}, run)


def map(f: Callable[[Nest], Nest], xs: Nest) -> Nest:
    """``f`` on each slice of the leading axis, one after the other; the results are stacked."""

    def run(native: Any) -> Any:
        values = _tensors(xs)
        return native(f, values) if native else scan(lambda carry, x: (carry, f(x)), None, values)[1]

    return _control("map", xs, map, (f, xs), {}, run)


def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    """Like ``map``, but all slices at once: ``function`` is turned into one that takes a batch."""

    def run(native: Any) -> Any:
        return (native or map)(function, _tensors(elements))

    return _control("vectorized_map", elements, vectorized_map, (function, elements), {}, run)


def vectorize(
    pyfunc: Callable[..., Nest], *, excluded: set[int] | None = None, signature: str | None = None
) -> Callable[..., Nest]:
    """``pyfunc``, a function of scalars, as one of tensors: it is applied to each element, with broadcasting.

    Args:
        excluded: the places of arguments that are passed as they are.
        signature: of what shapes ``pyfunc`` takes and gives instead of scalars, e.g. "(m,n),(n)->(m)".
    """
    kept = frozenset(excluded or ())
    inner = None if signature is None else [len(a) for a in _core_axes(signature)]

    @functools.wraps(pyfunc)
    def call(*args: Any, **kwargs: Any) -> Nest:
        places = [i for i in range(len(args)) if i not in kept]
        if inner is not None and len(inner) != len(places):
            check.fail("vectorize", f"signature {signature!r} has {len(inner)} arguments, got {len(places)}")
        ranks = inner or [0] * len(places)
        tensors = [convert_to_tensor(args[i]) for i in places]
        for i, x, rank in zip(places, tensors, ranks):
            if len(x.shape) < rank:
                check.fail("vectorize", f"argument {i} must have {rank} axes for {signature!r}, got {tuple(x.shape)}")
        outer = [tuple(x.shape)[: len(x.shape) - rank] for x, rank in zip(tensors, ranks)]
        shape = np.broadcast_shapes(*outer)

        def one(values: Sequence[Any]) -> Nest:
            filled = list(args)
            for i, value in zip(places, values):
                filled[i] = value
            return pyfunc(*filled, **kwargs)

        if not shape:
            return one(tensors)
        rows = []
        for x, axes in zip(tensors, outer):
            core = tuple(x.shape)[len(axes) :]
            rows.append(ops.reshape(ops.broadcast_to(x, (*shape, *core)), (-1, *core)))
        return tree.map(lambda y: ops.reshape(y, (*shape, *tuple(y.shape)[1:])), vectorized_map(one, rows))

    return call


def _core_axes(signature: str) -> list[list[str]]:
    """The names of the axes of each argument."""
    group = r"\((?:\w+(?:,\w+)*)?\)"
    if not re.fullmatch(f"{group}(?:,{group})*->{group}(?:,{group})*", signature.replace(" ", "")):
        check.fail("vectorize", f"signature must be like '(m,n),(n)->(m)', got {signature!r}")
    return [re.findall(r"\w+", found) for found in re.findall(group, signature.replace(" ", "").split("->")[0])]


def jvp(
    fun: Callable[..., Nest], primals: Sequence[Nest], tangents: Sequence[Nest], has_aux: bool = False
) -> tuple[Nest, ...]:
    """``fun(*primals)`` and its derivative in the direction of ``tangents``, by forward differentiation.

    ``has_aux``: ``fun`` gives a pair, and what is second in it is returned third as it is.
    """
    if len(primals) != len(tangents):
        check.fail("jvp", f"primals and tangents must be equally many, got {len(primals)} and {len(tangents)}")

    def run(native: Any) -> Any:
        values = tuple(_tensors(list(primals)))
        directions = tree.map(lambda p, t: convert_to_tensor(t, dtype(p)), values, tuple(tangents))
        return native(fun, values, directions, has_aux)

    return _control("jvp", (primals, tangents), jvp, (fun, primals, tangents, has_aux), {}, run)


def associative_scan(f: Callable[[Nest, Nest], Nest], elems: Nest, reverse: bool = False, axis: int = 0) -> Nest:
    """All prefixes ``e0, f(e0, e1), f(f(e0, e1), e2), ...`` along ``axis`` in a logarithmic number of steps.

    ``f`` is associative and takes and gives slices of any length (https://doi.org/10.1145/7902.7903). ``reverse``:
    suffixes, from the end.
    """

    def run(native: Any) -> Any:
        values = _tensors(elems)
        return native(f, values, reverse, axis) if native else _prefixes(f, values, reverse, axis)

    return _control("associative_scan", elems, associative_scan, (f, elems, reverse, axis), {}, run)


def _prefixes(f: Callable[[Nest, Nest], Nest], elems: Nest, reverse: bool, axis: int) -> Nest:
    def cut(nest: Nest, start: int | None, stop: int | None) -> Nest:
        return tree.map(lambda x: x[(slice(None),) * (axis % len(x.shape)) + (slice(start, stop),)], nest)

    def flip(nest: Nest) -> Nest:
        return tree.map(lambda x: ops.flip(x, axis), nest) if reverse else nest

    elems = flip(elems)
    n = tree.flatten(elems)[0].shape[axis]
    reach = 1
    while reach < n:
        later = f(cut(elems, None, -reach), cut(elems, reach, None))
        elems = tree.map(lambda a, b: ops.concatenate([a, b], axis), cut(elems, None, reach), later)
        reach *= 2
    return flip(elems)
