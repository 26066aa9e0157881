"""Optimizers that programs define in the manners of older Keras, told by the method that they bring:

``get_updates(loss, params)``            Keras 1 (``get_updates(params, constraints, loss)``) and Keras 2, on every backend
``_resource_apply_dense(grad, var)``     tf.keras up to 2.10; it is handed the library's own variables
``update_step(gradient, variable)``      tf.keras 2.11 to 2.15

The first built a graph once. Here it is run in every step: what ``K.zeros``, ``K.variable`` and ``K.get_value`` gave in the first
run is given again, and assignments take effect at its end, so that every read sees the value from before the step, as in the graph.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from nyala import backends, ops
from nyala._typing import Config, Tensor
from nyala.base import check, configurable, naming, scope
from nyala.base.variable import Variable
from nyala.schedules import LearningRateSchedule

F = TypeVar("F", bound=Callable[..., Any])
UNSET: Any = object()
"""The learning rate of an optimizer whose class has not said it yet."""


def manner_of(cls: type) -> str:
    """The manner of the methods that a user's class defines; ``""``: today's, or that of its parent."""
    own = cls.__dict__
    if "get_updates" in own:
        return "updates"
    if "_resource_apply_dense" in own:
        return "dense"
    if "update_step" in own and len(inspect.signature(own["update_step"]).parameters) == 3:
        return "step"
    return ""


def takes_older_arguments(init: F) -> F:
    """``Optimizer.__init__`` as it was called: without a learning rate, or with the name in its place."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        users = not naming.is_ours(type(self))
        if args and isinstance(args[0], str) and users:
            kwargs["name"], args = args[0], args[1:]
        for name in ("jit_compile", "is_legacy_optimizer", "gradient_aggregator", "gradient_transformers"):
            if kwargs.pop(name, None) and name[0] == "g":
                check.fail(self, f"{name} of older Keras has no equal; change the gradients in apply_gradients")
        if users and not args and "learning_rate" not in kwargs:
            kwargs["learning_rate"] = UNSET
        init(self, *args, **kwargs)

    return __init__  # type: ignore[return-value]


class GivenLoss:
    """Stands for the loss in ``get_updates``: its gradients are known by then."""

    def __init__(self, gradients: Sequence[Tensor], variables: Sequence[Variable]):
        self.gradients = dict(zip(variables, gradients))

    def gradients_of(self, variables: Sequence[Variable]) -> list[Tensor]:
        return [self.gradients[v] for v in variables]


@contextmanager
def _older_names(variables: Sequence[Variable]) -> Iterator[None]:
    """Within it a variable of a model is called as in Keras 2, ``dense/kernel:0``: programs choose by it."""
    today = [v.name for v in variables]
    for v in variables:
        parts = v.path.split("/")
        v.name = "/".join(parts[len(parts) > 2 :]) + ":0"
    try:
        yield
    finally:
        for v, name in zip(variables, today):
            v.name = name


class _Variables(list[Variable]):
    """A list that is asked by identity whether it holds a variable: ``==`` compares values."""

    def __contains__(self, x: object) -> bool:
        return any(x is v for v in self)


