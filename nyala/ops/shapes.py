"""Making tensors, and changing their shape but not their values."""

# pyright: reportReturnType=false
# (a body that is only a docstring stands for the native of the backend)

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

from nyala import backends
from nyala._typing import Axis, DType, Shape, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.ops._op import op
from nyala.ops.comparison import greater_equal
from nyala.ops.core import cast, convert_to_tensor, shape
from nyala.ops.elementwise import add, divide, floor, multiply, power, subtract


def ndim(x: TensorLike) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: TensorLike) -> Any:
    """The number of elements; ``None`` if an axis is unknown."""
    known = shape(x)
    return None if None in known else math.prod(known)


# -- creation ----------------------------------------------------------------------------------------------------------


@op
def array(x: TensorLike, dtype: DType = None) -> Tensor:
    """``x`` as a tensor."""
    return x if dtype is None else cast(x, dtype)


@op
def full(shape: Shape, fill_value: TensorLike, dtype: DType = None) -> Tensor:
    """``fill_value`` everywhere. ``dtype``: default ``floatx()``."""
    return broadcast_to(cast(fill_value, dtypes.standardize(dtype)), shape)


@op
def zeros(shape: Shape, dtype: DType = None) -> Tensor:
    """0 everywhere. ``dtype``: default ``floatx()``."""
    return full(shape, 0, dtype)


@op
def ones(shape: Shape, dtype: DType = None) -> Tensor:
    """1 everywhere. ``dtype``: default ``floatx()``."""
    return full(shape, 1, dtype)


@op
def empty(shape: Shape, dtype: DType = None) -> Tensor:
    """A tensor whose values do not matter: zeros here."""
    return zeros(shape, dtype)


@op
def full_like(x: TensorLike, fill_value: TensorLike, dtype: DType = None) -> Tensor:
    """``fill_value`` in the shape of ``x`` and, unless ``dtype`` is given, in its dtype."""
    backend = backends.current()
    return broadcast_to(cast(fill_value, dtype or backend.dtype_of(x)), backend.shape_of(x))


@op
def zeros_like(x: TensorLike, dtype: DType = None) -> Tensor:
    """0 in the shape of ``x``."""
    return full_like(x, 0, dtype)


@op
def ones_like(x: TensorLike, dtype: DType = None) -> Tensor:
    """1 in the shape of ``x``."""
    return full_like(x, 1, dtype)


@op
def empty_like(x: TensorLike, dtype: DType = None) -> Tensor:
    """A tensor in the shape of ``x`` whose values do not matter: zeros here."""
    return zeros_like(x, dtype)


@op
def arange(start: Any, stop: Any = None, step: Any = None, dtype: DType = None) -> Tensor:
    """``start``, ``start + step``, ... below ``stop``; one number alone is ``stop``. ``dtype``: that of the numbers."""


@op
def linspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DType = None,
    axis: int = 0,
) -> Any:
    """``num`` numbers at equal distances from ``start`` to ``stop``, which is the last one if ``endpoint``.

    ``retstep``: return the distance, too. ``axis``: where the new axis goes, when ``start`` is no scalar.
    """
    check.non_negative_int("linspace", "num", num)
    kind = _result(dtype, start, stop)
    work = kind if kind in dtypes.FLOATS else dtypes.standardize(None)
    start, stop = cast(start, work), cast(stop, work)
    start, stop = add(start, multiply(stop, 0)), add(stop, multiply(start, 0))
    parts = num - 1 if endpoint else num
    step = divide(subtract(stop, start), parts) if parts > 0 else multiply(start, float("nan"))
    places = reshape(arange(num, dtype=work), (num,) + (1,) * len(start.shape))
    share = divide(places, parts) if parts > 0 else multiply(places, 0)
    # From both ends, so that the last one is exact.
    values = add(multiply(start, subtract(1, share)), multiply(stop, share))
    values = cast(values if kind == work else floor(values), kind)
    values = moveaxis(values, 0, axis) if axis else values
    return (values, step) if retstep else values


@op
def logspace(
    start: TensorLike,
    stop: TensorLike,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: DType = None,
    axis: int = 0,
) -> Tensor:
    """``base`` to the powers ``linspace(start, stop, num)``."""
    kind = _result(dtype, start, stop)
    work = kind if kind in dtypes.FLOATS else dtypes.standardize(None)
    return cast(power(cast(base, work), linspace(start, stop, num, endpoint, dtype=work, axis=axis)), kind)


