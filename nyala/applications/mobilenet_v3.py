"""MobileNetV3 (Howard et al. 2019, https://arxiv.org/abs/1905.02244)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, divisible, documented, padding, trained_size
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.base import check
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional

__all__ = ["decode_predictions", "preprocess_input"]


class _Block(NamedTuple):
    """Widening (a factor of the input's channels), filters, kernel, stride, squeeze and excitation, hard swish."""

    expansion: float
    filters: int
    kernel: int
    stride: int
    excite: bool
    swish: bool


class _Plan(NamedTuple):
    public: str
    label: str
    blocks: tuple[_Block, ...]
    top: int
    hashes: dict[tuple[float, bool], tuple[str, str]]


_SMALL = _Plan("MobileNetV3Small", "small", (
    _Block(1, 16, 3, 2, True, False), _Block(72 / 16, 24, 3, 2, False, False), _Block(88 / 24, 24, 3, 1, False, False),
    _Block(4, 40, 5, 2, True, True), _Block(6, 40, 5, 1, True, True), _Block(6, 40, 5, 1, True, True),
    _Block(3, 48, 5, 1, True, True), _Block(3, 48, 5, 1, True, True), _Block(6, 96, 5, 2, True, True),
    _Block(6, 96, 5, 1, True, True), _Block(6, 96, 5, 1, True, True),
), 1024, {
    (1.0, False): ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    (0.75, False): ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    (1.0, True): ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
})  # fmt: skip
_LARGE = _Plan("MobileNetV3Large", "large", (
    _Block(1, 16, 3, 1, False, False), _Block(4, 24, 3, 2, False, False), _Block(3, 24, 3, 1, False, False),
    _Block(3, 40, 5, 2, True, False), _Block(3, 40, 5, 1, True, False), _Block(3, 40, 5, 1, True, False),
    _Block(6, 80, 3, 2, False, True), _Block(2.5, 80, 3, 1, False, True), _Block(2.3, 80, 3, 1, False, True),
    _Block(2.3, 80, 3, 1, False, True), _Block(6, 112, 3, 1, True, True), _Block(6, 112, 3, 1, True, True),
    _Block(6, 160, 5, 2, True, True), _Block(6, 160, 5, 1, True, True), _Block(6, 160, 5, 1, True, True),
), 1280, {
    (1.0, False): ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    (0.75, False): ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    (1.0, True): ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
})  # fmt: skip


def _excite(net: Net, x: Any, name: str) -> Any:
    channels = x.shape[net.last]
    s = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_excite_avg_pool")(x)
    s = layers.Conv2D(divisible(channels * 0.25), 1, padding="same", name=f"{name}_squeeze_excite_conv")(s)
    s = layers.ReLU(name=f"{name}_squeeze_excite_relu")(s)
    s = layers.Conv2D(channels, 1, padding="same", name=f"{name}_squeeze_excite_conv_1")(s)
    s = layers.ReLU(6.0)(s + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}_squeeze_excite_mul")([x, s])


def _mobilenet_v3(
    plan: _Plan,
    input_shape: Shape | None,
    alpha: float,
    minimalistic: bool,
    include_top: bool,
    weights: str | os.PathLike[str] | None,
    input_tensor: SymbolicTensor | None,
    classes: int,
    pooling: str | None,
    dropout_rate: float,
    classifier_activation: Identifier,
    include_preprocessing: bool,
    name: str | None,
) -> Functional:
    if weights == "imagenet" and (alpha, minimalistic) not in plan.hashes:
        known = "alpha=0.75 or 1.0, or alpha=1.0 with minimalistic=True"
        check.fail(plan.public, f"weights='imagenet' are for {known}, got alpha={alpha}, minimalistic={minimalistic}")
    trained_size(plan.public, input_shape, include_top, weights, (224,))
    row = Row(
        plan.public,
        224,
        "mobilenet_v3",
        f"weights_mobilenet_v3_{plan.label}{'_minimalistic' * minimalistic}_224_{float(alpha)}_float",
        plan.hashes.get((alpha, minimalistic), (None, None)),
        endings=(".h5", "_no_top_v2.h5"),
    )
    net = Net(
        row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name, sized=False
    )

    def norm(x: Any, name: str) -> Any:
        return layers.BatchNormalization(axis=net.last, momentum=0.999, name=name)(x)

    def activate(x: Any, swish: bool = True) -> Any:
        make: Callable[[], Any] = (
            (lambda: layers.Activation("hard_swish")) if swish and not minimalistic else layers.ReLU
        )
        return make()(x)

    x = net.image
    if include_preprocessing:
        x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = activate(norm(x, "conv_bn"))
    for i, block in enumerate(plan.blocks):
        name_ = f"expanded_conv_{i}" if i else "expanded_conv"
        kernel = 3 if minimalistic else block.kernel
        before, channels = x, x.shape[net.last]
        if i:
            width = divisible(channels * block.expansion)
            x = layers.Conv2D(width, 1, padding="same", use_bias=False, name=f"{name_}_expand")(x)
            x = activate(norm(x, f"{name_}_expand_bn"), block.swish)
        if block.stride == 2:
            x = layers.ZeroPadding2D(padding(net, x, kernel), name=f"{name_}_depthwise_pad")(x)
        x = layers.DepthwiseConv2D(
            kernel,
            strides=block.stride,
            padding="valid" if block.stride == 2 else "same",
            use_bias=False,
            name=f"{name_}_depthwise",
        )(x)
        x = activate(norm(x, f"{name_}_depthwise_bn"), block.swish)
        if block.excite and not minimalistic:
            x = _excite(net, x, name_)
        filters = divisible(block.filters * alpha)
        x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name_}_project")(x)
        x = norm(x, f"{name_}_project_bn")
        if block.stride == 1 and channels == filters:
            x = layers.Add(name=f"{name_}_add")([before, x])
    width = divisible(x.shape[net.last] * 6)
    x = layers.Conv2D(width, 1, padding="same", use_bias=False, name="conv_1")(x)
    x = activate(norm(x, "conv_1_bn"))
    if not net.include_top:
        return net.model(net.pool(x, "avg_pool", "max_pool"))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(divisible(plan.top * max(alpha, 1.0)), 1, padding="same", name="conv_2")(x)
    x = activate(x)
    if dropout_rate > 0:
        x = layers.Dropout(dropout_rate)(x)
    x = layers.Conv2D(classes, 1, padding="same", name="logits")(x)
    x = layers.Flatten()(x)
    return net.model(layers.Activation(classifier_activation, name="predictions")(x))


def _variant(plan: _Plan) -> Any:
    def make(
        input_shape: Shape | None = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        classes: int = 1000,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Identifier = "softmax",
        include_preprocessing: bool = True,
        name: str | None = plan.public,
    ) -> Functional:
        """Inverted residual blocks with squeeze and excitation and hard swish. Pixels in [0, 255].

        Args:
            alpha: factor of all widths. minimalistic: small kernels, relu, and no squeeze and excitation.
            dropout_rate: before the top. include_preprocessing: whether the model scales pixels to [-1, 1] itself.
        """
        return _mobilenet_v3(
            plan, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling, dropout_rate,
            classifier_activation, include_preprocessing, name,
        )  # fmt: skip

    return documented(make, plan.public)


MobileNetV3Small = _variant(_SMALL)
MobileNetV3Large = _variant(_LARGE)
preprocess_input = preprocessor(None)
