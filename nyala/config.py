"""Settings for the whole process: backend, float type, image layout, epsilon, dtype policy."""

from __future__ import annotations

from typing import Any

from nyala import backends
from nyala.backends import set_backend
from nyala.base.config import (
    disable_flash_attention,
    enable_flash_attention,
    epsilon,
    floatx,
    image_data_format,
    is_flash_attention_enabled,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)


def backend() -> str:
    """The name of the backend that new objects are made with."""
    return backends.current().name


def dtype_policy() -> Any:
    """The policy of layers that are given no dtype."""
    from nyala.base import policy

    return policy.dtype_policy()


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are given no dtype: ``"float32"``, ``"mixed_float16"``, ``"mixed_bfloat16"``, ..."""
    from nyala.base import policy as policies

    policies.set_dtype_policy(policy)


__all__ = [
    "backend",
    "disable_flash_attention",
    "dtype_policy",
    "enable_flash_attention",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]
