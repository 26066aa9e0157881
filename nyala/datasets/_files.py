"""What the data sets share: where their files come from and how they are read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

from nyala.base import check, config
from nyala.utils.files import fetch

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

Arrays = tuple[np.ndarray, np.ndarray]


def cached(place: str, name: str, file_hash: str, origin: str | None = None) -> Path:
    """A file below ``datasets`` in the cache, or anywhere if ``place`` is absolute; downloaded if need be."""
    return fetch(config.home() / "datasets" / place, (origin or ORIGIN) + name, file_hash, keep_if_offline=True)


def regression(
    path: str | os.PathLike[str], name: str, sha256: str, test_split: float, seed: int, size: int | None = None
) -> tuple[Arrays, Arrays]:
    """The first ``size`` rows of the arrays ``x`` and ``y`` of a file, in an order drawn from ``seed``, split in two."""
    check.number_in(name.removesuffix(".npz"), "test_split", test_split, 0.0, 1.0, open_high=True)
    with np.load(cached(os.fspath(path), name, sha256), allow_pickle=False) as f:
        x, y = f["x"][:size], f["y"][:size]
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    train, test = np.split(order, [int(len(x) * (1 - test_split))])
    return (x[train], y[train]), (x[test], y[test])


def idx(path: Path, ndim: int) -> np.ndarray:
    """The uint8 array of a gzipped IDX file (http://yann.lecun.com/exdb/mnist)."""
    data = gzip.decompress(path.read_bytes())
    start = 4 + 4 * ndim
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, 4)) if len(data) >= start else ()
    if data[:4] != bytes((0, 0, 8, ndim)) or len(data) != start + int(np.prod(shape)):
        check.fail(str(path), f"is no IDX file of bytes with {ndim} axes")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
