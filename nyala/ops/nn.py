"""Activations, normalization and encodings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nyala import backends, ops
from nyala._typing import Axis, DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "batch_normalization",
    "binary_crossentropy",
    "categorical_crossentropy",
    "celu",
    "conv",
    "conv_transpose",
    "ctc_decode",
    "ctc_loss",
    "depth_to_space",
    "depthwise_conv",
    "dot_product_attention",
    "elu",
    "fold",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "layer_normalization",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "max_pool",
    "moments",
    "multi_hot",
    "normalize",
    "one_hot",
    "polar",
    "psnr",
    "relu",
    "relu6",
    "rms_normalization",
    "selu",
    "separable_conv",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "space_to_depth",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh_shrink",
    "threshold",
    "unfold",
]

# -- activations, elementwise ------------------------------------------------------------------------------------------


@op
def relu(x: TensorLike) -> Tensor:
    """max(x, 0)."""


@op("float")
def relu6(x: TensorLike) -> Tensor:
    """min(max(x, 0), 6)."""


@op("float")
def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x))."""


@op("float")
def softplus(x: TensorLike) -> Tensor:
    """log(1 + exp(x)), finite for every x."""


@op("float")
def softsign(x: TensorLike) -> Tensor:
    """x / (1 + abs(x))."""
    return x / (ops.absolute(x) + 1.0)


