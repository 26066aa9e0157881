"""ConvNeXt (Liu et al. 2022, https://arxiv.org/abs/2201.03545)."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, documented
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers.scale import LayerScale
from nyala.models import Functional, Sequential

__all__ = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "decode_predictions",
    "preprocess_input",
]  # fmt: skip

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class _Plan(NamedTuple):
    depths: tuple[int, ...]
    widths: tuple[int, ...]


def _convnext(net: Net, plan: _Plan, include_preprocessing: bool) -> Any:
    name, x = net.name, net.image

    def norm(name: str | None = None) -> Any:
        return layers.LayerNormalization(epsilon=1e-6, name=name)

    def block(x: Any, width: int, name: str) -> Any:
        new = layers.Conv2D(width, 7, padding="same", groups=width, name=f"{name}_depthwise_conv")(x)
        new = norm(f"{name}_layernorm")(new)
        new = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(new)
        new = layers.Activation("gelu", name=f"{name}_gelu")(new)
        new = layers.Dense(width, name=f"{name}_pointwise_conv_2")(new)
        new = LayerScale(1e-6, width, name=f"{name}_layer_scale")(new)
        return x + layers.Activation("linear", name=f"{name}_identity")(new)

    if include_preprocessing:
        x = layers.Normalization(
            mean=[m * 255 for m in _MEAN],
            variance=[(d * 255) ** 2 for d in _DEVIATION],
            name=f"{name}_prestem_normalization",
        )(x)
    for stage, (depth, width) in enumerate(zip(plan.depths, plan.widths)):
        if stage == 0:
            conv = layers.Conv2D(width, 4, strides=4, name=f"{name}_stem_conv")
            x = Sequential([conv, norm(f"{name}_stem_layernorm")], name=f"{name}_stem")(x)
        else:
            i = stage - 1
            conv = layers.Conv2D(width, 2, strides=2, name=f"{name}_downsampling_conv_{i}")
            shrink = [norm(f"{name}_downsampling_layernorm_{i}"), conv]
            x = Sequential(shrink, name=f"{name}_downsampling_block_{i}")(x)
        for i in range(depth):
            x = block(x, width, f"{name}_stage_{stage}_block_{i}")
    if not net.include_top:
        return norm()(net.pool(x))
    x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
    x = norm(f"{name}_head_layernorm")(x)
    return layers.Dense(net.classes, activation=net.classifier_activation, name=f"{name}_head_dense")(x)


def _variant(size: str, depths: tuple[int, ...], width: int, top: str, notop: str) -> Any:
    stem = f"convnext_{size.lower()}"
    row = Row(stem, 224, "convnext", stem, (top, notop), _Plan(depths, tuple(width * 2**i for i in range(4))))

    def make(
        include_top: bool = True,
        include_preprocessing: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str | None = stem,
    ) -> Functional:
        """Large depthwise convolutions, layer normalization and two dense layers in each block. Pixels in [0, 255].

        Args:
            include_preprocessing: whether the model normalizes pixels itself. name: also begins the layers' names.
        """
        net = Net(row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name)
        return net.model(_convnext(net, row.plan, include_preprocessing))

    return documented(make, f"ConvNeXt{size}")


ConvNeXtTiny = _variant(
    "Tiny", (3, 3, 9, 3), 96,
    "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
)  # fmt: skip
ConvNeXtSmall = _variant(
    "Small", (3, 3, 27, 3), 96,
    "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
)  # fmt: skip
ConvNeXtBase = _variant(
    "Base", (3, 3, 27, 3), 128,
    "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
)  # fmt: skip
ConvNeXtLarge = _variant(
    "Large", (3, 3, 27, 3), 192,
    "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
)  # fmt: skip
ConvNeXtXLarge = _variant(
    "XLarge", (3, 3, 27, 3), 256,
    "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
)  # fmt: skip
preprocess_input = preprocessor(None)
