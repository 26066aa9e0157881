"""Making arrays, their shapes and indices, sorting and segments on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
import math
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from nyala._typing import Axis, DType, Tensor
from nyala.backends import dtypes
from nyala.backends.tensorflow.arguments import (
    Native,
    axis_list,
    dims,
    flattened,
    name_of,
    product_of,
    to_dtype,
    to_front,
)


def _reshape(x: Tensor, newshape: Any) -> Tensor:
    if isinstance(newshape, (list, tuple)):
        newshape = [-1 if n is None else n for n in newshape]
    return tf.reshape(x, (newshape,) if isinstance(newshape, int) else newshape)


def _squeeze(x: Tensor, axis: Axis = None) -> Tensor:
    axes = None if axis is None else [axis] if isinstance(axis, int) else list(axis)
    if axes:
        wrong = [a for a in axes if x.shape[a] not in (1, None)]
        if wrong:
            raise ValueError(f"squeeze: axis {wrong[0]} of shape {tuple(x.shape)} is not of size 1")
    return tf.squeeze(x, axes)


def _expand_dims(x: Tensor, axis: Any) -> Tensor:
    if isinstance(axis, int):
        return tf.expand_dims(x, axis)
    rank = len(x.shape) + len(axis)
    new = {a % rank for a in axis}
    sizes = iter(dims(x))
    return tf.reshape(x, [1 if i in new else next(sizes) for i in range(rank)])


def _moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    rank = len(x.shape)
    sources, destinations = ([a % rank for a in ((v,) if isinstance(v, int) else v)] for v in (source, destination))
    perm = [i for i in range(rank) if i not in sources]
    for to, of in sorted(zip(destinations, sources)):
        perm.insert(to, of)
    return tf.transpose(x, perm)


def _split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    size = x.shape[axis]
    if isinstance(indices_or_sections, (int, np.integer)):
        sections = int(indices_or_sections)
        if size is not None and size % sections:
            raise ValueError(
                f"split: axis {axis} of shape {tuple(x.shape)} does not divide into {sections} equal parts"
            )
        return tf.split(x, sections, axis)
    total = dims(x)[axis]
    if all(isinstance(i, (int, np.integer)) for i in indices_or_sections) and isinstance(total, int):
        places = [min(max(i + total if i < 0 else i, 0), total) for i in map(int, indices_or_sections)]
    else:
        places = list(indices_or_sections)
    edges = [0, *places, total]
    key = [slice(None)] * (axis % len(x.shape))
    return [x[(*key, slice(a, b))] for a, b in pairwise(edges)]


def _repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = flattened(x), 0
    return tf.repeat(x, repeats, axis)


def _tile(x: Tensor, repeats: Any) -> Tensor:
    if isinstance(repeats, tf.Tensor):
        repeats = tf.unstack(tf.reshape(repeats, [-1]))
    repeats = [repeats] if isinstance(repeats, int) else list(repeats)
    rank = len(x.shape)
    if len(repeats) > rank:
        x = tf.reshape(x, [*(1,) * (len(repeats) - rank), *dims(x)])
    return tf.tile(x, [*(1,) * (rank - len(repeats)), *repeats])


def _roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return tf.reshape(tf.roll(flattened(x), shift, 0), dims(x))
    return tf.roll(x, shift, axis)


def _flip(x: Tensor, axis: Axis = None) -> Tensor:
    return tf.reverse(x, axis_list(x, axis))


def _pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    widths = _pad_widths(pad_width, len(x.shape))
    if x.dtype == tf.bool:
        filled = None if constant_values is None else int(constant_values)
        return tf.cast(_pad(tf.cast(x, tf.uint8), widths, mode, filled), tf.bool)
    if mode == "constant":
        return tf.pad(x, widths, constant_values=tf.cast(0 if constant_values is None else constant_values, x.dtype))
    if constant_values is not None:
        raise ValueError(f"pad: constant_values is for mode 'constant', got mode {mode!r}")
    if mode not in ("reflect", "symmetric"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect' or 'symmetric', got {mode!r}")
    return tf.pad(x, widths, mode)


def _pad_widths(pad_width: Any, rank: int) -> list[Any]:
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * rank
    if isinstance(pad_width, (np.ndarray, tf.Tensor)):
        return pad_width
    widths = [(w, w) if isinstance(w, int) else tuple(w) for w in pad_width]
    if len(widths) == 2 and all(isinstance(w, int) for w in pad_width):
        widths = [tuple(pad_width)]
    return widths * rank if len(widths) == 1 else widths


def _take(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = flattened(x), 0
    indices = indices if indices.dtype in (tf.int32, tf.int64) else tf.cast(indices, tf.int32)
    return tf.gather(x, _from_end(indices, dims(x)[axis]), axis=axis)


def _from_end(indices: Tensor, size: Any) -> Tensor:
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


def _take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = flattened(x), 0
        indices = flattened(indices)
    axis %= len(x.shape)
    indices = _from_end(tf.cast(indices, tf.int32), dims(x)[axis])
    last = len(x.shape) - 1
    perm = [i for i in range(last + 1) if i != axis] + [axis]
    back = [perm.index(i) for i in range(last + 1)]
    if axis != last:
        x, indices = tf.transpose(x, perm), tf.transpose(indices, perm)
    left, right = dims(x)[:-1], dims(indices)[:-1]
    if x.shape[:-1] != indices.shape[:-1] or None in x.shape[:-1]:
        batch = tf.broadcast_dynamic_shape(tf.stack(left), tf.stack(right)) if last else tf.constant([], tf.int32)
        x = tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-1:]], 0))
        indices = tf.broadcast_to(indices, tf.concat([batch, tf.shape(indices)[-1:]], 0))
    out = tf.gather(x, indices, batch_dims=last)
    return out if axis == last else tf.transpose(out, back)


def _getitem(x: Tensor, key: Any) -> Tensor:
    keys = list(key) if isinstance(key, tuple) else [key]
    keys = [_plain_index(k) for k in keys]
    if not any(_is_array(k) for k in keys):
        return x[tuple(keys)]
    return _fancy(x, keys)


def _plain_index(k: Any) -> Any:
    if isinstance(k, slice):
        return slice(
            *(
                v if v is None or isinstance(v, (int, tf.Tensor)) else tf.convert_to_tensor(v)
                for v in (k.start, k.stop, k.step)
            )
        )
    if k is None or k is Ellipsis or type(k) is int:
        return k
    if isinstance(k, (bool, np.bool_)):
        return tf.constant(bool(k))
    if isinstance(k, np.integer):
        return int(k)
    k = tf.convert_to_tensor(k)
    return tf.cast(k, tf.int32) if k.dtype.is_integer and k.dtype not in (tf.int32, tf.int64) else k


def _is_array(k: Any) -> bool:
    return isinstance(k, tf.Tensor) and (k.dtype == tf.bool or len(k.shape) > 0)


def _fancy(x: Tensor, keys: list[Any]) -> Tensor:
    """NumPy's indexing by arrays: they are broadcast together and replace their axes, in front unless all adjacent."""
    used = sum(
        len(k.shape) if _is_array(k) and k.dtype == tf.bool else 1 for k in keys if k is not None and k is not Ellipsis
    )
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys = [*keys[:at], *[slice(None)] * (len(x.shape) - used), *keys[at + 1 :]]
    basic: list[Any] = []
    arrays: list[tuple[int, Any]] = []
    out_axis = 0
    for k in keys:
        if isinstance(k, (tf.Tensor, int)):
            found = tf.unstack(tf.where(k), len(k.shape), axis=-1) if _is_array(k) and k.dtype == tf.bool else [k]
            for index in found:
                basic.append(slice(None))
                arrays.append((out_axis, index))
                out_axis += 1
        else:
            basic.append(k)
            out_axis += 1
    x = x[tuple(basic)]
    axes = [a for a, _ in arrays]
    sizes = dims(x)
    indices = [_from_end(tf.cast(i, tf.int64), sizes[a]) for a, i in arrays]
    shape = functools.reduce(tf.broadcast_dynamic_shape, [tf.shape(i) for i in indices])
    static = functools.reduce(tf.broadcast_static_shape, [i.shape for i in indices])
    indices = [tf.ensure_shape(tf.broadcast_to(i, shape), static) for i in indices]
    if len(axes) == 1:
        return tf.gather(x, indices[0], axis=axes[0])
    x, _ = to_front(x, axes)
    out = tf.gather_nd(x, tf.stack(indices, -1))
    if axes == list(range(axes[0], axes[0] + len(axes))) and axes[0]:
        n = len(static)
        order = [*range(n, n + axes[0]), *range(n), *range(n + axes[0], len(out.shape))]
        out = tf.transpose(out, order)
    return out