@op("float")
def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x); also called swish (https://arxiv.org/abs/1702.03118)."""


swish = silu


@op("float")
def log_sigmoid(x: TensorLike) -> Tensor:
    """log(sigmoid(x)) = -softplus(-x)."""
    return -softplus(-x)


@op("float")
def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """x where x >= 0, else negative_slope * x."""
    return ops.where(x >= 0.0, x, x * negative_slope)


@op("float")
def hard_sigmoid(x: TensorLike) -> Tensor:
    """relu6(x + 3) / 6."""
    return relu6(x + 3.0) / 6.0


@op("float")
def hard_silu(x: TensorLike) -> Tensor:
    """x * hard_sigmoid(x); also called hard_swish (https://arxiv.org/abs/1905.02244)."""
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@op("float")
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    return ops.where(x > 0.0, x, ops.expm1(ops.minimum(x, 0.0)) * alpha)


@op("float")
def selu(x: TensorLike) -> Tensor:
    """1.0507 * elu(x, 1.6733), which keeps mean 0 and variance 1 (https://arxiv.org/abs/1706.02515)."""
    return elu(x, 1.6732632423543772) * 1.0507009873554805


@op("float")
def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1)) (https://arxiv.org/abs/1704.07483)."""
    return ops.where(x > 0.0, x, ops.expm1(ops.minimum(x, 0.0) / alpha) * alpha)


@op("float")
def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """x * P(X <= x) for a standard normal X; by tanh if ``approximate`` (https://arxiv.org/abs/1606.08415)."""


@op("float")
def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """a * sigmoid(b) for the halves a, b of ``x`` along ``axis``."""
    a, b = ops.split(x, 2, axis)
    return a * sigmoid(b)


@op("float")
def tanh_shrink(x: TensorLike) -> Tensor:
    """x - tanh(x)."""
    return x - ops.tanh(x)


@op("float")
def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """sign(x) * max(abs(x) - threshold, 0)."""
    return relu(x - threshold) - relu(-x - threshold)


@op("float")
def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x where abs(x) > threshold, else 0."""
    return ops.where(ops.absolute(x) > threshold, x, 0.0)


@op("float")
def hard_tanh(x: TensorLike) -> Tensor:
    """min(max(x, -1), 1)."""
    return ops.clip(x, -1.0, 1.0)


@op
def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """x where x > threshold, else default_value."""
    return ops.where(ops.greater(x, threshold), x, default_value)


@op("float")
def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """(x + sqrt(x^2 + b)) / 2 (https://arxiv.org/abs/2112.11687)."""
    return (x + ops.sqrt(x * x + float(b))) * 0.5


@op("float")
def sparse_plus(x: TensorLike) -> Tensor:
    """0 for x <= -1, (x + 1)^2 / 4 up to 1, x from there on."""
    return ops.where(x >= 1.0, x, ops.square(ops.clip(x, -1.0, 1.0) + 1.0) * 0.25)


@op("float")
def sparse_sigmoid(x: TensorLike) -> Tensor:
    """min(max((x + 1) / 2, 0), 1)."""
    return ops.clip((x + 1.0) * 0.5, 0.0, 1.0)


# -- activations along an axis -----------------------------------------------------------------------------------------


@op("float")
def softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis`` (an int or several)."""


@op("float")
def log_softmax(x: TensorLike, axis: Axis = -1) -> Tensor:
    """x - log(sum(exp(x))) along ``axis`` (an int or several)."""


@op("float")
def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """The point of the probability simplex nearest to ``x``: max(x - tau, 0) (https://arxiv.org/abs/1602.02068)."""
    axis = axis % len(x.shape)
    falling = ops.flip(ops.sort(x, axis), axis)
    n = ops.shape(x)[axis]
    ranks = ops.cast(ops.arange(1, n + 1), ops.dtype(x))
    ranks = ops.reshape(ranks, [-1 if i == axis else 1 for i in range(len(x.shape))])
    in_support = ranks * falling + 1.0 > ops.cumsum(falling, axis)
    size = ops.sum(ops.cast(in_support, ops.dtype(x)), axis, keepdims=True)
    tau = (ops.sum(ops.where(in_support, falling, 0.0), axis, keepdims=True) - 1.0) / size
    return relu(x - tau)


# -- encodings ---------------------------------------------------------------------------------------------------------


@op
def one_hot(x: TensorLike, num_classes: int, axis: int = -1, dtype: DType = None, sparse: bool = False) -> Tensor:
    """1 at the index that ``x`` says and 0 elsewhere, along a new ``axis``; nothing but 0 for an index out of range.

    Raises: ValueError for ``sparse=True``.
    """
    _dense("one_hot", sparse)
    rank = len(x.shape) + 1
    axis = axis % rank
    if dtypes.is_float(ops.dtype(x)):
        x = ops.cast(x, "int32")
    classes = ops.reshape(
        ops.cast(ops.arange(num_classes), ops.dtype(x)), [num_classes if i == axis else 1 for i in range(rank)]
    )
    return ops.cast(ops.equal(ops.expand_dims(x, axis), classes), dtypes.standardize(dtype))


@op
def multi_hot(
    inputs: TensorLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DType = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """1 at every index that a row of ``inputs`` holds: (batch, ..., n) -> (batch, ..., num_classes).

    Raises: ValueError for ``sparse=True``; TypeError without ``num_classes`` (or ``num_tokens``, its old name).
    """
    _dense("multi_hot", sparse)
    num_classes = kwargs.pop("num_tokens", num_classes)
    check.no_extra("multi_hot", kwargs)
    if num_classes is None:
        check.fail("multi_hot", "num_classes must be given", TypeError)
    reduced = 1 if len(inputs.shape) > 1 else 0
    return ops.max(one_hot(inputs, num_classes, axis=axis, dtype=dtype), axis=reduced)


def _dense(who: str, sparse: bool) -> None:
    if sparse:
        check.fail(who, "sparse tensors are not made here; use sparse=False")


# -- products with a bias ----------------------------------------------------------------------------------------------


@op("same")
def affine(x: TensorLike, kernel: TensorLike, bias: TensorLike) -> Tensor:
    """x @ kernel + bias; one kernel where a backend has it."""
    return ops.add(ops.matmul(x, kernel), bias)


@op("same")
def einsum_affine(x: TensorLike, kernel: TensorLike, bias: TensorLike, equation: str) -> Tensor:
    """einsum(equation, x, kernel) + bias; one kernel where a backend has it and the equation is a product of matrices."""
    return ops.add(ops.einsum(equation, x, kernel), bias)


# -- normalization -----------------------------------------------------------------------------------------------------


def _wide(x: Tensor) -> Tensor:
    """Half floats as float32: their sums overflow and lose digits."""
    return ops.cast(x, "float32") if ops.dtype(x) in ("float16", "bfloat16") else x


@op("float")
def moments(
    x: TensorLike, axes: Sequence[int] | int, keepdims: bool = False, synchronized: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance over ``axes``, summed in float32 at least.

    ``synchronized``: over the batches of all replicas of a distributed run; one process sees the whole batch anyway.
    """
    wide = _wide(x)
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    mean = ops.mean(wide, axes, keepdims=True)
    variance = ops.mean(ops.square(wide - mean), axes, keepdims=keepdims)
    mean = mean if keepdims else ops.squeeze(mean, axes)
    share = backends.current().share()
    if synchronized and share != 1.0:
        parts = [mean * share, (variance + ops.square(mean)) * share]
        mean, square = backends.current().sum_over_replicas(parts)
        variance = square - ops.square(mean)
    return ops.cast(mean, ops.dtype(x)), ops.cast(variance, ops.dtype(x))


@op("float")
def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, the vectors lying along ``axis``."""
    shape = [1] * len(x.shape)
    shape[axis] = -1
    factor = ops.rsqrt(variance + epsilon)
    factor = factor if scale is None else factor * scale
    shift = -mean * factor if offset is None else offset - mean * factor
    return x * ops.reshape(factor, shape) + ops.reshape(shift, shape)


def _axes(x: Tensor, axis: Axis) -> tuple[int, ...]:
    axes = (axis,) if isinstance(axis, int) else tuple(axis or ())
    return tuple(sorted(a % len(x.shape) for a in axes))


def _along(x: Tensor, weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    """``weights`` of the shape that ``x`` has along ``axes``, ready to broadcast; others stay as they are."""
    rank = len(x.shape)
    if len(weights.shape) != len(axes) or axes == tuple(range(rank - len(axes), rank)):
        return weights
    return ops.reshape(weights, [ops.shape(x)[i] if i in axes else 1 for i in range(rank)])


@op("float")
def layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    axis: Axis = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta over ``axis`` (https://arxiv.org/abs/1607.06450)."""
    check.no_extra("layer_normalization", kwargs)
    axes, wide = _axes(x, axis), _wide(x)
    centred = wide - ops.mean(wide, axes, keepdims=True)
    variance = ops.mean(ops.square(centred), axes, keepdims=True)
    out = centred * ops.rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    out = out if gamma is None else out * _along(x, _wide(gamma), axes)
    out = out if beta is None else out + _along(x, _wide(beta), axes)
    return ops.cast(out, ops.dtype(x))


@op("float")
def rms_normalization(
    x: TensorLike, scale: TensorLike | None = None, axis: Axis = -1, epsilon: float | None = None
) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * scale over ``axis`` (https://arxiv.org/abs/1910.07467)."""
    axes, wide = _axes(x, axis), _wide(x)
    mean = ops.mean(ops.square(wide), axes, keepdims=True)
    out = wide * ops.rsqrt(mean + (config.epsilon() if epsilon is None else epsilon))
    out = out if scale is None else out * _along(x, _wide(scale), axes)
    return ops.cast(out, ops.dtype(x))


@op("float")
def normalize(x: TensorLike, axis: Axis = -1, order: float = 2, epsilon: float | None = None) -> Tensor:
    """``x`` divided by its norm of that order along ``axis``; a norm below ``epsilon`` counts as ``epsilon``."""
    check.number_in("normalize", "order", order, 1)
    least = config.epsilon() if epsilon is None else epsilon
    axis = _axes(x, axis)
    if order == 2:
        # The root is taken of what is away from 0, where its gradient would be infinite.
        wide = _wide(x)
        squares = ops.sum(ops.square(wide), axis, keepdims=True)
        return ops.cast(wide * ops.rsqrt(ops.maximum(squares, least**2)), ops.dtype(x))
    if order == math.inf:
        norm = ops.max(ops.absolute(x), axis, keepdims=True)
    else:
        powers = ops.sum(ops.power(ops.absolute(x), float(order)), axis, keepdims=True)
        norm = ops.power(powers, 1.0 / order)
    return x / ops.maximum(norm, least)


# -- images ------------------------------------------------------------------------------------------------------------


@op("float")
def psnr(x1: TensorLike, x2: TensorLike, max_val: float) -> Tensor:
    """Peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)).

    Raises: ValueError when the shapes differ.
    """
    if tuple(x1.shape) != tuple(x2.shape):
        check.fail("psnr", f"x1 and x2 must have one shape, got {tuple(x1.shape)} and {tuple(x2.shape)}")
    return 20.0 * math.log10(max_val) - ops.log10(ops.mean(ops.square(x1 - x2))) * 10.0


@op
def depth_to_space(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Channels laid out as blocks: (batch, h, w, b * b * c) -> (batch, h * b, w * b, c).

    With channels_first the order within the channels is (c, b, b).
    """
    last = config.standardize_data_format("depth_to_space", data_format) == "channels_last"
    b = check.positive_int("depth_to_space", "block_size", block_size)
    n, h, w, depth = _layout(x, last)
    if depth % (b * b):
        check.fail("depth_to_space", f"the channels must be a multiple of {b} * {b}, got {depth}")
    c = depth // (b * b)
    if last:
        x = ops.transpose(ops.reshape(x, (n, h, w, b, b, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h * b, w * b, c))
    x = ops.transpose(ops.reshape(x, (n, c, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(x, (n, c, h * b, w * b))


@op
def space_to_depth(x: TensorLike, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks stacked along the channels: (batch, h * b, w * b, c) -> (batch, h, w, b * b * c).

    With channels_first the order within the channels is (c, b, b).
    """
    last = config.standardize_data_format("space_to_depth", data_format) == "channels_last"
    b = check.positive_int("space_to_depth", "block_size", block_size)
    n, h, w, c = _layout(x, last)
    if h % b or w % b:
        check.fail("space_to_depth", f"height and width must be multiples of {b}, got {h} and {w}")
    h, w = h // b, w // b
    if last:
        x = ops.transpose(ops.reshape(x, (n, h, b, w, b, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h, w, b * b * c))
    x = ops.transpose(ops.reshape(x, (n, c, h, b, w, b)), (0, 1, 3, 5, 2, 4))
    return ops.reshape(x, (n, b * b * c, h, w))


def _layout(x: Tensor, channels_last: bool) -> tuple[Any, Any, Any, Any]:
    """Batch size, height, width and channels."""
    if len(x.shape) != 4:
        check.fail("depth_to_space", f"images must be a batch of rank 4, got shape {tuple(x.shape)}")
    n, *rest = ops.shape(x)
    return (n, *rest) if channels_last else (n, rest[1], rest[2], rest[0])


# What ``nyala.ops.nn`` has besides; these modules take from this one.
from nyala.ops.attention import dot_product_attention  # noqa: E402
from nyala.ops.conv import (  # noqa: E402
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    conv,
    conv_transpose,
    depthwise_conv,
    fold,
    max_pool,
    separable_conv,
    unfold,
)
from nyala.ops.elementwise import polar  # noqa: E402
from nyala.ops.loss import (  # noqa: E402
    binary_crossentropy,
    categorical_crossentropy,
    ctc_decode,
    ctc_loss,
    sparse_categorical_crossentropy,
)
