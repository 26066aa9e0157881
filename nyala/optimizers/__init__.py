"""Optimizers, and ``schedules`` for their learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala import backends, schedules
from nyala._typing import Config, Identifier
from nyala.base import configurable, registry
from nyala.optimizers import legacy
from nyala.optimizers.adafactor import Adafactor
from nyala.optimizers.adagrad import Adadelta, Adagrad, Ftrl, RMSprop
from nyala.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from nyala.optimizers.base import Optimizer
from nyala.optimizers.loss_scale import LossScaleOptimizer
from nyala.optimizers.multi import MultiOptimizer, OptimizerMap
from nyala.optimizers.muon import Muon
from nyala.optimizers.sgd import SGD, Lion

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "LossScaleOptimizer",
    "MultiOptimizer", "Muon", "Nadam", "Optimizer", "OptimizerMap", "RMSprop", "ScheduleFreeAdamW", "deserialize", "get",
    "legacy", "schedules", "serialize",
]  # fmt: skip


def get(identifier: Identifier) -> Any:
    """An optimizer from a name, a config, a class or an object; ``None`` stays ``None``."""
    if isinstance(identifier, str) and registry.find("optimizer", identifier) is None:
        identifier = identifier.lower()
    elif not isinstance(identifier, (Optimizer, str, Mapping)):
        for backend in backends.in_process():
            if (rule := backend.rule_of(identifier)) is not None:
                return registry.get("optimizer", {"class_name": rule[0], "config": rule[1]})
    return registry.get("optimizer", identifier)


def serialize(optimizer: Optimizer) -> Config:
    return configurable.serialize(optimizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="optimizer")
