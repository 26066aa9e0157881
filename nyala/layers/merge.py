"""Layers of several inputs: sums, products, extremes, concatenation and dot products, each also as a function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from nyala import ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check
from nyala.layers.base import Layer


def _check_list(layer: Layer, input_shape: Any, exactly: int | None = None) -> list[Shape]:
    """The inputs' shapes; ValueError unless ``build`` got a list of as many as are wanted."""
    many = isinstance(input_shape, (list, tuple)) and all(isinstance(s, (list, tuple)) for s in input_shape)
    if not many or not input_shape or (exactly is not None and len(input_shape) != exactly):
        what = f"a list of {exactly} inputs" if exactly else "a list of inputs"
        check.fail(
            layer, f"expected {what}, got {f'{len(input_shape)} of them' if many else 'one tensor'}: {input_shape}"
        )
    return list(input_shape)


class _Merge(Layer):
    """Inputs are combined elementwise and broadcast; one of lower rank gets axes of size 1 after the batch.

    The output's mask is true where that of any input is, and there is none if an input has none.
    """

    supports_masking = True
    _exactly: ClassVar[int | None] = None
    _combine: ClassVar[Callable[..., Tensor]]

    def build(self, input_shape: list[Shape]) -> None:
        shapes = _check_list(self, input_shape, self._exactly)
        ndim = max(map(len, shapes))
        for sizes in zip(*(self._aligned(s, ndim) for s in shapes)):
            if len({n for n in sizes if n not in (1, None)}) > 1:
                check.fail(self, f"inputs of shapes {', '.join(str(tuple(s)) for s in shapes)} cannot be broadcast")

    @staticmethod
    def _aligned(shape: Sequence[Any], ndim: int) -> tuple[Any, ...]:
        return (*shape[:1], *(1,) * (ndim - len(shape)), *shape[1:])

    def _align(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        ranks = [len(x.shape) for x in inputs]
        ndim = max(ranks)
        return [x if n == ndim else ops.reshape(x, self._aligned(ops.shape(x), ndim)) for x, n in zip(inputs, ranks)]

    def call(self, inputs: Sequence[TensorLike]) -> Tensor:
        return functools.reduce(type(self)._combine, self._align(inputs))

    def compute_mask(self, inputs: Sequence[TensorLike], mask: Any = None) -> Tensor | None:
        if mask is None or any(m is None for m in mask):
            return None
        return functools.reduce(ops.logical_or, mask)


class Add(_Merge):
    """y = x1 + x2 + ..."""

    _combine = ops.add


class Subtract(_Merge):
    """y = x1 - x2"""

    _combine = ops.subtract
    _exactly = 2


class Multiply(_Merge):
    """y = x1 * x2 * ..."""

    _combine = ops.multiply


class Average(_Merge):
    """y = (x1 + x2 + ...) / number of inputs"""

    _combine = ops.add

    def call(self, inputs: Sequence[TensorLike]) -> Tensor:
        return ops.divide(super().call(inputs), len(inputs))


class Maximum(_Merge):
    """y = max(x1, x2, ...)"""

    _combine = ops.maximum


class Minimum(_Merge):
    """y = min(x1, x2, ...)"""

    _combine = ops.minimum


class Concatenate(Layer):
    """The inputs one after the other.

    Args: axis: along which; sizes of the other axes must agree.

    The output's mask joins those of the inputs; an input without one counts as present throughout.
    """

    supports_masking = True

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: list[Shape]) -> None:
        shapes = _check_list(self, input_shape)
        ndim = len(shapes[0])
        if not -ndim <= self.axis < ndim:
            check.fail(self, f"axis must be in [{-ndim}, {ndim - 1}] for inputs of {ndim} axes, got {self.axis}")
        for i, sizes in enumerate(zip(*shapes)):
            if any(len(s) != ndim for s in shapes) or (
                i != self.axis % ndim and len({n for n in sizes if n is not None}) > 1
            ):
                listed = ", ".join(str(tuple(s)) for s in shapes)
                check.fail(self, f"inputs must have the same shape except along axis {self.axis}, got {listed}")

    def call(self, inputs: Sequence[TensorLike]) -> Tensor:
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Sequence[TensorLike], mask: Any = None) -> Tensor | None:
        if mask is None or all(m is None for m in mask):
            return None
        full = [_like(x, m) for x, m in zip(inputs, mask)]
        return ops.any(ops.concatenate(full, axis=self.axis), axis=-1)


