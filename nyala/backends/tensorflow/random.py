"""Random numbers on TensorFlow: stateless, from a seed."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

from typing import Any

import tensorflow as tf

from nyala._typing import Tensor
from nyala.backends.tensorflow.arguments import (
    Native,
    dims,
    to_dtype,
)


def _seed(seed: Tensor) -> Tensor:
    return tf.bitcast(seed, tf.int32) if seed.dtype == tf.uint32 else tf.cast(seed, tf.int64)


def _draw(fn: Native) -> Native:
    """In ``dtype`` if TF draws in it, else in float32 and cast."""

    def run(shape: Any, seed: Tensor, dtype: str) -> Tensor:
        native = dtype in ("float16", "bfloat16", "float32", "float64")
        return tf.cast(fn(shape, _seed(seed), dtype=dtype if native else "float32"), dtype)

    return run


def _randint(shape: Any, low: Any, high: Any, seed: Tensor, dtype: str) -> Tensor:
    compute = dtype if dtype in ("int32", "int64") else "int64"
    low, high = (to_dtype(tf.convert_to_tensor(v), compute) for v in (low, high))
    return to_dtype(tf.random.stateless_uniform(shape, _seed(seed), low, high, compute), dtype)


def _gamma(shape: Any, alpha: Any, seed: Tensor, dtype: str) -> Tensor:
    compute = dtype if dtype in ("float16", "float32", "float64") else "float32"
    return tf.cast(
        tf.random.stateless_gamma(shape, _seed(seed), to_dtype(tf.convert_to_tensor(alpha), compute), dtype=compute),
        dtype,
    )


def _binomial(shape: Any, counts: Tensor, probabilities: Tensor, seed: Tensor, dtype: str) -> Tensor:
    counts, probabilities = (tf.broadcast_to(tf.cast(v, tf.float32), shape) for v in (counts, probabilities))
    return to_dtype(tf.random.stateless_binomial(shape, _seed(seed), counts, probabilities, tf.float32), dtype)


def _shuffle(x: Tensor, axis: int, seed: Tensor) -> Tensor:
    order = tf.argsort(tf.random.stateless_uniform((dims(x)[axis],), _seed(seed)))
    return tf.gather(x, order, axis=axis)


def _categorical(logits: Tensor, num_samples: int, seed: Tensor, dtype: str) -> Tensor:
    # Gumbel's trick: TF's own stateless kernel is not available in XLA.
    noise = tf.random.stateless_uniform((dims(logits)[0], num_samples, dims(logits)[1]), _seed(seed), minval=1e-38)
    gumbel = -tf.math.log(-tf.math.log(noise))
    return to_dtype(tf.argmax(tf.cast(logits, tf.float32)[:, None] + gumbel, -1, output_type=tf.int32), dtype)


NATIVES: dict[str, Native] = {
    "_uniform": _draw(tf.random.stateless_uniform), "_normal": _draw(tf.random.stateless_normal),
    "_truncated_normal": _draw(tf.random.stateless_truncated_normal),
    "_randint": _randint, "_gamma": _gamma, "_binomial": _binomial, "_shuffle": _shuffle, "_categorical": _categorical,
}  # fmt: skip
