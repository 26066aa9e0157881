"""Elementwise ops on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

from typing import Any

import tensorflow as tf

from nyala._typing import DType, Tensor
from nyala.backends.tensorflow.arguments import (
    Native,
    dims,
    floating,
    is_int,
    name_of,
    product_of,
    to_dtype,
    via,
)
from nyala.base import tree


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
    if is_int(x):
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
    target = tf.as_dtype(name_of(dtype, x.dtype.name))
    old, new = x.dtype.size, target.size
    if old == new:
        return tf.bitcast(x, target)
    if old > new:
        parts = tf.bitcast(x, target)
        return tf.reshape(parts, (*dims(parts)[:-2], product_of(dims(parts)[-2:])))
    return tf.bitcast(tf.reshape(x, (*dims(x)[:-1], -1, new // old)), target)


def _shift(fn: Native) -> Native:
    return lambda x, y: fn(x, tf.cast(y, x.dtype) if isinstance(y, tf.Tensor) else tf.constant(y, x.dtype))


maximum = via(_on_bool(tf.maximum, tf.logical_or), "uint32", n=2)
minimum = via(_on_bool(tf.minimum, tf.logical_and), "uint32", n=2)


def _stop_gradient(variable: Any) -> Any:
    return tree.map(lambda v: tf.stop_gradient(v), variable)


NATIVES: dict[str, Native] = {
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
}  # fmt: skip
