"""First values of weights.

Values are drawn on the host by one counter-based generator, so the same seed gives the same bits on every backend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from nyala import backends
from nyala._typing import Config, DType, Identifier, Tensor
from nyala.backends import dtypes
from nyala.base import check, configurable, draws, registry
from nyala.base.configurable import Configurable


class Initializer(Configurable):
    """Gives the first value of a weight from its shape and dtype.

    A subclass defines ``draw(shape, dtype) -> np.ndarray``, the same on every backend, or only
    ``__call__(shape, dtype)``.
    """

    role = "initializer"
    keras_module = "keras.initializers"
    draw: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__ and "draw" not in cls.__dict__:
            cls.draw = None  # else an inherited draw would hide the user's __call__

    def __call__(self, shape: Sequence[int], dtype: DType = None) -> Tensor:
        """A tensor of the current backend; ``dtype`` defaults to ``floatx()``."""
        draw = self.draw
        if draw is None:
            return check.fail(self, "define draw(shape, dtype) or __call__(shape, dtype)", NotImplementedError)
        dtype = dtypes.standardize(dtype)
        return backends.current().convert(draw(tuple(int(n) for n in shape), dtype), dtype)

    def clone(self) -> Self:
        return self.from_config(self.get_config())


class Zeros(Initializer, names=("zero",)):
    """All zeros."""

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return np.zeros(shape, dtypes.numpy_dtype(dtype))


class Ones(Initializer, names=("one",)):
    """All ones."""

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return np.ones(shape, dtypes.numpy_dtype(dtype))


class Constant(Initializer):
    """``value`` everywhere.

    Args: value: a number, or an array that broadcasts to the shape.
    """

    def __init__(self, value: Any = 0.0):
        self.value = value

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.value), shape).astype(dtypes.numpy_dtype(dtype))


class Identity(Initializer, names=("IdentityInitializer",)):
    """``gain`` on the main diagonal of a matrix, zeros elsewhere. Raises ValueError for shapes that are not 2D."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if len(shape) != 2:
            check.fail(self, f"the shape must have 2 axes, got {shape}; Orthogonal takes more")
        return (self.gain * np.eye(shape[0], shape[1])).astype(dtypes.numpy_dtype(dtype))


class _Random(Initializer):
    """Draws of a distribution.

    Args: seed: an int gives the same values at each call, a ``SeedGenerator`` new ones, ``None`` new ones from the
        global stream that ``set_random_seed`` starts.
    """

    config_order = ("seed",)

    def __init__(self, seed: Any = None):
        if seed is not None and not check.is_int(seed) and not hasattr(seed, "next"):
            check.fail(self, f"seed must be None, an int or a SeedGenerator, got {seed!r}")
        self.seed = seed

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if dtype not in dtypes.FLOATS:
            check.fail(self, f"the dtype must be a float, got {dtype!r}; use Zeros or Constant for others")
        return np.asarray(self.sample(shape)).astype(dtypes.numpy_dtype(dtype))

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError


class RandomNormal(_Random, names=("normal",)):
    """Normal with the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        return draws.normal(shape, self.mean, self.stddev, seed=self.seed)


class TruncatedNormal(RandomNormal):
    """Normal, drawn anew where it is more than two standard deviations from the mean."""

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        return draws.truncated_normal(shape, self.mean, self.stddev, seed=self.seed)


class RandomUniform(_Random, names=("uniform",)):
    """Uniform in ``[minval, maxval)``."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None):
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        return draws.uniform(shape, self.minval, self.maxval, seed=self.seed)


_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal truncated to [-2, 2]."""


class VarianceScaling(_Random):
    """Mean 0 and variance ``scale / n``, n being the fan in, the fan out or their mean: signals keep their size.

    Args:
        scale: positive.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (or "normal"), "untruncated_normal" or "uniform".
        input_axes, output_axes: the axes that a fan is the product of; given together. Default: the last axis but one
            and the last, each times the other axes (a convolution's window).
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ):
        super().__init__(seed)
        if scale <= 0:
            check.fail(self, f"scale must be positive, got {scale!r}")
        self.scale = scale
        self.mode = check.one_of(self, "mode", mode, ("fan_in", "fan_out", "fan_avg"))
        distribution = {"normal": "truncated_normal"}.get(str(distribution).lower(), distribution)
        self.distribution = check.one_of(
            self, "distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform")
        )
        if (input_axes is None) != (output_axes is None):
            check.fail(self, f"give both or neither of input_axes and output_axes, got {input_axes} and {output_axes}")
        self.input_axes = input_axes
        self.output_axes = output_axes

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        fan_in, fan_out = self.fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return draws.uniform(shape, -limit, limit, seed=self.seed)
        if self.distribution == "untruncated_normal":
            return draws.normal(shape, 0.0, math.sqrt(variance), seed=self.seed)
        return draws.truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED_STD, seed=self.seed)

    def fans(self, shape: tuple[int, ...]) -> tuple[int, int]:
        if self.input_axes is not None and self.output_axes is not None:
            return math.prod(shape[i] for i in self.input_axes), math.prod(shape[i] for i in self.output_axes)
        if len(shape) < 2:
            return math.prod(shape), math.prod(shape)
        window = math.prod(shape[:-2])
        return shape[-2] * window, shape[-1] * window


