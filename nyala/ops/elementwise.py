"""Arithmetic and complex numbers: one number in, one number out, with broadcasting."""

from __future__ import annotations

import math
from typing import Any

from nyala import backends
from nyala._typing import DType, Tensor, TensorLike
from nyala.ops._op import op
from nyala.ops.comparison import equal, isinf, less, not_equal

# -- arithmetic --------------------------------------------------------------------------------------------------------


@op("same")
def add(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 + x2``."""


@op("same")
def subtract(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 - x2``."""


@op("same")
def multiply(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 * x2``."""


@op("float")
def divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 / x2``; of ints a float."""


@op("float")
def true_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 / x2``; of ints a float."""
    return divide(x1, x2)


@op("float")
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 / x2``, and 0 where ``x2`` is 0; so is its gradient."""
    zero = equal(x2, 0)
    return _where(zero, _zeros_like(x1), divide(x1, _where(zero, _ones_like(x2), x2)))


@op("same")
def floor_divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 / x2`` rounded down."""


@op("same")
def mod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The remainder of ``floor_divide``; it has the sign of ``x2``."""


@op("same")
def fmod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The remainder of division rounded toward zero; it has the sign of ``x1``."""
    x1, x2 = _plain_bool(x1), _plain_bool(x2)
    remainder = mod(absolute(x1), absolute(x2))
    return _where(less(x1, 0), negative(remainder), remainder)


@op("same")
def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 ** x2``."""


@op("same")
def maximum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The larger of both; NaN if one is."""


@op("same")
def minimum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The smaller of both; NaN if one is."""


@op("same")
def fmax(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The larger of both; the other one if one is NaN."""
    return _where(_nan(x1), x2, _where(_nan(x2), x1, maximum(x1, x2)))


@op("same")
def fmin(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The smaller of both; the other one if one is NaN."""
    return _where(_nan(x1), x2, _where(_nan(x2), x1, minimum(x1, x2)))


@op("float")
def arctan2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The angle of the point ``(x2, x1)``, in [-pi, pi]."""


@op("float")
def hypot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``sqrt(x1^2 + x2^2)``, without overflow on the way."""
    x1, x2 = absolute(x1), absolute(x2)
    large, small = maximum(x1, x2), minimum(x1, x2)
    safe = _where(equal(large, 0), _ones_like(large), large)
    return _where(isinf(large), large, multiply(large, sqrt(add(1, square(divide(small, safe))))))


@op("float")
def logaddexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``log(exp(x1) + exp(x2))``, without overflow."""


@op("float")
def logaddexp2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``log2(2^x1 + 2^x2)``, without overflow."""
    c = math.log(2.0)
    return divide(logaddexp(multiply(x1, c), multiply(x2, c)), c)


@op("float")
def ldexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 * 2^x2``."""
    return multiply(x1, exp2(x2))


@op("float")
def nextafter(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The next float after ``x1`` in the direction of ``x2``."""


@op("float")
def heaviside(x1: TensorLike, x2: TensorLike) -> Tensor:
    """0 for negative ``x1``, 1 for positive, ``x2`` for 0."""
    return _where(equal(x1, 0), x2, _where(less(x1, 0), _zeros_like(x2), _where(_nan(x1), x1, _ones_like(x2))))


@op("same")
def gcd(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The greatest common divisor of ints, by Euclid."""
    from nyala.ops.core import while_loop

    x1, x2 = absolute(x1), absolute(x2)
    x1, x2 = add(x1, multiply(x2, 0)), add(x2, multiply(x1, 0))

    def step(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        done = equal(b, 0)
        return _where(done, a, b), _where(done, b, mod(a, _where(done, _ones_like(b), b)))

    from nyala.ops.reduce import any as any_

    return while_loop(lambda _, b: any_(not_equal(b, 0)), step, (x1, x2))[0]


@op("same")
def lcm(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The least common multiple of ints."""
    divisor = gcd(x1, x2)
    return multiply(floor_divide(absolute(x1), maximum(divisor, _ones_like(divisor))), absolute(x2))


# -- one argument ------------------------------------------------------------------------------------------------------


@op
def absolute(x: TensorLike) -> Tensor:
    """``|x|``."""


@op
def abs(x: TensorLike) -> Tensor:
    """``|x|``."""
    return absolute(x)


@op("float")
def fabs(x: TensorLike) -> Tensor:
    """``|x|`` as a float."""
    return absolute(x)


@op
def negative(x: TensorLike) -> Tensor:
    """``-x``."""


@op
def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1."""


@op
def signbit(x: TensorLike) -> Tensor:
    """Whether the sign is negative, that of -0.0 too."""


@op
def square(x: TensorLike) -> Tensor:
    """``x * x``."""


@op("float")
def sqrt(x: TensorLike) -> Tensor:
    """The square root."""


@op("float")
def rsqrt(x: TensorLike) -> Tensor:
    """``1 / sqrt(x)``."""


@op("float")
def cbrt(x: TensorLike) -> Tensor:
    """The cube root, also of negative numbers."""
    return multiply(sign(x), power(absolute(x), 1.0 / 3.0))


@op("float")
def reciprocal(x: TensorLike) -> Tensor:
    """``1 / x``."""


@op("float")
def exp(x: TensorLike) -> Tensor:
    """``e^x``."""


@op("float")
def exp2(x: TensorLike) -> Tensor:
    """``2^x``."""
    return exp(multiply(x, math.log(2.0)))


@op("float")
def expm1(x: TensorLike) -> Tensor:
    """``e^x - 1``, accurate near 0."""


@op("float")
def log(x: TensorLike) -> Tensor:
    """The natural logarithm."""


@op("float")
def log1p(x: TensorLike) -> Tensor:
    """``log(1 + x)``, accurate near 0."""


@op("float")
def log2(x: TensorLike) -> Tensor:
    """The logarithm to base 2."""
    return divide(log(x), math.log(2.0))


@op("float")
def log10(x: TensorLike) -> Tensor:
    """The logarithm to base 10."""
    return divide(log(x), math.log(10.0))


@op("float")
def sin(x: TensorLike) -> Tensor:
    """The sine of an angle in radians."""


@op("float")
def cos(x: TensorLike) -> Tensor:
    """The cosine of an angle in radians."""


@op("float")
def tan(x: TensorLike) -> Tensor:
    """The tangent of an angle in radians."""


@op("float")
def arcsin(x: TensorLike) -> Tensor:
    """The angle in [-pi/2, pi/2] whose sine is ``x``."""


@op("float")
def arccos(x: TensorLike) -> Tensor:
    """The angle in [0, pi] whose cosine is ``x``."""


@op("float")
def arctan(x: TensorLike) -> Tensor:
    """The angle in (-pi/2, pi/2) whose tangent is ``x``."""


@op("float")
def sinh(x: TensorLike) -> Tensor:
    """The hyperbolic sine."""


@op("float")
def cosh(x: TensorLike) -> Tensor:
    """The hyperbolic cosine."""


@op("float")
def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""


@op("float")
def arcsinh(x: TensorLike) -> Tensor:
    """The inverse hyperbolic sine."""


@op("float")
def arccosh(x: TensorLike) -> Tensor:
    """The inverse hyperbolic cosine of ``x >= 1``."""


@op("float")
def arctanh(x: TensorLike) -> Tensor:
    """The inverse hyperbolic tangent of ``x`` in (-1, 1)."""


@op("float")
def deg2rad(x: TensorLike) -> Tensor:
    """Degrees to radians."""
    return multiply(x, math.pi / 180.0)


@op("float")
def rad2deg(x: TensorLike) -> Tensor:
    """Radians to degrees."""
    return multiply(x, 180.0 / math.pi)


@op("float")
def sinc(x: TensorLike) -> Tensor:
    """``sin(pi x) / (pi x)``, 1 at 0."""
    zero = equal(x, 0)
    turned = multiply(_where(zero, _ones_like(x), x), math.pi)
    return _where(zero, _ones_like(x), divide(sin(turned), turned))


@op("float")
def floor(x: TensorLike) -> Tensor:
    """The largest whole number that is not above ``x``."""


@op("float")
def ceil(x: TensorLike) -> Tensor:
    """The smallest whole number that is not below ``x``."""


@op
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Rounded to ``decimals`` digits after the point, halves to the even side."""


@op
def trunc(x: TensorLike) -> Tensor:
    """Without the digits after the point."""


@op("float")
def erf(x: TensorLike) -> Tensor:
    """The error function."""


@op("float")
def erfc(x: TensorLike) -> Tensor:
    """``1 - erf(x)``, accurate for large ``x``."""


@op("float")
def erfinv(x: TensorLike) -> Tensor:
    """The inverse of ``erf``."""


@op("float")
def i0(x: TensorLike) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""


@op
def clip(x: TensorLike, x_min: Any, x_max: Any) -> Tensor:
    """``x`` inside ``[x_min, x_max]``; ``None`` leaves a side open."""


@op
def nan_to_num(x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced, by default by 0 and the dtype's largest and smallest number."""


@op
def copy(x: TensorLike) -> Tensor:
    """The same values in a new tensor."""
    return add(x, _zeros_like(x))


# -- complex numbers ---------------------------------------------------------------------------------------------------


@op
def real(x: TensorLike) -> Tensor:
    """The real part."""


@op
def imag(x: TensorLike) -> Tensor:
    """The imaginary part."""


@op
def conj(x: TensorLike) -> Tensor:
    """The complex conjugate."""


@op
def conjugate(x: TensorLike) -> Tensor:
    """The complex conjugate."""
    return conj(x)


@op("float")
def angle(x: TensorLike) -> Tensor:
    """The angle in the complex plane: of a real number 0 or pi."""
    return arctan2(imag(x), real(x))


@op("float")
def view_as_complex(x: TensorLike) -> Tensor:
    """The last axis, of length 2, as real and imaginary part."""


@op
def view_as_real(x: TensorLike) -> Tensor:
    """Real and imaginary part along a new last axis."""
    from nyala.ops.shapes import stack

    return stack([real(x), imag(x)], axis=-1)


@op("float")
def polar(abs_: TensorLike, angle: TensorLike) -> Tensor:
    """The complex number of that absolute value and angle."""
    from nyala.ops.shapes import stack

    return view_as_complex(stack([multiply(abs_, cos(angle)), multiply(abs_, sin(angle))], axis=-1))


@op
def view(x: TensorLike, dtype: DType = None) -> Tensor:
    """The same bytes read as another dtype; the last axis grows or shrinks by the quotient of the sizes."""


def _nan(x: Tensor) -> Tensor:
    return not_equal(x, x)


def _plain_bool(x: Tensor) -> Tensor:
    """Bools as ints, for arithmetic."""
    from nyala.ops.core import cast

    return cast(x, "int32") if backends.current().dtype_of(x) == "bool" else x


def _where(condition: Tensor, x1: Any, x2: Any) -> Tensor:
    from nyala.ops.index import where

    return where(condition, x1, x2)


def _zeros_like(x: Tensor) -> Tensor:
    from nyala.ops.shapes import zeros_like

    return zeros_like(x)


def _ones_like(x: Tensor) -> Tensor:
    from nyala.ops.shapes import ones_like

    return ones_like(x)
