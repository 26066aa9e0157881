"""Models: ``Sequential``, ``Functional`` and subclassed ones; their graphs in configs, and their summaries."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nyala.models.functional import Functional
from nyala.models.model import Model, clone_model
from nyala.models.sequential import Sequential

if TYPE_CHECKING:
    from nyala.saving import load_model as load_model
    from nyala.saving import model_from_json as model_from_json
    from nyala.saving import model_from_yaml as model_from_yaml
    from nyala.saving import save_model as save_model

_IN_SAVING = ("load_model", "model_from_json", "model_from_yaml", "save_model")


def __getattr__(name: str) -> Any:
    # Saving stands above models; Keras lists these here as well.
    if name in _IN_SAVING:
        return getattr(importlib.import_module("nyala.saving"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Functional",
    "Model",
    "Sequential",
    "clone_model",
    "load_model",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]
