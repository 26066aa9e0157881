"""Random numbers on JAX. ``seed`` is a uint32 vector of two: a key and a counter.

Uniform and normal numbers hash their position, with two keys that threefry makes of the seed: on a CPU much faster than
threefry for every number. The hash is lowbias32 (https://github.com/skeeto/hash-prospector), run twice.
"""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from nyala.backends.jax.core import native_dtype


def _key(seed: Array) -> Array:
    return jax.random.wrap_key_data(seed.astype("uint32"), impl="threefry2x32")


def _hash(x: Array) -> Array:
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _bits(shape: Sequence[int], seed: Array) -> Array:
    keys = jax.random.bits(_key(seed), (2,), "uint32")
    count = lax.iota("uint32", math.prod(shape))
    return _hash(_hash(count + keys[0]) ^ keys[1]).reshape(shape)


def _unit(shape: Sequence[int], seed: Array) -> Array:
    """float32 in [0, 1), multiples of 2^-23: the bits become the fraction of a number in [1, 2)."""
    return lax.bitcast_convert_type((_bits(shape, seed) >> 9) | np.uint32(0x3F800000), np.float32) - 1.0


def _uniform(shape: Sequence[int], seed: Array, dtype: str) -> Array:
    kind = native_dtype(dtype)
    if kind.itemsize < 4:
        # Fewer digits: cut rather than rounded, so that 1 is not reached.
        digits = jnp.finfo(kind).nmant
        return (jnp.floor(_unit(shape, seed) * 2.0**digits) * 2.0**-digits).astype(kind)
    return _unit(shape, seed).astype(kind)


def _normal(shape: Sequence[int], seed: Array, dtype: str) -> Array:
    # The middle of each step of [0, 1): symmetric, and never +-1, where the inverse is infinite.
    u = _unit(shape, seed) * 2.0 - (1.0 - 2.0**-23)
    return (lax.erf_inv(u) * math.sqrt(2.0)).astype(native_dtype(dtype))


def _truncated_normal(shape: Sequence[int], seed: Array, dtype: str) -> Array:
    u = (_unit(shape, seed) * 2.0 - (1.0 - 2.0**-23)) * math.erf(2.0 / math.sqrt(2.0))
    return jnp.clip(lax.erf_inv(u) * math.sqrt(2.0), -2.0, 2.0).astype(native_dtype(dtype))


def _randint(shape: Sequence[int], low: Any, high: Any, seed: Array, dtype: str) -> Array:
    kind = native_dtype(dtype)
    return jax.random.randint(_key(seed), tuple(shape), low, high, kind)


def _gamma(shape: Sequence[int], alpha: Array, seed: Array, dtype: str) -> Array:
    kind = native_dtype(dtype)
    return jax.random.gamma(_key(seed), alpha.astype(kind), tuple(shape), kind)


def _binomial(shape: Sequence[int], counts: Array, probabilities: Array, seed: Array, dtype: str) -> Array:
    counts, probabilities = counts.astype("float32"), probabilities.astype("float32")
    return jax.random.binomial(_key(seed), counts, probabilities, tuple(shape)).astype(native_dtype(dtype))


def _shuffle(x: Array, axis: int, seed: Array) -> Array:
    return jax.random.permutation(_key(seed), x, axis)


def _categorical(logits: Array, num_samples: int, seed: Array, dtype: str) -> Array:
    found = jax.random.categorical(_key(seed), logits, shape=(num_samples, *logits.shape[:-1]))
    return jnp.moveaxis(found, 0, -1).astype(native_dtype(dtype))


RANDOM: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (_uniform, _normal, _truncated_normal, _randint, _gamma, _binomial, _shuffle, _categorical)
}
