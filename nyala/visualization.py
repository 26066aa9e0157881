"""Pictures of images with their labels, bounding boxes and segmentation masks.

Boxes are drawn by Pillow, galleries by matplotlib: ``pip install "nyala[plot]"``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import TensorLike
from nyala.base import check, config, extras
from nyala.utils import bounding_boxes as boxes_

__all__ = [
    "draw_bounding_boxes",
    "draw_segmentation_masks",
    "plot_bounding_box_gallery",
    "plot_image_gallery",
    "plot_segmentation_mask_gallery",
]

_Color = Sequence[int]
_LETTERS = 30  # pixels of the font at scale 1, as large as OpenCV's


def _host(x: Any) -> np.ndarray:
    owner = backends.of(x)
    return np.asarray(x if owner is None else owner.to_numpy(x))


def _images(who: str, images: Any, data_format: str | None) -> np.ndarray:
    """(batch, height, width, channels)."""
    x = _host(images)
    if x.ndim != 4:
        check.fail(who, f"images must be a batch with 4 axes, got shape {x.shape}; give images[None] for a single one")
    first = config.standardize_data_format(who, data_format) == "channels_first"
    return x.transpose(0, 2, 3, 1) if first else x


def _as_given(who: str, x: np.ndarray, data_format: str | None) -> np.ndarray:
    first = config.standardize_data_format(who, data_format) == "channels_first"
    return x.transpose(0, 3, 1, 2) if first else x


def _bytes(x: np.ndarray, value_range: Any = (0, 255)) -> np.ndarray:
    low, high = value_range
    if (low, high) != (0, 255):
        x = (np.asarray(x, "float32") - low) * (255.0 / (high - low))
    return np.clip(x, 0, 255).astype("uint8")


def draw_bounding_boxes(
    images: TensorLike,
    bounding_boxes: Mapping[str, TensorLike],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: _Color = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> np.ndarray:
    """The images, values 0 to 255, with their boxes; boxes of label -1 are left out.

    Args:
        bounding_boxes: ``boxes`` (batch, n, 4), ``labels`` (batch, n) and, if there are, ``confidences`` (batch, n).
        bounding_box_format: as in ``utils.bounding_boxes.convert_format``.
        class_mapping: the text of each label; without it there is none. Confidences stand behind it.
        color: red, green and blue, 0 to 255. line_thickness, text_thickness: in pixels.

    Shapes: (batch, height, width, 1 or 3) -> the same, uint8.
    """
    who = "draw_bounding_boxes"
    x = _bytes(_images(who, images, data_format))
    if not isinstance(bounding_boxes, Mapping):
        check.fail(who, f"bounding_boxes must be a dict, got {type(bounding_boxes).__name__}", TypeError)
    if not {"boxes", "labels"} <= set(bounding_boxes):
        check.fail(who, f"bounding_boxes must have boxes and labels, got {sorted(bounding_boxes)}")
    if x.shape[-1] not in (1, 3):
        check.fail(who, f"images must have 1 or 3 channels, got {x.shape[-1]}")
    pil = {n: extras.needed(f"PIL.{n}", who, "plot") for n in ("Image", "ImageDraw", "ImageFont")}
    font = pil["ImageFont"].load_default(max(1, round(_LETTERS * font_scale)))
    corners = boxes_.convert_format(_host(bounding_boxes["boxes"]), bounding_box_format, "xyxy", *x.shape[1:3])
    corners, labels = ops.convert_to_numpy(corners), _host(bounding_boxes["labels"])
    confidences = _host(bounding_boxes["confidences"]) if "confidences" in bounding_boxes else None
    before, after = (line_thickness - 1) // 2, line_thickness // 2

    def drawn(i: int) -> np.ndarray:
        image = pil["Image"].fromarray(x[i, ..., 0] if x.shape[-1] == 1 else x[i]).convert("RGB")
        canvas = pil["ImageDraw"].Draw(image)
        for j, label in enumerate(labels[i].astype(int)):
            if label == -1:
                continue
            left, top, right, bottom = (int(v) for v in corners[i, j])
            frame = (left - before, top - before, max(left, right) + after, max(top, bottom) + after)
            canvas.rectangle(frame, outline=tuple(color), width=line_thickness)
            if class_mapping is not None and int(label) in class_mapping:
                text = str(class_mapping[int(label)])
                text += "" if confidences is None else f" | {confidences[i, j]:.2f}"
                # Above the box where there is room, else inside it.
                height = canvas.textbbox((0, 0), text, font=font)[3] + line_thickness
                place = (left, top - height if top >= height else top + line_thickness)
                canvas.text(place, text, tuple(color), font, stroke_width=max(text_thickness - 1, 0))
        return np.asarray(image.convert("L"))[..., None] if x.shape[-1] == 1 else np.asarray(image)

    return _as_given(who, np.stack([drawn(i) for i in range(len(x))]), data_format)


def draw_segmentation_masks(
    images: TensorLike,
    segmentation_masks: TensorLike,
    num_classes: int | None = None,
    color_mapping: Mapping[int, _Color] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> np.ndarray:
    """The images, values 0 to 255, with their masks; class 0 is the background and left as it is.

    Args:
        segmentation_masks: ints (batch, height, width) or (batch, height, width, 1), the classes from 1.
        num_classes: the highest class that is drawn; default the highest there is.
        color_mapping: class -> red, green and blue, 0 to 255; default colours of our own.
        alpha: part of the colour, in [0, 1]. blend: whether ``alpha`` is used; else the colour covers the image.
        ignore_index: a class that is not drawn.

    Shapes: (batch, height, width, channels) -> the same, uint8.
    """
    who = "draw_segmentation_masks"
    x, masks = _images(who, images, data_format), _host(segmentation_masks)
    if masks.dtype.kind not in "iu":
        check.fail(who, f"segmentation_masks must be ints, the classes, got {masks.dtype}", TypeError)
    if masks.ndim == 4:
        masks = masks[:, 0] if masks.shape[-1] != 1 and masks.shape[1] == 1 else masks[..., 0]
    if masks.shape != x.shape[:3]:
        check.fail(who, f"segmentation_masks must have the size of the images {x.shape[:3]}, got {masks.shape}")
    check.number_in(who, "alpha", alpha, 0, 1)
    top = int(masks.max(initial=0)) if num_classes is None else num_classes
    colors = color_mapping or {i: (i % 255, 127 * i % 255, 31 * i % 255) for i in range(1, top + 1)}
    table = np.zeros((top + 1, 3), "float32")
    shown = (masks > 0) & (masks <= top) & (masks != ignore_index)
    for i in np.unique(masks[shown]):
        if int(i) not in colors:
            check.fail(who, f"color_mapping has no colour for class {i}; it has {sorted(colors)}")
        table[i] = colors[int(i)]
    color = table[np.where(shown, masks, 0)]
    share = (alpha if blend else 1.0) * shown[..., None]
    return _as_given(who, _bytes((1.0 - share) * x + share * color), data_format)


def plot_image_gallery(
    images: TensorLike,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Any = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: float = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> None:
    """Images side by side, each with its label and the predicted one.

    Args:
        y_true, y_pred: the class of each image; ``label_map``, class -> name, is then needed.
        rows, cols: of the gallery; what is missing follows from the number of images, as near to a square as can be.
        value_range: the darkest and the brightest value. scale: inches an image.
        path: a file to save the gallery in. show: show it; default when there is no ``path``.
        transparent, dpi: of the file. legend_handles: matplotlib's, for a legend below.
    """
    who = "plot_image_gallery"
    if path is not None and show:
        check.fail(who, "give path, or show=True, not both")
    for name, value in (("y_true", y_true), ("y_pred", y_pred)):
        if value is not None and label_map is None:
            check.fail(who, f"{name} needs a label_map, class -> name")
    x = _bytes(_images(who, images, data_format), value_range)
    if rows is None and cols is None:
        cols = math.ceil(math.sqrt(len(x)))
    cols = cols or math.ceil(len(x) / rows)  # type: ignore[operator]
    rows = rows or math.ceil(len(x) / cols)
    plt = extras.pyplot(who)
    figure, axes = plt.subplots(rows, cols, figsize=(cols * scale, rows * scale), squeeze=False, layout="tight")
    for axis in axes.flat:
        axis.axis("off")
    titles = [(name, _host(y)) for name, y in (("Label", y_true), ("Pred", y_pred)) if y is not None]
    for i, (axis, image) in enumerate(zip(axes.flat, x)):
        axis.imshow(image if image.shape[-1] > 1 else image[..., 0], cmap="gray", vmin=0, vmax=255)
        if titles:
            text = "  ".join(f"{name}: {label_map[y[i].item()]}" for name, y in titles)  # type: ignore[index]
            axis.set_title(text, fontsize=8)
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    if path is not None:
        figure.savefig(path, transparent=transparent, dpi=dpi, bbox_inches="tight")
        plt.close(figure)
    elif show is None or show:
        plt.show()


def plot_bounding_box_gallery(
    images: TensorLike,
    bounding_box_format: str,
    y_true: Mapping[str, TensorLike] | None = None,
    y_pred: Mapping[str, TensorLike] | None = None,
    value_range: Any = (0, 255),
    true_color: _Color = (0, 188, 212),
    pred_color: _Color = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """A gallery of images with their bounding boxes and the predicted ones.

    Args:
        y_true, y_pred: boxes as ``draw_bounding_boxes`` takes them.
        ground_truth_mapping, prediction_mapping: the texts of the labels of each; default ``class_mapping``.
        text_thickness: default ``line_thickness``. legend: say below which colour is which.
        kwargs: for ``plot_image_gallery``. Others: as of it and of ``draw_bounding_boxes``.
    """
    who = "plot_bounding_box_gallery"
    if legend and legend_handles is not None:
        check.fail(who, "give legend=True or legend_handles, not both")
    x = _bytes(_images(who, images, data_format), value_range)
    parts = (
        ("Ground Truth", y_true, true_color, ground_truth_mapping),
        ("Prediction", y_pred, pred_color, prediction_mapping),
    )
    for _, boxes, color, mapping in parts:
        if boxes is not None:
            names = class_mapping if mapping is None else mapping
            thickness = line_thickness if text_thickness is None else text_thickness
            x = draw_bounding_boxes(
                x, boxes, bounding_box_format, names, color, line_thickness, thickness, font_scale, "channels_last"
            )
    if legend:
        patches = extras.needed("matplotlib.patches", who, "plot")
        legend_handles = [
            patches.Patch(color=np.array(color) / 255, label=label)
            for label, boxes, color, _ in parts
            if boxes is not None
        ]
    plot_image_gallery(x, rows=rows, cols=cols, legend_handles=legend_handles, data_format="channels_last", **kwargs)


def plot_segmentation_mask_gallery(
    images: TensorLike,
    num_classes: int,
    value_range: Any = (0, 255),
    y_true: TensorLike | None = None,
    y_pred: TensorLike | None = None,
    color_mapping: Mapping[int, _Color] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> None:
    """A row for each image: itself, with its mask, and with the predicted one.

    Args: y_true, y_pred: masks as ``draw_segmentation_masks`` takes them. kwargs: for ``plot_image_gallery``.
    """
    who = "plot_segmentation_mask_gallery"
    x = _bytes(_images(who, images, data_format), value_range)
    columns = [x] + [
        draw_segmentation_masks(x, m, num_classes, color_mapping, alpha, blend, ignore_index, "channels_last")
        for m in (y_true, y_pred)
        if m is not None
    ]
    gallery = np.stack(columns, 1).reshape(-1, *x.shape[1:])
    shape = {"rows": len(x), "cols": len(columns)}
    plot_image_gallery(gallery, data_format="channels_last", **{**shape, **kwargs})
