"""Elementwise ops and activations on PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nyala.backends.torch.arguments import as_float
from nyala.backends.torch.reductions import logsumexp
from nyala.backends.torch.types import native_dtype

# -- elementwise -------------------------------------------------------------------------------------------------------


def _tensors(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """For functions of torch that refuse a Python number as the second argument."""

    def call(x1: Tensor, x2: Any) -> Tensor:
        return fn(x1, x2 if isinstance(x2, Tensor) else torch.full((), x2, dtype=x1.dtype, device=x1.device))

    return call


def _maximum(x1: Tensor, x2: Any) -> Tensor:
    return torch.maximum(x1, x2) if isinstance(x2, Tensor) else torch.clamp(x1, min=x2)


def _minimum(x1: Tensor, x2: Any) -> Tensor:
    return torch.minimum(x1, x2) if isinstance(x2, Tensor) else torch.clamp(x1, max=x2)


def _floats_only(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Integers and bools become ``floatx()``."""
    return lambda x: fn(as_float(x))


def _bool_as(fn: Callable[..., Tensor], dtype: torch.dtype) -> Callable[..., Tensor]:
    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return fn(x.to(dtype) if x.dtype is torch.bool else x, *args, **kwargs)

    return call


def _not_for_bool(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: x if x.dtype is torch.bool else fn(x)


def _unless_float(fn: Callable[[Tensor], Tensor], otherwise: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: fn(x) if x.is_floating_point() or x.is_complex() else otherwise(x)


def _no(x: Tensor) -> Tensor:
    return torch.zeros_like(x, dtype=torch.bool)


def _round(x: Tensor, decimals: int = 0) -> Tensor:
    if x.is_floating_point():
        return torch.round(x, decimals=decimals)
    if decimals >= 0:
        return x
    factor = 10**-decimals
    return (torch.round(x.to(torch.float64) / factor) * factor).to(x.dtype)


def _clip(x: Tensor, x_min: Any, x_max: Any) -> Tensor:
    if x.dtype is torch.bool:
        x = x.to(torch.int32)
    if isinstance(x_min, Tensor) != isinstance(x_max, Tensor):
        low, high = (None if b is None else torch.as_tensor(b, dtype=x.dtype, device=x.device) for b in (x_min, x_max))
        return torch.clamp(x, low, high)
    return torch.clamp(x, x_min, x_max)


def _nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    return torch.nan_to_num(x, nan, posinf, neginf)


def _cbrt(x: Tensor) -> Tensor:
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def _angle(x: Tensor) -> Tensor:
    return torch.angle(as_float(x))


def _ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    return as_float(x1) * torch.exp2(x2.to(as_float(x1).dtype))


def _floor_divide(x1: Tensor, x2: Any) -> Tensor:
    if x1.dtype is torch.bool:
        return torch.floor_divide(x1.to(torch.int32), x2.to(torch.int32))
    return torch.floor_divide(x1, x2)


def _isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    if not x1.is_floating_point():
        x1, x2 = x1.to(torch.float64), x2.to(torch.float64)
    return torch.isclose(x1, x2, rtol, atol, equal_nan)


def _erf_inv(x: Tensor) -> Tensor:
    return torch.erfinv(as_float(x))


def _cast(x: Tensor, dtype: Any) -> Tensor:
    to = native_dtype(dtype)
    if x.is_complex() and not to.is_complex:
        x = x.real
    return x.to(to)


# -- activations -------------------------------------------------------------------------------------------------------


def _softmax(x: Tensor, axis: Any = -1) -> Tensor:
    if isinstance(axis, int):
        return torch.softmax(as_float(x), axis)
    return torch.exp(_log_softmax(x, axis))


def _log_softmax(x: Tensor, axis: Any = -1) -> Tensor:
    if isinstance(axis, int):
        return torch.log_softmax(as_float(x), axis)
    return as_float(x) - logsumexp(x, axis, True)


def _gelu(x: Tensor, approximate: bool = True) -> Tensor:
    return F.gelu(as_float(x), approximate="tanh" if approximate else "none")


def _relu(x: Tensor) -> Tensor:
    return torch.relu(x.to(torch.int32) if x.dtype is torch.bool else x)


def _leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    return F.leaky_relu(as_float(x), negative_slope)


def _alpha(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, alpha=1.0: fn(as_float(x), alpha)


def _shrink(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, threshold=0.5: fn(x, threshold)


def _softplus(x: Tensor) -> Tensor:
    # F.softplus is linear beyond its threshold; logaddexp is exact everywhere and its gradient is the sigmoid.
    return torch.logaddexp(x, torch.zeros((), dtype=x.dtype, device=x.device))


def _threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    return F.threshold(x, threshold, default_value)


def _stop_gradient(variable: Tensor) -> Tensor:
    return variable.detach()


def _view(x: Tensor, dtype: Any = None) -> Tensor:
    return x if dtype is None else x.contiguous().view(native_dtype(dtype))


natives: dict[str, Callable[..., Any]] = {
    # two tensors
    "add": torch.add, "subtract": torch.subtract, "multiply": torch.multiply, "divide": torch.divide,
    "true_divide": torch.divide, "floor_divide": _floor_divide, "mod": torch.remainder, "power": torch.pow,
    "maximum": _maximum, "minimum": _minimum, "arctan2": _tensors(torch.atan2), "hypot": _tensors(torch.hypot),
    "logaddexp": _tensors(torch.logaddexp), "logaddexp2": _tensors(torch.logaddexp2), "fmax": _tensors(torch.fmax),
    "fmin": _tensors(torch.fmin), "fmod": torch.fmod, "heaviside": _tensors(torch.heaviside),
    "nextafter": _tensors(torch.nextafter), "gcd": torch.gcd, "lcm": torch.lcm,
    "ldexp": _ldexp, "isclose": _isclose,
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor, "bitwise_and": torch.bitwise_and, "bitwise_or": torch.bitwise_or,
    "bitwise_xor": torch.bitwise_xor, "bitwise_left_shift": torch.bitwise_left_shift,
    "left_shift": torch.bitwise_left_shift, "bitwise_right_shift": torch.bitwise_right_shift,
    "right_shift": torch.bitwise_right_shift,
    # one tensor
    "absolute": _not_for_bool(torch.abs), "abs": _not_for_bool(torch.abs), "fabs": _floats_only(torch.abs),
    "negative": torch.negative, "sign": torch.sign,
    "floor": _floats_only(torch.floor), "ceil": _floats_only(torch.ceil),
    "trunc": _unless_float(torch.trunc, lambda x: x), "round": _round, "clip": _clip,
    "square": _bool_as(torch.square, torch.int32), "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "cbrt": _cbrt,
    "reciprocal": torch.reciprocal, "exp": torch.exp, "exp2": torch.exp2, "expm1": torch.expm1, "log": torch.log,
    "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p, "sin": torch.sin, "cos": torch.cos,
    "tan": torch.tan,
    "arcsin": torch.asin, "arccos": torch.acos, "arctan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh,
    "tanh": torch.tanh, "arcsinh": torch.asinh, "arccosh": torch.acosh, "arctanh": torch.atanh, "erf": torch.erf,
    "erfc": torch.erfc, "erfinv": _erf_inv, "sinc": _floats_only(torch.sinc), "i0": torch.i0,
    "deg2rad": torch.deg2rad, "rad2deg": torch.rad2deg, "angle": _angle, "real": torch.real,
    "imag": lambda x: x.imag if x.is_complex() else torch.zeros_like(x), "conjugate": torch.conj_physical,
    "conj": torch.conj_physical, "isfinite": torch.isfinite, "isinf": torch.isinf, "isnan": torch.isnan,
    "isneginf": _unless_float(torch.isneginf, _no), "isposinf": _unless_float(torch.isposinf, _no),
    "isreal": torch.isreal, "signbit": torch.signbit, "logical_not": torch.logical_not,
    "bitwise_not": torch.bitwise_not, "bitwise_invert": torch.bitwise_not, "nan_to_num": _nan_to_num,
    "cast": _cast, "stop_gradient": _stop_gradient, "copy": torch.clone, "view": _view,
    "view_as_complex": torch.view_as_complex, "view_as_real": torch.view_as_real, "polar": torch.polar,
    # activations
    "softmax": _softmax, "log_softmax": _log_softmax, "relu": _relu, "relu6": lambda x: F.relu6(as_float(x)),
    "sigmoid": torch.sigmoid, "log_sigmoid": F.logsigmoid, "silu": F.silu, "gelu": _gelu,
    "elu": _alpha(F.elu), "celu": _alpha(F.celu), "selu": torch.selu, "softplus": _softplus, "softsign": F.softsign,
    "leaky_relu": _leaky_relu, "hard_sigmoid": F.hardsigmoid, "hard_silu": F.hardswish,
    "hard_tanh": F.hardtanh, "hard_shrink": _shrink(F.hardshrink), "soft_shrink": _shrink(F.softshrink),
    "tanh_shrink": F.tanhshrink, "threshold": _threshold, "glu": lambda x, axis=-1: F.glu(x, axis),
}  # fmt: skip
