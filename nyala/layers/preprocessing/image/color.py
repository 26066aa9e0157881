"""Colours of images changed at random: brightness, contrast, hue, sharpness and the like."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nyala import ops, random
from nyala._typing import Tensor
from nyala.base import check
from nyala.layers.preprocessing.image.base import (
    BaseImagePreprocessingLayer,
    by_image,
    clipped,
    factor_range,
    rescaled,
    value_range_of,
    where_chosen,
)
from nyala.ops.warp import blurred


def _mixed(x: Tensor, y: Tensor, weight: Any) -> Tensor:
    """x + weight * (y - x): ``x`` for weight 0, ``y`` for 1, further from ``x`` beyond."""
    return x + by_image(weight, x) * (y - x)


def _gray(x: Tensor) -> Tensor:
    return ops.image.rgb_to_grayscale(x, data_format="channels_last") if x.shape[-1] == 3 else x


class _Colour(BaseImagePreprocessingLayer):
    """Base of the layers that change the values of pixels by a random factor.

    Args: factor: a range (lower, upper), or a number f for (-f, f), or (0, f) where it cannot be negative.
    """

    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    config_order = (*BaseImagePreprocessingLayer.config_order, "factor", "value_range", "seed")
    listed: ClassVar[bool] = False
    """Whether configs show the range of values as a list, as those of Keras do for some."""

    def _set(self, factor: Any, value_range: Any, seed: Any) -> None:
        if factor is not None:
            self.factor = factor_range(self, "factor", factor, *self.bounds)
        self.value_range = value_range_of(self, value_range)
        if self.listed:
            self.value_range = sorted(self.value_range)
        self._set_seed(seed)

    def _in_unit(self, x: Tensor) -> Tensor:
        return rescaled(x, self.value_range, (0.0, 1.0))

    def _from_unit(self, x: Tensor) -> Tensor:
        return rescaled(ops.clip(x, 0.0, 1.0), (0.0, 1.0), self.value_range)


class RandomBrightness(_Colour):
    """All values of an image shifted by a random part of the range of values.

    Args: factor: in [-1, 1]: -1 makes it black, 1 white.
    """

    keeps_ints = True
    listed = True

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._set(factor, value_range, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        low, high = self.value_range
        return {"rgb_delta": self._drawn((shape[0], 1, 1, 1), self.factor, seed) * float(high - low)}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return clipped(x + by_image(t["rgb_delta"], x), self.value_range)


class RandomContrast(_Colour):
    """Values pushed away from the mean of their image and channel, or towards it, by a random factor.

    Args: factor: (lower, upper) in [0, 1], for a factor in [1 - lower, 1 + upper]; a number f for (0, f).
    """

    bounds = (0.0, 1.0)

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._set(factor, value_range, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        low, high = self.factor
        return {"contrast_factor": self._drawn((shape[0], 1, 1, 1), (1.0 - low, 1.0 + high), seed)}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        mean = ops.mean(x, (1, 2), keepdims=True)
        return clipped(_mixed(mean, x, t["contrast_factor"]), self.value_range)


class _ColourFactor(_Colour):
    """Base of those with one factor an image and the same signature."""

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None, seed: Any = None, **kwargs: Any
    ):
        super().__init__(data_format=data_format, **kwargs)
        self._set(factor, value_range, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return {"factor": self._drawn((shape[0],), self.factor, seed)}


class RandomColorDegeneration(_ColourFactor):
    """Images mixed with their shades of gray.

    Args: factor: the part of gray: 0 changes nothing, 1 leaves no colour.
    """

    listed = True

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return clipped(_mixed(x, _gray(x), t["factor"]), self.value_range)


class RandomHue(_ColourFactor):
    """Colours turned on their circle, by up to half of the factor of a full turn, one way or the other.

    Args: factor: in [0, 1].
    """

    bounds = (0.0, 1.0)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        size = self._drawn((shape[0],), self.factor, seed)
        other_way = random.uniform((shape[0],), dtype="float32", seed=seed) > 0.5
        return {"factor": ops.where(other_way, -size, size) * 0.5}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        hsv = ops.image.rgb_to_hsv(ops.clip(self._in_unit(x), 0.0, 1.0), data_format="channels_last")
        hue = hsv[..., :1] + by_image(t["factor"], x)
        turned = ops.concatenate([hue - ops.floor(hue), hsv[..., 1:]], -1)
        return self._from_unit(ops.image.hsv_to_rgb(turned, data_format="channels_last"))


class RandomSaturation(_ColourFactor):
    """Paler or stronger colours: the saturation times f / (1 - f) for a random f.

    Args: factor: the range of f: 0 and below leaves no colour, 0.5 changes nothing, 1 is as strong as can be.
    """

    listed = True

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        f = self._drawn((shape[0],), self.factor, seed)
        return {"factor": f / ops.maximum(1.0 - f, 1e-6)}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        hsv = ops.image.rgb_to_hsv(ops.clip(self._in_unit(x), 0.0, 1.0), data_format="channels_last")
        saturation = ops.clip(hsv[..., 1:2] * by_image(t["factor"], x), 0.0, 1.0)
        changed = ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], -1)
        return self._from_unit(ops.image.hsv_to_rgb(changed, data_format="channels_last"))


class RandomSharpness(_ColourFactor):
    """Images mixed with a smoothed copy of themselves.

    Args: factor: in [0, 1]: 0 is the smoothed copy, 0.5 changes nothing, 1 is as much sharper as the copy is smoother.
    """

    bounds = (0.0, 1.0)
    listed = True

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        weights = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], "float32")[..., None, None] / 13
        kernel = ops.tile(ops.convert_to_tensor(weights, ops.dtype(x)), (1, 1, x.shape[-1], 1))
        smooth = ops.depthwise_conv(x, kernel, padding="same", data_format="channels_last")
        return clipped(_mixed(smooth, x, 2.0 * ops.cast(t["factor"], "float32")), self.value_range)


class RandomPosterization(_ColourFactor):
    """Fewer shades: the lower bits of each value are set to 0.

    Args: factor: how many of 8 bits are kept, a number n for 1 to n, or a range (lower, upper).
    """

    bounds = (1, 8)
    listed = True

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        low, high = (int(f) for f in self.factor)
        bits = random.randint((shape[0],), low, high + 1, seed=seed)
        return {"shift_factor": ops.cast(8 - bits, "uint8")}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        whole = ops.floor(rescaled(clipped(x, self.value_range), self.value_range, (0.0, 255.0)))
        step = by_image(2.0 ** ops.cast(t["shift_factor"], "float32"), x)
        return rescaled(ops.floor(whole / step) * step, (0.0, 255.0), self.value_range)


class RandomGrayscale(BaseImagePreprocessingLayer):
    """Images without colour, with a given probability.

    Args: factor: the probability, in [0, 1].
    """

    keeps_ints = True
    config_skip = BaseImagePreprocessingLayer.config_skip | {"seed"}

    def __init__(self, factor: Any = 0.5, data_format: str | None = None, seed: Any = None, **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self.factor = check.number_in(self, "factor", factor, 0, 1)
        self._set_seed(seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return random.uniform((shape[0], 1, 1, 1), dtype="float32", seed=seed) < float(self.factor)

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return where_chosen(t, ops.broadcast_to(_gray(x), ops.shape(x)), x)


class RandomInvert(_Colour):
    """Negatives of images: dark becomes bright.

    Args: factor: range (lower, upper) of the probability that an image is changed; a number f for (0, f).
    """

    bounds = (0.0, 1.0)

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self._set(factor, value_range, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return {"apply_inversion": self._chosen(shape[0], self.factor, seed)}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return where_chosen(t["apply_inversion"], float(sum(self.value_range)) - x, x)


class Solarization(_Colour):
    """Negatives of all that is brighter than a threshold, after an addition.

    Args:
        addition_factor: range of the addition, in parts of the range of values, in [0, 1]; a number f for (0, f).
        threshold_factor: the same of the threshold.
    """

    listed = True
    config_order = (
        *BaseImagePreprocessingLayer.config_order,
        "value_range",
        "addition_factor",
        "threshold_factor",
        "seed",
    )

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = (0, 255),
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._set(None, value_range, seed)
        self.addition_factor = factor_range(self, "addition_factor", addition_factor, 0)
        self.threshold_factor = factor_range(self, "threshold_factor", threshold_factor, 0)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        one = (shape[0], 1, 1, 1)
        additions, thresholds = (self._drawn(one, f, seed) for f in (self.addition_factor, self.threshold_factor))
        return {"additions": additions * 255.0, "thresholds": thresholds * 255.0}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        whole = (0.0, 255.0)
        x = clipped(rescaled(x, self.value_range, whole) + by_image(t["additions"], x), whole)
        return rescaled(ops.where(x < by_image(t["thresholds"], x), x, 255.0 - x), whole, self.value_range)


class RandomGaussianBlur(_Colour):
    """Images blurred by a bell-shaped filter.

    Args:
        factor: range (lower, upper) of the probability that an image is changed; a number f for (0, f).
        kernel_size: width and height of the filter, in pixels.
        sigma: range of the bell's standard deviation in pixels; a number f for (0, f).
    """

    bounds = (0.0, 1.0)
    config_order = (*BaseImagePreprocessingLayer.config_order, "factor", "kernel_size", "sigma", "value_range", "seed")

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: Any = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self._set(factor, value_range, seed)
        self.kernel_size = check.ints(self, "kernel_size", kernel_size, 2)
        self.sigma = factor_range(self, "sigma", sigma, 0, float("inf"))

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        chosen = self._chosen(shape[0], self.factor, seed)
        return {"should_apply_blur": chosen, "blur_factor": self._drawn((2,), self.sigma, seed)}

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        sigmas = ops.maximum(ops.cast(t["blur_factor"], "float32"), 1e-3)
        kernels = []
        for i, size in enumerate(self.kernel_size):
            places = ops.convert_to_tensor(np.arange(size, dtype="float32") - (size - 1) / 2)
            weights = ops.exp(-0.5 * ops.square(places / sigmas[i]))
            kernels.append(weights / ops.sum(weights))
        return where_chosen(t["should_apply_blur"], clipped(blurred(x, kernels[::-1]), self.value_range), x)


class RandomColorJitter(_Colour):
    """Brightness, contrast, saturation and hue changed at random, one after the other.

    Args: brightness_factor, contrast_factor, saturation_factor, hue_factor: as of ``RandomBrightness``, ``RandomContrast``,
        ``RandomSaturation`` and ``RandomHue``; ``None`` leaves that out.
    """

    config_order = (*BaseImagePreprocessingLayer.config_order, "value_range")

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self._set(None, value_range, seed)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        parts = [
            (RandomBrightness, brightness_factor),
            (RandomContrast, contrast_factor),
            (RandomSaturation, saturation_factor),
            (RandomHue, hue_factor),
        ]
        shared: dict[str, Any] = {"value_range": value_range, "seed": self.generator, "data_format": "channels_last"}
        self._parts = [make(factor, **shared) for make, factor in parts if factor is not None]

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return [part.draw(shape, seed) for part in self._parts]

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        for part, drawn in zip(self._parts, t):
            x = part.change_images(x, drawn)
        return x
