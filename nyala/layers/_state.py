"""What a layer owns: variables, sub-layers, seeds and metrics, its losses, its names, its dtypes and its backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from nyala import backends, initializers, regularizers
from nyala import constraints as constraints_
from nyala._typing import DType, Shape, Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, naming, old, policy, scope, tracking
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable
from nyala.graph import infer
from nyala.graph.node import Called, Node
from nyala.layers import on_graph
from nyala.layers._arguments import declared_trainable
from nyala.layers._old import OldLayer
from nyala.layers._running import running

if TYPE_CHECKING:
    from nyala.layers._derived import Derived
    from nyala.layers.base import Layer


class LayerState(OldLayer, Called, Configurable):
    """The half of ``Layer`` that keeps; the other half, which computes, is in ``base``."""

    _untracked: ClassVar[frozenset[str]] = frozenset(
        {
            "_init_args",
            "_call_nodes",
            "_own_variables",
            "_losses",
            "_build_args",
            "_derived",
            "_own_backend",
            "_last_input",
            "_parents",
            "_torch_module",
        }
    )

    built: bool
    _call_nodes: list[Node]
    _own_variables: list[Variable]
    _losses: list[Any]
    _loss_call: int
    _last_call: int
    _building: bool
    _build_args: Any
    _derived: Derived | None
    _own_backend: Any
    _initialised: bool
    _checked: Any
    _trainable: bool
    _path_prefix: tuple[str, ...] | None
    autocast: bool
    name: str

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls, *args, **kwargs)
        # Set here, so that a subclass may set attributes before it calls super().__init__().
        self.__dict__.update(
            built=False,
            _call_nodes=[],
            _own_variables=[],
            _losses=[],
            _loss_call=0,
            _last_call=0,
            _building=False,
            _build_args=None,
            _derived=None,
            _own_backend=None,
            _initialised=False,
            _checked=None,
            _trainable=True,
            _path_prefix=None,
        )
        return self

    # -- variables -----------------------------------------------------------------------------------------------------

    @old.takes_old_weight
    def add_weight(
        self,
        shape: Shape | int | None = None,
        initializer: Any = None,
        dtype: DType = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """A new variable of this layer.

        Args:
            shape: ints; default ``()``. initializer: default glorot uniform for floats, zeros for others.
            dtype: default the policy's variable dtype. trainable: whether optimizers update it.
            autocast: whether it is read in the compute dtype. regularizer: adds its value to ``losses``.
            constraint: applied after each update. overwrite_with_gradient: the update is the gradient itself.
        """
        sizes: Any = (shape,) if check.is_int(shape) else tuple(shape or ())  # type: ignore[arg-type]
        dtype = dtypes.standardize(dtype) if dtype is not None else self.variable_dtype
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        with naming.at(self._scope_path()):
            variable = scope.made_once(
                lambda: Variable(
                    initializers.get(initializer),
                    shape=sizes,
                    dtype=dtype,
                    trainable=trainable,
                    autocast=autocast and self.autocast,
                    aggregation=aggregation,
                    name=name,
                    backend=self._own_backend.name if self._own_backend is not None else None,
                )
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints_.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        if trainable and not self._trainable:
            variable.trainable = False
            variable._declared_trainable = True  # type: ignore[attr-defined]
        self._own_variables.append(variable)
        self._own_backend = variable.backend
        return variable

    def _owned(self, *roles: str) -> list[Any]:
        """What the attributes hold of these roles; a variable's is ``""``."""
        return [x for x in tracking.owned(self, self._untracked) if getattr(type(x), "role", "") in roles]

    @property
    def _layers(self) -> list[Layer]:
        """The direct sub-layers."""
        return self._owned("layer", "model")

    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> list[Layer]:
        """This layer and those below it, each once, parents before children."""
        found: dict[int, Any] = {id(self): self}
        todo: list[Any] = [self]
        while todo:
            layer = todo.pop(0)
            for sub in layer._layers:
                if id(sub) not in found:
                    found[id(sub)] = sub
                    if recursive:
                        todo.append(sub)
        layers = list(found.values())
        return layers if include_self else layers[1:]

    def _own_weights(self) -> list[Variable]:
        """The layer's own variables, trainable ones first."""
        own = tracking.unique([*self._own_variables, *self._owned("")])
        return sorted(own, key=lambda v: not declared_trainable(v))

    def save_own_variables(self, store: Any) -> None:
        """Write the layer's own variables into ``store``, a mapping, by their numbers. Override it to store more."""
        for i, variable in enumerate(self._own_weights()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the variables from what ``save_own_variables`` wrote. Raises ValueError for another number of them."""
        own = self._own_weights()
        if len(own) != len(store):
            names = ", ".join(v.name for v in own) or "none"
            check.fail(self, f"has {len(own)} variables ({names}), {len(store)} are given")
        for i, variable in enumerate(own):
            variable.assign(store[str(i)])

    def _collect_below(self, what: Callable[[LayerState], list[Any]]) -> list[Any]:
        """``what`` of this layer and, depth first, of its sub-layers; each item and each layer once."""
        result: dict[int, Any] = {}
        visited: set[int] = set()

        def visit(layer: LayerState) -> None:
            visited.add(id(layer))
            for x in what(layer):
                result.setdefault(id(x), x)
            for sub in layer._layers:
                if id(sub) not in visited:
                    visit(sub)

        visit(self)
        return list(result.values())

    @property
    def weights(self) -> list[Variable]:
        """The variables that the outputs depend on, without metrics' and seeds' states."""
        return self._collect_below(lambda layer: layer._own_weights())

    @property
    def variables(self) -> list[Variable]:
        """All variables, those of seeds included; those of metrics are ``metrics_variables``."""
        return self._collect_below(lambda layer: [*layer._own_weights(), *layer._seed_states()])

    def _states(self) -> list[Variable]:
        """Every variable that a call may touch."""
        return self._collect_below(
            lambda layer: [*layer._own_weights(), *layer._seed_states(), *layer._metric_variables()]
        )

    def _seed_states(self) -> list[Variable]:
        return [x.state for x in self._owned("seed")]

    def _metric_variables(self) -> list[Variable]:
        return [v for x in self._owned("metric") for v in x.variables]

    @property
    def trainable_variables(self) -> list[Variable]:
        """Those that an optimizer updates; none if the layer is frozen."""
        if not self._trainable:
            return []
        return self._collect_below(
            lambda layer: [v for v in layer._own_weights() if v.trainable] if layer._trainable else []
        )

    @property
    def non_trainable_variables(self) -> list[Variable]:
        chosen = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in chosen]

    @property
    def trainable_weights(self) -> list[Variable]:
        return self.trainable_variables

    @trainable_weights.setter
    def trainable_weights(self, variables: list[Variable]) -> None:
        self._adopt(variables, trainable=True)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        chosen = {id(v) for v in self.trainable_variables}
        return [v for v in self.weights if id(v) not in chosen]

    @non_trainable_weights.setter
    def non_trainable_weights(self, variables: list[Variable]) -> None:
        self._adopt(variables, trainable=False)

    @property
    def metrics_variables(self) -> list[Variable]:
        return [v for metric in self.metrics for v in metric.variables]

    @property
    def metrics(self) -> list[Any]:
        """The metrics held by this layer and its sub-layers."""
        return self._collect_below(lambda layer: layer._owned("metric"))

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it sets it for all sub-layers and variables."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._switch_trainable(bool(value))
        if self._initialised:
            for layer in self._layers:
                layer.trainable = value

    def _switch_trainable(self, value: bool) -> None:
        """Set ``trainable`` for this layer and its own variables, whatever its sub-layers are."""
        if self._initialised and self._trainable != value:
            scope.python_state.switched(self)
        self._trainable = value
        if not self._initialised:
            return
        for variable in self._own_weights():
            if declared_trainable(variable):
                variable._declared_trainable = True  # type: ignore[attr-defined]
                variable.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Copies of ``weights`` on the host."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Sequence[TensorLike]) -> None:
        """Set ``weights`` from a list of the same length and shapes."""
        own = self.weights
        if len(own) != len(weights):
            check.fail(self, f"set_weights got {len(weights)} arrays for {len(own)} weights: {[v.path for v in own]}")
        for variable, value in zip(own, weights):
            if tuple(np.shape(value)) != variable.shape:
                check.fail(
                    self, f"weight `{variable.path}` has shape {variable.shape}, got an array of {np.shape(value)}"
                )
        for variable, value in zip(own, weights):
            variable.assign(value)

    def count_params(self) -> int:
        """The number of scalars in ``weights``. Raises ValueError for a layer that is not built."""
        if not self.built:
            check.fail(self, "has no weights to count yet: call it on data or use build(input_shape) first")
        return sum(int(np.prod(v.shape)) for v in self.weights)

    # -- dtypes and backend --------------------------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        value = policy.get(value)
        if value.quantization_mode != self.quantization_mode:
            from nyala.layers import quantized

            quantized.change_mode(self, value)
        self._set_policy(value)

    def _set_policy(self, value: Any) -> None:
        self._dtype_policy = value
        self.compute_dtype: str = self._dtype_policy.compute_dtype
        self.variable_dtype: str = self._dtype_policy.variable_dtype
        self._cast_to = self.compute_dtype if self.compute_dtype != self.variable_dtype else None
        if self._initialised:
            scope.python_state.changed()

    @property
    def quantization_mode(self) -> str | None:
        """``"int8"`` or another mode; ``None`` for a layer of floats."""
        return self.__dict__["_dtype_policy"].quantization_mode if "_dtype_policy" in self.__dict__ else None

    @property
    def dtype(self) -> str:
        """The dtype of the weights."""
        return self.variable_dtype

    @property
    def input_dtype(self) -> str:
        return self.compute_dtype

    @old.Attribute
    def backend(self) -> str:
        """The name of the backend that this layer computes with."""
        return self._find_backend().name

    def _find_backend(self) -> Any:
        if self._own_backend is None:
            for variable in self._states():
                self._own_backend = variable.backend
                break
        return self._own_backend or backends.current()

    # -- names ---------------------------------------------------------------------------------------------------------

    def _scope_path(self) -> tuple[str, ...]:
        """Where this layer's variables are named: below the layers whose call or build is running."""
        if self._path_prefix is None:
            prefix = naming.current()
            around = tuple(layer.name for layer in running.stack if layer is not self)
            self._path_prefix = prefix if len(prefix) >= len(around) else around
        return (*self._path_prefix, self.name)

    @property
    def path(self) -> str:
        """The names from the outermost layer to this one, joined by ``/``."""
        return "/".join((*(self._path_prefix or ()), self.name))

    # -- losses --------------------------------------------------------------------------------------------------------

    @old.takes_old_loss
    def add_loss(self, loss: Any) -> None:
        """Add a scalar, a tensor that training sums, or a list of them, to ``losses`` of the call that is running."""
        call = running.call_id if running.stack else self._last_call
        for item in loss if isinstance(loss, (list, tuple)) else [loss]:
            if on_graph.collect_loss(item):
                continue
            if callable(item) and not isinstance(item, Variable):
                item = item()
            scope.collect_loss(item)
            for layer in tracking.unique([*running.stack, self]):
                if layer._loss_call != call:
                    layer._losses, layer._loss_call = [], call
                layer._losses.append(item)

    @property
    def losses(self) -> list[Tensor]:
        """What ``add_loss`` and activity regularizers gave in the last call, then the weight regularizers' values."""
        return self._losses_for(self.trainable_weights)

    def _losses_for(self, variables: list[Variable]) -> list[Tensor]:
        real = self._loss_call == self._last_call and (self._last_call >= 0 or infer.is_abstract())
        added = list(self._losses) if real else []
        return added + [v.regularizer(v) for v in variables if v.regularizer is not None]
