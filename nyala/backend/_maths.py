"""K's functions over numbers: those of ``ops`` under Keras 1's and 2's names, argument names and defaults."""

from __future__ import annotations

import operator
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Axis, DType, Nest, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config, scope
from nyala.base.variable import Variable
from nyala.graph.node import Node, OpCall
from nyala.graph.symbolic import SymbolicTensor
from nyala.ops import (
    abs,
    arange,
    cast,
    cos,
    equal,
    exp,
    floor,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log1p,
    maximum,
    minimum,
    not_equal,
    reshape,
    round,
    sign,
    sin,
    sqrt,
    square,
    squeeze,
    stack,
    stop_gradient,
    transpose,
)

_all, _any, _max, _min, _sum = all, any, max, min, sum


def _floats(x: TensorLike) -> Tensor:
    """Booleans and integers as ``floatx``, as K took means of them."""
    x = ops.convert_to_tensor(x)
    return x if "float" in ops.dtype(x) else ops.cast(x, config.floatx())


def _axes(axis: Any) -> Any:
    """An axis or axes, which programs give as an array, too."""
    return tuple(map(int, axis)) if isinstance(axis, np.ndarray) and axis.ndim else axis


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.all(ops.cast(x, "bool"), axis, keepdims)


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.any(ops.cast(x, "bool"), axis, keepdims)


def argmax(x: TensorLike, axis: int = -1) -> Tensor:
    return ops.argmax(x, axis)


def argmin(x: TensorLike, axis: int = -1) -> Tensor:
    return ops.argmin(x, axis)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.max(x, _axes(axis), keepdims)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.min(x, _axes(axis), keepdims)


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.sum(x, _axes(axis), keepdims)


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.prod(x, _axes(axis), keepdims)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.mean(_floats(x), _axes(axis), keepdims)


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.var(_floats(x), _axes(axis), keepdims)


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.std(_floats(x), _axes(axis), keepdims)


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return ops.logsumexp(x, axis, keepdims)


def cumsum(x: TensorLike, axis: int = 0) -> Tensor:
    return ops.cumsum(x, axis)


def cumprod(x: TensorLike, axis: int = 0) -> Tensor:
    return ops.cumprod(x, axis)


def pow(x: TensorLike, a: TensorLike) -> Tensor:
    return ops.power(x, a)


def clip(x: TensorLike, min_value: Any, max_value: Any) -> Tensor:
    """x held between the two; ``None``: no bound. A ``max_value`` below ``min_value`` counts as ``min_value``."""
    numbers = (int, float)
    if isinstance(min_value, numbers) and isinstance(max_value, numbers) and max_value < min_value:
        max_value = min_value
    low = float("-inf") if min_value is None else min_value
    return ops.clip(x, low, float("inf") if max_value is None else max_value)


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """The product over the last axis of x and the last but one of y."""
    return ops.dot(x, y)


def batch_dot(x: TensorLike, y: TensorLike, axes: int | Sequence[int] | None = None) -> Tensor:
    """For each sample the product over one axis of x and one of y (axis 0 being the samples).

    With four axes or more, those before the last two are samples too where their sizes agree, as on TensorFlow
    before Keras 2.3 (capsules and heads of attention are written so).
    Shapes: those of x and y without the two axes, samples once; (batch, 1) when nothing is left.
    """
    nx, ny = len(x.shape), len(y.shape)
    if axes is None:
        axes = (nx - 1, ny - 1 if ny == 2 else ny - 2)
    pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
    i, j = pair[0] % nx, pair[1] % ny
    if 0 in (i, j):
        check.fail("K.batch_dot", f"axes={axes!r} names the batch axis; give axes from 1 on")
    shared = sorted((1, nx - 2, ny - 2))[-1]
    if i < shared or j < shared or tuple(x.shape[1:shared]) != tuple(y.shape[1:shared]):
        shared = 1
    letters = string.ascii_letters
    left = list(letters[:nx])
    right = [*left[:shared], *letters[nx : nx + ny - shared]]
    right[j] = left[i]
    out = [c for k, c in enumerate(left) if k != i] + [c for k, c in enumerate(right) if k >= shared and k != j]
    result = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)
    return ops.expand_dims(result, 1) if len(out) == 1 else result


