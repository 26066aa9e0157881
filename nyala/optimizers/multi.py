"""Several optimizers in one: each variable is updated by the one that its path, or a function, chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Self

from nyala._typing import Config, Tensor
from nyala.base import check, configurable
from nyala.base.configurable import Configurable
from nyala.base.variable import Variable
from nyala.optimizers.base import Optimizer


class OptimizerMap(Configurable, MutableMapping):  # type: ignore[misc]
    """An optimizer per variable path: an exact path, else a regular expression for the whole path, else the default.

    Args:
        default_optimizer: for variables that nothing names.
        optimizer_map: path or pattern -> optimizer.

    Raises: ValueError for a key that is there already, and where several patterns fit a path.
    """

    role = "optimizer"
    keras_module = "keras.optimizers"

    def __init__(self, default_optimizer: Optimizer, optimizer_map: Mapping[str, Optimizer] | None = None):
        self.default_optimizer = _optimizer(self, default_optimizer)
        self.optimizer_map: dict[str, Optimizer] = {}
        self.update(optimizer_map or {})

    def __getitem__(self, key: str) -> Optimizer:
        if key in self.optimizer_map:
            return self.optimizer_map[key]
        fitting = [pattern for pattern in self.optimizer_map if re.fullmatch(pattern, key)]
        if len(fitting) > 1:
            check.fail(self, f"the path {key!r} fits {fitting}; make the patterns exclude each other")
        return self.optimizer_map[fitting[0]] if fitting else self.default_optimizer

    def __setitem__(self, key: str, optimizer: Optimizer) -> None:
        if key in self.optimizer_map:
            check.fail(self, f"{key!r} has an optimizer already; delete it first")
        self.optimizer_map[key] = _optimizer(self, optimizer)

    def __delitem__(self, key: str) -> None:
        del self.optimizer_map[key]

    def __contains__(self, key: object) -> bool:
        return key in self.optimizer_map

    def __len__(self) -> int:
        return len(self.optimizer_map)

    def __iter__(self) -> Iterator[str]:
        return iter(self.optimizer_map)

    def __bool__(self) -> bool:
        return True

    __hash__ = object.__hash__  # type: ignore[assignment]


def _optimizer(owner: Any, x: Any) -> Optimizer:
    if isinstance(x, dict):
        x = configurable.deserialize(x, role="optimizer")
    if not isinstance(x, Optimizer):
        check.fail(owner, f"expected an optimizer, got {x!r}", TypeError)
    return x


class MultiOptimizer(Optimizer):
    """Hands each variable to the optimizer chosen for it.

    Args:
        optimizer_map: an ``OptimizerMap``, or a function from a variable to its optimizer.
        loss_scale_factor: see ``Optimizer``; it holds for all.

    ``optimizers`` are those in use, after ``build``; there is no single ``learning_rate``.
    """

    config_order = ("optimizer_map", "loss_scale_factor", "name")
    config_skip = frozenset(Optimizer.config_order) - {"name", "loss_scale_factor"}

    def __init__(
        self,
        optimizer_map: OptimizerMap | Callable[[Variable], Optimizer],
        loss_scale_factor: float | None = None,
        name: str | None = None,
    ):
        super().__init__(0.0, loss_scale_factor=loss_scale_factor, name=name)
        if not isinstance(optimizer_map, OptimizerMap) and not callable(optimizer_map):
            check.fail(self, f"optimizer_map must be an OptimizerMap or a function, got {optimizer_map!r}", TypeError)
        self.optimizer_map = optimizer_map
        self._groups: list[tuple[Optimizer, list[Variable]]] = []

    def build(self, variables: Iterable[Variable]) -> None:
        variables = list(variables)
        if self.built:
            return
        super().build(variables)
        groups: dict[int, tuple[Optimizer, list[Variable]]] = {}
        for variable in variables:
            chosen = self.optimizer_map
            found = chosen[variable.path] if isinstance(chosen, OptimizerMap) else _optimizer(self, chosen(variable))
            groups.setdefault(id(found), (found, []))[1].append(variable)
        self._groups = list(groups.values())
        for optimizer, own in self._groups:
            optimizer.build(own)

    @property
    def optimizers(self) -> list[Optimizer]:
        return [optimizer for optimizer, _ in self._groups]

    @property
    def variables(self) -> list[Variable]:
        return [*super().variables, *(v for optimizer in self.optimizers for v in optimizer.variables)]

    @property
    def learning_rate(self) -> Any:
        raise AttributeError(
            f"{check.who(self)} has no learning_rate of its own; each of its optimizers has: "
            "[o.learning_rate for o in optimizer.optimizers]"
        )

    def _step(self, pairs: list[tuple[Tensor, Variable]]) -> None:
        assert self._iterations is not None
        given = {v: g if self.loss_scale_factor is None else g / self.loss_scale_factor for g, v in pairs}
        for optimizer, own in self._groups:
            own = [v for v in own if v in given]
            if own:
                optimizer._apply([given[v] for v in own], own)
        self._iterations.assign(self._iterations.raw_value + 1)

    def set_weights(self, weights: Sequence[Any]) -> None:
        if len(weights) != len(self.variables):
            check.fail(self, f"set_weights needs {len(self.variables)} values, got {len(weights)}")
        for variable, value in zip(self.variables, weights):
            variable.assign(value)

    def to_backend(self, backend: str) -> None:
        super().to_backend(backend)
        for optimizer in self.optimizers:
            optimizer.to_backend(backend)

    @property
    def keeps_averages(self) -> bool:
        return any(optimizer.keeps_averages for optimizer in self.optimizers)

    def swap_averages(self, swapped: bool) -> None:
        for optimizer in self.optimizers:
            optimizer.swap_averages(swapped)

    @property
    def swapped(self) -> bool:
        return any(optimizer.swapped for optimizer in self.optimizers)

    @swapped.setter
    def swapped(self, value: bool) -> None:
        for optimizer in self.optimizers:
            optimizer.swapped = value and optimizer.keeps_averages

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        wanted = set(var_list)
        for optimizer, own in self._groups:
            optimizer.finalize_variable_values([v for v in own if v in wanted])

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Raise: say it to the optimizers that decay weights."""
        check.fail(self, "has no weight decay; call exclude_from_weight_decay on the optimizers of its map")

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        chosen = configurable.deserialize(config["optimizer_map"], custom_objects)
        return cls(**{**config, "optimizer_map": chosen})


__all__ = ["MultiOptimizer", "OptimizerMap"]
