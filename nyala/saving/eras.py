"""Configs of older Keras, put into today's form before anything is made of them.

Arguments of layers that were only renamed are understood by the constructors (``nyala.base.old``); here stand the classes
that changed, the arguments that files have and programs do not, and how files name calls and tensors. A row a change.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any

from nyala import ops
from nyala._typing import Config, Tensor
from nyala.base import check, registry
from nyala.saving import graph_calls
from nyala.saving.stored_code import StoredCode

CLASSES: dict[str, str] = {
    # Keras 1
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
    # Keras 2.0
    "Container": "Functional",
    "Model": "Functional",
    # Keras 2.0.9
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    # tf.keras 1.13 to 2.15
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "GRUV2": "GRU",
    "LSTMV2": "LSTM",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
}
"""Old name of a layer's class -> today's."""

_MERGE = {
    "sum": "Add",
    "mul": "Multiply",
    "concat": "Concatenate",
    "ave": "Average",
    "dot": "Dot",
    "cos": "Dot",
    "max": "Maximum",
}
"""Keras 1: the modes of ``Merge``."""

_GONE = {
    "CategoryCrossing": ("2.5", "it joins the texts of several columns, which HashedCrossing does today"),
    "DenseFeatures": ("2.15", "it puts TensorFlow's feature columns side by side, which FeatureSpace does today"),
    "ModuleWrapper": ("2.15", "it calls an object that was no Keras layer, and whose code the file does not hold"),
}
"""Layers without a successor: the version that last had them, what they do, and by what it is done today."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "batch_size": (None,),
    "consume_less": ("cpu", "mem", "gpu"),
    "dynamic": (False,),
    "fused": (None, True, False),
    "groups": (1, None),
    "implementation": (0, 1, 2),
    "input_dim": (None,),
    "input_dtype": (None, "float32"),
    "input_length": (None,),
    "jit_compile": (True, False, None),
    "mode": (0,),
    "noise_shape": (None,),
    "ragged": (False, None),
    "softmax_robust_masking": (False, None),
    "sparse": (False, None),
    "time_major": (False,),
    "virtual_batch_size": (None,),
}
"""Arguments that older files write and that say nothing with these values; dropped where the class has none of that name."""

_UNUSED = {
    "MultiHeadAttention": ("query_shape", "key_shape", "value_shape"),
    "SeparableConv": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SpatialDropout": ("trainable",),
}
"""Arguments that tf.keras wrote for layers that did not use them, by the beginning of the class's name."""


def _function_names(config: Config) -> list[str]:
    """The names by which the function of a Lambda may be known; none where the file holds its code."""
    function = config.get("function")
    if isinstance(function, dict) and function.get("class_name") == "function":
        return [n for n in (function.get("registered_name"), function.get("config")) if isinstance(n, str)]
    if isinstance(function, str) and (
        config.get("function_type") == "function" or registry.find("activation", function) is not None
    ):
        return [function]
    return []


_LAMBDA_EXTRAS = ("function_type", "module", "output_shape", "output_shape_module", "output_shape_type", "mask_type")


def hard_sigmoid_of_keras_2(x: Tensor) -> Tensor:
    """max(0, min(1, 0.2 * x + 0.5)), which "hard_sigmoid" meant before Keras 3."""
    return ops.clip(ops.add(ops.multiply(x, 0.2), 0.5), 0.0, 1.0)


registry.add("activation", hard_sigmoid_of_keras_2)


def major(version: str | None) -> int:
    """1, 2 or 3; files of the first versions do not say which."""
    try:
        return int(str(version).split(".")[0]) if version else 1
    except ValueError:
        return 3