def batch_flatten(x: TensorLike) -> Tensor:
    """(batch, ...) -> (batch, n)."""
    sizes = ops.shape(x)[1:]
    known = _all(check.is_int(n) for n in sizes)
    return ops.reshape(x, (-1, _product(sizes)) if known else (ops.shape(x)[0], -1))


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for n in sizes:
        total *= n
    return total


def shape(x: TensorLike) -> tuple[Any, ...]:
    """The shape; what a symbolic tensor does not know yet as scalars of the graph."""
    known = ops.shape(x)
    if not isinstance(x, SymbolicTensor) or None not in known:
        return known
    return tuple(_Size.of(_size_of, x, i) if n is None else n for i, n in enumerate(known))


def _size_of(x: Tensor, axis: int) -> Any:
    return ops.shape(x)[axis]


class _Size(SymbolicTensor):
    """A size that is not known yet: the graph computes it, as an int where the backend's shapes are ints."""

    @classmethod
    def of(cls, fn: Callable[..., Any], *args: Any) -> _Size:
        out = cls((), "int32", backend=next(x.backend for x in args if isinstance(x, SymbolicTensor)))
        Node(OpCall(fn), args, {}, out)
        return out


def _arithmetic(name: str) -> None:
    def method(plain: Callable[..., Any], fn: Callable[..., Any]) -> Callable[..., Any]:
        return lambda a, b: _Size.of(fn, a, b) if isinstance(b, (int, _Size)) else plain(a, b)

    fn = getattr(operator, name)
    setattr(_Size, f"__{name}__", method(getattr(SymbolicTensor, f"__{name}__"), fn))
    setattr(_Size, f"__r{name}__", method(getattr(SymbolicTensor, f"__r{name}__"), lambda a, b: fn(b, a)))


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    _arithmetic(_name)


def flatten(x: TensorLike) -> Tensor:
    return ops.reshape(x, (-1,))


def expand_dims(x: TensorLike, axis: int = -1) -> Tensor:
    return ops.expand_dims(x, axis)


def concatenate(tensors: Sequence[TensorLike], axis: int = -1) -> Tensor:
    return ops.concatenate(tensors, axis)


def gather(reference: TensorLike, indices: TensorLike) -> Tensor:
    """The rows of ``reference`` with these numbers."""
    return ops.take(reference, ops.cast(indices, "int32"), axis=0)


def permute_dimensions(x: TensorLike, pattern: Sequence[int]) -> Tensor:
    return ops.transpose(x, tuple(pattern))


def repeat(x: TensorLike, n: int) -> Tensor:
    """(batch, features) -> (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: TensorLike, rep: int, axis: int) -> Tensor:
    return ops.repeat(x, rep, axis=axis)


def reverse(x: TensorLike, axes: int | Sequence[int]) -> Tensor:
    return ops.flip(x, axes)


def tile(x: TensorLike, n: int | Sequence[int]) -> Tensor:
    return ops.tile(x, n if isinstance(n, Sequence) else (n,))


def slice(x: TensorLike, start: Sequence[int], size: Sequence[int]) -> Tensor:
    return ops.slice(x, start, size)


def one_hot(indices: TensorLike, num_classes: int) -> Tensor:
    return ops.one_hot(ops.cast(indices, "int32"), num_classes)


def eye(size: int | Sequence[int], dtype: DType = None, name: str | None = None) -> Tensor:
    n, m = size if isinstance(size, Sequence) else (size, size)
    return ops.eye(n, m, dtype=dtype)


def ones(shape: Sequence[int], dtype: DType = None, name: str | None = None) -> Any:
    return _filled(np.ones, shape, dtype, name)


def zeros(shape: Sequence[int], dtype: DType = None, name: str | None = None) -> Any:
    """A tensor; a variable, as these always were in Keras 1 and 2, with a name and in an optimizer's ``get_updates``."""
    return _filled(np.zeros, shape, dtype, name)


