"""CIFAR-10: 60,000 small colour pictures of ten kinds (Krizhevsky 2009)."""

from __future__ import annotations

from nyala.base import old
from nyala.datasets._cifar import batches, images_and_labels
from nyala.datasets._files import Arrays

_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
_MEMBERS = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


@old.takes(test_split=None)
def load_data() -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: images uint8 (n, 32, 32, 3), labels uint8 (n, 1), n 50,000 and 10,000.

    With ``channels_first`` images are (n, 3, 32, 32).
    """
    parts = batches("cifar-10", "cifar-10-batches-py", _MEMBERS, _SHA256)
    return images_and_labels(parts[:-1], b"labels", "uint8"), images_and_labels(parts[-1:], b"labels", "uint8")