class Older:
    """What older Keras's optimizers had, for subclasses; mixed into ``Optimizer``."""

    manner = ""
    """``"updates"``, ``"dense"``, ``"step"`` or today's, see above."""
    _use_locking = False
    _bare: Mapping[int, Variable] = {}
    """In a step of the second manner: the variables by the library's own."""

    # -- get_updates ---------------------------------------------------------------------------------------------------

    updates: Any = ()
    _made: dict[tuple[int, ...], list[Any]]
    """What the first run for some variables made, by their ids."""

    def get_gradients(self, loss: Any, params: Sequence[Variable]) -> list[Tensor]:
        """The gradients, clipped, that this step has for ``params``."""
        if not isinstance(loss, GivenLoss):
            check.fail(
                self,
                "get_gradients works inside get_updates, which fit calls; elsewhere use nyala.value_and_grad and apply",
                NotImplementedError,
            )
        return loss.gradients_of(params)

    def get_updates(self: Any, loss: Any, params: Sequence[Variable]) -> list[Variable]:
        """Inside another optimizer's ``get_updates``, or a subclass's: make this one's update of ``params``. Raises elsewhere."""
        gradients = self.get_gradients(loss, params)
        if self.manner != "updates":
            self.build(loss.gradients)
        with scope.StateScope() as inner:
            if self.manner == "updates":
                self._update_by_rule(gradients, params, self._iterations.raw_value)
            else:
                self._apply(gradients, params)
        # Meanwhile a subclass may have put a function of its own in the place of K.update, to change what is assigned.
        update = getattr(sys.modules.get("keras.backend"), "update", Variable.assign)
        for variable, value in inner.writes().items():
            update(variable, value)
        return list(inner.written)

    def _run_updates(self: Any, gradients: Sequence[Tensor], variables: list[Variable]) -> None:
        loss = GivenLoss(gradients, variables)
        optimizer = self
        while isinstance(
            optimizer, Older
        ):  # one in another gives its list back if that is not empty, as a graph is made once
            optimizer.updates, optimizer = [], vars(optimizer).get("optimizer")
        made = self._made.setdefault(tuple(map(id, variables)), [])
        with scope.Deferred(made), _older_names(variables):
            if next(iter(inspect.signature(self.get_updates).parameters)) == "params":  # Keras 1
                constraints = {v: v.constraint for v in variables if v.constraint is not None}
                self.get_updates(variables, constraints, loss)
            else:
                self.get_updates(loss, variables)

    def _build_updates(self: Any, variables: list[Variable], backend: Any) -> None:
        self.__dict__.setdefault("_made", {})
        for name, value in vars(self).items():
            if isinstance(value, Variable):
                value.move_to(backend.name)
            elif backends.of(value) is not None:
                problem = f"`{name}` was computed when the optimizer was made, where older Keras built a graph, and never changes"
                if ops.dtype(value) == "bool":
                    check.fail(self, f"{problem}; compute it in get_updates")
                warnings.warn(
                    f"{check.who(self)}: {problem}; unless it is a constant, compute it in get_updates", stacklevel=2
                )
        # A first run makes the slots; what it assigns is dropped.
        with backend.outside_trace(), scope.StateScope():
            self._run_updates([ops.zeros(v.shape, v.dtype) for v in variables], variables)
        own = [v for v in self._made[tuple(map(id, variables))] if isinstance(v, Variable)]
        inner = vars(self).get("optimizer")
        self._variables += [*own, *(getattr(inner, "variables") if isinstance(inner, Older) else ())]

    # -- _resource_apply_dense -----------------------------------------------------------------------------------------

    def _create_slots(self: Any, var_list: Sequence[Any]) -> None:
        if self.manner != "dense":  # whose rule has the slots of its class already
            self.build(var_list)

    def _create_hypers(self) -> None:
        """They are plain attributes and the learning rate's variable."""

    def _track_trackable(self, trackable: Any, name: str, overwrite: bool = False) -> Any:
        """Attributes are found without it."""
        return trackable

    def add_slot(self: Any, var: Any, slot_name: str, initializer: Any = "zeros", shape: Any = None) -> Any:
        """A variable of this name beside ``var``; ``initializer``: a name, an initializer or a value."""
        slots, key = self.__dict__.setdefault("_named_slots", {}), (self._mine(var), slot_name)
        if isinstance(initializer, backends.foreign_state):
            initializer = self._mine(initializer)
        if key not in slots:
            if shape is not None:
                slots[key] = self.add_variable(tuple(shape), initializer, key[0].dtype, name=slot_name)
            else:
                slots[key] = self.add_variable_from_reference(key[0], slot_name, initializer)
        return slots[key].backend.bare(slots[key])

    def get_slot(self: Any, var: Any, slot_name: str) -> Any:
        slots, variable = self.__dict__.get("_named_slots", {}), self._mine(var)
        if (variable, slot_name) not in slots:
            known = sorted({name for _, name in slots})
            check.fail(self, f"`{variable.path}` has no slot {slot_name!r}; add_slot made {known}", KeyError)
        found = slots[variable, slot_name]
        return found.backend.bare(found)

    def _mine(self, var: Any) -> Variable:
        found = self._bare.get(id(var))
        return found if found is not None else _ours([var])[0]

    def _set_hyper(self: Any, name: str, value: Any) -> None:
        setattr(self, name, value)

    def _get_hyper(self: Any, name: str, dtype: Any = None) -> Any:
        value = self._rate if name == "learning_rate" else getattr(self, name)
        if isinstance(value, LearningRateSchedule):
            return value
        value = value() if callable(value) else value
        return value if dtype is None else ops.cast(_value(value), _name(dtype))

    def _serialize_hyperparameter(self: Any, hyperparameter: Any) -> Any:
        """The config's value for a hyperparameter (its name, up to tf.keras 2.10)."""
        value = self._get_hyper(hyperparameter) if isinstance(hyperparameter, str) else hyperparameter
        value = value() if callable(value) and not isinstance(value, LearningRateSchedule) else value
        return value.numpy().item() if isinstance(value, Variable) else configurable.serialize(value)

    @staticmethod
    def _call_if_callable(param: Any) -> Any:
        return param() if callable(param) else param

    @property
    def _initial_decay(self: Any) -> float:
        return self.decay

    def _decayed_lr(self: Any, var_dtype: Any) -> Tensor:
        """The rate of this step: by its schedule, and by ``decay``."""
        return ops.cast(self._decayed_rate(self._iterations.raw_value), _name(var_dtype))

    def _prepare(self: Any, var_list: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        state: dict[Any, dict[str, Any]] = {(v.device, v.dtype.base_dtype): {} for v in var_list}
        for device, dtype in state:
            self._prepare_local(device, dtype, state)
        return state

    def _prepare_local(self: Any, var_device: Any, var_dtype: Any, apply_state: dict[Any, dict[str, Any]]) -> None:
        numbers = {n: v for n in self.hyper if isinstance(v := getattr(self, n), float)}
        found = {
            "lr_t": self._decayed_lr(var_dtype),
            **{f"{n}_t": ops.cast(v, _name(var_dtype)) for n, v in numbers.items()},
        }
        apply_state[var_device, var_dtype].update(found)

    def _fallback_apply_state(self: Any, var_device: Any, var_dtype: Any) -> dict[str, Any]:
        state: dict[Any, dict[str, Any]] = {(var_device, var_dtype): {}}
        self._prepare_local(var_device, var_dtype, state)
        return state[var_device, var_dtype]

    def _resource_apply_dense(self: Any, grad: Tensor, var: Any, apply_state: Any = None) -> Any:
        """The update of this class's own rule."""
        self.update_step(grad, self._mine(var), self._decayed_rate(self._iterations.raw_value))
        return var

    def _build_dense(self: Any, variables: list[Variable]) -> None:
        own = [v.backend.bare(v) for v in variables]
        if own and own[0] is variables[0]:
            check.fail(
                self,
                f"_resource_apply_dense is written for TensorFlow's variables, which {variables[0].backend.name!r} has not; "
                "define update_step(self, gradient, variable, learning_rate), which runs on every backend",
                NotImplementedError,
            )
        self._bare = {id(x): v for x, v in zip(own, variables)}
        self._create_slots(own)

    def _run_dense(self: Any, gradients: Sequence[Tensor], variables: list[Variable]) -> None:
        own = [v.backend.bare(v) for v in variables]
        self._bare = {id(x): v for x, v in zip(own, variables)}
        held = [*variables, *self._variables] if scope.local.scope is not None else []
        before = [v.backend.read(v) for v in held]
        state = self._prepare(own)
        more = (
            {"apply_state": state} if "apply_state" in inspect.signature(self._resource_apply_dense).parameters else {}
        )
        for g, v in zip(gradients, own):
            self._resource_apply_dense(g, v, **more)
        for v, value in zip(held, before):  # the scope around keeps what is written
            v.assign(v.backend.read(v))
            v.backend.write(v, value)

    # -- update_step without a rate --------------------------------------------------------------------------------------

    def _build_learning_rate(self, learning_rate: Any) -> Any:
        """What ``self._learning_rate`` is set to."""
        return learning_rate

    @property
    def _learning_rate(self: Any) -> Any:
        return self._rate

    @_learning_rate.setter
    def _learning_rate(self: Any, value: Any) -> None:
        self.learning_rate = value

    def _var_key(self, variable: Any) -> Variable:
        return self._mine(variable)

    @property
    def _index_dict(self: Any) -> Mapping[Variable, int]:
        return self._index

    # -- all -----------------------------------------------------------------------------------------------------------

    @property
    def _weights(self: Any) -> list[Variable]:
        return self._variables

    @property
    def weights(self: Any) -> list[Variable]:
        """Keras 2: ``variables``, or what ``get_updates`` said."""
        return _Variables(self.__dict__.get("weights") or self.variables)

    @weights.setter
    def weights(self, value: Sequence[Variable]) -> None:
        self.__dict__["weights"] = list(value)

    def _older_config(self: Any) -> Config:
        """What the base class put into a config in that manner."""
        common = ("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
                  "ema_overwrite_frequency") if self.manner == "step" else ("clipnorm", "clipvalue", "global_clipnorm")  # fmt: skip
        config = {n: getattr(self, n) for n in common if self.manner == "step" or getattr(self, n) is not None}
        return config if self.manner == "updates" else {"name": self.name, **config}


def _ours(variables: Any) -> list[Variable]:
    """The variables, those of a backend's own library wrapped."""
    return [
        v if isinstance(v, Variable) or not isinstance(v, backends.foreign_state) else backends.adopt(v)[0]
        for v in variables
    ]


def _value(x: Any) -> Any:
    return x.raw_value if isinstance(x, Variable) else x


def _name(dtype: Any) -> str:
    return dtype if isinstance(dtype, str) else backends.current().dtype_name(dtype)