def _like(x: Tensor, mask: Tensor | None) -> Tensor:
    """``mask`` with the shape of ``x``; all true for ``None``."""
    if mask is None:
        return ops.ones_like(x, dtype="bool")
    for _ in range(len(x.shape) - len(mask.shape)):
        mask = ops.expand_dims(mask, -1)
    return ops.logical_and(
        ops.ones_like(x, dtype="bool"), ops.cast(mask, "bool")
    )  # x may be symbolic, its shape unknown


class Dot(Layer):
    """Dot product of two inputs along one axis of each: (b, i, k), (b, j, k) -> (b, i, j) for ``axes=2``.

    Args:
        axes: an axis of both, or a pair; not the batch axis 0.
        normalize: divide each vector by its length first, which gives the cosine of their angle.

    Shapes: the batch, the first input's other axes, the second's; (batch, 1) when none are left.
    """

    supports_masking = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        pair: Any = (axes, axes) if check.is_int(axes) else tuple(axes)  # type: ignore[arg-type]
        if len(pair) != 2 or not all(check.is_int(a) for a in pair):
            check.fail(self, f"axes must be an int or a pair of ints, got {axes!r}")
        self.axes = axes
        self.normalize = normalize
        self._pair = pair

    def build(self, input_shape: list[Shape]) -> None:
        x1, x2 = _check_list(self, input_shape, 2)
        self._equation(x1, x2)

    def _equation(self, x1: Shape, x2: Shape) -> tuple[str, int, int]:
        """The einsum of two inputs of these shapes, and the axes of both as numbers >= 0."""
        axes = [a % len(s) for a, s in zip(self._pair, (x1, x2)) if -len(s) <= a < len(s)]
        if len(axes) != 2 or 0 in axes or len({x1[axes[0]], x2[axes[1]]} - {None}) > 1:
            check.fail(
                self,
                f"axes={self.axes} must name axes of equal size, not the batch, of shapes {tuple(x1)} and {tuple(x2)}",
            )
        letters = iter("cdefghijklmnopqrstuvwxyz")
        first = ["a", *(next(letters) for _ in x1[1:])]
        second = ["a", *(next(letters) for _ in x2[1:])]
        first[axes[0]] = second[axes[1]] = "b"
        rest = [n for n in first[1:] if n != "b"] + [n for n in second[1:] if n != "b"]
        return f"{''.join(first)},{''.join(second)}->a{''.join(rest)}", *axes  # type: ignore[return-value]

    def call(self, inputs: Sequence[TensorLike]) -> Tensor:
        x1, x2 = inputs
        equation, axis1, axis2 = self._equation(tuple(x1.shape), tuple(x2.shape))
        if self.normalize:
            x1, x2 = ops.normalize(x1, axis=axis1), ops.normalize(x2, axis=axis2)
        y = ops.einsum(equation, x1, x2)
        return ops.expand_dims(y, 1) if len(y.shape) == 1 else y

    def compute_mask(self, inputs: Sequence[TensorLike], mask: Any = None) -> None:
        return None


def add(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Add(**kwargs)(inputs)``"""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Subtract(**kwargs)(inputs)``"""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Multiply(**kwargs)(inputs)``"""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Average(**kwargs)(inputs)``"""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Maximum(**kwargs)(inputs)``"""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[TensorLike], **kwargs: Any) -> Tensor:
    """``Minimum(**kwargs)(inputs)``"""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[TensorLike], axis: int = -1, **kwargs: Any) -> Tensor:
    """``Concatenate(axis, **kwargs)(inputs)``"""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[TensorLike], axes: int | Sequence[int] = -1, **kwargs: Any) -> Tensor:
    """``Dot(axes, **kwargs)(inputs)``"""
    return Dot(axes=axes, **kwargs)(inputs)
