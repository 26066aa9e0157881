"""Functions of TensorFlow in graphs of tf.keras: the rows, and what wrote ``tf_graphs.json``.

``python -m tests.saving.tf_graphs`` writes the file anew; it needs the package ``tf_keras``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_suffix(".json")
ONES = lambda *shape: np.ones(shape, "float32")  # noqa: E731
UNARY = (
    "abs asinh atan ceil cos cosh erf exp expm1 floor log log1p log_sigmoid negative reciprocal round rsqrt sigmoid sign sin "
    "sinh softplus sqrt square tan tanh"
)

ROWS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda tf, x: x + 1.0,
    "subtract": lambda tf, x: 2.0 - x,
    "multiply": lambda tf, x: x * x,
    "divide": lambda tf, x: x / 2.0,
    "divide_no_nan": lambda tf, x: tf.math.divide_no_nan(x, x - x),
    "power": lambda tf, x: x**2.0,
    "mod": lambda tf, x: x % 0.3,
    "floor_divide": lambda tf, x: x // 0.3,
    "matmul": lambda tf, x: tf.matmul(x, x, transpose_b=True),
    "compare": lambda tf, x: tf.cast(x > 0.5, tf.float32) + tf.cast(tf.equal(x, 0.5), tf.float32),
    "logic": lambda tf, x: tf.cast(tf.logical_and(x > 0.2, tf.logical_not(tf.logical_or(x > 0.9, x < 0.1))), "int32"),
    "rows": lambda tf, x: x[:, 1:3],
    "column": lambda tf, x: x[:, 0],
    "ellipsis": lambda tf, x: x[..., None, 0],
    "steps": lambda tf, x: x[:, ::-2],
    "slice": lambda tf, x: tf.slice(x, [0, 1, 0], [-1, 2, 2]),
    "strided_slice": lambda tf, x: tf.strided_slice(x, [0, 0, 1], [2, 4, 3], [1, 2, 1]),
    "sum": lambda tf, x: tf.reduce_sum(x) + x,
    "mean": lambda tf, x: tf.reduce_mean(x, axis=[1, 2], keepdims=True),
    "max": lambda tf, x: tf.reduce_max(x, -1),
    "min": lambda tf, x: tf.reduce_min(x, 1),
    "prod": lambda tf, x: tf.reduce_prod(x, 1),
    "std": lambda tf, x: tf.math.reduce_std(x, 1),
    "any": lambda tf, x: tf.cast(tf.reduce_any(x > 0.9, 1), "float32"),
    "all": lambda tf, x: tf.cast(tf.reduce_all(x > 0.2, 1), "float32"),
    "logsumexp": lambda tf, x: tf.reduce_logsumexp(x, 1),
    "argmax": lambda tf, x: tf.argmax(x, axis=-1),
    "argmin": lambda tf, x: tf.math.argmin(x, 1, output_type=tf.int32),
    "cumsum": lambda tf, x: tf.cumsum(x, 1, exclusive=True, reverse=True),
    "cumprod": lambda tf, x: tf.math.cumprod(x, 1),
    "top_k": lambda tf, x: tf.math.top_k(x, 2)[0],
    "reshape": lambda tf, x: tf.reshape(x, [-1, 12]),
    "squeeze": lambda tf, x: tf.squeeze(tf.expand_dims(x, 1), [1]),
    "concat": lambda tf, x: tf.concat([x, x * 2.0], axis=-1),
    "stack": lambda tf, x: tf.stack([x, x * 2.0], axis=1),
    "split": lambda tf, x: tf.split(x, 2, axis=1)[1],
    "split by sizes": lambda tf, x: tf.split(x, [1, 2], axis=-1)[1],
    "unstack": lambda tf, x: tf.unstack(x, axis=1)[2],
    "repeat": lambda tf, x: tf.repeat(x, 2, axis=1),
    "tile": lambda tf, x: tf.tile(x, [1, 2, 1]),
    "transpose": lambda tf, x: tf.transpose(x, [0, 2, 1]),
    "pad": lambda tf, x: tf.pad(x, [[0, 0], [1, 1], [0, 2]]),
    "pad with a value": lambda tf, x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=7.0),
    "pad by reflection": lambda tf, x: tf.pad(x, [[0, 0], [1, 1], [0, 0]], mode="REFLECT"),
    "roll": lambda tf, x: tf.roll(x, 1, axis=1),
    "reverse": lambda tf, x: tf.reverse(x, [1]),
    "gather": lambda tf, x: tf.gather(x, [0, 2], axis=1),
    "gather in rows": lambda tf, x: tf.gather(x, tf.argmax(x, 1, output_type=tf.int32), axis=1, batch_dims=1),
    "embedding": lambda tf, x: tf.nn.embedding_lookup(4 * ONES(4, 2), tf.cast(x * 3, tf.int32)),
    "where": lambda tf, x: tf.where(x > 0.5, x, 0.0),
    "clip": lambda tf, x: tf.clip_by_value(x, 0.2, 0.4),
    "einsum": lambda tf, x: tf.einsum("bij,bkj->bik", x, x),
    "one_hot": lambda tf, x: tf.one_hot(tf.cast(x[:, :, 0] * 3, tf.int32), 4, on_value=2.0, off_value=-1.0, axis=1),
    "broadcast_to": lambda tf, x: tf.broadcast_to(x[:1], [2, 4, 3]),
    "zeros": lambda tf, x: tf.zeros_like(x) - tf.ones_like(x),
    "band": lambda tf, x: tf.linalg.band_part(x, -1, 0),
    "diagonal": lambda tf, x: tf.linalg.diag_part(x[:, :3]),
    "squared_difference": lambda tf, x: tf.math.squared_difference(x, 0.5),
    "atan2": lambda tf, x: tf.math.atan2(x, 0.5),
    "add_n": lambda tf, x: tf.add_n([x, x, x]),
    "norm": lambda tf, x: tf.norm(x, axis=-1),
    "l2_normalize": lambda tf, x: tf.math.l2_normalize(x, axis=-1),
    "stop_gradient": lambda tf, x: tf.identity(tf.stop_gradient(x)),
    "relu": lambda tf, x: tf.nn.relu(x - 0.5),
    "relu6": lambda tf, x: tf.nn.relu6(x * 20.0),
    "leaky_relu": lambda tf, x: tf.nn.leaky_relu(x - 0.5, alpha=0.1),
    "elu": lambda tf, x: tf.nn.elu(x - 0.5),
    "selu": lambda tf, x: tf.nn.selu(x - 0.5),
    "softsign": lambda tf, x: tf.nn.softsign(x),
    "silu": lambda tf, x: tf.nn.silu(x),
    "gelu": lambda tf, x: tf.nn.gelu(x),
    "softmax": lambda tf, x: tf.nn.softmax(x, axis=1),
    "log_softmax": lambda tf, x: tf.nn.log_softmax(x),
    "moments": lambda tf, x: tf.nn.moments(x, [1])[1],
    "bias_add": lambda tf, x: tf.nn.bias_add(x, np.arange(3).astype("float32")),
    "conv1d": lambda tf, x: tf.nn.conv1d(x, ONES(2, 3, 2), 1, "VALID"),
    "conv2d": lambda tf, x: tf.nn.conv2d(x[..., None], ONES(2, 2, 1, 3), [1, 2, 1, 1], "SAME"),
    "depthwise_conv2d": lambda tf, x: tf.nn.depthwise_conv2d(x[..., None], ONES(2, 2, 1, 2), [1, 1, 1, 1], "SAME"),
    "conv2d_transpose": lambda tf, x: tf.nn.conv2d_transpose(x[..., None], ONES(2, 2, 3, 1), [2, 8, 6, 3], 2),
    "max_pool": lambda tf, x: tf.nn.max_pool2d(x[..., None], 2, 1, "VALID"),
    "avg_pool": lambda tf, x: tf.nn.avg_pool2d(x[..., None], [2, 2], [1, 1], "SAME"),
    "resize": lambda tf, x: tf.image.resize(x[..., None], [8, 6]),
    "resize to the nearest": lambda tf, x: tf.compat.v1.image.resize_nearest_neighbor(x[..., None], (8, 6)),
    "depth_to_space": lambda tf, x: tf.nn.depth_to_space(tf.nn.space_to_depth(x[:, :, :2, None], 2), 2),
    "rows of unknown number": lambda tf, x: tf.reshape(x, [tf.shape(x)[0], -1]),
    "sizes in a list": lambda tf, x: tf.reshape(x, tf.stack([tf.shape(x)[0] * 1, 3, 4])),
    "sizes that were flattened": lambda tf, x: tf.tensordot(x, ONES(3, 2), axes=1),
    "ones by rows": lambda tf, x: tf.ones([tf.shape(x)[0], 2]) + tf.fill([tf.shape(x)[0], 2], 3.0),
    "tile by rows": lambda tf, x: tf.tile(tf.constant([[1.0, 2.0]]), [tf.shape(x)[0], 1]),
    "range of a size": lambda tf, x: x * tf.cast(tf.range(tf.shape(x)[2]), "float32"),
    "broadcast to a shape": lambda tf, x: tf.broadcast_to(x[:1], tf.shape(x)),
    "resize by sizes": lambda tf, x: tf.image.resize(x[..., None], tf.shape(x)[1:3] * 2),
    **{name: lambda tf, x, name=name: getattr(tf.math, name)(x) for name in UNARY.split()},
}
"""Name -> what a program wrote."""
NOT_STORED = {"functions": {"einsum", "resize to the nearest"}, "nodes": set()}
"""What ``TFOpLambda`` leaves out of the file, or ``tf_keras`` cannot call."""


def write(kind: str) -> None:
    """The configs of a kind, as JSON on standard output."""
    import tensorflow as tf
    import tf_keras  # pyright: ignore[reportMissingImports]

    if kind == "nodes":
        tf.compat.v1.disable_v2_behavior()
    x = tf_keras.Input((4, 3), name="x")
    names = [name for name in ROWS if name not in NOT_STORED[kind]]
    model = tf_keras.Model(x, [ROWS[name](tf, x) for name in names])
    print(json.dumps({"names": names, "model": json.loads(model.to_json())}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(sys.argv[1])
    else:
        command = [sys.executable, "-m", "tests.saving.tf_graphs"]
        texts = {k: subprocess.run([*command, k], stdout=subprocess.PIPE, check=True).stdout for k in NOT_STORED}
        FILE.write_text(
            json.dumps({k: json.loads(t.splitlines()[-1]) for k, t in texts.items()}, separators=(",", ":"))
        )