def _filled(fill: Any, shape: Any, dtype: DType, name: str | None) -> Any:
    if scope.deferred() is None and name is None:
        return (ops.ones if fill is np.ones else ops.zeros)(shape, dtype)
    value = fill(shape, dtypes.numpy_dtype(dtypes.standardize(dtype or config.floatx())))
    return scope.made_once(lambda: Variable(value, trainable=scope.deferred() is None, name=name))


def ones_like(x: TensorLike, dtype: DType = None, name: str | None = None) -> Tensor:
    return ops.ones_like(x, dtype)


def zeros_like(x: TensorLike, dtype: DType = None, name: str | None = None) -> Tensor:
    return ops.zeros_like(x, dtype)


def identity(x: TensorLike, name: str | None = None) -> Tensor:
    return ops.copy(x)


def in_top_k(predictions: TensorLike, targets: TensorLike, k: int) -> Tensor:
    return ops.in_top_k(ops.cast(targets, "int32"), predictions, k)


def switch(condition: TensorLike, then_expression: Any, else_expression: Any) -> Any:
    """One of two values, or of what two functions give: elementwise where the condition has axes."""
    if not len(condition.shape) and (callable(then_expression) or callable(else_expression)):
        branches = [e if callable(e) else (lambda e=e: e) for e in (then_expression, else_expression)]
        return ops.cond(ops.cast(condition, "bool"), *branches)
    then: Any = then_expression() if callable(then_expression) else then_expression
    other: Any = else_expression() if callable(else_expression) else else_expression
    condition = ops.cast(condition, "bool")
    while len(condition.shape) < len(then.shape):
        condition = ops.expand_dims(condition, -1)
    return ops.where(condition, then, other)


def map_fn(fn: Callable[..., Any], elems: Nest, name: str | None = None, dtype: DType = None) -> Nest:
    """``fn`` over the first axis."""
    found = ops.map(fn, elems)
    return found if dtype is None else ops.cast(found, dtype)


def foldl(fn: Callable[..., Any], elems: Tensor, initializer: Any = None, name: str | None = None) -> Tensor:
    """``fn(fn(fn(first, x0), x1), ...)``; without ``initializer`` the first element begins."""
    first, rest = (elems[0], elems[1:]) if initializer is None else (initializer, elems)
    return ops.scan(lambda carry, x: (fn(carry, x), None), ops.convert_to_tensor(first), rest)[0]


def foldr(fn: Callable[..., Any], elems: Tensor, initializer: Any = None, name: str | None = None) -> Tensor:
    """``foldl`` from the last element on."""
    return foldl(fn, ops.flip(elems, 0), initializer)


__all__ = [
    "abs", "all", "any", "arange", "argmax", "argmin", "batch_dot", "batch_flatten", "cast", "clip", "concatenate",
    "cos", "cumprod", "cumsum", "dot", "equal", "exp", "expand_dims", "eye", "flatten", "floor", "foldl", "foldr",
    "gather", "greater", "greater_equal", "identity", "in_top_k", "less", "less_equal", "log", "log1p", "logsumexp",
    "map_fn", "max", "maximum", "mean", "min", "minimum", "not_equal", "one_hot", "ones", "ones_like",
    "permute_dimensions", "pow", "prod", "repeat", "repeat_elements", "reshape", "reverse", "round", "shape", "sign",
    "sin", "slice", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient", "sum", "switch", "tile", "transpose",
    "var", "zeros", "zeros_like",
]  # fmt: skip
