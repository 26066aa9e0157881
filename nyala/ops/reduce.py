"""Reductions, cumulative sums, sorting and counting."""

# pyright: reportReturnType=false
# (a body that is only a docstring stands for the native of the backend)

from __future__ import annotations

import builtins
from typing import Any

from nyala import backends
from nyala._typing import Axis, DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.ops._op import op
from nyala.ops.comparison import equal, greater, isnan, less, logical_and, logical_or, not_equal
from nyala.ops.core import cast
from nyala.ops.elementwise import divide, floor, maximum, minimum, multiply, square, subtract
from nyala.ops.index import where
from nyala.ops.shapes import arange, expand_dims, full_like, moveaxis, ones_like, reshape, zeros_like


@op
def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over ``axis`` (``None``: all axes)."""


@op
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The mean; of ints a float."""


@op
def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False, dtype: DType = None) -> Tensor:
    """The product."""


@op
def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The largest; at least ``initial``, which is the result for no elements."""


@op
def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
    """The smallest; at most ``initial``, which is the result for no elements."""


@op
def amax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest."""
    return max(x, axis, keepdims)


@op
def amin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest."""
    return min(x, axis, keepdims)


@op
def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest less the smallest."""
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


@op
def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all are true."""


@op
def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether one is true."""


@op
def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The variance: the mean of the squared distances from the mean."""


@op
def std(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The standard deviation: the square root of the variance."""


@op
def count_nonzero(x: TensorLike, axis: Axis = None) -> Tensor:
    """How many are not 0."""
    return sum(cast(not_equal(x, 0), "int32"), axis)


@op("float")
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``log(sum(exp(x)))``, without overflow."""


@op
def average(x: TensorLike, axis: Axis = None, weights: TensorLike | None = None) -> Tensor:
    """``sum(weights * x) / sum(weights)``; ``weights`` has the shape of ``x`` or of its ``axis``."""
    x = _float(x)
    if weights is None:
        return mean(x, axis)
    if len(weights.shape) != len(x.shape):
        if len(weights.shape) != 1 or not isinstance(axis, int):
            check.fail("average", f"weights of shape {tuple(weights.shape)} need an int axis, got {axis!r}")
        weights = reshape(weights, _along(x, axis, -1))
    weights = multiply(weights, ones_like(x))
    return divide(sum(multiply(x, weights), axis), sum(weights, axis))


@op
def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the largest (the first of equals), of the flattened ``x`` if ``axis`` is ``None``."""


@op
def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the smallest (the first of equals), of the flattened ``x`` if ``axis`` is ``None``."""


@op
def cumsum(x: TensorLike, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The sums up to each place."""


@op
def cumprod(x: TensorLike, axis: int | None = None, dtype: DType = None) -> Tensor:
    """The products up to each place."""


# -- NaN left out ------------------------------------------------------------------------------------------------------


@op
def nansum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``sum`` without NaN."""
    return sum(_filled(x, 0), axis, keepdims)


@op
def nanprod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``prod`` without NaN."""
    return prod(_filled(x, 1), axis, keepdims)


@op
def nancumsum(x: TensorLike, axis: int | None = None, dtype: DType = None) -> Tensor:
    """``cumsum`` with NaN as 0."""
    return cumsum(_filled(x, 0), axis, dtype)


@op
def nancumprod(x: TensorLike, axis: int | None = None, dtype: DType = None) -> Tensor:
    """``cumprod`` with NaN as 1."""
    return cumprod(_filled(x, 1), axis, dtype)


