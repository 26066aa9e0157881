"""Products, decompositions and equations of matrices; leading axes are batches."""

# pyright: reportReturnType=false
# (a body that is only a docstring stands for the native of the backend)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nyala import backends
from nyala._typing import Axis, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.ops._op import op
from nyala.ops.core import cast
from nyala.ops.core import jvp as jvp  # ``keras.ops.linalg.jvp``
from nyala.ops.elementwise import absolute, divide, log, maximum, multiply, power, sqrt, square, subtract
from nyala.ops.index import diagonal, where
from nyala.ops.reduce import max as max_
from nyala.ops.reduce import mean
from nyala.ops.reduce import min as min_
from nyala.ops.reduce import sum as sum_
from nyala.ops.shapes import expand_dims, eye, moveaxis, reshape, stack, swapaxes, transpose

# -- products ----------------------------------------------------------------------------------------------------------


@op("same")
def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The matrix product over the last axis of ``x1`` and the last but one of ``x2``; int8 gives int32."""


@op("same")
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The product over the last axis of ``x1`` and the last but one (of a vector: the only) of ``x2``."""
    if not x1.shape or not x2.shape:
        return multiply(x1, x2)
    return tensordot(x1, x2, [[-1], [-1 if len(x2.shape) == 1 else -2]])


@op("same")
def tensordot(x1: TensorLike, x2: TensorLike, axes: Any = 2) -> Tensor:
    """The product over axes of ``x1`` and as many of ``x2``: a number (last of one, first of the other) or lists."""


@op("same")
def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The product over the last axis of both."""
    if not x1.shape or not x2.shape:
        return multiply(x1, x2)
    return tensordot(x1, x2, [[-1], [-1]])


@op("same")
def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Every element of one times every element of the other, both flattened."""
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


@op("same")
def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The product of the flattened tensors, the first one conjugated."""
    from nyala.ops.elementwise import conj

    x1 = conj(x1) if backends.current().dtype_of(x1) in dtypes.COMPLEX else x1
    return dot(reshape(x1, (-1,)), reshape(x2, (-1,)))


@op("same")
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The Kronecker product: every element of ``x1`` replaced by itself times ``x2``."""
    n = max(len(x1.shape), len(x2.shape))
    a = reshape(x1, (1,) * (n - len(x1.shape)) + tuple(x1.shape))
    b = reshape(x2, (1,) * (n - len(x2.shape)) + tuple(x2.shape))
    sizes = tuple(m * k for m, k in zip(a.shape, b.shape))
    a = reshape(a, tuple(v for m in a.shape for v in (m, 1)))
    b = reshape(b, tuple(v for m in b.shape for v in (1, m)))
    return reshape(multiply(a, b), sizes)