def _slice(inputs: Tensor, start_indices: Any, shape: Any) -> Tensor:
    start = [tf.cast(i, tf.int32) for i in _scalars(start_indices)]
    sizes = dims(inputs)
    shape = [n - s if isinstance(k, int) and k == -1 else k for k, n, s in zip(_scalars(shape), sizes, start)]
    start = [_clamp_start(s, k, n) for s, k, n in zip(start, shape, sizes)]
    static = [k if isinstance(k, int) else None for k in shape]
    return tf.ensure_shape(tf.slice(inputs, tf.stack(start), tf.stack(shape)), static)


def _clamp_start(start: Tensor, size: Any, total: Any) -> Tensor:
    return tf.clip_by_value(start, 0, total - size)


def _scalars(x: Any) -> list[Any]:
    return tf.unstack(x) if isinstance(x, tf.Tensor) else x.tolist() if isinstance(x, np.ndarray) else list(x)


def _slice_update(inputs: Tensor, start_indices: Any, updates: Tensor) -> Tensor:
    sizes, wanted = dims(inputs), dims(updates)
    start = [_clamp_start(tf.cast(s, tf.int32), k, n) for s, k, n in zip(_scalars(start_indices), wanted, sizes)]
    stop = [s + k for s, k in zip(start, wanted)]
    out = (
        tf.raw_ops.TensorStridedSliceUpdate(
            input=inputs,
            begin=tf.stack(start),
            end=tf.stack(stop),
            strides=[1] * len(start),
            value=to_dtype(updates, inputs.dtype),
        )
        if start
        else to_dtype(updates, inputs.dtype)
    )
    return tf.ensure_shape(out, inputs.shape)


