"""``keras.legacy.interfaces`` of Keras 2: decorators that took the arguments of Keras 1, as every layer does here."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("legacy_") or name == "generate_legacy_interface":
        return _as_it_is if name.startswith("legacy_") else lambda *args, **kwargs: _as_it_is
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _as_it_is(function: Any) -> Any:
    return function
