"""Endless batches of images: from arrays, from folders, from a table of files."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator as PyIterator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nyala.backends import dtypes
from nyala.base import check, config
from nyala.training.data import PyDataset
from nyala.utils.images import INTERPOLATIONS, array_to_img, img_to_array, load_img, pillow

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
_SUBSETS = ("training", "validation")


class Iterator(PyDataset):
    """Batches by index, and one after the other without end.

    Args: n: samples. batch_size: samples a batch. shuffle: a new order each epoch. seed: of the order and all that is drawn.
    """

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = n
        self.batch_size = check.positive_int(self, "batch_size", batch_size)
        self.seed = seed
        self.shuffle = shuffle
        self.batch_index = 0
        self.total_batches_seen = 0
        self.lock = threading.Lock()
        self.index_array: np.ndarray | None = None
        self.index_generator = self._flow_index()

    def _set_index_array(self) -> None:
        self.index_array = np.random.permutation(self.n) if self.shuffle else np.arange(self.n)

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            check.fail(self, f"has {len(self)} batches, there is no batch {index}", IndexError)
        if self.seed is not None:
            np.random.seed(self.seed + self.total_batches_seen)
        self.total_batches_seen += 1
        if self.index_array is None:
            self._set_index_array()
        assert self.index_array is not None
        return self._get_batches_of_transformed_samples(
            self.index_array[self.batch_size * index : self.batch_size * (index + 1)]
        )

    def on_epoch_end(self) -> None:
        self._set_index_array()

    def reset(self) -> None:
        """Begin the next pass at its first batch."""
        self.batch_index = 0

    def _flow_index(self) -> PyIterator[np.ndarray]:
        self.reset()
        while True:
            if self.seed is not None:
                np.random.seed(self.seed + self.total_batches_seen)
            if self.n == 0:
                check.fail(self, "there are no images")
            if self.batch_index == 0 or self.index_array is None:
                self._set_index_array()
            assert self.index_array is not None
            at = self.batch_index * self.batch_size % self.n
            self.batch_index = self.batch_index + 1 if self.n > at + self.batch_size else 0
            self.total_batches_seen += 1
            yield self.index_array[at : at + self.batch_size]

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        with self.lock:
            index_array = next(self.index_generator)
        return self._get_batches_of_transformed_samples(index_array)

    def next(self) -> Any:
        """The next batch."""
        return self.__next__()

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        """The batch of the samples with these numbers."""
        raise NotImplementedError

    # What iterators of images share.

    image_data_generator: Any
    dtype: str
    data_format: str
    save_to_dir: Any
    save_prefix: str
    save_format: str

    def _changed(self, x: np.ndarray) -> np.ndarray:
        generator = self.image_data_generator
        if generator is None:
            return x
        return generator.standardize(generator.apply_transform(x, generator.get_random_transform(x.shape)))

    def _save(self, batch: np.ndarray, index_array: np.ndarray, numbers: int) -> None:
        if not self.save_to_dir:
            return
        for x, index in zip(batch, index_array):
            name = f"{self.save_prefix}_{index}_{np.random.randint(numbers)}.{self.save_format}"
            array_to_img(x, self.data_format, scale=True).save(os.path.join(self.save_to_dir, name))


def _packed(*parts: Any) -> Any:
    """``(x, y, sample_weight)`` as far as there is something, ``x`` alone without a tuple."""
    found = [p for p in parts if p is not None]
    return found[0] if len(found) == 1 else tuple(found)


class NumpyArrayIterator(Iterator):
    """Batches of arrays in memory; arguments as for ``ImageDataGenerator.flow``."""

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ):
        from nyala.preprocessing.image.generator import warn_about_channels

        self.data_format = config.standardize_data_format(self, data_format)
        self.dtype = dtypes.standardize(dtype)
        others: Any = []
        if isinstance(x, (tuple, list)) and len(x) > 0 and not np.isscalar(x[0]) and not isinstance(x[0], list):
            x, others = (x[0], [x[1]] if not isinstance(x[1], (list, tuple)) else x[1]) if len(x) == 2 else (x, [])
        x = np.asarray(x, dtypes.numpy_dtype(self.dtype))
        parts = {"x": x, "y": y, "sample_weight": sample_weight, **{f"x[1][{i}]": a for i, a in enumerate(others)}}
        arrays = {k: None if a is None else np.asarray(a) for k, a in parts.items()}
        for name, array in arrays.items():
            if array is not None and len(array) != len(x):
                check.fail(self, f"x and {name} must be equally long, got {len(x)} and {len(array)}")
        if x.ndim != 4:
            check.fail(self, f"images must be an array with 4 axes, the first of them the batch, got shape {x.shape}")
        if subset is not None:
            arrays = self._split(arrays, subset, image_data_generator.validation_split, ignore_class_split)
        self.x: np.ndarray = arrays.pop("x")  # type: ignore[assignment]
        self.y, self.sample_weight = arrays.pop("y"), arrays.pop("sample_weight")
        self.x_misc = list(arrays.values())
        warn_about_channels(self, self.x, self.data_format, 3 if self.data_format == "channels_last" else 1)
        self.image_data_generator = image_data_generator
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _split(self, arrays: dict[str, Any], subset: str, fraction: float, ignore_classes: bool) -> dict[str, Any]:
        check.one_of(self, "subset", subset, _SUBSETS)
        at = int(len(arrays["x"]) * fraction)
        y = arrays["y"]
        if y is not None and not ignore_classes and set(np.unique(y[:at])) != set(np.unique(y[at:])):
            check.fail(
                self, "training and validation subset have different classes; shuffle the arrays or give "
                "ignore_class_split=True",
            )  # fmt: skip
        part = slice(None, at) if subset == "validation" else slice(at, None)
        return {k: None if a is None else a[part] for k, a in arrays.items()}

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        kind = dtypes.numpy_dtype(self.dtype)
        batch = np.stack([self._changed(self.x[i].astype(kind)) for i in index_array]).astype(kind, copy=False)
        self._save(batch, index_array, 10_000)
        x = [batch, *(a[index_array] for a in self.x_misc if a is not None)] if self.x_misc else batch
        if self.y is None:
            return x
        return _packed(x, self.y[index_array], None if self.sample_weight is None else self.sample_weight[index_array])


class _FileIterator(Iterator):
    """Batches of image files: ``filepaths``, ``labels`` and ``sample_weight`` say which."""

    class_mode: str | None
    num_classes: int
    sample_weight: np.ndarray | None = None
    filepaths: list[str]
    labels: Any

    def _set_up(
        self, image_data_generator: Any, target_size: Any, color_mode: str, data_format: str | None, save_to_dir: Any,
        save_prefix: str, save_format: str, subset: str | None, interpolation: str, keep_aspect_ratio: bool, dtype: Any,
    ) -> None:  # fmt: skip
        pillow()
        self.image_data_generator = image_data_generator
        height, width = check.ints(self, "target_size", target_size, 2)
        self.target_size = height, width
        self.color_mode = check.one_of(self, "color_mode", color_mode, tuple(_CHANNELS))
        self.data_format = config.standardize_data_format(self, data_format)
        channels = (_CHANNELS[color_mode],)
        first = self.data_format == "channels_first"
        self.image_shape = (*channels, *self.target_size) if first else (*self.target_size, *channels)
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        self.interpolation = check.one_of(self, "interpolation", interpolation, INTERPOLATIONS)
        self.keep_aspect_ratio = keep_aspect_ratio
        self.dtype = dtypes.standardize(dtype)
        self.subset = subset
        self.split: tuple[float, float] | None = None
        if subset is not None:
            fraction = image_data_generator.validation_split
            self.split = (
                (0, fraction) if check.one_of(self, "subset", subset, _SUBSETS) == "validation" else (fraction, 1)
            )

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        batch = np.empty((len(index_array), *self.image_shape), dtypes.numpy_dtype(self.dtype))
        for k, i in enumerate(index_array):
            image = load_img(
                self.filepaths[i], self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
            )
            batch[k] = self._changed(img_to_array(image, self.data_format))
        self._save(batch, index_array, 10_000_000)
        weights = None if self.sample_weight is None else self.sample_weight[index_array]
        if self.class_mode is None:
            return batch
        return _packed(batch, self._targets(batch, index_array), weights)

    def _targets(self, batch: np.ndarray, index_array: np.ndarray) -> Any:
        kind = dtypes.numpy_dtype(self.dtype)
        if self.class_mode == "input":
            return batch.copy()
        if self.class_mode in ("binary", "sparse"):
            return np.asarray([self.labels[i] for i in index_array], kind)
        if self.class_mode == "categorical":
            y = np.zeros((len(batch), self.num_classes), kind)
            for k, i in enumerate(index_array):
                y[k, self.labels[i]] = 1.0
            return y
        if self.class_mode == "multi_output":
            return [output[index_array] for output in self.labels]
        return self.labels[index_array]


class DirectoryIterator(_FileIterator):
    """Batches of the images below ``directory/CLASS``; prints how many there are.

    ``filenames``, ``classes`` (a number a file), ``class_indices`` (names to numbers), ``samples`` tell what was found.

    Args:
        directory: the folder. image_data_generator: changes the images.
        target_size: (height, width) they get. color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
        classes: the folders to use, in the order of their numbers; default all, by name.
        class_mode: labels as ``"categorical"`` rows, ``"binary"`` or ``"sparse"`` numbers; ``"input"``: the images
            themselves; ``None``: none.
        follow_links: into folders. interpolation, keep_aspect_ratio: see ``load_img``.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        image_data_generator: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
    ):
        self._set_up(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix, save_format, subset,
            interpolation, keep_aspect_ratio, dtype,
        )  # fmt: skip
        self.directory = os.fspath(directory)
        self.class_mode = check.one_of(
            self, "class_mode", class_mode, ("categorical", "binary", "sparse", "input", None)
        )
        names = list(classes or sorted(p.name for p in Path(directory).iterdir() if p.is_dir()))
        self.num_classes = len(names)
        self.class_indices = {name: i for i, name in enumerate(names)}
        self.filenames: list[str] = []
        numbers: list[int] = []
        for name in names:
            found = self._files(Path(directory) / name, follow_links)
            if self.split:
                found = found[int(self.split[0] * len(found)) : int(self.split[1] * len(found))]
            self.filenames += [os.path.relpath(f, directory) for f in found]
            numbers += [self.class_indices[name]] * len(found)
        self.classes = np.array(numbers, "int32")
        self.labels = self.classes
        self.samples = len(self.filenames)
        self.filepaths = [os.path.join(self.directory, f) for f in self.filenames]
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")  # noqa: T201
        super().__init__(self.samples, batch_size, shuffle, seed)

    @staticmethod
    def _files(folder: Path, follow_links: bool) -> list[str]:
        walk = sorted(os.walk(folder, followlinks=follow_links))
        return [os.path.join(root, f) for root, _, files in walk for f in sorted(files) if f.lower().endswith(_ENDINGS)]


