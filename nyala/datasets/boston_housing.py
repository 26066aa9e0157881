"""Boston housing: prices in 506 suburbs in the 1970s (Harrison, Rubinfeld 1978).

One of its columns is built on the share of Black inhabitants; ``california_housing`` does without such a column.
"""

from __future__ import annotations

import os

from nyala.datasets._files import Arrays, regression

_SHA256 = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: str | os.PathLike[str] = "boston_housing.npz", test_split: float = 0.2, seed: int = 113
) -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: float64 (n, 13) and the prices in 1,000 dollars, float64 (n,).

    Args:
        path: the file, below ``datasets`` in the cache folder, or an absolute path.
        test_split: the fraction of the test set, in [0, 1). seed: of the order.
    """
    return regression(path, "boston_housing.npz", _SHA256, test_split, seed)
