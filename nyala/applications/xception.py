"""Xception (Chollet 2016, https://arxiv.org/abs/1610.02357)."""

from __future__ import annotations

from typing import Any

from nyala import layers
from nyala.applications._net import Net, Row, application
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]


def _xception(net: Net, plan: None) -> Any:
    """Separable convolutions with residual connections. Pixels in [-1, 1]."""

    def norm(x: Any, name: str | None = None) -> Any:
        return layers.BatchNormalization(axis=net.last, name=name)(x)

    def relu(x: Any, name: str) -> Any:
        return layers.Activation("relu", name=f"{name}_act")(x)

    def separable(x: Any, filters: int, name: str) -> Any:
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
        return norm(x, f"{name}_bn")

    def shrinking(x: Any, block: int, first: int, filters: int) -> Any:
        around = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False)(x)
        around = norm(around)
        if block > 2:
            x = relu(x, f"block{block}_sepconv1")
        x = separable(x, first, f"block{block}_sepconv1")
        x = relu(x, f"block{block}_sepconv2")
        x = separable(x, filters, f"block{block}_sepconv2")
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"block{block}_pool")(x)
        return layers.add([x, around])

    x: Any = net.image
    for i, filters in enumerate((32, 64), 1):
        x = layers.Conv2D(filters, 3, strides=3 - i, use_bias=False, name=f"block1_conv{i}")(x)
        x = relu(norm(x, f"block1_conv{i}_bn"), f"block1_conv{i}")
    for block, filters in enumerate((128, 256, 728), 2):
        x = shrinking(x, block, filters, filters)
    for block in range(5, 13):
        around = x
        for i in range(1, 4):
            name = f"block{block}_sepconv{i}"
            x = separable(relu(x, name), 728, name)
        x = layers.add([x, around])
    x = shrinking(x, 13, 728, 1024)
    for i, filters in enumerate((1536, 2048), 1):
        x = relu(separable(x, filters, f"block14_sepconv{i}"), f"block14_sepconv{i}")
    return net.top(x) if net.include_top else net.pool(x)


Xception = application("Xception", _xception, Row(
    "xception", 299, "xception", "xception_weights_tf_dim_ordering_tf_kernels",
    ("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"), smallest=71,
))  # fmt: skip
preprocess_input = preprocessor("tf")
