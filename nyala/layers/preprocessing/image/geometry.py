"""Cutting, resizing and flipping images, and how many bounding boxes they have."""

from __future__ import annotations

from typing import Any

from nyala import ops, random
from nyala._typing import Tensor
from nyala.base import check
from nyala.layers.preprocessing.image.base import BaseImagePreprocessingLayer
from nyala.ops.image import aspect_region, cut, framed

_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
_FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")

_Region = tuple[Any, Any, Any, Any]
"""Top, left, height and width of a part of an image; it may also be larger than the image."""


class _RegionLayer(BaseImagePreprocessingLayer):
    """Base of the layers that show a part of each image in a fixed size.

    Args: height, width: of the result, in pixels.
    """

    always = True
    geometric = True
    interpolation = "bilinear"
    antialias = False
    fill_value = 0.0

    def _set_target(self, height: Any, width: Any) -> None:
        self.height = check.positive_int(self, "height", height)
        self.width = check.positive_int(self, "width", width)

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        if getattr(self, "pad_to_aspect_ratio", False):
            x = framed(x, 1, t["region"], float(self.fill_value))
        else:
            x = cut(x, 1, t["region"])
        mode = "nearest" if nearest else self.interpolation
        return ops.image.resize(x, (self.height, self.width), mode, self.antialias, data_format="channels_last")

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        top, left, h, w = (ops.cast(n, "float32") for n in t["region"])
        x, y = float(self.width) / w, float(self.height) / h
        b = boxes["boxes"]
        parts = [(b[..., 0] - left) * x, (b[..., 1] - top) * y, (b[..., 2] - left) * x, (b[..., 3] - top) * y]
        return {**boxes, "boxes": ops.stack(parts, -1)}, (self.height, self.width)


class Resizing(_RegionLayer):
    """Images of another size.

    Args:
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: cut out the middle part with the proportions of the result first, instead of stretching.
        pad_to_aspect_ratio: add borders of ``fill_value`` to those proportions first.
        fill_mode: "constant".
        antialias: average over all that a smaller image leaves out.
    """

    keeps_ints = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self._set_target(height, width)
        self.interpolation = check.one_of(self, "interpolation", interpolation, _INTERPOLATIONS)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            check.fail(self, "only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True")
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = check.one_of(self, "fill_mode", fill_mode, ("constant",))
        self.fill_value = fill_value
        self.antialias = antialias

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        h, w = shape[1:3]
        region = (0, 0, h, w)
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            region = aspect_region(h, w, self.height, self.width, self.crop_to_aspect_ratio)
        return {"region": region, "input_shape": shape}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return super().change_images(x, t or self.draw(ops.shape(x), None), nearest)

    def _output(self, images: Any, given: str) -> Tensor:
        # Ints are rounded, as ops.image.resize rounds them.
        return super()._output(ops.round(images) if "int" in given and "float" in ops.dtype(images) else images, given)


class CenterCrop(_RegionLayer):
    """The middle of images; of too small ones the largest part with the proportions of the result, enlarged."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self._set_target(height, width)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return {"region": self._region(shape[1], shape[2]), "input_shape": shape}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return super().change_images(x, t or self.draw(ops.shape(x), None), nearest)

    def _region(self, h: Any, w: Any) -> _Region:
        return self._fitting(h, w, lambda: ((h - self.height) // 2, (w - self.width) // 2))

    def _fitting(self, h: Any, w: Any, corner: Any) -> _Region:
        """The part of the layer's size at ``corner()``; of an image that is too small its largest such part."""
        small = aspect_region(h, w, self.height, self.width, inside=True)
        if isinstance(h, int) and isinstance(w, int):
            return (*corner(), self.height, self.width) if h >= self.height and w >= self.width else small
        fits = ops.logical_and(ops.greater_equal(h, self.height), ops.greater_equal(w, self.width))
        large = (*corner(), self.height, self.width)
        return tuple(ops.where(fits, ops.cast(a, "int32"), ops.cast(b, "int32")) for a, b in zip(large, small))  # type: ignore[return-value]


