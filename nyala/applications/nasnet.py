"""NASNet (Zoph et al. 2017, https://arxiv.org/abs/1707.07012)."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from nyala import layers
from nyala._typing import Identifier, Shape
from nyala.applications._net import Net, Row, documented, padding
from nyala.applications.imagenet_utils import decode_predictions, preprocessor
from nyala.base import naming
from nyala.graph.symbolic import SymbolicTensor
from nyala.models import Functional

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]


class _Plan(NamedTuple):
    """Filters of the stem and of the first cells, normal cells between reductions, whether they skip a reduction."""

    stem: int
    filters: int
    cells: int
    skip: bool


class _Cells:
    """The two cells that the search found; each takes the outputs of the last two."""

    def __init__(self, net: Net):
        self.net = net

    def norm(self, x: Any, name: str) -> Any:
        return layers.BatchNormalization(axis=self.net.last, momentum=0.9997, epsilon=1e-3, name=name)(x)

    def relu(self, x: Any, name: str | None = None) -> Any:
        return layers.Activation("relu", name=name)(x)

    def conv(self, x: Any, filters: int, name: str, kernel: int = 1, **kwargs: Any) -> Any:
        kwargs = {"padding": "same", **kwargs}
        return layers.Conv2D(filters, kernel, use_bias=False, kernel_initializer="he_normal", name=name, **kwargs)(x)

    def separable(self, x: Any, filters: int, kernel: int, name: str, block: str, halve: bool = False) -> Any:
        with naming.scope(f"block_{block}"), naming.scope(f"separable_conv_block_{name}"):
            return self._separable(x, filters, kernel, name, halve)

    def _separable(self, x: Any, filters: int, kernel: int, name: str, halve: bool) -> Any:
        x = self.relu(x)
        if halve:
            x = layers.ZeroPadding2D(padding(self.net, x, kernel), name=f"separable_conv_1_pad_{name}")(x)
        for i in (1, 2):
            first = halve and i == 1
            x = layers.SeparableConv2D(
                filters,
                kernel,
                strides=2 if first else 1,
                padding="valid" if first else "same",
                use_bias=False,
                name=f"separable_conv_{i}_{name}",
            )(x)
            x = self.norm(x, f"separable_conv_{i}_bn_{name}")
            x = self.relu(x) if i == 1 else x
        return x

    def fit(self, before: Any, x: Any, filters: int, cell: str) -> Any:
        """The output before the last in the size of the last one, with ``filters`` channels."""
        if before is None:
            return x
        side = 2 if self.net.channels_first else 1
        if before.shape[side] != x.shape[side]:
            with naming.scope("adjust_block"), naming.scope(f"adjust_reduction_block_{cell}"):
                return self._halve(before, filters, cell)
        if before.shape[self.net.last] != filters:
            with naming.scope("adjust_block"), naming.scope(f"adjust_projection_block_{cell}"):
                before = self.conv(self.relu(before), filters, f"adjust_conv_projection_{cell}")
                return self.norm(before, f"adjust_bn_{cell}")
        return before

    def _halve(self, x: Any, filters: int, cell: str) -> Any:
        x = self.relu(x, f"adjust_relu_1_{cell}")
        shifted = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(shifted)
        halves = []
        for i, half in enumerate((x, shifted), 1):
            half = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_{i}_{cell}")(half)
            halves.append(self.conv(half, filters // 2, f"adjust_conv_{i}_{cell}"))
        return self.norm(layers.concatenate(halves, axis=self.net.last), f"adjust_bn_{cell}")

    def enter(self, x: Any, before: Any, filters: int, kind: str, cell: str) -> tuple[Any, Any]:
        before = self.fit(before, x, filters, cell)
        x = self.conv(self.relu(x), filters, f"{kind}_conv_1_{cell}")
        return self.norm(x, f"{kind}_bn_1_{cell}"), before

    def normal(self, x: Any, before: Any, filters: int, cell: str) -> Any:
        with naming.scope(f"normal_A_block_{cell}"):
            return self._normal(x, before, filters, cell)

    def _normal(self, x: Any, before: Any, filters: int, cell: str) -> Any:
        x, before = self.enter(x, before, filters, "normal", cell)

        def separable(x: Any, kernel: int, name: str) -> Any:
            return self.separable(x, filters, kernel, f"normal_{name}_{cell}", name[-1])

        def smooth(x: Any, name: str) -> Any:
            return layers.AveragePooling2D(3, strides=1, padding="same", name=f"normal_{name}_{cell}")(x)

        pairs: list[Callable[[], list[Any]]] = [
            lambda: [separable(x, 5, "left1"), separable(before, 3, "right1")],
            lambda: [separable(before, 5, "left2"), separable(before, 3, "right2")],
            lambda: [smooth(x, "left3"), before],
            lambda: [smooth(before, "left4"), smooth(before, "right4")],
            lambda: [separable(x, 3, "left5"), x],
        ]
        sums = [layers.add(pair(), name=f"normal_add_{i}_{cell}") for i, pair in enumerate(pairs, 1)]
        return layers.concatenate([before, *sums], axis=self.net.last, name=f"normal_concat_{cell}")

    def reduction(self, x: Any, before: Any, filters: int, cell: str) -> Any:
        with naming.scope(f"reduction_A_block_{cell}"):
            return self._reduction(x, before, filters, cell)

    def _reduction(self, x: Any, before: Any, filters: int, cell: str) -> Any:
        x, before = self.enter(x, before, filters, "reduction", cell)
        padded = layers.ZeroPadding2D(padding(self.net, x, 3), name=f"reduction_pad_1_{cell}")(x)

        def separable(x: Any, kernel: int, name: str, halve: bool = True) -> Any:
            return self.separable(x, filters, kernel, f"reduction_{name}_{cell}", name[-1] if halve else "5", halve)

        def pool(layer: Any, name: str) -> Any:
            return layer(3, strides=2, name=f"reduction_{name}_{cell}")(padded)

        first = [separable(x, 5, "left1"), separable(before, 7, "right1")]
        a = layers.add(first, name=f"reduction_add_1_{cell}")
        b = [pool(layers.MaxPooling2D, "left2"), separable(before, 7, "right2")]
        b = layers.add(b, name=f"reduction_add_2_{cell}")
        c = [pool(layers.AveragePooling2D, "left3"), separable(before, 5, "right3")]
        c = layers.add(c, name=f"reduction_add3_{cell}")
        d = layers.AveragePooling2D(3, strides=1, padding="same", name=f"reduction_left4_{cell}")(a)
        d = layers.add([b, d])
        e = [separable(a, 3, "left4", halve=False), pool(layers.MaxPooling2D, "right5")]
        e = layers.add(e, name=f"reduction_add4_{cell}")
        return layers.concatenate([b, c, d, e], axis=self.net.last, name=f"reduction_concat_{cell}")


def _nasnet(net: Net, plan: _Plan) -> Any:
    cells, filters, n = _Cells(net), plan.filters, plan.cells
    x = cells.conv(net.image, plan.stem, "stem_conv1", 3, strides=2, padding="valid")
    x, before = cells.norm(x, "stem_bn1"), None
    for i, part in ((1, 4), (2, 2)):
        x, before = cells.reduction(x, before, filters // part, f"stem_{i}"), x
    for stage in range(3):
        if stage:
            reduced = cells.reduction(x, before, filters * 2**stage, f"reduce_{stage * n}")
            x, before = reduced, before if plan.skip else x
        for i in range(n):
            x, before = cells.normal(x, before, filters * 2**stage, str(stage * n + i + (stage > 0))), x
    x = cells.relu(x)
    return net.top(x, None, None)


def _variant(public: str, name: str, published: str, size: int, hashes: tuple[str, str], plan: _Plan) -> Any:
    row = Row(
        name,
        size,
        "nasnet",
        name,
        hashes,
        endings=(".h5", "_no_top.h5"),
        published=(f"{published}.h5", f"{published}-no-top.h5"),
    )

    def make(
        input_shape: Shape | None = None,
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = "imagenet",
        input_tensor: SymbolicTensor | None = None,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Identifier = "softmax",
        name: str | None = name,
    ) -> Functional:
        """Cells that were found by a search. Pixels in [-1, 1]; without ``input_shape`` always of the published size."""
        net = Net(
            row, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, name, True
        )
        return net.model(_nasnet(net, plan))

    return documented(make, public)


NASNetMobile = _variant(
    "NASNetMobile", "nasnet_mobile", "NASNet-mobile", 224,
    ("020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"), _Plan(32, 44, 4, False),
)  # fmt: skip
NASNetLarge = _variant(
    "NASNetLarge", "nasnet_large", "NASNet-large", 331,
    ("11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"), _Plan(96, 168, 6, True),
)  # fmt: skip
preprocess_input = preprocessor("tf")
