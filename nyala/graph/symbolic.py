"""The symbolic tensor: what ``Input`` gives and what ops and layers give when called on one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nyala import backends
from nyala._typing import DType, Shape
from nyala.backends import dtypes
from nyala.backends.base import TensorSpec
from nyala.backends.interop import ForeignProtocols, NoValue
from nyala.base import check, naming, old, tree
from nyala.base.operators import Operators

if TYPE_CHECKING:
    from nyala.backends.base import BackendBase
    from nyala.graph.node import Node


class OldShape(tuple[int | None, ...]):
    """A shape with what that of a tensor of TensorFlow has: programs for older Keras call it, and TensorFlow's functions."""

    def __getitem__(self, key: Any) -> Any:
        found = tuple.__getitem__(self, key)
        return OldShape(found) if isinstance(key, slice) else found

    def as_list(self) -> list[int | None]:
        return list(self)

    def is_fully_defined(self) -> bool:
        return None not in self

    def num_elements(self) -> int | None:
        return None if None in self else math.prod(self)  # type: ignore[arg-type]

    def concatenate(self, other: Any) -> OldShape:
        return OldShape((*self, *other))

    def with_rank_at_least(self, rank: int) -> OldShape:
        """The shape. Raises ValueError if it has fewer axes."""
        if len(self) < rank:
            raise ValueError(f"the shape {tuple(self)} must have {rank} axes or more")
        return self

    def with_rank(self, rank: int) -> OldShape:
        """The shape. Raises ValueError if it has another number of axes."""
        if len(self) != rank:
            raise ValueError(f"the shape {tuple(self)} must have {rank} axes")
        return self

    @property
    def ndims(self) -> int:
        return len(self)

    rank = ndims
    dims = property(as_list)


class OldDType(str):
    """The name of a dtype with what a dtype of TensorFlow has."""

    @property
    def base_dtype(self) -> OldDType:
        return self

    @property
    def name(self) -> str:
        return str(self)

    @property
    def as_numpy_dtype(self) -> Any:
        return dtypes.numpy_dtype(self).type

    is_floating = property(lambda self: self in dtypes.FLOATS)
    is_integer = property(lambda self: self in dtypes.INTS)
    is_complex = property(lambda self: self in dtypes.COMPLEX)
    is_bool = property(lambda self: self == "bool")


class SymbolicTensor(Operators, ForeignProtocols):
    """A tensor with a shape and a dtype but no values; Keras's ``KerasTensor``.

    Args:
        shape: ``None`` stands for a dimension that is not known yet.
        dtype: a dtype name.
        name: for error messages and summaries; made up if not given.
    """

    def __init__(
        self,
        shape: Shape,
        dtype: DType = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        *,
        backend: BackendBase | None = None,
    ):
        self.shape: tuple[int | None, ...] = OldShape(None if n is None else int(n) for n in shape)
        self.dtype = OldDType(dtypes.standardize(dtype))
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        self.record_history = record_history
        self.name = name or naming.unique("keras_tensor")
        self.backend = backend or backends.current()
        self.node: Node | None = None
        self.index = 0
        self.consumers: tuple[Node, ...] = ()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    rank = ndim

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(self.shape, self.dtype)

    @property
    def _keras_history(self) -> tuple[Any, int, int]:
        """``(operation, index of its call, index of the output)``, as Keras gives it."""
        if self.node is None:
            raise AttributeError("_keras_history")
        node = self.node
        return node.operation, node.call_index, self.index

    def _as_foreign(self, backend: Any) -> Any:
        raise NoValue(
            f"a function of {backend.name} was called on the symbolic tensor {self!r}, which has no values. "
            f"Use the function of that name in nyala.ops, or wrap the call: nyala.layers.Lambda(lambda x: f(x))(x)"
        )

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there: the methods that tensors of the backend have are recorded, too.
        method = self.__dict__["backend"].tensor_methods.get(name) if "backend" in self.__dict__ else None
        if method is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        from nyala.graph.node import record

        return lambda *args, **kwargs: record(method, (self, *args), kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise NoValue(
            f"NumPy was called on the symbolic tensor {self!r}, which has no values. "
            "Use the function of that name in nyala.ops, or wrap the call in a Lambda layer"
        )

    def __bool__(self) -> bool:
        raise TypeError(
            f"the truth value of the symbolic tensor {self!r} is not known while a model is being built; "
            "use ops.where or ops.cond"
        )

    def __len__(self) -> int:
        raise TypeError(f"len() of the symbolic tensor {self!r}; use x.shape[0]")

    def __iter__(self) -> Any:
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"cannot iterate over the symbolic tensor {self!r}: its first axis has no known length")
        return (self[i] for i in range(self.shape[0]))

    def reshape(self, *shape: Any, order: str = "C", **options: Any) -> Any:
        """``order`` and ``options`` are those of NumPy's and JAX's functions, which call this method."""
        from nyala import ops

        if order != "C" or any(v is not None for v in options.values()):
            check.fail(self, f"reshape of a symbolic tensor takes order='C' only, got {order!r}, {options}")
        return ops.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def squeeze(self, axis: Any = None) -> Any:
        from nyala import ops

        return ops.squeeze(self, axis)

    def astype(self, dtype: DType) -> Any:
        from nyala import ops

        return ops.cast(self, dtype)

    @property
    def T(self) -> Any:
        from nyala import ops

        return ops.transpose(self)

    def get_shape(self) -> Shape:
        return self.shape

    def set_shape(self, shape: Shape) -> None:
        """Say what is known of axes whose size is ``None``. Raises ValueError when the shapes exclude each other."""
        given = tuple(shape)
        if len(given) != self.ndim or any(
            m is not None and n is not None and m != n for m, n in zip(given, self.shape)
        ):
            check.fail(self, f"set_shape({given}) contradicts its shape {self.shape}")
        self.shape = OldShape(m if n is None else n for m, n in zip(given, self.shape))

    @property
    def _keras_shape(self) -> Shape:
        old.tell("x._keras_shape", "x.shape")
        return self.shape

    def __repr__(self) -> str:
        extra = "".join(f", {k}=True" for k in ("sparse", "ragged") if getattr(self, k))
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}{extra}, name={self.name}>"


def leaves_of(nest: Any) -> list[Any]:
    """The leaves of a nest, the bounds of slices among them."""
    found: list[Any] = []
    for x in tree.flatten(nest):
        found += (x.start, x.stop, x.step) if isinstance(x, slice) else (x,)
    return found


def is_symbolic(x: Any) -> bool:
    return isinstance(x, SymbolicTensor)
