"""The workloads written by hand for each framework, as a careful person would: what Nyala's speed is measured against.

Data in memory, a new order every epoch, a compiled step with the loss, its gradients and Adam, state updated in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import transformer

LR, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-7

Run = tuple[Callable[[np.ndarray], Any], Callable[[Any], None], Callable[[np.ndarray], np.ndarray]]
"""``step(indices) -> loss``, ``wait(loss)``, ``predict(rows)``."""


def glorot(rng: np.random.Generator, *shape: int) -> np.ndarray:
    field = int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype("float32")


def weights(workload: str) -> list[np.ndarray]:
    """Kernels and biases in turn; convolutions as (height, width, in, out); for "lstm" a table and two kernels first."""
    rng = np.random.default_rng(0)
    if workload == "transformer":
        make = {True: np.ones, False: np.zeros}
        return [
            glorot(rng, *s) if len(s) > 1 else make[i in transformer.GAMMAS](s, "float32")
            for i, s in enumerate(transformer.SHAPES)
        ]
    shapes = {
        "mlp": [(784, 128), (128, 64), (64, 10)],
        "cnn": [(3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64), (576, 64), (64, 10)],
        "lstm": [(128, 512), (128, 10)],
    }[workload]
    first = [glorot(rng, *shape) for shape in ([(1000, 128), (128, 512)] if workload == "lstm" else [])]
    return first + [a for shape in shapes for a in (glorot(rng, *shape), np.zeros(shape[-1], "float32"))]


def jax(workload: str, x: np.ndarray, y: np.ndarray) -> Run:
    import jax
    import jax.numpy as jnp
    from jax import lax

    def recurrent(x: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        def cell(state: Any, z: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros((x.shape[0], 128))
        return lax.scan(cell, (zeros, zeros), jnp.swapaxes(x, 0, 1) @ kernel + bias)[0][0]

    def forward(w: list[Any], x: Any, key: Any = None) -> Any:
        if workload == "transformer":
            return transformer.jax(w, x, key)
        if workload == "cnn":
            for i in (0, 2, 4):
                dims = lax.conv_dimension_numbers(x.shape, w[i].shape, ("NHWC", "HWIO", "NHWC"))
                x = jax.nn.relu(lax.conv_general_dilated(x, w[i], (1, 1), "VALID", dimension_numbers=dims) + w[i + 1])
                if i < 4:
                    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            x, w = x.reshape(x.shape[0], -1), w[6:]
        elif workload == "lstm":
            x, w = recurrent(jnp.take(w[0], x, 0), *w[1:4]), w[4:]
        for i in range(0, len(w) - 2, 2):
            x = jax.nn.relu(x @ w[i] + w[i + 1])
        return x @ w[-2] + w[-1]

    def loss(w: list[Any], x: Any, y: Any, key: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(forward(w, x, key)), y[:, None], 1).mean()

    def update(state: Any, x: Any, y: Any, index: Any) -> Any:
        w, slots, t = state
        n = len(w)
        key = jax.random.fold_in(jax.random.key(0), t.astype("int32"))
        value, grads = jax.value_and_grad(loss)(w, x[index], y[index], key)
        t = t + 1
        rate = LR * jnp.sqrt(1 - B2**t) / (1 - B1**t)
        m = [a + (1 - B1) * (g - a) for a, g in zip(slots[:n], grads)]
        v = [a + (1 - B2) * (g * g - a) for a, g in zip(slots[n:], grads)]
        w = [a - rate * b / (jnp.sqrt(c) + EPS) for a, b, c in zip(w, m, v)]
        return (w, m + v, t), value

    initial = weights(workload)
    state = ([jnp.asarray(a) for a in initial], [jnp.zeros(a.shape) for a in initial * 2], jnp.zeros(()))
    xs, ys = jnp.asarray(x), jnp.asarray(y)
    jitted = jax.jit(update, donate_argnums=0)
    answer = jax.jit(forward)

    def step(index: np.ndarray) -> Any:
        nonlocal state
        state, value = jitted(state, xs, ys, index)
        return value

    return step, lambda value: value.block_until_ready(), lambda rows: np.asarray(answer(state[0], rows))


def torch(workload: str, x: np.ndarray, y: np.ndarray) -> Run:
    import torch
    import torch.nn.functional as F

    w = [torch.from_numpy(a if a.ndim < 4 else a.transpose(3, 2, 0, 1).copy()) for a in weights(workload)]
    w = [(a.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else a).requires_grad_() for a in w]
    lstm = torch.nn.LSTM(128, 128, batch_first=True)
    if workload == "lstm":
        w[1:4] = lstm.parameters()
    optimizer = torch.optim.Adam(w, LR, (B1, B2), EPS, fused=True)
    xs, ys = torch.from_numpy(x), torch.from_numpy(y).long()

    def forward(x: Any, training: bool = False) -> Any:
        if workload == "transformer":
            return transformer.torch(w, x, training)
        p = w
        if workload == "cnn":
            x = x.permute(0, 3, 1, 2)
            for i in (0, 2, 4):
                x = F.relu(F.conv2d(x, p[i], p[i + 1]))
                x = F.max_pool2d(x, 2) if i < 4 else x
            x, p = x.flatten(1), p[6:]
        elif workload == "lstm":
            x, p = lstm(F.embedding(x, p[0]))[0][:, -1], p[-2:]
        for i in range(0, len(p) - 2, 2):
            x = F.relu(torch.addmm(p[i + 1], x, p[i]))
        return torch.addmm(p[-1], x, p[-2])

    def step(index: np.ndarray) -> Any:
        rows = torch.from_numpy(index)
        loss = F.cross_entropy(forward(xs[rows], True), ys[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def predict(rows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return forward(torch.from_numpy(rows)).numpy()

    return step, lambda value: value.item(), predict


def tensorflow(workload: str, x: np.ndarray, y: np.ndarray) -> Run:
    import tensorflow as tf

    initial = weights(workload)
    w = [tf.Variable(a) for a in initial]
    m, v = ([tf.Variable(tf.zeros_like(a)) for a in initial] for _ in range(2))
    count = tf.Variable(0.0)
    xs, ys = tf.constant(x), tf.constant(y)

    def recurrent(x: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        h = c = tf.zeros((tf.shape(x)[0], 128))
        # Written out: a tf.while_loop takes a fifth longer.
        for z in tf.unstack(tf.tensordot(tf.transpose(x, (1, 0, 2)), kernel, 1) + bias, 100):
            i, f, g, o = tf.split(z + h @ recurrent_kernel, 4, -1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            h = tf.sigmoid(o) * tf.tanh(c)
        return h

    def forward(x: Any, training: bool = False) -> Any:
        if workload == "transformer":
            return transformer.tensorflow(w, x, training)
        p = w
        if workload == "cnn":
            for i in (0, 2, 4):
                x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, p[i], 1, "VALID"), p[i + 1]))
                x = tf.nn.max_pool2d(x, 2, 2, "VALID") if i < 4 else x
            x, p = tf.reshape(x, (tf.shape(x)[0], 576)), p[6:]
        elif workload == "lstm":
            x, p = recurrent(tf.gather(p[0], x), *p[1:4]), p[4:]
        for i in range(0, len(p) - 2, 2):
            x = tf.nn.relu(tf.nn.bias_add(x @ p[i], p[i + 1]))
        return tf.nn.bias_add(x @ p[-2], p[-1])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None,), tf.int64)])
    def step(index: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                tf.gather(ys, index), forward(tf.gather(xs, index), True)
            )
            loss = tf.reduce_mean(losses)
        grads = tape.gradient(loss, w)
        t = count.assign_add(1.0)
        powers = {"beta1_power": tf.pow(B1, t), "beta2_power": tf.pow(B2, t)}
        for a, b, c, g in zip(w, m, v, grads):
            tf.raw_ops.ResourceApplyAdam(
                var=a.handle,
                m=b.handle,
                v=c.handle,
                **powers,
                lr=LR,
                beta1=B1,
                beta2=B2,
                epsilon=EPS,
                grad=tf.convert_to_tensor(g),
            )
        return loss

    answer = tf.function(forward, autograph=False, reduce_retracing=True)
    return step, lambda value: value.numpy(), lambda rows: answer(tf.constant(rows)).numpy()
