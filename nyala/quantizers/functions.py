"""Numbers in few bits: what is stored (ints with a scale, two 4-bit ints in a byte, float8) and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check

_INT8 = (-127, 127)


def abs_max_quantize(
    inputs: TensorLike,
    axis: int | Sequence[int],
    value_range: tuple[int, int] = _INT8,
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor]:
    """``(q, scale)`` with q = round(x * scale), scale = value_range[1] / max(abs(x)) along ``axis``, which stays with size 1.

    Args:
        value_range: least and largest int. dtype: of q. epsilon: added to the largest magnitude.
        to_numpy: compute on the host, for weights that a device should not hold twice.
    """
    axis = (axis,) if check.is_int(axis) else tuple(axis)  # type: ignore[arg-type]
    if to_numpy:
        x: Any = np.asarray(ops.convert_to_numpy(inputs))
        wide = x.astype("float32")
        scale = value_range[1] / (np.max(np.abs(wide), axis, keepdims=True) + np.float32(epsilon))
        q = np.clip(np.round(wide * scale), *value_range).astype(dtypes.numpy_dtype(dtype))
        return ops.convert_to_tensor(q), ops.convert_to_tensor(scale.astype(x.dtype))
    x = ops.convert_to_tensor(inputs)
    wide = ops.cast(x, "float32")
    scale = ops.divide(value_range[1], ops.add(ops.max(ops.abs(wide), axis, keepdims=True), epsilon))
    q = ops.clip(ops.round(ops.multiply(wide, scale)), *value_range)
    return ops.cast(q, dtype), ops.cast(scale, ops.dtype(x))


def abs_max_quantize_grouped_with_zero_point(
    inputs: TensorLike,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """``(q, scale, zero)`` of a matrix: each block of rows of each column has a scale and an int that stands for 0.

    q = clip(round(x / scale) + zero), scale = (max - min + epsilon) / (number of ints - 1)

    Args:
        block_size: rows in a block; the last is filled with zeros. epsilon: added to the range of a block.
        others: see ``abs_max_quantize``.

    Shapes: (n, m) -> q (n, m), scale and zero (ceil(n / block_size), m).
    """
    who = "abs_max_quantize_grouped_with_zero_point"
    check.positive_int(who, "block_size", block_size)
    x: Any = ops.convert_to_numpy(inputs) if to_numpy else ops.convert_to_tensor(inputs)
    if len(x.shape) != 2:
        check.fail(who, f"takes a matrix, got the shape {tuple(x.shape)}; reshape it first")
    if not to_numpy:
        block_size = min(block_size, x.shape[0])
    q, scale, zero = in_blocks(np if to_numpy else ops, x, block_size, value_range, epsilon, widen=not to_numpy)
    return ops.cast(q, dtype), ops.convert_to_tensor(scale), ops.cast(zero, "int8")


def in_blocks(
    xp: Any, x: Any, block_size: int, value_range: tuple[int, int] = (-8, 7), epsilon: float = 1e-7, widen: bool = False
) -> tuple[Any, Any, Any]:
    """The same with the functions of ``xp`` (NumPy or ops), all as floats. ``widen``: a constant block gets a range."""
    n, m = x.shape
    blocks = -(-n // block_size)
    least, largest = value_range
    x = xp.reshape(xp.pad(x, [[0, blocks * block_size - n], [0, 0]]), (blocks, block_size, m))
    low, high = xp.min(x, axis=1, keepdims=True), xp.max(x, axis=1, keepdims=True)
    if widen:
        same = ops.cast(ops.equal(low, high), ops.dtype(low))
        low, high = ops.subtract(low, same), ops.add(high, same)
    scale = xp.divide(xp.add(xp.subtract(high, low), epsilon), float(largest - least))
    zero = xp.clip(xp.round(xp.subtract(float(least), xp.divide(low, scale))), least, largest)
    q = xp.clip(xp.add(xp.round(xp.divide(x, scale)), zero), least, largest)
    return xp.reshape(q, (-1, m))[:n], scale[:, 0], zero[:, 0]


def pack_int4(arr: TensorLike, axis: int = 0, dtype: str = "int8") -> tuple[Tensor, tuple[int, ...], int]:
    """``(packed, its shape, length of axis)``: two 4-bit ints in a byte along ``axis``, the first in the low half.

    Raises: TypeError for an array that is not of ``dtype``, ValueError for a dtype other than int8 and uint8.
    """
    _is_byte("pack_int4", dtype)
    arr = ops.convert_to_tensor(arr)
    if ops.dtype(arr) != dtype:
        check.fail("pack_int4", f"expected an array of {dtype}, got {ops.dtype(arr)}", TypeError)
    n = arr.shape[axis]
    wide = ops.moveaxis(ops.bitwise_and(ops.cast(arr, "int32"), 15), axis, 0)
    if n % 2:
        wide = ops.pad(wide, [[0, 1], *[[0, 0]] * (len(wide.shape) - 1)])
    byte = ops.bitwise_or(wide[::2], ops.left_shift(wide[1::2], 4))
    if dtype == "int8":
        byte = ops.where(ops.greater(byte, 127), ops.subtract(byte, 256), byte)
    packed = ops.moveaxis(ops.cast(byte, dtype), 0, axis)
    return packed, tuple(packed.shape), n


def unpack_int4(packed: TensorLike, orig_len: int, axis: int = 0, dtype: str = "int8") -> Tensor:
    """What ``pack_int4`` packed; ``orig_len``: the length that ``axis`` had."""
    _is_byte("unpack_int4", dtype)
    packed = ops.convert_to_tensor(packed)
    if ops.dtype(packed) not in ("int8", "uint8"):
        check.fail("unpack_int4", f"expected bytes (int8 or uint8), got {ops.dtype(packed)}", TypeError)
    wide = ops.moveaxis(ops.bitwise_and(ops.cast(packed, "int32"), 255), axis, 0)
    pairs = ops.stack([ops.bitwise_and(wide, 15), ops.right_shift(wide, 4)], axis=1)
    if dtype == "int8":
        pairs = ops.where(ops.greater(pairs, 7), ops.subtract(pairs, 16), pairs)
    flat = ops.reshape(pairs, (2 * wide.shape[0], *wide.shape[1:]))[:orig_len]
    return ops.cast(ops.moveaxis(flat, 0, axis), dtype)


def _is_byte(who: str, dtype: str) -> None:
    if dtype not in ("int8", "uint8"):
        check.fail(who, f"dtype must be 'int8' or 'uint8', got {dtype!r}")


# -- float8 --------------------------------------------------------------------------------------------------------------


def compute_float8_scale(amax: TensorLike, scale: TensorLike, dtype_max: float, margin: int = 0) -> Tensor:
    """The step that lets ``amax`` just fit: amax / dtype_max * 2^margin; ``scale`` where amax is 0 or not finite.

    Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433
    """
    amax, scale = ops.convert_to_tensor(amax), ops.convert_to_tensor(scale)
    factor = ops.divide(ops.divide(dtype_max, amax), 2**margin)
    usable = ops.logical_and(ops.greater(amax, 0.0), ops.isfinite(amax))
    return ops.reciprocal(ops.where(usable, factor, ops.reciprocal(scale)))


def compute_float8_amax_history(x: TensorLike, amax_history: TensorLike) -> Tensor:
    """The history moved on by one: the largest magnitude of ``x`` in front, the oldest overwritten."""
    history = ops.convert_to_tensor(amax_history)
    amax = ops.cast(ops.max(ops.abs(x)), ops.dtype(history))
    return ops.concatenate([ops.reshape(amax, (1,)), ops.roll(history, -1)[1:]], axis=0)


def quantize_and_dequantize(inputs: TensorLike, scale: TensorLike, quantized_dtype: str, compute_dtype: str) -> Tensor:
    """The nearest values to ``inputs`` that ``quantized_dtype`` (a float8) holds in units of ``scale``."""
    name = dtypes.standardize(quantized_dtype)
    if name not in FLOAT8_MAX:
        check.fail("quantize_and_dequantize", f"quantized_dtype must be one of {', '.join(FLOAT8_MAX)}, got {name!r}")
    largest = FLOAT8_MAX[name]
    scale = ops.cast(scale, compute_dtype)
    inputs = ops.cast(inputs, compute_dtype)
    q = ops.cast(ops.clip(ops.divide(inputs, scale), -largest, largest), name)
    return ops.multiply(ops.cast(q, compute_dtype), scale)


FLOAT8_MAX = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}
"""The largest number of each float8."""


# -- training on few bits ------------------------------------------------------------------------------------------------


def fake_quant_with_min_max_vars(
    inputs: TensorLike,
    min_vals: TensorLike,
    max_vals: TensorLike,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """``inputs`` rounded to 2^num_bits steps from ``min_vals`` to ``max_vals``, shifted a little so that 0 is one of them.

    Gradients pass inside the range; what is below goes to ``min_vals``, what is above to ``max_vals``.
    Jacob et al. 2017, https://arxiv.org/abs/1712.05877

    Args:
        min_vals, max_vals: scalars; with ``axis`` one for each of its indices.
        narrow_range: whether the least of the steps is left out.
    """
    if not (check.is_int(num_bits) and 1 <= num_bits <= 16):
        check.fail("fake_quant_with_min_max_vars", f"num_bits must be an int from 1 to 16, got {num_bits!r}")
    inputs = ops.convert_to_tensor(inputs)
    kind = ops.dtype(inputs)
    wide = inputs if dtypes.is_float(kind) else ops.cast(inputs, "float32")
    low, high = (ops.cast(ops.convert_to_tensor(v), ops.dtype(wide)) for v in (min_vals, max_vals))
    shape = [1] * len(wide.shape)
    if axis is not None:
        shape[axis] = -1
    first, last = float(narrow_range), float(2**num_bits - 1)
    others = tuple(i for i in range(len(shape)) if shape[i] == 1)

    @ops.custom_gradient
    def rounded(x: Tensor, low: Tensor, high: Tensor) -> Any:
        least, most = (ops.reshape(v, shape) for v in (low, high))
        step = ops.divide(ops.subtract(most, least), last - first)
        zero = ops.clip(ops.round(ops.subtract(first, ops.divide_no_nan(least, step))), first, last)
        start, end = ops.multiply(ops.subtract(first, zero), step), ops.multiply(ops.subtract(last, zero), step)
        steps = ops.floor(ops.add(ops.divide_no_nan(ops.subtract(ops.clip(x, start, end), start), step), 0.5))
        below, above = ops.less(x, start), ops.greater(x, end)

        def gradient(dy: Tensor) -> Any:
            sums = [
                ops.reshape(ops.sum(ops.where(where, dy, 0.0), others), tuple(v.shape))
                for where, v in ((below, low), (above, high))
            ]
            return ops.where(ops.logical_or(below, above), 0.0, dy), *sums

        return ops.add(ops.multiply(steps, step), start), gradient

    return ops.cast(rounded(wide, low, high), kind)