@op
def nanmax(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``max`` without NaN; NaN where there is nothing else."""
    if not _has_nan(x):
        return max(x, axis, keepdims)
    return _or_nan(x, max(_filled(x, float("-inf")), axis, keepdims), axis, keepdims)


@op
def nanmin(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``min`` without NaN; NaN where there is nothing else."""
    if not _has_nan(x):
        return min(x, axis, keepdims)
    return _or_nan(x, min(_filled(x, float("inf")), axis, keepdims), axis, keepdims)


@op
def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """``argmax`` without NaN; -1 where there is nothing else."""
    found = argmax(_filled(x, float("-inf")) if _has_nan(x) else x, axis, keepdims)
    return where(all(isnan(x), axis, keepdims), full_like(found, -1), found)


@op
def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """``argmin`` without NaN; -1 where there is nothing else."""
    found = argmin(_filled(x, float("inf")) if _has_nan(x) else x, axis, keepdims)
    return where(all(isnan(x), axis, keepdims), full_like(found, -1), found)


@op
def nanmean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``mean`` without NaN."""
    x = _float(x)
    count = sum(cast(_valid(x), backends.current().dtype_of(x)), axis, keepdims)
    return divide(nansum(x, axis, keepdims), count)


@op
def nanvar(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``var`` without NaN."""
    x = _float(x)
    return nanmean(square(subtract(x, nanmean(x, axis, True))), axis, keepdims)


@op
def nanstd(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``std`` without NaN."""
    return nanvar(x, axis, keepdims) ** 0.5


# -- order -------------------------------------------------------------------------------------------------------------


@op
def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """In ascending order along ``axis`` (``None``: flattened)."""


@op
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The indices that sort ``x`` along ``axis``, equals in their order."""


@op
def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """Indices such that the ``kth`` is where sorting puts it, smaller ones before and larger ones after."""
    return argsort(x, axis)


@op
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of the last axis and their indices, the largest first (always, whatever ``sorted``)."""


@op
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Whether the score of each target is among the ``k`` largest of its row; ties count as in.

    Shapes: targets (batch,), predictions (batch, classes) -> (batch,) bool.
    """
    from nyala.ops.index import take_along_axis

    classes = predictions.shape[-1]
    within = logical_and(targets >= 0, less(targets, classes))
    inside = where(within, targets, zeros_like(targets))
    score = take_along_axis(predictions, expand_dims(inside, -1), axis=-1)
    larger = sum(cast(greater(predictions, score), "int32"), axis=-1)
    return logical_and(logical_and(less(larger, k), within), (score * 0 == 0)[..., 0])


@op
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Where each value goes in a sorted vector; ``side``: before (``"left"``) or after equals."""


@op
def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """The number of the bin of each ``x``: how many of the ascending edges ``bins`` are at or below it."""
    return searchsorted(bins, x, side="right")


@op
def median(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The middle value; between two the mean."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


@op
def quantile(x: TensorLike, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which the share ``q`` (in [0, 1], a number or a vector) lies.

    ``method``: ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"`` or ``"nearest"`` between two values.
    """


@op
def percentile(x: TensorLike, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """``quantile`` with ``q`` in [0, 100]."""
    return quantile(x, divide(q, 100.0), axis, method, keepdims)


@op
def nanquantile(x: TensorLike, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """``quantile`` without NaN."""
    from nyala.ops.index import take_along_axis
    from nyala.ops.shapes import concatenate, squeeze

    check.one_of("nanquantile", "method", method, ("linear", "lower", "higher", "midpoint", "nearest"))
    x = _float(x)
    axes = _axes(x, axis)
    kept = [i for i in range(len(x.shape)) if i not in axes]
    flat = moveaxis(x, axes, tuple(range(len(kept), len(x.shape))))
    flat = sort(reshape(flat, (*(flat.shape[i] for i in range(len(kept))), -1)))
    dtype = backends.current().dtype_of(x)
    last = sum(cast(_valid(flat), "int32"), -1, True) - 1
    q = cast(q, dtype) if not isinstance(q, (int, float)) else ones_like(reshape(x, (-1,))[0]) * q
    parts = []
    for share in [q] if not len(q.shape) else [q[i] for i in range(q.shape[0])]:
        place = multiply(share, cast(maximum(last, 0), dtype))
        low = cast(floor(place), "int32")
        high = minimum(low + 1, maximum(last, 0))
        part = place - cast(low, dtype)
        if method != "linear":
            part = {
                "lower": lambda p: zeros_like(p),
                "higher": lambda p: cast(greater(p, 0), dtype),
                "midpoint": lambda p: cast(greater(p, 0), dtype) * 0.5,
                "nearest": lambda p: cast(greater(p, 0.5), dtype),
            }[method](part)
        below, above = take_along_axis(flat, low, axis=-1), take_along_axis(flat, high, axis=-1)
        value = squeeze(below + (above - below) * part, -1)
        if keepdims:
            value = reshape(value, tuple(1 if i in axes else x.shape[i] for i in range(len(x.shape))))
        parts.append(value)
    return parts[0] if not len(q.shape) else concatenate([expand_dims(p, 0) for p in parts], 0)


@op
def nanpercentile(x: TensorLike, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """``nanquantile`` with ``q`` in [0, 100]."""
    return nanquantile(x, divide(q, 100.0), axis, method, keepdims)


@op
def nanmedian(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """``median`` without NaN."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


# -- counting ----------------------------------------------------------------------------------------------------------


@op
def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each int from 0 occurs in ``x`` (of each row, for two axes), or the sum of its weights.

    Inside a compiled step the length is ``minlength``, for it must be known. ``sparse`` must be false.
    """
    from nyala.ops.core import convert_to_numpy

    if sparse:
        check.fail("bincount", "sparse tensors are not made here; use sparse=False")
    backend = backends.current()
    known = not backend.is_tracing()
    length = int(builtins.max([minlength, *(convert_to_numpy(x).reshape(-1) + 1)])) if known else minlength
    rows = x.shape[0] if len(x.shape) == 2 else 1
    x = cast(x, "int32")
    ids = reshape(reshape(x, (rows, -1)) + expand_dims(arange(rows, dtype="int32") * length, 1), (-1,))
    # What lies beyond the length counts nowhere, rather than in the next row.
    beyond = full_like(ids, rows * length)
    ids = where(reshape(less(x, length), (-1,)), ids, beyond)
    each = ones_like(ids) if weights is None else reshape(weights, (-1,))
    counts = segment_sum(each, ids, rows * length + 1)[:-1]
    return reshape(counts, (*x.shape[:-1], length))


@op
def histogram(x: TensorLike, bins: Any = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """How many of ``x`` fall in each bin, and the edges of the bins.

    Args:
        bins: number of bins of equal width, or their ascending edges.
        range: first and last edge; default the smallest and largest of ``x``.
    """
    from nyala.ops.shapes import linspace

    x = reshape(_float(x), (-1,))
    if isinstance(bins, int):
        check.positive_int("histogram", "bins", bins)
        if range is not None:
            if range[1] < range[0]:
                check.fail("histogram", f"range must ascend, got {range!r}")
            low, high = range
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        else:
            low, high = min(x), max(x)
            flat = cast(equal(low, high), backends.current().dtype_of(x)) * 0.5
            low, high = low - flat, high + flat
        edges = linspace(low, high, bins + 1, dtype=backends.current().dtype_of(x))
    else:
        edges = cast(bins, backends.current().dtype_of(x))
    below = expand_dims(edges[:-1], 1)
    above = expand_dims(edges[1:], 1)
    inside = logical_and(expand_dims(x, 0) >= below, less(expand_dims(x, 0), above))
    last = logical_and(equal(expand_dims(x, 0), edges[-1]), equal(above, edges[-1]))
    counts = sum(cast(logical_or(inside, last), "int32"), 1)
    return cast(counts, backends.current().dtype_of(edges)), edges


@op
def segment_sum(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sum of the rows of each segment. ``num_segments``: default the largest id plus one (not in a compiled step)."""


@op
def segment_max(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The largest of each segment."""


@op
def segment_min(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The smallest of each segment."""


@op
def segment_prod(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The product of the rows of each segment."""


@op
def unique(
    x: TensorLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different values, and if asked for their first places, the place of each ``x`` among them and their numbers.

    ``size``: the length of the result, filled up with ``fill_value``; needed inside a compiled step.
    """


@op
def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours, taken ``n`` times."""
    axis = axis % len(a.shape)
    before = (slice(None),) * axis
    for _ in range(n):
        later, earlier = a[(*before, slice(1, None))], a[(*before, slice(None, -1))]
        is_bool = backends.current().dtype_of(a) == "bool"
        a = not_equal(later, earlier) if is_bool else subtract(later, earlier)
    return a


@op("float")
def trapezoid(y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of ``y`` along ``axis`` by the trapezoidal rule, at the points ``x`` or ``dx`` apart."""
    axis = axis % len(y.shape)
    before = (slice(None),) * axis
    if x is None:
        width: Any = dx
    elif len(x.shape) == 1:
        width = reshape(diff(x), _along(y, axis, -1))
    else:
        width = diff(x, axis=axis)
    heights = (y[(*before, slice(1, None))] + y[(*before, slice(None, -1))]) * 0.5
    return sum(multiply(heights, width), axis)


def _float(x: Tensor) -> Tensor:
    dtype = backends.current().dtype_of(x)
    return x if dtype in dtypes.FLOATS or dtype in dtypes.COMPLEX else cast(x, dtypes.standardize(None))


def _has_nan(x: Tensor) -> bool:
    return backends.current().dtype_of(x) in dtypes.FLOATS


def _valid(x: Tensor) -> Tensor:
    return equal(x, x)


def _filled(x: Tensor, value: Any) -> Tensor:
    return where(isnan(x), full_like(x, value), x) if _has_nan(x) else x


def _or_nan(x: Tensor, found: Tensor, axis: Any, keepdims: bool) -> Tensor:
    return where(all(isnan(x), axis, keepdims), full_like(found, float("nan")), found)


def _axes(x: Tensor, axis: Any) -> tuple[int, ...]:
    n = len(x.shape)
    return tuple(range(n)) if axis is None else tuple(a % n for a in ((axis,) if isinstance(axis, int) else axis))


def _along(x: Tensor, axis: int, n: int) -> tuple[int, ...]:
    return tuple(n if i == axis % len(x.shape) else 1 for i in range(len(x.shape)))
