"""What an optimizer keeps: the counter of its updates, the learning rate, and the slots of each variable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nyala import backends, ops
from nyala.base import check, configurable, naming, old, scope
from nyala.base.variable import Variable
from nyala.optimizers.older import _ours
from nyala.schedules import LearningRateSchedule


def plural(slot: str) -> str:
    return slot[:-1] + "ies" if slot.endswith("y") else slot + "s"


class OptimizerState:
    """The variables of an optimizer; mixed into ``Optimizer``."""

    if TYPE_CHECKING:
        name: str
        manner: str
        use_ema: bool
        gradient_accumulation_steps: int | None
        shared: Mapping[str, float]
        weights: list[Variable]
        slot_groups: Callable[[], tuple[tuple[str, ...], ...]]
        first_slot: Callable[[str, Variable], np.ndarray | None]
        _find_undecayed: Callable[[], None]
        _build_updates: Callable[..., None]
        _build_dense: Callable[..., None]
        _take_waiting: Callable[[], None]

    _rate: Any

    def _no_state(self) -> None:
        self.built = False
        self._variables: list[Variable] = []
        self._iterations: Variable | None = None
        self._trainable_variables: list[Variable] = []
        self._index: dict[Variable, int] = {}
        self._slots: dict[str, list[Variable | None]] = {}
        self._averages: list[Variable] = []
        self._accumulators: list[Variable] = []
        self._shared: dict[str, Variable] = {}

    @property
    def variables(self) -> list[Variable]:
        """The step counter, the learning rate unless it is a schedule, and the slots."""
        self._start()
        return list(self._variables)

    @property
    def iterations(self) -> Any:
        """Number of updates made; a variable, or with gradient accumulation a tensor."""
        self._start()
        assert self._iterations is not None
        if self.gradient_accumulation_steps:
            return ops.floor_divide(self._iterations.raw_value, self.gradient_accumulation_steps)
        return self._iterations

    @iterations.setter
    def iterations(self, variable: Variable) -> None:
        if self.built:
            check.fail(self, "iterations cannot be replaced after build; assign to it", RuntimeError)
        self._start()
        self._variables[self._variables.index(self._iterations)] = variable  # type: ignore[arg-type]
        self._iterations = variable

    @property
    def learning_rate(self) -> Any:
        """The rate's variable; of a schedule or a callable the value at the present step."""
        self._start()
        if isinstance(self._rate, LearningRateSchedule):
            return self._rate(self._iterations.raw_value)  # type: ignore[union-attr]
        if self._rate is None:
            raise AttributeError(f"{check.who(self)} was made without a learning rate")
        return self._rate() if callable(self._rate) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, Variable) or scope.deferred() is not None:  # of a user's optimizer
            self._rate = value
            return
        if isinstance(self._rate, Variable) and not callable(value) and not isinstance(value, (str, Mapping)):
            self._rate.assign(value)
            return
        value = checked_rate(self, value)
        if isinstance(value, float) and callable(self._rate):
            check.fail(
                self,
                "the learning rate follows a schedule and cannot be set to a number; make the optimizer with a number",
                TypeError,
            )
        self._variables = [v for v in self._variables if v is not self._rate]
        self._rate = value
        scope.python_state.changed()

    @property
    def lr(self) -> Any:
        """Keras 1 and 2: ``learning_rate``."""
        old.tell("optimizer.lr", "optimizer.learning_rate")
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        old.tell("optimizer.lr = ...", "optimizer.learning_rate = ...")
        self.learning_rate = value

    def get_weights(self) -> list[np.ndarray]:
        """Keras 2: the values of ``weights``."""
        return [v.numpy() for v in self.weights]

    def _start(self) -> None:
        """Make the counter and the rate; before ``build`` on the current backend, moved later if need be."""
        if self._iterations is not None:
            return
        with naming.at((self.name,)):
            self._iterations = Variable(np.zeros((), "int32"), trainable=False, name="iteration")
            self._variables.insert(0, self._iterations)
            if isinstance(self._rate, float):
                self._rate = Variable(np.float32(self._rate), trainable=False, autocast=False, name="learning_rate")
                self._variables.insert(1, self._rate)

    @old.takes(var_list="variables")
    def build(self, variables: Iterable[Variable]) -> None:
        """Make the slots for ``variables``, on their backend. Raises TypeError if they live on two.

        Called again it takes further variables in: programs for older Keras share an optimizer between models.
        """
        new = [v for v in _ours(variables) if v not in self._index]
        if self.built and not new:
            return
        found = {v.backend for v in [*self._trainable_variables, *new]}
        if len(found) > 1:
            check.fail(
                self,
                f"variables of the backends {sorted(b.name for b in found)} cannot share an optimizer; "
                "make one for each, or move the model with to_backend",
                TypeError,
            )
        backend = found.pop() if found else backends.current()
        with backends.backend_scope(backend):
            if not self.built:
                self._start()
                for v in self._variables:
                    v.move_to(backend.name)
            self._index.update({v: len(self._index) + i for i, v in enumerate(new)})
            self._trainable_variables = [*self._trainable_variables, *new]
            if self.use_ema:
                self._averages += self.add_optimizer_variables(new, "average")
            if self.gradient_accumulation_steps:
                self._accumulators += self.add_optimizer_variables(new, "gradient_accumulator")
            for group in self.slot_groups():
                for variable in new:
                    for slot in group:
                        value = self.first_slot(slot, variable)
                        made = None if value is None else self._like(variable, slot, value)
                        self._slots.setdefault(plural(slot), []).append(made)
            with naming.at((self.name,)):
                for name, number in () if self.built else self.shared.items():
                    self._shared[name] = self._track(Variable(np.float32(number), trainable=False, name=name))
            if self.manner == "updates":
                self._build_updates(new, backend)
            elif self.manner == "dense":
                self._build_dense(new)
        self._find_undecayed()
        if self.built:
            old.tell("one optimizer for several models", "an optimizer for each")
        self.built = True
        self._take_waiting()

    def _track(self, variable: Variable) -> Variable:
        self._variables.append(variable)
        return variable

    def _like(self, reference: Variable, name: str | None, value: Any) -> Variable:
        name = "_".join(filter(None, (reference.path.replace("/", "_"), name)))
        with naming.at((self.name,)), backends.backend_scope(reference.backend):
            made = Variable(
                value, reference.shape if callable(value) else None, reference.dtype, trainable=False, name=name
            )
        reference.backend.align(made, reference)
        return self._track(made)

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A variable of the optimizer's own; for custom optimizers."""
        if layout is not None:
            check.fail(self, "layout is not supported; set it by the distribution of the model")
        self._start()
        with naming.at((self.name,)):
            made = Variable(
                _initializer(initializer), shape, dtype, trainable=False, aggregation=aggregation, name=name
            )
        return self._track(made)

    @old.takes(model_variable="reference_variable", variable_name="name", initial_value="initializer")
    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A variable with the shape and dtype of another; for custom optimizers."""
        return self._like(reference_variable, name, _initializer(initializer))

    def add_optimizer_variables(
        self, trainable_variables: Iterable[Variable], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """One slot a variable; a tuple of lists for several names."""
        names = [name] if isinstance(name, str) else list(name)
        each = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        lists: tuple[list[Variable], ...] = tuple([] for _ in names)
        for variable in trainable_variables:
            for made, slot, first in zip(lists, names, each):
                made.append(self.add_variable_from_reference(variable, slot, first))
        return lists[0] if isinstance(name, str) else lists

    def to_backend(self, backend: str) -> None:
        """Move the state bit for bit; the variables it optimizes are moved by their model."""
        for v in self._variables:
            v.move_to(backend)

    def save_own_variables(self, store: Any) -> None:
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the values of ``store["0"]``, ``store["1"]``, ... Raises ValueError if their number differs."""
        keys = list(store.keys())
        if len(keys) != len(self.variables):
            check.fail(
                self,
                f"it has {len(self.variables)} variables and the file {len(keys)}. "
                f"{'' if self.built else 'Build it first: optimizer.build(model.trainable_variables)'}",
            )
        for i, variable in enumerate(self.variables):
            variable.assign(np.asarray(store[str(i)]))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign ``variables`` in order. Raises ValueError if their number or a shape differs."""
        if not self.built:
            check.fail(self, "build it before set_weights: optimizer.build(model.trainable_variables)")
        if len(weights) != len(self._variables):
            check.fail(self, f"set_weights needs {len(self._variables)} values, got {len(weights)}")
        for variable, value in zip(self._variables, weights):
            variable.assign(value)


def _initializer(initializer: Any) -> Any:
    from nyala import initializers

    if isinstance(initializer, (Variable, np.ndarray)) or backends.of(initializer) is not None:
        return initializer
    return initializers.get(initializer)  # type: ignore[arg-type]


def checked_rate(owner: Any, rate: Any) -> Any:
    """A float, a schedule or a callable."""
    if isinstance(rate, Mapping):
        return configurable.deserialize(rate)
    if isinstance(rate, str) or rate is None or isinstance(rate, bool):
        return check.fail(owner, f"learning_rate must be a number, a LearningRateSchedule or a callable, got {rate!r}")
    return rate if callable(rate) else float(rate)
