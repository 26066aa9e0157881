"""Random sequences of the other layers of images: RandAugment and AugMix."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from nyala import backends, ops, random
from nyala._typing import Tensor
from nyala.backends import dtypes
from nyala.base import check
from nyala.base.seeds import SeedGenerator
from nyala.graph import infer
from nyala.layers.preprocessing.image.affine import RandomRotation, RandomShear, RandomTranslation
from nyala.layers.preprocessing.image.base import BaseImagePreprocessingLayer, factor_range, value_range_of
from nyala.layers.preprocessing.image.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomContrast,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from nyala.layers.preprocessing.image.histogram import AutoContrast, Equalization
from nyala.layers.preprocessing.image.mixing import gamma_logarithms

_CORRUPTIONS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class _Policy(BaseImagePreprocessingLayer):
    """Base of the layers that choose among others, for all images of a batch the same.

    Args:
        factor: range (lower, upper) of the strength of each, in [0, 1]; a number f for (0, f).
        interpolation: "bilinear" or "nearest", of those that move pixels.
    """

    def _set(self, value_range: Any, factor: Any, interpolation: str, seed: Any, without: tuple[str, ...] = ()) -> None:
        self.value_range = value_range_of(self, value_range)
        self.factor = pair = factor_range(self, "factor", factor, 0)
        self.interpolation = check.one_of(self, "interpolation", interpolation, ("bilinear", "nearest"))
        self._set_seed(seed)
        shared: dict[str, Any] = {"data_format": "channels_last"}
        drawn: dict[str, Any] = {"seed": self.generator, **shared}
        moved: dict[str, Any] = {"interpolation": interpolation, **drawn}
        coloured: dict[str, Any] = {"value_range": value_range, **drawn}
        bits = (1, max(1, int(8 * pair[1])))
        parts: dict[str, Callable[[], BaseImagePreprocessingLayer]] = {
            "random_shear": lambda: RandomShear(pair, pair, **moved),
            "random_translation": lambda: RandomTranslation(pair, pair, **moved),
            "random_rotation": lambda: RandomRotation(pair, **moved),
            "random_brightness": lambda: RandomBrightness(pair, **coloured),
            "random_color_degeneration": lambda: RandomColorDegeneration(pair, **coloured),
            "random_contrast": lambda: RandomContrast(pair, **coloured),
            "random_sharpness": lambda: RandomSharpness(pair, **coloured),
            "random_posterization": lambda: RandomPosterization(bits, **coloured),
            "solarization": lambda: Solarization(pair, pair, **coloured),
            "auto_contrast": lambda: AutoContrast(value_range, **shared),
            "equalization": lambda: Equalization(value_range, **shared),
        }
        self._parts = {name: make() for name, make in parts.items() if name not in without}

    def _steps(self, shape: tuple[Any, ...], count: tuple[int, ...], seed: Any) -> dict[str, Any]:
        """Which parts, and three seeds for each to draw by: kept, so that images, masks and boxes have the same draws."""
        return {
            "layer_idxes": random.randint(count, 0, len(self._parts), seed=seed),
            "seeds": random.randint((*count, 3, 2), 0, 2**31 - 1, seed=seed),
            "input_shape": shape,
        }

    def _run(self, x: Any, t: dict[str, Any], change: Callable[[Any, Any, Any], Any]) -> Any:
        """``x`` after ``change(x, part, draws)`` for each step; the index after the last part's is that of no change."""
        if infer.is_abstract():
            return x  # shapes and dtypes stay
        indices, seeds = ops.convert_to_tensor(t["layer_idxes"]), ops.convert_to_tensor(t["seeds"])

        def step(i: Any, x: Any) -> Any:
            kept = ops.cast(ops.take(seeds, i, 0), "uint32")

            def by(part: BaseImagePreprocessingLayer) -> Any:
                return change(x, part, part.draw(t["input_shape"], _Replay(kept)))

            branches = [*(functools.partial(by, part) for part in self._parts.values()), lambda: x]
            return _one_of(ops.take(indices, i, 0), branches)

        return _loop(indices.shape[0], step, x)

    def _changed(self, x: Tensor, t: dict[str, Any], masks: bool = False) -> Tensor:
        def change(x: Tensor, part: BaseImagePreprocessingLayer, drawn: Any) -> Tensor:
            return ops.cast(part.change_masks(x, drawn) if masks else part.change_images(x, drawn), ops.dtype(x))

        return self._run(x, t, change)


def _loop(count: int, step: Callable[[Any, Any], Any], x: Any) -> Any:
    """``x = step(i, x)`` for every i; only what is compiled needs it as an op."""
    if backends.current().is_tracing():
        return ops.fori_loop(0, count, step, x)
    for i in range(count):
        x = step(i, x)
    return x


