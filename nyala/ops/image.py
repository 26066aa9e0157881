"""Images, (batch, height, width, channels) or a single one without the batch axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.ops._op import op
from nyala.ops.warp import (
    _batch,
    affine_transform,
    blurred,
    elastic_transform,
    gaussian,
    map_coordinates,
    perspective_transform,
)

__all__ = [
    "affine_transform",
    "crop_images",
    "elastic_transform",
    "extract_patches",
    "extract_patches_3d",
    "gaussian_blur",
    "hsv_to_rgb",
    "map_coordinates",
    "pad_images",
    "perspective_transform",
    "resize",
    "rgb_to_grayscale",
    "rgb_to_hsv",
    "scale_and_translate",
    "sobel_edges",
    "ssim",
]


# Kernels take the library to compute with, NumPy or ops.


def _triangle(x: Any, m: Any) -> Any:
    return m.maximum(0.0, 1.0 - m.abs(x))


def _cubic(x: Any, m: Any) -> Any:
    """Keys's kernel with a = -0.5 (https://doi.org/10.1109/TASSP.1981.1163711)."""
    x = m.abs(x)
    near, far = (1.5 * x - 2.5) * x**2 + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return m.where(x <= 1.0, near, m.where(x < 2.0, far, 0.0))


def _lanczos(radius: float) -> Callable[[Any, Any], Any]:
    return lambda x, m: m.where(m.abs(x) < radius, m.sinc(x) * m.sinc(x / radius), 0.0)


