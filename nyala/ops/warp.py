"""Images sampled at other places: ``nyala.ops.image`` takes these names from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.backends import dtypes
from nyala.base import check, config
from nyala.base.seeds import SeedGenerator, draw_seed
from nyala.ops._op import op
from nyala.ops.random import _normal

__all__ = ["affine_transform", "elastic_transform", "map_coordinates", "perspective_transform"]

# The place inside an axis of n samples that stands for the place i, which may be outside.
_FILLS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "constant": lambda i, n: ops.clip(i, 0, n - 1),
    "nearest": lambda i, n: ops.clip(i, 0, n - 1),
    "wrap": lambda i, n: ops.mod(i, n),
    "mirror": lambda i, n: n - 1 - ops.abs(ops.mod(i, ops.maximum(2 * n - 2, 1)) - (n - 1)),
    "reflect": lambda i, n: ops.minimum(ops.mod(i, 2 * n), 2 * n - 1 - ops.mod(i, 2 * n)),
}
_INTERPOLATIONS = ("bilinear", "nearest")


def _sample(x: Tensor, places: Sequence[Tensor], linear: bool, fill_mode: str, fill_value: Any) -> Tensor:
    """(batch, *sizes, channels) at one (batch, points) of places an axis -> (batch, points, channels); ints are rounded."""
    dtype = ops.dtype(x)
    wide = ops.cast(x, dtypes.result_type(dtype, "float32") if dtypes.is_float(dtype) else "float32")
    sizes = ops.shape(x)[1:-1]
    flat = ops.reshape(wide, (-1, math.prod(sizes), x.shape[-1]))
    places = [ops.cast(p, ops.dtype(wide)) for p in places]
    axes = []
    for p, n in zip(places, sizes):
        if linear:
            low = ops.floor(p)
            corners = [(low, 1.0 - (p - low)), (low + 1.0, p - low)]
        else:
            corners = [(ops.sign(p) * ops.floor(ops.abs(p) + 0.5), None)]
        axes.append([(ops.cast(i, "int32"), weight, n) for i, weight in corners])
    total: Any = 0.0
    for corner in product(*axes):
        index: Any = 0
        weight: Any = None
        inside: Any = True
        for i, w, n in corner:
            index = index * n + _FILLS[fill_mode](i, n)
            weight = w if weight is None else weight * w
            inside = ops.logical_and(inside, ops.logical_and(i >= 0, i < n))
        found = ops.take_along_axis(flat, ops.expand_dims(index, 2), 1)
        if fill_mode == "constant":
            found = ops.where(ops.expand_dims(inside, 2), found, ops.cast(fill_value, ops.dtype(found)))
        total = total + (found if weight is None else found * ops.expand_dims(weight, 2))
    return ops.saturate_cast(ops.round(total), dtype) if dtypes.is_int(dtype) else ops.cast(total, dtype)


@op(name="image.map_coordinates")
def map_coordinates(
    inputs: TensorLike, coordinates: TensorLike, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """``inputs`` at any places, between its samples too.

    Args:
        coordinates: one tensor of places for each axis of ``inputs``.
        order: 0 takes the nearest sample, 1 interpolates linearly.
        fill_mode: what is outside of a b c d: "constant" k k a b c d k k with ``fill_value`` for k,
            "nearest" a a a b c d d d, "wrap" c d a b c d a b, "mirror" c b a b c d c b, "reflect" b a a b c d d c.

    Shapes: (n1, ..., nk), (k, ...) -> (...).
    """
    who = "image.map_coordinates"
    check.one_of(who, "order", order, (0, 1))
    check.one_of(who, "fill_mode", fill_mode, tuple(_FILLS))
    rank = len(inputs.shape)
    if len(coordinates.shape) < 2 or coordinates.shape[0] != rank:
        check.fail(who, f"coordinates must be ({rank}, ...), one tensor an axis, got {tuple(coordinates.shape)}")
    places = [ops.reshape(coordinates[i], (1, -1)) for i in range(rank)]
    found = _sample(inputs[None, ..., None], places, order == 1, fill_mode, fill_value)
    return ops.reshape(found, tuple(coordinates.shape)[1:])


def _batch(who: str, images: Tensor, data_format: str | None) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``images`` as (batch, height, width, channels), and how to give a result the form they had."""
    last = config.standardize_data_format(who, data_format) == "channels_last"
    single = len(images.shape) == 3
    if len(images.shape) not in (3, 4):
        check.fail(who, f"images must have rank 3 or 4, got shape {tuple(images.shape)}")
    x = ops.expand_dims(images, 0) if single else images

    def back(y: Tensor) -> Tensor:
        y = y if last else ops.transpose(y, (0, 3, 1, 2))
        return y[0] if single else y

    return (x if last else ops.transpose(x, (0, 2, 3, 1))), back


