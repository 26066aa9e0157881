"""SimpleRNN, LSTM and GRU by torch's own kernels (cuDNN's on its devices).

torch's order of the gates is Keras's but for the GRU's first two. Its way with masks, packed sequences, is six times
slower on a CPU than the kernel for whole ones, so masked sequences run whole: each sample's valid steps are moved to the
front, the outputs are put where they belong, and an LSTM's cell state is held at the end by gates that a feature of
its own, 1 where a step is no more, shuts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nyala.backends.torch.random import _faking, export

_SHUT = 1e4
"""Added to a gate's sum, of either sign, it leaves nothing of the gate's gradient; float16 can hold it."""

_KERNELS: dict[str, Any] = {
    "lstm": torch._VF.lstm,  # pyright: ignore[reportAttributeAccessIssue]
    "gru": torch._VF.gru,  # pyright: ignore[reportAttributeAccessIssue]
    "tanh": torch._VF.rnn_tanh,  # pyright: ignore[reportAttributeAccessIssue]
    "relu": torch._VF.rnn_relu,  # pyright: ignore[reportAttributeAccessIssue]
}


def fused_rnn(
    kind: str,
    inputs: Tensor,
    states: tuple[Tensor, ...],
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    sequences: bool,
    cudnn: bool,
) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    if not export.running:
        if _faking() or torch.compiler.is_compiling() or torch._C._functorch.is_batchedtensor(inputs):  # pyright: ignore[reportAttributeAccessIssue]
            return None
        if inputs.shape[1] == 0 or inputs.shape[0] == 0:
            return None
    if not cudnn and torch.backends.cudnn.enabled:
        with torch.backends.cudnn.flags(enabled=False):
            return fused_rnn(kind, inputs, states, kernel, recurrent_kernel, bias, mask, sequences, True)
    if mask is not None and not export.running and bool(mask.all()):
        mask = None
    if kind == "gru":
        kernel, recurrent_kernel = _reset_first(kernel), _reset_first(recurrent_kernel)
        bias = None if bias is None else _reset_first(bias)
    if mask is None:
        return _run(kind, inputs, states, kernel, recurrent_kernel, bias, sequences)

    mask = mask.bool()
    order = torch.argsort(~mask, dim=1, stable=True)
    x = inputs.gather(1, order.unsqueeze(-1).expand(-1, -1, inputs.shape[-1]))
    if kind == "lstm":
        absent = (~mask.gather(1, order)).to(x.dtype).unsqueeze(-1)
        x = torch.cat([x, absent], -1)
        n = recurrent_kernel.shape[0]
        gates = kernel.new_tensor([[-_SHUT], [_SHUT], [0.0], [0.0]]).expand(4, n).reshape(1, 4 * n)
        kernel = torch.cat([kernel, gates])
    outputs, last = _run(kind, x, states, kernel, recurrent_kernel, bias, True)
    place = mask.cumsum(1) - 1
    if not sequences:
        place = place[:, -1:]
    held = outputs.gather(1, place.clamp(min=0).unsqueeze(-1).expand(-1, -1, outputs.shape[-1]))
    outputs = torch.where((place >= 0).unsqueeze(-1), held, states[0].unsqueeze(1))
    return (outputs if sequences else outputs[:, -1]), (outputs[:, -1], *last[1:])


def _run(
    kind: str,
    inputs: Tensor,
    states: tuple[Tensor, ...],
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor | None,
    sequences: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    weights = [kernel.t(), recurrent_kernel.t()]
    if bias is not None:
        weights += [*bias] if bias.ndim == 2 else [bias, torch.zeros_like(bias)]
    first: Any = [s.unsqueeze(0) for s in states]
    train = torch.is_grad_enabled()
    found = _KERNELS[kind](
        inputs, first if kind == "lstm" else first[0], weights, bias is not None, 1, 0.0, train, False, True
    )
    last = tuple(s.squeeze(0) for s in found[1:])
    return (found[0] if sequences else last[0]), last


def _reset_first(weight: Tensor) -> Tensor:
    """The GRU's gates (update, reset, new) in torch's order."""
    n = weight.shape[-1] // 3
    return torch.cat([weight[..., n : 2 * n], weight[..., :n], weight[..., 2 * n :]], -1)


natives: dict[str, Callable[..., Any]] = {"_fused_rnn": fused_rnn}
