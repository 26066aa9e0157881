"""Fourier transforms, windows and correlation."""

# pyright: reportReturnType=false
# (a body that is only a docstring stands for the native of the backend)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala import backends
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.ops._op import op
from nyala.ops.core import cast, convert_to_tensor
from nyala.ops.core import dtype as dtype_of
from nyala.ops.elementwise import cos, divide, i0, maximum, multiply, sqrt, square, subtract
from nyala.ops.index import extract_sequences
from nyala.ops.reduce import segment_sum, sum
from nyala.ops.shapes import arange, broadcast_to, expand_dims, flip, pad, reshape

# A complex tensor is given and returned as the pair of its real and imaginary part.


@op("float")
def fft(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform of the last axis of ``(real, imaginary)``."""


@op("float")
def fft2(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform of the last two axes of ``(real, imaginary)``."""


@op("float")
def ifft2(x: Sequence[TensorLike]) -> tuple[Tensor, Tensor]:
    """The inverse of ``fft2``."""


@op("float")
def rfft(x: TensorLike, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The transform of a real last axis of length n, cut or padded to ``fft_length``: n // 2 + 1 frequencies."""


@op("float")
def irfft(x: Sequence[TensorLike], fft_length: int | None = None) -> Tensor:
    """The inverse of ``rfft``; ``fft_length``: of the result."""


def stft(
    x: TensorLike,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """``rfft`` of overlapping windows of the last axis: (..., n) -> twice (..., windows, fft_length // 2 + 1).

    Args:
        sequence_length, sequence_stride: length of a window and distance of two, in samples.
        fft_length: at least ``sequence_length``; a window is padded to it on both sides.
        window: ``"hann"``, ``"hamming"``, a vector, or ``None`` for a rectangle.
        center: whether the first window is centred on the first sample, the signal being mirrored there.
    """
    x = convert_to_tensor(x)
    check.positive_int("stft", "sequence_length", sequence_length)
    if fft_length < sequence_length:
        check.fail("stft", f"fft_length must be at least sequence_length={sequence_length}, got {fft_length}")
    if center:
        pads = [[0, 0]] * (len(x.shape) - 1) + [[fft_length // 2, fft_length // 2]]
        x = pad(x, pads, "reflect")
    frames = extract_sequences(x, fft_length, sequence_stride)
    shape_of = _window(window, sequence_length, fft_length, dtype_of(x))
    return rfft(frames if shape_of is None else multiply(frames, shape_of), fft_length)


def _window(window: Any, length: int, fft_length: int, dtype: str) -> Tensor | None:
    if window is None:
        values = np.ones(length)
    elif isinstance(window, str):
        check.one_of("stft", "window", window, ("hann", "hamming"))
        turn = 2 * np.pi * np.arange(length) / length
        values = 0.5 - 0.5 * np.cos(turn) if window == "hann" else 0.54 - 0.46 * np.cos(turn)
    else:
        values = np.asarray(window)
        if values.shape != (length,):
            check.fail("stft", f"window must have shape ({length},), got {values.shape}")
    left = (fft_length - length) // 2
    return convert_to_tensor(np.pad(values, (left, fft_length - length - left)), dtype)


def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The inverse of ``stft``, by overlapping and adding; ``length``: of the result."""
    frames = irfft(x, fft_length)
    dtype = dtype_of(frames)
    shape_of = _window(window, sequence_length, fft_length, dtype)
    assert shape_of is not None
    signal = _overlap_add(multiply(frames, shape_of), sequence_stride)
    weight = _overlap_add(broadcast_to(square(shape_of), (frames.shape[-2], fft_length)), sequence_stride)
    if window is not None:
        signal = divide(signal, maximum(weight, 1e-11))
    start = fft_length // 2 if center else 0
    stop = start + length if length is not None else (signal.shape[-1] - start if center else None)
    return signal[..., start:stop]


def _overlap_add(frames: Tensor, stride: int) -> Tensor:
    count, width = frames.shape[-2:]
    total = (count - 1) * stride + width
    places = expand_dims(arange(count, dtype="int32") * stride, 1) + expand_dims(arange(width, dtype="int32"), 0)
    lead = frames.shape[:-2]
    flat = reshape(frames, (-1, count * width))
    from nyala.ops.shapes import transpose

    added = segment_sum(transpose(flat), reshape(places, (-1,)), total)
    return reshape(transpose(added), (*lead, total))


# -- windows -----------------------------------------------------------------------------------------------------------


def _cosine(x: TensorLike, *weights: float) -> Tensor:
    """``sum_k w_k cos(2 pi k i / (n - 1))`` for i in range(n)."""
    n = int(x)
    if n <= 1:
        return cast(arange(max(n, 0), dtype="int32") * 0 + 1, dtypes.standardize(None))
    turn = arange(n, dtype=dtypes.standardize(None)) * (2 * math.pi / (n - 1))
    out = turn * 0 + weights[0]
    for k, w in enumerate(weights[1:], 1):
        out = out + cos(turn * k) * w
    return out


def bartlett(x: TensorLike) -> Tensor:
    """The triangular window of ``x`` points."""
    n = int(x)
    if n <= 1:
        return _cosine(n, 1.0)
    place = arange(n, dtype=dtypes.standardize(None)) * (2.0 / (n - 1))
    from nyala.ops.elementwise import absolute

    return subtract(1.0, absolute(place - 1.0))


def blackman(x: TensorLike) -> Tensor:
    """Blackman's window of ``x`` points: 0.42 - 0.5 cos t + 0.08 cos 2t."""
    return _cosine(x, 0.42, -0.5, 0.08)


def hamming(x: TensorLike) -> Tensor:
    """Hamming's window of ``x`` points: 0.54 - 0.46 cos t."""
    return _cosine(x, 0.54, -0.46)


def hanning(x: TensorLike) -> Tensor:
    """Von Hann's window of ``x`` points: 0.5 - 0.5 cos t."""
    return _cosine(x, 0.5, -0.5)


def kaiser(x: TensorLike, beta: TensorLike) -> Tensor:
    """Kaiser's window of ``x`` points: I0(beta sqrt(1 - t^2)) / I0(beta), t from -1 to 1."""
    n = int(x)
    if n <= 1:
        return _cosine(n, 1.0)
    dtype = dtypes.standardize(None)
    t = arange(n, dtype=dtype) * (2.0 / (n - 1)) - 1.0
    beta = convert_to_tensor(beta, dtype)
    return divide(i0(multiply(beta, sqrt(maximum(1.0 - square(t), 0.0)))), i0(beta))


@op("same")
def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """The products of two vectors at every shift; ``mode``: ``"valid"``, ``"same"`` or ``"full"``."""
    check.one_of("correlate", "mode", mode, ("valid", "same", "full"))
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        check.fail("correlate", f"needs vectors, got shapes {tuple(x1.shape)} and {tuple(x2.shape)}")
    name = backends.current().dtype_of(x1)
    x1, x2 = (cast(x, dtypes.result_type(name, float)) for x in (x1, x2))
    n, m = x1.shape[0], x2.shape[0]
    if n < m:
        # Correlation the other way round runs backwards.
        return flip(correlate(x2, x1, mode)) if mode != "same" else _centre(flip(correlate(x2, x1, "full")), m)
    full = pad(x1, [[m - 1, m - 1]])
    every = sum(multiply(extract_sequences(full, m, 1), x2), -1)
    if mode == "full":
        return every
    return every[m - 1 : n] if mode == "valid" else _centre(every, n)


def _centre(x: Tensor, n: int) -> Tensor:
    start = (x.shape[0] - n) // 2
    return x[start : start + n]
