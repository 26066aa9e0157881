"""How many numbers may be made while a model is built from a file: a config cannot allocate what its file does not store."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nyala.base import check


class _Local(threading.local):
    left: int | None = None


_local = _Local()


@contextmanager
def of(numbers: int) -> Iterator[None]:
    """Inside, variables hold at most so many numbers together, and no more than a block around this one allows."""
    outer = _local.left
    given = numbers if outer is None else min(numbers, outer)
    _local.left = given
    try:
        yield
    finally:
        _local.left = None if outer is None else outer - (given - _local.left)


def take(owner: Any, shape: Sequence[int]) -> None:
    """Raises ValueError when an array of this shape is more than is left."""
    if _local.left is None:
        return
    numbers = math.prod(shape)
    if numbers > _local.left:
        check.fail(owner, f"shape {tuple(shape)} claims {numbers} numbers, far more than its file stores or allows")
    _local.left -= max(numbers, 0)