class RandomCrop(CenterCrop):
    """A part of the images, at the same random place of all in a batch.

    Outside of training, and of images that are too small, the largest part with the proportions of the result, resized.

    Args: seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: Any = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(height, width, data_format=data_format, name=name, **kwargs)
        self._set_seed(seed)

    def get_random_transformation(self, data: Any, training: bool | None = True, seed: Any = None) -> Any:
        t = super().get_random_transformation(data, training, seed)
        if not training:
            h, w = t["input_shape"][1:3]
            t["region"] = aspect_region(h, w, self.height, self.width, inside=True)
        return t

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        h, w = shape[1:3]

        def corner() -> tuple[Any, Any]:
            place = random.uniform((2,), dtype="float32", seed=seed)
            room = ops.stack(
                [ops.maximum(ops.cast(n, "float32") - m + 1.0, 1.0) for n, m in ((h, self.height), (w, self.width))]
            )
            start = ops.cast(ops.floor(place * room), "int32")
            return start[0], start[1]

        return {"region": self._fitting(h, w, corner), "input_shape": shape}


class RandomFlip(BaseImagePreprocessingLayer):
    """Each image mirrored or not, with probability 1/2.

    Args: mode: "horizontal" (left and right change places), "vertical" or "horizontal_and_vertical", both or none.
    """

    geometric = True
    config_order = (*BaseImagePreprocessingLayer.config_order, "seed", "mode")

    def __init__(
        self, mode: str = "horizontal_and_vertical", seed: Any = None, data_format: str | None = None, **kwargs: Any
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.mode = check.one_of(self, "mode", mode, _FLIPS)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return {"flips": random.uniform((shape[0], 1, 1, 1), seed=seed, dtype="float32") < 0.5, "input_shape": shape}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        axes = [axis for axis, name in ((1, "vertical"), (2, "horizontal")) if name in self.mode]
        return ops.where(ops.reshape(t["flips"], (-1, 1, 1, 1)), ops.flip(x, axes), x)

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        height, width = (ops.cast(n, "float32") for n in size)
        a, b, c, d = (boxes["boxes"][..., i] for i in range(4))
        if "horizontal" in self.mode:
            a, c = width - c, width - a
        if "vertical" in self.mode:
            b, d = height - d, height - b
        flipped = ops.where(ops.reshape(t["flips"], (-1, 1, 1)), ops.stack([a, b, c, d], -1), boxes["boxes"])
        return {**boxes, "boxes": flipped}, size


class MaxNumBoundingBoxes(BaseImagePreprocessingLayer):
    """The same number of bounding boxes for every image: more are dropped, fewer filled up.

    Args: max_number: of boxes. fill_value: of the coordinates and labels of boxes that are added.
    """

    always = True
    keeps_ints = True
    config_skip = BaseImagePreprocessingLayer.config_skip | {"fill_value"}

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_number = check.positive_int(self, "max_number", max_number)
        self.fill_value = fill_value

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        def fitted(x: Any) -> Tensor:
            x = ops.convert_to_tensor(x)[:, : self.max_number]
            lack = self.max_number - ops.shape(x)[1]
            fill = ops.full((ops.shape(x)[0], lack, *x.shape[2:]), self.fill_value, dtype=ops.dtype(x))
            return ops.concatenate([x, fill], 1)

        return {k: fitted(v) for k, v in boxes.items()}, size

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any = None, training: bool | None = True
    ) -> dict[str, Any]:
        # No format is needed: the numbers stay what they are.
        single = len(bounding_boxes["boxes"].shape) == 2
        known = {k: ops.expand_dims(v, 0) if single else v for k, v in bounding_boxes.items()}
        return {k: v[0] if single else v for k, v in self.change_boxes(known, None, (None, None))[0].items()}
