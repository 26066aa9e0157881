"""The recurrence of SimpleRNN, LSTM and GRU with a gradient of its own.

The gradient by the weights is one product after the loop instead of a sum inside it, and only the gates' sums are kept
for it. Several steps a turn of the loop spare TF's cost of turns.
"""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import Tensor

States = tuple[Tensor, ...]


def recurrence(step: Any, *args: Any) -> tuple[Tensor, States]:
    *tensors, sequences, unroll = args
    # Eager turns of a loop are slow, so there it is a graph of its own.
    run = (
        _compiled(step, sequences, unroll)
        if tf.executing_eagerly()
        else functools.partial(_recurrence, step, sequences, unroll)
    )
    return run(*tensors)


@functools.lru_cache(maxsize=64)
def _compiled(step: Any, sequences: bool, unroll: bool) -> Callable[..., tuple[Tensor, States]]:
    run = functools.partial(_recurrence, step, sequences, unroll)
    return tf.function(lambda *tensors: run(*tensors), autograph=False, reduce_retracing=True)


def _recurrence(
    step: Any,
    sequences: bool,
    unroll: bool,
    inputs: Tensor,
    states: States,
    kernel: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
) -> tuple[Tensor, States]:
    length = inputs.shape[0]
    n = tf.shape(inputs)[0] if length is None else length
    times = 1 if length is None else length if unroll else next(k for k in (5, 4, 3, 2, 1) if length % k == 0)
    size = len(states)

    def store(x: Tensor) -> tf.TensorArray:
        return tf.TensorArray(x.dtype, n, element_shape=x.shape, clear_after_read=False)

    def turns(body: Callable[..., Any], count: Any, *carry: Any) -> Any:
        def several(i: Any, *carry: Any) -> Any:
            for k in range(times):
                carry = body(i + k, *carry)
            return (i + times, *carry)

        if unroll and length is not None:
            return several(0, *carry)[1:]
        return tf.while_loop(lambda i, *_: i < count, several, (tf.constant(0), *carry), parallel_iterations=1)[1:]

    def new(z: tuple[Tensor, ...], states: States, ok: Tensor | None) -> States:
        found = step.new(states, *z)
        if ok is not None:
            found = [tf.where(ok[:, None], a, b) for a, b in zip(found, states)]
        return tuple(found)

    @tf.custom_gradient
    def run(inputs: Tensor, kernel: Tensor, *rest: Tensor) -> Any:
        start, added = rest[:size], rest[size:]
        xs = store(inputs[0]).unstack(inputs)
        oks = None if mask is None else store(mask[0]).unstack(mask)

        def product(h: Tensor) -> Tensor:
            r = tf.matmul(h, kernel)
            return r + added[0] if added else r

        def turn(i: Tensor, states: States, kept: Any, outputs: Any) -> Any:
            x, r = xs.read(i), product(states[0])
            z = (x + r,) if step.summed else (x, r)
            kept = [a.write(i, v) for a, v in zip(kept, (*z, *states))]
            states = new(z, states, None if oks is None else oks.read(i))
            states = tuple(tf.ensure_shape(s, k.shape) for s, k in zip(states, start))
            return states, kept, outputs.write(i, states[0])

        sums = [inputs[0]] * (1 if step.summed else 2)
        last, kept, outputs = turns(turn, n, start, [store(v) for v in (*sums, *start)], store(start[0]))

        def backward(*upstream: Tensor) -> Any:
            grads = upstream[-size:]
            ups = store(start[0]).unstack(upstream[0]) if sequences else None

            def turn(i: Tensor, grads: States, by_z: Any) -> Any:
                i = n - 1 - i
                values = [a.read(i) for a in kept]
                z, states = tuple(values[:-size]), tuple(values[-size:])
                if ups is not None:
                    grads = (grads[0] + ups.read(i), *grads[1:])
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch([z, states])
                    found = new(z, states, None if oks is None else oks.read(i))
                dz, ds = tape.gradient(found, [z, states], list(grads), unconnected_gradients="zero")
                ds = (ds[0] + tf.matmul(dz[-1], kernel, transpose_b=True), *ds[1:])
                return ds, [a.write(i, v) for a, v in zip(by_z, dz)]

            grads, by_z = turns(turn, n, grads, [store(v) for v in sums])
            found = [a.stack() for a in by_z]
            before = kept[-size].stack()
            by_kernel = tf.tensordot(before, found[-1], [[0, 1], [0, 1]])
            by_bias = [tf.reduce_sum(found[-1], [0, 1])] if added else []
            return (found[0], by_kernel, *grads, *by_bias)

        return ((outputs.stack(), *last) if sequences else last), backward

    found = run(inputs, kernel, *states, *([] if bias is None else [bias]))
    return found[0], tuple(found[-size:])


RNN: dict[str, Callable[..., Any]] = {"_recurrence": recurrence}