def modern(entry: Config, version: str | None) -> Config:
    """The entry of a model in today's form.

    Warns of layers that hold code: a placeholder stands for it. Raises: ValueError for a layer without a successor.
    """
    version = entry.get("keras_version") or version
    today = version is None and "module" in entry  # a config that no file holds; files of Keras 1 name no version
    era = _Era(3 if today else major(version))
    new = era.entry(entry)
    if era.code:
        names = ", ".join(f"`{n}`" for n in era.code)
        warnings.warn(
            f"the Lambda layers {names} hold Python code, which is never run; they raise when called. Write it as functions "
            f"and give them by the layers' names, custom_objects={{{era.code[0]!r}: function, ...}}, or set "
            f"model.get_layer({era.code[0]!r}).function. Where the file tells no output shape, that of the input is assumed",
            stacklevel=5,
        )
    return new


class _Era:
    """The changes for files of one major version."""

    def __init__(self, major: int):
        self.major = major
        self.code: list[str] = []
        self.shifts: dict[str, int] = {}
        self.shapes: dict[str, list[int | None]] = {}

    def entry(self, entry: Config) -> Config:
        """A model's or layer's entry."""
        entry = dict(entry)
        name, config = entry["class_name"], entry.get("config")
        if isinstance(config, list):  # a Sequential of Keras 1 to 2.2.2
            config = {"name": entry.get("name"), "layers": config}
        if not isinstance(config, dict):
            return entry
        config = dict(config)
        if name == "Merge":
            return {**entry, **self.merge(config)}
        if name in graph_calls.LAYERS and registry.custom(name) is None:
            return {**entry, **graph_calls.operation(name, config), "registered_name": None}
        if registry.custom(name) is None:
            if name in _GONE:
                last, what = _GONE[name]
                check.fail(
                    "load_model",
                    f"layer `{config.get('name')}` is a {name}, which Keras had up to version {last}: {what}. Write it as a "
                    f"layer of your own and give it as custom_objects={{{name!r}: ...}}",
                )
            entry["class_name"] = CLASSES.get(name, name)
        if isinstance(config.get("layers"), list) and all(isinstance(x, dict) for x in config["layers"]):
            config = self.model(config)
            if entry["class_name"] == "Functional" and str(entry.get("module", "")).startswith("keras."):
                entry["module"] = "keras.src.models.functional"
        elif name == "Lambda":
            config = self.lambda_(config)
        else:
            config = {k: self.value(k, v) for k, v in config.items()}
            config = self.layer(name, config)
        entry["config"] = config
        return entry

    def value(self, key: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self.value(key, v) for v in value]
        if isinstance(value, str) and key.endswith("activation") and value == "hard_sigmoid" and self.major < 3:
            return hard_sigmoid_of_keras_2.__name__
        if not isinstance(value, dict):
            return value
        if "class_name" in value and isinstance(value.get("config"), (dict, list)):
            if key in ("layer", "forward_layer", "backward_layer", "cell", "cells"):
                return self.entry(value)
            if value["class_name"] in ("Policy", "PolicyV1"):
                return {"class_name": "DTypePolicy", "config": {"name": value["config"].get("name")}}
            config = value["config"]
            if isinstance(config, dict):
                return {**value, "config": {k: v for k, v in config.items() if (k, v) != ("dtype", None)}}
        if value.get("name") == "WeightRegularizer":  # Keras 1
            return {"class_name": "L1L2", "config": {k: value.get(k, 0.0) for k in ("l1", "l2")}}
        return value

    def layer(self, name: str, config: Config) -> Config:
        """What changed in a layer beside its name."""
        own = _arguments(CLASSES.get(name, name))
        if own:
            unused = [k for start, names in _UNUSED.items() if name.startswith(start) for k in names]
            config = {k: v for k, v in config.items() if k not in unused and (k in own or v not in _NEUTRAL.get(k, ()))}
        if name == "CuDNNGRU":
            config["reset_after"] = True
        elif name == "GRU" and self.major < 3:
            config.setdefault("reset_after", False)
        elif name == "SyncBatchNormalization":
            config["synchronized"] = True
        elif name == "ThresholdedReLU":
            config["threshold"] = config.pop("theta", 1.0)
        elif name in ("Deconvolution2D", "Deconvolution3D"):
            config.pop("output_shape", None)
        elif name == "InputLayer":
            dtype = config.pop("input_dtype", None)
            config.setdefault("dtype", dtype or "float32")
        if name.startswith(("BatchNormalization", "SyncBatch", "LayerNorm")) and isinstance(config.get("axis"), list):
            config["axis"] = config["axis"][0] if len(config["axis"]) == 1 else config["axis"]
        if name == "Embedding" and self.major < 2 and config.get("dropout") == 0:
            del config["dropout"]
        return config

    def merge(self, config: Config) -> Config:
        """Keras 1: several tensors made one, and, first in a Sequential, the models side by side that they come from."""
        name, mode = config.get("name"), config.get("mode")
        new: Config = {"name": name, "trainable": True}
        if mode in _MERGE:
            if mode == "concat":
                new["axis"] = config.get("concat_axis", -1)
            if mode in ("dot", "cos"):
                new |= {"axes": config.get("dot_axes", -1), "normalize": mode == "cos"}
            entry = {"class_name": _MERGE[mode], "config": new}
        else:
            shape = config.get("output_shape") if config.get("output_shape_type") == "raw" else None
            new |= {"function": mode, "function_type": config.get("mode_type"), "output_shape": shape}
            entry = {
                "class_name": "Lambda",
                "config": self.lambda_({**new, "arguments": config.get("arguments") or {}}),
            }
        return entry if not config.get("layers") else self.side_by_side(str(name), config["layers"], entry)

    def side_by_side(self, name: str, branches: list[Config], merge: Config) -> Config:
        """A model of all the inputs of the branches."""
        layers: list[Config] = []
        starts: list[list[Any]] = []
        ends: list[list[Any]] = []
        for i, branch in enumerate(branches):
            entry = self.entry(branch)
            inner = entry["config"]["name"] = entry["config"].get("name") or f"{name}_branch_{i}"
            places = []
            for j, start in enumerate(_starts(branch)):
                here = f"{inner}_input_{j}"
                places.append([here, 0, 0])
                config = {
                    "name": here,
                    "batch_shape": start.get("batch_input_shape"),
                    "dtype": start.get("input_dtype"),
                }
                config["dtype"] = config["dtype"] or "float32"
                layers.append({"class_name": "InputLayer", "config": config, "name": here, "inbound_nodes": []})
            tensors = [self.tensor(p) for p in places]
            call = {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}
            layers.append({**entry, "name": inner, "inbound_nodes": [call]})
            starts += places
            ends.append([inner, 0, 0])
        call = {"args": [[self.tensor(p) for p in ends]], "kwargs": {}}
        layers.append({**merge, "name": f"{name}_of", "inbound_nodes": [call]})
        merge["config"]["name"] = f"{name}_of"
        graph = {"name": name, "layers": layers, "input_layers": starts, "output_layers": [f"{name}_of", 0, 0]}
        return {"class_name": "Functional", "config": graph}

    def lambda_(self, config: Config) -> Config:
        """The function by name; code only where the user gives a function for it."""
        name = str(config.get("name"))
        supplied = registry.custom(name)
        if supplied is None and (names := _function_names(config)):
            found = (registry.custom(n) or registry.find("activation", n) for n in names)
            supplied = next((f for f in found if f is not None), None)
            if supplied is None:
                check.fail(
                    "load_model",
                    f"layer `{name}` is a Lambda of the function {names[-1]!r}, which the file only names; give it as "
                    f"custom_objects={{{name!r}: ...}}",
                )
        new = {k: v for k, v in config.items() if k not in (*_LAMBDA_EXTRAS, "function")}
        for k in ("output_shape", "mask"):
            if isinstance(config.get(k), dict):
                new.pop(k, None)
        if supplied is None:
            self.code.append(name)
            shape = config.get("output_shape")
            known = shape if isinstance(shape, list) and len(shape) and all(map(_is_size, shape)) else None
            supplied = StoredCode(name, self.shapes.get(name) if known is None else known)
        new["function"] = supplied
        return self.layer("Lambda", new)

    # -- graphs --------------------------------------------------------------------------------------------------------

    def model(self, config: Config) -> Config:
        layers = config["layers"]
        self.shapes |= _shapes(layers)
        if not layers or not any("inbound_nodes" in x for x in layers):
            return {**config, "layers": [self.entry(x) for x in layers]}
        new = []
        self.shifts = _shifts(layers, config)
        for item in layers:
            entry = self.entry(item)
            entry["inbound_nodes"] = [self.call(item, entry, node) for node in item["inbound_nodes"]]
            new.append(entry)
            self.shifts = _shifts(layers, config)
        out = {**config, "layers": new}
        for key in ("input_layers", "output_layers"):
            places = self.places(config[key])
            out[key] = (
                places[0] if isinstance(places, list) and len(places) == 1 and isinstance(places[0], list) else places
            )
        return out

    def places(self, places: Any) -> Any:
        if isinstance(places, dict):
            return {k: self.places(v) for k, v in places.items()}
        if len(places) >= 3 and isinstance(places[0], str):
            return self.place(places)
        return [self.places(p) for p in places]

    def place(self, place: Any) -> list[Any]:
        name, call, output = place[:3]
        return [name, call - self.shifts.get(name, 0), output]

    def tensor(self, place: Any) -> Any:
        if not place or place[0] == "_CONSTANT_VALUE":
            return place[2] if place else []
        return {"class_name": "__keras_tensor__", "config": {"keras_history": self.place(place)}}

    def call(self, item: Config, entry: Config, node: Any) -> Config:
        """``{args, kwargs}`` for a call, which Keras 1 and 2 give as a list of ``[layer, call, output, kwargs]``."""
        if isinstance(node, dict) and "args" in node:
            return self._shifted(node)
        if isinstance(node, dict):
            return {"args": [{k: self.tensor(v) for k, v in node.items()}], "kwargs": {}}
        places = [node] if node and isinstance(node[0], str) else list(node)
        kwargs = {k: self.argument(v) for place in places[:1] if len(place) > 3 for k, v in (place[3] or {}).items()}
        tensors = [self.tensor(p) for p in places]
        name = entry["class_name"]
        if entry["class_name"] == "Stored":
            return graph_calls.call(item["class_name"], item["config"], tensors, kwargs, isinstance(node[0], str))
        if name in ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM2D", "Bidirectional") and len(tensors) > 1:
            return {"args": tensors[:1], "kwargs": {**kwargs, "initial_state": tensors[1:]}}
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": kwargs}

    def argument(self, value: Any) -> Any:
        place = (
            isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and check.is_int(value[1])
        )
        if place and (value[0] in self.shifts or value[0] == "_CONSTANT_VALUE"):
            return self.tensor(value)
        if isinstance(value, list):
            return [self.argument(v) for v in value]
        return {k: self.argument(v) for k, v in value.items()} if isinstance(value, dict) else value

    def _shifted(self, x: Any) -> Any:
        if isinstance(x, dict) and x.get("class_name") == "__keras_tensor__":
            return {**x, "config": {**x["config"], "keras_history": self.place(x["config"]["keras_history"])}}
        if isinstance(x, dict):
            return {k: self._shifted(v) for k, v in x.items()}
        return [self._shifted(v) for v in x] if isinstance(x, list) else x


