"""Weights in few bits by what meets them: GPTQ and AWQ, on matrices of NumPy (outputs, inputs).

Both take ``moments``, the mean of x x' over the inputs x of a layer: a change d of the weights makes the error d moments d'.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

_BLOCK = 128


class Grouped(NamedTuple):
    """w = (ints - zeros) * scales, zeros and scales being those of the group that an input is in; and what AWQ multiplied by."""

    ints: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray
    groups: np.ndarray
    factors: np.ndarray

    def floats(self) -> np.ndarray:
        w = (self.ints - self.zeros[:, self.groups]) * self.scales[:, self.groups]
        return w / self.factors


def grid(w: np.ndarray, bits: int, symmetric: bool = False, per_channel: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero of each output for a group of inputs; 0 is always one of the steps."""
    axis = 1 if per_channel else None
    low = np.minimum(w.min(axis, keepdims=True), 0) + np.zeros((len(w), 1))
    high = np.maximum(w.max(axis, keepdims=True), 0) + np.zeros((len(w), 1))
    if symmetric:
        high = np.maximum(-low, high)
        low = -high
    empty = high == low
    low, high = np.where(empty, -1, low), np.where(empty, 1, high)
    most = 2**bits - 1
    scale = (high - low) / most
    zero = np.full_like(scale, (most + 1) / 2) if symmetric else np.round(-low / scale)
    return scale, zero


def rounded(w: np.ndarray, scale: np.ndarray, zero: np.ndarray, bits: int) -> np.ndarray:
    return np.clip(np.round(w / scale) + zero, 0, 2**bits - 1)


def gptq(
    w: np.ndarray,
    moments: np.ndarray,
    bits: int,
    group_size: int,
    damping: float = 0.01,
    symmetric: bool = False,
    per_channel: bool = True,
    activation_order: bool = False,
) -> Grouped:
    """One input after the other is rounded, and those that follow make up for its error: Frantar et al. 2022, algorithm 1.

    Args: damping: part of the mean that is added to the diagonal. activation_order: begin with the inputs of largest squares.
    """
    w, moments = w.astype("float64"), moments.astype("float64")
    n = w.shape[1]
    size = n if group_size == -1 else group_size
    dead = np.diag(moments) == 0  # an input that is always 0
    moments[dead, dead] = 1
    w[:, dead] = 0
    order = np.argsort(-np.diag(moments), kind="stable") if activation_order else np.arange(n)
    w, moments = w[:, order], moments[np.ix_(order, order)]
    moments += np.eye(n) * damping * np.diag(moments).mean()
    upper = np.linalg.cholesky(np.linalg.inv(moments)).T
    ints = np.zeros_like(w)
    scales, zeros = [], []
    step = size if size < n else _BLOCK
    for start in range(0, n, step):
        stop = min(start + step, n)
        if start % size == 0:
            scale, zero = grid(w[:, start : start + size], bits, symmetric, per_channel)
            scales.append(scale)
            zeros.append(zero)
        errors = np.zeros((len(w), stop - start))
        for i in range(start, stop):
            column = w[:, i : i + 1]
            ints[:, i : i + 1] = q = rounded(column, scales[-1], zeros[-1], bits)
            errors[:, i - start] = ((column - (q - zeros[-1]) * scales[-1]) / upper[i, i])[:, 0]
            w[:, i + 1 : stop] -= errors[:, i - start, None] * upper[i, i + 1 : stop]
        w[:, stop:] -= errors @ upper[start:stop, stop:]
    back = np.argsort(order)
    return Grouped(ints[:, back], np.hstack(scales), np.hstack(zeros), (np.arange(n) // size)[back], np.ones(n))


def awq(w: np.ndarray, moments: np.ndarray, means: np.ndarray, bits: int, group_size: int, points: int) -> Grouped:
    """Inputs are multiplied by means ** strength before all are rounded, and divided after: Lin et al. 2023, section 3.2.

    Args: means: of the inputs' magnitudes. points: strengths in [0, 1) that are tried; the one with the least error is taken.
    """
    n = w.shape[1]
    size = n if group_size == -1 else group_size
    groups = np.arange(n) // size
    sizes = np.where(means > 0, means, means.max() or 1)  # an input that is always 0 is as good as any
    best: Any = None
    least = np.inf
    for strength in np.arange(points) / points:
        factors = sizes**strength
        factors = np.maximum(factors / np.sqrt(factors.max() * factors.min()), 1e-4)
        parts = [grid((w * factors)[:, groups == g], bits) for g in range(groups[-1] + 1)]
        scales, zeros = (np.hstack(x) for x in zip(*parts))
        found = Grouped(rounded(w * factors, scales[:, groups], zeros[:, groups], bits), scales, zeros, groups, factors)
        change = found.floats() - w
        error = float(((change @ moments) * change).sum())
        if error < least:
            best, least = found, error
    return best


__all__ = ["Grouped", "awq", "gptq", "grid", "rounded"]
