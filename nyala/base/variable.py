"""State: a tensor that keeps its place while its value changes. It belongs to one backend."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from nyala import backends
from nyala._typing import DType, Shape, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.backends.base import BackendBase
from nyala.backends.interop import ForeignProtocols
from nyala.base import allowance, check, naming, scope
from nyala.base.operators import Operators

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica", None)


class Variable(Operators, ForeignProtocols):
    """A tensor whose value can be assigned, read and written through the state scope.

    Args:
        initializer: the first value, or a callable ``(shape, dtype)`` that gives it (then ``shape`` is needed).
        shape: of the value; every dimension known.
        dtype: a dtype name; default: the value's own, ``floatx()`` for a callable.
        trainable: whether optimizers update it.
        autocast: whether a layer with a lower ``compute_dtype`` reads it in that dtype.
        aggregation, synchronization: how replicas of a distributed run combine it.
        name: its last path component; default ``"variable"``, ``"variable_1"``, ...
        backend: name of the backend; default the current one.

    Raises: ValueError on an unknown dtype, a shape with unknown dimensions or one that the value does not have.
    """

    made: ClassVar[int] = 0
    """How many variables there have been: what was collected from layers may be incomplete when it grows."""

    def __init__(
        self,
        initializer: TensorLike | Callable[..., TensorLike],
        shape: Shape | None = None,
        dtype: DType = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        layout: Any = None,
        synchronization: str = "auto",
        name: str | None = None,
        *,
        backend: str | None = None,
    ):
        self.name = naming.auto("variable", name)
        if layout is not None:
            check.fail(self, "layout is given by the distribution of the model, or by distribution.distribute_tensor")
        if "/" in self.name:
            check.fail(self, f"a name holds no '/', got {self.name!r}")
        self.path = naming.join(self.name)
        self.backend = backends.get(backend) if backend else backends.current()
        self.aggregation = check.one_of(self, "aggregation", aggregation, _AGGREGATIONS)
        self.synchronization = synchronization
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False
        self._initializer = initializer if callable(initializer) and not hasattr(initializer, "shape") else None
        self._autocast = autocast
        self._storage: Any = None
        with self.backend.outside_trace(), backends.backend_scope(self.backend):
            value = _first_value(self, initializer, shape, dtype)
        self.shape: tuple[int, ...] = tuple(int(n) for n in value.shape)
        self.dtype = dtypes.standardize(value.dtype)
        self._trainable = bool(trainable)
        self.backend.create(self, value)
        Variable.made += 1

    @classmethod
    def around(
        cls, backend: BackendBase, storage: Any, shape: tuple[int, ...], dtype: str, trainable: bool, name: str
    ) -> Variable:
        """A variable whose storage is one that a user made with the backend's own library."""
        self = object.__new__(cls)
        self.__dict__.update(
            name=name, path=naming.join(name), backend=backend, aggregation="none", synchronization="auto",
            regularizer=None, constraint=None, overwrite_with_gradient=False, shape=shape, dtype=dtype,
            _initializer=None, _autocast=False, _trainable=bool(trainable), _storage=storage, _foreign=True,
        )  # fmt: skip
        Variable.made += 1
        return self

    def __eq__(self, other: Any) -> Any:
        if "_foreign" in self.__dict__ and other is self._storage:
            return True  # so that `layer.weights == [layer.w]` holds for a variable that the framework made
        return super().__eq__(other)

    __hash__ = Operators.__hash__

    # -- value -------------------------------------------------------------------------------------------------------

    @property
    def value(self) -> Tensor:
        """The value as a tensor, in the compute dtype of the layer that is running."""
        value = self.raw_value
        cast_to = scope.local.autocast
        if cast_to is not None and self._autocast and cast_to != self.dtype and self.dtype in dtypes.FLOATS:
            return self.backend.cast(value, cast_to)
        return value

    @property
    def raw_value(self) -> Tensor:
        """The value in the variable's own dtype."""
        current = scope.local.scope
        return self.backend.read(self) if current is None else current.read(self)

    def assign(self, value: TensorLike) -> Variable:
        """Set the value, cast to the variable's dtype. Raises ValueError when the shapes differ."""
        if isinstance(value, Variable):
            value = value.raw_value if value.backend is self.backend else value.numpy()
        value = self.backend.convert(value, self.dtype)
        if tuple(self.backend.shape_of(value)) != self.shape:
            check.fail(
                self, f"`{self.path}` has shape {self.shape} and cannot take a value of shape {tuple(value.shape)}"
            )
        current = scope.local.scope
        if current is None:
            self.backend.write(self, value)
        else:
            current.write(self, value)
        return self

    def assign_add(self, value: TensorLike) -> Variable:
        return self.assign(self.raw_value + self.backend.convert(_plain(value), self.dtype))

    def assign_sub(self, value: TensorLike) -> Variable:
        return self.assign(self.raw_value - self.backend.convert(_plain(value), self.dtype))

    def numpy(self) -> np.ndarray:
        """A copy on the host."""
        current = scope.local.scope
        return self.backend.variable_numpy(self) if current is None else self.backend.to_numpy(current.read(self))

    # -- attributes --------------------------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if self._trainable != bool(value):
            self._trainable = bool(value)
            scope.python_state.switched(self)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def initializer(self) -> Any:
        return self._initializer

    def move_to(self, backend: str) -> None:
        """Keep the value bit for bit, but in the storage of another backend."""
        target = backends.get(backend)
        if target is not self.backend:
            if "_foreign" in self.__dict__:
                check.fail(
                    self,
                    f"`{self.path}` is a variable of {self.backend.name} itself and cannot move to {target.name!r}; "
                    "make it with add_weight",
                    TypeError,
                )
            value = self.numpy()
            self.backend = target
            target.create(self, value)
            scope.python_state.changed()

    def _as_foreign(self, backend: Any) -> Tensor:
        if backend is not self.backend:
            raise TypeError(
                f"variable `{self.path}` lives on backend {self.backend.name!r} and was given to a function of "
                f"{backend.name!r}; use `to_backend({backend.name!r})` on its model or a function of nyala.ops"
            )
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.numpy()
        return value if dtype is None else value.astype(dtype, copy=False)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a variable without axes")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __index__(self) -> int:
        return self.numpy().__index__()

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there: the attributes by which a backend's own library knows its variables.
        if name.startswith("__") or "backend" not in self.__dict__:
            raise AttributeError(name)
        return self.__dict__["backend"].foreign_protocol(self, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update({k: v for k, v in self.__dict__.items() if k != "_storage"})
        new.backend.create(new, self.numpy())
        return new

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "backend": self.backend.name, "_storage": self.numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        value = state.pop("_storage")
        self.__dict__.update(state)
        self.backend = backends.get(state["backend"])
        self.backend.create(self, value)

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}, backend={self.backend.name}>"


