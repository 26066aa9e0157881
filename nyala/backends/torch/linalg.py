"""Linear algebra and Fourier transforms on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends.torch.arguments import INDEX, as_float


def _matmul(x1: Tensor, x2: Tensor) -> Tensor:
    kind = x1.dtype
    if kind in _floating:
        return torch.matmul(x1, x2)
    if kind in (torch.int8, torch.uint8) and x2.dtype is kind:
        return _byte_matmul(x1, x2)
    if kind is torch.bool:
        return torch.matmul(x1.to(torch.int32), x2.to(torch.int32)) != 0
    return torch.matmul(x1, x2)


_floating = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


def _byte_matmul(x1: Tensor, x2: Tensor) -> Tensor:
    # Torch multiplies int32 on the host without BLAS (80 times slower) and not at all on CUDA; doubles hold the sums exactly.
    if x1.dtype is torch.int8 and x2.dim() == 2 and x1.dim() > 0 and type(x1) is Tensor and x1.device.type == "cpu":
        flat = torch._int_mm(x1.reshape(-1, x1.shape[-1]), x2)
        return flat.reshape(*x1.shape[:-1], x2.shape[-1])
    return torch.matmul(x1.double(), x2.double()).to(torch.int32)


def _einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    if operands[0].dtype in (torch.bool, torch.int8, torch.uint8) and len(operands) > 1:
        return torch.einsum(subscripts, *(x.double() for x in operands)).to(torch.int32)
    return torch.einsum(subscripts, *operands)


def _tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Tensor:
    if isinstance(axes, int):
        return torch.tensordot(x1, x2, axes)
    a, b = ([v] if isinstance(v, int) else list(v) for v in axes)
    return torch.tensordot(x1, x2, (a, b))  # pyright: ignore[reportArgumentType]


def _dot(x1: Tensor, x2: Tensor) -> Tensor:
    if x1.ndim == 0 or x2.ndim == 0:
        return torch.multiply(x1, x2)
    if x2.ndim == 1:
        return _matmul(x1, x2)
    return torch.tensordot(x1, x2, ([x1.ndim - 1], [x2.ndim - 2]))  # pyright: ignore[reportArgumentType]


def _inner(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.multiply(x1, x2) if x1.ndim == 0 or x2.ndim == 0 else torch.tensordot(x1, x2, ([-1], [-1]))  # pyright: ignore[reportArgumentType]


def _outer(x1: Tensor, x2: Tensor) -> Tensor:
    return x1.reshape(-1, 1) * x2.reshape(1, -1)


def _cross(
    x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = torch.movedim(x1, axisa, -1), torch.movedim(x2, axisb, -1)
    flat = a.shape[-1] == 2 and b.shape[-1] == 2
    a, b = (F.pad(v, (0, 1)) if v.shape[-1] == 2 else v for v in (a, b))
    a, b = torch.broadcast_tensors(a, b)
    out = torch.linalg.cross(a, b)
    return out[..., 2] if flat else torch.movedim(out, -1, axisc)


def _vdot(x1: Tensor, x2: Tensor) -> Tensor:
    return torch.sum(torch.conj(x1).reshape(-1) * x2.reshape(-1), dtype=x1.dtype)


def _norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    x = as_float(x)
    if axis is None:
        if ord is None:
            x_flat = torch.linalg.vector_norm(x)
            return x_flat.reshape((1,) * x.ndim) if keepdims else x_flat
        axis = tuple(range(x.ndim))
    if isinstance(axis, int):
        axis = (axis,)
    if len(axis) == 1:
        if isinstance(ord, str):
            raise ValueError(f"norm: ord {ord!r} needs two axes")
        return torch.linalg.vector_norm(x, 2 if ord is None else ord, tuple(axis), keepdims)
    return torch.linalg.matrix_norm(x, "fro" if ord is None else ord, tuple(axis), keepdims)


def _cholesky(x: Tensor, upper: bool = False) -> Tensor:
    return torch.linalg.cholesky(x, upper=upper)


def _qr(x: Tensor, mode: str = "reduced") -> Any:
    return tuple(torch.linalg.qr(x, mode=mode))


def _svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return tuple(torch.linalg.svd(x, full_matrices)) if compute_uv else torch.linalg.svdvals(x)


def _lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    lu, pivots = torch.linalg.lu_factor(x)
    return lu, pivots - 1  # LAPACK counts from one


def _solve(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.solve(a, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else torch.linalg.solve(a, b)


def _solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    if b.ndim == a.ndim - 1:
        return torch.linalg.solve_triangular(a, b[..., None], upper=not lower)[..., 0]
    return torch.linalg.solve_triangular(a, b, upper=not lower)


def _pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    return torch.linalg.pinv(x) if rcond is None else torch.linalg.pinv(x, rtol=rcond)


def _matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    rank = torch.linalg.matrix_rank(x) if tol is None else torch.linalg.matrix_rank(x, atol=tol, rtol=0)
    return rank.to(INDEX)


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.real, x.imag


def _fourier(fn: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, Tensor]]:
    """Complex numbers pass the ops as pairs of real tensors."""
    return lambda x: _parts(fn(torch.complex(x[0], x[1])))


def _rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    return _parts(torch.fft.rfft(x, fft_length))


def _irfft(x: Sequence[Tensor], fft_length: int | None = None) -> Tensor:
    return torch.fft.irfft(torch.complex(x[0], x[1]), fft_length)


natives: dict[str, Callable[..., Any]] = {
    "matmul": _matmul, "einsum": _einsum, "tensordot": _tensordot, "dot": _dot, "inner": _inner, "outer": _outer,
    "cross": _cross, "vdot": _vdot, "kron": torch.kron, "norm": _norm, "cholesky": _cholesky,
    "cholesky_inverse": lambda x, upper=False: torch.cholesky_inverse(x, upper), "det": torch.linalg.det,
    "slogdet": lambda x: tuple(torch.linalg.slogdet(x)), "inv": torch.linalg.inv, "qr": _qr, "svd": _svd,
    "eig": lambda x: tuple(torch.linalg.eig(x)), "eigh": lambda x: tuple(torch.linalg.eigh(x)), "solve": _solve,
    "solve_triangular": _solve_triangular, "pinv": _pinv, "matrix_rank": _matrix_rank,
    "lu_factor": _lu_factor, "logdet": torch.logdet, "fft": _fourier(torch.fft.fft), "fft2": _fourier(torch.fft.fft2),
    "ifft2": _fourier(torch.fft.ifft2), "rfft": _rfft, "irfft": _irfft,
}  # fmt: skip
