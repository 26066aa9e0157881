"""California housing: prices in 20,640 districts in 1990 (Pace, Barry 1997)."""

from __future__ import annotations

import os

from nyala.base import check
from nyala.datasets._files import Arrays, regression

_SHA256 = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"
_SIZES = {"small": 600, "large": None}


def load_data(
    version: str = "large",
    path: str | os.PathLike[str] = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
) -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: float (n, 8) and the prices in dollars, (n,).

    Args:
        version: ``"large"``, or ``"small"`` for the first 600 districts.
        path: the file, below ``datasets`` in the cache folder, or an absolute path.
        test_split: the fraction of the test set, in [0, 1). seed: of the order.
    """
    check.one_of("california_housing.load_data", "version", version, tuple(_SIZES))
    return regression(path, "california_housing.npz", _SHA256, test_split, seed, _SIZES[version])
