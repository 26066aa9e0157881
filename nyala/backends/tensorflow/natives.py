"""What each op is on TensorFlow: a table, and adapters where TF's function differs in arguments, dtypes or rules."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import tensorflow as tf

from nyala._typing import Axis, DType, Tensor
from nyala.backends import dtypes
from nyala.base import config, tree

Native = Callable[..., Any]


# -- dtypes ------------------------------------------------------------------------------------------------------------


def to_dtype(x: Tensor, dtype: Any) -> Tensor:
    """``tf.cast`` that also reads and writes strings and takes the real part without a warning."""
    target = tf.as_dtype(dtype)
    source = x.dtype
    if source == target:
        return x
    if source == tf.string:
        number = tf.strings.to_number(
            x, target if target in (tf.float32, tf.float64, tf.int32, tf.int64) else tf.float64
        )
        return to_dtype(number, target)
    if target == tf.string:
        return tf.strings.as_string(x)
    if source.is_complex and not target.is_complex:
        x = tf.math.real(x)
    return tf.cast(x, target)


def _name(dtype: DType, default: str | None = None) -> str:
    return default if dtype is None and default is not None else dtypes.standardize(dtype)


def _is_int(x: Tensor) -> bool:
    return x.dtype.is_integer or x.dtype == tf.bool


def _float(x: Tensor) -> Tensor:
    """Integers and booleans become floats as ``float`` ops have them."""
    return tf.cast(x, config.floatx()) if _is_int(x) else x


def floating(fn: Native) -> Native:
    """``fn`` for floats; integers are converted first."""
    return lambda x, *args, **kwargs: fn(_float(x), *args, **kwargs)


_WIDER = {"uint8": "int32", "int8": "int32", "uint16": "int32", "int16": "int32", "uint32": "int64", "bool": "int32",
          "uint64": "int64", "float16": "float32", "bfloat16": "float32"}  # fmt: skip


def via(fn: Native, *narrow: str, n: int = 1) -> Native:
    """Compute in a wider dtype where TF has no kernel for a ``narrow`` one; ``n`` leading arguments are tensors."""
    names = frozenset(narrow)

    def run(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        name = x.dtype.name
        if name not in names:
            return fn(x, *args, **kwargs)
        wide = _WIDER[name]
        rest = [to_dtype(a, wide) if isinstance(a, tf.Tensor) else a for a in args[: n - 1]]
        return to_dtype(fn(tf.cast(x, wide), *rest, *args[n - 1 :], **kwargs), name)

    return run


# -- shapes ------------------------------------------------------------------------------------------------------------


def dims(x: Tensor) -> list[Any]:
    """The shape: ints where they are known, else scalar tensors."""
    static = x.shape.as_list()
    if None not in static:
        return static
    dynamic = tf.shape(x)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]


def _axis_list(x: Tensor, axis: Axis) -> list[int]:
    rank = len(x.shape)
    if axis is None:
        return list(range(rank))
    return [a % rank if rank else a for a in ((axis,) if isinstance(axis, int) else axis)]


def _product(sizes: Any) -> Any:
    sizes = list(sizes)
    if all(isinstance(n, int) for n in sizes):
        return math.prod(sizes)
    return tf.reduce_prod(tf.stack([tf.convert_to_tensor(n) for n in sizes]))


def _flat(x: Tensor) -> Tensor:
    return tf.reshape(x, (-1,))


def _front(x: Tensor, axes: list[int]) -> tuple[Tensor, list[int]]:
    """``axes`` moved to the front, and the permutation that brings them back."""
    perm = [*axes, *(i for i in range(len(x.shape)) if i not in axes)]
    return tf.transpose(x, perm), [perm.index(i) for i in range(len(perm))]


# -- elementwise -------------------------------------------------------------------------------------------------------


def _logical(fn: Native) -> Native:
    return lambda *xs: fn(*(tf.cast(x, tf.bool) if isinstance(x, tf.Tensor) else bool(x) for x in xs))


def _on_bool(fn: Native, on_bool: Native) -> Native:
    return lambda x1, x2: on_bool(x1, x2) if x1.dtype == tf.bool else fn(x1, x2)


def _int_of_bool(fn: Native) -> Native:
    """NumPy's integer arithmetic of booleans."""

    def run(x1: Tensor, x2: Any) -> Tensor:
        if x1.dtype == tf.bool:
            x1, x2 = tf.cast(x1, tf.int32), tf.cast(x2, tf.int32)
        return fn(x1, x2)

    return run


