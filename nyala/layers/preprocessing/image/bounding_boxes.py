"""Bounding boxes: their formats, and what cutting, padding and moving an image does to them.

A box is four numbers on the last axis. ``boxes`` may also be a dict ``{"boxes": ..., "labels": ...}``; the label of a box of
which nothing is left becomes -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import DType, Tensor, TensorLike
from nyala.base import check

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

_Parts = Sequence[Tensor]


def _from_centre(x: Tensor, y: Tensor, w: Tensor, h: Tensor) -> _Parts:
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _to_centre(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> _Parts:
    return (a + c) / 2, (b + d) / 2, c - a, d - b


# A format's way to left, top, right, bottom, and back.
_FORMATS: dict[str, tuple[Callable[..., _Parts], Callable[..., _Parts]]] = {
    "xyxy": (lambda a, b, c, d: (a, b, c, d), lambda a, b, c, d: (a, b, c, d)),
    "yxyx": (lambda b, a, d, c: (a, b, c, d), lambda a, b, c, d: (b, a, d, c)),
    "xywh": (lambda a, b, w, h: (a, b, a + w, b + h), lambda a, b, c, d: (a, b, c - a, d - b)),
    "center_xywh": (_from_centre, _to_centre),
    "center_yxhw": (
        lambda y, x, h, w: _from_centre(x, y, w, h),
        lambda a, b, c, d: ((b + d) / 2, (a + c) / 2, d - b, c - a),
    ),
}
FORMATS = (*_FORMATS, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def _parts(boxes: Tensor) -> list[Tensor]:
    return [boxes[..., i : i + 1] for i in range(4)]


def _map(fn: Callable[..., Any], boxes: Any) -> Any:
    """``fn`` of the boxes alone, or of those in a dict."""
    return {**boxes, "boxes": fn(boxes["boxes"])} if isinstance(boxes, dict) else fn(boxes)


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: DType = "float32"
) -> Any:
    """Boxes written in another format.

    Args:
        source, target: "xyxy" (left, top, right, bottom), "yxyx", "xywh", "center_xywh", "center_yxhw"; with "rel_" in
            front, as parts of the image's size: "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh".
        height, width: of the image, in pixels; needed between relative and absolute formats.
    """
    who = "convert_format"
    source, target = (check.one_of(who, n, v.lower(), FORMATS) for n, v in (("source", source), ("target", target)))
    if source.startswith("rel_") != target.startswith("rel_") and (height is None or width is None):
        check.fail(who, f"height and width are needed between {source!r} and {target!r}, got {height} and {width}")

    def convert(values: Any) -> Tensor:
        parts: _Parts = _parts(ops.cast(values, dtype))
        parts = _FORMATS[source.removeprefix("rel_")][0](*parts)
        if source.startswith("rel_") != target.startswith("rel_"):
            sizes = [ops.cast(n, ops.dtype(parts[0])) for n in (width, height, width, height)]
            scale = ops.multiply if source.startswith("rel_") else ops.divide
            parts = [scale(p, n) for p, n in zip(parts, sizes)]
        return ops.concatenate(_FORMATS[target.removeprefix("rel_")][1](*parts), -1)

    return _map(convert, boxes)


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """The parts of the boxes that lie in the image; the labels of those that have none become -1."""
    relative = bounding_box_format.startswith("rel_")
    if not relative and (height is None or width is None):
        check.fail("clip_to_image_size", f"the format {bounding_box_format!r} needs height and width")
    inner = "rel_xyxy" if relative else "xyxy"
    a, b, c, d = _parts(convert_format(bounding_boxes["boxes"], bounding_box_format, inner))
    w, h = (1.0, 1.0) if relative else (ops.cast(n, "float32") for n in (width, height))
    a, b, c, d = (ops.clip(v, 0.0, n) for v, n in ((a, w), (b, h), (c, w), (d, h)))
    gone = ops.logical_or(c <= a, d <= b)[..., 0]
    kept = ops.concatenate([a, b, c, d], -1)
    result = {**bounding_boxes, "boxes": convert_format(kept, inner, bounding_box_format)}
    if "labels" in bounding_boxes:
        labels = ops.convert_to_tensor(bounding_boxes["labels"])
        result["labels"] = ops.where(gone, ops.cast(-1, ops.dtype(labels)), labels)
    return result


def _absolute(who: str, bounding_box_format: str) -> str:
    if bounding_box_format.startswith("rel_"):
        check.fail(who, f"takes an absolute format, got {bounding_box_format!r}: use convert_format first")
    return bounding_box_format


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Any:
    """Boxes in the part of an image that begins at (``left``, ``top``) and has that height and width."""
    source = _absolute("crop", bounding_box_format)

    def cut(values: Any) -> Tensor:
        parts = _parts(convert_format(values, source, "xyxy"))
        cut_off = [ops.cast(n, "float32") for n in (left, top, left, top)]
        sizes = [ops.cast(n, "float32") for n in (width, height, width, height)]
        moved = [ops.clip(p - o, 0.0, n) for p, o, n in zip(parts, cut_off, sizes)]
        return convert_format(ops.concatenate(moved, -1), "xyxy", source)

    return _map(cut, boxes)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Any:
    """Boxes in an image with ``top`` rows above it and ``left`` columns before it.

    ``height`` and ``width`` of the padded image change nothing in the absolute formats, the only ones that are taken.
    """
    source = _absolute("pad", bounding_box_format)

    def moved(values: Any) -> Tensor:
        parts = _parts(convert_format(values, source, "xyxy"))
        parts = [p + ops.cast(o, "float32") for p, o in zip(parts, (left, top, left, top))]
        return convert_format(ops.concatenate(parts, -1), "xyxy", source)

    return _map(moved, boxes)


def moved_corners(boxes: Tensor, move: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """The smallest upright boxes around the four corners, each moved by ``move(x, y)``; "xyxy" in and out."""
    a, b, c, d = _parts(boxes)
    x, y = move(ops.concatenate([a, c, c, a], -1), ops.concatenate([b, b, d, d], -1))
    edges = [ops.min(x, -1), ops.min(y, -1), ops.max(x, -1), ops.max(y, -1)]
    return ops.stack(edges, -1)


def affine_transform(
    boxes: TensorLike,
    angle: TensorLike,
    translate_x: TensorLike,
    translate_y: TensorLike,
    scale: TensorLike,
    shear_x: TensorLike,
    shear_y: TensorLike,
    height: Any,
    width: Any,
    center_x: TensorLike | None = None,
    center_y: TensorLike | None = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:
    """The boxes around what is in them after the image is moved, scaled and turned about a centre, then sheared, down first.

    Args:
        angle, shear_x, shear_y: in degrees, one for each image; a positive angle turns counter-clockwise.
        translate_x, translate_y: in parts of width - 1 and height - 1.
        center_x, center_y: in the same parts; default the middle.

    Shapes: boxes (batch, n, 4), the rest (batch,).
    """
    source = check.one_of("affine_transform", "bounding_box_format", bounding_box_format, FORMATS)
    corners = convert_format(boxes, source, "xyxy", height, width)

    def one(value: Any) -> Tensor:
        return ops.reshape(ops.cast(value, "float32"), (-1, 1, 1))

    w, h = float(width - 1), float(height - 1)
    cx, cy = (one(0.5 if v is None else v) * n for v, n in ((center_x, w), (center_y, h)))
    angle, shear_x, shear_y = (one(v) * (math.pi / 180) for v in (angle, shear_x, shear_y))
    cos, sin = ops.cos(angle) * one(scale), ops.sin(angle) * one(scale)
    tx, ty = ops.tan(shear_x), ops.tan(shear_y)

    def move(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = x - cx + one(translate_x) * w, y - cy + one(translate_y) * h
        x, y = cos * x + sin * y, cos * y - sin * x
        y = y + ty * x
        return x + tx * y + cx, y + cy

    return convert_format(moved_corners(corners, move), "xyxy", source, height, width)


# -- overlap -----------------------------------------------------------------------------------------------------------


def _as_xyxy(boxes: Any, source: str, image_shape: Any) -> Tensor:
    height, width = (None, None) if image_shape is None else image_shape[:2]
    target = "rel_xyxy" if source.startswith("rel_") and height is None else "xyxy"
    return convert_format(boxes, source, target, height, width)


def _overlap(p: _Parts, q: _Parts) -> tuple[Tensor, Tensor]:
    """Area of the intersection and of the union."""
    w = ops.maximum(ops.minimum(p[2], q[2]) - ops.maximum(p[0], q[0]), 0.0)
    h = ops.maximum(ops.minimum(p[3], q[3]) - ops.maximum(p[1], q[1]), 0.0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (p, q)]
    return w * h, areas[0] + areas[1] - w * h


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return ops.where(b == 0, 0.0, a / ops.where(b == 0, 1.0, b))


def compute_iou(
    boxes1: TensorLike,
    boxes2: TensorLike,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: int = -1,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """Intersection over union of every box of one set with every box of the other.

    Args:
        use_masking: give -1 where a box has a coordinate of ``mask_val``, which stands for no box.
        image_shape: (height, width, channels), for formats in parts of it.

    Shapes: (..., n, 4), (..., m, 4) -> (..., n, m).
    """
    first, second = (_as_xyxy(b, bounding_box_format, image_shape) for b in (boxes1, boxes2))
    p, q = [first[..., :, None, i] for i in range(4)], [second[..., None, :, i] for i in range(4)]
    found = _ratio(*_overlap(p, q))
    if not use_masking:
        return found
    absent = [ops.any(ops.cast(b, "float32") == float(mask_val), -1) for b in (boxes1, boxes2)]
    return ops.where(ops.logical_or(absent[0][..., :, None], absent[1][..., None, :]), -1.0, found)


def compute_ciou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, image_shape: Sequence[int] | None = None
) -> Tensor:
    """Complete IoU of pairs of boxes: less for distant centres and other proportions (https://arxiv.org/abs/1911.08287).

    Shapes: two of (..., 4) -> (...).
    """
    first, second = (_as_xyxy(b, bounding_box_format, image_shape) for b in (boxes1, boxes2))
    p, q = ([b[..., i] for i in range(4)] for b in (first, second))
    iou = _ratio(*_overlap(p, q))
    wide = ops.maximum(p[2], q[2]) - ops.minimum(p[0], q[0])
    high = ops.maximum(p[3], q[3]) - ops.minimum(p[1], q[1])
    apart = ops.square(p[0] + p[2] - q[0] - q[2]) + ops.square(p[1] + p[3] - q[1] - q[3])
    angles = [ops.arctan2(b[2] - b[0], b[3] - b[1]) for b in (p, q)]
    shape = ops.square(angles[1] - angles[0]) * (4 / math.pi**2)
    return iou - _ratio(apart / 4.0, wide * wide + high * high) - _ratio(shape * shape, shape - iou + 1.0)


# -- anchors -----------------------------------------------------------------------------------------------------------


def _centred(boxes: Any, source: str, encoding: str, image_shape: Any) -> list[Tensor]:
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return _parts(convert_format(boxes, source, encoding, height, width))


def _variance(variance: Any) -> Tensor:
    return ops.convert_to_tensor(np.ones(4) if variance is None else np.asarray(variance), "float32")


_ENCODINGS = ("center_xywh", "center_yxhw")


def encode_box_to_deltas(
    anchors: TensorLike,
    boxes: TensorLike,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """How boxes differ from their anchors: shift of the centre over the anchor's size, logarithm of the sizes' ratio.

    Args:
        encoding_format: "center_yxhw" or "center_xywh": the order of the four numbers.
        variance: four divisors of them.
    """
    check.one_of("encode_box_to_deltas", "encoding_format", encoding_format, _ENCODINGS)
    p, q, n, m = _centred(anchors, anchor_format, encoding_format, image_shape)
    u, v, k, l = _centred(boxes, box_format, encoding_format, image_shape)  # noqa: E741
    return ops.concatenate([(u - p) / n, (v - q) / m, ops.log(k / n), ops.log(l / m)], -1) / _variance(variance)


def decode_deltas_to_boxes(
    anchors: TensorLike,
    boxes_delta: TensorLike,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> Tensor:
    """The boxes that ``encode_box_to_deltas`` encoded; dicts of levels are taken for both."""
    check.one_of("decode_deltas_to_boxes", "encoded_format", encoded_format, _ENCODINGS)
    if isinstance(boxes_delta, dict):
        rest = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {k: decode_deltas_to_boxes(anchors[k], v, *rest) for k, v in boxes_delta.items()}  # type: ignore[index,return-value]
    p, q, n, m = _centred(anchors, anchor_format, encoded_format, image_shape)
    u, v, k, l = _parts(ops.cast(boxes_delta, "float32") * _variance(variance))  # noqa: E741
    boxes = ops.concatenate([u * n + p, v * m + q, ops.exp(k) * n, ops.exp(l) * m], -1)
    height, width = (None, None) if image_shape is None else image_shape[:2]
    return convert_format(boxes, encoded_format, box_format, height, width)
