"""VGG (Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import layers
from nyala.applications._net import Net


def vgg(net: Net, depths: Sequence[int]) -> Any:
    """3 x 3 convolutions in five blocks, each ending in max pooling; three dense layers. Caffe's pixels."""
    x: Any = net.image
    for block, (depth, filters) in enumerate(zip(depths, (64, 128, 256, 512, 512)), 1):
        for i in range(1, depth + 1):
            name = f"block{block}_conv{i}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, 2, name=f"block{block}_pool")(x)
    if not net.include_top:
        return net.pool(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(4096, activation="relu", name="fc1")(x)
    x = layers.Dense(4096, activation="relu", name="fc2")(x)
    return net.classify(x)
