"""Layers that act in training only: dropout and noise; and the penalty on activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import ops, random, regularizers
from nyala._typing import Tensor, TensorLike
from nyala.base import check, config
from nyala.base.seeds import SeedGenerator
from nyala.layers.base import Layer
from nyala.layers.input_spec import InputSpec


def _noise_shape(inputs: Tensor, shape: Sequence[int | None] | None) -> tuple[Any, ...]:
    """``shape`` with the input's sizes for ``None``."""
    own = ops.shape(inputs)
    return own if shape is None else tuple(n if m is None else m for m, n in zip(shape, own))


class _Noise(Layer):
    """Base of the layers that draw random numbers in training; with a ``rate`` or ``stddev`` of 0 they draw none.

    Args: seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    supports_masking = True

    def _set_seed(self, seed: Any, needed: bool) -> None:
        self.seed = seed
        self.seed_generator = SeedGenerator(seed) if needed and not isinstance(seed, SeedGenerator) else seed
        self._active = needed


class Dropout(_Noise):
    """Sets a random part of the input to 0 in training and divides the rest by 1 - rate.

    Args:
        rate: the part, in [0, 1].
        noise_shape: of the random mask, broadcast to the input; ``None`` entries take the input's size.
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    config_order = (*Layer.config_order, "rate", "seed", "noise_shape")

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check.number_in(self, "rate", rate, 0, 1)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self._set_seed(seed, rate > 0)

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if not training or not self._active:
            return inputs
        shape = self.noise_shape and _noise_shape(inputs, self.noise_shape)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)


class _SpatialDropout(_Noise):
    """Dropout of whole channels.

    Args:
        rate: the part of the channels that is set to 0, in [0, 1].
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    rank: ClassVar[int]
    config_order = ("rate", "seed", "name", "dtype")
    config_skip = frozenset({"trainable"})

    def _set(self, rate: float, seed: Any, data_format: str | None) -> None:
        self.rate = check.number_in(self, "rate", rate, 0, 1)
        self._set_seed(seed, rate > 0)
        self.data_format = config.standardize_data_format(self, data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if not training or not self._active:
            return inputs
        batch, *rest = ops.shape(inputs)
        ones = (1,) * self.rank
        shape = (batch, *ones, rest[-1]) if self.data_format == "channels_last" else (batch, rest[0], *ones)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def config_value(self, name: str) -> Any:
        return self.dtype_policy.name if name == "dtype" else super().config_value(name)


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of a sequence (batch, steps, channels)."""

    rank = 1

    def __init__(self, rate: float, seed: Any = None, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self._set(rate, seed, "channels_last")


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of an image."""

    rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._set(rate, seed, data_format)


class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of a volume."""

    rank = 3

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: Any = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._set(rate, seed, data_format)


class GaussianNoise(_Noise):
    """x + noise in training, noise ~ N(0, stddev^2).

    Args: stddev: in [0, 1]. seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    def __init__(self, stddev: float, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.stddev = check.number_in(self, "stddev", stddev, 0, 1)
        self._set_seed(seed, stddev > 0)

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if not training or not self._active:
            return inputs
        noise = random.normal(ops.shape(inputs), stddev=self.stddev, dtype=self.compute_dtype, seed=self.seed_generator)
        return ops.add(inputs, noise)


class GaussianDropout(_Noise):
    """x * noise in training, noise ~ N(1, rate / (1 - rate)). Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html

    Args: rate: in [0, 1). seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    def __init__(self, rate: float, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check.number_in(self, "rate", rate, 0, 1, open_high=True)
        self._set_seed(seed, rate > 0)

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if not training or not self._active:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        noise = random.normal(ops.shape(inputs), 1.0, stddev, dtype=self.compute_dtype, seed=self.seed_generator)
        return ops.multiply(inputs, noise)


class AlphaDropout(_Noise):
    """Dropout that keeps mean and variance of SELU's outputs: what is dropped takes SELU's limit, then all is scaled.

    Klambauer et al. 2017, https://arxiv.org/abs/1706.02515

    Args:
        rate: the part that is dropped, in [0, 1).
        noise_shape: of the random mask, broadcast to the input; ``None`` entries take the input's size.
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    config_order = (*Layer.config_order, "rate", "seed", "noise_shape")
    _LIMIT = -1.0507009873554805 * 1.6732632423543772

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = check.number_in(self, "rate", rate, 0, 1, open_high=True)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self._set_seed(seed, rate > 0)

    def call(self, inputs: TensorLike, training: bool | None = False) -> Tensor:
        if not training or not self._active:
            return inputs
        shape = _noise_shape(inputs, self.noise_shape)
        drawn = random.uniform(shape, dtype=self.compute_dtype, seed=self.seed_generator)
        scale = ((1 - self.rate) * (1 + self.rate * self._LIMIT**2)) ** -0.5
        kept = ops.where(ops.greater_equal(drawn, self.rate), inputs, self._LIMIT)
        return ops.add(ops.multiply(kept, scale), -scale * self._LIMIT * self.rate)


class ActivityRegularization(Layer):
    """Passes its input on and adds l1 * sum|x| + l2 * sum(x^2), over the batch size, to the loss.

    Args: l1, l2: factors, >= 0.
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = check.number_in(self, "l1", l1, 0)
        self.l2 = check.number_in(self, "l2", l2, 0)

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k != "activity_regularizer"}

    def call(self, inputs: Any) -> Any:
        return inputs
