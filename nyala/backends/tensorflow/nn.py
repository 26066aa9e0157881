"""Convolution, pooling, activations and optimizer kernels on TensorFlow."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import ResourceVariable

from nyala._typing import Axis, Tensor
from nyala.backends.tensorflow.arguments import dims
from nyala.base import scope
from nyala.base.variable import Variable

_Ints = tuple[int, ...]


# -- convolution -------------------------------------------------------------------------------------------------------
#
# TF's CPU kernels know channels_last alone; other layouts are transposed, which TF's graph optimizer undoes on a GPU.


def _channels_last(fn: Callable[..., Tensor], at: int = 3) -> Callable[..., Tensor]:
    """``fn(x, *args)`` for channels_last as one that is given ``data_format`` too, after ``at`` other arguments."""

    def run(x: Tensor, *args: Any) -> Tensor:
        rest = args[:at] + args[at + 1 :]
        if args[at] == "channels_last":
            return fn(x, *rest)
        rank = len(x.shape)
        out = fn(tf.transpose(x, [0, *range(2, rank), 1]), *rest)
        return tf.transpose(out, [0, rank - 1, *range(1, rank - 1)])

    return run


def _reach(window: Sequence[int], dilation: _Ints) -> _Ints:
    return tuple(d * (k - 1) + 1 for k, d in zip(window, dilation))


def _pad_same(x: Tensor, reach: _Ints, strides: _Ints) -> Tensor:
    widths = []
    for n, r, s in zip(dims(x)[1:-1], reach, strides):
        total = max(r - s if n % s == 0 else r - n % s, 0) if isinstance(n, int) else tf.maximum(
            tf.where(n % s == 0, r - s, r - n % s), 0
        )  # fmt: skip
        widths.append((total // 2, total - total // 2))
    return tf.pad(x, [(0, 0), *widths, (0, 0)])


def _conv(inputs: Tensor, kernel: Tensor, strides: _Ints, padding: str, dilation: _Ints) -> Tensor:
    rank = len(strides)
    groups = inputs.shape[-1] // kernel.shape[-2]
    if groups == 1:
        if rank == 2 and max(dilation) == 1:
            return tf.nn.conv2d(inputs, kernel, strides, padding.upper())
        layout = ("NWC", "NHWC", "NDHWC")[rank - 1]
        return tf.nn.convolution(inputs, kernel, strides, padding.upper(), layout, dilation)
    if groups == inputs.shape[-1] and rank < 3:
        multiplier = kernel.shape[-1] // groups
        return _depthwise(
            inputs, tf.reshape(kernel, (*kernel.shape[:-2], groups, multiplier)), strides, padding, dilation
        )
    # TF's CPU has no gradient for convolutions in groups.
    parts = zip(tf.split(inputs, groups, -1), tf.split(kernel, groups, -1))
    return tf.concat([_conv(x, k, strides, padding, dilation) for x, k in parts], -1)


def _depthwise(inputs: Tensor, kernel: Tensor, strides: _Ints, padding: str, dilation: _Ints) -> Tensor:
    if len(strides) == 1:
        out = _depthwise(inputs[:, None], kernel[None], strides * 2, padding, (1, *dilation))
        return tf.squeeze(out, 1)
    if strides[0] == strides[1]:
        return tf.nn.depthwise_conv2d(inputs, kernel, [1, *strides, 1], padding.upper(), dilations=dilation)
    # TF's kernel has one stride for both axes: what a smaller one gives is thinned out.
    step = math.gcd(*strides)
    if padding == "same":
        inputs = _pad_same(inputs, _reach(kernel.shape[:2], dilation), strides)
    out = tf.nn.depthwise_conv2d(inputs, kernel, [1, step, step, 1], "VALID", dilations=dilation)
    return out[:, :: strides[0] // step, :: strides[1] // step]


def _conv_transpose(
    inputs: Tensor, kernel: Tensor, strides: _Ints, padding: str, output_padding: _Ints | None, dilation: _Ints
) -> Tensor:
    sizes = dims(inputs)
    reach = _reach(kernel.shape[:-2], dilation)
    if output_padding is None:
        before = [max(r - s, 0) // 2 if padding == "same" else 0 for r, s in zip(reach, strides)]
        out = [n * s + (0 if padding == "same" else max(r - s, 0)) for n, r, s in zip(sizes[1:-1], reach, strides)]
    else:
        cuts = [(2 * (r // 2) if padding == "same" else 0) - p for r, p in zip(reach, output_padding)]
        before = [max(c, 0) // 2 for c in cuts]
        out = [(n - 1) * s + r - c for n, s, r, c in zip(sizes[1:-1], strides, reach, cuts)]
    full = [(n - 1) * s + r for n, s, r in zip(sizes[1:-1], strides, reach)]
    spread = _transposed(inputs, kernel, strides, full, dilation)
    # The gradient of the padding is a cut; where the result is longer than what the inputs reach, zeros follow.
    cut = tf.slice(spread, [0, *before, 0], [-1, *(_least(o, f - b) for o, f, b in zip(out, full, before)), -1])
    missing = [_positive(o - (f - b)) for o, f, b in zip(out, full, before)]
    if any(not isinstance(m, int) or m for m in missing):
        cut = tf.pad(cut, [(0, 0), *((0, m) for m in missing), (0, 0)])
    return cut


def _least(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else tf.minimum(a, b)


def _positive(n: Any) -> Any:
    return max(n, 0) if isinstance(n, int) else tf.maximum(n, 0)


def _transposed(inputs: Tensor, kernel: Tensor, strides: _Ints, full: list[Any], dilation: _Ints) -> Tensor:
    if max(dilation) > 1:
        kernel, dilation = _dilated(kernel, dilation), (1,) * len(dilation)
    shape = tf.stack([dims(inputs)[0], *full, kernel.shape[-2]])
    out = tf.nn.conv_transpose(inputs, kernel, shape, strides, "VALID")
    return tf.ensure_shape(out, [inputs.shape[0], *(n if isinstance(n, int) else None for n in full), kernel.shape[-2]])


def _dilated(kernel: Tensor, dilation: _Ints) -> Tensor:
    """Zeros between the taps: TF's transposed convolution has no dilation on a CPU."""
    for axis, d in enumerate(dilation):
        if d > 1:
            shape = list(kernel.shape)
            wide = tf.expand_dims(kernel, axis + 1)
            wide = tf.pad(wide, [(0, d - 1) if i == axis + 1 else (0, 0) for i in range(len(shape) + 1)])
            shape[axis] *= d
            wide = tf.reshape(wide, shape)
            kernel = wide[(slice(None),) * axis + (slice(0, shape[axis] - d + 1),)]
    return kernel


