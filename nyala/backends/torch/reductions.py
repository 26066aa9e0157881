"""Sums, extremes, sorting and searching on PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends.torch.arguments import COUNT, INDEX, WIDE, as_float, axes_of, dtype_or_none


def sum_(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    to = None
    if not x.is_floating_point():
        to = COUNT.get(x.dtype)
        if to is torch.uint32:
            return sum_(x.to(torch.int64), axis, keepdims).to(to)
    if axis is None:
        if not keepdims:
            return torch.sum(x, dtype=to)
        axis = axes_of(x, None)
    elif axis == ():
        return x.to(to or x.dtype)
    return torch.sum(x, axis, keepdims, dtype=to)


def _mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = as_float(x)
    if axis is None and not keepdims:
        return torch.mean(x)
    return x if axis == () else torch.mean(x, axes_of(x, axis), keepdims)


def _prod(x: Tensor, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    to = dtype_or_none(dtype) or COUNT.get(x.dtype, x.dtype)
    x = x.to(WIDE.get(to, to))
    if axis is None and not keepdims:
        return torch.prod(x, dtype=x.dtype).to(to)
    for a in sorted(axes_of(x, axis), reverse=True):
        x = torch.prod(x, a, keepdims, dtype=x.dtype)
    return x.to(to)


def _extreme(reduce: Callable[..., Tensor], pair: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
        if initial is not None and x.numel() == 0:
            shape = torch.sum(x, axes_of(x, axis), keepdims).shape
            return torch.full(shape, initial, dtype=x.dtype, device=x.device)
        out = x if axis == () else reduce(x, () if axis is None else axis, keepdims)
        return out if initial is None else pair(out, torch.as_tensor(initial, dtype=x.dtype, device=x.device))

    return call


def _logical(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        x = x if x.dtype is torch.bool else x != 0
        if axis == ():
            return x
        return reduce(x, axes_of(x, axis), keepdims) if x.ndim else x

    return call


def _spread(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        return reduce(as_float(x), axes_of(x, axis), correction=0, keepdim=keepdims)

    return call


def _arg(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        x = x.to(torch.uint8) if x.dtype is torch.bool else x
        if axis is None:
            out = reduce(x.reshape(-1), 0).to(INDEX)
            return out.reshape((1,) * x.ndim) if keepdims else out
        return reduce(x, axis, keepdims).to(INDEX)

    return call


def logsumexp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = as_float(x)
    return torch.logsumexp(x, axes_of(x, axis), keepdims)


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
        to = dtype_or_none(dtype) or (torch.int32 if x.dtype is torch.bool else x.dtype)
        if axis is None:
            x, axis = x.reshape(-1), 0
        return fn(x, axis, dtype=WIDE.get(to, to)).to(to)

    return call


def _count_nonzero(x: Tensor, axis: Any = None) -> Tensor:
    return torch.count_nonzero(x, None if axis is None else axes_of(x, axis)).to(INDEX)


def _moments(x: Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    # Half precision overflows in the squares; the statistics are taken in float32, as Keras does.
    low = x.dtype in (torch.float16, torch.bfloat16)
    variance, mean = torch.var_mean(x.float() if low else as_float(x), axes_of(x, axes), correction=0, keepdim=keepdims)
    return (mean.to(x.dtype), variance.to(x.dtype)) if low else (mean, variance)


def _sort(x: Tensor, axis: int | None = -1) -> Tensor:
    return torch.sort(x.reshape(-1) if axis is None else x, -1 if axis is None else axis).values


def _argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = x.reshape(-1), -1
    return torch.sort(x, dim=axis, stable=True).indices.to(INDEX)


def _top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(x, k, sorted=sorted)
    return values, indices.to(INDEX)


def _last(x: Tensor, axis: Any) -> tuple[Tensor, tuple[int, ...]]:
    """``x`` with the axes of ``axis`` joined into one at the end, and those axes."""
    axes = axes_of(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    return x.permute(*rest, *axes).reshape([x.shape[i] for i in rest] + [-1]), axes


def _quantile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    x = as_float(x)
    shape = x.shape
    flat, axes = _last(x, axis)
    n = flat.shape[-1]
    ordered = torch.sort(flat, -1).values
    q = torch.as_tensor(q, dtype=torch.float64, device=x.device)
    position = q.reshape(-1) * (n - 1)
    low, high = position.floor().long(), position.ceil().long()
    if method == "nearest":
        out = ordered[..., position.round().long()]
    elif method == "lower":
        out = ordered[..., low]
    elif method == "higher":
        out = ordered[..., high]
    elif method == "midpoint":
        out = (ordered[..., low] + ordered[..., high]) / 2
    elif method == "linear":
        out = torch.lerp(ordered[..., low], ordered[..., high], (position - low).to(x.dtype))
    else:
        raise ValueError(f"quantile: method must be linear, lower, higher, nearest or midpoint, got {method!r}")
    out = torch.where(torch.isnan(ordered[..., -1:]), ordered[..., -1:], out)
    out = torch.movedim(out, -1, 0)
    if keepdims:
        out = out.reshape(-1, *(1 if i in axes else m for i, m in enumerate(shape)))
    return out.reshape(q.shape + out.shape[1:])


def _median(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    return _quantile(x, 0.5, axis, "linear", keepdims)


def _searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    return torch.searchsorted(sorted_sequence, values.contiguous(), side=side, out_int32=True)


def _digitize(x: Tensor, bins: Any) -> Tensor:
    bins = torch.as_tensor(bins, device=x.device)
    return torch.bucketize(x.contiguous(), bins, right=True, out_int32=True)


def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    return tuple(i.to(INDEX) for i in torch.nonzero(x, as_tuple=True))


def _unique(
    x: Tensor, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None, fill_value: Any = None,
) -> Any:  # fmt: skip
    values, inverse, counts = torch.unique(x, sorted=True, return_inverse=True, return_counts=True, dim=axis)
    n = values.shape[axis or 0]
    flat = inverse.reshape(-1)
    first = torch.full((n,), flat.numel(), dtype=torch.int64, device=x.device)
    first = first.scatter_reduce(0, flat, torch.arange(flat.numel(), device=x.device), "amin")
    if size is not None and size != n:
        dim = axis or 0
        values, first, counts = values.narrow(dim, 0, min(n, size)), first[:size], counts[:size]
        if size > n:
            fill = values.min() if fill_value is None else torch.as_tensor(fill_value, dtype=x.dtype, device=x.device)
            shape = list(values.shape)
            shape[dim] = size - n
            values = torch.cat([values, fill.expand(shape)], dim)
            first = torch.cat([first, first[:1].expand(size - n)])
            counts = F.pad(counts, (0, size - n))
    out = [values]
    if return_index:
        out.append(first.to(INDEX))
    if return_inverse:
        out.append(inverse.to(INDEX))
    if return_counts:
        out.append(counts.to(INDEX))
    return out[0] if len(out) == 1 else tuple(out)


natives: dict[str, Callable[..., Any]] = {
    "sum": sum_, "mean": _mean, "prod": _prod, "max": _extreme(torch.amax, torch.maximum),
    "min": _extreme(torch.amin, torch.minimum), "amax": _extreme(torch.amax, torch.maximum),
    "amin": _extreme(torch.amin, torch.minimum), "all": _logical(torch.all), "any": _logical(torch.any),
    "var": _spread(torch.var), "std": _spread(torch.std), "argmax": _arg(torch.argmax), "argmin": _arg(torch.argmin),
    "logsumexp": logsumexp, "cumsum": _cumulative(torch.cumsum), "cumprod": _cumulative(torch.cumprod),
    "count_nonzero": _count_nonzero, "moments": _moments, "sort": _sort, "argsort": _argsort, "top_k": _top_k,
    "quantile": _quantile, "median": _median, "searchsorted": _searchsorted,
    "digitize": _digitize, "nonzero": nonzero, "unique": _unique,
}  # fmt: skip
