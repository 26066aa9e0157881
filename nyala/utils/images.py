"""Pictures in files, as Pillow images and as arrays."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala._typing import DType
from nyala.backends import dtypes
from nyala.base import check, config

_MODES = {"grayscale": ("L", "I;16", "I"), "rgba": ("RGBA",), "rgb": ("RGB",)}
RESIZING = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> Any:
    """``PIL.Image``. Raises ImportError saying how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('images in files need Pillow: pip install "nyala[image]"') from error
    return Image


def _format(owner: str, data_format: str | None) -> str:
    return config.standardize_data_format(owner, data_format)


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: DType = None) -> Any:
    """A Pillow image of an array.

    Args:
        x: array (height, width, channels) with 1, 3 or 4 channels.
        data_format: ``"channels_first"`` for (channels, height, width); default the global one.
        scale: stretch the values so that they reach from 0 to 255.
        dtype: to compute in; default ``floatx()``.
    """
    image = pillow()
    x = np.asarray(_host(x), dtypes.numpy_dtype(dtypes.standardize(dtype)))
    if x.ndim != 3:
        check.fail("array_to_img", f"x must be a single image with 3 axes, got shape {x.shape}")
    if _format("array_to_img", data_format) == "channels_first":
        x = x.transpose(1, 2, 0)
    if scale:
        x = x - x.min()
        top = x.max()
        x = (x / top if top != 0 else x) * 255
    channels = x.shape[2]
    if channels == 1:
        x = x[:, :, 0]
        return image.fromarray(x.astype("int32" if x.size and x.max() > 255 else "uint8"))
    if channels not in (3, 4):
        check.fail("array_to_img", f"x must have 1, 3 or 4 channels, got {channels}")
    return image.fromarray(x.astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: DType = None) -> np.ndarray:
    """A Pillow image, or an array with 2 or 3 axes, as an array (height, width, channels); with
    ``data_format="channels_first"`` (channels, height, width). ``dtype``: default ``floatx()``.
    """
    x = np.asarray(_host(img), dtypes.numpy_dtype(dtypes.standardize(dtype)))
    if x.ndim not in (2, 3):
        check.fail("img_to_array", f"an image has 2 or 3 axes, got shape {x.shape}")
    first = _format("img_to_array", data_format) == "channels_first"
    if x.ndim == 2:
        return x[None] if first else x[:, :, None]
    return x.transpose(2, 0, 1) if first else x


def _host(x: Any) -> Any:
    owner = backends.of(x)
    return owner.to_numpy(x) if owner is not None else x


