"""Convolution, pooling and patches. Windows slide over the axes between batch and channels, however many there are.

The public functions settle the arguments (a tuple an axis, lower case padding, the layout); the kernels behind them,
whose names begin with an underscore, are the backends'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.base import check, config
from nyala.ops._op import op

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "conv",
    "conv_transpose",
    "depthwise_conv",
    "fold",
    "max_pool",
    "separable_conv",
    "unfold",
]

_Ints = int | Sequence[int]


def _settle(
    who: str, inputs: Tensor, padding: str, data_format: str | None, **windows: _Ints | None
) -> tuple[str, str, list[tuple[int, ...]]]:
    """``padding``, ``data_format`` and each of ``windows`` in their one form, checked."""
    rank = len(inputs.shape) - 2
    if rank < 1:
        check.fail(
            who, f"inputs must have a batch axis, 1 or more spatial axes and channels, got {tuple(inputs.shape)}"
        )
    padding = padding if padding in ("valid", "same") else str(padding).lower()
    check.one_of(who, "padding", padding, ("valid", "same"))
    values = [check.ints(who, name, value, rank) for name, value in windows.items()]
    return padding, config.standardize_data_format(who, data_format), values


def _channels(inputs: Tensor, data_format: str) -> int:
    return inputs.shape[-1] if data_format == "channels_last" else inputs.shape[1]


def _check_kernel(who: str, inputs: Tensor, kernel: Tensor, strides: Any, dilation_rate: Any) -> None:
    if len(kernel.shape) != len(inputs.shape):
        check.fail(
            who,
            f"the kernel must have {len(inputs.shape)} axes (windows, channels in, channels out) for inputs of shape "
            f"{tuple(inputs.shape)}, got {tuple(kernel.shape)}",
        )
    if max(strides) > 1 and max(dilation_rate) > 1:
        check.fail(who, f"strides={strides} and dilation_rate={dilation_rate} cannot both be above 1")


# -- the backends' kernels ---------------------------------------------------------------------------------------------


@op("same")
def _conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation_rate: tuple[int, ...],
) -> Tensor:
    """kernel (*window, channels in / groups, channels out)."""


@op("same")
def _depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: tuple[int, ...],
    padding: str,
    data_format: str,
    dilation_rate: tuple[int, ...],
) -> Tensor:
    """kernel (*window, channels in, multiplier); channel i gives the outputs i * multiplier and on."""


@op("same")
def _conv_transpose(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: tuple[int, ...],
    padding: str,
    output_padding: tuple[int, ...] | None,
    data_format: str,
    dilation_rate: tuple[int, ...],
) -> Tensor:
    """kernel (*window, channels out, channels in)."""


@op
def _max_pool(
    inputs: TensorLike, pool_size: tuple[int, ...], strides: tuple[int, ...], padding: str, data_format: str
) -> Tensor:
    """The largest value of each window; what "same" pads never is."""


@op("float")
def _average_pool(
    inputs: TensorLike, pool_size: tuple[int, ...], strides: tuple[int, ...], padding: str, data_format: str
) -> Tensor:
    """The mean of each window; what "same" pads does not count."""


# -- convolution -------------------------------------------------------------------------------------------------------


@op("same")
def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: _Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = 1,
) -> Tensor:
    """Cross-correlation of ``inputs`` with ``kernel`` over the spatial axes; groups follow from the shapes.

    Shapes: inputs (batch, *spatial, c), kernel (*window, c / groups, filters) -> (batch, *spatial', filters), where
    spatial' is ceil(spatial / strides) for "same", of spatial - dilation_rate * (window - 1) for "valid".

    Raises: ValueError when ranks or channels do not fit, or strides and dilation_rate are both above 1.
    """
    padding, data_format, (strides, dilation_rate) = _settle(
        "conv", inputs, padding, data_format, strides=strides, dilation_rate=dilation_rate
    )
    _check_kernel("conv", inputs, kernel, strides, dilation_rate)
    channels, wanted = _channels(inputs, data_format), kernel.shape[-2]
    if channels % wanted or kernel.shape[-1] % (channels // wanted):
        check.fail(
            "conv",
            f"inputs with {channels} channels ({data_format}, shape {tuple(inputs.shape)}) do not fit a kernel of "
            f"shape {tuple(kernel.shape)}, which takes groups of {wanted}",
        )
    return _conv(inputs, kernel, strides, padding, data_format, dilation_rate)


@op("same")
def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: _Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = 1,
) -> Tensor:
    """Each channel by filters of its own.

    Shapes: inputs (batch, *spatial, c), kernel (*window, c, m) -> (batch, *spatial', c * m).
    """
    padding, data_format, (strides, dilation_rate) = _settle(
        "depthwise_conv", inputs, padding, data_format, strides=strides, dilation_rate=dilation_rate
    )
    _check_kernel("depthwise_conv", inputs, kernel, strides, dilation_rate)
    if _channels(inputs, data_format) != kernel.shape[-2]:
        check.fail(
            "depthwise_conv",
            f"inputs of shape {tuple(inputs.shape)} ({data_format}) do not have the {kernel.shape[-2]} channels of a "
            f"kernel of shape {tuple(kernel.shape)}",
        )
    return _depthwise_conv(inputs, kernel, strides, padding, data_format, dilation_rate)


@op("same")
def separable_conv(
    inputs: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: _Ints = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = 1,
) -> Tensor:
    """A depthwise convolution, then one with a window of 1 that mixes the channels.

    Shapes: inputs (batch, *spatial, c), kernels (*window, c, m) and (1, ..., c * m, filters)
    -> (batch, *spatial', filters).
    """
    x = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(x, pointwise_kernel, 1, "valid", data_format, 1)


@op("same")
def conv_transpose(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: _Ints = 1,
    padding: str = "valid",
    output_padding: _Ints | None = None,
    data_format: str | None = None,
    dilation_rate: _Ints = 1,
) -> Tensor:
    """The gradient of ``conv`` by its inputs: ``strides`` spread the inputs instead of thinning them out.

    Shapes: inputs (batch, *spatial, c), kernel (*window, filters, c) -> (batch, *spatial', filters), where spatial' is
    spatial * strides for "same" and spatial * strides + max(dilation_rate * (window - 1) + 1 - strides, 0) for "valid";
    ``output_padding`` says instead how much longer one side is than the shortest result.
    """
    padding, data_format, (strides, dilation_rate) = _settle(
        "conv_transpose", inputs, padding, data_format, strides=strides, dilation_rate=dilation_rate
    )
    _check_kernel("conv_transpose", inputs, kernel, strides, dilation_rate)
    if _channels(inputs, data_format) != kernel.shape[-1]:
        check.fail(
            "conv_transpose",
            f"inputs of shape {tuple(inputs.shape)} ({data_format}) do not have the {kernel.shape[-1]} channels of a "
            f"kernel of shape {tuple(kernel.shape)}",
        )
    if output_padding is not None:
        output_padding = check.ints("conv_transpose", "output_padding", output_padding, len(strides), allow_zero=True)
        if any(p >= s for p, s in zip(output_padding, strides)):
            check.fail(
                "conv_transpose", f"output_padding={output_padding} must be below strides={strides} on every axis"
            )
    return _conv_transpose(inputs, kernel, strides, padding, output_padding, data_format, dilation_rate)


# -- pooling -----------------------------------------------------------------------------------------------------------


@op
def max_pool(
    inputs: TensorLike,
    pool_size: _Ints,
    strides: _Ints | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The largest value of each window. ``strides=None``: as far as the window is wide.

    Shapes: (batch, *spatial, c) -> (batch, *spatial', c), as ``conv``.
    """
    padding, data_format, (pool_size, strides) = _settle(
        "max_pool", inputs, padding, data_format, pool_size=pool_size, strides=pool_size if strides is None else strides
    )
    return _max_pool(inputs, pool_size, strides, padding, data_format)


@op("float")
def average_pool(
    inputs: TensorLike,
    pool_size: _Ints,
    strides: _Ints | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window; padding does not count. ``strides=None``: as far as the window is wide."""
    padding, data_format, (pool_size, strides) = _settle(
        "average_pool",
        inputs,
        padding,
        data_format,
        pool_size=pool_size,
        strides=pool_size if strides is None else strides,
    )
    return _average_pool(inputs, pool_size, strides, padding, data_format)


@op("float")
def adaptive_average_pool(inputs: TensorLike, output_size: _Ints, data_format: str | None = None) -> Tensor:
    """Means of windows laid so that ``output_size`` come out: the i-th is floor(i n / m) to ceil((i + 1) n / m)."""
    return _adaptive("adaptive_average_pool", inputs, output_size, data_format, _mean_of_windows)


@op
def adaptive_max_pool(inputs: TensorLike, output_size: _Ints, data_format: str | None = None) -> Tensor:
    """Maxima of windows laid so that ``output_size`` come out: the i-th is floor(i n / m) to ceil((i + 1) n / m)."""
    return _adaptive("adaptive_max_pool", inputs, output_size, data_format, _max_of_windows)


def _adaptive(
    who: str,
    x: Tensor,
    output_size: _Ints,
    data_format: str | None,
    pool: Callable[[Tensor, int, np.ndarray, np.ndarray], Tensor],
) -> Tensor:
    _, data_format, (sizes,) = _settle(who, x, "valid", data_format, output_size=output_size)
    first = 1 if data_format == "channels_last" else 2
    # Windows are boxes, so their means and maxima are taken one axis after the other.
    for axis, m in enumerate(sizes, first):
        n = x.shape[axis]
        if n is None:
            check.fail(who, f"axis {axis} of shape {tuple(x.shape)} must be known")
        starts = np.arange(m) * n // m
        lengths = -(-(np.arange(m) + 1) * n // m) - starts
        x = pool(x, axis, starts, lengths)
    return x


def _max_of_windows(x: Tensor, axis: int, starts: np.ndarray, lengths: np.ndarray) -> Tensor:
    # Shorter windows repeat their last index.
    picked = starts[:, None] + np.minimum(np.arange(lengths.max()), lengths[:, None] - 1)
    return ops.max(ops.take(x, picked.astype("int32"), axis=axis), axis=axis + 1)


def _mean_of_windows(x: Tensor, axis: int, starts: np.ndarray, lengths: np.ndarray) -> Tensor:
    place = np.arange(x.shape[axis])
    inside = (place >= starts[:, None]) & (place < (starts + lengths)[:, None])
    weights = ops.convert_to_tensor(inside / lengths[:, None], ops.dtype(x))
    return ops.moveaxis(ops.tensordot(x, weights, axes=[[axis], [1]]), -1, axis)


# -- patches -----------------------------------------------------------------------------------------------------------


def _patches(who: str, size: Sequence[int], kernel_size: _Ints, dilation: _Ints, padding: _Ints, stride: _Ints) -> Any:
    """Window, dilation, padding and stride as pairs, and how many windows fit."""
    window, spread, step = (
        check.ints(who, n, v, 2) for n, v in (("kernel_size", kernel_size), ("dilation", dilation), ("stride", stride))
    )
    pad = check.ints(who, "padding", padding, 2, allow_zero=True)
    fit = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(size, pad, spread, window, step)]
    if min(fit) < 1:
        check.fail(who, f"no window of {window} with dilation {spread} fits into {tuple(size)} with padding {pad}")
    return window, spread, pad, step, fit


@op
def unfold(x: TensorLike, kernel_size: _Ints, dilation: _Ints = 1, padding: _Ints = 0, stride: _Ints = 1) -> Tensor:
    """The windows of images as columns: (batch, c, h, w) -> (batch, c * prod(kernel_size), windows)."""
    if len(x.shape) != 4:
        check.fail("unfold", f"x must be (batch, channels, height, width), got shape {tuple(x.shape)}")
    n, c, height, width = ops.shape(x)
    window, spread, pad, step, fit = _patches("unfold", (height, width), kernel_size, dilation, padding, stride)
    x = ops.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    parts = []
    for at in product(*map(range, window)):
        i, j = (slice(a * d, a * d + (m - 1) * s + 1, s) for a, d, m, s in zip(at, spread, fit, step))
        parts.append(x[:, :, i, j])
    return ops.reshape(ops.stack(parts, axis=2), (n, c * len(parts), fit[0] * fit[1]))


@op
def fold(
    x: TensorLike,
    output_size: _Ints,
    kernel_size: _Ints,
    dilation: _Ints = 1,
    padding: _Ints = 0,
    stride: _Ints = 1,
) -> Tensor:
    """Columns back into images, overlaps summed: (batch, c * prod(kernel_size), windows) -> (batch, c, h, w)."""
    size = check.ints("fold", "output_size", output_size, 2)
    window, spread, pad, step, fit = _patches("fold", size, kernel_size, dilation, padding, stride)
    n, depth, columns = ops.shape(x)
    if columns != fit[0] * fit[1] or depth % (window[0] * window[1]):
        check.fail(
            "fold",
            f"x must be (batch, channels * {window[0] * window[1]}, {fit[0] * fit[1]}), got shape {tuple(x.shape)}",
        )
    x = ops.reshape(x, (n, depth // (window[0] * window[1]), window[0] * window[1], *fit))
    total: Any = 0
    for k, at in enumerate(product(*map(range, window))):
        part = x[:, :, k]
        for axis, (a, d, m, s, p, length) in enumerate(zip(at, spread, fit, step, pad, size), 2):
            part = _spread(part, axis, s)
            before = a * d
            after = length + 2 * p - before - ((m - 1) * s + 1)
            part = ops.pad(part, [(before, after) if i == axis else (0, 0) for i in range(4)])
        total = part + total
    return total[:, :, pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]]


def _spread(x: Tensor, axis: int, step: int) -> Tensor:
    """``step - 1`` zeros between neighbours along ``axis``."""
    if step == 1:
        return x
    shape = list(ops.shape(x))
    x = ops.expand_dims(x, axis + 1)
    x = ops.pad(x, [(0, step - 1) if i == axis + 1 else (0, 0) for i in range(len(shape) + 1)])
    shape[axis] *= step
    x = ops.reshape(x, shape)
    return x[(slice(None),) * axis + (slice(0, shape[axis] - step + 1),)]
