"""A loss scale that finds its own size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from nyala import backends, ops
from nyala._typing import Config, Tensor
from nyala.base import check, configurable, naming
from nyala.base.variable import Variable
from nyala.optimizers.base import Optimizer


class LossScaleOptimizer(Optimizer):
    """Scales the loss up for float16 and the gradients back; a step with an infinite or NaN gradient is skipped.

    The scale halves when that happens and doubles after ``dynamic_growth_steps`` good steps.
    Micikevicius et al. 2017, https://arxiv.org/abs/1710.03740

    Args:
        inner_optimizer: makes the updates; weight decay, clipping and averages are its arguments.
        initial_scale: the scale at the start.
        dynamic_growth_steps: a positive int.
    """

    config_order = ("name", "inner_optimizer", "initial_scale", "dynamic_growth_steps")
    config_skip = frozenset(Optimizer.config_order) - {"name"}

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ):
        if kwargs:
            check.fail("LossScaleOptimizer", f"it takes no {sorted(kwargs)}; give them to the inner optimizer")
        if not isinstance(inner_optimizer, Optimizer):
            check.fail(
                "LossScaleOptimizer", f"inner_optimizer must be an optimizer, got {inner_optimizer!r}", TypeError
            )
        super().__init__(0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = check.number_in(self, "initial_scale", initial_scale, 0.0)
        self.dynamic_growth_steps = check.positive_int(self, "dynamic_growth_steps", dynamic_growth_steps)

    def build(self, variables: Iterable[Variable]) -> None:
        variables = list(variables)
        if self.built:
            return
        super().build(variables)
        self.inner_optimizer.build(variables)
        with naming.at((self.name,)), backends.backend_scope(self.step_backend):
            self.step_counter = self._track(Variable(np.zeros((), "int32"), trainable=False, name="step_counter"))
            self.dynamic_scale = self._track(
                Variable(np.float32(self.initial_scale), trainable=False, autocast=False, name="dynamic_scale")
            )

    @property
    def step_backend(self) -> Any:
        return self._trainable_variables[0].backend if self._trainable_variables else backends.current()

    @property
    def variables(self) -> list[Variable]:
        return [*super().variables, *self.inner_optimizer.variables]

    @property
    def learning_rate(self) -> Any:
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def iterations(self) -> Any:
        return self.inner_optimizer.iterations

    def _step(self, pairs: list[tuple[Tensor, Variable]]) -> None:
        scale = self.dynamic_scale.raw_value
        finite = ops.cast(True, "bool")
        for g, _ in pairs:
            finite = ops.logical_and(finite, ops.all(ops.isfinite(g)))
        # Not-finite gradients become zeros, so that no NaN is made on the way to what is thrown away.
        grads = [ops.where(finite, g / ops.cast(scale, ops.dtype(g)), ops.zeros_like(g)) for g, _ in pairs]
        self.inner_optimizer._apply(grads, [v for _, v in pairs], finite)
        count = self.step_counter.raw_value + 1
        grown = ops.logical_and(finite, ops.equal(count, self.dynamic_growth_steps))
        self.step_counter.assign(ops.where(ops.logical_and(finite, ops.logical_not(grown)), count, 0))
        self.dynamic_scale.assign(scale * ops.where(finite, ops.where(grown, 2.0, 1.0), 0.5))

    def set_weights(self, weights: Sequence[Any]) -> None:
        own = len(super().variables)
        if len(weights) != len(self.variables):
            check.fail(self, f"set_weights needs {len(self.variables)} values, got {len(weights)}")
        super().set_weights(weights[:own])
        self.inner_optimizer.set_weights(weights[own:])

    def to_backend(self, backend: str) -> None:
        super().to_backend(backend)
        self.inner_optimizer.to_backend(backend)

    def scale_loss(self, loss: Tensor) -> Tensor:
        scale = self.dynamic_scale.raw_value if self.built else self.initial_scale
        return ops.multiply(loss, ops.cast(scale, ops.dtype(loss)))

    @property
    def keeps_averages(self) -> bool:
        return self.inner_optimizer.keeps_averages

    def swap_averages(self, swapped: bool) -> None:
        self.inner_optimizer.swap_averages(swapped)

    @property
    def swapped(self) -> bool:
        return self.inner_optimizer.swapped

    @swapped.setter
    def swapped(self, value: bool) -> None:
        self.inner_optimizer.swapped = value

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        inner = configurable.deserialize(config["inner_optimizer"], custom_objects, role="optimizer")
        return cls(**{**config, "inner_optimizer": inner})
