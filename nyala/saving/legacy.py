"""The HDF5 files of Keras 1, 2 and tf.keras, which Keras 3 still writes: a whole model or its weights in one ``.h5``.

Attributes of the file hold the config and the ``compile`` arguments as JSON. ``model_weights`` (the whole file where only
weights are stored) has a group a layer, in the order of the attribute ``layer_names``, and each group lists its arrays in
``weight_names``, trainable ones first. ``optimizer_weights`` lists the optimizer's state in the same way.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nyala import losses, metrics
from nyala._typing import Config
from nyala.base import allowance, check, configurable, tracking
from nyala.base.variable import Variable
from nyala.saving import config as config_
from nyala.saving import eras, hdf5, layouts, limits
from nyala.saving import weights as weights_

if TYPE_CHECKING:
    import h5py

_TOP = "top_level_model_weights"


# -- writing -----------------------------------------------------------------------------------------------------------


def write_model(model: Any, file: h5py.File, include_optimizer: bool = True) -> None:
    """Config, weights and, unless left out, compile arguments and optimizer state."""
    _sign(file)
    file.attrs["model_config"] = json.dumps(_plain_entry(configurable.serialize_object(model)))
    compiled = model.compiled and include_optimizer
    if compiled:
        file.attrs["training_config"] = json.dumps(_training_config(model))
    write_weights(model, file.create_group("model_weights"))
    if compiled and model.optimizer.built:
        _put_variables(file.create_group("optimizer_weights"), model.optimizer.variables)


def write_weights(model: Any, group: h5py.Group) -> None:
    _sign(group)
    layers = _layers(model)
    hdf5.put_names(group, "layer_names", [layer.name for layer in layers])
    for layer in layers:
        _put_variables(group.create_group(layer.name), _in_order(layer))
    _put_variables(group.create_group(_TOP), _top(model))


def _sign(group: h5py.Group) -> None:
    group.attrs["keras_version"] = config_.LAYOUT_OF
    group.attrs["backend"] = "nyala"


def _put_variables(group: h5py.Group, variables: Sequence[Variable]) -> None:
    names: list[str] = []
    for variable in variables:
        name = variable.path
        if name in names:
            name = f"{name}_{sum(n.startswith(name) for n in names)}"
        names.append(name)
        hdf5.put(group, name, variable.numpy())
    hdf5.put_names(group, "weight_names", names)


def _plain_entry(entry: Config) -> Config:
    """The entry of a model or layer without the module, which files of this kind do not name."""
    config = dict(entry["config"])
    if isinstance(config.get("layers"), list):
        config["layers"] = [_plain_entry(e) for e in config["layers"]]
    kept = {k: v for k, v in entry.items() if k not in ("module", "registered_name", "build_config")}
    if str(entry.get("module")).startswith("keras.src.ops"):  # a name such as Add is also that of a layer
        kept = {"module": entry["module"], "registered_name": entry.get("registered_name"), **kept}
    return {**kept, "class_name": entry.get("registered_name") or entry["class_name"], "config": config}


def _training_config(model: Any) -> Config:
    compiled = model.get_compile_config()
    keys = ("loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")
    config = {k: compiled[k] for k in keys}
    if "auto_scale_loss" in compiled:
        config["auto_scale_loss"] = False
    config["loss"] = _full_names(config["loss"], losses.get)
    for key in ("metrics", "weighted_metrics"):
        config[key] = _full_names(config[key], metrics.get)
    optimizer = configurable.serialize_object(model.optimizer)
    config["optimizer_config"] = {
        "class_name": optimizer["registered_name"] or optimizer["class_name"],
        "config": optimizer["config"],
    }
    return config


def _full_names(given: Any, get: Any) -> Any:
    """Keras finds ``mean_squared_error`` in such a file, but not ``mse``; a metric's name is kept in its config."""
    if isinstance(given, (list, tuple)):
        return [_full_names(v, get) for v in given]
    if isinstance(given, dict) and "class_name" not in given:
        return {k: _full_names(v, get) for k, v in given.items()}
    if not isinstance(given, str) or given in ("accuracy", "acc", "crossentropy", "ce"):
        return given
    found = get(given)
    if isinstance(found, metrics.Metric):
        return {"class_name": type(found).__name__, "config": {**found.get_config(), "name": given}}
    return found.__name__ if callable(found) and hasattr(found, "__name__") else type(found).__name__


# -- reading -----------------------------------------------------------------------------------------------------------


def is_model(file: h5py.File) -> bool:
    return "model_config" in file.attrs


def is_weights(file: h5py.File) -> bool:
    return hdf5.names(file, "layer_names") is not None


def read_model(file: h5py.File, compile: bool = True) -> Any:
    """The model of a whole-model file, with weights and, compiled, with the optimizer's state."""
    text = hdf5.text(file, "model_config")
    if text is None:
        names = " (it holds weights only: build the model and use load_weights)" if is_weights(file) else ""
        check.fail("load_model", f"{file.filename} holds no model config{names}")
    version = hdf5.text(file, "keras_version")
    numbers = limits.numbers(hdf5.claimed(file))
    model = config_.build(config_.parse(text, str(file.filename)), version, numbers)
    weights = hdf5.group(file, "model_weights")
    if model.built:
        read_weights(model, weights)
    elif any(_stored(hdf5.group(weights, name)) for name in hdf5.names(weights, "layer_names") or ()):
        check.fail(
            model,
            "the file does not say for which input shape it was built, so its weights have no place; make the model, "
            "build it and use load_weights",
        )
    training = hdf5.text(file, "training_config")
    if compile and training is not None:
        with allowance.of(limits.of_training(numbers)):
            compile_from(model, config_.parse(training, str(file.filename)), version)
        if "optimizer_weights" in file:
            _read_optimizer(model, hdf5.group(file, "optimizer_weights"))
    return model


