"""Random tensors.

``seed``: an int gives the same values each time, a ``SeedGenerator`` the next ones of its stream, ``None`` those of the
global stream (``nyala.utils.set_random_seed``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check
from nyala.base.seeds import SeedGenerator, draw_seed
from nyala.ops._op import op

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]

_Shape = Sequence[Any]
_Seed = int | SeedGenerator | None

# -- the backends' generators: ``seed`` is a uint32 tensor of shape (2,) -----------------------------------------------


@op
def _uniform(shape: _Shape, seed: TensorLike, dtype: str) -> Tensor:
    """In [0, 1)."""


@op
def _normal(shape: _Shape, seed: TensorLike, dtype: str) -> Tensor:
    """Mean 0, standard deviation 1."""


@op
def _truncated_normal(shape: _Shape, seed: TensorLike, dtype: str) -> Tensor:
    """Normal given that it lies in [-2, 2]."""


@op
def _randint(shape: _Shape, low: Any, high: Any, seed: TensorLike, dtype: str) -> Tensor:
    """Ints in [low, high)."""


@op
def _gamma(shape: _Shape, alpha: TensorLike, seed: TensorLike, dtype: str) -> Tensor:
    """Of shape parameter ``alpha``, which broadcasts to ``shape``, and scale 1."""


@op
def _binomial(shape: _Shape, counts: TensorLike, probabilities: TensorLike, seed: TensorLike, dtype: str) -> Tensor:
    """How many of ``counts`` trials succeed."""


@op
def _shuffle(x: TensorLike, axis: int, seed: TensorLike) -> Tensor:
    """The slices along ``axis`` in random order."""


@op
def _categorical(logits: TensorLike, num_samples: int, seed: TensorLike, dtype: str) -> Tensor:
    """(batch, n) -> (batch, num_samples)."""


@op
def _dropout(inputs: TensorLike, rate: float, noise_shape: _Shape, seed: TensorLike) -> Tensor:
    kept = _uniform(noise_shape, seed, "float32") >= rate
    return ops.where(kept, inputs * (1.0 / (1.0 - rate)), 0.0)


# -- keras.random ------------------------------------------------------------------------------------------------------


def _float(who: str, dtype: DType) -> str:
    name = dtypes.standardize(dtype)
    if name not in dtypes.FLOATS:
        check.fail(who, f"dtype must be a float type, got {name!r}")
    return name


def _int(who: str, dtype: DType) -> str:
    name = dtypes.standardize(dtype)
    if name not in dtypes.INTS:
        check.fail(who, f"dtype must be an int type, got {name!r}")
    return name


def _scaled(values: Tensor, factor: Any, shift: Any) -> Tensor:
    dtype = ops.dtype(values)
    for fn, by, neutral in ((ops.multiply, factor, 1.0), (ops.add, shift, 0.0)):
        if not (isinstance(by, (int, float)) and by == neutral):
            values = fn(values, float(by) if isinstance(by, (int, float)) else ops.cast(by, dtype))
    return values


def _difference(a: Any, b: Any) -> Any:
    return ops.subtract(a, b) if ops.is_tensor(a) or ops.is_tensor(b) else a - b


def uniform(shape: _Shape, minval: Any = 0.0, maxval: Any = 1.0, dtype: DType = None, seed: _Seed = None) -> Tensor:
    """Floats in [minval, maxval). Raises ValueError for an int dtype: ``randint`` draws those."""
    values = _uniform(shape, draw_seed(seed), _float("uniform", dtype))
    return _scaled(values, _difference(maxval, minval), minval)


def normal(shape: _Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: DType = None, seed: _Seed = None) -> Tensor:
    """Normally distributed floats."""
    return _scaled(_normal(shape, draw_seed(seed), _float("normal", dtype)), stddev, mean)


def truncated_normal(
    shape: _Shape, mean: Any = 0.0, stddev: Any = 1.0, dtype: DType = None, seed: _Seed = None
) -> Tensor:
    """Normally distributed floats, none further than two standard deviations from the mean."""
    return _scaled(_truncated_normal(shape, draw_seed(seed), _float("truncated_normal", dtype)), stddev, mean)


def randint(shape: _Shape, minval: Any, maxval: Any, dtype: DType = "int32", seed: _Seed = None) -> Tensor:
    """Ints in [minval, maxval). Raises ValueError for a float dtype."""
    return _randint(shape, minval, maxval, draw_seed(seed), _int("randint", dtype))


@op(name="random.categorical")
def categorical(logits: TensorLike, num_samples: int, dtype: DType = "int32", seed: _Seed = None) -> Tensor:
    """Indices drawn by their unnormalized log probabilities: (batch, n) -> (batch, num_samples)."""
    if len(logits.shape) != 2:
        check.fail("categorical", f"logits must be (batch, classes), got shape {tuple(logits.shape)}")
    return _categorical(logits, num_samples, draw_seed(seed), _int("categorical", dtype))


@op(name="random.gamma")
def gamma(shape: _Shape, alpha: TensorLike, dtype: DType = None, seed: _Seed = None) -> Tensor:
    """Gamma distributed floats with shape parameter ``alpha`` (it broadcasts to ``shape``) and scale 1."""
    name = _float("gamma", dtype)
    return _gamma(shape, ops.cast(alpha, name), draw_seed(seed), name)


@op(name="random.beta")
def beta(shape: _Shape, alpha: TensorLike, beta: TensorLike, dtype: DType = None, seed: _Seed = None) -> Tensor:
    """Beta distributed floats: a / (a + b) for gamma distributed a (of ``alpha``) and b (of ``beta``)."""
    name = _float("beta", dtype)
    both = ops.stack([ops.broadcast_to(ops.cast(p, name), shape) for p in (alpha, beta)])
    drawn = _gamma((2, *shape), both, draw_seed(seed), name)
    return drawn[0] / (drawn[0] + drawn[1])


@op(name="random.binomial")
def binomial(
    shape: _Shape, counts: TensorLike, probabilities: TensorLike, dtype: DType = None, seed: _Seed = None
) -> Tensor:
    """How many of ``counts`` trials succeed, each with one of ``probabilities``; both broadcast to ``shape``."""
    name = _float("binomial", dtype)
    return _binomial(shape, ops.cast(counts, name), ops.cast(probabilities, name), draw_seed(seed), name)


@op(name="random.shuffle")
def shuffle(x: TensorLike, axis: int = 0, seed: _Seed = None) -> Tensor:
    """The slices along ``axis`` in random order."""
    return _shuffle(x, axis, draw_seed(seed))


@op("float", name="random.dropout")
def dropout(
    inputs: TensorLike, rate: float, noise_shape: Sequence[int | None] | None = None, seed: _Seed = None
) -> Tensor:
    """Each value is 0 with probability ``rate``, else divided by 1 - rate, which keeps the mean.

    ``noise_shape``: of the pattern, 1 on axes that share it, ``None`` on those that are as long as the inputs'.

    Raises: ValueError unless ``rate`` is in [0, 1].
    """
    check.number_in("dropout", "rate", rate, 0.0, 1.0)
    if rate == 0:
        return inputs
    if rate == 1:
        return ops.zeros_like(inputs)
    shape = ops.shape(inputs)
    if noise_shape is not None:
        if len(noise_shape) != len(shape):
            check.fail("dropout", f"noise_shape must have {len(shape)} axes as the inputs do, got {tuple(noise_shape)}")
        shape = tuple(n if m is None else m for n, m in zip(shape, noise_shape))
    return _dropout(inputs, float(rate), shape, draw_seed(seed))
