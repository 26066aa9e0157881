"""Patches of images erased or replaced by those of other images of the batch, and images mixed as wholes."""

from __future__ import annotations

from typing import Any

from nyala import ops, random
from nyala._typing import Tensor
from nyala.backends import dtypes
from nyala.base import check
from nyala.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    by_image,
    clipped,
    factor_range,
    value_range_of,
    where_chosen,
)


def gamma_logarithms(shape: tuple[Any, ...], alpha: Any, seed: Any) -> Tensor:
    """Logarithms of gamma variates; their softmax is Dirichlet distributed, for two of them beta.

    G(a) = G(a + 1) U^(1/a) has one where the variate itself, for a small ``alpha``, would be 0.
    """
    alpha = ops.broadcast_to(ops.maximum(ops.cast(alpha, "float32"), 1e-6), shape)
    variates = random.gamma(shape, alpha + 1.0, dtype="float32", seed=seed)
    return ops.log(variates) + ops.log(random.uniform(shape, 1e-37, 1.0, dtype="float32", seed=seed)) / alpha


def _beta(count: Any, alpha: Any, seed: Any) -> Tensor:
    return ops.softmax(gamma_logarithms((count, 2), alpha, seed), -1)[:, 0]


def patches(shape: tuple[Any, ...], down: Tensor, across: Tensor, seed: Any) -> Tensor:
    """For images of ``shape`` where a rectangle of these parts of height and width lies, somewhere in the image."""
    place = random.uniform((2, shape[0]), dtype="float32", seed=seed)
    inside: Any = True
    for axis, part in enumerate((down, across)):
        size = ops.cast(shape[1 + axis], "float32")
        length = ops.round(part * size)
        start = ops.floor(place[axis] * (size - length + 1.0))
        at = ops.reshape(ops.arange(shape[1 + axis], dtype="float32"), (1, -1, 1, 1) if axis == 0 else (1, 1, -1, 1))
        start, end = (ops.reshape(v, (-1, 1, 1, 1)) for v in (start, start + length))
        inside = ops.logical_and(inside, ops.logical_and(at >= start, at < end))
    return inside


class RandomErasing(BaseImagePreprocessingLayer):
    """A rectangle of each image replaced by noise or a constant (https://arxiv.org/abs/1708.04896).

    Args:
        factor: range (lower, upper) in [0, 1] of the probability that an image is changed; a number f for (0, f).
        scale: range of the part of the image that is erased, in [0, 1]; a number f for (0, f).
        fill_value: the values of the rectangle; ``None`` for normal noise, cut off at the ends of the range of values.
    """

    config_order = (
        *BaseImagePreprocessingLayer.config_order,
        "factor",
        "scale",
        "fill_value",
        "value_range",
        "seed",
    )

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0)
        self.scale = factor_range(self, "scale", scale, 0)
        self.fill_value = fill_value
        self.value_range = value_range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        down, across = (ops.sqrt(self._drawn((shape[0],), self.scale, seed)) for _ in range(2))
        fill = self.fill_value
        if fill is None:
            noise = random.normal(shape, stddev=float(self.value_range[1]), dtype="float32", seed=seed)
            fill = clipped(noise, self.value_range)
        return {
            "apply_erasing": self._chosen(shape[0], self.factor, seed),
            "batch_masks": patches(shape, down, across, seed),
            "fill_value": fill,
        }

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        fill = ops.cast(t["fill_value"], ops.dtype(x))
        return where_chosen(t["apply_erasing"], ops.where(t["batch_masks"], fill, x), x)


class _Mix(BaseImagePreprocessingLayer):
    """Base of the layers that mix each image of a batch with another, and their labels, one-hot, likewise."""

    def change_labels(self, labels: Tensor, t: Any) -> Tensor:
        labels = ops.convert_to_tensor(labels)
        if not dtypes.is_float(ops.dtype(labels)):
            labels = ops.cast(labels, self._work_dtype(labels))
        weight = ops.cast(ops.reshape(t["mix_weight"], (-1, *(1,) * (len(labels.shape) - 1))), ops.dtype(labels))
        return weight * labels + (1.0 - weight) * self._others(labels, t)

    def _others(self, x: Tensor, t: Any) -> Tensor:
        return ops.take(x, t["permutation_order"], 0)

    def _order(self, count: Any, seed: Any) -> Tensor:
        return ops.argsort(random.uniform((count,), dtype="float32", seed=seed))


class MixUp(_Mix):
    """Each image mixed with another of its batch, its label with the other's (https://arxiv.org/abs/1710.09412).

    The bounding boxes of both are kept. Masks are mixed, too: they must be floats, as one-hot ones.

    Args: alpha: both parameters of the beta distribution of the image's own weight, not negative; near 0 hardly mixes.
    """

    config_order = (*BaseImagePreprocessingLayer.config_order, "alpha", "seed")

    def __init__(self, alpha: float = 0.2, data_format: str | None = None, seed: Any = None, **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self.alpha = check.number_in(self, "alpha", alpha, 0)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return {
            "mix_weight": _beta(shape[0], self.alpha, seed),
            "permutation_order": self._order(shape[0], seed),
        }

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        weight = by_image(t["mix_weight"], x)
        return weight * x + (1.0 - weight) * self._others(x, t)

    def change_masks(self, x: Tensor, t: Any) -> Tensor:
        return self.change_images(x, t)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool | None = True
    ) -> Any:
        if self._acts(transformation, training) and not dtypes.is_float(ops.dtype(segmentation_masks)):
            check.fail(self, "masks of classes cannot be mixed; give float ones, as ops.one_hot(masks, num_classes)")
        return super().transform_segmentation_masks(segmentation_masks, transformation, training)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any = None, training: bool | None = True
    ) -> dict[str, Any]:
        if not self._acts(transformation, training) or len(bounding_boxes["boxes"].shape) == 2:
            return bounding_boxes
        known = {k: ops.convert_to_tensor(v) for k, v in bounding_boxes.items()}
        return {k: ops.concatenate([v, self._others(v, transformation)], 1) for k, v in known.items()}


class CutMix(_Mix):
    """A rectangle of each image replaced by that of another of its batch (https://arxiv.org/abs/1905.04899).

    Labels are mixed by the areas, masks cut as the images are.

    Args: factor: range (lower, upper) in [0, 1] of both parameters of the beta distribution of the area that is kept; a
        number f for (0, f).
    """

    config_order = (*BaseImagePreprocessingLayer.config_order, "factor", "seed")

    def __init__(self, factor: Any = 1.0, seed: Any = None, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        alpha = self._drawn((shape[0], 1), self.factor, seed)
        side = ops.sqrt(_beta(shape[0], alpha, seed))
        mask = patches(shape, side, side, seed)
        return {
            "permutation_order": self._order(shape[0], seed),
            "batch_masks": mask,
            # What is left after rounding to whole pixels.
            "mix_weight": 1.0 - ops.mean(ops.cast(mask, "float32"), (1, 2, 3), keepdims=True),
        }

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return ops.where(t["batch_masks"][..., :1], self._others(x, t), x)

    def change_masks(self, x: Tensor, t: Any) -> Tensor:
        return self.change_images(x, t)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any = None, training: bool | None = True
    ) -> dict[str, Any]:
        if not self._acts(transformation, training):
            return bounding_boxes
        return check.fail(
            self,
            "bounding boxes cannot be cut; use segmentation_masks, or MixUp for both images' boxes",
            NotImplementedError,
        )
