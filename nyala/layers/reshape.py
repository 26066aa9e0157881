"""Layers that only rearrange, repeat, pad or crop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import ops
from nyala._typing import Shape, Tensor, TensorLike
from nyala.base import check, config
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec

_Ints = int | Sequence[int]
_Pairs = int | Sequence[int] | Sequence[Sequence[int]]


class Flatten(Layer):
    """All axes but the batch in one: (batch, ...) -> (batch, n); (batch,) -> (batch, 1).

    Args: data_format: ``"channels_first"`` moves the channels to the end first, so that both layouts give one order.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: TensorLike) -> Tensor:
        if self.data_format == "channels_first" and len(inputs.shape) > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        batch, *rest = ops.shape(inputs)
        return ops.reshape(inputs, (batch, math.prod(rest)))


class Reshape(Layer):
    """The same numbers in another shape: (batch, ...) -> (batch, *target_shape).

    Args: target_shape: without the batch axis; one entry may be -1, which is found from the others.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        target: Any = (target_shape,) if check.is_int(target_shape) else tuple(target_shape)
        if not all(check.is_int(n) and n >= -1 for n in target) or target.count(-1) > 1:
            check.fail(self, f"target_shape must hold ints >= 0 and at most one -1, got {target_shape}")
        self.target_shape: tuple[int, ...] = target

    def build(self, input_shape: Shape) -> None:
        rest = list(input_shape[1:])
        if None in rest:
            return
        size, target = math.prod(rest), math.prod(n for n in self.target_shape if n != -1)  # type: ignore[arg-type]
        if size != target and (-1 not in self.target_shape or (size % target if target else size)):
            check.fail(
                self,
                f"cannot give {size} numbers, an input of shape {tuple(input_shape)}, the shape {self.target_shape}",
            )

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.reshape(inputs, (ops.shape(inputs)[0], *self.target_shape))


class Permute(Layer):
    """The axes in another order.

    Args: dims: for each axis of the output the axis of the input, counted from 1; the batch axis stays first.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            check.fail(self, f"dims must be an order of 1, ..., {len(self.dims)}, got {self.dims}")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.transpose(inputs, (0, *self.dims))