def _starts(entry: Config) -> list[Config]:
    """The configs of the layers that a model of Keras 1 begins with."""
    config = entry["config"]
    if isinstance(config, dict) and "input_layers" in config:
        by_name = {x.get("name"): x["config"] for x in config["layers"]}
        return [by_name[place[0]] for place in config["input_layers"]]
    layers = config["layers"] if isinstance(config, dict) else config
    first = layers[0]
    if first["class_name"] == "Merge":
        return [start for branch in first["config"]["layers"] for start in _starts(branch)]
    return _starts(first) if isinstance(first["config"], list) else [first["config"]]


def _arguments(name: str) -> set[str]:
    """What the constructors of a built-in layer and its bases accept."""
    from nyala.layers._arguments import argument_names

    found = registry.names("layer").get(name)
    return set(argument_names(found)) if isinstance(found, type) else set()


def _is_size(n: Any) -> bool:
    return n is None or (check.is_int(n) and n > 0)


def _shapes(layers: list[Config]) -> dict[str, list[int | None]]:
    """Output shapes of layers by name, without the batch axis: what the entries of those that follow tell of them."""
    found: dict[str, list[int | None]] = {}

    def note(name: Any, shape: Any) -> None:
        if isinstance(shape, list) and shape and all(map(_is_size, shape)):
            found[str(name)] = shape[1:]

    def see(x: Any) -> None:
        if isinstance(x, dict) and x.get("class_name") == "__keras_tensor__":
            note(x["config"]["keras_history"][0], x["config"].get("shape"))
        for v in x.values() if isinstance(x, dict) else x if isinstance(x, list) else ():
            see(v)

    for before, after in itertools.pairwise(layers):
        if "inbound_nodes" not in after:
            note((before.get("config") or {}).get("name"), (after.get("build_config") or {}).get("input_shape"))
    see([x.get("inbound_nodes") for x in layers])
    return found


