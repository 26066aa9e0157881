"""DenseNet (Huang et al. 2016, https://arxiv.org/abs/1608.06993)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import layers
from nyala.applications._net import Application, Net, Row, application
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

_GROWTH = 32


def _densenet(net: Net, depths: Sequence[int]) -> Any:
    """Every block adds 32 channels to all before it. Pixels scaled as torch's models have them."""

    def norm_relu(x: Any, norm: str, relu: str) -> Any:
        x = layers.BatchNormalization(axis=net.axis, epsilon=1.001e-5, name=norm)(x)
        return layers.Activation("relu", name=relu)(x)

    x = layers.ZeroPadding2D(3)(net.image)
    x = layers.Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(x)
    x = norm_relu(x, "conv1_bn", "conv1_relu")
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(depths, 2):
        for i in range(1, depth + 1):
            name = f"conv{stage}_block{i}"
            new = norm_relu(x, f"{name}_0_bn", f"{name}_0_relu")
            new = layers.Conv2D(4 * _GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(new)
            new = norm_relu(new, f"{name}_1_bn", f"{name}_1_relu")
            new = layers.Conv2D(_GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(new)
            x = layers.Concatenate(axis=net.axis, name=f"{name}_concat")([x, new])
        if stage < 5:
            name = f"pool{stage}"
            x = norm_relu(x, f"{name}_bn", f"{name}_relu")
            x = layers.Conv2D(x.shape[net.axis] // 2, 1, use_bias=False, name=f"{name}_conv")(x)
            x = layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)
    return net.top(norm_relu(x, "bn", "relu"))


def _variant(layers: int, depths: tuple[int, ...], top: str, notop: str) -> Application:
    name = f"densenet{layers}"
    stem = f"{name}_weights_tf_dim_ordering_tf_kernels"
    return application(f"DenseNet{layers}", _densenet, Row(name, 224, "densenet", stem, (top, notop), depths))


DenseNet121 = _variant(121, (6, 12, 24, 16), "9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738")
DenseNet169 = _variant(169, (6, 12, 32, 32), "d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b")
DenseNet201 = _variant(201, (6, 12, 48, 32), "1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1")
preprocess_input = preprocessor("torch")