def _grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """The row and the column of every pixel, (1, height * width)."""
    height, width = ops.shape(x)[1:3]
    m = np if isinstance(height, int) and isinstance(width, int) else ops
    rows, columns = m.meshgrid(m.arange(height), m.arange(width), indexing="ij")
    return tuple(ops.reshape(ops.cast(g, "float32"), (1, -1)) for g in (rows, columns))


def _projected(x: Tensor, matrices: Tensor, interpolation: str, fill_mode: str, fill_value: float) -> Tensor:
    """Each pixel (column, row) comes from where its matrix, a0 a1 a2 b0 b1 b2 c0 c1 1, maps it."""
    rows, columns = _grid(x)
    # One row a matrix and one a picture, whichever are more.
    m = ops.cast(matrices, "float32") + ops.cast(ops.zeros_like(x[:, :1, 0, 0]), "float32")
    a = [m[:, i : i + 1] for i in range(8)]
    k = a[6] * columns + a[7] * rows + 1.0
    places = [(a[3] * columns + a[4] * rows + a[5]) / k, (a[0] * columns + a[1] * rows + a[2]) / k]
    found = _sample(x, places, interpolation == "bilinear", fill_mode, fill_value)
    return ops.reshape(found, (-1, *ops.shape(x)[1:]))


@op(name="image.affine_transform")
def affine_transform(
    images: TensorLike,
    transform: TensorLike,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixel (x, y) is what was at ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k), k = c0 x + c1 y + 1.

    Args:
        transform: a0, a1, a2, b0, b1, b2, c0, c1, for all images or a row for each.
        interpolation: "bilinear" or "nearest".
        fill_mode: as in ``map_coordinates``.

    Shapes: (batch, height, width, channels) or (height, width, channels); transform (8,) or (batch, 8).
    """
    who = "image.affine_transform"
    check.one_of(who, "interpolation", interpolation, _INTERPOLATIONS)
    check.one_of(who, "fill_mode", fill_mode, tuple(_FILLS))
    if len(transform.shape) not in (1, 2) or transform.shape[-1] != 8:
        check.fail(who, f"transform must be (8,) or (batch, 8), got {tuple(transform.shape)}")
    x, back = _batch(who, images, data_format)
    matrices = ops.reshape(transform, (-1, 8))
    return back(_projected(x, matrices, interpolation, fill_mode, fill_value))


@op(name="image.perspective_transform")
def perspective_transform(
    images: TensorLike,
    start_points: TensorLike,
    end_points: TensorLike,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images in which what was at four points comes to lie at four others, as in another perspective.

    Args:
        start_points: four (x, y) in the images.
        end_points: where they come to lie.
        interpolation: "bilinear" or "nearest".
        fill_value: of what comes from outside.

    Shapes: (batch, height, width, channels) or (height, width, channels); points (4, 2) or (batch, 4, 2).
    """
    who = "image.perspective_transform"
    check.one_of(who, "interpolation", interpolation, _INTERPOLATIONS)
    for name, points in (("start_points", start_points), ("end_points", end_points)):
        if len(points.shape) not in (2, 3) or tuple(points.shape)[-2:] != (4, 2):
            check.fail(who, f"{name} must be (4, 2) or (batch, 4, 2), got {tuple(points.shape)}")
    x, back = _batch(who, images, data_format)
    start, end = (ops.reshape(ops.cast(p, "float32"), (-1, 4, 2)) for p in (start_points, end_points))
    return back(_projected(x, perspective_matrix(start, end), interpolation, "constant", fill_value))


