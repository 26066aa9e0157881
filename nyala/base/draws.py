"""Random numbers on the host, for first values of weights and for shuffling.

NumPy's counter-based Philox generator (https://doi.org/10.1145/2063384.2063405) draws them, so that a seed gives the
same bits on every backend. ``seed`` is an int (the same values each time), a ``SeedGenerator`` (the next of its own
stream) or ``None`` (the next of the global stream, which ``set_random_seed`` starts anew).
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_streams: Iterator[tuple[int, int]]


def set_seed(seed: int | None) -> None:
    """Start the global stream anew; from the system's entropy for ``None``."""
    global _streams
    _streams = zip(itertools.repeat(secrets.randbits(63) if seed is None else int(seed)), itertools.count(1))


set_seed(None)


def generator(seed: Any = None) -> np.random.Generator:
    """A NumPy generator at the place of the stream that ``seed`` stands for."""
    if seed is None:
        key = next(_streams)
    elif isinstance(seed, (int, np.integer)):
        key = (int(seed), 0)
    else:
        key = seed.next_key()
    return np.random.Generator(np.random.Philox(key=np.array([n % 2**64 for n in key], np.uint64)))


def uniform(
    shape: Sequence[int], low: float = 0.0, high: float = 1.0, seed: Any = None, dtype: Any = "float32"
) -> np.ndarray:
    """Uniform in [low, high)."""
    values = generator(seed).random(tuple(shape), dtype=np.dtype(dtype))
    return _scaled(values, high - low, low)


def normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, seed: Any = None, dtype: Any = "float32"
) -> np.ndarray:
    return _scaled(generator(seed).standard_normal(tuple(shape), dtype=np.dtype(dtype)), stddev, mean)


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, seed: Any = None, dtype: Any = "float32"
) -> np.ndarray:
    """Normal, but what lies more than two standard deviations from the mean is drawn again."""
    rng = generator(seed)
    values = rng.standard_normal(tuple(shape), dtype=np.dtype(dtype))
    flat = values.reshape(-1)
    outside = np.flatnonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = rng.standard_normal(outside.size, dtype=flat.dtype)
        outside = outside[np.abs(flat[outside]) > 2]
    return _scaled(values, stddev, mean)


def _scaled(values: np.ndarray, factor: float, shift: float) -> np.ndarray:
    # In place and in the dtype that was drawn: a Python float would not widen it, a NumPy scalar could.
    values = np.asarray(values)
    values *= float(factor)
    values += float(shift)
    return values
