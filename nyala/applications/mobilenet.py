"""MobileNet (Howard et al. 2017, https://arxiv.org/abs/1704.04861)."""

from __future__ import annotations

import os
from typing import Any

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, documented, trained_size
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.base import check
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
_FILTERS = (64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
_HALVING = (2, 4, 6, 12)


@documented
def MobileNet(
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: SymbolicTensor | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Identifier = "softmax",
    name: str | None = None,
) -> Functional:
    """Depthwise convolutions, each followed by one over the channels. Pixels in [-1, 1].

    Args:
        alpha: factor of all widths. depth_multiplier: filters for a channel. dropout: rate before the top.
    """
    if weights == "imagenet" and alpha not in _ALPHAS:
        check.fail("MobileNet", f"weights='imagenet' are for alpha in {list(_ALPHAS)}, got {alpha}")
    size, rows = trained_size("MobileNet", input_shape, include_top, weights, (128, 160, 192, 224))
    if weights == "imagenet" and depth_multiplier != 1:
        check.fail("MobileNet", f"weights='imagenet' have depth_multiplier=1, got {depth_multiplier}")
    stem = f"mobilenet_{_ALPHAS.get(alpha)}_{size}_tf"
    row = Row(f"mobilenet_{alpha:.2f}_{rows}", size, "mobilenet", stem, (None, None), endings=(".h5", "_no_top.h5"))
    net = Net(row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)

    def norm_relu(x: Any, name: str) -> Any:
        x = layers.BatchNormalization(axis=net.last, name=f"{name}_bn")(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x)

    x = layers.Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(net.image)
    x = norm_relu(x, "conv1")
    for block, filters in enumerate(_FILTERS, 1):
        halving = block in _HALVING
        if halving:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{block}")(x)
        x = layers.DepthwiseConv2D(
            3,
            strides=2 if halving else 1,
            padding="valid" if halving else "same",
            depth_multiplier=depth_multiplier,
            use_bias=False,
            name=f"conv_dw_{block}",
        )(x)
        x = norm_relu(x, f"conv_dw_{block}")
        x = layers.Conv2D(int(filters * alpha), 1, padding="same", use_bias=False, name=f"conv_pw_{block}")(x)
        x = norm_relu(x, f"conv_pw_{block}")
    if not net.include_top:
        return net.model(net.pool(x))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((classes,), name="reshape_2")(x)
    return net.model(layers.Activation(classifier_activation, name="predictions")(x))


preprocess_input = preprocessor("tf")
