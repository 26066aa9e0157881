"""Comparison, logic and bits, with broadcasting."""

from __future__ import annotations

from nyala import backends
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.ops._op import op

# -- comparison --------------------------------------------------------------------------------------------------------


@op("same")
def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 == x2``."""


@op("same")
def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 != x2``."""


@op("same")
def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 < x2``."""


@op("same")
def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 <= x2``."""


@op("same")
def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 > x2``."""


@op("same")
def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """``x1 >= x2``."""


@op("same")
def isclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """``|x1 - x2| <= atol + rtol |x2|``; equal infinities are close, NaN is close to NaN if ``equal_nan``."""
    from nyala.ops.elementwise import _plain_bool, absolute, add, multiply, subtract

    x1, x2 = _plain_bool(x1), _plain_bool(x2)
    bound = add(atol, multiply(rtol, absolute(x2)))
    near = logical_and(less_equal(absolute(subtract(x1, x2)), bound), isfinite(x2))
    near = logical_or(near, equal(x1, x2))
    return logical_or(near, logical_and(isnan(x1), isnan(x2))) if equal_nan else near


@op("same")
def allclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether ``isclose`` holds everywhere."""
    from nyala.ops.reduce import all as all_

    return all_(isclose(x1, x2, rtol, atol, equal_nan))


@op
def isfinite(x: TensorLike) -> Tensor:
    """Neither infinite nor NaN."""


@op
def isinf(x: TensorLike) -> Tensor:
    """Infinite."""


@op
def isnan(x: TensorLike) -> Tensor:
    """Not a number."""


@op
def isposinf(x: TensorLike) -> Tensor:
    """Positive infinity."""
    return logical_and(isinf(x), greater(x, 0))


@op
def isneginf(x: TensorLike) -> Tensor:
    """Negative infinity."""
    return logical_and(isinf(x), less(x, 0))


@op
def isreal(x: TensorLike) -> Tensor:
    """Without an imaginary part."""
    from nyala.ops.elementwise import imag
    from nyala.ops.shapes import ones_like

    if backends.current().dtype_of(x) in dtypes.COMPLEX:
        return equal(imag(x), 0)
    return ones_like(x, "bool")


@op
def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each member of ``x1`` is in ``x2``. ``assume_unique`` changes nothing: all pairs are compared."""
    from nyala.ops.reduce import any as any_
    from nyala.ops.shapes import expand_dims, reshape

    found = any_(equal(expand_dims(x1, -1), reshape(x2, (-1,))), axis=-1)
    return logical_not(found) if invert else found


# -- logic and bits ----------------------------------------------------------------------------------------------------


@op
def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """True where both are; numbers other than 0 are true."""


@op
def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """True where one of both is."""


@op
def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """True where exactly one of both is."""


@op
def logical_not(x: TensorLike) -> Tensor:
    """True where ``x`` is not."""


@op("same")
def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that both ints have."""


@op("same")
def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that one of both ints has."""


@op("same")
def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that exactly one of both ints has."""


@op
def bitwise_not(x: TensorLike) -> Tensor:
    """All bits turned."""


@op
def bitwise_invert(x: TensorLike) -> Tensor:
    """All bits turned."""
    return bitwise_not(x)


@op("same")
def left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits of ``x`` moved ``y`` places to the left."""


@op("same")
def right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits of ``x`` moved ``y`` places to the right, keeping the sign."""


@op("same")
def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits of ``x`` moved ``y`` places to the left."""
    return left_shift(x, y)


@op("same")
def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits of ``x`` moved ``y`` places to the right, keeping the sign."""
    return right_shift(x, y)
