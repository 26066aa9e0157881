"""Gradient descent with momentum, and the sign of it."""

from __future__ import annotations

from typing import Any, Unpack

from nyala import ops
from nyala._typing import Tensor
from nyala.base import check
from nyala.optimizers.base import Common, Optimizer


class SGD(Optimizer):
    """w -= lr g; with momentum m = momentum m - lr g and w += m, Nesterov's w += momentum m - lr g.

    Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html

    Args:
        momentum: in [0, 1].
        nesterov: look ahead along the momentum.
    """

    slots = (("momentum",),)
    fused = "sgd"

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.momentum = check.number_in(self, "momentum", momentum, 0.0, 1.0)
        self.nesterov = nesterov

    def slot_groups(self) -> tuple[tuple[str, ...], ...]:
        return self.slots if self.momentum else ()

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        if not state:
            return (w - lr * g,)
        m = self.momentum * state[0] - lr * g
        return w + (self.momentum * m - lr * g if self.nesterov else m), m


class Lion(Optimizer):
    """w -= lr sign(b1 m + (1 - b1) g);  m = b2 m + (1 - b2) g. Chen et al. 2023, https://arxiv.org/abs/2302.06675

    Args:
        beta_1: in (0, 1], mixes momentum and gradient in the step.
        beta_2: decay of the momentum.
    """

    slots = (("momentum",),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        if not 0.0 < beta_1 <= 1.0:
            check.fail(self, f"beta_1 must be in (0, 1], or it would be the sign of the gradient, got {beta_1!r}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        m = state[0]
        step = ops.sign(self.beta_1 * m + (1.0 - self.beta_1) * g)
        return w - lr * step, self.beta_2 * m + (1.0 - self.beta_2) * g
