"""Convolution and pooling on JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NN: dict[str, Callable[..., Any]] = {}
