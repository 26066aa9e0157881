"""Linear algebra and Fourier transforms on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from nyala._typing import Tensor
from nyala.backends.tensorflow.arguments import (
    Native,
    as_float,
    dims,
    flattened,
)

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
    return flattened(x1)[:, None] * flattened(x2)[None]


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


def _complex(x: Any) -> Tensor:
    if isinstance(x, tuple):
        real, imag = (as_float(v) for v in x)
        return tf.complex(real, imag)
    return x


def _pair(x: Tensor) -> tuple[Tensor, Tensor]:
    return tf.math.real(x), tf.math.imag(x)


NATIVES: dict[str, Native] = {
    "cholesky": _cholesky, "cholesky_inverse": _cholesky_inverse,
    "det": tf.linalg.det, "slogdet": _slogdet, "inv": tf.linalg.inv,
    "dot": _dot, "matmul": _matmul, "tensordot": _tensordot, "einsum": _einsum, "outer": _outer,
    "eig": _eig, "eigh": _eigh, "qr": _qr, "svd": _svd,
    "lstsq": _lstsq, "lu_factor": _lu_factor, "solve": _solve, "solve_triangular": _solve_triangular,
    "fft": lambda x: _pair(tf.signal.fft(_complex(x))), "fft2": lambda x: _pair(tf.signal.fft2d(_complex(x))),
    "ifft2": lambda x: _pair(tf.signal.ifft2d(_complex(x))),
    "rfft": lambda x, fft_length=None: _pair(tf.signal.rfft(as_float(x), None if fft_length is None else [fft_length])),
    "irfft": lambda x, fft_length=None: tf.signal.irfft(_complex(x), None if fft_length is None else [fft_length]),
}  # fmt: skip
