"""EfficientNetV2 (Tan and Le 2021, https://arxiv.org/abs/2104.00298)."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, documented
from nyala.applications.efficientnet import DROP, KERNEL, head, norm_act, residual, squeeze_excite
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional

# repeats, filters, expansion, strides; the stages of three whole numbers' depth are fused: one convolution for two
_Stage = tuple[int, int, int, int]
_B: tuple[_Stage, ...] = ((1, 16, 1, 1), (2, 32, 4, 2), (2, 48, 4, 2), (3, 96, 4, 2), (5, 112, 6, 1), (8, 192, 6, 2))
_S: tuple[_Stage, ...] = (
    (2, 24, 1, 1), (4, 48, 4, 2), (4, 64, 4, 2), (6, 128, 4, 2), (9, 160, 6, 1), (15, 256, 6, 2),
)  # fmt: skip
_M: tuple[_Stage, ...] = (
    (3, 24, 1, 1), (5, 48, 4, 2), (5, 80, 4, 2), (7, 160, 4, 2), (14, 176, 6, 1), (18, 304, 6, 2), (5, 512, 6, 1),
)  # fmt: skip
_L: tuple[_Stage, ...] = (
    (4, 32, 1, 1), (7, 64, 4, 2), (7, 96, 4, 2), (10, 192, 4, 2), (19, 224, 6, 1), (25, 384, 6, 2), (7, 640, 6, 1),
)  # fmt: skip
_FUSED = 3  # so many stages do with one convolution what the others do with two

_MEAN = [0.485, 0.456, 0.406]
_VARIANCE = [0.229**2, 0.224**2, 0.225**2]


class _Plan(NamedTuple):
    """Stages, factors of width and depth, and whether pixels are normalized by channel or just scaled to [-1, 1]."""

    stages: tuple[_Stage, ...]
    width: float = 1.0
    depth: float = 1.0
    by_channel: bool = False


def _efficientnet_v2(net: Net, plan: _Plan, include_preprocessing: bool) -> Any:
    def width(filters: int) -> int:
        return max(8, int(filters * plan.width + 4) // 8 * 8)

    def conv(x: Any, filters: int, name: str, kernel: int = 1, strides: int = 1) -> Any:
        return layers.Conv2D(
            filters, kernel, strides=strides, padding="same", use_bias=False, kernel_initializer=KERNEL, name=name
        )(x)

    def norm(x: Any, name: str, act: bool = True) -> Any:
        return norm_act(net, x, name, act, momentum=0.9)

    x = net.image
    if include_preprocessing and plan.by_channel:
        x = layers.Rescaling(1 / 255)(x)
        x = layers.Normalization(mean=_MEAN, variance=_VARIANCE, axis=net.axis)(x)
    elif include_preprocessing:
        x = layers.Rescaling(1 / 128, offset=-1)(x)
    x = norm(conv(x, width(plan.stages[0][1] if not plan.by_channel else 32), "stem_conv", 3, 2), "stem")

    total = sum(stage[0] for stage in plan.stages)  # of the unscaled network, as it was published
    count = 0
    for number, (repeats, filters, expansion, strides) in enumerate(plan.stages, 1):
        fused = number <= _FUSED
        for i in range(math.ceil(plan.depth * repeats)):
            name = f"block{number}{chr(ord('a') + i)}"
            before, channels, stride = x, x.shape[net.axis], strides if i == 0 else 1
            if expansion > 1:
                x = conv(x, channels * expansion, f"{name}_expand_conv", *((3, stride) if fused else ()))
                x = norm(x, f"{name}_expand")
            if not fused:
                x = layers.DepthwiseConv2D(
                    3, stride, padding="same", use_bias=False, depthwise_initializer=KERNEL, name=f"{name}_dwconv2"
                )(x)
                x = squeeze_excite(net, norm(x, name), max(1, channels // 4), name)
            whole = expansion == 1
            x = conv(x, width(filters), f"{name}_project_conv", *((3, stride) if whole else ()))
            x = norm(x, f"{name}_project", act=whole)
            if stride == 1 and channels == x.shape[net.axis]:
                x = residual(x, before, DROP * count / total, name)
            count += 1
    x = norm(conv(x, width(1280), "top_conv"), "top")
    return head(net, x, 0.2, bias_initializer={"class_name": "Constant", "config": {"value": 0.0}})


def _variant(version: str, size: int, plan: _Plan, top: str, notop: str) -> Any:
    stem = f"efficientnetv2-{version.lower()}"
    row = Row(stem, size, "efficientnet_v2", stem, (top, notop), plan)

    def make(
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        include_preprocessing: bool = True,
        name: str | None = stem,
    ) -> Functional:
        """Inverted residual blocks, the first ones with whole convolutions. Pixels in [0, 255].

        Args:
            include_preprocessing: whether the model scales pixels itself.
        """
        net = Net(row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        return net.model(_efficientnet_v2(net, plan, include_preprocessing))

    return documented(make, f"EfficientNetV2{version}")


EfficientNetV2B0 = _variant(
    "B0", 224, _Plan(_B, 1.0, 1.0, True), "21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"
)
EfficientNetV2B1 = _variant(
    "B1", 240, _Plan(_B, 1.0, 1.1, True), "069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"
)
EfficientNetV2B2 = _variant(
    "B2", 260, _Plan(_B, 1.1, 1.2, True), "424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"
)
EfficientNetV2B3 = _variant(
    "B3", 300, _Plan(_B, 1.2, 1.4, True), "1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"
)
EfficientNetV2S = _variant("S", 384, _Plan(_S), "e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070")
EfficientNetV2M = _variant("M", 480, _Plan(_M), "a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342")
EfficientNetV2L = _variant("L", 480, _Plan(_L), "27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615")
preprocess_input = preprocessor(None)

__all__ = [
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L",
    "EfficientNetV2M", "EfficientNetV2S", "decode_predictions", "preprocess_input",
]  # fmt: skip
