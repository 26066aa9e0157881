"""The recurrence of SimpleRNN, LSTM and GRU with a gradient of its own.

The gradient by the weights is one product after the loop instead of a sum inside it, which XLA does not find by itself:
for an LSTM(128) over 100 steps, a batch of 32, on a CPU it takes two thirds of the time.
"""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

States = tuple[Array, ...]


@functools.lru_cache(maxsize=64)
def _compiled(step: Any, sequences: bool, unroll: bool) -> Callable[..., tuple[Any, States]]:
    """The recurrence of a step: one function object each, so that jax finds again what it has compiled."""
    turns: Any = True if unroll else 1

    def product(h: Array, kernel: Array, bias: Array | None) -> Array:
        r = h @ kernel
        return r if bias is None else r + bias

    def new(x: Array, r: Array | None, states: States, ok: Array | None) -> States:
        found = step.new(states, x) if r is None else step.new(states, x, r)
        if ok is not None:
            found = [jnp.where(ok[:, None], a, b) for a, b in zip(found, states)]
        return tuple(a.astype(b.dtype) for a, b in zip(found, states))

    def sums(x: Array, r: Array) -> tuple[Array, Array | None]:
        return (x + r, None) if step.summed else (x, r)

    @jax.custom_vjp
    def run(inputs: Array, states: States, kernel: Array, bias: Any, mask: Any) -> tuple[Any, States]:
        def turn(states: States, now: Any) -> Any:
            x, ok = now
            states = new(*sums(x, product(states[0], kernel, bias)), states, ok)
            return states, (states[0] if sequences else None)

        states, outputs = lax.scan(turn, states, (inputs, mask), unroll=turns)
        return outputs, states

    def forward(inputs: Array, states: States, kernel: Array, bias: Any, mask: Any) -> Any:
        def turn(states: States, now: Any) -> Any:
            x, ok = now
            z = sums(x, product(states[0], kernel, bias))
            found, back = jax.vjp(lambda x, r, s: new(x, r, s, ok), *z, states)
            return found, (found[0] if sequences else None, states[0], back)

        states, (outputs, before, backs) = lax.scan(turn, states, (inputs, mask), unroll=turns)
        return (outputs, states), (before, backs, kernel, bias is not None)

    def backward(kept: Any, upstream: Any) -> Any:
        before, backs, kernel, has_bias = kept
        transposed = kernel.T  # here: XLA would transpose it anew in each turn

        def turn(grads: States, now: Any) -> Any:
            by_output, back = now
            if by_output is not None:
                grads = (grads[0] + by_output, *grads[1:])
            by_x, by_r, grads = back(grads)
            if step.summed:
                by_r = by_x
            return (grads[0] + by_r @ transposed, *grads[1:]), (by_x, None if step.summed else by_r)

        grads, (by_x, by_r) = lax.scan(turn, upstream[1], (upstream[0], backs), reverse=True, unroll=turns)
        by_r = by_x if step.summed else by_r
        by_kernel = jnp.einsum("tbh,tbk->hk", before, by_r)
        return by_x, grads, by_kernel, (by_r.sum((0, 1)) if has_bias else None), None

    run.defvjp(forward, backward)
    return jax.jit(run)


def recurrence(
    step: Any,
    inputs: Array,
    states: States,
    kernel: Array,
    bias: Array | None,
    mask: Array | None,
    sequences: bool,
    unroll: bool,
) -> tuple[Array, States]:
    outputs, states = _compiled(step, sequences, unroll)(inputs, states, kernel, bias, mask)
    return (outputs if sequences else states[0]), states


RNN: dict[str, Callable[..., Any]] = {"_recurrence": recurrence}
