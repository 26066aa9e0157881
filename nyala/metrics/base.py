"""The metric: state that updates add to and from which a result is computed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from nyala import backends, initializers, ops
from nyala._typing import DType, Nest, Shape, Tensor, TensorLike
from nyala.base import check, naming, old, tree
from nyala.base.configurable import Configurable
from nyala.base.scope import StateScope
from nyala.base.variable import Variable
from nyala.losses.base import value_dtype


class Metric(Configurable):
    """Base of metrics. A subclass adds to its variables in ``update_state`` and computes from them in ``result``.

    Variables come from ``add_variable``, called in ``__init__`` or, better, in ``make_variables``: that runs before the
    first use, on the backend of the first tensors seen. A metric that meets tensors of another backend moves there.

    Rule of all metrics that average: without a mask every sample counts alike, times its ``sample_weight``; a mask that
    travels with the predictions leaves entries out, and the valid ones count alike, times their weight.

    Args:
        dtype: of the state and the result; default ``floatx()``, also in a model of lower precision.
        name: for logs; made from the class name if not given.
    """

    role = "metric"
    keras_module = "keras.metrics"
    config_order = ("name", "dtype")
    takes_columns = False
    """Written for Keras 2, whose ``fit`` made targets of shape (batch,) ones of shape (batch, 1)."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("update_state", "result"):
            if name in cls.__dict__:
                setattr(cls, name, _on_own_backend(cls.__dict__[name]))
        if "reset_states" in cls.__dict__ and "reset_state" not in cls.__dict__:
            cls.reset_state = cls.__dict__["reset_states"]  # the name to override before Keras 2.5
            cls.takes_columns = True

    def __init__(self, dtype: DType = None, name: str | None = None):
        self.name = naming.auto(type(self).__name__, name)
        self.dtype = value_dtype(dtype)
        self._own_backend: Any = None
        self._variables: list[Variable] = []
        self._made = False

    # -- state ------------------------------------------------------------------------------------------------------

    def make_variables(self) -> None:
        """Make the state with ``add_variable``; called once, before the first use."""

    def add_variable(
        self,
        shape: Shape,
        initializer: Any = None,
        dtype: DType = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """A variable of the state, zeros by default; ``reset_state`` brings its first value back."""
        if "_variables" not in self.__dict__:
            check.fail(self, "call super().__init__() before the first add_variable", RuntimeError)
        backend = self._own_backend or backends.current()
        with naming.at((self.name,)), backends.backend_scope(backend):
            variable = Variable(
                initializers.get("zeros" if initializer is None else initializer),
                shape=tuple(shape),
                dtype=self.dtype if dtype is None else dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                name=name,
            )
        self._own_backend = backend
        self._variables.append(variable)
        return variable

    @old.takes_old_weight
    def add_weight(
        self,
        shape: Shape = (),
        initializer: Any = None,
        dtype: DType = None,
        name: str | None = None,
        aggregation: str | None = "sum",
    ) -> Variable:
        """``add_variable`` with a scalar as the default."""
        return self.add_variable(shape, initializer, dtype, aggregation, name)

    def __getattr__(self, name: str) -> Any:
        # Asked only for what is not there: the state, before the first use.
        if not name.startswith("_"):
            if "_variables" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__} has no {name!r} yet; call super().__init__() first")
            if not self._made:
                self._make()
                return getattr(self, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _make(self) -> None:
        self._made = True
        if self._own_backend is None:
            self._own_backend = backends.current()
        self.make_variables()

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that are attributes of this one."""
        found = (v for value in vars(self).values() for v in _leaves(value) if isinstance(v, Metric))
        return list(dict.fromkeys(found))

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics among the attributes included."""
        if not self._made:
            self._make()
        own = dict.fromkeys(self._variables)
        own.update(dict.fromkeys(v for x in vars(self).values() for v in _leaves(x) if isinstance(v, Variable)))
        return [*own, *(v for metric in self.metrics for v in metric.variables if v not in own)]

    def to_backend(self, backend: Any) -> Self:
        """Move the state, unchanged, to the backend of that name (new state is made there)."""
        target = backends.get(backend)
        outer, self._own_backend = self._own_backend, target
        if not self._made:
            self._make()
        if outer is not target:
            for variable in self.variables:
                variable.move_to(target)  # type: ignore[arg-type]
            for metric in self.metrics:
                metric.to_backend(target)
        return self

    # -- what a metric does -----------------------------------------------------------------------------------------

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch to the state."""
        raise NotImplementedError(f"{type(self).__name__} has no method update_state")

    def result(self) -> Any:
        """The value so far: a tensor, or a dict of them."""
        raise NotImplementedError(f"{type(self).__name__} has no method result")

    def reset_state(self) -> None:
        """Start anew."""
        for variable in self.variables:
            with backends.backend_scope(variable.backend):
                initial = variable.initializer
                if initial is None or type(initial).__name__ == "Zeros":
                    variable.assign(ops.zeros(variable.shape, variable.dtype))
                else:
                    variable.assign(initial(variable.shape, dtype=variable.dtype))

    def reset_states(self) -> None:
        """Keras 2: ``reset_state``."""
        old.tell("metric.reset_states()", "metric.reset_state()")
        overridden = type(self).reset_state is type(self).reset_states
        (functools.partial(Metric.reset_state, self) if overridden else self.reset_state)()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``update_state``, then ``result``."""
        self.update_state(*args, **kwargs)
        return self.result()

    def merge_state(self, metrics: Iterable[Metric]) -> None:
        """Add the state of other metrics of this class, e.g. those of other workers."""
        for other in metrics:
            if not self._made:
                self.to_backend(self._own_backend or other._own_backend or backends.current())
            self.match(other)
            ours, theirs = self.variables, other.variables
            if [v.shape for v in ours] != [v.shape for v in theirs]:
                check.fail(
                    self, f"cannot merge {other!r}, whose state has another shape; merge metrics of equal arguments"
                )
            for mine, their in zip(ours, theirs):
                mine.assign_add(their if their.backend is mine.backend else their.numpy())

    def match(self, other: Metric) -> None:
        """Make the state whose shape ``other`` knows from data and this metric does not know yet."""

    # -- the same without side effects ------------------------------------------------------------------------------

    def _scope(self, values: Sequence[TensorLike]) -> StateScope:
        variables = self.variables
        if len(values) != len(variables):
            check.fail(
                self,
                f"expected {len(variables)} state values ({[v.name for v in variables]}), got {len(values)}; "
                "a metric whose state depends on the data has it after its first update",
            )
        backend = _backend_of(values) or self._own_backend
        self.to_backend(backend)
        return StateScope({v: backend.convert(x, v.dtype) for v, x in zip(variables, values)})

    def stateless_update_state(self, metric_variables: Sequence[TensorLike], *args: Any, **kwargs: Any) -> list[Tensor]:
        """The state after an update, from the state before it; the variables stay as they are."""
        with self._scope(metric_variables) as scope:
            self.update_state(*args, **kwargs)
            return [scope.read(v) for v in self.variables]

    def stateless_result(self, metric_variables: Sequence[TensorLike]) -> Any:
        """The result of a state."""
        with self._scope(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Tensor]:
        """The state of a metric that has seen nothing."""
        with StateScope() as scope:
            self.reset_state()
            return [scope.read(v) for v in self.variables]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"

    __str__ = __repr__


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, (list, tuple)):
        for v in x:
            yield from _leaves(v)
    elif isinstance(x, dict):
        yield from _leaves(list(x.values()))
    else:
        yield x


