"""What all layers of images share: the forms that data comes in, draws, factors and ranges of values."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

from nyala import backends, ops, random
from nyala._typing import Config, Tensor
from nyala.backends import dtypes
from nyala.base import check, config, tree
from nyala.base.seeds import SeedGenerator
from nyala.layers._arguments import backend_of
from nyala.layers.base import Layer
from nyala.layers.preprocessing.image import bounding_boxes as boxes_


def factor_range(owner: Any, name: str, factor: Any, low: float = -1.0, high: float = 1.0) -> tuple[float, float]:
    """The range that a factor is drawn from: a pair as it is, a number f as (-f, f), or (0, f) where ``low`` is not negative."""
    if isinstance(factor, (list, tuple)):
        if len(factor) != 2 or factor[0] > factor[1]:
            check.fail(owner, f"{name} must be a number or a pair (lower, upper), got {factor!r}")
        pair = (factor[0], factor[1])
    else:
        check.number_in(owner, name, factor)
        pair = (-abs(factor), abs(factor)) if low < 0 else (low, factor)
    for value in pair:
        check.number_in(owner, name, value, low, high)
    return pair


class BaseImagePreprocessingLayer(Layer):
    """Base of the layers of images, each a random ``draw`` and pure functions of it.

    They take images, ints or floats, or a dict with ``images`` and any of ``labels``, ``bounding_boxes`` (a dict of
    ``boxes`` and ``labels``) and ``segmentation_masks``, one or a batch. The backend is that of the data: in front of a model
    and in ``tf.data`` too.

    Args:
        bounding_box_format: of ``boxes``, as in ``utils.bounding_boxes.convert_format``.
        data_format: "channels_last" or "channels_first"; default the global setting.
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
        value_range: the darkest and the brightest value of a pixel.
    """

    config_order = (*Layer.config_order, "data_format", "bounding_box_format")
    _untracked = Layer._untracked | {"_generators"}

    always: ClassVar[bool] = False
    """Whether it acts outside of training, too."""
    geometric: ClassVar[bool] = False
    """Whether pixels move: boxes and masks then follow."""
    keeps_ints: ClassVar[bool] = False
    """Whether ints stay ints; the others give the compute dtype."""

    def __init__(self, bounding_box_format: str | None = None, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if bounding_box_format is not None:
            check.one_of(self, "bounding_box_format", bounding_box_format, boxes_.FORMATS)
        self.bounding_box_format = bounding_box_format
        self.data_format = config.standardize_data_format(self, data_format)
        self._generators: dict[str, SeedGenerator] = {}

    # -- what a subclass says: images are (batch, height, width, channels) floats, boxes "xyxy" ---------------------------

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        """What is random about this call, for images of ``shape``."""
        return {}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return x

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        """The boxes, and the size of the image that they are now in."""
        return boxes, size

    def change_masks(self, x: Tensor, t: Any) -> Tensor:
        return self.change_images(x, t, nearest=True) if self.geometric else x

    def change_labels(self, labels: Tensor, t: Any) -> Tensor:
        return labels

    # -- Keras's methods -------------------------------------------------------------------------------------------------

    def get_random_transformation(self, data: Any, training: bool | None = True, seed: Any = None) -> Any:
        """What ``transform_images`` and the others take as ``transformation``; ``None`` when nothing is to be done."""
        if not (training or self.always):
            return None
        images = data["images"] if isinstance(data, dict) else data
        shape = tuple(ops.shape(images))
        if self.data_format == "channels_first":
            shape = (*shape[:-3], shape[-2], shape[-1], shape[-3])
        return self.draw(shape if len(shape) == 4 else (1, *shape), self._seed() if seed is None else seed)

    def transform_images(self, images: Any, transformation: Any = None, training: bool | None = True) -> Tensor:
        """The images, (height, width, channels) or a batch, in the compute dtype."""
        if not self._acts(transformation, training):
            return self._output(images, ops.dtype(images))
        return self._with_batch(images, lambda x: self.change_images(x, transformation), self._work_dtype(images))

    def transform_labels(self, labels: Any, transformation: Any = None, training: bool | None = True) -> Any:
        return self.change_labels(labels, transformation) if self._acts(transformation, training) else labels

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool | None = True
    ) -> Any:
        """The masks, integer classes (height, width) or (height, width, 1), or a batch, moved without mixing classes."""
        if not self._acts(transformation, training):
            return segmentation_masks
        dtype = ops.dtype(segmentation_masks)
        return ops.cast(
            self._with_batch(segmentation_masks, lambda x: self.change_masks(x, transformation), None), dtype
        )

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any = None, training: bool | None = True
    ) -> dict[str, Any]:
        """The boxes where the images now show what was in them; the label of a box that is gone becomes -1."""
        if not self._acts(transformation, training):
            return bounding_boxes
        if self.bounding_box_format is None:
            if self.geometric:
                check.fail(self, 'bounding boxes need bounding_box_format="xyxy" or another format in the constructor')
            return self.change_boxes(bounding_boxes, transformation, (None, None))[0]
        single = len(bounding_boxes["boxes"].shape) == 2
        known = {k: ops.expand_dims(v, 0) if single else v for k, v in bounding_boxes.items()}
        size = self._size(transformation)
        inner = "xyxy" if size[0] is not None else self.bounding_box_format
        known = boxes_.convert_format(known, self.bounding_box_format, inner, *size)
        known, size = self.change_boxes(known, transformation, size)
        if self.geometric and inner == "xyxy":
            known = boxes_.clip_to_image_size(known, *size)
        known = boxes_.convert_format(known, inner, self.bounding_box_format, *size)
        return {k: v[0] if single else v for k, v in known.items()}

    def transform_single_image(self, image: Any, transformation: Any, training: bool | None = True) -> Tensor:
        return self.transform_images(image, transformation, training)

    def transform_single_label(self, label: Any, transformation: Any, training: bool | None = True) -> Any:
        return self.transform_labels(ops.expand_dims(label, 0), transformation, training)[0]

    def transform_single_bounding_box(
        self, bounding_box: Any, transformation: Any, training: bool | None = True
    ) -> Any:
        return self.transform_bounding_boxes(bounding_box, transformation, training)

    def transform_single_segmentation_mask(
        self, segmentation_mask: Any, transformation: Any, training: bool | None = True
    ) -> Any:
        return self.transform_segmentation_masks(segmentation_mask, transformation, training)

    # -- the call --------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = tree.flatten((args, kwargs))
        for x in leaves:
            # A library may be in use, as in tf.data, before its backend is.
            library = type(x).__module__.partition(".")[0]
            if library in backends.NAMES:
                backends.get(library)
        own, data = self._own_backend, backend_of(leaves)
        self._own_backend = data or own
        try:
            return super().__call__(*args, **kwargs)
        finally:
            self._own_backend = own

    def call(self, data: Any, training: bool | None = True) -> Any:
        if not isinstance(data, dict):
            return self.transform_images(data, self.get_random_transformation(data, training), training)
        transformation = self.get_random_transformation(data, training)
        single = len(data["images"].shape) == 3
        result = {**data, "images": self.transform_images(data["images"], transformation, training)}
        if data.get("bounding_boxes") is not None:
            result["bounding_boxes"] = self.transform_bounding_boxes(data["bounding_boxes"], transformation, training)
        if data.get("segmentation_masks") is not None:
            masks = data["segmentation_masks"]
            result["segmentation_masks"] = self.transform_segmentation_masks(masks, transformation, training)
        if data.get("labels") is not None:
            one = self.transform_single_label if single else self.transform_labels
            result["labels"] = one(data["labels"], transformation, training)
        return result

    def _acts(self, transformation: Any, training: bool | None) -> bool:
        return self.always or (bool(training) and (transformation is not None or not hasattr(self, "generator")))

    def _work_dtype(self, images: Any) -> str | None:
        if self.keeps_ints and not dtypes.is_float(ops.dtype(images)):
            return "float32"
        return self.compute_dtype if dtypes.is_float(self.compute_dtype) else "float32"

    def _output(self, images: Any, given: str) -> Tensor:
        if self.keeps_ints and not dtypes.is_float(given):
            return images if ops.dtype(images) == given else ops.saturate_cast(images, given)
        cast = ops.cast if dtypes.is_float(self.compute_dtype) else ops.saturate_cast
        return cast(images, self.compute_dtype)

    def _with_batch(self, x: Any, change: Any, work_dtype: str | None) -> Tensor:
        """``change`` of ``x`` as a batch with its channels last. ``None`` for the dtype means masks."""
        x = ops.convert_to_tensor(x)
        given, rank = ops.dtype(x), len(x.shape)
        # A mask may come without channels; whether a batch axis is meant then shows only its length of 1 or 3 ranks.
        flat = work_dtype is None and (rank == 2 or (rank == 3 and x.shape[-1] != 1 and not self._first_is_channel(x)))
        first = self.data_format == "channels_first" and not flat
        y = ops.expand_dims(x, -1) if flat else x
        single = len(y.shape) == 3
        y = ops.expand_dims(y, 0) if single else y
        y = ops.transpose(y, (0, 2, 3, 1)) if first else y
        y = change(ops.cast(y, work_dtype or "float32"))
        y = ops.transpose(y, (0, 3, 1, 2)) if first else y
        y = y[0] if single else y
        y = y[..., 0] if flat else y
        return y if work_dtype is None else self._output(y, given)

    def _first_is_channel(self, x: Any) -> bool:
        return self.data_format == "channels_first" and x.shape[0] == 1

    def _size(self, t: Any) -> tuple[Any, Any]:
        """Height and width of the images that the transformation was drawn for."""
        if isinstance(t, dict):
            if "input_shape" in t:
                return t["input_shape"][-3], t["input_shape"][-2]
            if "image_height" in t:
                return t["image_height"], t["image_width"]
        return None, None

    # -- draws -----------------------------------------------------------------------------------------------------------

    def _set_seed(self, seed: Any) -> None:
        self.seed = seed
        self.generator = seed if isinstance(seed, SeedGenerator) else SeedGenerator(seed)

    def _seed(self) -> SeedGenerator | None:
        """The layer's stream of seeds, on the backend of the data."""
        own = getattr(self, "generator", None)
        backend = backends.current()
        if own is None or own.state.backend is backend:
            return own
        with _lock, backends.backend_scope(backend):
            if backend.name not in self._generators:
                self._generators[backend.name] = SeedGenerator(own._first)
        return self._generators[backend.name]

    def _drawn(self, shape: Sequence[Any], pair: tuple[float, float], seed: Any) -> Tensor:
        low, high = pair
        return random.uniform(shape, float(low), float(high), dtype="float32", seed=seed)

    def _chosen(self, count: Any, probability: tuple[float, float], seed: Any) -> Tensor:
        """For each image whether it is changed: its probability is drawn, then the choice."""
        return random.uniform((count,), seed=seed, dtype="float32") < self._drawn((count,), probability, seed)

    def get_config(self) -> Config:
        found = super().get_config()
        if found.get("bounding_box_format") is None:
            found.pop("bounding_box_format", None)
        return found


_lock = threading.Lock()


def by_image(value: Any, x: Tensor) -> Tensor:
    """One number an image, in a form that meets (batch, height, width, channels)."""
    return ops.reshape(ops.cast(value, ops.dtype(x)), (-1, 1, 1, 1))


def where_chosen(chosen: Any, changed: Tensor, x: Tensor) -> Tensor:
    return ops.where(ops.reshape(chosen, (-1, 1, 1, 1)), changed, x)


def value_range_of(owner: Any, value_range: Any) -> Any:
    """A checked pair (lowest, highest)."""
    if not isinstance(value_range, (list, tuple)) or len(value_range) != 2 or value_range[0] >= value_range[1]:
        check.fail(owner, f"value_range must be a pair (lowest, highest), got {value_range!r}")
    return value_range


def rescaled(x: Tensor, source: Any, target: Any) -> Tensor:
    """Values of one range in another."""
    if tuple(source) == tuple(target):
        return x
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return (x - float(source[0])) * float(scale) + float(target[0])


def clipped(x: Tensor, value_range: Any) -> Tensor:
    return ops.clip(x, float(value_range[0]), float(value_range[1]))
