"""A NumPy function of tensors inside compiled and abstract computations: what strings and hashes need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala import backends
from nyala.backends import dtypes
from nyala.base import check


class _For(threading.local):
    file = False


_for = _For()


@contextmanager
def for_file() -> Iterator[None]:
    """Within it what is traced is for a file, which holds no Python: ``call`` takes its function's form in the backend's ops."""
    before, _for.file = _for.file, True
    try:
        yield
    finally:
        _for.file = before


def call(
    backend: Any,
    function: Callable[[np.ndarray], np.ndarray],
    x: Any,
    dtype: str,
    shape: Sequence[int | None] | None = None,
    in_ops: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """``function(x)`` as a tensor of ``dtype`` and the shape of ``x``, or ``shape`` (TensorFlow alone has unknown sizes).

    in_ops: ``(words, x) -> tensor``, the same in the words of ``backends.tensorflow.texts``, for files.
    """
    if _for.file and in_ops is not None:
        if backend.name != "tensorflow":
            check.fail(
                "export",
                f"lookups and hashes are Python on {backend.name}, which no file holds; "
                "model.to_backend('tensorflow').export(...) writes them as ops",
            )
        from nyala.backends.tensorflow import texts

        return texts.cast(in_ops(texts, x), dtype)
    return _CALLS[backend.name](backend, function, x, dtype, tuple(x.shape) if shape is None else tuple(shape))


def owner(leaves: Sequence[Any]) -> Any:
    """The backend of the first tensor, loaded if its library is in use but the backend is not; ``None`` without a tensor."""
    for x in leaves:
        found = backends.of(x)
        library = type(x).__module__.partition(".")[0].removesuffix("lib")
        if found is None and library in _CALLS and backends.get(library).is_tensor(x):
            found = backends.of(x)
        if found is not None:
            return found
    return None


def has_strings(backend: Any) -> bool:
    """Whether the backend has tensors of strings."""
    return backend.name == "tensorflow"


def is_texts(x: Any) -> bool:
    """Whether ``x`` is an array of strings, as which they stay where the backend has no tensors of them."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "OSUT"


def _jax(backend: Any, function: Any, x: Any, dtype: str, shape: Any) -> Any:
    import jax

    out = jax.dtypes.canonicalize_dtype(np.dtype(dtype))
    run = lambda value: np.asarray(function(np.asarray(value)), out)  # noqa: E731
    return jax.pure_callback(run, jax.ShapeDtypeStruct(shape, out), x, vmap_method="expand_dims")


def _torch(backend: Any, function: Any, x: Any, dtype: str, shape: Any) -> Any:
    from torch._subclasses.fake_tensor import FakeTensor

    if isinstance(x, FakeTensor):
        return x.new_empty(shape, dtype=backend.convert(np.zeros((), dtype), dtype).dtype)
    return backend.convert(function(backend.to_numpy(x)), dtype)


def _tensorflow(backend: Any, function: Any, x: Any, dtype: str, shape: Any) -> Any:
    import tensorflow as tf

    if tf.executing_eagerly():
        return backend.convert(np.asarray(function(x.numpy())), dtype)
    as_type = dtypes.numpy_dtype(dtype)
    found = tf.numpy_function(lambda v: np.asarray(function(v), as_type), [x], dtype, stateful=False)
    found.set_shape(shape)
    return found


_CALLS = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}

__all__ = ["call", "for_file", "has_strings", "is_texts", "owner"]
