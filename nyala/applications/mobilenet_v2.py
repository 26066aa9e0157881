"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381)."""

from __future__ import annotations

import os
from typing import Any

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, divisible, documented, padding, trained_size
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.base import check
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
# expansion, filters, repeats, strides
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@documented
def MobileNetV2(
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: SymbolicTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Functional:
    """Inverted residual blocks: widened, filtered channel by channel, narrowed. Pixels in [-1, 1].

    Args:
        alpha: factor of all widths.
    """
    if weights == "imagenet" and alpha not in _ALPHAS:
        check.fail("MobileNetV2", f"weights='imagenet' are for alpha in {list(_ALPHAS)}, got {alpha}")
    size, rows = trained_size("MobileNetV2", input_shape, include_top, weights, (96, 128, 160, 192, 224))
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{size}"
    row = Row(
        f"mobilenetv2_{alpha:.2f}_{rows}",
        size,
        "mobilenet_v2",
        stem,
        (None, None),
        endings=(".h5", "_no_top.h5"),
    )
    net = Net(row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)

    def norm(x: Any, name: str) -> Any:
        return layers.BatchNormalization(axis=net.last, momentum=0.999, name=name)(x)

    def relu(x: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=name)(x)

    x = layers.Conv2D(divisible(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(net.image)
    x = relu(norm(x, "bn_Conv1"), "Conv1_relu")
    block = 0
    for expansion, filters, repeats, strides in _STAGES:
        for i in range(repeats):
            name_ = f"block_{block}" if block else "expanded_conv"
            before, channels, stride = x, x.shape[net.last], strides if i == 0 else 1
            if expansion > 1:
                x = layers.Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{name_}_expand")(x)
                x = relu(norm(x, f"{name_}_expand_BN"), f"{name_}_expand_relu")
            if stride == 2:
                x = layers.ZeroPadding2D(padding(net, x, 3), name=f"{name_}_pad")(x)
            x = layers.DepthwiseConv2D(
                3,
                strides=stride,
                padding="valid" if stride == 2 else "same",
                use_bias=False,
                name=f"{name_}_depthwise",
            )(x)
            x = relu(norm(x, f"{name_}_depthwise_BN"), f"{name_}_depthwise_relu")
            width = divisible(int(filters * alpha))
            x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name_}_project")(x)
            x = norm(x, f"{name_}_project_BN")
            if channels == width and stride == 1:
                x = layers.Add(name=f"{name_}_add")([before, x])
            block += 1
    x = layers.Conv2D(divisible(1280 * max(alpha, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    x = relu(norm(x, "Conv_1_bn"), "out_relu")
    return net.model(net.top(x, None, None))


preprocess_input = preprocessor("tf")
