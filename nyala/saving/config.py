"""From the JSON of a file to a model: limits, the spellings of older versions, and the closed table of what may be made."""

from __future__ import annotations

import json
import warnings
from typing import Any

from nyala._typing import Config
from nyala.base import allowance, check, configurable, old
from nyala.saving import eras, limits

LAYOUT_OF = "3.15.1"
"""The version of Keras whose layout this is, for programs that look."""


def parse(text: str | bytes, name: str) -> Config:
    """The object that a JSON text holds. Raises ValueError for one that is no JSON object, too large or too deep."""
    limits.text(text, name)
    try:
        config = json.loads(text)
        if isinstance(config, str):  # json.dump(model.to_json(), file)
            limits.text(config, name)
            config = json.loads(config)
    except (ValueError, RecursionError) as error:
        check.fail("load", f"the config in {name} is no JSON or nested too deep: {error}")
    if not isinstance(config, dict):
        check.fail("load", f"the config in {name} is no JSON object but {type(config).__name__}")
    limits.nest(config, name)
    return config


def build(config: Config, version: str | None = None, numbers: int = limits.NUMBERS_WITHOUT_WEIGHTS) -> Any:
    """The model that a config describes, written by that version of Keras (``None``: not known), of at most that size."""
    from nyala.layers.preprocessing.feature_space import FeatureSpace
    from nyala.models import Model

    if not isinstance(config.get("class_name"), str) or not isinstance(config.get("config"), (dict, list)):
        check.fail("load_model", "the config is not of a model: it has no class_name and config")
    told = set(old._told)
    with warnings.catch_warnings():  # it is the file that is old, not the program
        warnings.simplefilter("ignore", old.OldSpelling)
        with allowance.of(numbers):
            model = configurable.deserialize(eras.modern(config, version))
    old._told.intersection_update(told)
    if not isinstance(model, (Model, FeatureSpace)):
        check.fail("load_model", f"the config is that of a {type(model).__name__}, not of a model")
    return model


def compile_arguments(training: Config, version: str | None = None) -> dict[str, Any]:
    """The arguments of ``compile`` from the config that files keep of them."""
    training = eras.compiled(training)
    arguments = {
        "optimizer": _made(training.get("optimizer_config"), "optimizer") or "rmsprop",
        "loss": _made(training.get("loss"), "loss"),
        "loss_weights": training.get("loss_weights"),
        "metrics": _made(training.get("metrics"), "metric"),
        "weighted_metrics": _made(training.get("weighted_metrics"), "metric"),
    }
    others = ("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss")
    given = {k: training[k] for k in others if k in training}
    if given.get("steps_per_execution") == 1:
        del given["steps_per_execution"]
    if given.get("jit_compile") is True:
        del given["jit_compile"]
    return {**arguments, **given}


def _made(config: Any, role: str) -> Any:
    """Objects for the configs in a nest; names stay names."""
    if isinstance(config, list):
        return [_made(c, role) for c in config]
    if isinstance(config, dict):
        if "class_name" in config:
            return configurable.deserialize(config, role=role)
        return {k: _made(c, role) for k, c in config.items()}
    return config
