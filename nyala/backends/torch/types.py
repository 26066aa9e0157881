"""Dtypes and devices of torch."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nyala.backends import dtypes
from nyala.base import config

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in dtypes.ALL - {"string"}}
NAMES: dict[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}


def native_dtype(dtype: Any) -> torch.dtype:
    found = DTYPES.get(dtype) if type(dtype) is str else None
    if found is not None:
        return found
    if isinstance(dtype, torch.dtype):
        return dtype
    name = dtypes.standardize(dtype)
    if name == "string":
        raise TypeError("backend 'torch' has no tensors of strings; keep them in NumPy arrays until they are encoded")
    return DTYPES[name]


def float_dtype() -> torch.dtype:
    return DTYPES[config.floatx()]


@functools.lru_cache(maxsize=None)
def _best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class _Local(threading.local):
    device: torch.device | None = None


_local = _Local()


def default_device() -> torch.device:
    return _local.device or _best_device()


@contextmanager
def device_scope(name: str) -> Iterator[None]:
    """New tensors and variables lie on ``"cpu:0"``, ``"gpu:1"``, ..."""
    outer = _local.device
    _local.device = torch.device(name.lower().replace("gpu", "cuda"))
    try:
        with _local.device:
            yield
    finally:
        _local.device = outer