@op
def geomspace(
    start: TensorLike, stop: TensorLike, num: int = 50, endpoint: bool = True, dtype: DType = None, axis: int = 0
) -> Tensor:
    """``num`` numbers from ``start`` to ``stop``, each the same multiple of the one before."""
    from nyala.ops.elementwise import absolute, log, sign

    kind = _result(dtype, start, stop)
    work = kind if kind in dtypes.FLOATS else dtypes.standardize(None)
    start, stop = cast(start, work), cast(stop, work)
    powers = linspace(log(absolute(start)), log(absolute(stop)), num, endpoint, axis=axis)
    from nyala.ops.elementwise import exp

    turn = sign(start) if not len(start.shape) else expand_dims(sign(start), axis)
    return cast(multiply(exp(powers), turn), kind)


def _result(dtype: DType, *values: Tensor) -> str:
    """The dtype that was asked for, else a float one that fits the values."""
    if dtype is not None:
        return dtypes.standardize(dtype)
    return dtypes.result_type(*(backends.current().dtype_of(v) for v in values), float)


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Tensor:
    """1 on the ``k``-th diagonal of an ``N`` by ``M`` (default ``N``) matrix, else 0."""
    from nyala.ops.comparison import equal

    rows, columns = _grid(N, M)
    return cast(equal(rows + k, columns), dtypes.standardize(dtype))


@op
def identity(n: int, dtype: DType = None) -> Tensor:
    """The identity matrix."""
    return eye(n, dtype=dtype)


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: DType = None) -> Tensor:
    """1 at and below the ``k``-th diagonal of an ``N`` by ``M`` (default ``N``) matrix, else 0."""
    rows, columns = _grid(N, M)
    return cast(greater_equal(rows + k, columns), dtypes.standardize(dtype))


def _grid(n: int, m: int | None) -> tuple[Tensor, Tensor]:
    return expand_dims(arange(n, dtype="int32"), 1), expand_dims(arange(n if m is None else m, dtype="int32"), 0)


@op
def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid from those along its axes; ``"xy"`` swaps the first two axes, ``"ij"`` does not."""
    check.one_of("meshgrid", "indexing", indexing, ("xy", "ij"))
    vectors = [reshape(convert_to_tensor(v), (-1,)) for v in x]
    order = list(builtins.range(len(vectors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    sizes = tuple(shape(vectors[i])[0] for i in order)
    return [broadcast_to(reshape(v, tuple(-1 if i == j else 1 for j in order)), sizes) for i, v in enumerate(vectors)]


# -- shape -------------------------------------------------------------------------------------------------------------


@op
def reshape(x: TensorLike, newshape: Any) -> Tensor:
    """The same values in the same order; one dimension may be -1 or ``None``: what is left."""


@op
def ravel(x: TensorLike) -> Tensor:
    """One axis."""
    return reshape(x, (-1,))


@op
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, by default reversed."""


@op
def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """The axes ``source`` at the places ``destination``; the others keep their order."""
    n = len(x.shape)
    froms = [a % n for a in ((source,) if isinstance(source, int) else source)]
    tos = [a % n for a in ((destination,) if isinstance(destination, int) else destination)]
    order = [i for i in builtins.range(n) if i not in froms]
    for to, where in sorted(zip(tos, froms)):
        order.insert(to, where)
    return transpose(x, order)


