"""What the layers of tables and texts share: the backend of the data, batches to adapt to, and forms of the output."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import Tensor
from nyala.backends import host
from nyala.base import check, tree
from nyala.graph import infer
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._running import running
from nyala.layers.base import Layer

MODES = ("int", "one_hot", "multi_hot", "count")


class DataLayer(Layer):
    """A layer that computes on the backend of its data, so that it also works in front of a model and in ``tf.data``.

    ``sparse=True``: the output is a sparse tensor: ``tf.SparseTensor``, or ``BCOO`` on jax. Inside a model, whose tensors are
    dense, it is a dense one with the same values.
    """

    sparse: bool = False
    ragged: bool = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own, data = self._own_backend, host.owner(tree.flatten((args, kwargs)))
        self._own_backend = data or own
        try:
            outputs = super().__call__(*args, **kwargs)
            if not (self.sparse or self.ragged) or running.stack or isinstance(outputs, SymbolicTensor):
                return outputs
            backend = backends.of(outputs) or backends.current()
            return backend.sparse(outputs) if self.sparse else backend.ragged(outputs)
        finally:
            self._own_backend = own


class HostLayer(DataLayer):
    """A layer whose ``look_up`` turns an array of strings or ints into one of ints, by NumPy, also inside compiled steps.

    Strings are given as ``str``, lists or arrays; JAX and torch have no tensors of strings.
    """

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(inputs, (str, bytes, int, list, tuple)):
            leaves = tree.flatten(inputs)
            if host.owner(leaves) is None and not any(isinstance(x, (SymbolicTensor, np.ndarray)) for x in leaves):
                inputs = np.asarray(inputs)
        elif hasattr(inputs, "to_numpy"):  # a column of a table
            inputs = inputs.to_numpy()
        return super().__call__(inputs, *args, **kwargs)

    def _convert_input(self, x: Any, backend: Any) -> Any:
        return x if isinstance(x, np.ndarray) else super()._convert_input(x, backend)

    def look_up(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def look_up_in(self, words: Any, x: Tensor) -> Tensor:
        """``look_up`` in the ops of a backend, for files: ``words`` are those of ``backends.tensorflow.texts``."""
        raise NotImplementedError

    def looked_up(self, inputs: Any, dtype: str = "int64", shape: Any = None) -> Tensor:
        """``look_up`` of an array, or of a tensor that may be traced."""
        backend = backends.current()
        if isinstance(inputs, np.ndarray):
            if infer.is_abstract():
                return ops.zeros(inputs.shape if shape is None else shape, dtype)
            return ops.convert_to_tensor(self.look_up(inputs), dtype)
        return host.call(backend, self.look_up, inputs, dtype, shape, self.look_up_in)


def texts(x: Any) -> np.ndarray:
    """An array of ``str`` for one of strings, bytes or ints."""
    x = np.asarray(x)
    if x.dtype.kind == "O":
        words = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in x.ravel()]
        return np.array(words, object).reshape(x.shape)
    if x.dtype.kind == "S":
        return np.char.decode(x, "utf-8", "replace").astype(object)
    return x.astype(str).astype(object)


def sparse_output(layer: Layer, sparse: bool, output_mode: str) -> bool:
    """``sparse``, checked. Raises ValueError where indices are given, which have no zeros to leave out."""
    if sparse and output_mode == "int":
        check.fail(
            layer, "sparse=True is for outputs of a place for each token; with output_mode='int' use sparse=False"
        )
    return bool(sparse)


def batches(data: Any, steps: int | None = None) -> Iterator[np.ndarray]:
    """The batches of an array, list, generator, ``PyDataset``, ``tf.data.Dataset`` or ``DataLoader`` as arrays."""
    if hasattr(data, "shape") or isinstance(data, (list, tuple, str)) or hasattr(data, "iloc"):
        found: Any = [data]
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "__iter__"):
        found = (data[i] for i in range(len(data)))
    else:
        found = iter(data)
    for batch in itertools.islice(found, steps):
        yield ops.convert_to_numpy(batch) if backends.of(batch) is not None else np.asarray(batch)


def encoded(ids: Tensor, mode: str, depth: int, dtype: str, weights: Any = None) -> Tensor:
    """Indices in the form that ``mode`` says: one-hot each, or for a row which there are or how often."""
    if mode == "int":
        return ids
    shape = tuple(ids.shape)
    if mode == "one_hot":
        if len(shape) > 1 and shape[-1] == 1:
            ids = ops.squeeze(ids, -1)
        return ops.one_hot(ids if shape else ops.expand_dims(ids, 0), depth, dtype=dtype)
    ids = ids if shape else ops.expand_dims(ids, 0)
    hot = ops.one_hot(ids, depth, dtype=dtype)
    if mode == "multi_hot":
        return ops.max(hot, axis=-2)
    if weights is not None:
        hot = ops.multiply(hot, ops.expand_dims(ops.cast(weights, dtype), -1))
    return ops.cast(ops.sum(hot, axis=-2), dtype)


def as_tuple(value: int | Sequence[int] | None) -> tuple[int, ...]:
    return () if value is None else (value,) if check.is_int(value) else tuple(value)  # type: ignore[arg-type]
