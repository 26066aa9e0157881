"""Reductions on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from nyala._typing import Axis, DType, Tensor
from nyala.backends.tensorflow.arguments import (
    WIDER,
    Native,
    as_float,
    axis_list,
    dims,
    flattened,
    name_of,
    product_of,
    to_dtype,
    to_front,
    via,
)
from nyala.backends.tensorflow.elementwise import maximum, minimum


def _sum_dtype(x: Tensor) -> Tensor:
    """Small integers are added up in 32 bits."""
    if x.dtype.name in ("bool", "int8", "int16"):
        return tf.cast(x, tf.int32)
    return tf.cast(x, tf.uint32) if x.dtype.name in ("uint8", "uint16") else x


def _reduce(fn: Native, before: Native = lambda x: x) -> Native:
    return lambda x, axis=None, keepdims=False: fn(before(x), axis, keepdims)


def _prod(x: Tensor, axis: Axis = None, keepdims: bool = False, dtype: DType = None) -> Tensor:
    return _reduce_prod(_sum_dtype(x) if dtype is None else to_dtype(x, name_of(dtype)), axis, keepdims)


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
        flat = flattened(x) if axis is None else x
        flat = (
            tf.cast(flat, WIDER.get(x.dtype.name, x.dtype.name))
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
    x = as_float(x)
    if x.dtype in (tf.float16, tf.bfloat16):
        return tf.cast(tf.math.reduce_variance(tf.cast(x, tf.float32), axis, keepdims), x.dtype)
    return tf.math.reduce_variance(x, axis, keepdims)


def _std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    return tf.sqrt(_variance(x, axis, keepdims))


def _cumulative(fn: Native) -> Native:
    fn = via(fn, "uint32", "bool")

    def run(x: Tensor, axis: int | None = None, dtype: DType = None) -> Tensor:
        x = to_dtype(x, name_of(dtype)) if dtype is not None else tf.cast(x, tf.int32) if x.dtype == tf.bool else x
        return fn(flattened(x), 0) if axis is None else fn(x, axis)

    return run


def _quantile(x: Tensor, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    x = as_float(x)
    axes = axis_list(x, axis)
    q = tf.cast(q, x.dtype)
    moved, _ = to_front(x, [i for i in range(len(x.shape)) if i not in axes])
    kept = dims(moved)[: len(x.shape) - len(axes)]
    ordered = tf.sort(tf.reshape(moved, (*kept, product_of(dims(moved)[len(kept) :]))), axis=-1)
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


NATIVES: dict[str, Native] = {
    "all": _reduce(tf.reduce_all, lambda x: tf.cast(x, tf.bool)),
    "any": _reduce(tf.reduce_any, lambda x: tf.cast(x, tf.bool)),
    "max": _extremum(tf.reduce_max, tf.reduce_any, maximum), "min": _extremum(tf.reduce_min, tf.reduce_all, minimum),
    "argmax": _arg(tf.argmax, 1), "argmin": _arg(tf.argmin, -1),
    "cumprod": _cumulative(tf.math.cumprod), "cumsum": _cumulative(tf.cumsum),
    "logsumexp": _reduce(tf.reduce_logsumexp, as_float),
    "mean": _reduce(tf.reduce_mean, as_float),
    "quantile": _quantile,
    "prod": _prod,
    "std": _std, "var": _variance,
    "sum": _reduce(_reduce_sum, _sum_dtype),
}  # fmt: skip
