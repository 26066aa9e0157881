"""Arrays and tables in memory: what the user may give, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nyala import backends
from nyala._typing import Nest
from nyala.backends import dtypes
from nyala.base import check, tree


def class_weights(y: Any, class_weight: Mapping[int, float] | None, sample_weight: Any = None) -> Any:
    """Weights of the samples from those of their classes, times ``sample_weight`` if there is one.

    ``y`` holds class numbers ``(batch,)`` or ``(batch, 1)``, or one-hot rows ``(batch, classes)``.
    """
    if class_weight is None:
        return sample_weight
    if isinstance(y, (list, tuple, dict)) and any(hasattr(v, "shape") for v in tree.flatten(y)):
        leaves = tree.flatten(y)
        if len(leaves) > 1:
            check.fail("class_weight", "is for models with one output; give sample_weight for several")
        y = leaves[0]
    labels = to_host(y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        labels = labels.argmax(-1)
    labels = labels.reshape(labels.shape[0], -1)[:, 0] if labels.ndim > 1 else labels
    weights = np.ones(labels.shape, dtypes.numpy_dtype(dtypes.standardize(None)))
    for key, value in class_weight.items():
        weights[labels.astype("int64") == int(key)] = value
    return weights if sample_weight is None else weights * to_host(sample_weight).reshape(weights.shape)


def to_host(x: Any) -> np.ndarray:
    owner = backends.of(x)
    return owner.to_numpy(x) if owner is not None else np.asarray(x)


def is_loader(x: Any) -> bool:
    return hasattr(x, "batch_sampler") or hasattr(x, "element_spec")


def is_arrays(x: Any) -> bool:
    """Whether it is a nest of arrays, tensors or lists of numbers rather than a source of batches."""
    if is_loader(x) or hasattr(x, "__next__"):
        return False
    if isinstance(x, dict):
        return all(is_arrays(v) for v in x.values())
    if isinstance(x, (list, tuple)):
        return True
    if backends.of(x) is not None:
        return True
    return ((hasattr(x, "shape") or hasattr(x, "__array__")) and hasattr(x, "__array__")) or _is_frame(x)


def read(x: Any) -> Any:
    """Arrays for the columns of a data set of Hugging Face, a dict unless it is one, and a table for a query of polars."""
    if _is_columnar(x):
        if hasattr(x, "column_name"):
            return np.asarray(x[:])
        found = x.with_format("numpy")[:]
        return found if len(found) > 1 else next(iter(found.values()))
    if hasattr(x, "collect") and hasattr(x, "collect_schema") and not hasattr(x, "to_numpy"):
        return x.collect()
    if isinstance(x, dict):
        return {k: read(v) for k, v in x.items()}
    if type(x) in (list, tuple) and x and _is_columnar(x[0]):
        return type(x)(read(v) for v in x)
    return x


def _is_columnar(x: Any) -> bool:
    """Whether it is a data set of Hugging Face in memory or a column of one."""
    whole = hasattr(x, "with_format") and hasattr(x, "column_names")
    column = hasattr(x, "column_name") and hasattr(x, "source")
    return (whole or column) and hasattr(x, "__len__") and not isinstance(x, dict)


def _is_frame(x: Any) -> bool:
    return hasattr(x, "to_numpy") and hasattr(x, "index")


def as_arrays(nest: Nest, who: str, name: str) -> Nest:
    """Arrays on the host or tensors, floats in ``floatx()``; lists of numbers become arrays."""
    if nest is None:
        return None
    if isinstance(nest, dict):
        return {k: as_arrays(v, who, f"{name}[{k!r}]") for k, v in nest.items()}
    if isinstance(nest, (list, tuple)) and not _holds_arrays(nest):
        nest = np.asarray(nest)
        if nest.dtype == object:
            check.fail(who, f"{name} is a list of lists of unequal lengths; pad them to one length first")
    return tree.map(lambda a: _array(a, who, name), nest)


def _holds_arrays(nest: Any) -> bool:
    return any(
        hasattr(v, "shape") or isinstance(v, dict) or (isinstance(v, (list, tuple)) and _holds_arrays(v)) for v in nest
    )


def _array(a: Any, who: str, name: str) -> Any:
    if a is None or backends.of(a) is not None:
        return a
    array = np.asarray(a) if hasattr(a, "__array__") or not _is_frame(a) else a.to_numpy()
    if array.dtype == object:
        # A column of lists of one length.
        if array.size and np.ndim(array.flat[0]) and len({np.shape(v) for v in array.flat}) == 1:
            array = np.reshape(np.stack([np.asarray(v) for v in array.flat]), (*array.shape, *np.shape(array.flat[0])))
        if not all(isinstance(v, (str, bytes)) for v in array.flat):
            try:
                array = array.astype(dtypes.standardize(None))
            except (TypeError, ValueError):
                check.fail(who, f"{name} is an array of Python objects; numbers or strings are needed")
    if array.dtype.kind == "f" and array.dtype.name != dtypes.standardize(None):
        array = array.astype(dtypes.numpy_dtype(dtypes.standardize(None)))
    if array.ndim == 0:
        check.fail(who, f"{name} is a single number; an array with a first axis of samples is needed")
    return array


def equal_lengths(x: Nest, y: Nest, sample_weight: Nest, who: str) -> int:
    lengths = {
        f"{name}{''.join(f'[{k!r}]' for k in path)}": int(leaf.shape[0])
        for name, nest in (("x", x), ("y", y), ("sample_weight", sample_weight))
        if nest is not None
        for path, leaf in zip(tree.paths(nest), tree.flatten(nest))
        if leaf is not None
    }
    if len(set(lengths.values())) > 1:
        check.fail(
            who,
            "the arrays differ in their numbers of samples: " + ", ".join(f"{k} has {v}" for k, v in lengths.items()),
        )
    if not lengths:
        check.fail(who, "x holds no arrays")
    return next(iter(lengths.values()))
