"""Images whose values are spread over their range by what values they have."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.base import check
from nyala.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    clipped,
    rescaled,
    value_range_of,
)


class AutoContrast(BaseImagePreprocessingLayer):
    """Each channel stretched so that its darkest and brightest values are those of the range."""

    always = True

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any):
        super().__init__(**kwargs)
        self.value_range = sorted(value_range_of(self, value_range))

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        x = rescaled(x, self.value_range, (0.0, 255.0))
        low, high = ops.min(x, (1, 2), keepdims=True), ops.max(x, (1, 2), keepdims=True)
        flat = high == low
        stretched = (x - low) * (255.0 / ops.where(flat, 1.0, high - low))
        x = ops.where(flat, x, stretched)
        return clipped(rescaled(x, (0.0, 255.0), self.value_range), self.value_range)


def _histogram(places: Tensor, bins: int) -> Tensor:
    """How often each of ``bins`` ints occurs: (batch, n) -> (batch, bins)."""
    return ops.sum(ops.cast(ops.expand_dims(places, -1) == ops.arange(bins), "float32"), 1)


class Equalization(BaseImagePreprocessingLayer):
    """Values so that in each channel all are about as frequent.

    Args: bins: how many steps of the range of values are told apart.
    """

    config_order = (*BaseImagePreprocessingLayer.config_order, "bins")

    def __init__(self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = sorted(value_range_of(self, value_range))
        self.bins = check.positive_int(self, "bins", bins)

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        x = clipped(rescaled(x, self.value_range, (0.0, 255.0)), (0.0, 255.0))
        channels = [self._equalized(x[..., i]) for i in range(x.shape[-1])]
        return rescaled(ops.stack(channels, -1), (0.0, 255.0), self.value_range)

    def _equalized(self, x: Tensor) -> Tensor:
        flat = ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2]))
        top = float(self.bins - 1)
        places = ops.cast(ops.clip(flat * (top / 255.0), 0.0, top), "int32")
        total = ops.cumsum(_histogram(places, self.bins), 1)
        least = ops.min(ops.where(total > 0, total, float("inf")), 1, keepdims=True)
        count = total[:, -1:] - least
        table = ops.round((total - least) * 255.0 / ops.where(count == 0, 1.0, count))
        found = ops.take_along_axis(ops.clip(table, 0.0, 255.0), places, 1)
        return ops.reshape(ops.where(count == 0, flat, ops.cast(found, ops.dtype(flat))), ops.shape(x))


class ContrastLimitedAdaptiveHistogramEqualization(BaseImagePreprocessingLayer):
    """Equalization tile by tile, with a limit to how much contrast grows (https://doi.org/10.1016/B978-0-12-336156-1.50061-6).

    Args:
        clip_limit: how often a value may count, in multiples of the mean; what is above is shared out evenly.
            0 for no limit.
        tile_grid_size: how many tiles down and across.
    """

    always = True
    keeps_ints = True
    BINS = 256

    def __init__(
        self,
        value_range: Any = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Any = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.value_range = value_range_of(self, value_range)
        self.clip_limit = check.number_in(self, "clip_limit", clip_limit, 0)
        self.tile_grid_size = check.ints(self, "tile_grid_size", tile_grid_size, 2)

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        height, width = tuple(x.shape)[1:3]
        down, across = self.tile_grid_size
        x = clipped(rescaled(x, self.value_range, (0.0, 255.0)), (0.0, 255.0))
        pads = ((0, 0), (0, -height % down), (0, -width % across), (0, 0))
        places = ops.cast(ops.pad(x, pads, "symmetric"), "int32")
        h, w, channels = places.shape[1] // down, places.shape[2] // across, x.shape[-1]
        tiles = ops.transpose(ops.reshape(places, (-1, down, h, across, w, channels)), (0, 1, 3, 5, 2, 4))
        counts = _histogram(ops.reshape(tiles, (-1, h * w)), self.BINS)
        limit = self.clip_limit * h * w / self.BINS or float(h * w)
        over = ops.sum(ops.maximum(counts - limit, 0.0), 1, keepdims=True)
        total = ops.cumsum(ops.minimum(counts, limit) + over / self.BINS, 1)
        rest = total[:, -1:] - total[:, :1]
        tables = (total - total[:, :1]) * (255.0 / ops.where(rest == 0, 1.0, rest))
        return rescaled(self._looked_up(tables, places[:, :height, :width], h, w), (0.0, 255.0), self.value_range)

    def _looked_up(self, tables: Tensor, places: Tensor, h: int, w: int) -> Tensor:
        """Each value by the tables of the four nearest tiles, weighted by distance."""
        height, width, channels = tuple(places.shape)[1:]
        down, across = self.tile_grid_size
        total: Any = 0.0
        ys, xs = np.arange(height) / h - 0.5, np.arange(width) / w - 0.5
        flat = ops.reshape(tables, (-1, down * across * channels * self.BINS))
        for dy in (0, 1):
            for dx in (0, 1):
                rows, columns = np.floor(ys) + dy, np.floor(xs) + dx
                weight = (1 - np.abs(ys - rows))[:, None] * (1 - np.abs(xs - columns))[None]
                tile = np.clip(rows, 0, down - 1)[:, None] * across + np.clip(columns, 0, across - 1)[None]
                base = (tile[..., None] * channels + np.arange(channels)) * self.BINS
                index = places + ops.convert_to_tensor(base.astype("int32"))
                found = ops.take_along_axis(flat, ops.reshape(index, (-1, height * width * channels)), 1)
                found = ops.reshape(found, (-1, height, width, channels))
                total = total + found * ops.convert_to_tensor(weight[..., None].astype("float32"))
        return total