@op("same")
def cross(
    x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The vector product in three dimensions (of vectors in the plane: its third component)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        check.fail("cross", f"vectors have 2 or 3 components, got {a.shape[-1]} and {b.shape[-1]}")
    (a0, a1), (b0, b1) = (a[..., 0], a[..., 1]), (b[..., 0], b[..., 1])
    third = subtract(multiply(a0, b1), multiply(a1, b0))
    if a.shape[-1] == b.shape[-1] == 2:
        return third
    a2 = a[..., 2] if a.shape[-1] == 3 else a0 * 0
    b2 = b[..., 2] if b.shape[-1] == 3 else b0 * 0
    first = subtract(multiply(a1, b2), multiply(a2, b1))
    second = subtract(multiply(a2, b0), multiply(a0, b2))
    return moveaxis(stack([first, second, third], -1), -1, axisc)


def einsum(subscripts: str, *operands: TensorLike, **kwargs: Any) -> Tensor:
    """The sum of products over repeated letters, e.g. ``"bij,bjk->bik"`` (https://numpy.org/doc/stable/reference/generated/numpy.einsum.html).

    ``optimize``, which NumPy and Keras have, is taken and not needed: the backend itself finds the order of the products.
    """
    kwargs.pop("optimize", None)
    if kwargs:
        check.fail("einsum", f"got the unknown arguments {sorted(kwargs)}; it takes `optimize` only", TypeError)
    return _einsum(list(operands), subscripts)


@op("same", name="_einsum")
def _einsum(operands: Sequence[TensorLike], subscripts: str) -> Tensor:
    """``einsum`` with the operands as one list, which the decorator promotes."""
    return backends.current().natives["einsum"](subscripts, *operands)


# -- norms, determinants, inverses -------------------------------------------------------------------------------------


@op("float")
def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors (one axis) or matrices (two axes); ``axis=None``: of the whole.

    ``ord``: ``None`` (root of the sum of squares), a number, ``inf``, ``-inf``; for matrices ``"fro"``, ``"nuc"``,
    1, -1, 2, -2, ``inf``, ``-inf``.
    """
    rank = len(x.shape)
    if axis is None:
        if ord is None or (ord == "fro" and rank == 2) or (ord == 2 and rank == 1):
            return sqrt(sum_(_square_abs(x), None, keepdims))
        axes = tuple(range(rank))
    else:
        axes = tuple(a % rank for a in ((axis,) if isinstance(axis, int) else axis))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        check.fail("norm", f"ord={ord!r} needs one or two axes, got axis={axis!r} for shape {tuple(x.shape)}")
    return _matrix_norm(x, ord, axes, keepdims)


def _vector_norm(x: Tensor, ord: Any, axis: int, keepdims: bool) -> Tensor:
    if ord is None or ord == 2:
        return sqrt(sum_(_square_abs(x), axis, keepdims))
    if isinstance(ord, str):
        check.fail("norm", f"ord={ord!r} is for matrices; give two axes")
    size = absolute(x)
    if ord == math.inf:
        return max_(size, axis, keepdims)
    if ord == -math.inf:
        return min_(size, axis, keepdims)
    if ord == 0:
        return sum_(cast(size > 0, backends.current().dtype_of(size)), axis, keepdims)
    if ord == 1:
        return sum_(size, axis, keepdims)
    return power(sum_(power(size, float(ord)), axis, keepdims), 1.0 / ord)


def _matrix_norm(x: Tensor, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord in (None, "fro"):
        return sqrt(sum_(_square_abs(x), axes, keepdims))
    if ord in (1, -1, math.inf, -math.inf):
        summed, picked = axes if abs(ord) == 1 else axes[::-1]
        found = sum_(absolute(x), summed, True)
        found = (max_ if ord > 0 else min_)(found, picked, True)
    elif ord in ("nuc", 2, -2):
        values = svd(moveaxis(x, axes, (-2, -1)), full_matrices=False, compute_uv=False)
        found = sum_(values, -1) if ord == "nuc" else max_(values, -1) if ord == 2 else min_(values, -1)
        for axis in sorted(axes):
            found = expand_dims(found, axis)
    else:
        check.fail("norm", f"ord must be None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf for matrices, got {ord!r}")
    from nyala.ops.shapes import squeeze

    return found if keepdims else squeeze(found, axes)


def _square_abs(x: Tensor) -> Tensor:
    return square(absolute(x)) if backends.current().dtype_of(x) in dtypes.COMPLEX else square(x)


@op("float")
def det(x: TensorLike) -> Tensor:
    """The determinant."""


@op("float")
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The sign of the determinant and the logarithm of its absolute value."""


@op("float")
def logdet(x: TensorLike) -> Tensor:
    """The logarithm of the determinant of a positive definite matrix."""
    return multiply(2.0, sum_(log(diagonal(cholesky(x), 0, -2, -1)), -1))


@op("float")
def inv(x: TensorLike) -> Tensor:
    """The inverse."""


@op("float")
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """The inverse of Moore and Penrose. Singular values below ``rcond`` times the largest one count as 0."""
    u, s, vt = svd(x, full_matrices=False)
    name = backends.current().dtype_of(x)
    if rcond is None:
        rcond = 10.0 * max(x.shape[-2:]) * _eps(name)
    large = s > rcond * max_(s, -1, True)
    turned = where(large, divide(1.0, where(large, s, s * 0 + 1.0)), s * 0)
    return matmul(swapaxes(vt, -2, -1) * expand_dims(turned, -2), swapaxes(u, -2, -1))


@op("float")
def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """How many singular values are above ``tol`` (default: the largest one times the longer side times epsilon)."""
    s = svd(x, full_matrices=False, compute_uv=False)
    bound = max_(s, -1, True) * (max(x.shape[-2:]) * _eps(backends.current().dtype_of(x))) if tol is None else tol
    return sum_(cast(s > bound, "int32"), -1)


def _eps(name: str) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(dtypes.numpy_dtype(name)).eps)


# -- decompositions and equations --------------------------------------------------------------------------------------


@op("float")
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """The lower triangular ``L`` with ``L L^T = x`` for positive definite ``x``; ``upper``: its transpose."""


@op("float")
def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose factor of Cholesky is ``x``."""
    lower = swapaxes(x, -2, -1) if upper else x
    n = x.shape[-1]
    half = solve_triangular(lower, eye(n, dtype=backends.current().dtype_of(x)), lower=True)
    return matmul(swapaxes(half, -2, -1), half)


@op("float")
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """``x`` with ``a x = b``; ``b`` may be one vector a matrix."""


@op("float")
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """``x`` with ``a x = b`` for a triangular ``a``; the other triangle is not read."""


@op("float")
def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """The ``x`` of least ``|a x - b|``."""
    return matmul(pinv(a, rcond), b) if len(b.shape) > 1 else matmul(pinv(a, rcond), expand_dims(b, -1))[..., 0]


@op("float")
def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """``x = q r`` with orthonormal ``q`` and upper triangular ``r``; ``mode``: ``"reduced"`` or ``"complete"``."""


@op("float")
def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """``u, s, vt`` with ``x = u diag(s) vt``, ``s`` descending; only ``s`` without ``compute_uv``."""


@op("float")
def eig(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The complex eigenvalues and eigenvectors (in columns) of a square matrix."""


@op("float")
def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """The ascending eigenvalues and the eigenvectors (in columns) of a symmetric matrix."""


@op("float")
def lu_factor(x: TensorLike) -> tuple[Tensor, Tensor]:
    """``L`` and ``U`` packed in one matrix, and the rows that were exchanged."""


@op("float")
def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """The distance of every row of ``x`` from every row of ``y``: (..., m, n), (..., k, n) -> (..., m, k)."""
    apart = sum_(square(subtract(expand_dims(x, -2), expand_dims(y, -3))), -1)
    zero = apart <= 0
    return where(zero, apart * 0, sqrt(where(zero, apart * 0 + 1, apart)))


@op("float")
def corrcoef(x: TensorLike) -> Tensor:
    """Pearson's correlation of the rows of ``x``."""
    x = x if len(x.shape) > 1 else expand_dims(x, 0)
    centred = subtract(x, mean(x, -1, True))
    covariance = matmul(centred, transpose(centred))
    scale = sqrt(diagonal(covariance))
    out = divide(divide(covariance, expand_dims(scale, 1)), expand_dims(scale, 0))
    return out[0, 0] if out.shape == (1, 1) else maximum(-1.0, -maximum(-1.0, -out))