class DataFrameIterator(_FileIterator):
    """Batches of the images that a pandas table names; prints how many there are.

    Args:
        dataframe: with a row an image. directory: that the names are below; ``None``: they are whole paths.
        x_col: column of the names. weight_col: of the sample weights.
        y_col: column of the classes, or columns of numbers.
        class_mode: as for ``DirectoryIterator``, where a class may be a list of classes in ``"categorical"``; ``"raw"``: the
            values of ``y_col`` as they are; ``"multi_output"``: a list with an array a column.
        classes: those to use, in the order of their numbers; other rows are left out.
        validate_filenames: leave rows out whose file is not there.
    """

    def __init__(
        self,
        dataframe: Any,
        directory: str | os.PathLike[str] | None = None,
        image_data_generator: Any = None,
        x_col: str = "filename",
        y_col: Any = "class",
        weight_col: str | None = None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str = "channels_last",
        save_to_dir: str | os.PathLike[str] | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = "float32",
        validate_filenames: bool = True,
    ):
        self._set_up(
            image_data_generator, target_size, color_mode, data_format, save_to_dir, save_prefix, save_format, subset,
            interpolation, keep_aspect_ratio, dtype,
        )  # fmt: skip
        if not hasattr(dataframe, "iloc"):
            check.fail(self, f"takes a pandas DataFrame, got {type(dataframe).__name__}", TypeError)
        df = dataframe.copy()
        self.directory = os.fspath(directory or "")
        self.x_col = x_col
        self.class_mode = check.one_of(
            self, "class_mode", class_mode, ("categorical", "binary", "sparse", "input", "multi_output", "raw", None)
        )
        self._check(df, y_col, weight_col, classes)
        self.dtype = dtypes.standardize(dtype)
        if validate_filenames:
            df = self._existing(df)
        has_classes = class_mode in ("categorical", "binary", "sparse")
        if has_classes:
            df, names = self._of_classes(df, y_col, classes)
            self.num_classes = len(names)
            self.class_indices = {name: i for i, name in enumerate(names)}
        if self.split:
            df = df.iloc[int(self.split[0] * len(df)) : int(self.split[1] * len(df))]
        if has_classes:
            self.classes = [self._number(value) for value in df[y_col]]
            self.labels = self.classes
        elif class_mode == "multi_output":
            self.labels = [np.array(df[col].tolist()) for col in y_col]
        elif class_mode == "raw":
            self.labels = df[y_col].to_numpy()
        self.filenames: list[str] = df[x_col].tolist()
        self.sample_weight = df[weight_col].to_numpy() if weight_col else None
        self.samples = len(self.filenames)
        self.filepaths = [os.path.join(self.directory, f) for f in self.filenames]
        kind = "validated image filenames" if validate_filenames else "non-validated image filenames"
        of = f" belonging to {self.num_classes} classes" if has_classes else ""
        print(f"Found {self.samples} {kind}{of}.")  # noqa: T201
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _check(self, df: Any, y_col: Any, weight_col: str | None, classes: Any) -> None:
        columns = [self.x_col, *(y_col if isinstance(y_col, (list, tuple)) else [y_col])]
        if self.class_mode in ("input", None):
            columns = columns[:1]
        for column in [*columns, *([weight_col] if weight_col else [])]:
            if column not in df.columns:
                check.fail(self, f"the table has no column {column!r}.{check.nearest(column, map(str, df.columns))}")
        if weight_col and df[weight_col].dtype.kind not in "biuf":
            check.fail(self, f"the sample weights in column {weight_col!r} must be numbers", TypeError)
        if not all(isinstance(name, str) for name in df[self.x_col]):
            check.fail(self, f"the names in column {self.x_col!r} must be strings", TypeError)
        if self.class_mode == "multi_output" and not isinstance(y_col, (list, tuple)):
            check.fail(self, f"class_mode='multi_output' needs a list of columns as y_col, got {y_col!r}", TypeError)
        if classes and self.class_mode in ("raw", "multi_output", "input", None):
            warnings.warn(
                f"{check.who(self)}: classes have no meaning with class_mode={self.class_mode!r}", stacklevel=4
            )
        if self.class_mode not in ("categorical", "binary", "sparse"):
            return
        lists = (list, tuple) if self.class_mode == "categorical" else ()
        if not all(isinstance(value, (str, *lists)) for value in df[y_col]):
            check.fail(
                self, f"with class_mode={self.class_mode!r} the classes in {y_col!r} must be strings"
                + (" or lists of them" if lists else "") + "; class_mode='raw' takes numbers", TypeError,
            )  # fmt: skip
        count = len(set(classes)) if classes else df[y_col].nunique() if not lists else 2
        if self.class_mode == "binary" and count != 2:
            check.fail(self, f"class_mode='binary' needs 2 classes, there are {count}")

    def _existing(self, df: Any) -> Any:
        paths = [os.path.join(self.directory, name) for name in df[self.x_col]]
        valid = [path.lower().endswith(_ENDINGS) and os.path.isfile(path) for path in paths]
        missing = len(valid) - sum(valid)
        if missing:
            warnings.warn(
                f"{check.who(self)}: {missing} files named in {self.x_col!r} are not there or no images; they are left out",
                stacklevel=4,
            )
        return df[valid]

    def _of_classes(self, df: Any, y_col: str, classes: Sequence[str] | None) -> tuple[Any, list[str]]:
        every: Any = (value if isinstance(value, (list, tuple)) else [value] for value in df[y_col])
        if not classes:
            return df, sorted({name for values in every for name in values})
        wanted = dict.fromkeys(classes)
        kept = []
        for values in every:
            kept.append([name for name in values if name in wanted])
        rows = [bool(names) for names in kept]
        df = df[rows].copy()
        if self.class_mode == "categorical":
            filtered = [names if len(names) > 1 else names[0] for names in kept if names]
            df[y_col] = filtered
        return df, list(wanted)

    def _number(self, value: Any) -> Any:
        indices: Mapping[str, int] = self.class_indices
        return [indices[v] for v in value] if isinstance(value, (list, tuple)) else indices[value]