def _shifts(layers: list[Config], config: Config) -> dict[str, int]:
    """For each layer by name, how far its calls are counted too high: a nested model of Keras 1 and 2 counts its own making."""
    highest = dict.fromkeys((str(x.get("name")) for x in layers), -1)

    def see(x: Any) -> None:
        if isinstance(x, dict):
            for v in x.values():
                see(v)
        elif isinstance(x, list):
            if len(x) >= 3 and isinstance(x[0], str) and x[0] in highest and check.is_int(x[1]):
                highest[x[0]] = max(highest[x[0]], x[1])
            for v in x:
                see(v)

    see([x["inbound_nodes"] for x in layers])
    see([config["input_layers"], config["output_layers"]])
    calls = {str(x.get("name")): len(x["inbound_nodes"]) for x in layers}
    return {name: 1 if calls[name] and highest[name] >= calls[name] else 0 for name in highest}


# -- how models were compiled --------------------------------------------------------------------------------------------

_OPTIMIZER_GONE = ("is_legacy_optimizer", "jit_compile", "schedule_decay", "initial_decay")
_OPTIMIZER_WORDS = {"lr": "learning_rate"}


def compiled(config: Config) -> Config:
    """The arguments of ``compile`` that a file keeps, in today's form."""
    config = {k: v for k, v in config.items() if v is not None}
    for key in ("optimizer", "optimizer_config"):
        if isinstance(config.get(key), dict) and isinstance(config[key].get("config"), dict):
            config[key] = _optimizer(config[key])
    for key in ("loss", "metrics", "weighted_metrics"):
        if key in config:
            config[key] = _measure(config[key])
    return config


