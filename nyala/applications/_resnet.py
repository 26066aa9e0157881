"""Residual networks (He et al. 2015, https://arxiv.org/abs/1512.03385, and V2 2016, https://arxiv.org/abs/1603.05027)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import layers
from nyala.applications._net import Net

_EPSILON = 1.001e-5


def _norm(net: Net, x: Any, name: str) -> Any:
    return layers.BatchNormalization(axis=net.axis, epsilon=_EPSILON, name=f"{name}_bn")(x)


def _norm_relu(net: Net, x: Any, name: str) -> Any:
    return layers.Activation("relu", name=f"{name}_relu")(_norm(net, x, name))


def resnet(net: Net, depths: Sequence[int]) -> Any:
    """Bottleneck blocks: convolution, normalization, relu; the sum is activated. Caffe's pixels."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(net.image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    x = _norm_relu(net, x, "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, depth in enumerate(depths, 2):
        for i in range(1, depth + 1):
            x = _block(net, x, 64 * 2 ** (stage - 2), 2 if i == 1 and stage > 2 else 1, i == 1, f"conv{stage}_block{i}")
    return net.top(x)


def _block(net: Net, x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    around = x
    if project:
        around = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        around = _norm(net, around, f"{name}_0")
    x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    x = _norm_relu(net, x, f"{name}_1")
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = _norm_relu(net, x, f"{name}_2")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    x = _norm(net, x, f"{name}_3")
    x = layers.Add(name=f"{name}_add")([around, x])
    return layers.Activation("relu", name=f"{name}_out")(x)


def resnet_v2(net: Net, depths: Sequence[int]) -> Any:
    """Bottleneck blocks: normalization, relu, convolution; the sum is left alone. Pixels in [-1, 1]."""
    x = layers.ZeroPadding2D(3, name="conv1_pad")(net.image)
    x = layers.Conv2D(64, 7, strides=2, name="conv1_conv")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, depth in enumerate(depths, 2):
        for i in range(1, depth + 1):
            stride = 2 if i == depth and stage < 5 else 1
            x = _block_v2(net, x, 64 * 2 ** (stage - 2), stride, i == 1, f"conv{stage}_block{i}")
    x = _norm_relu(net, x, "post")
    return net.top(x)


def _block_v2(net: Net, x: Any, filters: int, stride: int, project: bool, name: str) -> Any:
    before = _norm_relu(net, x, f"{name}_preact")
    if project:
        around = layers.Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(before)
    else:
        around = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(before)
    x = _norm_relu(net, x, f"{name}_1")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = _norm_relu(net, x, f"{name}_2")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([around, x])