@op
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    order = list(builtins.range(len(x.shape)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


@op
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Without ``axis`` (``None``: every axis) of length 1."""


@op
def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """With a new axis of length 1 at place ``axis`` of the result."""


@op
def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """Repeated along axes of length 1 and new leading ones."""


@op("same")
def concatenate(xs: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """One after the other along ``axis``."""


@op("same")
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Along a new axis."""


@op("same")
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """``x2`` after ``x1`` along ``axis`` (``None``: both flattened)."""
    return concatenate([ravel(x1), ravel(x2)] if axis is None else [x1, x2], axis or 0)


@op("same")
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """One below the other; vectors are rows."""
    return concatenate([x if len(x.shape) > 1 else reshape(x, (1, -1)) for x in xs], 0)


@op("same")
def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Side by side: along the second axis, vectors along the first."""
    xs = [x if len(x.shape) else reshape(x, (1,)) for x in xs]
    return concatenate(xs, 0 if len(xs[0].shape) == 1 else 1)


@op("same")
def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Along the third axis."""
    return concatenate(
        [reshape(x, (1, -1, 1)) if len(x.shape) < 2 else expand_dims(x, -1) if len(x.shape) == 2 else x for x in xs], 2
    )


@op
def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """In that many equal parts, or cut before those indices."""


@op
def array_split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """``split``, but the first parts may be one longer than the last."""
    if not isinstance(indices_or_sections, int):
        return split(x, indices_or_sections, axis)
    small, longer = divmod(x.shape[axis], indices_or_sections)
    ends = [i * small + min(i, longer) for i in builtins.range(1, indices_or_sections)]
    return split(x, ends, axis)


@op
def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """``split`` along the first axis."""
    return split(x, indices_or_sections, 0)


@op
def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """``split`` along the second axis, of vectors along the first."""
    return split(x, indices_or_sections, 1 if len(x.shape) > 1 else 0)


@op
def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """``split`` along the third axis."""
    return split(x, indices_or_sections, 2)


@op
def pad(x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """With a border: ``pad_width`` is a number, a pair or a pair an axis.

    ``mode``: ``"constant"`` (0 or ``constant_values``), ``"reflect"`` (without the edge) or ``"symmetric"`` (with it).
    """


@op
def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """The whole repeated along each axis."""


@op
def repeat(x: TensorLike, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element repeated; ``repeats`` is a number or one for each place along ``axis`` (``None``: flattened)."""


@op
def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """In reverse order along ``axis`` (``None``: all)."""


@op
def fliplr(x: TensorLike) -> Tensor:
    """In reverse order along the second axis."""
    return flip(x, 1)


@op
def flipud(x: TensorLike) -> Tensor:
    """In reverse order along the first axis."""
    return flip(x, 0)


@op
def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Moved along ``axis``; what leaves at the end comes in at the front."""


@op
def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Turned by ``k`` times 90 degrees in the plane of ``axes``, from the first toward the second."""
    if len(array.shape) < 2:
        check.fail("rot90", f"needs two axes or more, got shape {tuple(array.shape)}")
    first, second = axes
    if first % len(array.shape) == second % len(array.shape):
        check.fail("rot90", f"axes must differ, got {axes}")
    k = k % 4
    if k == 2:
        return flip(array, (first, second))
    if k == 1:
        return swapaxes(flip(array, second), first, second)
    return flip(swapaxes(array, first, second), second) if k == 3 else array


def rearrange(tensor: TensorLike, pattern: str, **axes_lengths: int) -> Tensor:
    """Axes split, merged and reordered by a pattern, e.g. ``"b (h w) c -> b h w c", h=2`` (https://einops.rocks)."""
    left, right = (_axes_of(side) for side in pattern.split("->"))
    known = shape(tensor)
    if len(left) != len(known):
        check.fail("rearrange", f"pattern {pattern!r} has {len(left)} axes on the left, the tensor has shape {known}")
    lengths: dict[str, int | None] = dict(axes_lengths)
    for group, n in zip(left, known):
        open_ = [name for name in group if name not in lengths]
        rest = math.prod(lengths[name] or 1 for name in group if name in lengths)
        if len(open_) > 1:
            check.fail("rearrange", f"give the length of all but one of {group} in {pattern!r}")
        if open_:
            lengths[open_[0]] = None if n is None else n // rest
    flat_left = [name for group in left for name in group]
    flat_right = [name for group in right for name in group]
    if sorted(flat_left) != sorted(flat_right):
        check.fail("rearrange", f"the axes on both sides of {pattern!r} differ")
    x = reshape(tensor, _sizes([lengths[n] for n in flat_left]))
    x = transpose(x, [flat_left.index(n) for n in flat_right])
    merged = [None if any(lengths[n] is None for n in g) else math.prod(lengths[n] or 1 for n in g) for g in right]
    return reshape(x, _sizes(merged))


def _axes_of(side: str) -> list[list[str]]:
    groups: list[list[str]] = []
    inside: list[str] | None = None
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inside = []
        elif word == ")":
            groups.append(inside or [])
            inside = None
        elif inside is not None:
            inside.append(word)
        else:
            groups.append([word])
    return groups


def _sizes(lengths: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if n is None else n for n in lengths)
