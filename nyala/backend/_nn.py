"""K's functions of networks: activations, losses, convolutions, padding, recurrence and random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nyala import activations, backends, ops, random
from nyala._typing import DType, Nest, Shape, Tensor, TensorLike
from nyala.backend._maths import repeat_elements
from nyala.base import check, config, tree
from nyala.base.variable import Variable
from nyala.ops import sigmoid, softplus, softsign, tanh

_Ints = int | Sequence[int]


def relu(x: TensorLike, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    return activations.relu(x, alpha, max_value, threshold)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    return ops.elu(x, alpha)


def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    return ops.softmax(x, axis)


def hard_sigmoid(x: TensorLike) -> Tensor:
    """Keras 2's: 0.2 x + 0.5 held between 0 and 1. That of Keras 3 has the slope 1/6."""
    return ops.clip(ops.multiply(x, 0.2) + 0.5, 0.0, 1.0)


def l2_normalize(x: TensorLike, axis: int | Sequence[int] | None = None) -> Tensor:
    """x divided by its norm along ``axis``."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-12))


def dropout(x: TensorLike, level: float, noise_shape: Shape | None = None, seed: int | None = None) -> Tensor:
    return random.dropout(x, level, noise_shape=noise_shape, seed=seed)


def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    return ops.binary_crossentropy(target, output, from_logits)


def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    return ops.categorical_crossentropy(target, output, from_logits, axis)


def sparse_categorical_crossentropy(
    target: TensorLike,
    output: TensorLike,
    from_logits: bool = False,
    axis: int = -1,
    ignore_class: int | None = None,
) -> Tensor:
    """Values of targets equal to ``ignore_class`` are 0."""
    target = ops.cast(target, "int32")
    if len(target.shape) == len(output.shape) and target.shape[-1] == 1:
        target = ops.squeeze(target, -1)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(target, output, from_logits, axis)
    kept = ops.not_equal(target, ignore_class)
    found = ops.sparse_categorical_crossentropy(ops.where(kept, target, 0), output, from_logits, axis)
    return ops.where(kept, found, ops.zeros_like(found))


def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    var: TensorLike,
    beta: TensorLike,
    gamma: TensorLike,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    flat = [None if p is None else ops.reshape(p, (-1,)) for p in (mean, var, beta, gamma)]
    return ops.batch_normalization(x, flat[0], flat[1], axis, flat[2], flat[3], epsilon)


def normalize_batch_in_training(
    x: TensorLike, gamma: TensorLike, beta: TensorLike, reduction_axes: Sequence[int], epsilon: float = 1e-3
) -> tuple[Tensor, Tensor, Tensor]:
    """The batch normalized over ``reduction_axes``, and its mean and variance."""
    mean, var = ops.moments(x, tuple(reduction_axes))
    wide = [i for i in range(len(x.shape)) if i not in {a % len(x.shape) for a in reduction_axes}]
    shape = tuple(x.shape[i] if i in wide else 1 for i in range(len(x.shape)))
    place = lambda p, default: default if p is None else ops.reshape(p, shape)  # noqa: E731
    scale = place(gamma, 1.0) * ops.rsqrt(ops.reshape(var, shape) + epsilon)
    return (x - ops.reshape(mean, shape)) * scale + place(beta, 0.0), mean, var


def bias_add(x: TensorLike, bias: TensorLike, data_format: str | None = None) -> Tensor:
    """``bias`` of shape (channels,), or of x's shape without the batch axis."""
    data_format = config.standardize_data_format("K.bias_add", data_format)
    if len(bias.shape) not in (1, len(x.shape) - 1):
        check.fail("K.bias_add", f"a bias of shape {tuple(bias.shape)} does not go with x of shape {tuple(x.shape)}")
    if data_format == "channels_first" and len(x.shape) > 2:
        extra = len(x.shape) - 2
        bias = ops.reshape(bias, (-1, *[1] * extra)) if len(bias.shape) == 1 else ops.moveaxis(bias, -1, 0)
    return ops.add(x, bias)


# -- convolution and images --------------------------------------------------------------------------------------------


def conv1d(
    x: TensorLike,
    kernel: TensorLike,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Tensor:
    if padding == "causal":
        left = int(dilation_rate) * (kernel.shape[0] - 1)
        time_last = config.standardize_data_format("K.conv1d", data_format) == "channels_first"
        x = ops.pad(x, ((0, 0), (0, 0), (left, 0)) if time_last else ((0, 0), (left, 0), (0, 0)))
        padding = "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(
    x: TensorLike,
    kernel: TensorLike,
    strides: _Ints = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = (1, 1),
) -> Tensor:
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(
    x: TensorLike,
    kernel: TensorLike,
    strides: _Ints = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = (1, 1, 1),
) -> Tensor:
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d_transpose(
    x: TensorLike,
    kernel: TensorLike,
    output_shape: Sequence[Any],
    strides: _Ints = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = (1, 1),
) -> Tensor:
    """``output_shape``: of the result, batch axis included; it settles the sizes that strides leave open."""
    return _conv_transpose(2, x, kernel, output_shape, strides, padding, data_format, dilation_rate)