def compile_from(model: Any, training: Config, version: str | None) -> None:
    """Compile with the arguments that a file of this kind keeps."""
    try:
        arguments = config_.compile_arguments(training, version)
    except (ValueError, TypeError) as error:
        warnings.warn(f"{check.who(model)} is not compiled: {error}", stacklevel=5)
        return
    model.compile(**arguments)


def _read_optimizer(model: Any, group: h5py.Group) -> None:
    optimizer = model.optimizer
    if optimizer is None:
        return
    if not optimizer.built and model.built:
        optimizer.build(model.trainable_variables)
    names = [name for name in hdf5.names(group, "weight_names") or () if name in group]
    data = [group[name] for name in names]
    own = optimizer.variables
    stored = [np.asarray(hdf5.array(d)) for d in data] if hdf5.fits(data, own) else None
    values = None if stored is None else layouts.optimizer(own, model.trainable_variables, stored, names)
    if values is not None:
        for variable, value in zip(own, values):
            variable.assign(value)
        return
    warnings.warn(
        f"{check.who(model)}: the optimizer's state is not loaded, the file holds {len(data)} arrays for {len(own)} "
        "variables; training goes on with a fresh optimizer",
        stacklevel=6,
    )


def read_weights(model: Any, group: h5py.Group, *, by_name: bool = False, skip_mismatch: bool = False) -> list[str]:
    """Load the weights, layer after layer in order, or those layers whose names are in the file; returns what did not fit.

    Raises: ValueError that lists, by layer, what is missing, unexpected or of another shape; then nothing was loaded.
    """
    names = hdf5.names(group, "layer_names")
    if names is None:
        check.fail("load_weights", f"{group.file.filename} has no attribute layer_names, so it is no weights file")
    stored = {name: arrays for name in names if (arrays := _stored(hdf5.group(group, name)))}
    version, backend = hdf5.text(group, "keras_version"), hdf5.text(group, "backend")
    listed = _of_keras_1(model) if eras.major(version) < 2 else _layers(model)
    layers = {layer.name: layer for layer in listed}
    own = [(name, variables) for name, layer in layers.items() if (variables := _in_order(layer))]
    wrong: list[str] = []
    todo: list[tuple[Variable, np.ndarray]] = []
    if by_name:
        pairs = [(name, variables, name) for name, variables in own if name in stored]
    else:
        pairs = [(name, variables, there) for (name, variables), there in zip(own, stored)]
        wrong += [f"layer `{name}` has {len(v)} weights, the file none for it" for name, v in own[len(stored) :]]
        wrong += [f"the file's layer `{name}` has no counterpart in the model" for name in list(stored)[len(own) :]]
    top = _stored(hdf5.group(group, _TOP)) if _TOP in group else {}
    if top or (_top(model) and not by_name):
        pairs.append((f"{model.name} (its own weights)", _top(model), _TOP))
        stored[_TOP] = top
    for name, variables, there in pairs:
        fits, problem = _match(layers.get(name), variables, stored[there], version, backend)
        if problem:
            wrong.append(f"layer `{name}`{'' if name == there else f' and `{there}` of the file'}: {problem}")
        todo += fits
    weights_.report(model, wrong, skip_mismatch)
    for variable, value in todo:
        variable.assign(value)
    return wrong


def _stored(group: h5py.Group) -> dict[str, Any]:
    return {name: group[name] for name in hdf5.names(group, "weight_names") or ()}


def _match(
    layer: Any, variables: Sequence[Variable], stored: Mapping[str, Any], version: str | None, backend: str | None
) -> tuple[list[tuple[Variable, np.ndarray]], str | None]:
    """The values of a layer's variables in order, or why they do not fit."""
    arrays: list[np.ndarray] | None = None
    if hdf5.fits(list(stored.values()), variables):
        arrays = [np.asarray(hdf5.array(data)) for data in stored.values()]
        if layer is not None:
            arrays = layouts.weights(layer, arrays, version, backend)
    if arrays is None or [tuple(a.shape) for a in arrays] != [v.shape for v in variables]:
        mine = ", ".join(f"{v.name} {v.shape}" for v in variables) or "nothing"
        theirs = ", ".join(f"{name.split('/')[-1]} {tuple(d.shape)}" for name, d in stored.items()) or "nothing"
        return [], f"the model has {mine}; the file {theirs}"
    return list(zip(variables, arrays)), None


def _layers(model: Any) -> list[Any]:
    return list(model.layers)


def _of_keras_1(model: Any) -> list[Any]:
    """Where a Sequential of Keras 1 begins with models side by side, their layers stood for them in files."""
    first, *rest = _layers(model)
    if len(getattr(first, "inputs", None) or ()) < 2:
        return [first, *rest]
    branches = [
        inner for layer in _layers(first) for inner in (_of_keras_1(layer) if hasattr(layer, "layers") else [layer])
    ]
    return tracking.unique([*branches, *rest])


def _top(model: Any) -> list[Variable]:
    """The variables that the model owns itself."""
    own = model._own_weights()
    return [v for v in own if v.trainable] + [v for v in own if not v.trainable]


def _in_order(layer: Any) -> list[Variable]:
    return [*layer.trainable_weights, *layer.non_trainable_weights]
