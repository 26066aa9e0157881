"""Adam and its relatives: moments of the gradient, corrected for their start at zero."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.base.variable import Variable
from nyala.optimizers.base import Common, Optimizer


def moments(g: Tensor, m: Tensor, v: Tensor, beta_1: float, beta_2: float) -> tuple[Tensor, Tensor]:
    """The moving averages of the gradient and of its square."""
    return m + (g - m) * (1.0 - beta_1), v + (ops.square(g) - v) * (1.0 - beta_2)


def adam_step(lr: Tensor, t: Tensor, m: Tensor, v: Tensor, beta_1: float, beta_2: float, epsilon: float) -> Tensor:
    """What Adam takes from the weight at update ``t`` ("epsilon hat" of the paper's section 2)."""
    rate = lr * ops.sqrt(1.0 - ops.power(beta_2, t)) / (1.0 - ops.power(beta_1, t))
    return m * rate / (ops.sqrt(v) + epsilon)


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;  w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon).

    Kingma & Ba 2014, https://arxiv.org/abs/1412.6980

    Args:
        beta_1, beta_2: decay of the moments, in [0, 1).
        epsilon: keeps the division finite.
        amsgrad: divide by the largest v so far, https://openreview.net/forum?id=ryQu7f-RZ
    """

    slots = (("momentum", "velocity"),)
    fused = "adam"

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return (*self.slots, ("velocity_hat",)) if self.amsgrad else self.slots

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        m, v = moments(g, state[0], state[1], self.beta_1, self.beta_2)
        largest = tuple(ops.maximum(hat, v) for hat in state[2:])
        used = largest[0] if largest else v
        return w - adam_step(lr, t, m, used, self.beta_1, self.beta_2, self.epsilon), m, v, *largest


class AdamW(Adam):
    """Adam with weight decay apart from the gradient. Loshchilov & Hutter 2017, https://arxiv.org/abs/1711.05101"""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **kwargs)


class Adamax(Optimizer):
    """m as in Adam;  u = max(b2 u, |g|);  w -= lr / (1 - b1^t) m / (u + epsilon).

    Kingma & Ba 2014, section 7.1, https://arxiv.org/abs/1412.6980

    Args: beta_1, beta_2, epsilon: as for Adam.
    """

    slots = (("momentum", "norm"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        m, u = state
        m = m + (g - m) * (1.0 - self.beta_1)
        u = ops.maximum(self.beta_2 * u, ops.absolute(g))
        return w - lr / (1.0 - ops.power(self.beta_1, t)) * m / (u + self.epsilon), m, u


class Nadam(Optimizer):
    """Adam with Nesterov's momentum and a momentum that warms up: u_t = b1 (1 - 0.96^t / 2).

    w -= lr (u_{t+1} m / (1 - u_1...u_{t+1}) + (1 - u_t) g / (1 - u_1...u_t)) / (sqrt(v / (1 - b2^t)) + epsilon).
    Dozat 2015, https://cs229.stanford.edu/proj2015/054_report.pdf

    Args: beta_1, beta_2, epsilon: as for Adam.
    """

    slots = (("momentum", "velocity"),)
    shared = {"u_product": 1.0}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def u(self, t: Tensor) -> Tensor:
        return self.beta_1 * (1.0 - 0.5 * ops.power(0.96, t))

    def advance(self, t: Tensor, *shared: Tensor) -> tuple[Tensor, ...]:
        return (shared[0] * self.u(t),)

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        m, v, product = state
        m, v = moments(g, m, v, self.beta_1, self.beta_2)
        following = self.u(t + 1.0)
        ahead = following * m / (1.0 - product * following) + (1.0 - self.u(t)) * g / (1.0 - product)
        return w - lr * ahead / (ops.sqrt(v / (1.0 - ops.power(self.beta_2, t))) + self.epsilon), m, v


class Lamb(Optimizer):
    """Adam's corrected step r, scaled for each weight: w -= lr |w| / |r| r.

    You et al. 2019, https://arxiv.org/abs/1904.00962

    Args: beta_1, beta_2, epsilon: as for Adam.
    """

    slots = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        m, v = moments(g, state[0], state[1], self.beta_1, self.beta_2)
        scale = ops.sqrt(v / (1.0 - ops.power(self.beta_2, t))) + self.epsilon
        r = m / (1.0 - ops.power(self.beta_1, t)) / scale
        size, step = ops.sqrt(ops.sum(ops.square(w))), ops.sqrt(ops.sum(ops.square(r)))
        usable = ops.logical_and(ops.greater(size, 0.0), ops.greater(step, 0.0))
        trust = ops.where(usable, size / ops.where(usable, step, ops.ones_like(step)), ops.ones_like(step))
        return w - trust * lr * r, m, v


class ScheduleFreeAdamW(Optimizer):
    """AdamW without a schedule: the gradient is taken at y = (1 - b1) z + b1 x, z makes the steps and x averages z.

    v = b2 v + (1 - b2) g²;  z -= lr g / (sqrt(v / (1 - b2^t)) + epsilon);  x += (z - x) / t. The weights hold y; the
    slot "momentum" holds z. Defazio et al. 2024, https://arxiv.org/abs/2405.15682

    Args:
        beta_1: share of x in y, in (0, 1).
        beta_2, epsilon: as for Adam.
        warmup_steps: the rate rises linearly over so many steps.
    """

    slots = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        return variable.numpy() if slot == "momentum" else super().first_slot(slot, variable)

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        z, v = state
        if self.warmup_steps:
            lr = lr * ops.minimum(t / self.warmup_steps, 1.0)
        x = (w - (1.0 - self.beta_1) * z) / self.beta_1
        v = v + (ops.square(g) - v) * (1.0 - self.beta_2)
        z = z - lr * g / (ops.sqrt(v / (1.0 - ops.power(self.beta_2, t))) + self.epsilon)
        x = x + (z - x) / t
        return (1.0 - self.beta_1) * z + self.beta_1 * x, z, v
