"""The forward pass of a small Transformer encoder, written by hand for each framework.

Token vectors, then twice: attention of 4 heads, dropout, residual, normalization, 128 -> 512 -> 128 with gelu, dropout,
residual, normalization; the mean over the steps and ten scores.
"""

from __future__ import annotations

from typing import Any

VOCABULARY, STEPS, WIDTH, HEADS, INNER, BLOCKS, RATE = 1000, 100, 128, 4, 512, 2, 0.1
SCALE = (WIDTH // HEADS) ** -0.5

BLOCK = [
    *[(WIDTH, WIDTH), (WIDTH,)] * 4,
    (WIDTH,),
    (WIDTH,),
    (WIDTH, INNER),
    (INNER,),
    (INNER, WIDTH),
    (WIDTH,),
    (WIDTH,),
    (WIDTH,),
]
SHAPES = [(VOCABULARY, WIDTH), *BLOCK * BLOCKS, (WIDTH, 10), (10,)]
"""A block: kernel and bias of query, key, value, output; gamma, beta; the two dense layers; gamma, beta."""
GAMMAS = {i for b in range(BLOCKS) for i in (1 + b * len(BLOCK) + 8, 1 + b * len(BLOCK) + 14)}


def network(keras: Any) -> Any:
    layers = keras.layers
    x = ids = keras.Input((STEPS,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH)(x)
    for _ in range(BLOCKS):
        attended = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(RATE)(attended))
        inner = layers.Dense(WIDTH)(layers.Dense(INNER, activation="gelu")(x))
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(RATE)(inner))
    return keras.Model(ids, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def jax(w: list[Any], x: Any, key: Any = None) -> Any:
    import jax
    import jax.numpy as jnp

    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        centred = x - mean
        return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + 1e-6) * gamma + beta

    def drop(x: Any, n: int) -> Any:
        if key is None:
            return x
        keep = jax.random.bernoulli(jax.random.fold_in(key, n), 1 - RATE, x.shape)
        return jnp.where(keep, x / (1 - RATE), 0.0)

    x = jnp.take(w[0], x, 0)
    for b in range(BLOCKS):
        p = w[1 + b * len(BLOCK) :]
        q, k, v = ((x @ p[2 * i] + p[2 * i + 1]).reshape(*x.shape[:2], HEADS, -1) for i in range(3))
        attended = jax.nn.dot_product_attention(q, k, v, scale=SCALE).reshape(x.shape) @ p[6] + p[7]
        x = normalize(x + drop(attended, 2 * b), p[8], p[9])
        inner = jax.nn.gelu(x @ p[10] + p[11], approximate=False) @ p[12] + p[13]
        x = normalize(x + drop(inner, 2 * b + 1), p[14], p[15])
    return x.mean(1) @ w[-2] + w[-1]


def torch(w: list[Any], x: Any, training: bool) -> Any:
    import torch.nn.functional as F

    x = F.embedding(x, w[0])
    for b in range(BLOCKS):
        p = w[1 + b * len(BLOCK) :]
        q, k, v = (F.linear(x, p[2 * i].t(), p[2 * i + 1]).unflatten(-1, (HEADS, -1)).transpose(1, 2) for i in range(3))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        attended = F.linear(attended, p[6].t(), p[7])
        x = F.layer_norm(x + F.dropout(attended, RATE, training), (WIDTH,), p[8], p[9], 1e-6)
        inner = F.linear(F.gelu(F.linear(x, p[10].t(), p[11])), p[12].t(), p[13])
        x = F.layer_norm(x + F.dropout(inner, RATE, training), (WIDTH,), p[14], p[15], 1e-6)
    return F.linear(x.mean(1), w[-2].t(), w[-1])


def tensorflow(w: list[Any], x: Any, training: bool) -> Any:
    import tensorflow as tf

    def dense(x: Any, kernel: Any, bias: Any) -> Any:
        rows = tf.nn.bias_add(tf.reshape(x, (-1, x.shape[-1])) @ kernel, bias)
        return tf.reshape(rows, (-1, STEPS, kernel.shape[-1]))

    def heads(x: Any) -> Any:
        return tf.transpose(tf.reshape(x, (-1, STEPS, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))

    def normalize(x: Any, gamma: Any, beta: Any) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-6)

    def drop(x: Any) -> Any:
        return tf.nn.dropout(x, RATE) if training else x

    x = tf.gather(w[0], x)
    for b in range(BLOCKS):
        p = w[1 + b * len(BLOCK) :]
        q, k, v = (heads(dense(x, p[2 * i], p[2 * i + 1])) for i in range(3))
        scores = tf.nn.softmax(tf.matmul(q * SCALE, k, transpose_b=True))
        attended = tf.reshape(tf.transpose(scores @ v, (0, 2, 1, 3)), (-1, STEPS, WIDTH))
        x = normalize(x + drop(dense(attended, p[6], p[7])), p[8], p[9])
        inner = dense(tf.nn.gelu(dense(x, p[10], p[11])), p[12], p[13])
        x = normalize(x + drop(inner), p[14], p[15])
    return tf.nn.bias_add(tf.reduce_mean(x, 1) @ w[-2], w[-1])