def _scatter(indices: Tensor, values: Tensor, shape: Any) -> Tensor:
    return tf.scatter_nd(indices, values, shape)


_SCATTER: dict[Any, Native] = {
    None: tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}


def _scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    updates = to_dtype(updates, inputs.dtype)
    if reduction == "mul":
        factor = _scatter_product(inputs, indices, updates)
        return inputs * factor
    if reduction not in _SCATTER:
        raise ValueError(f"scatter_update: reduction must be None, 'add', 'max', 'min' or 'mul', got {reduction!r}")
    return _SCATTER[reduction](inputs, indices, updates)


def _scatter_product(inputs: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """TF scatters no products; this multiplies the updates of equal places as segments."""
    depth = indices.shape[-1]
    lead, rest = dims(inputs)[:depth], dims(inputs)[depth:]
    strides = [product_of(lead[i + 1 :]) for i in range(depth)]
    place = tf.reduce_sum(tf.cast(indices, tf.int32) * tf.stack(strides), -1)
    rows = tf.reshape(updates, (-1, product_of(rest)))
    return tf.reshape(tf.math.unsorted_segment_prod(rows, flattened(place), product_of(lead)), dims(inputs))


def _argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = flattened(x), -1
    x = tf.cast(x, tf.int32) if x.dtype == tf.bool else tf.cast(x, tf.int64) if x.dtype in (tf.uint32, tf.uint64) else x
    # Only int32 and floats sort by value without wrapping when TF negates them.
    x = tf.cast(x, tf.int32) if x.dtype.is_integer and x.dtype.size < 4 else x
    return tf.argsort(x, axis, stable=True)


def _sort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = flattened(x), -1
    if x.dtype.is_floating:
        # NaN goes last, as in NumPy; TF would leave it anywhere.
        nan = tf.math.is_nan(x)
        ordered = tf.sort(tf.where(nan, tf.constant(math.inf, x.dtype), x), axis)
        return tf.where(tf.sort(tf.cast(nan, tf.int32), axis) > 0, tf.constant(math.nan, x.dtype), ordered)
    wide = {
        "bool": tf.int32,
        "uint8": tf.int32,
        "uint16": tf.int32,
        "int8": tf.int32,
        "int16": tf.int32,
        "uint32": tf.int64,
    }
    return tf.cast(tf.sort(tf.cast(x, wide.get(x.dtype.name, x.dtype)), axis), x.dtype)


def _top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    out = tf.math.top_k(tf.cast(x, tf.int32) if x.dtype == tf.bool else x, k, sorted)
    return to_dtype(out.values, x.dtype), out.indices


def _searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    common = tf.as_dtype(dtypes.result_type(sorted_sequence.dtype.name, values.dtype.name))
    found = tf.searchsorted(tf.cast(sorted_sequence, common), flattened(tf.cast(values, common)), side)
    return tf.reshape(found, dims(values))


def _bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0, sparse: bool = False) -> Any:
    x = tf.cast(x, tf.int32)
    if sparse:
        return tf.sparse.bincount(x, weights=weights, minlength=minlength, axis=-1)
    axis = -1 if len(x.shape) > 1 else None
    if weights is not None and weights.dtype not in (tf.int32, tf.int64, tf.float32, tf.float64):
        return tf.cast(_bincount(x, tf.cast(weights, tf.float32), minlength), weights.dtype)
    return tf.math.bincount(x, weights=weights, minlength=minlength, axis=axis)


