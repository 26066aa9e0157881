"""InceptionV3 (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567)."""

from __future__ import annotations

from typing import Any

from nyala import layers
from nyala.applications._net import Net, Row, application
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]


def conv_norm_relu(
    net: Net, x: Any, filters: int, *kernel: int, strides: int = 1, padding: str = "same", name: str | None = None
) -> Any:
    """Convolution, normalization and relu; ``kernel``: height and width, or one number for both."""
    size = kernel * (3 - len(kernel))
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(axis=net.axis, scale=False, name=name and f"{name}_bn")(x)
    return layers.Activation("relu", name=name and f"{name}_ac")(x)


def _inception_v3(net: Net, plan: None) -> Any:
    """Parallel convolutions of several sizes, large ones split into rows and columns. Pixels in [-1, 1]."""

    def conv(x: Any, *args: int, **kwargs: Any) -> Any:
        return conv_norm_relu(net, x, *args, **kwargs)

    def halve(x: Any, filters: int) -> Any:
        return conv(x, filters, 3, strides=2, padding="valid")

    def smooth(x: Any, filters: int) -> Any:
        return conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), filters, 1)

    def join(*branches: Any, name: str | None = None) -> Any:
        return layers.Concatenate(axis=net.axis, name=name)(list(branches))

    x = halve(net.image, 32)
    x = conv(x, 32, 3, padding="valid")
    x = conv(x, 64, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = conv(x, 80, 1, padding="valid")
    x = conv(x, 192, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    for i, filters in enumerate((32, 64, 64)):  # 35 x 35
        a = conv(x, 64, 1)
        b = conv(conv(x, 48, 1), 64, 5)
        c = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
        x = join(a, b, c, smooth(x, filters), name=f"mixed{i}")
    a = halve(x, 384)
    b = halve(conv(conv(x, 64, 1), 96, 3), 96)
    x = join(a, b, layers.MaxPooling2D(3, strides=2)(x), name="mixed3")
    for i, n in enumerate((128, 160, 160, 192), 4):  # 17 x 17
        a = conv(x, 192, 1)
        b = conv(conv(conv(x, n, 1), n, 1, 7), 192, 7, 1)
        c = conv(conv(conv(conv(conv(x, n, 1), n, 7, 1), n, 1, 7), n, 7, 1), 192, 1, 7)
        x = join(a, b, c, smooth(x, 192), name=f"mixed{i}")
    a = halve(conv(x, 192, 1), 320)
    b = halve(conv(conv(conv(x, 192, 1), 192, 1, 7), 192, 7, 1), 192)
    x = join(a, b, layers.MaxPooling2D(3, strides=2)(x), name="mixed8")
    for i in range(2):  # 8 x 8
        a = conv(x, 320, 1)
        b = conv(x, 384, 1)
        b = join(conv(b, 384, 1, 3), conv(b, 384, 3, 1), name=f"mixed9_{i}")
        c = conv(conv(x, 448, 1), 384, 3)
        c = join(conv(c, 384, 1, 3), conv(c, 384, 3, 1))
        x = join(a, b, c, smooth(x, 192), name=f"mixed{9 + i}")
    return net.top(x) if net.include_top else net.pool(x)


InceptionV3 = application("InceptionV3", _inception_v3, Row(
    "inception_v3", 299, "inception_v3", "inception_v3_weights_tf_dim_ordering_tf_kernels",
    ("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"), smallest=75,
))  # fmt: skip
preprocess_input = preprocessor("tf")
