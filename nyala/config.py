"""Settings for the whole process: backend, float type, image layout, epsilon, dtype policy, logging, limits."""

from __future__ import annotations

from typing import Any

from nyala import backends
from nyala.backends import set_backend
from nyala.base.config import (
    disable_flash_attention,
    disable_interactive_logging,
    disable_traceback_filtering,
    enable_flash_attention,
    enable_interactive_logging,
    enable_traceback_filtering,
    enable_unsafe_deserialization,
    epsilon,
    floatx,
    image_data_format,
    is_determinism_enabled,
    is_flash_attention_enabled,
    is_interactive_logging_enabled,
    is_nnx_enabled,
    is_traceback_filtering_enabled,
    max_epochs,
    max_steps_per_epoch,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    set_max_epochs,
    set_max_steps_per_epoch,
)


def backend() -> str:
    """The name of the backend that new objects are made with."""
    return backends.current().name


def enable_determinism() -> None:
    """From now on the same program on the same machine gives the same bits each time.

    The backends use kernels of a fixed order (torch raises where there is none), steps are not fused by measurement, and the
    order of data is that of ``nyala.utils.set_random_seed``, which is called with 0 unless it was called before.
    """
    from nyala.base import config, seeds

    config.enable_determinism()
    for backend in backends.loaded():
        backend.make_deterministic()
    if not seeds.is_seeded():
        seeds.set_random_seed(0)


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
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_determinism",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_determinism_enabled",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]
