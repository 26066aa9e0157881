"""PyTorch's own functions for the ops: a table from op name to function, with adapters where the signatures differ.

Where an op takes only tensors, torch's function stands in the table as it is; an adapter costs a frame in every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends import dtypes
from nyala.backends.torch import control, nn, random, rnn
from nyala.backends.torch.types import default_device, float_dtype, native_dtype

_INDEX = torch.int32
# What a sum or product of small integers is counted in, as JAX and Keras do; the thin unsigned types by way of int64.
_COUNT = {
    torch.bool: torch.int32, torch.int8: torch.int32, torch.int16: torch.int32, torch.int32: torch.int32,
    torch.uint8: torch.uint32, torch.uint16: torch.uint32, torch.uint32: torch.uint32,
}  # fmt: skip
_WIDE = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def _dtype(dtype: Any) -> torch.dtype | None:
    return None if dtype is None else native_dtype(dtype)


def _float(x: Tensor) -> Tensor:
    return x if x.is_floating_point() or x.is_complex() else x.to(float_dtype())


def _int_axis(x: Tensor, axis: int) -> int:
    return axis + x.ndim if axis < 0 else axis


def _axes(x: Tensor, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(_int_axis(x, a) for a in ((axis,) if isinstance(axis, int) else axis))


def rescued(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """``fn`` in a wider integer type, for uint16, uint32 and uint64, of which torch knows few operations."""
    thin: list[torch.dtype] = []

    def widen(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dtype in _WIDE:
            thin.append(x.dtype)
            return x.to(_WIDE[x.dtype])
        return type(x)(map(widen, x)) if isinstance(x, (list, tuple)) else x

    def narrow(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dtype == _WIDE[thin[0]]:
            return x.to(thin[0])
        return type(x)(map(narrow, x)) if isinstance(x, (list, tuple)) else x

    args = widen(tuple(args))
    kwargs = {k: widen(v) for k, v in kwargs.items()}
    return narrow(fn(*args, **kwargs)) if thin else None


# -- elementwise -------------------------------------------------------------------------------------------------------


def _tensors(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """For functions of torch that refuse a Python number as the second argument."""

    def call(x1: Tensor, x2: Any) -> Tensor:
        return fn(x1, x2 if isinstance(x2, Tensor) else torch.full((), x2, dtype=x1.dtype, device=x1.device))

    return call


def _maximum(x1: Tensor, x2: Any) -> Tensor:
    return torch.maximum(x1, x2) if isinstance(x2, Tensor) else torch.clamp(x1, min=x2)


def _minimum(x1: Tensor, x2: Any) -> Tensor:
    return torch.minimum(x1, x2) if isinstance(x2, Tensor) else torch.clamp(x1, max=x2)


def _floats_only(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Integers and bools become ``floatx()``."""
    return lambda x: fn(_float(x))


def _bool_as(fn: Callable[..., Tensor], dtype: torch.dtype) -> Callable[..., Tensor]:
    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return fn(x.to(dtype) if x.dtype is torch.bool else x, *args, **kwargs)

    return call


