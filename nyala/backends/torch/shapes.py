"""Making arrays, their shapes and indices on PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends import dtypes
from nyala.backends.torch.arguments import WIDE, axes_of, dtype_or_none, int_axis
from nyala.backends.torch.reductions import nonzero, sum_
from nyala.backends.torch.types import default_device, float_dtype, native_dtype


def _filled(value: int) -> Callable[..., Tensor]:
    def call(shape: Any, dtype: Any = None) -> Tensor:
        to = float_dtype() if dtype is None else native_dtype(dtype)
        return torch.full(
            (shape,) if isinstance(shape, int) else tuple(shape), value, dtype=to, device=default_device()
        )

    return call


def _filled_like(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, dtype=None: fn(x, dtype=dtype_or_none(dtype))


def _full_like(x: Tensor, fill_value: Any, dtype: Any = None) -> Tensor:
    to = dtype_or_none(dtype) or x.dtype
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
    return torch.arange(start, stop, step, dtype=WIDE.get(to, to), device=default_device()).to(to)


def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    device = default_device()
    start, stop = (torch.as_tensor(v, device=device) for v in (start, stop))
    to = dtype_or_none(dtype) or torch.promote_types(torch.promote_types(start.dtype, stop.dtype), float_dtype())
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


def _reshape(x: Tensor, newshape: Any) -> Tensor:
    return torch.reshape(x, (newshape,) if isinstance(newshape, int) else tuple(newshape))


def _transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return x.permute(tuple(range(x.ndim - 1, -1, -1)) if axes is None else tuple(axes))


def _squeeze(x: Tensor, axis: Any = None) -> Tensor:
    if axis is None:
        return torch.squeeze(x)
    axes = axes_of(x, axis)
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
    return torch.flip(x, axes_of(x, axis))


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
    axis = int_axis(x, axis)
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
        return nonzero(condition)
    return torch.where(condition if condition.dtype is torch.bool else condition != 0, x1, x2)


def _diag(x: Tensor, k: int = 0) -> Tensor:
    return torch.diag(x, k)


def _triangle(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, k=0: fn(x, k)


def _diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return torch.diagonal(x, offset, axis1, axis2)


def _trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return sum_(torch.diagonal(x, offset, axis1, axis2), -1)


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


natives: dict[str, Callable[..., Any]] = {
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
}  # fmt: skip
