"""Sequential, Functional and subclassed models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nyala.models.functional import Functional
from nyala.models.model import Model, clone_model
from nyala.models.sequential import Sequential

if TYPE_CHECKING:
    from nyala.saving import load_model as load_model
    from nyala.saving import save_model as save_model


def __getattr__(name: str) -> Any:
    # Saving stands above models; Keras lists these two here as well.
    if name in ("load_model", "save_model"):
        return getattr(importlib.import_module("nyala.saving"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "save_model"]
