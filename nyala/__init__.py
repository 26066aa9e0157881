"""Nyala: the Keras API on JAX, PyTorch and TensorFlow. ``import nyala as keras``.

Importing it imports no backend: what a name needs is loaded when the name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nyala import activations as activations
    from nyala import applications as applications
    from nyala import backend as backend
    from nyala import callbacks as callbacks
    from nyala import config as config
    from nyala import constraints as constraints
    from nyala import datasets as datasets
    from nyala import distillation as distillation
    from nyala import distribution as distribution
    from nyala import dtype_policies as dtype_policies
    from nyala import export as export
    from nyala import initializers as initializers
    from nyala import layers as layers
    from nyala import legacy as legacy
    from nyala import losses as losses
    from nyala import metrics as metrics
    from nyala import mixed_precision as mixed_precision
    from nyala import models as models
    from nyala import ops as ops
    from nyala import optimizers as optimizers
    from nyala import preprocessing as preprocessing
    from nyala import pruning as pruning
    from nyala import quantizers as quantizers
    from nyala import random as random
    from nyala import regularizers as regularizers
    from nyala import schedules as schedules
    from nyala import tree as tree
    from nyala import utils as utils
    from nyala import visualization as visualization
    from nyala import wrappers as wrappers
    from nyala.backends import backend_scope as backend_scope
    from nyala.backends import device as device
    from nyala.base.naming import scope as name_scope  # noqa: F401
    from nyala.base.policy import DTypePolicy as DTypePolicy
    from nyala.base.policy import FloatDTypePolicy as FloatDTypePolicy
    from nyala.base.scope import StatelessScope as StatelessScope
    from nyala.base.scope import StateScope as StateScope
    from nyala.base.scope import SymbolicScope as SymbolicScope
    from nyala.base.variable import Variable as Variable
    from nyala.graph.operation import Function as Function
    from nyala.graph.operation import Operation as Operation
    from nyala.graph.remat import RematScope as RematScope
    from nyala.graph.remat import remat as remat
    from nyala.graph.symbolic import SymbolicTensor as KerasTensor  # noqa: F401
    from nyala.initializers import Initializer as Initializer
    from nyala.layers.base import InputSpec as InputSpec
    from nyala.layers.base import Layer as Layer
    from nyala.layers.input import Input as Input
    from nyala.losses import Loss as Loss
    from nyala.metrics import Metric as Metric
    from nyala.models import Functional as Functional
    from nyala.models import Model as Model
    from nyala.models import Sequential as Sequential
    from nyala.optimizers import Optimizer as Optimizer
    from nyala.quantizers import Quantizer as Quantizer
    from nyala.regularizers import Regularizer as Regularizer
    from nyala.transforms import function as function
    from nyala.transforms import value_and_grad as value_and_grad

_MODULES = frozenset({
    "activations", "applications", "backend", "callbacks", "config", "constraints", "datasets", "distillation", "distribution",
    "dtype_policies", "export",
    "initializers", "layers", "legacy", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
    "preprocessing", "pruning", "quantizers", "random", "regularizers", "saving", "schedules", "tree", "utils",
    "visualization", "wrappers",
})  # fmt: skip

_HOMES = {
    "DTypePolicy": "base.policy",
    "FloatDTypePolicy": "base.policy",
    "Function": "graph.operation",
    "Functional": "models",
    "Initializer": "initializers",
    "Input": "layers.input",
    "InputSpec": "layers.base",
    "KerasTensor": "graph.symbolic",
    "Layer": "layers.base",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "graph.operation",
    "Optimizer": "optimizers",
    "Quantizer": "quantizers",
    "Regularizer": "regularizers",
    "RematScope": "graph.remat",
    "Sequential": "models",
    "StateScope": "base.scope",
    "StatelessScope": "base.scope",
    "SymbolicScope": "base.scope",
    "Variable": "base.variable",
    "backend_scope": "backends",
    "device": "backends",
    "function": "transforms",
    "name_scope": "base.naming",
    "remat": "graph.remat",
    "value_and_grad": "transforms",
}
_RENAMED = {"KerasTensor": "SymbolicTensor", "name_scope": "scope"}


def version() -> str:
    """Nyala's version."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"nyala.{name}")
    if name in _HOMES:
        found = getattr(importlib.import_module(f"nyala.{_HOMES[name]}"), _RENAMED.get(name, name))
        globals()[name] = found
        return found
    raise AttributeError(f"module 'nyala' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_MODULES, *_HOMES, "__version__", "version"})


__all__ = [*_MODULES, *_HOMES, "version"]  # pyright: ignore[reportUnsupportedDunderAll]
