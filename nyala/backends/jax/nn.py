"""Convolution and pooling on JAX."""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from nyala.backends.jax.attention import fused_attention

Ints = tuple[int, ...]


def _last(x: Array, data_format: str) -> Array:
    """Channels last, as every kernel here wants them."""
    return jnp.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def _back(x: Array, data_format: str) -> Array:
    return jnp.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def _numbers(rank: int) -> tuple[str, str, str]:
    axes = "DHW"[3 - rank :]
    return f"N{axes}C", f"{axes}IO", f"N{axes}C"


def _pads(shape: Sequence[int], window: Ints, strides: Ints, padding: str) -> list[tuple[int, int]]:
    if padding == "valid":
        return [(0, 0)] * len(window)
    totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(shape, window, strides)]
    return [(t // 2, t - t // 2) for t in totals]


def _lax_conv(x: Array, k: Array, strides: Ints, pads: Any, dilation: Ints, groups: int = 1) -> Array:
    return lax.conv_general_dilated(
        x, k, strides, pads, None, dilation, _numbers(len(strides)), feature_group_count=groups
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _plain_conv(x: Array, k: Array, strides: Ints, pads: Any, dilation: Ints) -> Array:
    """A convolution whose weight gradient is one in NHWC and HWIO, too: XLA:CPU is slow with other layouts in a loop."""
    return _lax_conv(x, k, strides, pads, dilation)


def _conv_forward(x: Array, k: Array, strides: Ints, pads: Any, dilation: Ints) -> Any:
    return _lax_conv(x, k, strides, pads, dilation), (x, k)


def _conv_backward(strides: Ints, pads: Any, dilation: Ints, kept: Any, g: Array) -> tuple[Array, Array]:
    x, k = kept
    (dx,) = jax.vjp(lambda v: _lax_conv(v, k, strides, pads, dilation), x)[1](g)
    # dk[i, c, o] = sum over batch and places p of x[p s + i d, c] g[p, o]: batch and channels change their roles.
    window = k.shape[:-2]
    ends = [
        (low, (m - 1) * s + (w - 1) * d + 1 - n - low)
        for n, m, w, s, d, (low, _) in zip(x.shape[1:-1], g.shape[1:-1], window, strides, dilation, pads)
    ]
    dk = _lax_conv(jnp.swapaxes(x, 0, -1), jnp.moveaxis(g, 0, -2), dilation, ends, strides)
    return dx, jnp.moveaxis(dk, 0, -2)


_plain_conv.defvjp(_conv_forward, _conv_backward)


def _conv(x: Array, kernel: Array, strides: Ints, padding: str, data_format: str, dilation_rate: Ints) -> Array:
    x = _last(x, data_format)
    window = tuple((w - 1) * d + 1 for w, d in zip(kernel.shape[:-2], dilation_rate))
    pads = tuple(_pads(x.shape[1:-1], window, strides, padding))
    groups = x.shape[-1] // kernel.shape[-2]
    if groups == 1:
        out = _plain_conv(x, kernel, strides, pads, dilation_rate)
    else:
        out = _lax_conv(x, kernel, strides, pads, dilation_rate, groups)
    return _back(out, data_format)


def _depthwise_conv(
    x: Array, kernel: Array, strides: Ints, padding: str, data_format: str, dilation_rate: Ints
) -> Array:
    x = _last(x, data_format)
    *window, channels, multiplier = kernel.shape
    wide = tuple((w - 1) * d + 1 for w, d in zip(window, dilation_rate))
    pads = _pads(x.shape[1:-1], wide, strides, padding)
    kernel = kernel.reshape(*window, 1, channels * multiplier)
    return _back(_lax_conv(x, kernel, strides, pads, dilation_rate, channels), data_format)


def _conv_transpose(
    x: Array,
    kernel: Array,
    strides: Ints,
    padding: str,
    output_padding: Ints | None,
    data_format: str,
    dilation_rate: Ints,
) -> Array:
    x = _last(x, data_format)
    pads = []
    for i, s in enumerate(strides):
        w = (kernel.shape[i] - 1) * dilation_rate[i] + 1
        # What "same" or a stride longer than the window cuts off both ends, the smaller half in front.
        if output_padding is not None:
            cut = (0 if padding == "valid" else 2 * (w // 2)) - output_padding[i]
        else:
            cut = min(w - s, 0) if padding == "valid" else w - s
        low = w - 1 - max(cut, 0) // 2
        pads.append((low, 2 * (w - 1) - cut - low))
    flipped = jnp.swapaxes(jnp.flip(kernel, range(len(strides))), -1, -2)
    out = lax.conv_general_dilated(
        x, flipped, (1,) * len(strides), pads, strides, dilation_rate, _numbers(len(strides))
    )
    return _back(out, data_format)


# -- pooling -----------------------------------------------------------------------------------------------------------


def _lowest(dtype: np.dtype) -> Any:
    if jnp.issubdtype(dtype, jnp.floating):
        return np.array(-np.inf, dtype)
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _slices(x: Array, size: Ints) -> list[Array]:
    """The values at each place of the windows: one strided slice a place."""
    places = itertools.product(*(range(p) for p in size))
    return [x[(slice(None), *(slice(i, None, p) for i, p in zip(at, size)))] for at in places]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _block_max(x: Array, size: Ints) -> Array:
    """The maximum of windows that tile ``x``, as one of strided slices: on a CPU much faster than ``reduce_window``."""
    return functools.reduce(jnp.maximum, _slices(x, size))


def _block_max_forward(x: Array, size: Ints) -> tuple[Array, Any]:
    out = _block_max(x, size)
    return out, (x, out)


def _block_max_backward(size: Ints, kept: Any, g: Array) -> tuple[Array]:
    x, out = kept
    taken = jnp.zeros(out.shape, bool)
    parts = []
    for part in _slices(x, size):
        first = (part == out) & ~taken
        taken |= first
        parts.append(jnp.where(first, g, 0))
    n, *inner, c = out.shape
    stacked = jnp.stack(parts, 0).reshape(*size, n, *inner, c)
    rank = len(size)
    order = [rank, *itertools.chain(*((rank + 1 + i, i) for i in range(rank))), 2 * rank + 1]
    return (stacked.transpose(order).reshape(x.shape),)


_block_max.defvjp(_block_max_forward, _block_max_backward)


def _tiled(x: Array, size: Ints, strides: Ints, padding: str) -> bool:
    return size == strides and (padding == "valid" or all(n % p == 0 for n, p in zip(x.shape[1:-1], size)))


def _cropped(x: Array, size: Ints) -> Array:
    """Without the rest that fills no window."""
    return x[(slice(None), *(slice(n // p * p) for n, p in zip(x.shape[1:-1], size)))]


def _max_pool(x: Array, pool_size: Ints, strides: Ints, padding: str, data_format: str) -> Array:
    x = _last(x, data_format)
    if _tiled(x, pool_size, strides, padding):
        return _back(_block_max(_cropped(x, pool_size), pool_size), data_format)
    pads = [(0, 0), *_pads(x.shape[1:-1], pool_size, strides, padding), (0, 0)]
    out = lax.reduce_window(x, _lowest(x.dtype), lax.max, (1, *pool_size, 1), (1, *strides, 1), pads)
    return _back(out, data_format)


def _average_pool(x: Array, pool_size: Ints, strides: Ints, padding: str, data_format: str) -> Array:
    x = _last(x, data_format)
    if _tiled(x, pool_size, strides, padding):
        x = _cropped(x, pool_size)
        split = itertools.chain(*((n // p, p) for n, p in zip(x.shape[1:-1], pool_size)))
        axes = tuple(2 + 2 * i for i in range(len(pool_size)))
        return _back(x.reshape(x.shape[0], *split, x.shape[-1]).mean(axes), data_format)
    pads = [(0, 0), *_pads(x.shape[1:-1], pool_size, strides, padding), (0, 0)]

    def summed(v: Any) -> Array:
        return lax.reduce_window(v, np.zeros((), x.dtype), lax.add, (1, *pool_size, 1), (1, *strides, 1), pads)

    if padding == "valid":
        count: Any = math.prod(pool_size)
    else:
        count = summed(jnp.ones((1, *x.shape[1:-1], 1), x.dtype))
    return _back(summed(x) / count, data_format)


NN: dict[str, Callable[..., Any]] = {
    "_fused_attention": fused_attention,
    "_conv": _conv,
    "_depthwise_conv": _depthwise_conv,
    "_conv_transpose": _conv_transpose,
    "_max_pool": _max_pool,
    "_average_pool": _average_pool,
}
