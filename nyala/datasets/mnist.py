"""MNIST: 70,000 handwritten digits (LeCun, Cortes, Burges; http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import os

import numpy as np

from nyala.datasets._files import Arrays, cached

_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: images uint8 (n, 28, 28), labels uint8 (n,), n 60,000 and 10,000.

    Args: path: the file, below ``datasets`` in the cache folder, or an absolute path.
    """
    with np.load(cached(os.fspath(path), "mnist.npz", _SHA256), allow_pickle=False) as f:
        return (f["x_train"], f["y_train"]), (f["x_test"], f["y_test"])
