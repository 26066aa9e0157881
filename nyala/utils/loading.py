"""Data sets from folders of files and from arrays.

Each gives the data set type of the running backend: ``tf.data.Dataset`` on TensorFlow, elsewhere ``Dataset``, which has the
same methods. Files are read while the data set is read.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nyala import backends
from nyala.backends.base import TensorSpec
from nyala.base import check, config, tree
from nyala.utils.arrays import to_categorical
from nyala.utils.dataset import AUTOTUNE, Dataset, host_array
from nyala.utils.images import RESIZING, img_to_array, load_img, resize_array

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}
_LABELS: dict[str, tuple[tuple[int, ...], str]] = {
    "int": ((), "int32"),
    "binary": ((1,), "float32"),
    "categorical": ((), "float32"),
}


class _Folder:
    """The files below a folder and their labels, with the arguments that all the readers of folders share.

    Args:
        labels: ``"inferred"`` from the names of the folders, a list with a number a file (in the order of their paths), or
            ``None``.
        label_mode: ``"int"``, ``"categorical"``, ``"binary"`` or ``None``.
        class_names: the folders in the order of their numbers; default by name.
        shuffle, seed: a new order each pass. validation_split, subset: see the readers.
    """

    def __init__(
        self, who: str, directory: Any, endings: tuple[str, ...], labels: Any, label_mode: str | None,
        class_names: Sequence[str] | None, batch_size: int | None, shuffle: bool, seed: int | None,
        validation_split: float | None, subset: str | None, follow_links: bool, data_format: str, verbose: bool,
    ):  # fmt: skip
        check.one_of(who, "format", data_format, ("tf", "grain"))
        if data_format == "grain":
            check.fail(
                who, "format='grain' is not there; leave it out, the data set needs no TensorFlow", NotImplementedError
            )
        check.one_of(who, "label_mode", label_mode, (*_LABELS, None))
        if labels not in ("inferred", None) and not isinstance(labels, (list, tuple)):
            check.fail(
                who, f"labels must be 'inferred', None or a list with an int a file, got {type(labels).__name__}"
            )
        if class_names and labels != "inferred":
            check.fail(who, "class_names go with labels='inferred' only")
        if batch_size is not None:
            check.positive_int(who, "batch_size", batch_size)
        if (validation_split is None) != (subset is None):
            check.fail(who, "validation_split and subset go together")
        if validation_split is not None:
            check.number_in(who, "validation_split", validation_split, 0.0, 1.0, open_high=True)
            check.one_of(who, "subset", subset, ("training", "validation", "both"))
            if shuffle and seed is None:
                check.fail(who, "validation_split with shuffle needs a seed, lest training and validation overlap")
        self.who, self.batch_size, self.shuffle, self.split, self.subset = (
            who,
            batch_size,
            shuffle,
            validation_split,
            subset,
        )
        labels = None if label_mode is None else labels
        self.label_mode = None if labels is None else label_mode
        self.seed = int(np.random.randint(1_000_000)) if seed is None else seed
        self._find(Path(directory), endings, labels, class_names, follow_links)
        if verbose:
            of = f" belonging to {len(self.names)} classes" if labels is not None else ""
            print(f"Found {len(self.paths)} files{of}.")  # noqa: T201
        if not self.paths:
            check.fail(who, f"there are no files in {directory} that end in {', '.join(endings)}")
        if self.label_mode == "binary" and len(self.names) != 2:
            check.fail(who, f"label_mode='binary' needs 2 classes, there are {len(self.names)}")
        if shuffle:
            for part in (self.paths, self.numbers):
                np.random.RandomState(self.seed).shuffle(part)
        self.verbose = verbose

    def _find(self, directory: Path, endings: tuple[str, ...], labels: Any, names: Any, follow_links: bool) -> None:
        folders = sorted(p.name for p in directory.iterdir() if p.is_dir())
        if labels != "inferred":
            found = _walk(directory, endings, follow_links)
            numbers = list(labels) if labels is not None else [0] * len(found)
            if len(numbers) != len(found):
                check.fail(self.who, f"labels has {len(numbers)} numbers for {len(found)} files in {directory}")
            self.names = [str(n) for n in sorted(set(numbers))] if labels is not None else []
            self.paths, self.numbers = found, np.array(numbers, "int32")
            return
        for name in names or ():
            if name not in folders:
                check.fail(
                    self.who, f"class_names: there is no folder {name!r} in {directory}.{check.nearest(name, folders)}"
                )
        self.names = list(names or folders)
        groups = [_walk(directory / name, endings, follow_links) for name in self.names]
        self.paths = [path for group in groups for path in group]
        self.numbers = np.repeat(np.arange(len(groups), dtype="int32"), [len(g) for g in groups])

    def datasets(self, read: Callable[[str], Any], spec: TensorSpec, batch: Callable[..., Any] | None = None) -> Any:
        """The data set of the files, or with ``subset="both"`` those of training and validation."""
        n = len(self.paths)
        held_out = 0 if self.split is None else int(self.split * n)
        training, validation = slice(0, n - held_out), slice(n - held_out, n)
        if self.subset is None:
            return self._dataset(slice(None), read, spec, batch)
        parts = {"training": [training], "validation": [validation], "both": [training, validation]}[self.subset]
        for part in parts:
            kind = "training" if part is training else "validation"
            count = len(self.paths[part])
            if not count:
                check.fail(self.who, f"validation_split={self.split} of {n} files leaves none for {kind}")
            if self.verbose:
                print(f"Using {count} files for {kind}.")  # noqa: T201
        found = [self._dataset(part, read, spec, batch) for part in parts]
        return found[0] if len(found) == 1 else found

    def _dataset(self, part: slice, read: Callable[[str], Any], spec: TensorSpec, batch: Any) -> Any:
        paths, labels = self.paths[part], self._labels()
        labels = None if labels is None else labels[part]
        order = Dataset.range(len(paths))
        if self.shuffle:
            order = order.shuffle(len(paths), self.seed)

        def load(i: Any) -> Any:
            x = host_array(read(paths[int(i)]))
            return x if labels is None else (x, host_array(labels[int(i)]))

        specs: Any = spec
        if labels is not None:
            specs = (spec, TensorSpec(labels.shape[1:], str(labels.dtype)))
        result = order.map(load, AUTOTUNE)
        if self.batch_size is not None:
            result = batch(result, self.batch_size) if batch else result.batch(self.batch_size)
            specs = tree.map(lambda s: TensorSpec((None, *s.shape), s.dtype), specs)
        result.element_spec = specs
        if labels is not None:
            result.class_names = self.names
        result.file_paths = paths
        return backends.current().data_set(result.prefetch(AUTOTUNE))

    def _labels(self) -> np.ndarray | None:
        if self.label_mode is None:
            return None
        if self.label_mode == "int":
            return self.numbers
        if self.label_mode == "binary":
            return self.numbers.astype("float32")[:, None]
        return to_categorical(self.numbers, len(self.names)).astype("float32")


def _walk(folder: Path, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    walk = sorted(os.walk(folder, followlinks=follow_links))
    return [os.path.join(root, f) for root, _, files in walk for f in sorted(files) if f.lower().endswith(endings)]


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A data set of the images in the folders of ``directory``, a folder a class: ``(images, labels)`` with values 0 to 255.

    Args:
        labels: ``"inferred"``, a list with an int a file in the order of their paths, or ``None`` for images alone.
        label_mode: ``"int"``: int32 (batch,); ``"categorical"``: (batch, classes); ``"binary"``: (batch, 1); ``None``.
        class_names: the folders in the order of their numbers. batch_size: ``None`` for single images.
        color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``. image_size: (height, width).
        shuffle, seed: a new order each pass. follow_links: into folders.
        validation_split, subset: the last fraction is held out; ``"training"``, ``"validation"`` or ``"both"``.
        interpolation: ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"area"``, ``"lanczos3"``, ``"lanczos5"``,
            ``"gaussian"``, ``"mitchellcubic"``.
        crop_to_aspect_ratio, pad_to_aspect_ratio: cut the middle out, or add black borders, instead of stretching.
        verbose: tell how many files there are.

    Shapes: float32 (batch, height, width, channels); ``class_names`` and ``file_paths`` are attributes.
    """
    who = "image_dataset_from_directory"
    check.one_of(who, "color_mode", color_mode, tuple(_CHANNELS))
    check.one_of(who, "interpolation", interpolation, RESIZING)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        check.fail(who, "only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True")
    height, width = check.ints(who, "image_size", image_size, 2)
    layout = config.standardize_data_format(who, data_format)
    how = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    folder = _Folder(
        who, directory, _IMAGES, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, format, verbose,
    )  # fmt: skip

    def read(path: str) -> np.ndarray:
        x = img_to_array(load_img(path, color_mode), "channels_last", "float32")
        x = resize_array(x, (height, width), interpolation, how)
        return x.transpose(2, 0, 1) if layout == "channels_first" else x

    channels = _CHANNELS[color_mode]
    shape = (channels, height, width) if layout == "channels_first" else (height, width, channels)
    return folder.datasets(read, TensorSpec(shape, "float32"))


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A data set of the ``.txt`` files (UTF-8) in the folders of ``directory``: ``(texts, labels)``.

    Args: max_length: texts are cut to this number of characters. Others: see ``image_dataset_from_directory``.

    Shapes: strings (batch,).
    """
    folder = _Folder(
        "text_dataset_from_directory", directory, (".txt",), labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, format, verbose,
    )  # fmt: skip

    def read(path: str) -> np.ndarray:
        return np.array(Path(path).read_text(encoding="utf-8", errors="replace")[:max_length], object)

    return folder.datasets(read, TensorSpec((), "string"))


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """A data set of the ``.wav`` files (PCM) in the folders of ``directory``: ``(waves, labels)``, values in [-1, 1).

    Args:
        sampling_rate: resample to it (needs scipy); default as the files are.
        output_sequence_length: samples that every wave is cut or padded to; default the longest of its batch.
        ragged: lists of waves of their own lengths; not together with ``output_sequence_length``.
        Others: see ``image_dataset_from_directory``.

    Shapes: float32 (batch, samples, channels).
    """
    who = "audio_dataset_from_directory"
    if ragged and output_sequence_length is not None:
        check.fail(who, "ragged and output_sequence_length do not go together")
    folder = _Folder(
        who, directory, (".wav",), labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, "tf", verbose,
    )  # fmt: skip

    def read(path: str) -> np.ndarray:
        x, rate = _read_wave(path)
        if sampling_rate is not None and rate != sampling_rate:
            x = _resample(x, rate, sampling_rate)
        return x if output_sequence_length is None else _to_length(x, output_sequence_length)

    channels = _read_wave(folder.paths[0])[0].shape[1]
    spec = TensorSpec((output_sequence_length, channels), "float32")
    if ragged:
        spec = TensorSpec((None, channels), "ragged float32")
    batch = None if output_sequence_length is not None else lambda ds, n: _uneven_batches(ds, n, ragged)
    return folder.datasets(read, spec, batch)


def _read_wave(path: str) -> tuple[np.ndarray, int]:
    with wave.open(path, "rb") as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        data = file.readframes(file.getnframes())
    if width == 1:
        x = np.frombuffer(data, np.uint8).astype("float32") / 128 - 1
    elif width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        x = wide.view("<i4")[:, 0].astype("float32") / 2**31
    else:
        x = np.frombuffer(data, f"<i{width}").astype("float32") / 2 ** (8 * width - 1)
    return x.reshape(-1, channels), rate


def _resample(x: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    try:
        from scipy.signal import resample_poly
    except ImportError as error:
        raise ImportError('resampling needs scipy: pip install "nyala[image]"') from error
    common = int(np.gcd(rate, new_rate))
    return resample_poly(x, new_rate // common, rate // common, axis=0).astype("float32")


def _to_length(x: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([x[:length], np.zeros((max(length - len(x), 0), *x.shape[1:]), x.dtype)])


def _uneven_batches(dataset: Dataset, size: int, ragged: bool) -> Dataset:
    """Batches of waves of different lengths: padded to the longest, or as object arrays."""

    def join(waves: list[np.ndarray]) -> Any:
        if not ragged:
            longest = max(map(len, waves))
            return host_array(np.stack([_to_length(w, longest) for w in waves]))
        found = np.empty(len(waves), object)
        found[:] = waves
        return found

    def make() -> Iterator[Any]:
        group: list[Any] = []
        for i, element in enumerate(dataset, 1):
            group.append(element)
            if len(group) == size or i == len(dataset):
                if isinstance(element, tuple):
                    yield join([x for x, _ in group]), host_array(np.stack([y for _, y in group]))
                else:
                    yield join(group)
                group = []

    return dataset._new(make, -(-len(dataset) // size))


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Any:
    """A data set of windows of a series, and the target of each window's first step.

    Args:
        data: array (time, ...). targets: array whose i-th row belongs to the window that begins at i; ``None``: windows alone.
        sequence_length: values a window has. sampling_rate: steps between them. sequence_stride: steps between windows.
        batch_size: ``None`` for single windows. shuffle, seed: a random order.
        start_index, end_index: the part of the series to use, the end not included.

    Shapes: (batch, sequence_length, ...) and (batch, ...).
    """
    who = "timeseries_dataset_from_array"
    check.one_of(who, "format", format, ("tf", "grain"))
    if format == "grain":
        check.fail(
            who, "format='grain' is not there; leave it out, the data set needs no TensorFlow", NotImplementedError
        )
    data = np.asarray(data)
    targets = None if targets is None else np.asarray(targets)
    steps = {"sequence_length": sequence_length, "sequence_stride": sequence_stride, "sampling_rate": sampling_rate}
    for name, value in steps.items():
        check.positive_int(who, name, value)
    start = check.non_negative_int(who, "start_index", start_index or 0)
    end = len(data) if end_index is None else check.positive_int(who, "end_index", end_index)
    if not start < min(end, len(data)):
        check.fail(who, f"start_index {start} must be below end_index {end} and the length of the data, {len(data)}")
    count = max(min(end, len(data)) - start - (sequence_length - 1) * sampling_rate, 0)
    if targets is not None:
        count = min(count, len(targets))
    begin = np.arange(0, count, sequence_stride, dtype="int64")
    if shuffle:
        seed = int(np.random.randint(1_000_000)) if seed is None else seed
        np.random.RandomState(seed).shuffle(begin)
    begin += start
    size = 1 if batch_size is None else check.positive_int(who, "batch_size", batch_size)
    inside = np.arange(0, sequence_length * sampling_rate, sampling_rate)

    def batch(k: Any) -> Any:
        at = begin[int(k) * size : (int(k) + 1) * size]
        x = data[at[:, None] + inside]
        parts = (x,) if targets is None else (x, targets[at])
        parts = tuple(host_array(p[0] if batch_size is None else p) for p in parts)
        return parts[0] if targets is None else parts

    rows = () if batch_size is None else (None,)
    specs: Any = TensorSpec((*rows, sequence_length, *data.shape[1:]), str(data.dtype))
    if targets is not None:
        specs = (specs, TensorSpec((*rows, *targets.shape[1:]), str(targets.dtype)))
    result = Dataset.range(-(-len(begin) // size)).map(lambda k: batch(k))
    result.element_spec = specs
    return backends.current().data_set(result)


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """Two data sets: the first ``left_size`` samples (a number or a fraction) and the last ``right_size``; one of them is enough.

    Args:
        dataset: an array or nested tuples, lists and dicts of them, or any data set of single samples, which is read once.
        shuffle, seed: mix the samples first.
        preferred_backend: the backend whose data set type is wanted; default the running one.
    """
    who = "split_dataset"
    samples = _samples(who, dataset)
    n = len(samples)
    left, right = (_count(who, name, size, n) for name, size in (("left_size", left_size), ("right_size", right_size)))
    if left is None and right is None:
        check.fail(who, "give left_size or right_size, or both")
    left = n - right if left is None else left  # type: ignore[operator]
    right = n - left if right is None else right
    if left + right > n:
        check.fail(who, f"left_size and right_size are {left} and {right} samples, but there are {n}")
    if not left or not right:
        check.fail(who, f"of {n} samples {left} would be left and {right} right; both need some")
    if shuffle:
        import random

        random.Random(seed).shuffle(samples)
    backend = backends.get(preferred_backend) if preferred_backend else backends.current()

    def part(chosen: list[Any]) -> Any:
        first = chosen[0]
        spec = tree.map(lambda a: TensorSpec(np.shape(a), str(np.asarray(a).dtype)), first)
        return backend.data_set(Dataset(lambda: iter(chosen), len(chosen), spec))

    return part(samples[:left]), part(samples[n - right :])


def _samples(who: str, dataset: Any) -> list[Any]:
    is_nest = isinstance(dataset, (tuple, list, dict)) and bool(dataset)
    arrays = hasattr(dataset, "__array__") or backends.of(dataset) is not None
    if arrays or (is_nest and all(np.ndim(a) > 0 for a in tree.flatten(dataset))):
        return list(Dataset.from_tensor_slices(tuple(dataset) if isinstance(dataset, list) else dataset))
    if isinstance(dataset, list) and is_nest:
        return [host_array(x) for x in dataset]
    if isinstance(dataset, (str, bytes)) or not hasattr(dataset, "__iter__"):
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")) or isinstance(dataset, (str, bytes)):
            return check.fail(who, f"cannot split a {type(dataset).__name__}", TypeError)
        dataset = [dataset[i] for i in range(len(dataset))]
    return [tree.map(host_array, x) for x in dataset]


def _count(who: str, name: str, size: float | None, n: int) -> int | None:
    if size is None:
        return None
    if check.is_int(size) and 0 < size < n:
        return int(size)
    if isinstance(size, float) and 0 <= size <= 1:
        return round(size * n)
    return check.fail(who, f"{name} must be an int from 1 to {n - 1} or a fraction in [0, 1], got {size!r}")