def save_img(
    path: str | os.PathLike[str] | io.BytesIO,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array as an image file.

    Args:
        path: the file, or a binary stream, for which ``file_format`` is needed.
        file_format: default by the ending of ``path``. kwargs: for Pillow's ``save``. Others: see ``array_to_img``.
    """
    img = array_to_img(x, data_format, scale)
    kind = (file_format or Path(str(path)).suffix.lstrip(".")).lower()
    if img.mode == "RGBA" and kind in ("jpg", "jpeg"):
        warnings.warn("save_img: JPEG has no transparency; the image is saved as RGB", stacklevel=2)
        img = img.convert("RGB")
    img.save(path, format="jpeg" if file_format == "jpg" else file_format, **kwargs)


def load_img(
    path: str | os.PathLike[str] | io.BytesIO,
    color_mode: str = "rgb",
    target_size: int | tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """A Pillow image from a file.

    Args:
        path: the file, or its bytes as ``io.BytesIO``.
        color_mode: ``"rgb"``, ``"rgba"``, or ``"grayscale"``, with which 16 and 32 bits are kept.
        target_size: (height, width) to resize to.
        interpolation: ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"hamming"``, ``"box"`` or ``"lanczos"``.
        keep_aspect_ratio: cut the middle of the shape of ``target_size`` out instead of stretching.
    """
    image = pillow()
    modes = _MODES.get(color_mode)
    if modes is None:
        return check.one_of("load_img", "color_mode", color_mode, tuple(_MODES))
    if isinstance(path, io.BytesIO):
        data = path
    elif isinstance(path, (str, bytes, os.PathLike)):
        data = io.BytesIO(Path(os.fsdecode(path)).read_bytes())
    else:
        return check.fail("load_img", f"path must be a path or io.BytesIO, got {type(path).__name__}", TypeError)
    img = image.open(data)
    if img.mode not in modes:
        img = img.convert(modes[0])
    if target_size is None:
        return img
    check.one_of("load_img", "interpolation", interpolation, INTERPOLATIONS)
    height, width = check.ints("load_img", "target_size", target_size, 2)
    if img.size == (width, height):
        return img
    method = getattr(image.Resampling, interpolation.upper())
    if not keep_aspect_ratio:
        return img.resize((width, height), method)
    # As large a middle part of the wanted shape as there is.
    w, h = img.size
    crop_w, crop_h = min(w, h * width // height), min(h, w * height // width)
    left, top = (w - crop_w) // 2, (h - crop_h) // 2
    return img.resize((width, height), method, box=[left, top, left + crop_w, top + crop_h])


def smart_resize(
    x: Any,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    backend_module: Any = None,
    **kwargs: Any,
) -> Any:
    """Images resized without stretching: the middle part of the wanted shape is cut out first.

    Args:
        size: (height, width).
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
        backend_module: without meaning here; ``x`` tells the backend.

    Shapes: (height, width, channels) or (batch, height, width, channels), or with channels first. A NumPy array gives a
    NumPy array of floats, a tensor a tensor.
    """
    check.no_extra("smart_resize", kwargs, ("x", "size", "interpolation", "data_format"))
    target_height, target_width = check.ints("smart_resize", "size", size, 2)
    tensor = ops.convert_to_tensor(x)
    if len(tensor.shape) not in (3, 4):
        check.fail("smart_resize", f"x must have 3 axes, or 4 with a batch, got shape {tuple(tensor.shape)}")
    _format("smart_resize", data_format)
    part = tensor if backends.of(x) else ops.cast(tensor, dtypes.standardize(None))
    out = ops.image.resize(
        part, (target_height, target_width), interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return ops.convert_to_numpy(out) if isinstance(x, np.ndarray) else out


def resize_array(x: np.ndarray, size: tuple[int, int], interpolation: str, how: str = "stretch") -> np.ndarray:
    """A float image (height, width, channels) resized on the host, where every size compiles nothing.

    Args: interpolation: one of ``RESIZING``. how: ``"stretch"``, ``"crop"`` the middle of the shape
    out first, or ``"pad"`` with zeros.
    """
    (height, width), (h, w) = size, x.shape[:2]
    if how == "crop":
        ch, cw = min(h, int(w * height / width)), min(w, int(h * width / height))
        top, left = int((h - ch) / 2), int((w - cw) / 2)
        x = x[top : top + ch, left : left + cw]
    elif how == "pad":
        ratio = max(h / height, w / width)
        inner = max(int(h / ratio), 1), max(int(w / ratio), 1)
        top, left = (max(int((n - m / ratio) / 2), 0) for n, m in ((height, h), (width, w)))
        result = np.zeros((height, width, x.shape[2]), x.dtype)
        result[top : top + inner[0], left : left + inner[1]] = resize_array(x, inner, interpolation)
        return result
    for axis, new in ((0, height), (1, width)):
        if x.shape[axis] != new:
            weights = _resize_weights(x.shape[axis], new, interpolation).astype(x.dtype)
            x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return np.ascontiguousarray(x)


_KERNELS: dict[str, Any] = {
    "bilinear": lambda x: np.maximum(1 - x, 0),
    "bicubic": lambda x: _cubic(x, 0.0, 0.5),
    "mitchellcubic": lambda x: _cubic(x, 1 / 3, 1 / 3),
    "lanczos3": lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0),
    "lanczos5": lambda x: np.where(x < 5, np.sinc(x) * np.sinc(x / 5), 0),
    "gaussian": lambda x: np.where(x < 1.5, np.exp(-2 * x**2), 0),
}


def _cubic(x: np.ndarray, b: float, c: float) -> np.ndarray:
    """The family of cubic filters (Mitchell, Netravali 1988)."""
    near = ((12 - 9 * b - 6 * c) * x - 18 + 12 * b + 6 * c) * x**2 + 6 - 2 * b
    far = ((-(b + 6 * c) * x + 6 * b + 30 * c) * x - 12 * b - 48 * c) * x + 8 * b + 24 * c
    return np.where(x < 1, near, np.where(x < 2, far, 0)) / 6


def _resize_weights(old: int, new: int, interpolation: str) -> np.ndarray:
    """(new, old): what each source pixel gives to each result, centres being half a pixel inside."""
    step, at = old / new, np.arange(new)[:, None]
    source = np.arange(old)
    if interpolation == "nearest":
        return (source == np.minimum(((at + 0.5) * step).astype(int), old - 1)).astype(float)
    if interpolation == "area":
        return np.clip(np.minimum((at + 1) * step, source + 1) - np.maximum(at * step, source), 0, None) / step
    weights = _KERNELS[interpolation](np.abs((at + 0.5) * step - 0.5 - source))
    return weights / weights.sum(1, keepdims=True)