def _one_of(index: Any, branches: list[Callable[[], Any]]) -> Any:
    return ops.switch(index, branches) if backends.current().is_tracing() else branches[int(index)]()


class _Replay(SeedGenerator):
    """A stream of seeds that were drawn before."""

    def __init__(self, seeds: Tensor):
        self._seeds = (seeds[i] for i in range(seeds.shape[0]))

    def next(self, ordered: bool = True) -> Tensor:
        return next(self._seeds)


class RandAugment(_Policy):
    """A few random changes of images, one after the other (https://arxiv.org/abs/1909.13719).

    Args: num_ops: how many.
    """

    geometric = True
    config_order = (
        *BaseImagePreprocessingLayer.config_order,
        "value_range",
        "num_ops",
        "factor",
        "interpolation",
        "seed",
    )

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.num_ops = check.positive_int(self, "num_ops", num_ops)
        self._set(value_range, factor, interpolation, seed)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        return self._steps(shape, (self.num_ops,), seed)

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return self._changed(x, t)

    def change_masks(self, x: Tensor, t: Any) -> Tensor:
        return self._changed(x, t, masks=True)

    def change_boxes(
        self, boxes: dict[str, Any], t: Any, size: tuple[Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any]]:
        def change(x: dict[str, Any], part: BaseImagePreprocessingLayer, drawn: Any) -> dict[str, Any]:
            return part.change_boxes(x, drawn, size)[0] if part.geometric else x

        return self._run({k: ops.convert_to_tensor(v) for k, v in boxes.items()}, t, change), size


class AugMix(_Policy):
    """Each image mixed with copies of it that went through random changes (https://arxiv.org/abs/1912.02781).

    Labels and bounding boxes stay. Masks of floats, as one-hot ones, are mixed as the images are; those of classes stay.

    Args:
        num_chains: how many copies.
        chain_depth: the most changes of a copy; their number is drawn from 0 to this.
        alpha: parameter of the Dirichlet distribution of the copies' shares, and of the beta distribution of the image's own.
        all_ops: whether brightness, colour, contrast and sharpness may change, too, as in the test sets of corrupted images.
    """

    config_order = (
        *BaseImagePreprocessingLayer.config_order,
        "value_range",
        "num_chains",
        "chain_depth",
        "factor",
        "alpha",
        "all_ops",
        "interpolation",
        "seed",
    )

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: Any = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(data_format=data_format, **kwargs)
        self.num_chains = check.positive_int(self, "num_chains", num_chains)
        self.chain_depth = check.positive_int(self, "chain_depth", chain_depth)
        self.alpha = check.number_in(self, "alpha", alpha, 0)
        self.all_ops = all_ops
        self._set(value_range, factor, interpolation, seed, () if all_ops else _CORRUPTIONS)

    def draw(self, shape: tuple[Any, ...], seed: Any) -> Any:
        count = (self.num_chains, self.chain_depth)
        steps = self._steps(shape, count, seed)
        depths = random.randint((self.num_chains, 1), 0, self.chain_depth + 1, seed=seed)
        logarithms = gamma_logarithms((2 + self.num_chains,), self.alpha, seed)
        inside = ops.arange(self.chain_depth, dtype="int32") < depths
        return {
            **steps,
            "layer_idxes": ops.where(inside, steps["layer_idxes"], len(self._parts)),
            "chain_mixing_weights": ops.softmax(logarithms[2:]),
            "weight_sample": ops.softmax(logarithms[:2])[0],
        }

    def change_images(self, x: Tensor, t: Any, nearest: bool = False) -> Tensor:
        return self._mixed(x, t)

    def change_masks(self, x: Tensor, t: Any) -> Tensor:
        return self._mixed(x, t, masks=True)

    def _mixed(self, x: Tensor, t: Any, masks: bool = False) -> Tensor:
        own = ops.cast(t["weight_sample"], ops.dtype(x))
        weights = ops.cast(t["chain_mixing_weights"], ops.dtype(x))

        def add(i: Any, total: Tensor) -> Tensor:
            chain = {k: ops.take(t[k], i, 0) for k in ("layer_idxes", "seeds")}
            return total + ops.take(weights, i) * self._changed(x, {**t, **chain}, masks)

        return own * x + (1.0 - own) * _loop(weights.shape[0], add, ops.zeros_like(x))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: bool | None = True
    ) -> Any:
        if not dtypes.is_float(ops.dtype(segmentation_masks)):
            return segmentation_masks
        return super().transform_segmentation_masks(segmentation_masks, transformation, training)
