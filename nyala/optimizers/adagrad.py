"""Rates per weight from accumulated squared gradients."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.backends import dtypes
from nyala.base import check
from nyala.base.variable import Variable
from nyala.optimizers.base import Common, Optimizer


class Adagrad(Optimizer):
    """a += g²;  w -= lr g / sqrt(a + epsilon). Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html

    Args:
        initial_accumulator_value: a at the start, >= 0.
        epsilon: keeps the division finite.
    """

    slots = (("accumulator",),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.initial_accumulator_value = check.number_in(
            self, "initial_accumulator_value", initial_accumulator_value, 0.0
        )
        self.epsilon = epsilon

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        return np.full(variable.shape, self.initial_accumulator_value, dtypes.numpy_dtype(variable.dtype))

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        a = state[0] + ops.square(g)
        return w - lr * g / ops.sqrt(a + self.epsilon), a


class Adadelta(Optimizer):
    """a = rho a + (1 - rho) g²;  d = -sqrt(b + epsilon) / sqrt(a + epsilon) g;  b = rho b + (1 - rho) d²;  w += lr d.

    Zeiler 2012, https://arxiv.org/abs/1212.5701

    Args:
        rho: decay of both averages.
        epsilon: keeps the quotient finite and starts the steps.
    """

    slots = (("accumulated_grad", "accumulated_delta_var"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        a, b = state
        a = self.rho * a + (1.0 - self.rho) * ops.square(g)
        d = -ops.sqrt(b + self.epsilon) / ops.sqrt(a + self.epsilon) * g
        return w + lr * d, a, self.rho * b + (1.0 - self.rho) * ops.square(d)


class RMSprop(Optimizer):
    """v = rho v + (1 - rho) g²;  w -= lr g / sqrt(v + epsilon), with momentum m = momentum m + that step and w -= m.

    Hinton, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf

    Args:
        rho: decay of the averages.
        momentum: in [0, 1).
        epsilon: keeps the division finite.
        centered: divide by the variance, v - average(g)², rather than by v.
    """

    fused = "rmsprop"

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_groups(self) -> tuple[tuple[str, ...], ...]:
        groups = (("velocity",), ("momentum",), ("average_gradient",))
        used = (True, self.momentum > 0, self.centered)
        return tuple(group for group, wanted in zip(groups, used) if wanted)

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        v = self.rho * state[0] + (1.0 - self.rho) * ops.square(g)
        variance, average = v, ()
        if self.centered:
            average = (self.rho * state[-1] + (1.0 - self.rho) * g,)
            variance = v - ops.square(average[0])
        step = lr * g / ops.sqrt(variance + self.epsilon)
        if not self.momentum > 0:
            return w - step, v, *average
        m = self.momentum * state[1] + step
        return w - m, v, m, *average


class Ftrl(Optimizer):
    """Follow the regularized leader: weights from accumulated squares a and a linear term z; 0 where |z| <= l1.

    b = a + g²;  z += g + 2 shrinkage w - (b^-p - a^-p) / lr w;
    w = (clip(z, -l1, l1) - z) / (b^-p / lr + 2 l2 + beta / lr).
    McMahan et al. 2013, https://research.google.com/pubs/archive/41159.pdf

    Args:
        learning_rate_power: p <= 0; 0 is a constant rate.
        initial_accumulator_value: a at the start, >= 0.
        l1_regularization_strength, l2_regularization_strength: penalties >= 0.
        l2_shrinkage_regularization_strength: >= 0, a penalty that acts on the gradient only.
        beta: from the paper.
    """

    slots = (("accumulator", "linear"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.learning_rate_power = check.number_in(self, "learning_rate_power", learning_rate_power, high=0.0)
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for name in self.hyper[1:-1]:
            check.number_in(self, name, getattr(self, name), 0.0)

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        first = self.initial_accumulator_value if slot == "accumulator" else 0.0
        return np.full(variable.shape, first, dtypes.numpy_dtype(variable.dtype))

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        a, z = state
        p, l1 = -self.learning_rate_power, self.l1_regularization_strength
        b = a + ops.square(g)
        rates = ops.power(b, p) / lr
        shrunk = g + 2.0 * self.l2_shrinkage_regularization_strength * w
        z = z + shrunk - (rates - ops.power(a, p) / lr) * w
        curvature = rates + 2.0 * self.l2_regularization_strength + self.beta / lr
        return (ops.clip(z, -l1, l1) - z) / curvature, b, z
