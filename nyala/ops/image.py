"""Images, (batch, height, width, channels) or a single one without the batch axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op

__all__ = ["resize"]


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys's kernel with a = -0.5 (https://doi.org/10.1109/TASSP.1981.1163711)."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x**2 + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0.0)


_KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
_INTERPOLATIONS = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic")


def _weights(size: int, new_size: int, interpolation: str, antialias: bool) -> np.ndarray:
    """(new_size, size): what each source sample gives to each result, their centres being half a pixel inside."""
    step = size / new_size
    centres = (np.arange(new_size) + 0.5) * step - 0.5
    # A kernel as wide as the step takes in every sample on the way down.
    width = max(step, 1.0) if antialias else 1.0
    weights = _KERNELS[interpolation]((centres[:, None] - np.arange(size)) / width)
    return weights / weights.sum(axis=1, keepdims=True)


def _nearest(size: int, new_size: int) -> np.ndarray:
    return np.minimum(((np.arange(new_size) + 0.5) * size / new_size).astype("int32"), size - 1)


@op(name="image.resize")
def resize(
    images: TensorLike,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images of another size; ints are rounded back.

    Args:
        size: (height, width).
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        antialias: average over all that a smaller image leaves out.
        crop_to_aspect_ratio: cut the middle out first, of the proportions of ``size``.
        pad_to_aspect_ratio: add borders of ``fill_value`` first, to the proportions of ``size``.
        fill_mode: "constant".

    Raises: ValueError for another rank, size or mode, or when cropping and padding are both asked for.
    """
    who = "image.resize"
    height, width = check.ints(who, "size", size if isinstance(size, int) else tuple(size), 2)
    check.one_of(who, "interpolation", interpolation, _INTERPOLATIONS)
    check.one_of(who, "fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        check.fail(who, "only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True")
    rank = len(images.shape)
    if rank not in (3, 4):
        check.fail(who, f"images must have rank 3 or 4, got shape {tuple(images.shape)}")
    first = rank - 3 if config.standardize_data_format(who, data_format) == "channels_last" else rank - 2
    have = images.shape[first : first + 2]
    if None in tuple(have):
        check.fail(who, f"height and width must be known, got shape {tuple(images.shape)}")
    if crop_to_aspect_ratio:
        images = _crop(images, first, height, width)
    elif pad_to_aspect_ratio:
        images = _pad(images, first, height, width, fill_value)
    return _resize(images, first, (height, width), interpolation, antialias)


def _resize(x: Tensor, first: int, size: tuple[int, int], interpolation: str, antialias: bool) -> Tensor:
    dtype = ops.dtype(x)
    wide = x if interpolation == "nearest" else ops.cast(x, "float64" if dtype == "float64" else "float32")
    for axis, new in enumerate(size, first):
        old = wide.shape[axis]
        if old == new:
            continue
        if interpolation == "nearest":
            whole = new % old == 0
            wide = ops.repeat(wide, new // old, axis) if whole else ops.take(wide, _nearest(old, new), axis)
        else:
            weights = ops.convert_to_tensor(_weights(old, new, interpolation, antialias), ops.dtype(wide))
            wide = ops.moveaxis(ops.tensordot(wide, weights, axes=[[axis], [1]]), -1, axis)
    if ops.dtype(wide) == dtype:
        return wide
    return ops.saturate_cast(ops.round(wide) if dtypes.is_int(dtype) else wide, dtype)


def _crop(x: Tensor, first: int, height: int, width: int) -> Tensor:
    h, w = x.shape[first : first + 2]
    new = (min(h, max(1, int(w * height / width))), min(w, max(1, int(h * width / height))))
    cut = [slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip((h, w), new)]
    return x[(slice(None),) * first + tuple(cut)]


def _pad(x: Tensor, first: int, height: int, width: int, value: float) -> Tensor:
    h, w = x.shape[first : first + 2]
    new = (max(h, int(w * height / width)), max(w, int(h * width / height)))
    borders = [((m - n) // 2, m - n - (m - n) // 2) for n, m in zip((h, w), new)]
    pads = [borders[i - first] if 0 <= i - first < 2 else (0, 0) for i in range(len(x.shape))]
    return ops.pad(x, pads, constant_values=value)