def _optimizer(entry: Config) -> Config:
    name = str(entry["class_name"])
    if registry.custom(name) is None:
        name = name.removeprefix("Custom>")
    config = {_OPTIMIZER_WORDS.get(k, k): v for k, v in entry["config"].items() if k not in _OPTIMIZER_GONE}
    if not config.get("decay"):
        config.pop("decay", None)
    if config.get("epsilon", 0.0) is None:
        del config["epsilon"]
    entry = {**entry, "class_name": name, "config": config}
    if entry.get("registered_name") == f"Custom>{name}":
        entry["registered_name"] = None
    return entry


def _measure(x: Any) -> Any:
    """Losses and metrics: names that functions had, and the reduction that Keras 2 chose by itself."""
    if isinstance(x, list):
        return [_measure(v) for v in x]
    if not isinstance(x, dict):
        return x
    if not isinstance(x.get("config"), dict):
        return {k: _measure(v) for k, v in x.items()}
    config = dict(x["config"])
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
    if x.get("class_name") == "MeanMetricWrapper" and isinstance(config.get("fn"), str):
        found = [registry.find(role, config["fn"]) for role in ("loss", "metric")]
        functions = [f for f in found if f is not None and not isinstance(f, type)]
        config["fn"] = functions[0] if functions else {"class_name": "function", "config": config["fn"]}
    return {**x, "config": config}
