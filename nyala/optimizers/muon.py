"""Muon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.base.variable import Variable
from nyala.optimizers.adam import adam_step, moments
from nyala.optimizers.base import Optimizer


class Muon(Optimizer):
    """Momentum whose step is made near orthogonal for matrices; AdamW for everything else.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the scale of the step: https://arxiv.org/abs/2502.16982

    Args:
        adam_beta_1, adam_beta_2, epsilon: of the AdamW part.
        adam_weight_decay: weight decay of the AdamW part; ``weight_decay`` is that of the matrices.
        exclude_layers: regular expressions; variables in whose path one is found go to AdamW. The output layer should.
        exclude_embeddings: embeddings go to AdamW.
        muon_a, muon_b, muon_c: coefficients of the Newton-Schulz iteration, ``ns_steps`` its steps.
        adam_lr_ratio: the AdamW part's learning rate as a multiple of ``learning_rate``.
        momentum, nesterov: as for SGD.
        rms_rate: root mean square of a step in units of ``learning_rate``, as Adam's is about 0.2; ``None``: the
            orthogonal matrix is the step.
    """

    slots = (("momentum", "velocity"),)
    config_order = (
        *Optimizer.config_order, "adam_beta_1", "adam_beta_2", "epsilon", "exclude_layers", "muon_a", "muon_b",
        "muon_c", "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "exclude_embeddings",
        "adam_weight_decay", "rms_rate",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ):
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
            ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name, **kwargs,
        )  # fmt: skip
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def uses_adam(self, variable: Variable) -> bool:
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in variable.path.lower())
            or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        )

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        if slot == "velocity" and not self.uses_adam(variable):
            return None
        return super().first_slot(slot, variable)

    def decay_of(self, variable: Variable) -> float | None:
        return self.adam_weight_decay if self.uses_adam(variable) else self.weight_decay

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        if len(state) == 2:
            m, v = moments(g, state[0], state[1], self.adam_beta_1, self.adam_beta_2)
            rate = lr * self.adam_lr_ratio
            return w - adam_step(rate, t, m, v, self.adam_beta_1, self.adam_beta_2, self.epsilon), m, v
        m = self.momentum * state[0] + g
        step = self.orthogonal(g + self.momentum * m if self.nesterov else m)
        rows, columns = w.shape
        scale = 1.0 if self.rms_rate is None else self.rms_rate * max(rows, columns) ** 0.5
        return w - lr * scale * step, m

    def orthogonal(self, g: Tensor) -> Tensor:
        """Near the closest matrix with orthonormal rows or columns, by Newton-Schulz iterations."""
        wide = g.shape[0] > g.shape[1]
        x = ops.transpose(g) if wide else g
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            a = ops.matmul(x, ops.transpose(x))
            x = self.muon_a * x + ops.matmul(self.muon_b * a + self.muon_c * ops.matmul(a, a), x)
        return ops.transpose(x) if wide else x
