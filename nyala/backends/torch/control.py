"""Control flow. Eager code needs none, so these are Python's own; what they write goes straight to the scope around.

While shapes are being found (fake tensors) a condition has no value: both branches run, and a loop's body runs once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nyala._typing import Nest
from nyala.backends.torch.random import _faking
from nyala.base import tree
from nyala.base.scope import StateScope


def cond(pred: Any, true_fn: Callable[[], Nest], false_fn: Callable[[], Nest]) -> Nest:
    if isinstance(pred, Tensor):
        if _faking():
            return _same("cond", [true_fn(), false_fn()])[0]
        if torch._C._functorch.is_batchedtensor(pred):  # pyright: ignore[reportAttributeAccessIssue]
            return tree.map(lambda a, b: torch.where(pred.bool(), a, b), true_fn(), false_fn())
    return true_fn() if pred else false_fn()


def switch(index: Any, branches: Sequence[Callable[..., Nest]], *operands: Nest) -> Nest:
    if _faking():
        return _same("switch", [fn(*operands) for fn in branches])[0]
    return branches[max(0, min(int(index), len(branches) - 1))](*operands)


def _same(owner: str, results: list[Nest]) -> list[Nest]:
    def spec(nest: Nest) -> Any:
        leaves, treedef = tree.flatten_with_structure(nest)
        return treedef, [(tuple(x.shape), x.dtype) if isinstance(x, Tensor) else None for x in leaves]

    first = spec(results[0])
    for other in [spec(r) for r in results[1:]]:  # `map` is an op here
        if other != first:
            raise ValueError(
                f"{owner}: the functions must return the same shapes and dtypes, got {first[1]} and {other[1]}"
            )
    return results


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> tuple[Any, ...]:
    values = tuple(loop_vars)
    if _faking():
        cond(*values)
        return tuple(_same("while_loop", [values, tuple(body(*values))])[0])
    turn = 0
    while (maximum_iterations is None or turn < maximum_iterations) and cond(*values):
        values = tuple(body(*values))
        turn += 1
    return values


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Nest], Nest], init_val: Nest) -> Nest:
    if _faking():
        return _same("fori_loop", [init_val, body_fun(torch.full((), 0, dtype=torch.int32), init_val)])[0]
    value = init_val
    for i in range(int(lower), int(upper)):
        value = body_fun(torch.full((), i, dtype=torch.int32), value)
    return value


def scan(
    f: Callable[[Nest, Nest], tuple[Nest, Nest]],
    init: Nest,
    xs: Nest = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Nest, Nest]:
    leaves = [x for x in tree.flatten(xs) if isinstance(x, Tensor)]
    n = leaves[0].shape[0] if leaves else int(length)  # type: ignore[arg-type]
    if any(x.shape[0] != n for x in leaves) or (length is not None and n != length):
        raise ValueError(f"scan: lengths differ: {[x.shape[0] for x in leaves]}, length={length}")
    if _faking():
        carry, y = f(init, _at(xs, 0))
        return carry, tree.map(lambda v: _stacked(v, n), y)
    carry, ys = init, []
    for i in reversed(range(n)) if reverse else range(n):
        carry, y = f(carry, _at(xs, i))
        ys.append(y)
    if reverse:
        ys.reverse()
    if not ys:
        with torch.no_grad(), StateScope():
            sample = f(init, tree.map(lambda x: x.new_zeros(x.shape[1:]), xs))[1]
        return carry, tree.map(lambda v: _stacked(v, 0), sample)
    return carry, tree.map(lambda *v: None if v[0] is None else torch.stack(v), *ys)


def _at(xs: Nest, i: int) -> Nest:
    return tree.map(lambda x: x[i] if isinstance(x, Tensor) else x, xs)


def _stacked(x: Any, n: int) -> Any:
    return x.new_empty((n, *x.shape)) if isinstance(x, Tensor) else x


def map(f: Callable[[Nest], Nest], xs: Nest) -> Nest:
    return scan(lambda carry, x: (carry, f(x)), None, xs)[1]


def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    """``torch.func.vmap``; what ``function`` writes must not depend on the element."""
    return torch.func.vmap(function, randomness="same")(elements)


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten_with_structure(args)
        places = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        shapes: dict[str, Any] = {}

        class Function(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *tensors: Tensor) -> Any:
                filled = list(leaves)
                for i, t in zip(places, tensors):
                    filled[i] = t
                inner = tree.unflatten(treedef, filled)
                out, ctx.backward_of = f(*inner, **kwargs)  # type: ignore[misc]
                ctx.args = inner
                flat, shapes["out"] = tree.flatten_with_structure(out)
                return tuple(flat)

            @staticmethod
            def backward(ctx: Any, *upstream: Tensor) -> Any:
                fn = ctx.backward_of
                named = inspect.signature(fn).parameters.get("upstream")
                if named is not None and named.kind is named.KEYWORD_ONLY:
                    found = fn(*ctx.args, upstream=upstream[0] if len(upstream) == 1 else upstream)
                else:
                    found = fn(*upstream)
                found = list(found) if isinstance(found, (tuple, list)) else [found]
                if len(found) != len(args):
                    raise ValueError(f"custom_gradient: {len(args)} arguments but {len(found)} gradients")
                flat = tree.flatten(tuple(found))
                return tuple(flat[i] for i in places)

        out = Function.apply(*(leaves[i] for i in places))
        return tree.unflatten(shapes["out"], list(out))

    return call


def jvp(
    fun: Callable[..., Nest], primals: tuple[Nest, ...], tangents: tuple[Nest, ...], has_aux: bool
) -> tuple[Nest, ...]:
    written: list[Any] = []

    def pure(*args: Nest) -> Any:
        with StateScope() as scope:
            out = fun(*args)
        written.extend(scope.written)
        out, aux = out if has_aux else (out, ())
        return out, (aux, [scope.values[v] for v in written])

    out, tangent, (aux, values) = torch.func.jvp(pure, primals, tangents, has_aux=True)  # pyright: ignore[reportAssignmentType]
    for variable, value in zip(written, values):
        variable.assign(value)
    return (out, tangent, aux) if has_aux else (out, tangent)


natives: dict[str, Callable[..., Any]] = {
    "cond": cond, "switch": switch, "while_loop": while_loop, "fori_loop": fori_loop, "scan": scan, "map": map,
    "vectorized_map": vectorized_map, "custom_gradient": custom_gradient, "jvp": jvp,
}  # fmt: skip
