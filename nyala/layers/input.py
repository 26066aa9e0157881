"""The entry of a graph: ``Input`` and the layer behind it."""

from __future__ import annotations

from typing import Any

from nyala import backends
from nyala._typing import DType, Shape
from nyala.backends import dtypes
from nyala.base import check, naming
from nyala.graph.node import Node
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers.base import Layer


class InputLayer(Layer):
    """The layer that a symbolic input comes from.

    Args:
        shape: without the batch axis. batch_size: its size, ``None`` if it varies.
        dtype: of the data; default ``floatx()``. sparse, ragged: kinds of tensors that no backend here takes.
        batch_shape: shape with the batch axis, in place of ``shape`` and ``batch_size``.
        input_tensor: a symbolic tensor to use in place of a new one. optional: whether ``None`` may be fed.
        name: also the key by which a dict of data finds this input.
    """

    config_skip = frozenset({"input_tensor", "batch_size", "shape", "trainable", "autocast", "input_shape"})
    config_order = ("batch_shape", "dtype", "sparse", "ragged", "name", "optional")

    def __init__(
        self,
        shape: Shape | None = None,
        batch_size: int | None = None,
        dtype: DType = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Shape | None = None,
        input_tensor: SymbolicTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        for old in ("input_shape", "batch_input_shape"):
            if old in kwargs:
                value = kwargs.pop(old)
                shape, batch_shape = (value, batch_shape) if old == "input_shape" else (shape, value)
        super().__init__(name=name or naming.unique("input_layer"), **kwargs)
        if sparse or ragged:
            check.fail(
                self, f"{'sparse' if sparse else 'ragged'} inputs are not available; convert the data to dense tensors"
            )
        if input_tensor is not None:
            if not isinstance(input_tensor, SymbolicTensor):
                check.fail(
                    self, f"input_tensor must be a symbolic tensor, got {type(input_tensor).__name__}", TypeError
                )
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        if batch_shape is not None:
            if shape is not None and input_tensor is None:
                check.fail(self, "takes shape or batch_shape, not both")
        elif shape is not None:
            sizes: Any = (shape,) if check.is_int(shape) else shape
            batch_shape = (batch_size, *sizes)
        else:
            check.fail(self, "needs shape=(...) without the batch axis, or batch_shape=(...) with it")
        self.batch_shape = tuple(_dimension(self, n) for n in batch_shape)  # type: ignore[union-attr]
        self._input_dtype = dtypes.standardize(dtype)
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        self.optional = optional
        self.built = True
        tensor = input_tensor
        if tensor is None:
            tensor = SymbolicTensor(self.batch_shape, self._input_dtype, name=self.name, backend=backends.current())
        Node(self, (), {}, tensor)

    @property
    def dtype(self) -> str:
        return self._input_dtype

    @property
    def batch_size(self) -> int | None:
        return self.batch_shape[0]

    @property
    def input(self) -> Any:
        """The tensor itself, as in Keras 2, where ``K.function([model.layers[0].input], ...)`` is written so."""
        return self.output

    def config_value(self, name: str) -> Any:
        return self._input_dtype if name == "dtype" else super().config_value(name)

    def call(self) -> None:
        check.fail(self, "is called by no one; feed its value to the model")


def _dimension(layer: Layer, n: Any) -> int | None:
    if n is not None and (not check.is_int(n) or n < 0):
        check.fail(layer, f"a shape holds ints >= 0 and None, got {n!r}")
    return None if n is None else int(n)


def Input(
    shape: Shape | None = None,
    batch_size: int | None = None,
    dtype: DType = None,
    sparse: bool | None = None,
    batch_shape: Shape | None = None,
    name: str | None = None,
    tensor: SymbolicTensor | None = None,
    optional: bool = False,
    ragged: bool | None = None,
) -> SymbolicTensor:
    """A symbolic tensor from which a Functional model begins; arguments as for ``InputLayer``."""
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