def _round(x: Tensor, decimals: int = 0) -> Tensor:
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    if not decimals:
        return tf.identity(x) if x.dtype.is_integer else tf.round(x)
    if x.dtype.is_integer:
        return to_dtype(_round(tf.cast(x, tf.float64), decimals), x.dtype)
    factor = tf.constant(10.0 ** abs(decimals), x.dtype)
    return tf.round(x * factor) / factor if decimals > 0 else tf.round(x / factor) * factor


def _clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    if x.dtype == tf.bool:
        x = tf.cast(x, tf.int32)
    if x_min is not None:
        x = maximum(x, x_min if isinstance(x_min, tf.Tensor) else tf.constant(x_min, x.dtype))
    return x if x_max is None else minimum(x, x_max if isinstance(x_max, tf.Tensor) else tf.constant(x_max, x.dtype))


def _sign_bit(x: Tensor) -> Tensor:
    if x.dtype.is_unsigned or x.dtype == tf.bool:
        return tf.zeros_like(x, tf.bool)
    if x.dtype.is_integer:
        return x < 0
    bits = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    return tf.bitcast(x, bits) < 0


def _nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    if _is_int(x):
        return x
    low, high = float(x.dtype.min), float(x.dtype.max)
    zero = tf.zeros_like(x)
    x = tf.where(tf.math.is_nan(x), zero + tf.constant(nan, x.dtype), x)
    x = tf.where(x == float("inf"), zero + tf.constant(high if posinf is None else posinf, x.dtype), x)
    return tf.where(x == float("-inf"), zero + tf.constant(low if neginf is None else neginf, x.dtype), x)


def _logaddexp(x1: Tensor, x2: Any) -> Tensor:
    larger = tf.maximum(x1, x2)
    # Equal infinities have no difference.
    gap = tf.where(tf.math.is_inf(larger) & tf.equal(x1, x2), tf.zeros_like(larger), -tf.abs(x1 - x2))
    return larger + tf.math.log1p(tf.exp(gap))


