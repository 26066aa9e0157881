"""InceptionResNetV2 (Szegedy et al. 2016, https://arxiv.org/abs/1602.07261)."""

from __future__ import annotations

from typing import Any

from nyala import layers
from nyala.applications._net import Net, Row, application
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.applications.inception_v3 import conv_norm_relu
from nyala.layers.scale import CustomScaleLayer

__all__ = ["InceptionResNetV2", "decode_predictions", "preprocess_input"]


def _inception_resnet_v2(net: Net, plan: None) -> Any:
    """Inception blocks, each scaled and added to what it takes. Pixels in [-1, 1]."""

    def conv(x: Any, *args: int, **kwargs: Any) -> Any:
        return conv_norm_relu(net, x, *args, **kwargs)

    def halve(x: Any, filters: int) -> Any:
        return conv(x, filters, 3, strides=2, padding="valid")

    def join(*branches: Any, name: str) -> Any:
        return layers.Concatenate(axis=net.axis, name=name)(list(branches))

    def add(x: Any, *branches: Any, scale: float, name: str, last: bool = False) -> Any:
        new = join(*branches, name=f"{name}_mixed")
        new = layers.Conv2D(x.shape[net.axis], 1, padding="same", name=f"{name}_conv")(new)
        x = CustomScaleLayer(scale)([x, new])
        return x if last else layers.Activation("relu", name=f"{name}_ac")(x)

    x = halve(net.image, 32)
    x = conv(x, 32, 3, padding="valid")
    x = conv(x, 64, 3)
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = conv(x, 80, 1, padding="valid")
    x = conv(x, 192, 3, padding="valid")
    x = layers.MaxPooling2D(3, strides=2)(x)
    a = conv(x, 96, 1)
    b = conv(conv(x, 48, 1), 64, 5)
    c = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
    d = conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 64, 1)
    x = join(a, b, c, d, name="mixed_5b")
    for i in range(1, 11):  # 35 x 35
        a = conv(x, 32, 1)
        b = conv(conv(x, 32, 1), 32, 3)
        c = conv(conv(conv(x, 32, 1), 48, 3), 64, 3)
        x = add(x, a, b, c, scale=0.17, name=f"block35_{i}")
    a = halve(x, 384)
    b = halve(conv(conv(x, 256, 1), 256, 3), 384)
    x = join(a, b, layers.MaxPooling2D(3, strides=2)(x), name="mixed_6a")
    for i in range(1, 21):  # 17 x 17
        a = conv(x, 192, 1)
        b = conv(conv(conv(x, 128, 1), 160, 1, 7), 192, 7, 1)
        x = add(x, a, b, scale=0.1, name=f"block17_{i}")
    a = halve(conv(x, 256, 1), 384)
    b = halve(conv(x, 256, 1), 288)
    c = halve(conv(conv(x, 256, 1), 288, 3), 320)
    x = join(a, b, c, layers.MaxPooling2D(3, strides=2)(x), name="mixed_7a")
    for i in range(1, 11):  # 8 x 8
        a = conv(x, 192, 1)
        b = conv(conv(conv(x, 192, 1), 224, 1, 3), 256, 3, 1)
        last = i == 10
        x = add(x, a, b, scale=1.0 if last else 0.2, name=f"block8_{i}", last=last)
    x = conv(x, 1536, 1, name="conv_7b")
    return net.top(x) if net.include_top else net.pool(x)


InceptionResNetV2 = application("InceptionResNetV2", _inception_resnet_v2, Row(
    "inception_resnet_v2", 299, "inception_resnet_v2", "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels",
    ("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"), smallest=75,
))  # fmt: skip
preprocess_input = preprocessor("tf")
