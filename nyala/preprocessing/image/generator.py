"""``ImageDataGenerator``: batches of images, changed at random, from arrays, folders and tables."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.backends import dtypes
from nyala.base import check, config, old
from nyala.preprocessing.image import transforms
from nyala.preprocessing.image.iterators import DataFrameIterator, DirectoryIterator, NumpyArrayIterator


class ImageDataGenerator:
    """Makes batches of images, each changed at random, while a model trains.

    Amounts are drawn from ``numpy.random`` in the order that Keras 2 draws them, so the same seed gives the same images.

    Args:
        featurewise_center, featurewise_std_normalization: take the mean off and divide by the deviation that ``fit`` found.
        samplewise_center, samplewise_std_normalization: the same by each image's own.
        zca_whitening: decorrelate the pixels by the matrix that ``fit`` found; ``zca_epsilon`` keeps it finite.
        rotation_range: degrees either way.
        width_shift_range, height_shift_range: a fraction (< 1) or number of pixels either way, or the amounts to choose from.
        brightness_range: least and greatest factor.
        shear_range: degrees either way. zoom_range: ``[least, greatest]`` factor, or z for ``[1 - z, 1 + z]``.
        channel_shift_range: added to all values, either way.
        fill_mode, cval: what lies outside, see ``transforms``. interpolation_order: of splines between pixels, 0 to 5.
        horizontal_flip, vertical_flip: mirror half of the images.
        rescale: factor for the values. preprocessing_function: of one image (height, width, channels), before it.
        data_format: default the global one. dtype: of the batches, default ``floatx()``.
        validation_split: the fraction of the images that ``subset="validation"`` takes.
    """

    @old.takes(dim_ordering="data_format")
    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-06,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Any = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[np.ndarray], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ):
        self.data_format = config.standardize_data_format(self, data_format)
        self.dtype = dtypes.standardize(dtype)
        self.featurewise_center = featurewise_center
        self.samplewise_center = samplewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.rotation_range = check.number_in(self, "rotation_range", rotation_range)
        for name, shift in (("width", width_shift_range), ("height", height_shift_range)):
            for amount in shift if isinstance(shift, (list, tuple, np.ndarray)) else [shift]:
                check.number_in(self, f"{name}_shift_range", amount)
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.shear_range = check.number_in(self, "shear_range", shear_range)
        self.channel_shift_range = check.number_in(self, "channel_shift_range", channel_shift_range)
        self.fill_mode = check.one_of(self, "fill_mode", fill_mode, transforms.FILL_MODES)
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.interpolation_order = interpolation_order
        self.validation_split = check.number_in(self, "validation_split", validation_split, 0.0, 1.0, open_high=True)
        if isinstance(zoom_range, (int, float)):
            zoom_range = [1 - zoom_range, 1 + zoom_range]
        self.zoom_range = list(transforms.pair(self, "zoom_range (or a number)", zoom_range))
        self.brightness_range = (
            None if brightness_range is None else transforms.pair(self, "brightness_range", brightness_range)
        )
        first = self.data_format == "channels_first"
        self.channel_axis, self.row_axis, self.col_axis = (1, 2, 3) if first else (3, 1, 2)
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self.zca_whitening_matrix: np.ndarray | None = None
        self._implied("zca_whitening", featurewise_center=True, featurewise_std_normalization=False)
        self._implied("featurewise_std_normalization", featurewise_center=True)
        self._implied("samplewise_std_normalization", samplewise_center=True)

    def _implied(self, cause: str, **settings: bool) -> None:
        for name, value in settings.items():
            if getattr(self, cause) and getattr(self, name) != value:
                warnings.warn(f"ImageDataGenerator: {cause} sets {name}={value}", stacklevel=3)
                setattr(self, name, value)

    # -- sources -----------------------------------------------------------------------------------------------------

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Endless batches ``(x, y)``, ``(x, y, sample_weight)`` or ``x`` from arrays in memory.

        Args:
            x: images (n, height, width, channels), or ``(images, [other inputs])``. y: labels (n, ...).
            seed: of order and changes. save_to_dir: a folder that the images are also written to.
            subset: ``"training"`` or ``"validation"``, with ``validation_split``.
            ignore_class_split: allow that the two subsets have different classes.
        """
        return NumpyArrayIterator(
            x, y, self, batch_size, shuffle, sample_weight, seed, self.data_format, save_to_dir, save_prefix,
            save_format, subset, ignore_class_split, self.dtype,
        )  # fmt: skip

    def flow_from_directory(
        self,
        directory: str | os.PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Endless batches from a folder with a folder a class; see ``DirectoryIterator``."""
        return DirectoryIterator(
            directory, self, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, self.data_format,
            save_to_dir, save_prefix, save_format, follow_links, subset, interpolation, keep_aspect_ratio, self.dtype,
        )  # fmt: skip

    def flow_from_dataframe(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Any = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        validate_filenames: bool = True,
        **kwargs: Any,
    ) -> DataFrameIterator:
        """Endless batches of the files that a table names; see ``DataFrameIterator``."""
        for gone in ("has_ext", "sort"):
            if gone in kwargs:
                warnings.warn(f"flow_from_dataframe: {gone} has no meaning any more", DeprecationWarning, stacklevel=2)
                kwargs.pop(gone)
        if kwargs.pop("drop_duplicates", False):
            dataframe = dataframe.drop_duplicates(x_col)
        check.no_extra("flow_from_dataframe", kwargs, ("x_col", "y_col", "weight_col", "class_mode", "target_size"))
        return DataFrameIterator(
            dataframe, directory, self, x_col, y_col, weight_col, target_size, color_mode, classes, class_mode,
            batch_size, shuffle, seed, self.data_format, save_to_dir, save_prefix, save_format, subset, interpolation,
            False, self.dtype, validate_filenames,
        )  # fmt: skip

    # -- single images -----------------------------------------------------------------------------------------------

    def get_random_transform(self, img_shape: tuple[int, ...], seed: int | None = None) -> dict[str, Any]:
        """The drawn amounts for one image, as ``apply_transform`` takes them."""
        if seed is not None:
            np.random.seed(seed)
        uniform = np.random.uniform
        theta = uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = self._shift(self.height_shift_range, img_shape[self.row_axis - 1])
        ty = self._shift(self.width_shift_range, img_shape[self.col_axis - 1])
        shear = uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = (1, 1) if self.zoom_range == [1, 1] else uniform(self.zoom_range[0], self.zoom_range[1], 2)
        horizontal, vertical = (
            (np.random.random() < 0.5) * flip for flip in (self.horizontal_flip, self.vertical_flip)
        )
        shift = uniform(-self.channel_shift_range, self.channel_shift_range) if self.channel_shift_range else None
        brightness = None if self.brightness_range is None else uniform(*self.brightness_range)
        return {
            "theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy, "flip_horizontal": horizontal,
            "flip_vertical": vertical, "channel_shift_intensity": shift, "brightness": brightness,
        }  # fmt: skip

    @staticmethod
    def _shift(amount: Any, size: int) -> Any:
        if np.ndim(amount) == 0 and not amount:
            return 0
        if np.ndim(amount) or check.is_int(amount):
            shift = np.random.choice(amount) * np.random.choice([-1, 1])
        else:
            shift = np.random.uniform(-amount, amount)
        return shift * size if np.max(amount) < 1 else shift

    def apply_transform(self, x: np.ndarray, transform_parameters: dict[str, Any]) -> np.ndarray:
        """One image changed by given amounts: ``theta``, ``tx``, ``ty``, ``shear``, ``zx``, ``zy``, ``flip_horizontal``,
        ``flip_vertical``, ``channel_shift_intensity``, ``brightness``; each may be missing.
        """
        amounts = transform_parameters
        row, col, channel = self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1
        moved = {k: amounts[k] for k in ("theta", "tx", "ty", "shear", "zx", "zy") if k in amounts}
        x = transforms.apply_affine_transform(
            x, **moved, row_axis=row, col_axis=col, channel_axis=channel, fill_mode=self.fill_mode, cval=self.cval,
            order=self.interpolation_order,
        )  # fmt: skip
        if amounts.get("channel_shift_intensity") is not None:
            x = transforms.apply_channel_shift(x, amounts["channel_shift_intensity"], channel)
        if amounts.get("flip_horizontal", False):
            x = transforms.flip_axis(x, col)
        if amounts.get("flip_vertical", False):
            x = transforms.flip_axis(x, row)
        if amounts.get("brightness") is not None:
            x = np.moveaxis(x, channel, 2)  # Pillow has the channels last
            x = np.moveaxis(transforms.apply_brightness_shift(x, amounts["brightness"], False), 2, channel)
        return x

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """One image changed at random."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """One image or a batch, rescaled and normalised as the generator is set to; floats are changed in place."""
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + 1e-6
        if (mean := self._found("mean", "featurewise_center")) is not None:
            x -= mean
        if (std := self._found("std", "featurewise_std_normalization")) is not None:
            x /= std + 1e-6
        if (matrix := self._found("zca_whitening_matrix", "zca_whitening")) is not None:
            x = np.reshape(x.reshape(-1, np.prod(x.shape[-3:])) @ matrix, x.shape)
        return x

    def _found(self, what: str, setting: str) -> Any:
        """What ``fit`` found for a setting, if that is on."""
        if not getattr(self, setting):
            return None
        if getattr(self, what) is None:
            warnings.warn(f"ImageDataGenerator: {setting} does nothing before fit(images)", stacklevel=3)
        return getattr(self, what)

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Find what ``featurewise_center``, ``featurewise_std_normalization`` and ``zca_whitening`` need.

        Args:
            x: images (n, height, width, channels).
            augment: look at images changed at random, ``rounds`` times each.
        """
        x = np.array(x, dtypes.numpy_dtype(self.dtype))
        if x.ndim != 4:
            check.fail(self, f"fit takes images with 4 axes, the first of them the batch, got shape {x.shape}")
        warn_about_channels(self, x, self.data_format, self.channel_axis)
        if seed is not None:
            np.random.seed(seed)
        if self.rescale:
            x *= self.rescale
        if augment:
            x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x])
        axes = (0, self.row_axis, self.col_axis)
        shape = tuple(x.shape[i] if i == self.channel_axis else 1 for i in (1, 2, 3))
        if self.featurewise_center:
            self.mean = np.mean(x, axes).reshape(shape)
            x -= self.mean
        if self.featurewise_std_normalization:
            self.std = std = np.std(x, axes).reshape(shape)
            x /= std + 1e-6
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            _, s, vt = np.linalg.svd(flat / np.sqrt(len(flat)), full_matrices=False)
            self.zca_whitening_matrix = (vt.T / np.sqrt(s**2 + self.zca_epsilon)) @ vt


def warn_about_channels(owner: Any, x: np.ndarray, data_format: str, axis: int) -> None:
    if x.shape[axis] not in (1, 3, 4):
        warnings.warn(
            f"{check.who(owner)}: images have 1, 3 or 4 channels, on axis {axis} with {data_format}; these have shape "
            f"{x.shape}",
            stacklevel=3,
        )
