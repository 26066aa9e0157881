"""Adafactor."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.backends import dtypes
from nyala.base.variable import Variable
from nyala.optimizers.base import Common, Optimizer


class Adafactor(Optimizer):
    """Adam's second moment v of a matrix from the means of its rows r and columns c; no first moment.

    b = 1 - t^beta_2_decay;  s = g² + epsilon_1;  r, c = averages of s by b;  v = r c / mean(r);  u = g / sqrt(v);
    w -= max(epsilon_2, rms(w)) lr u / max(1, rms(u) / clip_threshold). Shazeer & Stern 2018, https://arxiv.org/abs/1804.04235

    Args:
        beta_2_decay: negative; how fast b nears 1.
        epsilon_1: added to squared gradients.
        epsilon_2: least scale of a weight.
        clip_threshold: largest root mean square of a step.
        relative_step: a constant rate is at most 1 / sqrt(t).
    """

    slots = (("row", "column", "velocity"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        weight_decay: float | None = None,
        **kwargs: Unpack[Common],
    ):
        super().__init__(learning_rate, weight_decay, **kwargs)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def first_slot(self, slot: str, variable: Variable) -> np.ndarray | None:
        shape = variable.shape
        if slot != "velocity":
            # Vectors are not factored; the empty places keep the order of the variables that Keras's files have.
            shape = () if len(shape) < 2 else shape[:-1] if slot == "row" else (*shape[:-2], shape[-1])
        return np.zeros(shape, dtypes.numpy_dtype(variable.dtype))

    def update(self, w: Tensor, g: Tensor, lr: Tensor, t: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        row, column, v = state
        if self.relative_step and (isinstance(self._rate, Variable) or not callable(self._rate)):
            lr = ops.minimum(lr, 1.0 / ops.sqrt(t))
        rate = lr * ops.maximum(_rms(w), self.epsilon_2)
        new = ops.power(t, self.beta_2_decay)
        square = ops.square(g) + self.epsilon_1
        if len(w.shape) < 2:
            v = v + (square - v) * new
        else:
            row = row + (ops.mean(square, axis=-1) - row) * new
            column = column + (ops.mean(square, axis=-2) - column) * new
            share = row / ops.mean(row, axis=-1, keepdims=True)
            v = ops.expand_dims(share, -1) * ops.expand_dims(column, -2)
        u = g / ops.sqrt(v)
        return w - rate * u / ops.maximum(_rms(u) / self.clip_threshold, 1.0), row, column, v


def _rms(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))
