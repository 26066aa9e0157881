"""Normalization: over the batch, over a sample, over groups of channels, by length, and of a layer's kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nyala import initializers, ops
from nyala._typing import Identifier, Shape, Tensor, TensorLike
from nyala.base import check, config
from nyala.base.variable import Variable
from nyala.layers import _weights
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec
from nyala.layers.wrappers import Wrapper

_HALF = ("float16", "bfloat16")


class _Normalization(Layer):
    """A layer that scales by ``gamma`` and shifts by ``beta`` what it has normalized.

    Args:
        epsilon: added to the variance. center: whether ``beta`` is added. scale: whether ``gamma`` is multiplied by.

    Half precision inputs are normalized in float32, for their squares may overflow.
    """

    supports_masking = True

    def _set_weights(self, epsilon: float, center: bool, scale: bool, beta: Any, gamma: Any) -> None:
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        _weights.options(self, "beta", *beta)
        _weights.options(self, "gamma", *gamma)

    def _add_weights(self, shape: Shape, autocast: bool = True) -> None:
        self.gamma = _weights.add(self, "gamma", shape, autocast=autocast) if self.scale else None
        self.beta = _weights.add(self, "beta", shape, autocast=autocast) if self.center else None


class BatchNormalization(_Normalization):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta. Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167

    In training mean and variance are the batch's, and the moving ones follow: m = m * momentum + new * (1 - momentum).
    Otherwise, and when ``trainable`` is false, the moving ones are taken. With a mask only what is present counts.

    Args:
        axis: the axis that keeps its own statistics, usually the channels.
        momentum: of the moving statistics, in [0, 1]. epsilon: added to the variance.
        center, scale: whether ``beta`` is added, ``gamma`` multiplied by.
        synchronized: whether the replicas of a distributed run take the statistics of their batches together.
        renorm: whether training normalizes nearly as inference does: (x - mean) / stddev * r + d with r = stddev /
            renorm_stddev and d = (mean - renorm_mean) / renorm_stddev as constants. Ioffe 2017, https://arxiv.org/abs/1702.03275
        renorm_clipping: the limits ``rmax``, ``rmin`` of r and ``dmax`` of abs(d), each optional.
        renorm_momentum: of ``renorm_mean`` and ``renorm_stddev``, in [0, 1].

    Shapes: gamma, beta, moving_mean, moving_variance (channels,); with ``renorm`` moving_stddev, renorm_mean, renorm_stddev.
    """

    config_order = (
        *Layer.config_order, "axis", "momentum", "epsilon", "center", "scale", "beta_initializer",
        "gamma_initializer", "moving_mean_initializer", "moving_variance_initializer", "beta_regularizer",
        "gamma_regularizer", "beta_constraint", "gamma_constraint", "synchronized", "renorm",
    )  # fmt: skip

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        moving_mean_initializer: Identifier = "zeros",
        moving_variance_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(axis, (list, tuple)) and len(axis) == 1:  # as Keras 2 wrote it
            axis = axis[0]
        if not check.is_int(axis) or axis == 0:
            check.fail(self, f"axis must be an int other than 0, the batch, got {axis!r}")
        self.axis = axis
        self.momentum = check.number_in(self, "momentum", momentum, 0, 1)
        self.synchronized = bool(synchronized)
        self.renorm = bool(renorm)
        self.renorm_clipping = self._clipping(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = check.number_in(self, "renorm_momentum", renorm_momentum, 0, 1)
        beta = beta_initializer, beta_regularizer, beta_constraint
        gamma = gamma_initializer, gamma_regularizer, gamma_constraint
        self._set_weights(epsilon, center, scale, beta, gamma)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def _clipping(self, limits: Any) -> dict[str, float]:
        if limits is not None and not isinstance(limits, Mapping):
            check.fail(self, f"renorm_clipping must be a dict of rmax, rmin and dmax, got {limits!r}", TypeError)
        limits = dict(limits or {})
        for name in limits:
            check.one_of(self, "a key of renorm_clipping", name, ("rmax", "rmin", "dmax"))
        if limits.get("rmax", math.inf) <= limits.get("rmin", -math.inf):
            check.fail(self, f"rmax must be greater than rmin in renorm_clipping, got {limits}")
        return limits

    moving_mean: Variable
    moving_variance: Variable
    moving_stddev: Variable
    renorm_mean: Variable
    renorm_stddev: Variable

    def build(self, input_shape: Shape) -> None:
        ndim = len(input_shape)
        if not -ndim <= self.axis < ndim:
            check.fail(self, f"axis {self.axis} is not an axis of an input of shape {tuple(input_shape)}")
        shape = (input_shape[self.axis],)
        self._add_weights(shape, autocast=False)
        initial: dict[str, Any] = {n: getattr(self, f"{n}_initializer") for n in ("moving_mean", "moving_variance")}
        if self.renorm:
            initial |= {"moving_stddev": self._root, "renorm_mean": self.moving_mean_initializer}
            initial |= {"renorm_stddev": self._root}
        for name, initializer in initial.items():
            weight = self.add_weight(shape, initializer, trainable=False, autocast=False, aggregation="mean", name=name)
            setattr(self, name, weight)
        self.input_spec = InputSpec(ndim=ndim, axes={self.axis: shape[0]})
        self._reduced = tuple(i for i in range(ndim) if i != self.axis % ndim)

    def call(self, inputs: TensorLike, training: bool | None = None, mask: TensorLike = None) -> Tensor:
        half = self.compute_dtype in _HALF
        x = ops.cast(inputs, "float32") if half else inputs
        scale, offset = self.gamma, self.beta
        if training and self.trainable:
            if mask is None:
                mean, variance = ops.moments(x, self._reduced, synchronized=self.synchronized)
            else:
                mean, variance = self._masked_moments(x, mask)
            if self.renorm:
                scale, offset = self._renormalized(mean, variance)
            else:
                _follow(self.moving_variance, variance, self.momentum)
            _follow(self.moving_mean, mean, self.momentum)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        y = ops.batch_normalization(x, mean, variance, self.axis, offset, scale, self.epsilon)
        return ops.cast(y, self.compute_dtype) if half else y

    def _root(self, shape: Shape, dtype: Any = None) -> Tensor:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype))

    def _renormalized(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """``gamma`` and ``beta`` with r and d in them; the running statistics move on."""
        stddev = ops.sqrt(ops.add(variance, self.epsilon))
        r = ops.divide(stddev, self.renorm_stddev)
        d = ops.divide(ops.subtract(mean, self.renorm_mean), self.renorm_stddev)
        limits = self.renorm_clipping or {}
        r = ops.stop_gradient(ops.clip(r, limits.get("rmin", 0.0), limits.get("rmax", math.inf)))
        most = limits.get("dmax", math.inf)
        d = ops.stop_gradient(ops.clip(d, -most, most))
        _follow(self.renorm_mean, mean, self.renorm_momentum)
        _follow(self.renorm_stddev, stddev, self.renorm_momentum)
        _follow(self.moving_stddev, stddev, self.momentum)
        self.moving_variance.assign(ops.subtract(ops.square(self.moving_stddev), self.epsilon))
        if self.gamma is not None:
            r, d = ops.multiply(r, self.gamma), ops.multiply(d, self.gamma)
        return r, d if self.beta is None else ops.add(d, self.beta)

    def _masked_moments(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        weights = ops.cast(mask, x.dtype)
        for _ in range(len(x.shape) - len(weights.shape)):
            weights = ops.expand_dims(weights, -1)
        weights = ops.broadcast_to(weights, ops.shape(x))
        total = ops.maximum(ops.sum(weights, self._reduced, keepdims=True), config.epsilon())
        mean = ops.divide(ops.sum(ops.multiply(weights, x), self._reduced, keepdims=True), total)
        squares = ops.multiply(weights, ops.square(ops.subtract(x, mean)))
        variance = ops.divide(ops.sum(squares, self._reduced, keepdims=True), total)
        return ops.squeeze(mean, self._reduced), ops.squeeze(variance, self._reduced)


def _follow(moving: Variable, now: Tensor, momentum: float) -> None:
    moving.assign(ops.add(ops.multiply(moving, momentum), ops.multiply(now, 1 - momentum)))


class LayerNormalization(_Normalization):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta over the given axes of each sample.

    Ba et al. 2016, https://arxiv.org/abs/1607.06450

    Args:
        axis: the axis or axes over which mean and variance are taken.
        rms_scaling: y = gamma * x / sqrt(variance + epsilon), whatever ``center`` and ``scale`` say.

    Shapes: gamma, beta: the input's sizes along ``axis``.
    """

    config_order = (*Layer.config_order, "axis", "epsilon", "center", "scale", "rms_scaling")

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.axis = axis if check.is_int(axis) else list(axis)  # type: ignore[arg-type]
        self.rms_scaling = rms_scaling
        beta = beta_initializer, beta_regularizer, beta_constraint
        gamma = gamma_initializer, gamma_regularizer, gamma_constraint
        self._set_weights(epsilon, center, scale, beta, gamma)

    def build(self, input_shape: Shape) -> None:
        self._axes = _axes(self, self.axis, input_shape)
        shape = tuple(input_shape[i] for i in self._axes)
        if self.rms_scaling:
            self.gamma = _weights.add(self, "gamma", shape)
            self._broadcast = tuple(n if i in self._axes else 1 for i, n in enumerate(input_shape))
        else:
            self._add_weights(shape)

    def call(self, inputs: TensorLike) -> Tensor:
        if not self.rms_scaling:
            return ops.layer_normalization(inputs, self.gamma, self.beta, self._axes, self.epsilon)
        _, variance = ops.moments(inputs, self._axes, keepdims=True)
        y = ops.multiply(inputs, ops.rsqrt(ops.add(variance, self.epsilon)))
        return ops.multiply(y, ops.reshape(self.gamma, self._broadcast))


def _axes(layer: Layer, axis: int | Sequence[int], input_shape: Shape) -> tuple[int, ...]:
    """``axis`` as sorted numbers >= 0. Raises ValueError for an axis that the input does not have."""
    ndim = len(input_shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    if not axes or not all(-ndim <= a < ndim for a in axes):
        check.fail(layer, f"axis {axis} is not part of an input of shape {tuple(input_shape)}")
    return tuple(sorted(a % ndim for a in axes))


class RMSNormalization(Layer):
    """y = scale * x / sqrt(mean(x^2) + epsilon). Zhang & Sennrich 2019, https://arxiv.org/abs/1910.07467

    Args: axis: the axis or axes over which the mean is taken. epsilon: added to the mean.

    Shapes: scale: the input's sizes along ``axis``.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        self._axes = _axes(self, self.axis, input_shape)
        self.scale = self.add_weight([input_shape[i] for i in self._axes], "ones", name="scale")

    def call(self, x: TensorLike) -> Tensor:
        return ops.rms_normalization(x, self.scale, self._axes, self.epsilon)


class GroupNormalization(_Normalization):
    """Normalizes each sample's channels in groups: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta.

    Wu & He 2018, https://arxiv.org/abs/1803.08494

    Args:
        groups: number of groups, a divisor of the channels; 1: all together, -1: each channel by itself.
        axis: of the channels.

    Shapes: gamma, beta (channels,).
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.groups = groups if groups == -1 else check.positive_int(self, "groups", groups)
        self.axis = axis
        beta = beta_initializer, beta_regularizer, beta_constraint
        gamma = gamma_initializer, gamma_regularizer, gamma_constraint
        self._set_weights(epsilon, center, scale, beta, gamma)

    def build(self, input_shape: Shape) -> None:
        ndim = len(input_shape)
        (axis,) = _axes(self, self.axis, input_shape)
        channels = input_shape[axis]
        if channels is None or axis == 0:
            check.fail(self, f"axis {self.axis} must be a channel axis of known size, got shape {tuple(input_shape)}")
        if self.groups != -1 and channels % self.groups:
            check.fail(self, f"groups must divide the {channels} channels of the input, got {self.groups}")
        groups = channels if self.groups == -1 else self.groups
        self._add_weights((channels,), autocast=False)
        self._split = (axis, groups, channels // groups)
        self._reduced = tuple(i for i in range(1, ndim + 1) if i != axis)
        self._broadcast = tuple(channels if i == axis else 1 for i in range(ndim))
        self.input_spec = InputSpec(ndim=ndim, axes={self.axis: channels})

    def call(self, inputs: TensorLike) -> Tensor:
        half = self.compute_dtype in _HALF
        x = ops.cast(inputs, "float32") if half else inputs
        shape = ops.shape(x)
        axis, groups, size = self._split
        x = ops.reshape(x, (*shape[:axis], groups, size, *shape[axis + 1 :]))
        mean, variance = ops.moments(x, self._reduced, keepdims=True)
        x = ops.multiply(ops.subtract(x, mean), ops.rsqrt(ops.add(variance, self.epsilon)))
        y = ops.reshape(x, shape)
        if self.gamma is not None:
            y = ops.multiply(y, ops.reshape(self.gamma, self._broadcast))
        if self.beta is not None:
            y = ops.add(y, ops.reshape(self.beta, self._broadcast))
        return ops.cast(y, self.compute_dtype) if half else y


class UnitNormalization(Layer):
    """y = x / |x| along ``axis``, an axis or several; zeros stay zeros."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis if check.is_int(axis) else list(axis)  # type: ignore[arg-type]

    def call(self, inputs: TensorLike) -> Tensor:
        squares = ops.sum(
            ops.square(inputs), self.axis if isinstance(self.axis, int) else tuple(self.axis), keepdims=True
        )
        return ops.multiply(inputs, ops.rsqrt(ops.maximum(squares, 1e-12)))


class SpectralNormalization(Wrapper):
    """Divides the kernel of ``layer`` by its largest singular value, so that no distance grows.

    Power iteration, Miyato et al. 2018, https://arxiv.org/abs/1802.05957; in training the kernel itself is replaced.

    Args: layer: has a ``kernel`` or ``embeddings``. power_iterations: steps a call, a positive int.
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.power_iterations = check.positive_int(self, "power_iterations", power_iterations)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        kernel = getattr(self.layer, "kernel", None)
        kernel = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if kernel is None:
            check.fail(self, f"{check.who(self.layer)} has neither a kernel nor embeddings")
        self.kernel: Any = kernel
        self.vector_u = self.add_weight(
            (1, self.kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), trainable=False, name="vector_u"
        )

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if training:
            kernel = self.kernel.value
            matrix = ops.reshape(kernel, (-1, self.kernel.shape[-1]))
            u = self.vector_u.value
            for _ in range(self.power_iterations):
                v = ops.normalize(ops.matmul(u, ops.transpose(matrix)), axis=-1)
                u = ops.normalize(ops.matmul(v, matrix), axis=-1)
            sigma = ops.matmul(ops.matmul(v, matrix), ops.transpose(u))
            self.vector_u.assign(u)
            self.kernel.assign(ops.divide(kernel, ops.reshape(sigma, (1,) * len(self.kernel.shape))))
        return self.layer(inputs)
