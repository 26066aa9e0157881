"""What the adapters of TensorFlow's functions share: dtypes, shapes, axes."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from nyala._typing import Axis, DType, Tensor
from nyala.backends import dtypes
from nyala.base import config

Native = Callable[..., Any]


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


def name_of(dtype: DType, default: str | None = None) -> str:
    return default if dtype is None and default is not None else dtypes.standardize(dtype)


def is_int(x: Tensor) -> bool:
    return x.dtype.is_integer or x.dtype == tf.bool


def as_float(x: Tensor) -> Tensor:
    """Integers and booleans become floats as ``float`` ops have them."""
    return tf.cast(x, config.floatx()) if is_int(x) else x


def floating(fn: Native) -> Native:
    """``fn`` for floats; integers are converted first."""
    return lambda x, *args, **kwargs: fn(as_float(x), *args, **kwargs)


WIDER = {"uint8": "int32", "int8": "int32", "uint16": "int32", "int16": "int32", "uint32": "int64", "bool": "int32",
          "uint64": "int64", "float16": "float32", "bfloat16": "float32"}  # fmt: skip


def via(fn: Native, *narrow: str, n: int = 1) -> Native:
    """Compute in a wider dtype where TF has no kernel for a ``narrow`` one; ``n`` leading arguments are tensors."""
    names = frozenset(narrow)

    def run(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        name = x.dtype.name
        if name not in names:
            return fn(x, *args, **kwargs)
        wide = WIDER[name]
        rest = [to_dtype(a, wide) if isinstance(a, tf.Tensor) else a for a in args[: n - 1]]
        return to_dtype(fn(tf.cast(x, wide), *rest, *args[n - 1 :], **kwargs), name)

    return run


def dims(x: Tensor) -> list[Any]:
    """The shape: ints where they are known, else scalar tensors."""
    static = x.shape.as_list()
    if None not in static:
        return static
    dynamic = tf.shape(x)
    return [dynamic[i] if n is None else n for i, n in enumerate(static)]


def axis_list(x: Tensor, axis: Axis) -> list[int]:
    rank = len(x.shape)
    if axis is None:
        return list(range(rank))
    return [a % rank if rank else a for a in ((axis,) if isinstance(axis, int) else axis)]


def product_of(sizes: Any) -> Any:
    sizes = list(sizes)
    if all(isinstance(n, int) for n in sizes):
        return math.prod(sizes)
    return tf.reduce_prod(tf.stack([tf.convert_to_tensor(n) for n in sizes]))


def flattened(x: Tensor) -> Tensor:
    return tf.reshape(x, (-1,))


def to_front(x: Tensor, axes: list[int]) -> tuple[Tensor, list[int]]:
    """``axes`` moved to the front, and the permutation that brings them back."""
    perm = [*axes, *(i for i in range(len(x.shape)) if i not in axes)]
    return tf.transpose(x, perm), [perm.index(i) for i in range(len(perm))]
