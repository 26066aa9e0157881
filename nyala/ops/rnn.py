"""Recurrences over time: a general loop for any cell, and the kernels behind SimpleRNN, LSTM and GRU.

A cell whose new states follow from its input x @ W and from h @ U by a formula without weights (a ``Step``) needs only
h @ U inside the loop. ``recurrence`` runs it with the backend's gradient, which takes the weights' gradient out of the
loop too; ``fused`` runs it on the backend's own kernel for all of it, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nyala import backends, ops
from nyala._typing import Nest, Tensor
from nyala.base import check, tree
from nyala.base.scope import StateScope

States = Sequence[Tensor]


def rnn(
    step: Callable[[Nest, Nest], tuple[Nest, Nest]],
    inputs: Nest,
    states: Nest,
    *,
    mask: Tensor | None = None,
    sequences: bool = True,
    unroll: bool = False,
    first_output: Nest = None,
) -> tuple[Nest, Nest]:
    """``output, states = step(x, states)`` for every x along axis 1 of ``inputs``.

    Where ``mask`` (batch, time) is false, output and states stay what they were.

    Args:
        sequences: give all outputs (batch, time, ...), else the last one.
        unroll: write the steps out instead of looping; a matter of speed only.
        first_output: the output before the first step, with shape and dtype of the others; default: zeros.

    Returns: ``(outputs, states)``.
    """
    steps = tree.map(lambda x: ops.swapaxes(x, 0, 1), inputs)
    valid = None if mask is None else ops.swapaxes(ops.cast(mask, "bool"), 0, 1)
    treedef = tree.structure(states)
    carried = valid is not None or not sequences
    if carried and first_output is None:
        with StateScope():  # for shapes and dtypes alone: what it writes is forgotten
            sample = step(tree.map(lambda x: x[0], steps), states)[0]
        first_output = tree.map(ops.zeros_like, sample)

    def turn(carry: Any, now: Any) -> Any:
        (states, output), (x, ok) = carry, now
        new_output, new = step(x, states)
        leaves = tree.flatten(new)
        if len(leaves) != treedef.num_leaves:
            check.fail("rnn", f"a step was given {treedef.num_leaves} states and returned {len(leaves)}")
        new = tree.map(_as, states, tree.unflatten(treedef, leaves))
        if ok is not None:
            new, new_output = keep(ok, new, states), keep(ok, new_output, output)
        return (new, new_output if carried else None), (new_output if sequences else None)

    (states, last), outputs = ops.scan(
        turn, (states, first_output if carried else None), (steps, valid), unroll=unroll or 1
    )
    return (tree.map(lambda x: ops.swapaxes(x, 0, 1), outputs) if sequences else last), states


def _as(old: Tensor, new: Any) -> Tensor:
    """A state keeps its dtype."""
    return ops.cast(new, ops.dtype(old)) if ops.dtype(new) != ops.dtype(old) else ops.convert_to_tensor(new)


def keep(ok: Tensor, new: Nest, old: Nest) -> Nest:
    """``new`` for the samples that are ``ok``, ``old`` for the others."""

    def one(a: Tensor, b: Tensor) -> Tensor:
        return ops.where(ops.reshape(ok, (*ops.shape(ok), *(1,) * (len(a.shape) - len(ok.shape)))), a, b)

    return tree.map(one, new, old)


# -- cells as formulas -------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """New states from the old ones and the gates' sums: ``states = new(states, x @ W + h @ U)`` if ``summed``, else
    ``new(states, x @ W, h @ U)``. The first state is h, the output.
    """

    new: Callable[..., States]
    summed: bool


def simple_step(activation: Any) -> Step:
    """h = activation(z)"""
    return Step(lambda states, z: (activation(z),), True)


def lstm_step(activation: Any, recurrent_activation: Any) -> Step:
    """c' = f c + i a(g), h' = o a(c') with gates i, f, o = s(z). https://doi.org/10.1162/neco.1997.9.8.1735"""

    def new(states: States, z: Tensor) -> States:
        i, f, g, o = ops.split(z, 4, -1)
        c = recurrent_activation(f) * states[1] + recurrent_activation(i) * activation(g)
        return recurrent_activation(o) * activation(c), c

    return Step(new, True)


def gru_step(activation: Any, recurrent_activation: Any) -> Step:
    """h' = z h + (1 - z) a(x_n + r h_n) with gates z, r = s(x + h). https://arxiv.org/abs/1406.1078, reset after."""

    def new(states: States, x: Tensor, r: Tensor) -> States:
        n = states[0].shape[-1]
        gates = recurrent_activation(x[..., : 2 * n] + r[..., : 2 * n])
        update, reset = gates[..., :n], gates[..., n:]
        return (update * states[0] + (1 - update) * activation(x[..., 2 * n :] + reset * r[..., 2 * n :]),)

    return Step(new, False)


def advance(step: Step, x: Tensor, states: States, kernel: Tensor, bias: Tensor | None) -> States:
    """One step from x @ W."""
    r = ops.matmul(states[0], kernel)
    r = r if bias is None else ops.add(r, bias)
    return step.new(states, x + r) if step.summed else step.new(states, x, r)


def recurrence(
    step: Step,
    inputs: Tensor,
    states: States,
    kernel: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    sequences: bool = True,
    unroll: bool = False,
) -> tuple[Tensor, States]:
    """``advance`` over the leading axis of ``inputs`` = x @ W (time, batch, gates).

    Args: kernel, bias: of h @ U + bias. mask: (time, batch). sequences: give h of all steps (time, batch, units), else
    the last one. ``unroll``: write the steps out.
    """
    native = backends.current().natives.get("_recurrence")
    if native is not None:
        return native(step, inputs, tuple(states), kernel, bias, mask, sequences, unroll)
    return plain_recurrence(step, inputs, states, kernel, bias, mask, sequences, unroll)


def plain_recurrence(
    step: Step,
    inputs: Tensor,
    states: States,
    kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    sequences: bool,
    unroll: bool,
) -> tuple[Tensor, States]:
    """``recurrence`` by ``ops.scan``, differentiated by the backend."""

    def turn(states: States, now: Any) -> Any:
        x, ok = now
        new = tuple(advance(step, x, states, kernel, bias))
        new = new if ok is None else keep(ok, new, states)
        return new, (new[0] if sequences else None)

    states, outputs = ops.scan(turn, tuple(states), (inputs, mask), unroll=unroll or 1)
    return (outputs if sequences else states[0]), states


def fused(kind: str, *args: Any) -> tuple[Tensor, States] | None:
    """What the backend's native ``_fused_rnn`` gives (see ``backends/base.py``); ``None`` where it has no such kernel."""
    native = backends.current().natives.get("_fused_rnn")
    return None if native is None else native(kind, *args)