class _Law(VarianceScaling):
    law: ClassVar[tuple[float, str, str]]
    config_skip = frozenset({"scale", "mode", "distribution"})

    def __init__(
        self, seed: Any = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ):
        super().__init__(*self.law, seed=seed, input_axes=input_axes, output_axes=output_axes)


class GlorotUniform(_Law):
    """Uniform with variance 2 / (fan_in + fan_out). Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html"""

    law = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Law):
    """Truncated normal with variance 2 / (fan_in + fan_out). https://proceedings.mlr.press/v9/glorot10a.html"""

    law = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Law):
    """Uniform with variance 2 / fan_in. He et al. 2015, https://arxiv.org/abs/1502.01852"""

    law = (2.0, "fan_in", "uniform")


class HeNormal(_Law):
    """Truncated normal with variance 2 / fan_in. He et al. 2015, https://arxiv.org/abs/1502.01852"""

    law = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Law):
    """Uniform with variance 1 / fan_in. Klambauer et al. 2017, https://arxiv.org/abs/1706.02515"""

    law = (1.0, "fan_in", "uniform")


class LecunNormal(_Law):
    """Truncated normal with variance 1 / fan_in. Klambauer et al. 2017, https://arxiv.org/abs/1706.02515"""

    law = (1.0, "fan_in", "truncated_normal")


class Orthogonal(_Random, names=("OrthogonalInitializer",)):
    """``gain`` times a random matrix with orthonormal rows or columns, whichever are fewer.

    All axes but the last count as rows.
    Uniform over such matrices: QR of a normal one, signs taken from R's diagonal. Saxe et al. 2014,
    https://arxiv.org/abs/1312.6120. Raises ValueError for fewer than 2 axes.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None):
        super().__init__(seed)
        self.gain = gain

    def sample(self, shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) < 2:
            check.fail(self, f"the shape must have at least 2 axes, got {shape}")
        columns = list(shape)[-1]
        rows = math.prod(shape[:-1])
        q, r = np.linalg.qr(draws.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, seed=self.seed))
        q = q * np.sign(np.diag(r))
        return self.gain * (q.T if rows < columns else q).reshape(shape)


class STFT(Initializer, names=("STFTInitializer",)):
    """The windowed basis of a short-time Fourier transform, for a convolution: (frame_length, 1, fft_length // 2 + 1).

    Args:
        side: "real" for cosines, "imag" for negative sines.
        window: a name or tuple that ``scipy.signal.get_window`` knows, an array of frame_length values, or ``None``.
        scaling: "density" divides by sqrt(sum(window²)), "spectrum" by sum(window); only with a window.
        periodic: a window whose next period follows it without a repeated sample.

    Raises: ValueError for a shape that has not 3 axes.
    """

    config_order = ("side", "window", "periodic", "scaling")

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ):
        self.side = check.one_of(self, "side", side, ("real", "imag"))
        self.window = window
        self.scaling = check.one_of(self, "scaling", scaling, ("density", "spectrum", None))
        self.periodic = periodic

    def draw(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if len(shape) != 3:
            check.fail(self, f"the shape must be (frame_length, 1, fft_length // 2 + 1), got {shape}")
        frame, _, bins = shape
        angle = 2 * np.pi / (2 * (bins - 1)) * np.outer(np.arange(frame), np.arange(bins))
        wave = np.cos(angle) if self.side == "real" else -np.sin(angle)
        if self.window is not None:
            wave = wave * self.window_values(frame)[:, None]
        return np.broadcast_to(wave[:, None, :], shape).astype(dtypes.numpy_dtype(dtype))

    def window_values(self, frame: int) -> np.ndarray:
        from scipy.signal import get_window

        named = isinstance(self.window, (str, tuple))
        window = np.asarray(get_window(self.window, frame, fftbins=self.periodic) if named else self.window, "float64")
        if window.shape != (frame,):
            check.fail(self, f"the window must have {frame} values, got shape {window.shape}")
        sums = {"density": math.sqrt((window**2).sum()), "spectrum": window.sum(), None: 1.0}
        return window / sums[self.scaling]


IdentityInitializer = identity = Identity
OrthogonalInitializer = orthogonal = Orthogonal
STFTInitializer = stft = STFT
constant = Constant
zeros = Zeros
ones = Ones
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform


def get(identifier: Identifier) -> Any:
    """An initializer from a name, a config, a class, an object or a callable ``(shape, dtype)``; ``None`` stays."""
    return registry.get("initializer", identifier)


def serialize(initializer: Any) -> Config:
    return configurable.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="initializer")
