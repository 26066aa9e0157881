"""Moving, turning, stretching and bending images: every pixel of the result comes from another place."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from nyala import ops, random
from nyala._typing import Tensor
from nyala.base import check
from nyala.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    clipped,
    factor_range,
    value_range_of,
    where_chosen,
)
from nyala.layers.preprocessing.image.bounding_boxes import moved_corners
from nyala.ops.warp import displaced, perspective_matrix

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")
_INTERPOLATIONS = ("nearest", "bilinear")


def _rows(*entries: Any) -> Tensor:
    """The eight numbers of ``ops.image.affine_transform`` for each image; of them some are tensors (batch,)."""
    like = next(e for e in entries if not isinstance(e, (int, float)))
    return ops.stack(
        [e if e is not like and not isinstance(e, (int, float)) else e + ops.zeros_like(like) for e in entries], 1
    )


def _inverse(m: Tensor) -> list[Tensor]:
    """Of the 3 x 3 matrices whose first eight entries are the columns of ``m``, each (batch, 1, 1)."""
    a, b, c, d, e, f, g, h = (ops.reshape(m[:, i], (-1, 1, 1)) for i in range(8))
    rows = [e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f, d * h - e * g, b * g - a * h]
    return [*rows, a * e - b * d]


class _Warp(BaseImagePreprocessingLayer):
    """Base of the layers that are a matrix for each image.

    Args:
        fill_mode: what is outside of a b c d: "reflect" b a a b c d d c, "wrap" c d a b c d a b, "nearest" a a a b c d d d,
            "constant" with ``fill_value``.
        interpolation: "bilinear" or "nearest".
        seed: an int, a ``SeedGenerator``, or ``None`` for a random one.
    """

    geometric = True
    fill_modes: ClassVar[tuple[str, ...]] = _FILL_MODES

    def _set_warp(self, fill_mode: str, interpolation: str, fill_value: float, seed: Any) -> None:
        self.fill_mode = check.one_of(self, "fill_mode", fill_mode, self.fill_modes)
        self.interpolation = check.one_of(self, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_value = fill_value
        self._set_seed(seed)

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        """Eight numbers an image, by which a place in the result gives its place in the image."""
        raise NotImplementedError

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        m = self.matrix(t, *ops.shape(x)[1:3])
        mode = "nearest" if nearest else self.interpolation
        moved = ops.image.affine_transform(
            x, m, mode, self.fill_mode, float(self.fill_value), data_format="channels_last"
        )
        return ops.reshape(moved, ops.shape(x))

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        a, b, c, d, e, f, g, h, i = _inverse(self.matrix(t, *size))

        def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            k = g * x + h * y + i
            return (a * x + b * y + c) / k, (d * x + e * y + f) / k

        return {**boxes, "boxes": moved_corners(boxes["boxes"], move)}, size


class RandomTranslation(_Warp):
    """Images moved down by a random part of their height and to the right by one of their width.

    Args: height_factor, width_factor: a range (lower, upper) of such parts in [-1, 1]; a number f for (-f, f).
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = factor_range(self, "height_factor", height_factor)
        self._width = factor_range(self, "width_factor", width_factor)
        self._set_warp(fill_mode, interpolation, fill_value, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        down = self._drawn((shape[0],), self._height, seed) * ops.cast(shape[1], "float32")
        right = self._drawn((shape[0],), self._width, seed) * ops.cast(shape[2], "float32")
        return {"translations": ops.stack([right, down], 1), "input_shape": shape}

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        shift = ops.cast(t["translations"], "float32")
        return _rows(1.0, 0.0, -shift[:, 0], 0.0, 1.0, -shift[:, 1], 0.0, 0.0)


class RandomRotation(_Warp):
    """Images turned about their middle by a random angle.

    Args: factor: a range (lower, upper) of parts of a full turn, counter-clockwise; a number f for (-f, f).
    """

    config_order = (*_Warp.config_order, "factor", "fill_mode", "fill_value")

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor)
        self._set_warp(fill_mode, interpolation, fill_value, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        angle = self._drawn((shape[0],), self.factor, seed) * 360.0
        return {
            "angle": angle,
            "rotation_matrix": _rotation(angle, shape[1], shape[2]),
            "image_height": shape[1],
            "image_width": shape[2],
            "batch_size": shape[0],
        }

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        return ops.reshape(t["rotation_matrix"], (-1, 8))


def _rotation(angle: Tensor, height: Any, width: Any) -> Tensor:
    turn = angle * (math.pi / 180)
    cos, sin = ops.cos(turn), ops.sin(turn)
    y, x = ((ops.cast(n, "float32") - 1.0) / 2.0 for n in (height, width))
    return _rows(cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y, 0.0, 0.0)


class RandomZoom(_Warp):
    """Images drawn larger or smaller about their middle.

    Args:
        height_factor: a range (lower, upper) in [-1, 1]: by what part more of the height is shown; negative ones enlarge.
            A number f for (-f, f).
        width_factor: the same for the width; ``None``: as the height, which keeps proportions.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Any = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = factor_range(self, "height_factor", height_factor)
        self._width = None if width_factor is None else factor_range(self, "width_factor", width_factor)
        self._set_warp(fill_mode, interpolation, fill_value, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        height = self._drawn((shape[0], 1), self._height, seed) + 1.0
        width = height if self._width is None else self._drawn((shape[0], 1), self._width, seed) + 1.0
        return {"height_zoom": height, "width_zoom": width, "input_shape": shape}

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        y, x = (ops.reshape(ops.cast(t[k], "float32"), (-1,)) for k in ("height_zoom", "width_zoom"))
        right, bottom = (ops.cast(n, "float32") - 1.0 for n in (width, height))
        return _rows(x, 0.0, (1.0 - x) * (right / 2), 0.0, y, (1.0 - y) * (bottom / 2), 0.0, 0.0)


class RandomShear(_Warp):
    """Images whose rows are pushed sideways and whose columns up or down, the more the further from the origin.

    Args: x_factor, y_factor: a range (lower, upper) in [0, 1] of the push per pixel; a number f for (-f, f).
    """

    config_order = (*_Warp.config_order, "x_factor", "y_factor", "fill_mode", "interpolation", "seed", "fill_value")

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor = factor_range(self, "x_factor", x_factor)
        self.y_factor = factor_range(self, "y_factor", y_factor)
        self._set_warp(fill_mode, interpolation, fill_value, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        x, y = (self._drawn((shape[0],), f, seed) for f in (self.x_factor, self.y_factor))
        other_way = random.uniform((shape[0], 1), dtype="float32", seed=seed) > 0.5
        shear = ops.stack([x, y], 1)
        return {"shear_factor": ops.where(other_way, -shear, shear), "input_shape": shape}

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        shear = ops.cast(t["shear_factor"], "float32")
        x, y = shear[:, 0], shear[:, 1]
        return _rows(1.0, x, 0.0, y, 1.0, 0.0, 0.0, 0.0)


class RandomPerspective(_Warp):
    """Images seen from another side: their corners are displaced at random.

    Args:
        factor: range (lower, upper) in [0, 1] of the probability that an image is changed; a number f for (0, f).
        scale: how far corners move, in [0, 1].
    """

    fill_mode = "constant"

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0)
        self.scale = check.number_in(self, "scale", scale, 0, 1)
        self._set_warp("constant", interpolation, fill_value, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        count = shape[0]
        w, h = (ops.cast(n, "float32") - 1.0 for n in (shape[2], shape[1]))
        corners = ops.stack([ops.stack([x, y]) for y in (0.0 * h, h) for x in (0.0 * w, w)])
        start = ops.expand_dims(corners, 0) + ops.zeros((count, 4, 2))
        # Up to half a side, inwards or outwards.
        shift = random.uniform((count, 4, 2), -0.5, 0.5, dtype="float32", seed=seed) * float(self.scale)
        return {
            "apply_perspective": self._chosen(count, self.factor, seed),
            "start_points": start,
            "end_points": start + shift * ops.stack([w, h]),
            "input_shape": shape,
        }

    def matrix(self, t: Any, height: int, width: int) -> Tensor:
        start, end = (ops.reshape(ops.cast(t[k], "float32"), (-1, 4, 2)) for k in ("start_points", "end_points"))
        m = perspective_matrix(start, end)
        same = ops.convert_to_tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        return ops.where(ops.reshape(t["apply_perspective"], (-1, 1)), m, same)


class RandomElasticTransform(BaseImagePreprocessingLayer):
    """Images bent like rubber: near pixels are displaced alike (https://doi.org/10.1109/ICDAR.2003.1227801).

    Args:
        factor: range (lower, upper) in [0, 1] of the probability that an image is changed; a number f for (0, f).
        scale: range of the strength, in [0, 1]; a number f for (0, f).
        interpolation: "bilinear" or "nearest". fill_mode, fill_value: as of ``RandomTranslation``.
    """

    geometric = True

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0)
        self.scale = factor_range(self, "scale", scale, 0)
        self.interpolation = check.one_of(self, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_mode = check.one_of(self, "fill_mode", fill_mode, (*_FILL_MODES, "mirror"))
        self.fill_value = fill_value
        self.value_range = value_range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        # The field itself follows from one number, so that images and masks bend alike.
        return {
            "apply_transform": self._chosen(shape[0], self.factor, seed),
            "distortion_factor": self._drawn((), self.scale, seed),
            "shifts": random.normal((shape[0], shape[1], shape[2], 2), dtype="float32", seed=seed),
            "input_shape": shape,
        }

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        mode = "nearest" if nearest else self.interpolation
        height, width = tuple(x.shape)[1:3]
        if height is None or width is None:
            check.fail(self, f"needs images of a known size, got shape {tuple(x.shape)}; use Resizing before")
        alpha = t["distortion_factor"] * (0.1 * max(height, width))
        sigma = max(0.05 * min(height, width), 0.5)
        moved = displaced(x, t["shifts"] * (alpha * sigma), sigma, mode, self.fill_mode, float(self.fill_value))
        return where_chosen(t["apply_transform"], clipped(moved, self.value_range) if not nearest else moved, x)

    def transform_bounding_boxes(
        self, bounding_boxes: dict[str, Any], transformation: Any = None, training: bool | None = True
    ) -> dict[str, Any]:
        if not self._acts(transformation, training):
            return bounding_boxes
        return check.fail(
            self, "bounding boxes have no place in a bent image; use segmentation_masks", NotImplementedError
        )