def _not_for_bool(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: x if x.dtype is torch.bool else fn(x)


def _unless_float(fn: Callable[[Tensor], Tensor], otherwise: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: fn(x) if x.is_floating_point() or x.is_complex() else otherwise(x)


def _no(x: Tensor) -> Tensor:
    return torch.zeros_like(x, dtype=torch.bool)


def _round(x: Tensor, decimals: int = 0) -> Tensor:
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    if decimals >= 0:
        return x
    factor = 10**-decimals
    return (torch.round(x.to(torch.float64) / factor) * factor).to(x.dtype)


def _clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    if x.dtype is torch.bool:
        x = x.to(torch.int32)
    if isinstance(x_min, Tensor) != isinstance(x_max, Tensor):
        low, high = (None if b is None else torch.as_tensor(b, dtype=x.dtype, device=x.device) for b in (x_min, x_max))
        return torch.clamp(x, low, high)
    return torch.clamp(x, x_min, x_max)


def _nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    return torch.nan_to_num(x, nan, posinf, neginf)


def _cbrt(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def _angle(x: Tensor) -> Tensor:
    return torch.angle(_float(x))


def _ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    return _float(x1) * torch.exp2(x2.to(_float(x1).dtype))


def _floor_divide(x1: Tensor, x2: Any) -> Tensor:
    if x1.dtype is torch.bool:
        return torch.floor_divide(x1.to(torch.int32), x2.to(torch.int32))
    return torch.floor_divide(x1, x2)


def _isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    if not x1.is_floating_point():
        x1, x2 = x1.to(torch.float64), x2.to(torch.float64)
    return torch.isclose(x1, x2, rtol, atol, equal_nan)


def _erf_inv(x: Tensor) -> Tensor:
    return torch.erfinv(_float(x))


def _cast(x: Tensor, dtype: Any) -> Tensor:
    to = native_dtype(dtype)
    if x.is_complex() and not to.is_complex:
        x = x.real
    return x.to(to)


# -- reductions --------------------------------------------------------------------------------------------------------


def _sum(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    to = None
    if not x.is_floating_point():
        to = _COUNT.get(x.dtype)
        if to is torch.uint32:
            return _sum(x.to(torch.int64), axis, keepdims).to(to)
    if axis is None:
        if not keepdims:
            return torch.sum(x, dtype=to)
        axis = _axes(x, None)
    elif axis == ():
        return x.to(to or x.dtype)
    return torch.sum(x, axis, keepdims, dtype=to)


def _mean(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = _float(x)
    if axis is None and not keepdims:
        return torch.mean(x)
    return x if axis == () else torch.mean(x, _axes(x, axis), keepdims)


def _prod(x: Tensor, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    to = _dtype(dtype) or _COUNT.get(x.dtype, x.dtype)
    x = x.to(_WIDE.get(to, to))
    if axis is None and not keepdims:
        return torch.prod(x, dtype=x.dtype).to(to)
    for a in sorted(_axes(x, axis), reverse=True):
        x = torch.prod(x, a, keepdims, dtype=x.dtype)
    return x.to(to)


def _extreme(reduce: Callable[..., Tensor], pair: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
        if initial is not None and x.numel() == 0:
            shape = torch.sum(x, _axes(x, axis), keepdims).shape
            return torch.full(shape, initial, dtype=x.dtype, device=x.device)
        out = x if axis == () else reduce(x, () if axis is None else axis, keepdims)
        return out if initial is None else pair(out, torch.as_tensor(initial, dtype=x.dtype, device=x.device))

    return call


def _logical(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        x = x if x.dtype is torch.bool else x != 0
        if axis == ():
            return x
        return reduce(x, _axes(x, axis), keepdims) if x.ndim else x

    return call


def _spread(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
        return reduce(_float(x), _axes(x, axis), correction=0, keepdim=keepdims)

    return call


def _arg(reduce: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        x = x.to(torch.uint8) if x.dtype is torch.bool else x
        if axis is None:
            out = reduce(x.reshape(-1), 0).to(_INDEX)
            return out.reshape((1,) * x.ndim) if keepdims else out
        return reduce(x, axis, keepdims).to(_INDEX)

    return call


def _logsumexp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = _float(x)
    return torch.logsumexp(x, _axes(x, axis), keepdims)


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
        to = _dtype(dtype) or (torch.int32 if x.dtype is torch.bool else x.dtype)
        if axis is None:
            x, axis = x.reshape(-1), 0
        return fn(x, axis, dtype=_WIDE.get(to, to)).to(to)

    return call


def _count_nonzero(x: Tensor, axis: Any = None) -> Tensor:
    return torch.count_nonzero(x, None if axis is None else _axes(x, axis)).to(_INDEX)


def _moments(x: Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    # Half precision overflows in the squares; the statistics are taken in float32, as Keras does.
    low = x.dtype in (torch.float16, torch.bfloat16)
    variance, mean = torch.var_mean(x.float() if low else _float(x), _axes(x, axes), correction=0, keepdim=keepdims)
    return (mean.to(x.dtype), variance.to(x.dtype)) if low else (mean, variance)


def _sort(x: Tensor, axis: int | None = -1) -> Tensor:
    return torch.sort(x.reshape(-1) if axis is None else x, -1 if axis is None else axis).values


def _argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = x.reshape(-1), -1
    return torch.sort(x, dim=axis, stable=True).indices.to(_INDEX)


def _top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    values, indices = torch.topk(x, k, sorted=sorted)
    return values, indices.to(_INDEX)


def _last(x: Tensor, axis: Any) -> tuple[Tensor, tuple[int, ...]]:
    """``x`` with the axes of ``axis`` joined into one at the end, and those axes."""
    axes = _axes(x, axis)
    rest = [i for i in range(x.ndim) if i not in axes]
    return x.permute(*rest, *axes).reshape([x.shape[i] for i in rest] + [-1]), axes


def _quantile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    x = _float(x)
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


def _nonzero(x: Tensor) -> tuple[Tensor, ...]:
    return tuple(i.to(_INDEX) for i in torch.nonzero(x, as_tuple=True))


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
        out.append(first.to(_INDEX))
    if return_inverse:
        out.append(inverse.to(_INDEX))
    if return_counts:
        out.append(counts.to(_INDEX))
    return out[0] if len(out) == 1 else tuple(out)


# -- shapes and indices ------------------------------------------------------------------------------------------------


def _reshape(x: Tensor, newshape: Any) -> Tensor:
    return torch.reshape(x, (newshape,) if isinstance(newshape, int) else tuple(newshape))


def _transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(range(x.ndim - 1, -1, -1)) if axes is None else tuple(axes))


def _squeeze(x: Tensor, axis: Any = None) -> Tensor:
    if axis is None:
        return torch.squeeze(x)
    axes = _axes(x, axis)
    for a in axes:
        if x.shape[a] != 1:
            raise ValueError(f"squeeze: axis {a} has size {x.shape[a]} and not 1, in shape {tuple(x.shape)}")
    return torch.squeeze(x, axes)


def _expand_dims(x: Tensor, axis: Any) -> Tensor:
    if isinstance(axis, int):
        return torch.unsqueeze(x, axis)
    n = x.ndim + len(axis)
    for a in sorted(a + n if a < 0 else a for a in axis):
        x = torch.unsqueeze(x, a)
    return x


def _concatenate(xs: Sequence[Tensor], axis: int | None = 0) -> Tensor:
    return torch.cat([x.reshape(-1) for x in xs], 0) if axis is None else torch.cat(tuple(xs), axis)


def _stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    return torch.stack(tuple(xs), axis)


def _split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    if isinstance(indices_or_sections, int):
        if x.shape[axis] % indices_or_sections:
            raise ValueError(
                f"split: axis {axis} of size {x.shape[axis]} does not divide into {indices_or_sections} equal parts"
            )
        return list(torch.tensor_split(x, indices_or_sections, axis))
    return list(torch.tensor_split(x, [int(i) for i in indices_or_sections], axis))


def _array_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    parts = indices_or_sections
    return list(torch.tensor_split(x, parts if isinstance(parts, int) else [int(i) for i in parts], axis))


def _unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    return list(torch.unbind(x, axis))


def _tile(x: Tensor, repeats: Any) -> Tensor:
    return torch.tile(x, (repeats,) if isinstance(repeats, int) else tuple(int(r) for r in repeats))


def _repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    if not isinstance(repeats, int):
        repeats = torch.as_tensor(repeats, dtype=torch.int64, device=x.device)
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.repeat_interleave(x, repeats, axis)


def _flip(x: Tensor, axis: Any = None) -> Tensor:
    return torch.flip(x, _axes(x, axis))


def _roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is not None and not isinstance(axis, int) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return torch.roll(x, shift, () if axis is None else axis)


def _rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    return torch.rot90(array, k, tuple(axes))


def _pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    widths = np.broadcast_to(np.asarray(pad_width, int), (x.ndim, 2)).tolist()
    if mode == "constant":
        flat = [w for pair in reversed(widths) for w in pair]
        return F.pad(x, flat, value=0 if constant_values is None else constant_values)
    for axis, (before, after) in enumerate(widths):
        if before or after:
            index = np.pad(np.arange(x.shape[axis]), (before, after), mode=mode)  # type: ignore[call-overload]
            x = x.index_select(axis, torch.from_numpy(index).to(x.device))
    return x


def _broadcast_to(x: Tensor, shape: Any) -> Tensor:
    return torch.broadcast_to(x, tuple(shape))


def _wrapped(indices: Tensor, n: int) -> Tensor:
    """Negative indices count from the end."""
    indices = indices if indices.dtype is torch.int32 else indices.to(torch.int64)
    return torch.where(indices < 0, indices + n, indices)


def _take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    if indices.dtype not in (torch.int32, torch.int64):
        indices = indices.to(torch.int64)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = _int_axis(x, axis)
    if axis == 0 and x.ndim == 2:
        if x.device.type != "cpu":
            return F.embedding(_wrapped(indices, x.shape[0]), x)
        try:
            return F.embedding(indices, x)
        except IndexError:
            return F.embedding(_wrapped(indices, x.shape[0]), x)
    flat = _wrapped(indices.reshape(-1), x.shape[axis])
    return x.index_select(axis, flat).reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def _take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = x.reshape(-1), 0
    return torch.take_along_dim(x, _wrapped(indices, x.shape[axis]).long(), axis)


def _index(key: Any, device: torch.device) -> Any:
    if isinstance(key, np.ndarray):
        key = torch.from_numpy(np.ascontiguousarray(key)).to(device)
    if isinstance(key, Tensor):
        known = (torch.bool, torch.int32, torch.int64)
        return key if key.dtype in known else key.to(torch.int64)
    if isinstance(key, slice):
        return slice(*(None if v is None else int(v) for v in (key.start, key.stop, key.step)))
    if isinstance(key, list):
        return _index(np.asarray(key), device) if not any(isinstance(k, Tensor) for k in key) else torch.stack(key)
    if isinstance(key, np.integer):
        return int(key)
    return key


def _getitem(x: Tensor, key: Any) -> Tensor:
    if type(key) is int:
        return x[key]
    keys = key if isinstance(key, tuple) else (key,)
    keys = tuple(_index(_value(k), x.device) for k in keys)
    if any(isinstance(k, slice) and k.step is not None and k.step < 0 for k in keys):
        x, keys = _forward_slices(x, keys)
    return x[keys]


def _value(x: Any) -> Any:
    return x.value if hasattr(x, "raw_value") else x


def _forward_slices(x: Tensor, keys: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """torch knows no negative steps: flip those axes and count from the other end."""
    axis, new = 0, []
    taken = sum(k.ndim if isinstance(k, Tensor) and k.dtype is torch.bool else 1
                for k in keys if k is not None and k is not Ellipsis)  # fmt: skip
    for k in keys:
        if k is Ellipsis:
            axis += x.ndim - taken
        elif isinstance(k, slice) and k.step is not None and k.step < 0:
            n = x.shape[axis]
            positions = range(n)[k]
            x = torch.flip(x, (axis,))
            start = n - 1 - positions[0] if len(positions) else n
            stop = n - positions[-1] if len(positions) else n
            k = slice(start, stop, -k.step)
            axis += 1
        elif k is not None:
            axis += k.ndim if isinstance(k, Tensor) and k.dtype is torch.bool else 1
        new.append(k)
    return x, tuple(new)


def _where(condition: Tensor, x1: Any = None, x2: Any = None) -> Any:
    if x1 is None or x2 is None:
        return _nonzero(condition)
    return torch.where(condition if condition.dtype is torch.bool else condition != 0, x1, x2)


def _diag(x: Tensor, k: int = 0) -> Tensor:
    return torch.diag(x, k)


def _triangle(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, k=0: fn(x, k)


def _diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return torch.diagonal(x, offset, axis1, axis2)


def _trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return _sum(torch.diagonal(x, offset, axis1, axis2), -1)


def _diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    return torch.diff(a, n, axis)


def _long(x: Tensor) -> Tensor:
    return x if x.dtype is torch.int64 else x.to(torch.int64)


def _scatter(indices: Tensor, values: Tensor, shape: Any) -> Tensor:
    out = torch.zeros(tuple(shape), dtype=values.dtype, device=values.device)
    return out.index_put(tuple(_long(indices).unbind(-1)), values, accumulate=True)


def _scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    at = tuple(_long(indices).unbind(-1))
    if reduction is None or reduction == "add":
        return inputs.index_put(at, updates, accumulate=reduction is not None)
    kind = {"max": "amax", "min": "amin", "mul": "prod"}[reduction]
    depth = len(at)
    flat = torch.zeros_like(at[0])
    for index, n in zip(at, inputs.shape):
        flat = flat * n + torch.where(index < 0, index + n, index)
    rows = inputs.reshape(math.prod(inputs.shape[:depth]), -1)
    updates = updates.expand(flat.shape + inputs.shape[depth:]).reshape(flat.numel(), -1)
    out = rows.scatter_reduce(0, flat.reshape(-1, 1).expand_as(updates), updates, kind)
    return out.reshape(inputs.shape)


def _slice(inputs: Tensor, start_indices: Any, shape: Any) -> Tensor:
    starts = [int(i) for i in start_indices]
    return inputs[tuple(slice(a, a + n) for a, n in zip(_clamped(inputs, starts, shape), shape))]


def _clamped(x: Tensor, starts: list[int], shape: Sequence[int]) -> list[int]:
    """A slice that would stick out is moved inside, as XLA does."""
    return [max(0, min(a, m - n)) for a, m, n in zip(starts, x.shape, shape)]


def _slice_update(inputs: Tensor, start_indices: Any, updates: Tensor) -> Tensor:
    starts = _clamped(inputs, [int(i) for i in start_indices], updates.shape)
    out = inputs.clone()
    out[tuple(slice(a, a + n) for a, n in zip(starts, updates.shape))] = updates
    return out


def _segment(kind: str) -> Callable[..., Tensor]:
    def call(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
        if num_segments is None:
            num_segments = int(segment_ids.max()) + 1
        ids = _long(segment_ids)
        inside = (ids >= 0) & (ids < num_segments)
        # Ids out of range are dropped: they go to one more row.
        ids = torch.where(inside, ids, num_segments)
        shape = (num_segments + 1, *data.shape[1:])
        index = ids.reshape(-1, *(1,) * (data.ndim - 1)).expand_as(data)
        start = {"sum": 0, "prod": 1, "amax": _lowest(data.dtype), "amin": _highest(data.dtype)}[kind]
        out = torch.full(shape, start, dtype=data.dtype, device=data.device)
        if kind == "sum":
            return out.index_add(0, ids, data)[:-1]
        return out.scatter_reduce(0, index, data, kind)[:-1]

    return call


def _lowest(dtype: torch.dtype) -> float:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> float:
    return math.inf if dtype.is_floating_point else torch.iinfo(dtype).max


# -- constructors ------------------------------------------------------------------------------------------------------


def _filled(value: int) -> Callable[..., Tensor]:
    def call(shape: Any, dtype: Any = None) -> Tensor:
        to = float_dtype() if dtype is None else native_dtype(dtype)
        return torch.full(
            (shape,) if isinstance(shape, int) else tuple(shape), value, dtype=to, device=default_device()
        )

    return call


def _filled_like(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, dtype=None: fn(x, dtype=_dtype(dtype))


def _full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    to = _dtype(dtype) or x.dtype
    if isinstance(fill_value, Tensor):
        return fill_value.to(to).expand(x.shape).clone()
    return torch.full_like(x, fill_value, dtype=to)


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    if stop is None:
        start, stop = 0, start
    start, stop, step = _number(start), _number(stop), 1 if step is None else _number(step)
    to = dtype or dtypes.result_type(
        *(type(v) if not isinstance(v, np.generic) else v.dtype for v in (start, stop, step))
    )
    to = native_dtype(to)
    return torch.arange(start, stop, step, dtype=_WIDE.get(to, to), device=default_device()).to(to)


def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    device = default_device()
    start, stop = (torch.as_tensor(v, device=device) for v in (start, stop))
    to = _dtype(dtype) or torch.promote_types(torch.promote_types(start.dtype, stop.dtype), float_dtype())
    inner = to if to.is_floating_point else torch.float64
    start, stop = torch.broadcast_tensors(start.to(inner), stop.to(inner))
    gaps = num - 1 if endpoint else num
    step = (stop - start) / gaps if gaps > 0 else torch.full_like(start, math.nan)
    ramp = torch.arange(num, dtype=inner, device=device).reshape(-1, *(1,) * start.ndim)
    out = start + ramp * step if gaps > 0 else start.expand(num, *start.shape)
    if endpoint and num > 1:
        out = torch.cat([out[:-1], stop[None]])
    if not to.is_floating_point:
        out = torch.floor(out)
    out = torch.movedim(out.to(to), 0, axis)
    return (out, step) if retstep else out


def _eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    rows = torch.arange(N, device=default_device())[:, None]
    columns = torch.arange(N if M is None else M, device=default_device())
    return (columns - rows == k).to(float_dtype() if dtype is None else native_dtype(dtype))


def _tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    return torch.tril(_filled(1)((N, N if M is None else M), dtype), k)


# -- linear algebra ----------------------------------------------------------------------------------------------------


def _matmul(x1: Tensor, x2: Tensor) -> Tensor:
    kind = x1.dtype
    if kind in _floating:
        return torch.matmul(x1, x2)
    if kind in (torch.int8, torch.uint8) and x2.dtype is kind:
        return _byte_matmul(x1, x2)
    if kind is torch.bool:
        return torch.matmul(x1.to(torch.int32), x2.to(torch.int32)) != 0
    return torch.matmul(x1, x2)


_floating = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def _byte_matmul(x1: Tensor, x2: Tensor) -> Tensor:
    # Torch multiplies int32 on the host without BLAS (80 times slower) and not at all on CUDA; doubles hold the sums exactly.
    if x1.dtype is torch.int8 and x2.dim() == 2 and x1.dim() > 0 and type(x1) is Tensor and x1.device.type == "cpu":
        flat = torch._int_mm(x1.reshape(-1, x1.shape[-1]), x2)
        return flat.reshape(*x1.shape[:-1], x2.shape[-1])
    return torch.matmul(x1.double(), x2.double()).to(torch.int32)


def _einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    if operands[0].dtype in (torch.bool, torch.int8, torch.uint8) and len(operands) > 1:
        return torch.einsum(subscripts, *(x.double() for x in operands)).to(torch.int32)
    return torch.einsum(subscripts, *operands)


def _tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Tensor:
    if isinstance(axes, int):
        return torch.tensordot(x1, x2, axes)
    a, b = ([v] if isinstance(v, int) else list(v) for v in axes)
    return torch.tensordot(x1, x2, (a, b))  # pyright: ignore[reportArgumentType]


def _dot(x1: Tensor, x2: Tensor) -> Tensor:
    if x1.ndim == 0 or x2.ndim == 0:
        return torch.multiply(x1, x2)
    if x2.ndim == 1:
        return _matmul(x1, x2)
    return torch.tensordot(x1, x2, ([x1.ndim - 1], [x2.ndim - 2]))  # pyright: ignore[reportArgumentType]


def _inner(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.multiply(x1, x2) if x1.ndim == 0 or x2.ndim == 0 else torch.tensordot(x1, x2, ([-1], [-1]))  # pyright: ignore[reportArgumentType]


def _outer(x1: Tensor, x2: Tensor) -> Tensor:
    return x1.reshape(-1, 1) * x2.reshape(1, -1)


def _cross(
    x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = torch.movedim(x1, axisa, -1), torch.movedim(x2, axisb, -1)
    flat = a.shape[-1] == 2 and b.shape[-1] == 2
    a, b = (F.pad(v, (0, 1)) if v.shape[-1] == 2 else v for v in (a, b))
    a, b = torch.broadcast_tensors(a, b)
    out = torch.linalg.cross(a, b)
    return out[..., 2] if flat else torch.movedim(out, -1, axisc)


def _vdot(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.sum(torch.conj(x1).reshape(-1) * x2.reshape(-1), dtype=x1.dtype)


def _norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = _float(x)
    if axis is None:
        if ord is None:
            x_flat = torch.linalg.vector_norm(x)
            return x_flat.reshape((1,) * x.ndim) if keepdims else x_flat
        axis = tuple(range(x.ndim))
    if isinstance(axis, int):
        axis = (axis,)
    if len(axis) == 1:
        if isinstance(ord, str):
            raise ValueError(f"norm: ord {ord!r} needs two axes")
        return torch.linalg.vector_norm(x, 2 if ord is None else ord, tuple(axis), keepdims)
    return torch.linalg.matrix_norm(x, "fro" if ord is None else ord, tuple(axis), keepdims)


def _cholesky(x: Tensor, upper: bool = False) -> Tensor:
    return torch.linalg.cholesky(x, upper=upper)


def _qr(x: Tensor, mode: str = "reduced") -> Any:
    return tuple(torch.linalg.qr(x, mode=mode))


def _svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return tuple(torch.linalg.svd(x, full_matrices)) if compute_uv else torch.linalg.svdvals(x)


def _lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    lu, pivots = torch.linalg.lu_factor(x)
    return lu, pivots - 1  # LAPACK counts from one


def _solve(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.solve(a, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else torch.linalg.solve(a, b)


def _solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve_triangular(a, b[..., None], upper=not lower)[..., 0]
    return torch.linalg.solve_triangular(a, b, upper=not lower)


def _pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    return torch.linalg.pinv(x) if rcond is None else torch.linalg.pinv(x, rtol=rcond)


def _matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    rank = torch.linalg.matrix_rank(x) if tol is None else torch.linalg.matrix_rank(x, atol=tol, rtol=0)
    return rank.to(_INDEX)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real, x.imag


def _fourier(fn: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Complex numbers pass the ops as pairs of real tensors."""
    return lambda x: _parts(fn(torch.complex(x[0], x[1])))


def _rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    return _parts(torch.fft.rfft(x, fft_length))


def _irfft(x: Sequence[Tensor], fft_length: int | None = None) -> Tensor:
    return torch.fft.irfft(torch.complex(x[0], x[1]), fft_length)


# -- activations -------------------------------------------------------------------------------------------------------


def _softmax(x: Tensor, axis: Any = -1) -> Tensor:
    if isinstance(axis, int):
        return torch.softmax(_float(x), axis)
    return torch.exp(_log_softmax(x, axis))


def _log_softmax(x: Tensor, axis: Any = -1) -> Tensor:
    if isinstance(axis, int):
        return torch.log_softmax(_float(x), axis)
    return _float(x) - _logsumexp(x, axis, True)


def _gelu(x: Tensor, approximate: bool = True) -> Tensor:
    return F.gelu(_float(x), approximate="tanh" if approximate else "none")


def _relu(x: Tensor) -> Tensor:
    return torch.relu(x.to(torch.int32) if x.dtype is torch.bool else x)


def _leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    return F.leaky_relu(_float(x), negative_slope)


def _alpha(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, alpha=1.0: fn(_float(x), alpha)


def _shrink(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, threshold=0.5: fn(x, threshold)


def _softplus(x: Tensor) -> Tensor:
    # F.softplus is linear beyond its threshold; logaddexp is exact everywhere and its gradient is the sigmoid.
    return torch.logaddexp(x, torch.zeros((), dtype=x.dtype, device=x.device))


def _threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    return F.threshold(x, threshold, default_value)


def _stop_gradient(variable: Tensor) -> Tensor:
    return variable.detach()


def _view(x: Tensor, dtype: Any = None) -> Tensor:
    return x if dtype is None else x.contiguous().view(native_dtype(dtype))


natives: dict[str, Callable[..., Any]] = {
    # elementwise, two tensors
    "add": torch.add, "subtract": torch.subtract, "multiply": torch.multiply, "divide": torch.divide,
    "true_divide": torch.divide, "floor_divide": _floor_divide, "mod": torch.remainder, "power": torch.pow,
    "maximum": _maximum, "minimum": _minimum, "arctan2": _tensors(torch.atan2), "hypot": _tensors(torch.hypot),
    "logaddexp": _tensors(torch.logaddexp), "logaddexp2": _tensors(torch.logaddexp2), "fmax": _tensors(torch.fmax),
    "fmin": _tensors(torch.fmin), "fmod": torch.fmod, "heaviside": _tensors(torch.heaviside),
    "nextafter": _tensors(torch.nextafter), "gcd": torch.gcd, "lcm": torch.lcm,
    "ldexp": _ldexp, "isclose": _isclose,
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor, "bitwise_and": torch.bitwise_and, "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor, "bitwise_left_shift": torch.bitwise_left_shift,
    "left_shift": torch.bitwise_left_shift, "bitwise_right_shift": torch.bitwise_right_shift,
    "right_shift": torch.bitwise_right_shift,
    # elementwise, one tensor
    "absolute": _not_for_bool(torch.abs), "abs": _not_for_bool(torch.abs), "fabs": _floats_only(torch.abs),
    "negative": torch.negative, "sign": torch.sign,
    "floor": _floats_only(torch.floor), "ceil": _floats_only(torch.ceil),
    "trunc": _unless_float(torch.trunc, lambda x: x), "round": _round, "clip": _clip,
    "square": _bool_as(torch.square, torch.int32), "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "cbrt": _cbrt,
    "reciprocal": torch.reciprocal, "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log,
    "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan,
    "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh,
    "tanh": torch.tanh, "arcsinh": torch.asinh, "arccosh": torch.acosh, "arctanh": torch.atanh, "erf": torch.erf,
    "erfc": torch.erfc, "erfinv": _erf_inv, "sinc": _floats_only(torch.sinc), "i0": torch.i0,
    "deg2rad": torch.deg2rad, "rad2deg": torch.rad2deg, "angle": _angle, "real": torch.real,
    "imag": lambda x: x.imag if x.is_complex() else torch.zeros_like(x), "conjugate": torch.conj_physical,
    "conj": torch.conj_physical, "isfinite": torch.isfinite, "isinf": torch.isinf, "isnan": torch.isnan,
    "isneginf": _unless_float(torch.isneginf, _no), "isposinf": _unless_float(torch.isposinf, _no),
    "isreal": torch.isreal, "signbit": torch.signbit, "logical_not": torch.logical_not,
    "bitwise_not": torch.bitwise_not, "bitwise_invert": torch.bitwise_not, "nan_to_num": _nan_to_num,
    "cast": _cast, "stop_gradient": _stop_gradient, "copy": torch.clone, "view": _view,
    "view_as_complex": torch.view_as_complex, "view_as_real": torch.view_as_real, "polar": torch.polar,
    # reductions
    "sum": _sum, "mean": _mean, "prod": _prod, "max": _extreme(torch.amax, torch.maximum),
    "min": _extreme(torch.amin, torch.minimum), "amax": _extreme(torch.amax, torch.maximum),
    "amin": _extreme(torch.amin, torch.minimum), "all": _logical(torch.all), "any": _logical(torch.any),
    "var": _spread(torch.var), "std": _spread(torch.std), "argmax": _arg(torch.argmax), "argmin": _arg(torch.argmin),
    "logsumexp": _logsumexp, "cumsum": _cumulative(torch.cumsum), "cumprod": _cumulative(torch.cumprod),
    "count_nonzero": _count_nonzero, "moments": _moments, "sort": _sort, "argsort": _argsort, "top_k": _top_k,
    "quantile": _quantile, "median": _median, "searchsorted": _searchsorted,
    "digitize": _digitize, "nonzero": _nonzero, "unique": _unique,
    # shapes and indices
    "reshape": _reshape, "transpose": _transpose, "squeeze": _squeeze, "expand_dims": _expand_dims,
    "concatenate": _concatenate, "stack": _stack, "split": _split, "array_split": _array_split, "unstack": _unstack,
    "tile": _tile, "repeat": _repeat, "flip": _flip, "roll": _roll, "rot90": _rot90, "pad": _pad,
    "broadcast_to": _broadcast_to, "moveaxis": lambda x, source, destination: torch.movedim(x, source, destination),
    "swapaxes": lambda x, axis1, axis2: torch.swapaxes(x, axis1, axis2), "ravel": torch.ravel,
    "take": _take, "take_along_axis": _take_along_axis, "getitem": _getitem, "get_item": _getitem, "where": _where,
    "diag": _diag, "diagflat": lambda x, k=0: torch.diagflat(x, k), "diagonal": _diagonal, "trace": _trace,
    "tril": _triangle(torch.tril), "triu": _triangle(torch.triu), "diff": _diff,
    "scatter": _scatter, "scatter_update": _scatter_update, "slice": _slice, "slice_update": _slice_update,
    "segment_sum": _segment("sum"), "segment_max": _segment("amax"), "segment_min": _segment("amin"),
    "segment_prod": _segment("prod"),
    "zeros": _filled(0), "ones": _filled(1), "empty": _filled(0), "zeros_like": _filled_like(torch.zeros_like),
    "ones_like": _filled_like(torch.ones_like), "empty_like": _filled_like(torch.zeros_like),
    "full_like": _full_like, "arange": _arange, "linspace": _linspace, "eye": _eye, "tri": _tri,
    # linear algebra
    "matmul": _matmul, "einsum": _einsum, "tensordot": _tensordot, "dot": _dot, "inner": _inner, "outer": _outer,
    "cross": _cross, "vdot": _vdot, "kron": torch.kron, "norm": _norm, "cholesky": _cholesky,
    "cholesky_inverse": lambda x, upper=False: torch.cholesky_inverse(x, upper), "det": torch.linalg.det,
    "slogdet": lambda x: tuple(torch.linalg.slogdet(x)), "inv": torch.linalg.inv, "qr": _qr, "svd": _svd,
    "eig": lambda x: tuple(torch.linalg.eig(x)), "eigh": lambda x: tuple(torch.linalg.eigh(x)), "solve": _solve,
    "solve_triangular": _solve_triangular, "pinv": _pinv, "matrix_rank": _matrix_rank,
    "lu_factor": _lu_factor, "logdet": torch.logdet, "fft": _fourier(torch.fft.fft), "fft2": _fourier(torch.fft.fft2),
    "ifft2": _fourier(torch.fft.ifft2), "rfft": _rfft, "irfft": _irfft,
    # activations
    "softmax": _softmax, "log_softmax": _log_softmax, "relu": _relu, "relu6": lambda x: F.relu6(_float(x)),
    "sigmoid": torch.sigmoid, "log_sigmoid": F.logsigmoid, "silu": F.silu, "gelu": _gelu,
    "elu": _alpha(F.elu), "celu": _alpha(F.celu), "selu": torch.selu, "softplus": _softplus, "softsign": F.softsign,
    "leaky_relu": _leaky_relu, "hard_sigmoid": F.hardsigmoid, "hard_silu": F.hardswish,
    "hard_tanh": F.hardtanh, "hard_shrink": _shrink(F.hardshrink), "soft_shrink": _shrink(F.softshrink),
    "tanh_shrink": F.tanhshrink, "threshold": _threshold, "glu": lambda x, axis=-1: F.glu(x, axis),
    **nn.natives,
    **rnn.natives,
    **random.natives,
    **control.natives,
}  # fmt: skip
