"""Names and paths: ``dense``, ``dense_1`` for objects, ``encoder/dense_1/kernel`` for what they own."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_counts: defaultdict[str, int] = defaultdict(int)


class _Local(threading.local):
    path: tuple[str, ...] = ()


_local = _Local()


def snake(name: str) -> str:
    """``BatchNormalization`` -> ``batch_normalization``, ``Conv2DTranspose`` -> ``conv2d_transpose``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def unique(prefix: str) -> str:
    """``prefix`` the first time, then ``prefix_1``, ``prefix_2``, ... until ``reset``."""
    n = _counts[prefix]
    _counts[prefix] += 1
    return f"{prefix}_{n}" if n else prefix


def auto(prefix: str, name: str | None) -> str:
    """``name`` if there is one, else a unique name made from the class name ``prefix``."""
    return unique(snake(prefix)) if name is None else name


def is_ours(x: Any) -> bool:
    """Whether a function, method or class is Nyala's own."""
    return (getattr(x, "__module__", None) or "").startswith("nyala.")


def reset() -> None:
    _counts.clear()


@contextmanager
def scope(name: str) -> Iterator[None]:
    outer = _local.path
    _local.path = (*outer, name)
    try:
        yield
    finally:
        _local.path = outer


@contextmanager
def at(path: tuple[str, ...]) -> Iterator[None]:
    """Continue at ``path``, whatever the scopes around are."""
    outer = _local.path
    _local.path = path
    try:
        yield
    finally:
        _local.path = outer


def current() -> tuple[str, ...]:
    return _local.path


def join(name: str) -> str:
    return "/".join((*_local.path, name))