def _unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    shape = x.shape
    rows = flattened(x) if axis is None else to_front(x, [axis % len(shape)])[0]
    values, inverse, counts = tf.raw_ops.UniqueWithCountsV2(x=rows, axis=[0], out_idx=tf.int32)
    n = tf.shape(rows)[0]
    index = tf.math.unsorted_segment_min(tf.range(n), inverse, tf.shape(counts)[0])
    order = _lexical_order(values)
    values, counts, index = (tf.gather(t, order) for t in (values, counts, index))
    inverse = tf.gather(tf.argsort(order), inverse)
    if size is not None:
        missing = tf.maximum(size - tf.shape(counts)[0], 0)
        fill = values[:1] if fill_value is None else tf.cast(tf.fill(tf.shape(values[:1]), fill_value), x.dtype)
        values = tf.concat([values, tf.repeat(fill, missing, 0)], 0)[:size]
        counts = tf.concat([counts, tf.zeros((missing,), tf.int32)], 0)[:size]
        index = tf.concat([index, tf.repeat(index[:1], missing, 0)], 0)[:size]
        values = tf.ensure_shape(values, [size, *values.shape[1:]])
    if axis is not None:
        values = _moveaxis(values, 0, axis)
    chosen = [values]
    chosen += [index] if return_index else []
    chosen += [inverse] if return_inverse else []
    chosen += [counts] if return_counts else []
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def _lexical_order(rows: Tensor) -> Tensor:
    """The order that sorts rows by their first entry, then the second, and so on."""
    columns = tf.reshape(rows, (tf.shape(rows)[0], -1))
    if len(rows.shape) == 1:
        return _argsort(rows)
    order = tf.range(tf.shape(rows)[0])
    for i in reversed(range(columns.shape[1])):
        order = tf.gather(order, _argsort(tf.gather(columns[:, i], order)))
    return order


