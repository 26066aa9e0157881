"""EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from nyala import layers
from nyala.applications._net import Application, Net, Row, application, divisible, padding
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

_HASHES = (
    ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)


class Scale(NamedTuple):
    """How a variant differs from B0: factors of width and depth, and the dropout of its top."""

    width: float
    depth: float
    dropout: float


# kernel, repeats, filters, expansion, strides of each stage of B0
_STAGES = (
    (3, 1, 16, 1, 1), (3, 2, 24, 6, 2), (5, 2, 40, 6, 2), (3, 3, 80, 6, 2), (5, 3, 112, 6, 1), (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)  # fmt: skip
DROP = 0.2  # of the last block's output; grows linearly over the blocks
_DEVIATION = (0.229, 0.224, 0.225)

KERNEL = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}
DENSE = {"class_name": "VarianceScaling", "config": {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"}}


def norm_act(net: Net, x: Any, name: str, act: bool = True, **kwargs: Any) -> Any:
    """Normalization and, unless ``act`` is False, swish."""
    x = layers.BatchNormalization(axis=net.axis, name=f"{name}_bn", **kwargs)(x)
    return layers.Activation("swish", name=f"{name}_activation")(x) if act else x


def squeeze_excite(net: Net, x: Any, filters: int, name: str) -> Any:
    """Channels weighted by a small network of their means (https://arxiv.org/abs/1709.01507)."""
    channels = x.shape[net.axis]
    s = layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
    s = layers.Reshape((channels, 1, 1) if net.axis == 1 else (1, 1, channels), name=f"{name}_se_reshape")(s)
    for step, n, activation in (("reduce", filters, "swish"), ("expand", channels, "sigmoid")):
        s = layers.Conv2D(
            n, 1, padding="same", activation=activation, kernel_initializer=KERNEL, name=f"{name}_se_{step}"
        )(s)
    return layers.Multiply(name=f"{name}_se_excite")([x, s])


def residual(x: Any, before: Any, rate: float, name: str) -> Any:
    """The sum with what was before; a block is left out with probability ``rate``, for each image by itself."""
    if rate > 0:
        x = layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([x, before])


def head(net: Net, x: Any, dropout: float, **kwargs: Any) -> Any:
    """The top, or without one what ``pooling`` asks for."""
    if not net.include_top:
        return net.pool(x, "avg_pool", "max_pool")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(dropout, name="top_dropout")(x)
    return net.classify(x, kernel_initializer=DENSE, **kwargs)


def _efficientnet(net: Net, scale: Scale) -> Any:
    """Inverted residual blocks with squeeze and excitation, scaled in width, depth and size. Pixels in [0, 255]."""

    def width(filters: int) -> int:
        return divisible(filters * scale.width)

    def conv(x: Any, filters: int, name: str, kernel: int = 1, **kwargs: Any) -> Any:
        kwargs = {"padding": "same", **kwargs}
        return layers.Conv2D(filters, kernel, use_bias=False, kernel_initializer=KERNEL, name=name, **kwargs)(x)

    x = layers.Rescaling(1 / 255)(net.image)
    x = layers.Normalization(axis=net.axis)(x)
    if net.published:  # the published statistics are variances that were applied as deviations
        x = layers.Rescaling([1 / math.sqrt(d) for d in _DEVIATION])(x)
    x = layers.ZeroPadding2D(padding(net, x, 3), name="stem_conv_pad")(x)
    x = norm_act(net, conv(x, width(32), "stem_conv", 3, strides=2, padding="valid"), "stem")

    stages = [(*stage, math.ceil(scale.depth * stage[1])) for stage in _STAGES]
    total = sum(stage[-1] for stage in stages)
    count = 0
    for number, (kernel, _, filters, expansion, strides, repeats) in enumerate(stages, 1):
        for i in range(repeats):
            name = f"block{number}{chr(ord('a') + i)}"
            before, channels, stride = x, x.shape[net.axis], strides if i == 0 else 1
            if expansion > 1:
                x = conv(x, channels * expansion, f"{name}_expand_conv")
                x = norm_act(net, x, f"{name}_expand")
            if stride == 2:
                x = layers.ZeroPadding2D(padding(net, x, kernel), name=f"{name}_dwconv_pad")(x)
            x = layers.DepthwiseConv2D(
                kernel,
                stride,
                padding="valid" if stride == 2 else "same",
                use_bias=False,
                depthwise_initializer=KERNEL,
                name=f"{name}_dwconv",
            )(x)
            x = norm_act(net, x, name)
            x = squeeze_excite(net, x, max(1, channels // 4), name)
            x = norm_act(net, conv(x, width(filters), f"{name}_project_conv"), f"{name}_project", act=False)
            if stride == 1 and channels == x.shape[net.axis]:
                x = residual(x, before, DROP * count / total, name)
            count += 1
    x = norm_act(net, conv(x, width(1280), "top_conv"), "top")
    return head(net, x, scale.dropout)


def _variant(number: int, size: int, width: float, depth: float, dropout: float) -> Application:
    name = f"efficientnetb{number}"
    row = Row(
        name,
        size,
        "https://storage.googleapis.com/keras-applications",
        name,
        _HASHES[number],
        Scale(width, depth, dropout),
    )
    return application(f"EfficientNetB{number}", _efficientnet, row)


EfficientNetB0 = _variant(0, 224, 1.0, 1.0, 0.2)
EfficientNetB1 = _variant(1, 240, 1.0, 1.1, 0.2)
EfficientNetB2 = _variant(2, 260, 1.1, 1.2, 0.3)
EfficientNetB3 = _variant(3, 300, 1.2, 1.4, 0.3)
EfficientNetB4 = _variant(4, 380, 1.4, 1.8, 0.4)
EfficientNetB5 = _variant(5, 456, 1.6, 2.2, 0.4)
EfficientNetB6 = _variant(6, 528, 1.8, 2.6, 0.5)
EfficientNetB7 = _variant(7, 600, 2.0, 3.1, 0.5)
preprocess_input = preprocessor(None)

__all__ = [
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5",
    "EfficientNetB6", "EfficientNetB7", "decode_predictions", "preprocess_input",
]  # fmt: skip