class RepeatVector(Layer):
    """The input ``n`` times: (batch, features) -> (batch, n, features)."""

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = check.positive_int(self, "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.repeat(ops.expand_dims(inputs, 1), self.n, axis=1)


def _pairs(owner: Layer, name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """``(before, after)`` for each dimension from an int, an int a dimension, or a pair a dimension."""
    values = (value,) * rank if check.is_int(value) else value
    if isinstance(values, Sequence) and len(values) == rank:
        pairs = [(v, v) if check.is_int(v) else v for v in values]
        if all(isinstance(p, Sequence) and len(p) == 2 and all(check.is_int(n) and n >= 0 for n in p) for p in pairs):
            return tuple((int(a), int(b)) for a, b in pairs)
    return check.fail(
        owner, f"{name} must be an int >= 0, {rank} of them, or {rank} pairs (before, after), got {value!r}"
    )


class _ZeroPadding(Layer):
    """What zero padding shares.

    Args:
        padding: zeros at each end of each dimension: an int, an int a dimension, or a pair (before, after) a dimension.
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
    """

    rank: ClassVar[int]

    def __init__(self, padding: _Pairs = 1, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if self.rank == 1:
            pairs = (check.ints(self, "padding", padding, 2, allow_zero=True),)
            self.padding: Any = pairs[0]
        else:
            self.padding = pairs = _pairs(self, "padding", padding, self.rank)
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._pads = ((0, 0), *pairs, (0, 0)) if self.data_format == "channels_last" else ((0, 0), (0, 0), *pairs)

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.pad(inputs, self._pads)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after a sequence; ``padding`` is an int or a pair (before, after)."""

    rank = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image."""

    rank = 2


class ZeroPadding3D(_ZeroPadding):
    """Zeros around a volume."""

    rank = 3


class _Cropping(Layer):
    """What cropping shares.

    Args:
        cropping: removed at the ends of a dimension: an int, an int a dimension, or a pair (before, after) a dimension.
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.

    Raises: ValueError when nothing would be left.
    """

    rank: ClassVar[int]
    data_format: str
    _crops: tuple[tuple[int, int], ...]

    def _set(self, crops: tuple[tuple[int, int], ...], data_format: str | None) -> None:
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)
        self._crops = crops
        spatial = tuple(slice(a, -b if b else None) for a, b in crops)
        first = (slice(None),) * (1 if self.data_format == "channels_last" else 2)
        self._slices = (*first, *spatial)

    def build(self, input_shape: Shape) -> None:
        first = 1 if self.data_format == "channels_last" else 2
        for n, (a, b) in zip(input_shape[first:], self._crops):
            if n is not None and a + b >= n:
                check.fail(self, f"cropping {self._crops} leaves nothing of an input of shape {tuple(input_shape)}")

    def call(self, inputs: TensorLike) -> Tensor:
        return ops.getitem(inputs, self._slices)


class Cropping1D(_Cropping):
    """A sequence without its ends; ``cropping`` is an int or a pair (before, after)."""

    rank = 1

    def __init__(self, cropping: _Ints = (1, 1), **kwargs: Any):
        super().__init__(**kwargs)
        self.cropping = check.ints(self, "cropping", cropping, 2, allow_zero=True)
        self._set((self.cropping,), "channels_last")  # type: ignore[arg-type]


class Cropping2D(_Cropping):
    """An image without its border."""

    rank = 2

    def __init__(self, cropping: _Pairs = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.cropping = _pairs(self, "cropping", cropping, 2)
        self._set(self.cropping, data_format)


class Cropping3D(_Cropping):
    """A volume without its border."""

    rank = 3

    def __init__(self, cropping: _Pairs = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.cropping = _pairs(self, "cropping", cropping, 3)
        self._set(self.cropping, data_format)


def _repeated(x: Tensor, size: Sequence[int], data_format: str) -> Tensor:
    first = 1 if data_format == "channels_last" else 2
    for axis, n in enumerate(size, first):
        if n > 1:
            x = ops.repeat(x, n, axis=axis)
    return x


class UpSampling1D(Layer):
    """Each step ``size`` times: (batch, steps, channels) -> (batch, steps * size, channels)."""

    def __init__(self, size: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = check.positive_int(self, "size", size)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: TensorLike) -> Tensor:
        return _repeated(inputs, (self.size,), "channels_last")


class UpSampling2D(Layer):
    """An image enlarged by whole factors.

    Args:
        size: the factor, or one for height and one for width.
        interpolation: ``"nearest"`` repeats pixels; or ``"bilinear"``, ``"bicubic"``, ``"lanczos3"``, ``"lanczos5"``.
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
    """

    def __init__(
        self,
        size: _Ints = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.size = check.ints(self, "size", size, 2)
        self.data_format = config.standardize_data_format(self, data_format)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = check.one_of(self, "interpolation", str(interpolation).lower(), known)
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: TensorLike) -> Tensor:
        if self.interpolation == "nearest":
            return _repeated(inputs, self.size, self.data_format)
        first = 1 if self.data_format == "channels_last" else 2
        size = tuple(n * k for n, k in zip(ops.shape(inputs)[first:], self.size))
        return ops.image.resize(inputs, size, interpolation=self.interpolation, data_format=self.data_format)


class UpSampling3D(Layer):
    """Each voxel repeated by whole factors.

    Args:
        size: the factor, or one for each dimension.
        data_format: ``"channels_last"``, ``"channels_first"``; ``None``: ``config.image_data_format()``.
    """

    def __init__(self, size: _Ints = (2, 2, 2), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = check.ints(self, "size", size, 3)
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=5)

    def call(self, inputs: TensorLike) -> Tensor:
        return _repeated(inputs, self.size, self.data_format)