def _segment(fn: Native, of_none: float | None = None) -> Native:
    def run(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
        ids = tf.cast(segment_ids, tf.int32)
        if num_segments is None:
            num_segments = tf.reduce_max(ids) + 1
        out = fn(data, ids, num_segments)
        if of_none is None or not data.dtype.is_floating:
            return out
        # What TF gives for a segment without rows is the least finite number.
        counts = tf.math.unsorted_segment_sum(tf.ones_like(ids), ids, num_segments)
        empty = tf.reshape(counts == 0, [-1, *(1,) * (len(out.shape) - 1)])
        return tf.where(empty, tf.constant(of_none, out.dtype), out)

    return run


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: DType = None) -> Tensor:
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if dtype is None:
        kinds = [v.dtype.name if hasattr(v, "dtype") else type(v) for v in (start, stop, step)]
        dtype = dtypes.result_type(*kinds)
    name = name_of(dtype)
    compute = (
        name if name in ("int32", "int64", "float32", "float64") else "int64" if name in dtypes.INTS else "float32"
    )
    if name == "bool":
        compute = "int32"
    return to_dtype(tf.range(*(to_dtype(tf.convert_to_tensor(v), compute) for v in (start, stop, step))), name)


def _full_like(x: Tensor, fill_value: Any, dtype: DType = None) -> Tensor:
    return tf.broadcast_to(to_dtype(tf.convert_to_tensor(fill_value), name_of(dtype, x.dtype.name)), dims(x))


def _like(fn: Native) -> Native:
    return lambda x, dtype=None: fn(x, dtype=name_of(dtype, x.dtype.name))


def _filled(fn: Native) -> Native:
    return lambda shape, dtype=None: fn(shape, dtype=name_of(dtype))


def _triangle(keep: Native) -> Native:
    def run(x: Tensor, k: int = 0) -> Tensor:
        rows, columns = dims(x)[-2:]
        return tf.where(keep(tf.range(columns)[None] - tf.range(rows)[:, None], k), x, tf.zeros((), x.dtype))

    return run


def _diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    x = _moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = dims(x)[-2:]
    n = tf.maximum(tf.minimum(rows + min(offset, 0), columns - max(offset, 0)), 0)
    i = tf.range(n)
    flat = tf.reshape(x, (*dims(x)[:-2], product_of((rows, columns))))
    return tf.gather(flat, (i - min(offset, 0)) * columns + i + max(offset, 0), axis=-1)


def _nonzero(x: Tensor) -> tuple[Tensor, ...]:
    return tuple(tf.cast(i, tf.int32) for i in tf.unstack(tf.where(tf.cast(x, tf.bool)), len(x.shape), axis=-1))


NATIVES: dict[str, Native] = {
    "arange": _arange,
    "broadcast_to": tf.broadcast_to,
    "concatenate": lambda xs, axis=0: tf.concat([flattened(x) for x in xs] if axis is None else list(xs), axis or 0),
    "diagonal": _diagonal,
    "zeros": _filled(tf.zeros), "ones": _filled(tf.ones),
    "zeros_like": _like(tf.zeros_like), "ones_like": _like(tf.ones_like),
    "expand_dims": _expand_dims, "squeeze": _squeeze,
    "flip": _flip, "roll": _roll,
    "full_like": _full_like,
    "getitem": _getitem,
    "transpose": lambda x, axes=None: tf.transpose(x, axes),
    "nonzero": _nonzero,
    "pad": _pad,
    "reshape": _reshape,
    "repeat": _repeat, "tile": _tile,
    "scatter": _scatter, "scatter_update": _scatter_update,
    "searchsorted": _searchsorted,
    "shape": lambda x: tuple(dims(x)),
    "slice": _slice, "slice_update": _slice_update,
    "split": _split, "stack": lambda x, axis=0: tf.stack(list(x), axis),
    "unstack": lambda x, num=None, axis=0: tf.unstack(x, num, axis),
    "take": _take, "take_along_axis": _take_along_axis,
    "top_k": _top_k,
    "tril": _triangle(lambda d, k: d <= k), "triu": _triangle(lambda d, k: d >= k),
    "unique": _unique,
    "argsort": _argsort, "sort": _sort,
    "bincount": _bincount,
    "segment_sum": _segment(tf.math.unsorted_segment_sum), "segment_prod": _segment(tf.math.unsorted_segment_prod),
    "segment_max": _segment(tf.math.unsorted_segment_max, -math.inf),
    "segment_min": _segment(tf.math.unsorted_segment_min, math.inf),
}  # fmt: skip
