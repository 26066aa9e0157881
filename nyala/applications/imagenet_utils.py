"""Pixels as the published weights expect them, and the names of ImageNet's classes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor, TensorLike
from nyala.applications._net import cached
from nyala.backends import dtypes
from nyala.base import check, config

_INDEX = ("https://storage.googleapis.com/download.tensorflow.org/data/", "imagenet_class_index.json")
_INDEX_HASH = "c2c37ea517e94d9795004a39431a14cb"

# mode -> whether channels become BGR, what pixels in [0, 255] are divided by, mean and deviation subtracted and divided by.
_MODES: dict[str, tuple[bool, float, Any, Any]] = {
    "caffe": (True, 1.0, (103.939, 116.779, 123.68), 1.0),
    "tf": (False, 127.5, 1.0, 1.0),
    "torch": (False, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def preprocess_input(x: TensorLike, data_format: str | None = None, mode: str = "caffe") -> Tensor:
    """Images, a batch or one, as a network was trained on them; a NumPy array gives a new NumPy array.

    Args:
        x: RGB pixels in [0, 255]. data_format: default ``config.image_data_format()``.
        mode: ``"caffe"``: BGR less the mean of ImageNet; ``"tf"``: scaled to [-1, 1]; ``"torch"``: scaled to [0, 1],
            less the mean and over the deviation of ImageNet.
    """
    check.one_of("preprocess_input", "mode", mode, tuple(_MODES))
    data_format = config.standardize_data_format("preprocess_input", data_format)
    swap, scale, mean, deviation = _MODES[mode]
    axis = -1 if data_format == "channels_last" else -3
    shape = (-1, 1, 1) if axis == -3 else (-1,)
    host = not ops.is_tensor(x) and not hasattr(x, "node")
    x = np.asarray(x) if host else x
    dtype = str(x.dtype) if host else dtypes.standardize(ops.dtype(x))
    dtype = dtype if dtypes.is_float(dtype) else config.floatx()
    x = x.astype(dtype) if host else ops.cast(x, dtype)
    if swap:
        x = np.flip(x, axis) if host else ops.flip(x, axis)

    def constant(value: Any) -> Any:
        array = np.reshape(np.asarray(value, dtype), shape)
        return array if host else ops.convert_to_tensor(array)

    return (x / constant(scale) - constant(mean)) / constant(deviation)


def decode_predictions(preds: TensorLike, top: int = 5) -> list[list[tuple[str, str, Any]]]:
    """For each image its ``top`` likeliest classes, as (WordNet number, name, score), the likeliest first.

    Args: preds: (batch, 1000), scores of ImageNet's classes. The names are downloaded once.

    Raises: ValueError for another shape.
    """
    scores = ops.convert_to_numpy(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        check.fail("decode_predictions", f"preds must have the shape (batch, 1000), got {scores.shape}")
    check.positive_int("decode_predictions", "top", top)
    names = _class_index()
    best = np.argsort(scores, axis=1)[:, : -top - 1 : -1]
    return [[(*names[str(i)], row[i]) for i in order] for row, order in zip(scores, best)]


@functools.lru_cache(maxsize=None)
def _class_index() -> dict[str, tuple[str, str]]:
    found = json.loads(cached(_INDEX[1], "".join(_INDEX), _INDEX_HASH).read_text())
    return {key: (str(number), str(name)) for key, (number, name) in found.items()}


def preprocessor(mode: str | None) -> Callable[..., Tensor]:
    """A family's ``preprocess_input``; ``None``: the model holds what its images need."""

    def preprocess(x: TensorLike, data_format: str | None = None) -> Tensor:
        return preprocess_input(x, data_format, mode) if mode else x  # type: ignore[return-value]

    preprocess.__name__ = preprocess.__qualname__ = "preprocess_input"
    what = (
        f"as ``imagenet_utils.preprocess_input`` with mode ``{mode!r}``"
        if mode
        else "as they are: the model scales them itself"
    )
    preprocess.__doc__ = f"RGB images with pixels in [0, 255], {what}."
    return preprocess
