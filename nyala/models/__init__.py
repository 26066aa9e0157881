"""Sequential, Functional and subclassed models."""

from nyala.models.functional import Functional
from nyala.models.model import Model, clone_model
from nyala.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "clone_model"]