def perspective_matrix(start: Tensor, end: Tensor) -> Tensor:
    """The ``transform`` of ``affine_transform`` that shows at four ``end`` points what was at ``start``; (batch, 4, 2)."""
    start, end = start + ops.zeros_like(end), end + ops.zeros_like(start)
    # Two equations a point: (u, v) = ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k) at each end point (x, y).
    (px, py), (u, v) = ([p[..., 0], p[..., 1]] for p in (end, start))
    one, zero = ops.ones_like(px), ops.zeros_like(px)
    rows_u = ops.stack([px, py, one, zero, zero, zero, -u * px, -u * py], -1)
    rows_v = ops.stack([zero, zero, zero, px, py, one, -v * px, -v * py], -1)
    right = ops.expand_dims(ops.concatenate([u, v], 1), 2)
    return ops.reshape(ops.solve(ops.concatenate([rows_u, rows_v], 1), right), (-1, 8))


def gaussian(size: int, sigma: Any) -> Tensor:
    """``size`` samples of a bell of standard deviation ``sigma`` about the middle; their sum is 1."""
    places = ops.convert_to_tensor(np.arange(size, dtype="float32") - (size - 1) / 2)
    weights = ops.exp(-0.5 * ops.square(places / sigma))
    return weights / ops.sum(weights)


def blurred(x: Tensor, kernels: Sequence[Tensor], padding: str = "same") -> Tensor:
    """(batch, height, width, channels) under one kernel down the columns and one along the rows."""
    for axis, kernel in enumerate(kernels):
        shape = [1, 1, 1, 1]
        shape[axis] = kernel.shape[0]
        window = ops.tile(ops.reshape(ops.cast(kernel, ops.dtype(x)), shape), (1, 1, x.shape[-1], 1))
        x = ops.depthwise_conv(x, window, padding=padding, data_format="channels_last")
    return x


@op(name="image.elastic_transform")
def elastic_transform(
    images: TensorLike,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | SeedGenerator | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images whose pixels are displaced at random, near ones alike (https://doi.org/10.1109/ICDAR.2003.1227801).

    Args:
        alpha: factor of the displacements, which without it have a standard deviation of about 0.28 pixels.
        sigma: standard deviation, in pixels, of the Gaussian that smooths them.
        interpolation: "bilinear" or "nearest".
        fill_mode: as in ``map_coordinates``.
    """
    who = "image.elastic_transform"
    check.one_of(who, "interpolation", interpolation, _INTERPOLATIONS)
    check.one_of(who, "fill_mode", fill_mode, tuple(_FILLS))
    x, back = _batch(who, images, data_format)
    noise = _normal((*ops.shape(x)[:3], 2), draw_seed(seed), "float32")
    return back(displaced(x, noise * float(alpha * sigma), float(sigma), interpolation, fill_mode, fill_value))


def displaced(
    x: Tensor, noise: Tensor, sigma: float, interpolation: str, fill_mode: str, fill_value: float = 0.0
) -> Tensor:
    """(batch, height, width, channels) with each pixel taken from ``noise`` (batch, height, width, 2) away, smoothed."""
    rows, columns = _grid(x)
    kernel = gaussian(2 * max(1, round(3 * sigma)) + 1, sigma)
    shifts = ops.reshape(blurred(noise, [kernel, kernel]), (-1, ops.shape(rows)[1], 2))
    places = [rows + shifts[..., 0], columns + shifts[..., 1]]
    found = _sample(x, places, interpolation == "bilinear", fill_mode, fill_value)
    return ops.reshape(found, (-1, *ops.shape(x)[1:]))