_KERNELS: dict[str, Callable[[Any, Any], Any]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
_INTERPOLATIONS = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic")


# Sizes are ints, or scalar tensors where a picture's own is known only when a graph runs, as in ``tf.data``.


def _weights(size: Any, new_size: int, interpolation: str, antialias: bool) -> Any:
    """(new_size, size): what each source sample gives to each result, their centres being half a pixel inside."""
    m: Any = np if isinstance(size, int) else ops
    samples = np.arange(size) if m is np else ops.arange(size, dtype="float32")
    step = (size if m is np else ops.cast(size, "float32")) / new_size
    centres = (np.arange(new_size, dtype=None if m is np else "float32") + 0.5) * step - 0.5
    # A kernel as wide as the step takes in every sample on the way down.
    width = m.maximum(step, 1.0) if antialias else 1.0
    weights = _KERNELS[interpolation]((centres[:, None] - samples) / width, m)
    return weights / m.sum(weights, axis=1, keepdims=True)


def _nearest(size: Any, new_size: int) -> Any:
    return (2 * np.arange(new_size, dtype="int32") + 1) * size // (2 * new_size)


def aspect_region(h: Any, w: Any, height: int, width: int, inside: bool) -> tuple[Any, Any, Any, Any]:
    """Top, left, height and width of the middle part of h x w with the proportions of height x width, or around it."""
    known = isinstance(h, int) and isinstance(w, int)
    least, most = (min, max) if known else (ops.minimum, ops.maximum)
    new_h, new_w = w * height // width, h * width // height
    h2, w2 = (least(h, most(1, new_h)), least(w, most(1, new_w))) if inside else (most(h, new_h), most(w, new_w))
    if inside:
        return (h - h2) // 2, (w - w2) // 2, h2, w2
    return -((h2 - h) // 2), -((w2 - w) // 2), h2, w2


def cut(x: Tensor, first: int, region: Sequence[Any]) -> Tensor:
    """A part (top, left, height, width) of pictures whose axes begin at ``first``."""
    for axis, (start, length) in enumerate(zip(region[:2], region[2:]), first):
        if isinstance(start, int) and isinstance(length, int):
            x = x[(slice(None),) * axis + (slice(start, start + length),)]
        else:
            x = ops.take(x, start + ops.arange(length), axis)
    return x


def framed(x: Tensor, first: int, region: Sequence[Any], value: float) -> Tensor:
    """Pictures in a frame that begins before them, at (top, left) <= (0, 0), and has a height and a width."""
    pads: list[tuple[Any, Any]] = [(0, 0)] * len(x.shape)
    for axis, (start, length) in enumerate(zip(region[:2], region[2:]), first):
        pads[axis] = (-start, length + start - ops.shape(x)[axis])
    return ops.pad(x, pads, constant_values=value)


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
    first, h, w = _frame(who, images, data_format)
    if crop_to_aspect_ratio:
        images = cut(images, first, aspect_region(h, w, height, width, True))
    elif pad_to_aspect_ratio:
        images = framed(images, first, aspect_region(h, w, height, width, False), fill_value)
    return _resize(images, first, (height, width), interpolation, antialias)


def _resize(x: Tensor, first: int, size: tuple[int, int], interpolation: str, antialias: bool) -> Tensor:
    dtype = ops.dtype(x)
    wide = x if interpolation == "nearest" else ops.cast(x, "float64" if dtype == "float64" else "float32")
    for axis, new in enumerate(size, first):
        old = ops.shape(wide)[axis]
        known = isinstance(old, int)
        if known and old == new:
            continue
        if interpolation == "nearest":
            whole = known and new % old == 0
            wide = ops.repeat(wide, new // old, axis) if whole else ops.take(wide, _nearest(old, new), axis)
        else:
            weights = ops.convert_to_tensor(_weights(old, new, interpolation, antialias), ops.dtype(wide))
            wide = ops.moveaxis(ops.tensordot(wide, weights, axes=[[axis], [1]]), -1, axis)
    wide = _sized(wide, first, *size)
    if ops.dtype(wide) == dtype:
        return wide
    return ops.saturate_cast(ops.round(wide) if dtypes.is_int(dtype) else wide, dtype)


def _sized(x: Tensor, first: int, *sizes: Any) -> Tensor:
    """``x``, of which these sizes are known where a graph has lost them."""
    if None not in tuple(x.shape)[first : first + len(sizes)]:
        return x
    return ops.reshape(x, (*ops.shape(x)[:first], *sizes, *ops.shape(x)[first + len(sizes) :]))


_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


@op(name="image.scale_and_translate")
def scale_and_translate(
    images: TensorLike,
    output_shape: Sequence[int],
    scale: TensorLike,
    translation: TensorLike,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """``images`` resampled so that what was at x on an axis comes to scale * x + translation; what is outside is 0.

    Args:
        output_shape: of the whole result.
        scale: a factor for each of ``spatial_dims``.
        translation: in pixels of the result, for each of ``spatial_dims``. The centre of pixel i lies at i + 0.5.
        method: "linear" (also "bilinear", "trilinear", "triangle"), "cubic" ("bicubic", "tricubic"), "lanczos3" or
            "lanczos5".
        antialias: average over all that a smaller image leaves out.
    """
    who = "image.scale_and_translate"
    kernel = _KERNELS[_METHODS[check.one_of(who, "method", method, tuple(_METHODS))]]
    if len(output_shape) != len(images.shape):
        check.fail(who, f"output_shape must have {len(images.shape)} axes, got {tuple(output_shape)}")
    dtype = ops.dtype(images)
    x = ops.cast(images, dtype if dtypes.is_float(dtype) else "float32")
    for i, axis in enumerate(spatial_dims):
        old, new = ops.shape(x)[axis], output_shape[axis]
        inverse = 1.0 / ops.cast(scale[i], "float32")
        centres = (ops.arange(new, dtype="float32") + 0.5 - ops.cast(translation[i], "float32")) * inverse - 0.5
        width = ops.maximum(inverse, 1.0) if antialias else 1.0
        weights = kernel((ops.expand_dims(centres, 1) - ops.arange(old, dtype="float32")) / width, ops)
        total = ops.sum(weights, 1, keepdims=True)
        known = ops.logical_and(centres >= -0.5, centres <= ops.cast(old, "float32") - 0.5)
        known = ops.logical_and(ops.expand_dims(known, 1), ops.abs(total) > 1e-4)
        weights = ops.where(known, weights / ops.where(known, total, 1.0), 0.0)
        x = ops.moveaxis(ops.tensordot(x, ops.cast(weights, ops.dtype(x)), axes=[[axis], [1]]), -1, axis)
    return x


# -- colours -----------------------------------------------------------------------------------------------------------


def _channels(who: str, images: Tensor, data_format: str | None, floats: bool = True) -> tuple[list[Tensor], int]:
    """Red, green and blue (or what stands for them), and the axis they lie on."""
    axis = -1 if config.standardize_data_format(who, data_format) == "channels_last" else -3
    if len(images.shape) not in (3, 4) or images.shape[axis] != 3:
        check.fail(who, f"images must have rank 3 or 4 and 3 channels on axis {axis}, got shape {tuple(images.shape)}")
    if floats and not dtypes.is_float(ops.dtype(images)):
        check.fail(who, f"images must be of a float dtype, with values from 0 to 1, got {ops.dtype(images)}")
    return ops.unstack(images, axis=axis), axis


@op(name="image.rgb_to_grayscale")
def rgb_to_grayscale(images: TensorLike, data_format: str | None = None) -> Tensor:
    """One channel: 0.2989 red + 0.587 green + 0.114 blue (ITU-R BT.601), ints cut off."""
    parts, axis = _channels("image.rgb_to_grayscale", images, data_format, floats=False)
    dtype = ops.dtype(images)
    r, g, b = (p if dtypes.is_float(dtype) else ops.cast(p, "float32") for p in parts)
    return ops.cast(ops.expand_dims(0.2989 * r + 0.587 * g + 0.114 * b, axis), dtype)


@op(name="image.rgb_to_hsv")
def rgb_to_hsv(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value, all from 0 to 1 (https://doi.org/10.1145/965139.807361)."""
    (r, g, b), axis = _channels("image.rgb_to_hsv", images, data_format)
    value = ops.maximum(ops.maximum(r, g), b)
    span = value - ops.minimum(ops.minimum(r, g), b)
    coloured = span > 0
    by = ops.where(coloured, span, 1.0)
    hue = ops.where(r == value, (g - b) / by, ops.where(g == value, 2.0 + (b - r) / by, 4.0 + (r - g) / by)) / 6.0
    hue = ops.where(coloured, hue - ops.floor(hue), 0.0)
    saturation = ops.where(value > 0, span / ops.where(value > 0, value, 1.0), 0.0)
    return ops.stack([hue, saturation, value], axis)


@op(name="image.hsv_to_rgb")
def hsv_to_rgb(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Red, green and blue from hue, saturation and value, all from 0 to 1."""
    (hue, saturation, value), axis = _channels("image.hsv_to_rgb", images, data_format)

    def part(shift: float) -> Tensor:
        # Full for two sixths of the circle of hues, none for two others, a ramp between.
        place = hue * 6.0 + shift
        place = place - 6.0 * ops.floor(place / 6.0)
        return value * (1.0 - saturation * ops.clip(ops.minimum(place, 4.0 - place), 0.0, 1.0))

    return ops.stack([part(5.0), part(3.0), part(1.0)], axis)


# -- cutting -----------------------------------------------------------------------------------------------------------


def _borders(who: str, what: str, size: Any, before: Any, after: Any, target: Any, grow: bool) -> tuple[Any, Any]:
    """How much to add or cut on both sides of an axis, of which two of three are given."""
    names = ("top_", "bottom_", "target_height") if what == "height" else ("left_", "right_", "target_width")
    if sum(v is None for v in (before, after, target)) != 1:
        check.fail(who, f"exactly two of {', '.join(names)} must be given, got {before}, {after} and {target}")
    if target is not None:
        rest = (target - size) if grow else (size - target)
        before, after = (rest - after, after) if before is None else (before, rest - before)
    known = all(isinstance(n, int) for n in (size, before, after))
    if known and (before < 0 or after < 0 or (not grow and before + after >= size)):
        check.fail(
            who, f"{names[0]} and {names[1]} come to {before} and {after}, which a {what} of {size} does not allow"
        )
    return before, after


def _frame(who: str, images: Tensor, data_format: str | None) -> tuple[int, Any, Any]:
    """The first of the two axes of a picture, and their lengths."""
    rank = len(images.shape)
    if rank not in (3, 4):
        check.fail(who, f"images must have rank 3 or 4, got shape {tuple(images.shape)}")
    first = rank - 3 if config.standardize_data_format(who, data_format) == "channels_last" else rank - 2
    return (first, *ops.shape(images)[first : first + 2])


@op(name="image.crop_images")
def crop_images(
    images: TensorLike,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without some rows and columns at their borders.

    Of top, bottom and ``target_height`` two are given, and of left, right and ``target_width``.
    """
    who = "image.crop_images"
    first, height, width = _frame(who, images, data_format)
    top, bottom = _borders(who, "height", height, top_cropping, bottom_cropping, target_height, False)
    left, right = _borders(who, "width", width, left_cropping, right_cropping, target_width, False)
    size = (height - bottom - top, width - right - left)
    if target_height is not None:
        size = (target_height, size[1])
    if target_width is not None:
        size = (size[0], target_width)
    return _sized(cut(images, first, (top, left, *size)), first, *size)


@op(name="image.pad_images")
def pad_images(
    images: TensorLike,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with rows and columns of zeros around them.

    Of top, bottom and ``target_height`` two are given, and of left, right and ``target_width``.
    """
    who = "image.pad_images"
    first, height, width = _frame(who, images, data_format)
    pads = [(0, 0)] * len(images.shape)
    pads[first] = _borders(who, "height", height, top_padding, bottom_padding, target_height, True)
    pads[first + 1] = _borders(who, "width", width, left_padding, right_padding, target_width, True)
    return ops.pad(images, pads)


@op(name="image.extract_patches")
def extract_patches(
    images: TensorLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Every window of ``size`` as one vector: (batch, height, width, n) -> (batch, rows, columns, size * size * n).

    Args:
        size: an int or a pair; three ints for windows of volumes.
        strides: steps from window to window; ``None``: as ``size``, side by side.
        dilation_rate: steps between the samples of a window.
        padding: "valid" or "same", which adds zeros.
    """
    rank = 3 if not isinstance(size, int) and len(size) == 3 else 2
    return _windows("image.extract_patches", images, rank, size, strides, dilation_rate, padding, data_format)


@op(name="image.extract_patches_3d")
def extract_patches_3d(
    volumes: TensorLike,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """``extract_patches`` of volumes, (batch, depth, height, width, channels)."""
    return _windows("image.extract_patches_3d", volumes, 3, size, strides, dilation_rate, padding, data_format)


def _windows(
    who: str, x: Tensor, rank: int, size: Any, strides: Any, dilation: Any, padding: str, data_format: str | None
) -> Tensor:
    sizes = check.ints(who, "size", size, rank)
    steps = sizes if strides is None else check.ints(who, "strides", strides, rank)
    spaces = check.ints(who, "dilation_rate", dilation, rank)
    check.one_of(who, "padding", padding, ("valid", "same"))
    last = config.standardize_data_format(who, data_format) == "channels_last"
    single = len(x.shape) == rank + 1
    if len(x.shape) not in (rank + 1, rank + 2):
        check.fail(who, f"the rank must be {rank + 1} or {rank + 2}, got shape {tuple(x.shape)}")
    x = ops.expand_dims(x, 0) if single else x
    x = x if last else ops.moveaxis(x, 1, -1)
    counts = []
    # Each axis becomes two: which window, and where in it.
    for i, (k, s, d) in enumerate(zip(sizes, steps, spaces)):
        n = ops.shape(x)[2 * i + 1]
        m: Any = np if isinstance(n, int) else ops
        reach = (k - 1) * d + 1
        count = -(-n // s) if padding == "same" else (n - reach) // s + 1
        if m is np and count < 1:
            check.fail(who, f"a window of {reach} does not fit into an axis of {n}")
        if padding == "same":
            lack = m.maximum((count - 1) * s + reach - n, 0)
            pads = (lack // 2, lack - lack // 2)
            x = ops.pad(x, [pads if axis == 2 * i + 1 else (0, 0) for axis in range(len(x.shape))])
        places = m.arange(count, dtype="int32")[:, None] * s + np.arange(k, dtype="int32") * d
        x = ops.take(x, places, axis=2 * i + 1)
        counts.append(count)
    pairs = range(1, 2 * rank + 1)
    x = ops.transpose(x, (0, *pairs[::2], *pairs[1::2], 2 * rank + 1))
    x = ops.reshape(x, (ops.shape(x)[0], *counts, int(np.prod(sizes)) * x.shape[-1]))
    x = x if last else ops.moveaxis(x, -1, 1)
    return x[0] if single else x


# -- filters -----------------------------------------------------------------------------------------------------------


@op("float", name="image.gaussian_blur")
def gaussian_blur(
    images: TensorLike,
    kernel_size: Sequence[int] = (3, 3),
    sigma: TensorLike = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Images under a Gaussian filter, with zeros around them.

    Args:
        kernel_size: height and width of the filter.
        sigma: its standard deviations, in pixels.
    """
    who = "image.gaussian_blur"
    sizes = check.ints(who, "kernel_size", kernel_size, 2)
    sigma = ops.cast(ops.convert_to_tensor(sigma), "float32")
    if tuple(sigma.shape) not in ((), (1,), (2,)):
        check.fail(who, f"sigma must be a number or a pair, got shape {tuple(sigma.shape)}")
    sigma = ops.broadcast_to(sigma, (2,))
    x, back = _batch(who, images, data_format)
    return back(blurred(x, [gaussian(n, sigma[i]) for i, n in enumerate(sizes)]))


@op("float", name="image.sobel_edges")
def sobel_edges(images: TensorLike, data_format: str | None = None) -> Tensor:
    """How much the images rise downwards and to the right, by Sobel's 3 x 3 filters, with zeros around them.

    Shapes: (batch, height, width, channels) -> (batch, height, width, channels, 2): dy, dx.
    """
    if len(images.shape) != 4:
        check.fail("image.sobel_edges", f"images must be a batch of rank 4, got shape {tuple(images.shape)}")
    x, back = _batch("image.sobel_edges", images, data_format)
    rise, smooth = (ops.convert_to_tensor(np.array(k, "float32")) for k in ((-1, 0, 1), (1, 2, 1)))
    return ops.stack([back(blurred(x, [rise, smooth])), back(blurred(x, [smooth, rise]))], -1)


@op("float", name="image.ssim")
def ssim(
    image1: TensorLike,
    image2: TensorLike,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """How alike two images are, from -1 to 1, 1 for the same (https://doi.org/10.1109/TIP.2003.819861).

    Args:
        max_val: the largest value that a pixel may have, 1 or 255.
        filter_size: width of the Gaussian window in which means and variances are taken, in pixels.
        filter_sigma: its standard deviation.
        k1, k2: keep quotients of small means and of small variances finite.

    Shapes: two of (batch, height, width, channels) -> (batch,); without the batch axis a scalar.
    """
    who = "image.ssim"
    if tuple(image1.shape) != tuple(image2.shape):
        check.fail(who, f"the images must have the same shape, got {tuple(image1.shape)} and {tuple(image2.shape)}")
    _, height, width = _frame(who, image1, data_format)
    filter_size = check.positive_int(who, "filter_size", filter_size)
    if filter_size > min((n for n in (height, width) if isinstance(n, int)), default=filter_size):
        check.fail(who, f"filter_size must be at most the images' {height} x {width}, got {filter_size}")
    (x, _), (y, _) = (_batch(who, image, data_format) for image in (image1, image2))
    kernel = gaussian(filter_size, float(filter_sigma))

    def mean(z: Tensor) -> Tensor:
        return blurred(z, [kernel, kernel], "valid")

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mx, my = mean(x), mean(y)
    light = (2.0 * mx * my + c1) / (mx * mx + my * my + c1)
    both = mean(x * y) - mx * my
    spread = mean(x * x) - mx * mx + mean(y * y) - my * my
    found = ops.mean(light * (2.0 * both + c2) / (spread + c2), (1, 2, 3))
    return found[0] if len(image1.shape) == 3 else found
