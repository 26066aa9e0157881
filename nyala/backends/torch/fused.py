"""Optimizer updates over all variables at once, by torch's fused and ``_foreach`` kernels.

The fused kernels read weights, gradients and slots flat, so their strides must agree; gradients are rearranged
where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from nyala.base.variable import Variable

_KINDS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})


def _aligned(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
    return [
        g if g.stride() == w.stride() and g.dtype is w.dtype else torch.empty_like(w).copy_(g)
        for w, g in zip(weights, gradients)
    ]


def _flat_alike(weights: Sequence[Tensor], slots: Sequence[Tensor]) -> bool:
    """Whether ``slots`` lie in memory as ``weights`` do, and all are of one kind that the kernel knows."""
    kind, device = weights[0].dtype, weights[0].device
    return kind in _KINDS and all(
        s.stride() == w.stride() and s.dtype is w.dtype is kind and s.device == w.device == device
        for w, s in zip(weights, slots)
    )


def _storages(variables: Sequence[Variable]) -> list[Tensor] | None:
    """Their storages; ``None`` inside a scope, where a write must not reach the storage."""
    from nyala.base import scope

    if scope.local.scope is not None:
        return None
    return [v._storage for v in variables]


@torch.no_grad()
def adam(
    variables: Sequence[Variable],
    gradients: Sequence[Tensor],
    slots: Mapping[str, Sequence[Variable]],
    *,
    learning_rate: Any,
    iterations: Any,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: float = 0.0,
) -> bool:
    """w -= lr weight_decay w; w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps).

    torch's kernel adds its epsilon after v is divided by 1 - b2^t, so it is given eps / sqrt(1 - b2^t).
    """
    weights = _storages(variables)
    if weights is None or not weights:
        return False
    named = ("momentums", "velocities", *(("velocity_hats",) if amsgrad else ()))
    if any(name not in slots for name in named):
        return False
    state = [[s._storage for s in slots[name]] for name in named]
    if not all(_flat_alike(weights, s) for s in state):
        return False
    t = int(iterations) + 1
    count = torch.full((), float(t), device=weights[0].device)
    # On the device a rate that is a tensor stays there; on the host the kernel wants a number.
    rate = float(learning_rate) if weights[0].device.type == "cpu" else learning_rate
    kernel = torch._fused_adamw_ if weight_decay else torch._fused_adam_
    kernel(
        weights,
        _aligned(weights, gradients),
        state[0],
        state[1],
        state[2] if amsgrad else [],
        [count] * len(weights),
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        weight_decay=weight_decay,
        eps=epsilon / (1.0 - beta_2**t) ** 0.5,
        amsgrad=amsgrad,
        maximize=False,
    )
    return True


@torch.no_grad()
def sgd(
    variables: Sequence[Variable],
    gradients: Sequence[Tensor],
    slots: Mapping[str, Sequence[Variable]],
    *,
    learning_rate: Any,
    iterations: Any = None,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> bool:
    """m = momentum m - lr g; w += m, or with ``nesterov`` w += momentum m - lr g."""
    weights = _storages(variables)
    if weights is None or not weights:
        return False
    rate, gradients = float(learning_rate), list(gradients)
    if not momentum:
        torch._foreach_add_(weights, gradients, alpha=-rate)
        return True
    if "momentums" not in slots:
        return False
    momentums = [s._storage for s in slots["momentums"]]
    torch._foreach_mul_(momentums, momentum)
    torch._foreach_add_(momentums, gradients, alpha=-rate)
    if nesterov:
        torch._foreach_add_(weights, momentums, alpha=momentum)
        torch._foreach_add_(weights, gradients, alpha=-rate)
    else:
        torch._foreach_add_(weights, momentums)
    return True


updates: dict[str, Callable[..., bool]] = {"adam": adam, "adamw": adam, "sgd": sgd}
