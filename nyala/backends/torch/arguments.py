"""What the adapters of PyTorch's functions share: axes, dtypes, and integers of which torch knows few operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nyala.backends.torch.types import float_dtype, native_dtype

INDEX = torch.int32
# What a sum or product of small integers is counted in, as JAX and Keras do; the thin unsigned types by way of int64.
COUNT = {
    torch.bool: torch.int32, torch.int8: torch.int32, torch.int16: torch.int32, torch.int32: torch.int32,
    torch.uint8: torch.uint32, torch.uint16: torch.uint32, torch.uint32: torch.uint32,
}  # fmt: skip
WIDE = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}


def dtype_or_none(dtype: Any) -> torch.dtype | None:
    return None if dtype is None else native_dtype(dtype)


def as_float(x: Tensor) -> Tensor:
    return x if x.is_floating_point() or x.is_complex() else x.to(float_dtype())


def int_axis(x: Tensor, axis: int) -> int:
    return axis + x.ndim if axis < 0 else axis


def axes_of(x: Tensor, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(int_axis(x, a) for a in ((axis,) if isinstance(axis, int) else axis))


def rescued(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """``fn`` in a wider integer type, for uint16, uint32 and uint64, of which torch knows few operations."""
    thin: list[torch.dtype] = []

    def widen(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dtype in WIDE:
            thin.append(x.dtype)
            return x.to(WIDE[x.dtype])
        return type(x)(map(widen, x)) if isinstance(x, (list, tuple)) else x

    def narrow(x: Any) -> Any:
        if isinstance(x, Tensor) and x.dtype == WIDE[thin[0]]:
            return x.to(thin[0])
        return type(x)(map(narrow, x)) if isinstance(x, (list, tuple)) else x

    args = widen(tuple(args))
    kwargs = {k: widen(v) for k, v in kwargs.items()}
    return narrow(fn(*args, **kwargs)) if thin else None
