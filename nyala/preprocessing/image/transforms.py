"""Single images moved, turned, sheared, zoomed, brightened and recoloured, by given or by drawn amounts.

Random amounts come from ``numpy.random``. Axes are those of the image: ``row_axis``, ``col_axis``, ``channel_axis``.
``fill_mode`` says what lies outside: ``"nearest"``, ``"constant"`` (``cval``), ``"reflect"`` or ``"wrap"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.base import check
from nyala.utils.images import array_to_img, img_to_array

FILL_MODES = ("nearest", "constant", "reflect", "wrap")


def apply_affine_transform(
    x: np.ndarray,
    theta: float = 0,
    tx: float = 0,
    ty: float = 0,
    shear: float = 0,
    zx: float = 1,
    zy: float = 1,
    row_axis: int = 1,
    col_axis: int = 2,
    channel_axis: int = 0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    order: int = 1,
) -> np.ndarray:
    """The image turned, moved, sheared and zoomed about its middle, in this order.

    Args:
        theta, shear: degrees. tx, ty: pixels to the left and up. zx, zy: of the width and the height; below 1 enlarges.
        order: of the spline that interpolates, 0 to 5.
    """
    if len({row_axis, col_axis, channel_axis}) < 3:
        check.fail("apply_affine_transform", "row_axis, col_axis and channel_axis must differ")
    if sorted((row_axis, col_axis, channel_axis)) != [0, 1, 2] or channel_axis == 1:
        check.fail("apply_affine_transform", "an image has axes 0, 1 and 2, the channels first or last")
    if (theta, tx, ty, shear, zx, zy) == (0, 0, 0, 0, 1, 1):
        return x
    try:
        from scipy import ndimage
    except ImportError as error:
        raise ImportError('turning and moving images needs scipy: pip install "nyala[image]"') from error
    check.one_of("apply_affine_transform", "fill_mode", fill_mode, FILL_MODES)
    a, s = np.deg2rad(theta), np.deg2rad(shear)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    offset = turn @ (tx, ty)
    matrix = turn @ np.array([[1.0, -np.sin(s)], [0.0, np.cos(s)]]) @ np.diag([zx, zy])
    middle = np.array([x.shape[row_axis], x.shape[col_axis]]) / 2 - 0.5
    offset += middle - matrix @ middle
    if col_axis > row_axis:
        # The matrix is for (x, y), an array is indexed (row, column). As in Keras 2, the middle is exchanged with the rest.
        matrix, offset = matrix[::-1, ::-1], offset[::-1]
    planes = np.moveaxis(x, (channel_axis, row_axis, col_axis), (0, 1, 2))
    out = np.empty_like(planes)
    for plane, result in zip(planes, out):
        ndimage.affine_transform(plane, matrix, offset, output=result, order=order, mode=fill_mode, cval=cval)  # pyright: ignore[reportArgumentType]
    return np.moveaxis(out, (0, 1, 2), (channel_axis, row_axis, col_axis))


def apply_channel_shift(x: np.ndarray, intensity: float, channel_axis: int = 0) -> np.ndarray:
    """``x + intensity``, kept between the least and the greatest value of ``x``."""
    return np.clip(x + intensity, np.min(x), np.max(x))


def apply_brightness_shift(x: np.ndarray, brightness: float, scale: bool = True) -> np.ndarray:
    """The image (height, width, channels) with its brightness multiplied, in 8 bits.

    Args: scale: stretch the values to 0 to 255 first; values outside of it are stretched and put back in any case.
    """
    from PIL import ImageEnhance

    x = np.asarray(x)
    low, high = np.min(x), np.max(x)
    stretch = bool(low < 0 or high > 255)
    image = array_to_img(x, "channels_last", stretch or scale)
    out = img_to_array(ImageEnhance.Brightness(image).enhance(brightness), "channels_last")
    return out / 255 * (high - low) + low if stretch and not scale else out


def flip_axis(x: np.ndarray, axis: int) -> np.ndarray:
    return np.flip(x, axis)


def random_rotation(
    x: np.ndarray, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Turned by up to ``rg`` degrees either way."""
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x, theta=theta, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval,
        order=interpolation_order,
    )  # fmt: skip


def random_shift(
    x: np.ndarray, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Moved by up to the fractions ``wrg`` of the width and ``hrg`` of the height either way."""
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return apply_affine_transform(
        x, tx=tx, ty=ty, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval,
        order=interpolation_order,
    )  # fmt: skip


def random_shear(
    x: np.ndarray, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Sheared by up to ``intensity`` degrees either way."""
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x, shear=shear, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval,
        order=interpolation_order,
    )  # fmt: skip


def random_zoom(
    x: np.ndarray, zoom_range: Sequence[float], row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> np.ndarray:  # fmt: skip
    """Zoomed along rows and columns by factors between the two of ``zoom_range``; below 1 enlarges."""
    low, high = pair("random_zoom", "zoom_range", zoom_range)
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    return apply_affine_transform(
        x, zx=zx, zy=zy, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval,
        order=interpolation_order,
    )  # fmt: skip


def random_channel_shift(x: np.ndarray, intensity_range: float, channel_axis: int = 0) -> np.ndarray:
    """``apply_channel_shift`` by up to ``intensity_range`` either way."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def random_brightness(x: np.ndarray, brightness_range: Sequence[float], scale: bool = True) -> np.ndarray:
    """``apply_brightness_shift`` by a factor between the two of ``brightness_range``."""
    return apply_brightness_shift(
        x, np.random.uniform(*pair("random_brightness", "brightness_range", brightness_range)), scale
    )


def pair(owner: Any, name: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, (tuple, list, np.ndarray)) or len(value) != 2:
        check.fail(owner, f"{name} must be two numbers, the least and the greatest, got {value!r}")
    return value[0], value[1]
