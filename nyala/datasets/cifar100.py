"""CIFAR-100: 60,000 small colour pictures of a hundred kinds in twenty groups (Krizhevsky 2009)."""

from __future__ import annotations

from nyala.base import check
from nyala.datasets._cifar import batches, images_and_labels
from nyala.datasets._files import Arrays

_SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine") -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: images uint8 (n, 32, 32, 3), labels int64 (n, 1), n 50,000 and 10,000.

    Args: label_mode: ``"fine"`` for the hundred kinds, ``"coarse"`` for the twenty groups.
    """
    check.one_of("cifar100.load_data", "label_mode", label_mode, ("fine", "coarse"))
    key = f"{label_mode}_labels".encode()
    train, test = batches("cifar-100", "cifar-100-python", ("train", "test"), _SHA256)
    return images_and_labels([train], key, "int64"), images_and_labels([test], key, "int64")