def _plain(value: Any) -> Any:
    return value.raw_value if isinstance(value, Variable) else value


def _drawn(initializer: Any, shape: Shape, dtype: str, name: str) -> Any:
    """What an initializer gives, which in Keras 1 and 2 may be a function of the shape alone, or of it and a name."""
    try:
        taken = inspect.signature(initializer).parameters
    except ValueError:  # a function written in C
        return initializer(shape, dtype=dtype)
    if "dtype" in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
        return initializer(shape, dtype=dtype)
    return initializer(shape, **({"name": name} if "name" in taken else {}))


def _first_value(variable: Variable, initializer: Any, shape: Shape | None, dtype: DType) -> np.ndarray:
    if variable._initializer is not None:
        if shape is None or any(n is None for n in shape):
            check.fail(variable, f"an initializer needs a known shape, got {shape}")
        dtype = dtypes.standardize(dtype)
        draw = getattr(initializer, "draw", None)
        shape = tuple(int(n) for n in shape)  # type: ignore[arg-type]
        allowance.take(variable, shape)
        value = draw(shape, dtype) if draw is not None else _drawn(initializer, shape, dtype, variable.name)
    else:
        value = initializer
    if isinstance(value, Variable):
        value = value.numpy()
    owner = backends.of(value)
    if owner is not None:
        value = owner.to_numpy(value)
    if dtype is None and not hasattr(value, "dtype"):
        value = np.asarray(value)
        dtype = {"f": None, "i": "int32"}.get(value.dtype.kind, value.dtype)
        if value.dtype.kind == "f":
            dtype = dtypes.standardize(None)
    value = np.asarray(value)
    if dtype is not None:
        value = value.astype(dtypes.numpy_dtype(dtypes.standardize(dtype)), copy=False)
    if shape is not None and tuple(value.shape) != tuple(shape):
        check.fail(variable, f"`{variable.path}` should have shape {tuple(shape)}, its value has {value.shape}")
    return value