def _pool(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(inputs: Tensor, pool_size: _Ints, strides: _Ints, padding: str) -> Tensor:
        if inputs.dtype.is_integer and inputs.dtype != tf.int32:
            return tf.cast(run(tf.cast(inputs, tf.int32), pool_size, strides, padding), inputs.dtype)
        if len(pool_size) == 3 and inputs.dtype == tf.float16:  # no such kernel on the CPU
            return tf.cast(run(tf.cast(inputs, tf.float32), pool_size, strides, padding), tf.float16)
        if len(pool_size) == 1:
            out = fn(inputs[:, None], (1, *pool_size), (1, *strides), padding.upper())
            return tf.squeeze(out, 1)
        layout = "NDHWC" if len(pool_size) == 3 else "NHWC"  # given, for the eager gradient in 3D does not know it
        return fn(inputs, pool_size, strides, padding.upper(), data_format=layout)

    return run


# -- activations and losses --------------------------------------------------------------------------------------------


def _relu(x: Tensor) -> Tensor:
    return (
        tf.nn.relu(x)
        if x.dtype.is_floating or x.dtype.is_integer
        else tf.cast(tf.nn.relu(tf.cast(x, tf.int32)), x.dtype)
    )


def _along(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Softmax over one axis or several."""

    def run(x: Tensor, axis: Axis = -1) -> Tensor:
        if isinstance(axis, int):
            return fn(x, axis)
        rank = len(x.shape)
        axes = list(range(rank)) if axis is None else [a % rank for a in axis]
        others = [i for i in range(rank) if i not in axes]
        perm = [*others, *axes]
        moved = tf.transpose(x, perm)
        shape = dims(moved)
        out = fn(tf.reshape(moved, [*shape[: len(others)], -1]), -1)
        return tf.transpose(tf.reshape(out, shape), [perm.index(i) for i in range(rank)])

    return run


NN_NATIVES: dict[str, Callable[..., Any]] = {
    "_conv": _channels_last(_conv),
    "_depthwise_conv": _channels_last(_depthwise),
    "_conv_transpose": _channels_last(_conv_transpose, 4),
    "_max_pool": _channels_last(_pool(tf.nn.max_pool)),
    "_average_pool": _channels_last(_pool(tf.nn.avg_pool)),
    "elu": lambda x, alpha=1.0: (
        tf.nn.elu(x) if alpha == 1.0 else tf.where(x > 0, x, tf.math.expm1(tf.minimum(x, 0)) * alpha)
    ),
    "gelu": lambda x, approximate=True: tf.nn.gelu(x, approximate),
    "leaky_relu": lambda x, negative_slope=0.2: tf.nn.leaky_relu(x, negative_slope),
    "log_softmax": _along(tf.nn.log_softmax),
    "relu": _relu,
    "relu6": tf.nn.relu6,
    "selu": tf.nn.selu,
    "sigmoid": tf.sigmoid,
    "silu": lambda x: tf.nn.silu(x),
    "softmax": _along(tf.nn.softmax),
    "softplus": tf.math.softplus,
    "softsign": tf.nn.softsign,
}


# -- optimizer kernels -------------------------------------------------------------------------------------------------


def _in_place(variables: Sequence[Variable]) -> bool:
    """Whether the kernels may write the storage: not where a scope holds the values or replicas share them."""
    return scope.local.scope is None and all(type(v._storage) is _STORAGE and v.dtype in _KERNELS for v in variables)


_KERNELS = frozenset({"float32", "float64"})
_STORAGE: Any = ResourceVariable  # what tf.Variable makes outside the scope of a strategy


def _sgd(
    variables: Sequence[Variable],
    gradients: Sequence[Tensor],
    slots: dict[str, list[Variable]],
    *,
    learning_rate: Any,
    iterations: Any,
    momentum: float = 0.0,
    nesterov: bool = False,
    **hyper: Any,
) -> bool:
    """w -= lr * g; with momentum m = momentum * m - lr * g, w += m (or momentum * m - lr * g if ``nesterov``)."""
    if not _in_place(variables):
        return False
    for i, (v, g) in enumerate(zip(variables, gradients)):
        lr = tf.cast(learning_rate, g.dtype)
        if not momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=v._storage.handle, alpha=lr, delta=g)
        else:
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=v._storage.handle, accum=slots["momentums"][i]._storage.handle, lr=lr, grad=g,
                momentum=tf.cast(momentum, g.dtype), use_nesterov=nesterov,
            )  # fmt: skip
    return True


def _adam(
    variables: Sequence[Variable],
    gradients: Sequence[Tensor],
    slots: dict[str, list[Variable]],
    *,
    learning_rate: Any,
    iterations: Any,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float = 0.0,
) -> bool:
    """w -= lr * decay * w; w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon) with t = iterations + 1."""
    if amsgrad or not _in_place(variables):
        return False
    powers: dict[Any, tuple[Tensor, Tensor]] = {}
    for v, g, m, n in zip(variables, gradients, slots["momentums"], slots["velocities"]):
        kind = g.dtype
        if kind not in powers:
            t = tf.cast(iterations, kind) + 1
            powers[kind] = tf.pow(tf.cast(beta_1, kind), t), tf.pow(tf.cast(beta_2, kind), t)
        first, second = powers[kind]
        if weight_decay:
            v._storage.assign_sub(v._storage * (tf.cast(learning_rate, kind) * weight_decay))
        tf.raw_ops.ResourceApplyAdam(
            var=v._storage.handle, m=m._storage.handle, v=n._storage.handle, beta1_power=first, beta2_power=second,
            lr=tf.cast(learning_rate, kind), beta1=tf.cast(beta_1, kind), beta2=tf.cast(beta_2, kind),
            epsilon=tf.cast(epsilon, kind), grad=g,
        )  # fmt: skip
    return True


def _decoupled(update: Callable[..., bool]) -> Callable[..., bool]:
    """``update`` after w *= 1 - lr * weight_decay."""

    def run(variables: Sequence[Variable], *args: Any, learning_rate: Any, weight_decay: float, **kwargs: Any) -> bool:
        if kwargs.get("amsgrad") or not _in_place(variables):
            return False
        for v in variables:
            v._storage.assign_sub(v._storage * tf.cast(learning_rate * weight_decay, v.dtype), read_value=False)
        return update(variables, *args, learning_rate=learning_rate, **kwargs)

    return run


FUSED_UPDATES: dict[str, Callable[..., bool]] = {
    "adam": _adam,
    "adamw": _decoupled(_adam),
    "sgd": _sgd,
    "sgdw": _decoupled(_sgd),
}
