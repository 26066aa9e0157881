"""Picking, putting and selecting values by position or condition."""

# pyright: reportReturnType=false
# (a body that is only a docstring stands for the native of the backend)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import backends
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check
from nyala.ops._op import op
from nyala.ops.core import convert_to_tensor
from nyala.ops.shapes import arange, broadcast_to, expand_dims, eye, flip, pad, reshape, tri, zeros


@op
def getitem(x: TensorLike, key: Any) -> Tensor:
    """``x[key]`` with ints, slices, ``None``, ``...`` and tensors, as NumPy has it."""


@op
def get_item(x: TensorLike, key: Any) -> Tensor:
    """``x[key]`` with ints, slices, ``None``, ``...`` and tensors, as NumPy has it."""
    return getitem(x, key)


@op
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """The slices at ``indices`` along ``axis`` (``None``: flattened); negative ones count from the end."""


@op
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """For every place of the other axes its own ``indices`` along ``axis``."""


def where(condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None) -> Any:
    """``x1`` where ``condition`` is true, else ``x2``; with neither, the indices of what is true, a vector an axis."""
    if (x1 is None) != (x2 is None):
        check.fail("where", "give both x1 and x2 or neither")
    return nonzero(condition) if x1 is None else _where(x1, x2, condition)


@op("same", name="_where")
def _where(x1: TensorLike, x2: TensorLike, condition: Any) -> Tensor:
    """``where``, with the condition left out of the promotion."""
    return _select(convert_to_tensor(condition, "bool"), x1, x2)


@op(name="where")
def _select(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor:
    """The native: the dtypes of ``x1`` and ``x2`` agree."""


@op
def select(condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: Any = 0) -> Tensor:
    """From the choice of the first condition that is true, else ``default``."""
    if len(condlist) != len(choicelist):
        check.fail("select", f"as many conditions as choices, got {len(condlist)} and {len(choicelist)}")
    out: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        out = where(condition, choice, out)
    return out


@op
def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """The indices of what is not 0, one vector an axis; not inside a compiled step: their number depends on values."""


@op
def scatter(indices: TensorLike, values: TensorLike, shape: Shape) -> Tensor:
    """Zeros of that ``shape`` with ``values`` added at ``indices``.

    Shapes: indices (..., k), values (..., *shape[k:]) -> shape.
    """
    return scatter_update(zeros(shape, backends.current().dtype_of(values)), indices, values, "add")


@op
def scatter_update(
    inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None
) -> Tensor:
    """``inputs`` with ``updates`` at ``indices``.

    ``reduction``: ``None`` replaces; ``"add"``, ``"max"``, ``"min"`` or ``"mul"`` combines.
    Shapes: indices (..., k), updates (..., *inputs.shape[k:]).
    """


@op
def slice(inputs: TensorLike, start_indices: Any, shape: Any) -> Tensor:
    """The block of that ``shape`` that begins at ``start_indices`` (which may be a tensor); -1: to the end."""


@op
def slice_update(inputs: TensorLike, start_indices: Any, updates: TensorLike) -> Tensor:
    """``inputs`` with the block ``updates`` at ``start_indices`` (which may be a tensor)."""


def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Indices into the flattened tensor as indices along each axis of ``shape``."""
    rest = convert_to_tensor(indices)
    found = []
    for n in reversed(tuple(shape)):
        found.append(rest % n)
        rest = rest // n
    return tuple(reversed(found))


# -- diagonals ---------------------------------------------------------------------------------------------------------


@op
def tril(x: TensorLike, k: int = 0) -> Tensor:
    """0 above the ``k``-th diagonal of the last two axes."""
    return _select(tri(x.shape[-2], x.shape[-1], k, "bool"), x, x * 0)


@op
def triu(x: TensorLike, k: int = 0) -> Tensor:
    """0 below the ``k``-th diagonal of the last two axes."""
    return _select(tri(x.shape[-2], x.shape[-1], k - 1, "bool"), x * 0, x)


@op
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The diagonal of two axes, as the last axis."""


@op
def diag(x: TensorLike, k: int = 0) -> Tensor:
    """The matrix with the vector ``x`` on its ``k``-th diagonal, or the diagonal of a matrix."""
    if len(x.shape) == 2:
        return diagonal(x, k)
    if len(x.shape) != 1:
        check.fail("diag", f"needs one or two axes, got shape {tuple(x.shape)}")
    n = x.shape[0] + abs(k)
    # Each row holds its own number everywhere, then all but the diagonal is cleared.
    column = reshape(pad(x, [[max(-k, 0), max(k, 0)]]), (n, 1))
    return _select(
        eye(n, k=k, dtype="bool"), broadcast_to(column, (n, n)), zeros((n, n), backends.current().dtype_of(x))
    )


@op
def diagflat(x: TensorLike, k: int = 0) -> Tensor:
    """``diag`` of the flattened ``x``."""
    return diag(reshape(x, (-1,)), k)


@op
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes."""
    from nyala.ops.reduce import sum

    return sum(diagonal(x, offset, axis1, axis2), -1)


@op
def vander(x: TensorLike, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of ``x`` along a new axis of length ``N`` (default: that of ``x``), by default descending."""
    powers = arange(x.shape[0] if N is None else N, dtype=backends.current().dtype_of(x))
    powers = powers if increasing else flip(powers)
    return expand_dims(x, -1) ** powers


def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Overlapping windows of the last axis: (..., n) -> (..., windows, sequence_length)."""
    from nyala.ops.core import shape

    check.positive_int("extract_sequences", "sequence_length", sequence_length)
    check.positive_int("extract_sequences", "sequence_stride", sequence_stride)
    n = shape(x)[-1]
    windows = (n - sequence_length) // sequence_stride + 1
    starts = expand_dims(arange(windows, dtype="int32") * sequence_stride, 1)
    return take(x, starts + expand_dims(arange(sequence_length, dtype="int32"), 0), axis=-1)
