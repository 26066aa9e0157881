"""Small conversions of data before training."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala import backends, ops
from nyala.base import check


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as rows with a single 1: ``[0, 2]`` -> ``[[1, 0, 0], [0, 0, 1]]``.

    Args:
        x: integers from 0 to ``num_classes - 1``; a last axis of length 1 is dropped.
        num_classes: default ``max(x) + 1``.

    Shapes: (...) -> (..., num_classes). A tensor gives a tensor, anything else a float64 NumPy array.
    Raises: ValueError for numbers out of range.
    """
    is_tensor = backends.of(x) is not None
    labels = np.asarray(ops.convert_to_numpy(x) if is_tensor else x).astype("int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not labels.size and num_classes is None:
        check.fail("to_categorical", "x is empty, so num_classes must be given")
    n = (
        int(labels.max()) + 1
        if num_classes is None
        else check.positive_int("to_categorical", "num_classes", num_classes)
    )
    if labels.size and (labels.min() < 0 or labels.max() >= n):
        check.fail(
            "to_categorical",
            f"x must hold integers from 0 to {n - 1}, it has values from {labels.min()} to {labels.max()}",
        )
    if is_tensor:
        return ops.one_hot(ops.reshape(ops.cast(x, "int32"), labels.shape), n)
    return np.eye(n)[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """``x`` divided by its norm of the given order along ``axis``; rows of zeros stay zeros.

    Shapes: as ``x``; a NumPy array with one axis gets a first axis of length 1. A tensor gives a tensor.
    """
    if backends.of(x) is not None:
        norm = ops.norm(x, ord=order, axis=axis, keepdims=True)
        return ops.divide(x, ops.where(ops.equal(norm, 0), ops.ones_like(norm), norm))
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    result = x / np.where(norm == 0, 1, norm)
    return result[None] if x.ndim == 1 else result
