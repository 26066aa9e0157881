"""Convolution, pooling and normalization on torch's kernels.

The ops' layout is channels last. To torch it is permuted without a copy, which torch recognises as its own
``channels_last`` memory format and keeps in the result. One-dimensional kernels run as two-dimensional ones of
height 1, for which that format exists (2.5 times faster).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends.torch.attention import fused_attention
from nyala.base import config

Ints = Sequence[int]

_CONV = {2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {2: F.conv_transpose2d, 3: F.conv_transpose3d}
_MAX_POOL = {2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOL = {2: F.avg_pool2d, 3: F.avg_pool3d}
_TO_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
_TO_LAST = {3: (0, 2, 1), 4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}
_KERNEL = {3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}  # (*window, in, out) -> (out, in, *window)


def same_padding(size: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding before and after, so that ceil(size / stride) windows fit; the odd one goes after, as in TensorFlow."""
    total = max((-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def _enter(x: Tensor, data_format: str) -> Tensor:
    """``(batch, channels, *space)`` with two or three axes of space."""
    if data_format == "channels_last":
        x = x.permute(_TO_FIRST[x.ndim])
    return x.unsqueeze(2) if x.ndim == 3 else x


def _leave(x: Tensor, data_format: str, rank: int) -> Tensor:
    if rank == 1:
        x = x.squeeze(2)
    return x.permute(_TO_LAST[x.ndim]) if data_format == "channels_last" else x


def _flat(values: Ints, fill: int = 1) -> tuple[int, ...]:
    """One-dimensional settings as two-dimensional ones."""
    return (fill, *values) if len(values) == 1 else tuple(values)


def _padded(
    x: Tensor, pads: Sequence[tuple[int, int]], value: float, symmetric_up_to: Ints | None
) -> tuple[Tensor, Any]:
    """``x`` padded, or the symmetric padding that the kernel itself can do (``symmetric_up_to`` an axis)."""
    if all(a == b for a, b in pads) and (
        symmetric_up_to is None or all(a <= most for (a, _), most in zip(pads, symmetric_up_to))
    ):
        return x, tuple(a for a, _ in pads)
    return F.pad(x, [p for pair in reversed(pads) for p in pair], value=value), (0,) * len(pads)


def _pads(x: Tensor, window: Ints, strides: Ints, dilation: Ints, padding: str) -> list[tuple[int, int]]:
    if padding == "valid":
        return [(0, 0)] * len(window)
    return [same_padding(n, k, s, d) for n, k, s, d in zip(x.shape[2:], window, strides, dilation)]


def _run_conv(
    x: Tensor, weight: Tensor, strides: Ints, padding: str, data_format: str, dilation: Ints, groups: int
) -> Tensor:
    rank = weight.ndim - 2
    x = _enter(x, data_format)
    if rank == 1:
        weight = weight.unsqueeze(2)
    strides, dilation = _flat(strides), _flat(dilation)
    x, pad = _padded(x, _pads(x, weight.shape[2:], strides, dilation, padding), 0.0, None)
    return _leave(_CONV[max(rank, 2)](x, weight, None, strides, pad, dilation, groups), data_format, rank)


def conv(inputs: Tensor, kernel: Tensor, strides: Ints, padding: str, data_format: str, dilation_rate: Ints) -> Tensor:
    channels = inputs.shape[-1 if data_format == "channels_last" else 1]
    weight = kernel.permute(_KERNEL[kernel.ndim])
    groups = channels // kernel.shape[-2]
    return _run_conv(inputs, weight, strides, padding, data_format, dilation_rate, groups)


def depthwise_conv(
    inputs: Tensor, kernel: Tensor, strides: Ints, padding: str, data_format: str, dilation_rate: Ints
) -> Tensor:
    *window, channels, multiplier = kernel.shape
    weight = torch.movedim(kernel, (-2, -1), (0, 1)).reshape(channels * multiplier, 1, *window)
    return _run_conv(inputs, weight, strides, padding, data_format, dilation_rate, channels)


def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Ints,
    padding: str,
    output_padding: Ints | None,
    data_format: str,
    dilation_rate: Ints,
) -> Tensor:
    """The full transposed convolution, of which ``padding`` and ``output_padding`` keep a part.

    https://keras.io/api/layers/convolution_layers/convolution2d_transpose gives the lengths.
    """
    rank = kernel.ndim - 2
    weight = kernel.permute(_KERNEL[kernel.ndim])  # kernel (*window, out, in) -> (in, out, *window)
    x = _enter(inputs, data_format)
    if rank == 1:
        weight = weight.unsqueeze(2)
    strides, dilation = _flat(strides), _flat(dilation_rate)
    extra = None if output_padding is None else _flat(output_padding, 0)
    crops = []
    for i, (n, k, s, d) in enumerate(zip(x.shape[2:], weight.shape[2:], strides, dilation)):
        k = (k - 1) * d + 1
        full = (n - 1) * s + k
        if i == 0 and rank == 1:
            crops.append((0, 0))
            continue
        start, length = transposed_part(n, k, s, padding, None if extra is None else extra[i])
        crops.append((start, full - start - length))
    out = _CONV_TRANSPOSE[max(rank, 2)](x, weight, None, strides, 0, 0, 1, dilation)
    if any(a or b for a, b in crops):
        out = F.pad(out, [-p for pair in reversed(crops) for p in pair])
    return _leave(out, data_format, rank)


def transposed_part(n: int, k: int, s: int, padding: str, extra: int | None) -> tuple[int, int]:
    """Start and length of what is kept of a full transposed convolution (window ``k``, dilation included)."""
    if padding == "valid":
        return 0, n * s + max(k - s, 0) if extra is None else (n - 1) * s + k + extra
    if extra is None:
        return max(k - s, 0) // 2, n * s
    cut = 2 * (k // 2) - extra
    return max(cut, 0) // 2, (n - 1) * s + k - cut


def _pool(kernels: dict[int, Callable[..., Tensor]], fill: float, **options: Any) -> Callable[..., Tensor]:
    def call(inputs: Tensor, pool_size: Ints, strides: Ints, padding: str, data_format: str) -> Tensor:
        rank = len(pool_size)
        window, strides = _flat(pool_size), _flat(strides)
        x = _enter(inputs, data_format)
        pads = _pads(x, window, strides, (1,) * len(window), padding)
        padded, pad = _padded(x, pads, fill, [k // 2 for k in window])
        kernel = kernels[len(window)]
        out = kernel(padded, window, strides, pad, **options)
        if padded is not x and options:
            # The zeros of an uneven padding were counted: divide by the share of a window that was inside.
            inside = F.pad(x.new_ones((1, 1, *x.shape[2:])), [p for pair in reversed(pads) for p in pair])
            out = out / kernel(inside, window, strides)
        return _leave(out, data_format, rank)

    return call


max_pool = _pool(_MAX_POOL, -math.inf)
average_pool = _pool(_AVERAGE_POOL, 0.0, count_include_pad=False)


def _max_pool(inputs: Tensor, pool_size: Ints, strides: Ints, padding: str, data_format: str) -> Tensor:
    if inputs.is_floating_point():
        return max_pool(inputs, pool_size, strides, padding, data_format)
    wide = inputs.to(torch.float64)
    return max_pool(wide, pool_size, strides, padding, data_format).to(inputs.dtype)


def _average_pool(inputs: Tensor, pool_size: Ints, strides: Ints, padding: str, data_format: str) -> Tensor:
    if not inputs.is_floating_point():
        inputs = inputs.float()
    if inputs.dtype in (torch.float16, torch.bfloat16) and len(pool_size) == 3 and inputs.device.type == "cpu":
        # torch has no such kernel: "avg_pool3d_out_frame" not implemented for 'Half', 'BFloat16'.
        return average_pool(inputs.float(), pool_size, strides, padding, data_format).to(inputs.dtype)
    return average_pool(inputs, pool_size, strides, padding, data_format)


# -- products with a bias ----------------------------------------------------------------------------------------------


def affine(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    if kernel.ndim != 2 or bias.ndim != 1 or not x.is_floating_point():
        return x @ kernel + bias
    return F.linear(x, kernel.t(), bias)


@functools.lru_cache(maxsize=512)
def _contracted(equation: str) -> int:
    """How many axes, the last of x and the first of the kernel, "abc,cde->abde" sums over; 0 for other equations."""
    left, out = equation.replace(" ", "").split("->")
    x, kernel = left.split(",")
    counts = (n for n in range(1, len(kernel)) if x.endswith(kernel[:n]) and out == x[:-n] + kernel[n:])
    return next(counts, 0)


def einsum_affine(x: Tensor, kernel: Tensor, bias: Tensor, equation: str) -> Tensor:
    n = _contracted(equation)
    if not n or bias.shape != kernel.shape[n:] or not x.is_floating_point():
        return torch.einsum(equation, x, kernel) + bias
    y = F.linear(x.flatten(-n), kernel.flatten(n).flatten(0, n - 1).t(), bias.flatten())
    return y.unflatten(-1, bias.shape)


# -- normalization -----------------------------------------------------------------------------------------------------


def _at_end(x: Tensor, axis: Any) -> tuple[Tensor, tuple[int, ...], Callable[[Tensor], Tensor]]:
    """``x`` with the axes moved to the end, their shape, and the way back."""
    axes = sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    last = list(range(x.ndim - len(axes), x.ndim))
    shape = tuple(x.shape[a] for a in axes)
    if axes == last:
        return x, shape, lambda out: out
    return torch.movedim(x, axes, last), shape, lambda out: torch.movedim(out, last, axes)


def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    axis %= x.ndim
    kind = x.dtype
    if kind in (torch.float16, torch.bfloat16):
        x, mean, variance = x.float(), mean.float(), variance.float()
    constant = not (torch.is_grad_enabled() and (mean.requires_grad or variance.requires_grad))
    if constant and x.ndim >= 2:
        # torch's kernel takes the statistics as constants.
        scale, offset = (None if v is None else v.to(mean.dtype) for v in (scale, offset))
        out = F.batch_norm(torch.movedim(x, axis, 1), mean, variance, scale, offset, False, 0.0, epsilon)
        return torch.movedim(out, 1, axis).to(kind)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    factor = torch.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    shift = -mean * factor if offset is None else offset - mean * factor
    out = torch.addcmul(shift.reshape(shape), x, factor.reshape(shape))
    return out.to(kind)


def layer_normalization(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    x, shape, back = _at_end(x, axis)
    gamma, beta = (None if w is None else w.reshape(shape) for w in (gamma, beta))
    return back(F.layer_norm(x, shape, gamma, beta, config.epsilon() if epsilon is None else epsilon))


def rms_normalization(x: Tensor, scale: Tensor | None = None, axis: Any = -1, epsilon: float | None = None) -> Tensor:
    x, shape, back = _at_end(x, axis)
    scale = None if scale is None else scale.reshape(shape)
    return back(F.rms_norm(x, shape, scale, config.epsilon() if epsilon is None else epsilon))


natives: dict[str, Callable[..., Any]] = {
    "_conv": conv, "_depthwise_conv": depthwise_conv, "_conv_transpose": conv_transpose, "_max_pool": _max_pool,
    "_average_pool": _average_pool, "batch_normalization": batch_normalization,
    "layer_normalization": layer_normalization, "rms_normalization": rms_normalization,
    "_fused_attention": fused_attention, "affine": affine, "einsum_affine": einsum_affine,
}  # fmt: skip