def _backend_of(nest: Nest) -> Any:
    """The backend of the first tensor or variable in ``nest``."""
    for x in nest:
        kind = type(x)
        found = backends.backend_of_type.get(kind)
        if found is not None:
            return found
        if isinstance(x, Variable):
            return x.backend
        if isinstance(x, (list, tuple, dict)):
            found = _backend_of(tree.flatten(x))
        elif x is not None and not isinstance(x, (np.ndarray, int, float, str)):
            found = backends.of(x)
        if found is not None:
            return found
    return None


def _on_own_backend(method: Callable[..., Any]) -> Callable[..., Any]:
    """Runs ``method`` on the backend of its arguments, to which the metric moves, and without recording gradients."""

    ours = naming.is_ours(method)

    @functools.wraps(method)
    def run(self: Metric, *args: Any, **kwargs: Any) -> Any:
        backend = _backend_of(args) or (_backend_of(kwargs.values()) if kwargs else None) or self._own_backend
        backend = backend or backends.current()
        if self._own_backend is not backend or not self._made:
            self.to_backend(backend)
        local = backends.local
        outer, local.backend = local.backend, backend
        try:
            with backend.no_grad():
                own = method if ours else backend.user_code(method)
                return own(self, *args, **kwargs)
        finally:
            local.backend = outer

    return run


class SizedMetric(Metric):
    """A metric whose state has one entry for each output, which the first batch tells (or ``size``)."""

    def __init__(self, dtype: DType = None, name: str | None = None):
        super().__init__(dtype=dtype, name=name)
        self.size: int | None = None

    def make_sized(self, size: int) -> None:
        """Make the state for ``size`` outputs with ``add_variable``."""
        raise NotImplementedError

    def need(self, size: Any) -> None:
        """The data has ``size`` outputs. Raises ValueError if they were another number before."""
        if self.size is None:
            self.size = check.positive_int(self, "the number of outputs", size)
            self.make_sized(self.size)
        elif size != self.size:
            check.fail(
                self, f"the data has {size} outputs, before it had {self.size}; make a new metric for other data"
            )

    def known_size(self) -> int:
        if self.size is None:
            check.fail(self, "there is no result yet; call update_state first")
        return self.size  # type: ignore[return-value]

    def match(self, other: Metric) -> None:
        size = getattr(other, "size", None)
        if size is not None:
            self.need(size)
