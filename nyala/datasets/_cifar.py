"""CIFAR's pickled batches, read from the archive without unpacking it."""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import check, config
from nyala.datasets import _files, _plain

ORIGIN = "https://www.cs.toronto.edu/~kriz/"


def batches(kind: str, folder: str, members: Sequence[str], sha256: str) -> list[dict[bytes, Any]]:
    """The batches ``folder/member`` of an archive; of an unpacked one, with a warning, when the archive cannot be had."""
    datasets = config.home() / "datasets"
    # Keras 2 keeps the archive under the second name.
    places = (f"{folder}-target_archive", f"{folder}.tar.gz")
    place = next((p for p in places if (datasets / p).is_file()), places[0])
    try:
        archive = _files.cached(place, f"{kind}-python.tar.gz", sha256, ORIGIN)
    except OSError:
        unpacked = [datasets / place for place in (f"{folder}-target/{folder}", folder)]
        found = next((f for f in unpacked if all((f / m).is_file() for m in members)), None)
        if found is None:
            raise
        warnings.warn(f"the files in {found} are used unchecked: the archive they are from is not there", stacklevel=3)
        return [_batch((found / m).open("rb"), found / m) for m in members]
    try:
        with tarfile.open(archive) as tar:
            return [_batch(tar.extractfile(f"{folder}/{m}"), archive) for m in members]
    except (tarfile.TarError, KeyError) as error:
        return check.fail(str(archive), f"is not the archive of {folder}: {error}")


def _batch(file: Any, path: Path) -> dict[bytes, Any]:
    with file:
        found = _plain.load(file, path)
    if not isinstance(found, dict) or not isinstance(found.get(b"data"), np.ndarray):
        check.fail(str(path), "is no CIFAR batch: a dict with an array b'data' is expected")
    return found


def images_and_labels(parts: Sequence[dict[bytes, Any]], key: bytes, dtype: str) -> _files.Arrays:
    images = np.concatenate([p[b"data"] for p in parts]).reshape(-1, 3, 32, 32)
    if config.image_data_format() == "channels_last":
        images = images.transpose(0, 2, 3, 1)
    return images, np.concatenate([np.asarray(p[key], dtype) for p in parts])[:, None]