def conv3d_transpose(
    x: TensorLike,
    kernel: TensorLike,
    output_shape: Sequence[Any],
    strides: _Ints = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    return _conv_transpose(3, x, kernel, output_shape, strides, padding, data_format, 1)


def _conv_transpose(
    rank: int, x: Any, kernel: Any, output_shape: Any, strides: Any, padding: str, data_format: Any, dilation: Any
) -> Tensor:
    data_format = config.standardize_data_format("K.conv_transpose", data_format)
    at = 1 if data_format == "channels_last" else 2
    steps = check.ints("K.conv_transpose", "strides", strides, rank)
    spread = check.ints("K.conv_transpose", "dilation_rate", dilation, rank)
    extra = []
    for i in range(rank):
        size, wanted, width = x.shape[at + i], output_shape[at + i], (kernel.shape[i] - 1) * spread[i] + 1
        least = (size - 1) * steps[i] + width - (2 * (width // 2) if padding == "same" else 0)
        extra.append(int(wanted) - least)
    if any(e < 0 for e in extra):
        check.fail(
            "K.conv_transpose", f"output_shape {tuple(output_shape)} is too small for x of shape {tuple(x.shape)}"
        )
    return ops.conv_transpose(x, kernel, steps, padding, tuple(extra), data_format, spread)


def depthwise_conv2d(
    x: TensorLike,
    depthwise_kernel: TensorLike,
    strides: _Ints = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = (1, 1),
) -> Tensor:
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(
    x: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: _Ints = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: _Ints = (1, 1),
) -> Tensor:
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv1d(
    x: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Tensor:
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate)


def pool2d(
    x: TensorLike,
    pool_size: _Ints,
    strides: _Ints = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    return pools[check.one_of("K.pool", "pool_mode", pool_mode, tuple(pools))](
        x, pool_size, strides, padding, data_format
    )


def pool3d(
    x: TensorLike,
    pool_size: _Ints,
    strides: _Ints = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    return pool2d(x, pool_size, strides, padding, data_format, pool_mode)


def resize_images(
    x: TensorLike, height_factor: int, width_factor: int, data_format: str | None, interpolation: str = "nearest"
) -> Tensor:
    data_format = config.standardize_data_format("K.resize_images", data_format)
    at = 1 if data_format == "channels_last" else 2
    size = (x.shape[at] * height_factor, x.shape[at + 1] * width_factor)
    return ops.image.resize(x, size, interpolation, data_format=data_format)


def resize_volumes(
    x: TensorLike, depth_factor: int, height_factor: int, width_factor: int, data_format: str | None
) -> Tensor:
    at = 1 if config.standardize_data_format("K.resize_volumes", data_format) == "channels_last" else 2
    for i, factor in enumerate((depth_factor, height_factor, width_factor)):
        x = repeat_elements(x, factor, at + i)
    return x


def temporal_padding(x: TensorLike, padding: Sequence[int] = (1, 1)) -> Tensor:
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def spatial_2d_padding(x: TensorLike, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    pairs = tuple(tuple(p) for p in padding)
    last = config.standardize_data_format("K.spatial_padding", data_format) == "channels_last"
    return ops.pad(x, ((0, 0), *pairs, (0, 0)) if last else ((0, 0), (0, 0), *pairs))


def spatial_3d_padding(
    x: TensorLike, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    return spatial_2d_padding(x, padding, data_format)


# -- sequences ---------------------------------------------------------------------------------------------------------


def rnn(
    step_function: Callable[..., Any],
    inputs: Nest,
    initial_states: Sequence[Tensor],
    go_backwards: bool = False,
    mask: Tensor | None = None,
    constants: Sequence[Tensor] | None = None,
    unroll: bool = False,
    input_length: int | None = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """``step_function(x_t, states) -> (output, new states)`` along the time axis.

    Args:
        inputs: (batch, time, ...), with ``time_major`` (time, batch, ...). initial_states: a list.
        mask: (batch, time): where it is false, states stay and the output is the one before, or zeros.
        constants: handed to each step behind the states. unroll: a Python loop in place of a compiled one.
        input_length: of no use; the time axis tells. return_all_outputs: else only the last output.
    Returns: the last output, all outputs (batch, time, ...), the last states.
    """
    if not time_major:
        inputs = tree.map(lambda x: ops.swapaxes(x, 0, 1), inputs)
        mask = None if mask is None else ops.swapaxes(mask, 0, 1)
    if mask is not None:
        mask = ops.cast(mask[..., 0] if len(mask.shape) == 3 else mask, "bool")
    if go_backwards:
        inputs = tree.map(lambda x: ops.flip(x, 0), inputs)
        mask = None if mask is None else ops.flip(mask, 0)
    step_function = backends.user_code(step_function)
    more = list(constants or ())
    start = [ops.convert_to_tensor(s) for s in initial_states]

    def choose(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
        for _ in range(len(new.shape) - 1):
            keep = ops.expand_dims(keep, -1)
        return ops.where(keep, new, old)

    def step(carry: Any, now: Any) -> Any:
        states, before = carry
        x, present = now
        output, new = step_function(x, [*states, *more])
        new = list(new)
        if present is not None:
            new = [choose(present, a, b) for a, b in zip(new, states)]
            output = choose(present, output, ops.zeros_like(output) if zero_output_for_mask else before)
        return (new, output if before is not None else None), output

    first = None
    if mask is not None:
        first = ops.zeros_like(step_function(tree.map(lambda x: x[0], inputs), [*start, *more])[0])
    carry: Any = (start, first)
    length = tree.flatten(inputs)[0].shape[0]
    if unroll:
        made = []
        for i in range(length):
            now = tree.map(lambda x: x[i], inputs), None if mask is None else mask[i]
            carry, output = step(carry, now)
            made.append(output)
        outputs = ops.stack(made)
    else:
        carry, outputs = ops.scan(step, carry, (inputs, mask))
    last = outputs[-1]
    if not return_all_outputs:
        outputs = ops.expand_dims(last, 0)
    return last, outputs if time_major else ops.swapaxes(outputs, 0, 1), list(carry[0])


def ctc_batch_cost(
    y_true: TensorLike, y_pred: TensorLike, input_length: TensorLike, label_length: TensorLike
) -> Tensor:
    """CTC loss of each sample; the last class is the blank.

    Shapes: labels (batch, n), probabilities (batch, time, classes), lengths (batch, 1) -> (batch, 1).
    """
    blank_first = ops.roll(ops.log(y_pred + config.epsilon()), 1, axis=-1)
    lengths = [ops.cast(ops.squeeze(n, -1), "int32") for n in (label_length, input_length)]
    loss = ops.ctc_loss(ops.cast(y_true, "int32") + 1, blank_first, *lengths, mask_index=0)
    return ops.expand_dims(loss, 1)


def ctc_decode(
    y_pred: TensorLike, input_length: TensorLike, greedy: bool = True, beam_width: int = 100, top_paths: int = 1
) -> tuple[list[Tensor], Tensor]:
    """The labels that probabilities (batch, time, classes) say, -1 behind their ends; and their scores.

    The last class is the blank.
    """
    found, scores = ops.ctc_decode(
        ops.log(y_pred + config.epsilon()),
        ops.cast(input_length, "int32"),
        strategy="greedy" if greedy else "beam_search",
        beam_width=beam_width,
        top_paths=1 if greedy else top_paths,
        mask_index=y_pred.shape[-1] - 1,
    )
    return [found[i] for i in range(found.shape[0])], scores


# -- random numbers ----------------------------------------------------------------------------------------------------


def random_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: int | None = None
) -> Tensor:
    return random.normal(shape, mean, stddev, dtype, seed)


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: DType = None, seed: int | None = None
) -> Tensor:
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def random_uniform(
    shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: DType = None, seed: int | None = None
) -> Tensor:
    return random.uniform(shape, minval, maxval, dtype, seed)


def random_bernoulli(shape: Sequence[int], p: float = 0.0, dtype: DType = None, seed: int | None = None) -> Tensor:
    """1 with probability p, else 0."""
    return ops.cast(random.uniform(shape, seed=seed) < p, dtype or config.floatx())


random_binomial = random_bernoulli


def random_normal_variable(
    shape: Sequence[int],
    mean: float,
    scale: float,
    dtype: DType = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    return Variable(random_normal(shape, mean, scale, dtype, seed), dtype=dtype or config.floatx(), name=name)


def random_uniform_variable(
    shape: Sequence[int],
    low: float,
    high: float,
    dtype: DType = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    return Variable(random_uniform(shape, low, high, dtype, seed), dtype=dtype or config.floatx(), name=name)


__all__ = [
    "batch_normalization", "bias_add", "binary_crossentropy", "categorical_crossentropy", "conv1d", "conv2d",
    "conv2d_transpose", "conv3d", "conv3d_transpose", "ctc_batch_cost", "ctc_decode", "depthwise_conv2d", "dropout",
    "elu", "hard_sigmoid", "l2_normalize", "normalize_batch_in_training", "pool2d", "pool3d", "random_bernoulli",
    "random_binomial", "random_normal", "random_normal_variable", "random_uniform", "random_uniform_variable", "relu",
    "resize_images", "resize_volumes", "rnn", "separable_conv1d", "separable_conv2d", "sigmoid", "softmax", "softplus",
    "softsign", "sparse_categorical_crossentropy", "spatial_2d_padding", "spatial_3d_padding", "tanh",
    "temporal_padding", "truncated_normal",
]  # fmt: skip