def _view(x: Tensor, dtype: DType = None) -> Tensor:
    target = tf.as_dtype(_name(dtype, x.dtype.name))
    old, new = x.dtype.size, target.size
    if old == new:
        return tf.bitcast(x, target)
    if old > new:
        parts = tf.bitcast(x, target)
        return tf.reshape(parts, (*dims(parts)[:-2], _product(dims(parts)[-2:])))
    return tf.bitcast(tf.reshape(x, (*dims(x)[:-1], -1, new // old)), target)


def _shift(fn: Native) -> Native:
    return lambda x, y: fn(x, tf.cast(y, x.dtype) if isinstance(y, tf.Tensor) else tf.constant(y, x.dtype))


maximum = via(_on_bool(tf.maximum, tf.logical_or), "uint32", n=2)
minimum = via(_on_bool(tf.minimum, tf.logical_and), "uint32", n=2)


def _nonzero(x: Tensor) -> tuple[Tensor, ...]:
    return tuple(tf.cast(i, tf.int32) for i in tf.unstack(tf.where(tf.cast(x, tf.bool)), len(x.shape), axis=-1))


# -- reductions --------------------------------------------------------------------------------------------------------


def _sum_dtype(x: Tensor) -> Tensor:
    """Small integers are added up in 32 bits."""
    if x.dtype.name in ("bool", "int8", "int16"):
        return tf.cast(x, tf.int32)
    return tf.cast(x, tf.uint32) if x.dtype.name in ("uint8", "uint16") else x


def _reduce(fn: Native, before: Native = lambda x: x) -> Native:
    return lambda x, axis=None, keepdims=False: fn(before(x), axis, keepdims)


def _prod(x: Tensor, axis: Axis = None, keepdims: bool = False, dtype: DType = None) -> Tensor:
    return _reduce_prod(_sum_dtype(x) if dtype is None else to_dtype(x, _name(dtype)), axis, keepdims)


_reduce_prod = via(tf.reduce_prod, "uint32")
_reduce_sum = via(tf.reduce_sum, "uint32")


def _extremum(fn: Native, on_bool: Native, pair: Native) -> Native:
    fn = via(fn, "uint32")

    def run(x: Tensor, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> Tensor:
        out = (on_bool if x.dtype == tf.bool else fn)(x, axis, keepdims)
        return out if initial is None else pair(out, to_dtype(tf.convert_to_tensor(initial), x.dtype))

    return run


def _arg(fn: Native, sign: int) -> Native:
    def run(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
        rank = len(x.shape)
        flat = _flat(x) if axis is None else x
        flat = (
            tf.cast(flat, _WIDER.get(x.dtype.name, x.dtype.name))
            if x.dtype.name in ("bool", "uint32", "uint64")
            else flat
        )
        if flat.dtype.is_floating:
            # The first NaN wins, as in NumPy.
            flat = tf.where(tf.math.is_nan(flat), tf.constant(sign * math.inf, flat.dtype), flat)
        out = fn(flat, 0 if axis is None else axis, output_type=tf.int32)
        if keepdims:
            return tf.reshape(out, (1,) * rank) if axis is None else tf.expand_dims(out, axis)
        return out

    return run


def _variance(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    x = _float(x)
    if x.dtype in (tf.float16, tf.bfloat16):
        return tf.cast(tf.math.reduce_variance(tf.cast(x, tf.float32), axis, keepdims), x.dtype)
    return tf.math.reduce_variance(x, axis, keepdims)


def _std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return tf.sqrt(_variance(x, axis, keepdims))


def _cumulative(fn: Native) -> Native:
    fn = via(fn, "uint32", "bool")

    def run(x: Tensor, axis: int | None = None, dtype: DType = None) -> Tensor:
        x = to_dtype(x, _name(dtype)) if dtype is not None else tf.cast(x, tf.int32) if x.dtype == tf.bool else x
        return fn(_flat(x), 0) if axis is None else fn(x, axis)

    return run


def _quantile(x: Tensor, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    x = _float(x)
    axes = _axis_list(x, axis)
    q = tf.cast(q, x.dtype)
    moved, _ = _front(x, [i for i in range(len(x.shape)) if i not in axes])
    kept = dims(moved)[: len(x.shape) - len(axes)]
    ordered = tf.sort(tf.reshape(moved, (*kept, _product(dims(moved)[len(kept) :]))), axis=-1)
    last = tf.cast(tf.shape(ordered)[-1] - 1, x.dtype)
    place = q * last
    below, above = tf.floor(place), tf.math.ceil(place)
    low, high = (tf.gather(ordered, tf.cast(i, tf.int32), axis=-1) for i in (below, above))
    if method == "linear":
        out = low + (high - low) * (place - below)
    else:
        choose = {
            "lower": lambda: low,
            "higher": lambda: high,
            "midpoint": lambda: (low + high) / 2,
            "nearest": lambda: tf.gather(ordered, tf.cast(tf.round(place), tf.int32), axis=-1),
        }
        if method not in choose:
            raise ValueError(f"quantile: method must be one of linear, {', '.join(choose)}, got {method!r}")
        out = choose[method]()
    # A NaN in the data sorts last or first; either way every quantile of it is NaN.
    poisoned = tf.reduce_any(tf.math.is_nan(ordered), axis=-1)
    poisoned = tf.reshape(poisoned, (*dims(poisoned), *(1,) * len(q.shape)))
    out = tf.where(poisoned, tf.constant(math.nan, x.dtype), out)
    if len(q.shape):
        out = tf.transpose(out, [len(out.shape) - 1, *range(len(out.shape) - 1)])
    if keepdims:
        shape = [1 if i in axes else n for i, n in enumerate(dims(x))]
        out = tf.reshape(out, (*dims(q), *shape))
    return out


# -- shape and index ---------------------------------------------------------------------------------------------------


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
        x, axis = _flat(x), 0
    return tf.repeat(x, repeats, axis)


def _tile(x: Tensor, repeats: Any) -> Tensor:
    repeats = [repeats] if isinstance(repeats, int) or getattr(repeats, "shape", None) == () else list(repeats)
    rank = len(x.shape)
    if len(repeats) > rank:
        x = tf.reshape(x, [*(1,) * (len(repeats) - rank), *dims(x)])
    return tf.tile(x, [*(1,) * (rank - len(repeats)), *repeats])


def _roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return tf.reshape(tf.roll(_flat(x), shift, 0), dims(x))
    return tf.roll(x, shift, axis)


def _flip(x: Tensor, axis: Axis = None) -> Tensor:
    return tf.reverse(x, _axis_list(x, axis))


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
        x, axis = _flat(x), 0
    indices = indices if indices.dtype in (tf.int32, tf.int64) else tf.cast(indices, tf.int32)
    return tf.gather(x, _from_end(indices, dims(x)[axis]), axis=axis)


def _from_end(indices: Tensor, size: Any) -> Tensor:
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


def _take_along_axis(x: Tensor, indices: Tensor, axis: int | None = None) -> Tensor:
    if axis is None:
        x, axis = _flat(x), 0
        indices = _flat(indices)
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
    x, _ = _front(x, axes)
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
    strides = [_product(lead[i + 1 :]) for i in range(depth)]
    place = tf.reduce_sum(tf.cast(indices, tf.int32) * tf.stack(strides), -1)
    rows = tf.reshape(updates, (-1, _product(rest)))
    return tf.reshape(tf.math.unsorted_segment_prod(rows, _flat(place), _product(lead)), dims(inputs))


def _argsort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = _flat(x), -1
    x = tf.cast(x, tf.int32) if x.dtype == tf.bool else tf.cast(x, tf.int64) if x.dtype in (tf.uint32, tf.uint64) else x
    # Only int32 and floats sort by value without wrapping when TF negates them.
    x = tf.cast(x, tf.int32) if x.dtype.is_integer and x.dtype.size < 4 else x
    return tf.argsort(x, axis, stable=True)


def _sort(x: Tensor, axis: int | None = -1) -> Tensor:
    if axis is None:
        x, axis = _flat(x), -1
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
    found = tf.searchsorted(tf.cast(sorted_sequence, common), _flat(tf.cast(values, common)), side)
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
    rows = _flat(x) if axis is None else _front(x, [axis % len(shape)])[0]
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
    name = _name(dtype)
    compute = (
        name if name in ("int32", "int64", "float32", "float64") else "int64" if name in dtypes.INTS else "float32"
    )
    if name == "bool":
        compute = "int32"
    return to_dtype(tf.range(*(to_dtype(tf.convert_to_tensor(v), compute) for v in (start, stop, step))), name)


def _full_like(x: Tensor, fill_value: Any, dtype: DType = None) -> Tensor:
    return tf.broadcast_to(to_dtype(tf.convert_to_tensor(fill_value), _name(dtype, x.dtype.name)), dims(x))


def _like(fn: Native) -> Native:
    return lambda x, dtype=None: fn(x, dtype=_name(dtype, x.dtype.name))


def _filled(fn: Native) -> Native:
    return lambda shape, dtype=None: fn(shape, dtype=_name(dtype))


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
    flat = tf.reshape(x, (*dims(x)[:-2], _product((rows, columns))))
    return tf.gather(flat, (i - min(offset, 0)) * columns + i + max(offset, 0), axis=-1)


# -- linear algebra ----------------------------------------------------------------------------------------------------

_MATMUL = frozenset({tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.int32, tf.int64, tf.complex64, tf.complex128})


def _matmul(x1: Tensor, x2: Tensor) -> Tensor:
    if x1.dtype not in _MATMUL:
        wide = tf.int32 if x1.dtype.size < 4 else tf.int64
        # Products of int8 are summed, and kept, in int32.
        return tf.cast(_matmul(tf.cast(x1, wide), tf.cast(x2, wide)), wide if x1.dtype == tf.int8 else x1.dtype)
    left, right = len(x1.shape), len(x2.shape)
    if left > 1 and right > 1:
        if right == 2 and left > 2:
            # One large product instead of a batch of small ones.
            return tf.tensordot(x1, x2, 1)
        return tf.matmul(x1, x2)
    if not left or not right:
        raise ValueError(
            f"matmul: both arguments need at least one axis, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    if left == 1 and right == 1:
        return tf.tensordot(x1, x2, 1)
    if right == 1:
        return tf.linalg.matvec(x1, x2)
    return tf.squeeze(tf.matmul(x1[None], x2), -2)


def _dot(x1: Tensor, x2: Tensor) -> Tensor:
    if not len(x1.shape) or not len(x2.shape):
        return x1 * x2
    return _tensordot(x1, x2, [[-1], [-2 if len(x2.shape) > 1 else -1]])


def _tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Tensor:
    if not isinstance(axes, int):
        sides = [[a] if isinstance(a, int) else list(a) for a in axes]
        axes = [[a % len(x.shape) for a in side] for x, side in zip((x1, x2), sides)]
    if x1.dtype not in _MATMUL:
        wide = tf.int32 if x1.dtype.size < 4 else tf.int64
        return tf.cast(tf.tensordot(tf.cast(x1, wide), tf.cast(x2, wide), axes), x1.dtype)
    return tf.tensordot(x1, x2, axes)


def _einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    if operands[0].dtype not in _MATMUL:
        wide = tf.int32 if operands[0].dtype.size < 4 else tf.int64
        given = operands[0].dtype
        out = tf.einsum(subscripts, *(tf.cast(x, wide) for x in operands))
        return tf.cast(out, wide if given == tf.int8 else given)
    return tf.einsum(subscripts, *operands)


def _outer(x1: Tensor, x2: Tensor) -> Tensor:
    return _flat(x1)[:, None] * _flat(x2)[None]


def _cholesky(x: Tensor, upper: bool = False) -> Tensor:
    lower = tf.linalg.cholesky(x)
    return tf.linalg.adjoint(lower) if upper else lower


def _cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    lower = tf.linalg.adjoint(x) if upper else x
    return tf.linalg.cholesky_solve(lower, tf.eye(dims(x)[-1], batch_shape=dims(x)[:-2], dtype=x.dtype))


def _qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    return tuple(tf.linalg.qr(x, full_matrices=mode == "complete"))


def _svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return tf.linalg.svd(x, compute_uv=False)
    s, u, v = tf.linalg.svd(x, full_matrices)
    return u, s, tf.linalg.adjoint(v)


def _solve(a: Tensor, b: Tensor) -> Tensor:
    if len(b.shape) == len(a.shape) - 1:
        return tf.linalg.solve(a, b[..., None])[..., 0]
    return tf.linalg.solve(a, b)


def _solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    if len(b.shape) == len(a.shape) - 1:
        return tf.linalg.triangular_solve(a, b[..., None], lower)[..., 0]
    return tf.linalg.triangular_solve(a, b, lower)


def _lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    lu, p = tf.linalg.lu(x)
    n = p.shape[-1]
    rows = tf.reshape(p, (-1, n))
    pivots = []
    # LAPACK names the row swaps one by one, TF the permutation they make.
    order = tf.broadcast_to(tf.range(n), tf.shape(rows))
    for i in range(n):
        at = tf.argmax(tf.cast(order == rows[:, i : i + 1], tf.int32), -1, output_type=tf.int32)
        pivots.append(at)
        batch = tf.range(tf.shape(rows)[0])
        first = order[:, i]
        order = tf.tensor_scatter_nd_update(order, tf.stack([batch, at], -1), first)
        order = tf.tensor_scatter_nd_update(order, tf.stack([batch, tf.fill(tf.shape(batch), i)], -1), rows[:, i])
    return lu, tf.reshape(tf.stack(pivots, -1), dims(p))


def _slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(tf.linalg.slogdet(x))


def _lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    vector = len(b.shape) == 1
    b = b[:, None] if vector else b
    rows, columns = dims(a)[-2:]
    s, u, v = tf.linalg.svd(a)
    limit = (np.finfo(a.dtype.as_numpy_dtype).eps * max(rows, columns) if rcond is None else rcond) * tf.reduce_max(s)
    inverse = tf.where(s > limit, 1 / tf.where(s > limit, s, 1), 0)
    out = tf.matmul(v, inverse[:, None] * tf.matmul(u, b, adjoint_a=True))
    return out[:, 0] if vector else out


def _eig(x: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(tf.linalg.eig(x))


def _eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    return tuple(tf.linalg.eigh(x))


# -- Fourier -----------------------------------------------------------------------------------------------------------


def _complex(x: Any) -> Tensor:
    if isinstance(x, tuple):
        real, imag = (_float(v) for v in x)
        return tf.complex(real, imag)
    return x


def _pair(x: Tensor) -> tuple[Tensor, Tensor]:
    return tf.math.real(x), tf.math.imag(x)


# -- random ------------------------------------------------------------------------------------------------------------


def _seed(seed: Tensor) -> Tensor:
    return tf.bitcast(seed, tf.int32) if seed.dtype == tf.uint32 else tf.cast(seed, tf.int64)


def _draw(fn: Native) -> Native:
    """In ``dtype`` if TF draws in it, else in float32 and cast."""

    def run(shape: Any, seed: Tensor, dtype: str) -> Tensor:
        native = dtype in ("float16", "bfloat16", "float32", "float64")
        return tf.cast(fn(shape, _seed(seed), dtype=dtype if native else "float32"), dtype)

    return run


def _randint(shape: Any, low: Any, high: Any, seed: Tensor, dtype: str) -> Tensor:
    compute = dtype if dtype in ("int32", "int64") else "int64"
    low, high = (to_dtype(tf.convert_to_tensor(v), compute) for v in (low, high))
    return to_dtype(tf.random.stateless_uniform(shape, _seed(seed), low, high, compute), dtype)


def _gamma(shape: Any, alpha: Any, seed: Tensor, dtype: str) -> Tensor:
    compute = dtype if dtype in ("float16", "float32", "float64") else "float32"
    return tf.cast(
        tf.random.stateless_gamma(shape, _seed(seed), to_dtype(tf.convert_to_tensor(alpha), compute), dtype=compute),
        dtype,
    )


def _binomial(shape: Any, counts: Tensor, probabilities: Tensor, seed: Tensor, dtype: str) -> Tensor:
    counts, probabilities = (tf.broadcast_to(tf.cast(v, tf.float32), shape) for v in (counts, probabilities))
    return to_dtype(tf.random.stateless_binomial(shape, _seed(seed), counts, probabilities, tf.float32), dtype)


def _shuffle(x: Tensor, axis: int, seed: Tensor) -> Tensor:
    order = tf.argsort(tf.random.stateless_uniform((dims(x)[axis],), _seed(seed)))
    return tf.gather(x, order, axis=axis)


def _categorical(logits: Tensor, num_samples: int, seed: Tensor, dtype: str) -> Tensor:
    # Gumbel's trick: TF's own stateless kernel is not available in XLA.
    noise = tf.random.stateless_uniform((dims(logits)[0], num_samples, dims(logits)[1]), _seed(seed), minval=1e-38)
    gumbel = -tf.math.log(-tf.math.log(noise))
    return to_dtype(tf.argmax(tf.cast(logits, tf.float32)[:, None] + gumbel, -1, output_type=tf.int32), dtype)


# -- control -----------------------------------------------------------------------------------------------------------


def _stop_gradient(variable: Any) -> Any:
    return tree.map(lambda v: tf.stop_gradient(v), variable)


_INT_DIVISION = ("uint16", "uint32", "uint64", "int8", "int16", "uint8")

NATIVES: dict[str, Native] = {
    # elementwise
    "absolute": lambda x: x if x.dtype == tf.bool else tf.abs(x),
    "add": _on_bool(tf.add, tf.logical_or),
    "arccos": tf.acos, "arccosh": tf.acosh, "arcsin": tf.asin, "arcsinh": tf.asinh,
    "arctan": tf.atan, "arctan2": tf.atan2, "arctanh": tf.atanh,
    "bitwise_and": _on_bool(tf.bitwise.bitwise_and, tf.logical_and),
    "bitwise_or": _on_bool(tf.bitwise.bitwise_or, tf.logical_or),
    "bitwise_xor": _on_bool(tf.bitwise.bitwise_xor, tf.math.logical_xor),
    "bitwise_not": lambda x: tf.logical_not(x) if x.dtype == tf.bool else tf.bitwise.invert(x),
    "left_shift": _shift(tf.bitwise.left_shift), "right_shift": _shift(tf.bitwise.right_shift),
    "ceil": floating(tf.math.ceil), "floor": floating(tf.floor),
    "trunc": lambda x: tf.where(x < 0, tf.math.ceil(x), tf.floor(x)) if x.dtype.is_floating else x,
    "clip": _clip,
    "conj": lambda x: tf.math.conj(x) if x.dtype.is_complex else x,
    "copy": tf.identity,
    "cos": tf.cos, "cosh": tf.cosh, "sin": tf.sin, "sinh": tf.sinh, "tan": tf.tan, "tanh": tf.tanh,
    "divide": tf.divide, "divide_no_nan": tf.math.divide_no_nan,
    "equal": tf.equal, "not_equal": tf.not_equal,
    "erf": tf.math.erf, "erfc": tf.math.erfc, "erfinv": via(tf.math.erfinv, "float16", "bfloat16"),
    "exp": tf.exp, "expm1": tf.math.expm1,
    "floor_divide": _int_of_bool(tf.math.floordiv),
    "mod": _int_of_bool(tf.math.floormod),
    "greater": tf.greater, "greater_equal": tf.greater_equal, "less": tf.less, "less_equal": tf.less_equal,
    "imag": lambda x: tf.math.imag(x) if x.dtype.is_complex else tf.zeros_like(x),
    "real": tf.math.real,
    "i0": via(tf.math.bessel_i0, "float16", "bfloat16"),
    "isfinite": lambda x: tf.math.is_finite(x) if x.dtype.is_floating else tf.ones_like(x, tf.bool),
    "isinf": lambda x: tf.math.is_inf(x) if x.dtype.is_floating else tf.zeros_like(x, tf.bool),
    "isnan": lambda x: tf.math.is_nan(x) if x.dtype.is_floating else tf.zeros_like(x, tf.bool),
    "log": tf.math.log, "log1p": tf.math.log1p, "logaddexp": _logaddexp,
    "logical_and": _logical(tf.logical_and), "logical_or": _logical(tf.logical_or),
    "logical_not": _logical(tf.logical_not), "logical_xor": _logical(tf.math.logical_xor),
    "maximum": maximum, "minimum": minimum,
    "multiply": _on_bool(tf.multiply, tf.logical_and),
    "nan_to_num": _nan_to_num,
    "negative": tf.negative,
    "nextafter": via(tf.math.nextafter, "float16", "bfloat16", n=2),
    "power": _int_of_bool(tf.pow),
    "reciprocal": floating(tf.math.reciprocal),
    "round": _round,
    "rsqrt": tf.math.rsqrt,
    "sign": tf.sign, "signbit": _sign_bit,
    "sqrt": tf.sqrt, "square": lambda x: tf.square(tf.cast(x, tf.int32) if x.dtype == tf.bool else x),
    "stop_gradient": _stop_gradient,
    "subtract": tf.subtract,
    "view": _view, "view_as_complex": lambda x: tf.complex(x[..., 0], x[..., 1]),
    "where": tf.where,
    # reductions
    "all": _reduce(tf.reduce_all, lambda x: tf.cast(x, tf.bool)),
    "any": _reduce(tf.reduce_any, lambda x: tf.cast(x, tf.bool)),
    "max": _extremum(tf.reduce_max, tf.reduce_any, maximum), "min": _extremum(tf.reduce_min, tf.reduce_all, minimum),
    "argmax": _arg(tf.argmax, 1), "argmin": _arg(tf.argmin, -1),
    "argsort": _argsort, "sort": _sort,
    "bincount": _bincount,
    "cumprod": _cumulative(tf.math.cumprod), "cumsum": _cumulative(tf.cumsum),
    "logsumexp": _reduce(tf.reduce_logsumexp, _float),
    "mean": _reduce(tf.reduce_mean, _float),
    "quantile": _quantile,
    "prod": _prod,
    "std": _std, "var": _variance,
    "sum": _reduce(_reduce_sum, _sum_dtype),
    "segment_sum": _segment(tf.math.unsorted_segment_sum), "segment_prod": _segment(tf.math.unsorted_segment_prod),
    "segment_max": _segment(tf.math.unsorted_segment_max, -math.inf),
    "segment_min": _segment(tf.math.unsorted_segment_min, math.inf),
    # making, shape and index
    "arange": _arange,
    "broadcast_to": tf.broadcast_to,
    "concatenate": lambda xs, axis=0: tf.concat([_flat(x) for x in xs] if axis is None else list(xs), axis or 0),
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
    # linear algebra
    "cholesky": _cholesky, "cholesky_inverse": _cholesky_inverse,
    "det": tf.linalg.det, "slogdet": _slogdet, "inv": tf.linalg.inv,
    "dot": _dot, "matmul": _matmul, "tensordot": _tensordot, "einsum": _einsum, "outer": _outer,
    "eig": _eig, "eigh": _eigh, "qr": _qr, "svd": _svd,
    "lstsq": _lstsq, "lu_factor": _lu_factor, "solve": _solve, "solve_triangular": _solve_triangular,
    # Fourier
    "fft": lambda x: _pair(tf.signal.fft(_complex(x))), "fft2": lambda x: _pair(tf.signal.fft2d(_complex(x))),
    "ifft2": lambda x: _pair(tf.signal.ifft2d(_complex(x))),
    "rfft": lambda x, fft_length=None: _pair(tf.signal.rfft(_float(x), None if fft_length is None else [fft_length])),
    "irfft": lambda x, fft_length=None: tf.signal.irfft(_complex(x), None if fft_length is None else [fft_length]),
    # random
    "_uniform": _draw(tf.random.stateless_uniform), "_normal": _draw(tf.random.stateless_normal),
    "_truncated_normal": _draw(tf.random.stateless_truncated_normal),
    "_randint": _randint, "_gamma": _gamma, "_binomial": _binomial, "_shuffle": _shuffle, "_categorical": _categorical,
}  # fmt: skip
