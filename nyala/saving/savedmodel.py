"""SavedModel folders of tf.keras: the model is made again from its config, its weights read, and the graph never run.

https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf (saved_model, saved_object_graph,
trackable_object_graph: the numbers of the fields below).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nyala._typing import Config
from nyala.backends.checkpoint import Checkpoint
from nyala.base import check
from nyala.saving import config as config_
from nyala.saving import layouts, legacy, limits, weights

_MODELS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")
_VERSION = "2.4.0"
_MOST = 2**31
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


def is_savedmodel(path: Path) -> bool:
    return (path / "saved_model.pb").is_file()


def read(path: Path, compile: bool = True) -> Any:
    """The model of a folder that tf.keras wrote."""
    told = root_config(path)
    if told is None:
        check.fail(
            "load_model",
            f"{path} holds a graph and no config of its layers (Keras 3's export, or a tf.Module). Build the model and use "
            "load_weights, which reads its weights",
        )
    version = str(told.get("keras_version") or _VERSION)
    model = config_.build({k: told[k] for k in ("class_name", "config") if k in told}, version)
    if not model.built and told.get("build_input_shape"):
        model.build(tuple(told["build_input_shape"]))
    read_weights(model, path)
    if compile and told.get("training_config"):
        legacy.compile_from(model, told["training_config"], version)
        _read_optimizer(model, path)
    return model


def root_config(path: Path) -> Config | None:
    """What the folder tells of the model: ``class_name``, ``config`` and more; ``None`` if it tells nothing."""
    beside = path / "keras_metadata.pb"
    if beside.is_file():  # tf.keras 2.5 to 2.15
        for node in _all(_bytes(beside), 1):
            fields = dict(_fields(node))
            if fields.get(3) == b"root" or fields.get(2, 0) == 0:
                return _plain(config_.parse(fields[5], str(beside)))
        return None
    for graph in _all(_bytes(path / "saved_model.pb"), 2):
        for objects in _all(graph, 7):
            root = next(_all(objects, 1), b"")
            for user in _all(root, 4):
                fields = dict(_fields(user))
                if fields.get(1, b"").decode("utf-8", "replace") in _MODELS and fields.get(3):
                    return _plain(config_.parse(fields[3], str(path)))
    return None


def _plain(x: Any) -> Any:
    """Lists for the tuples and shapes of TensorFlow's JSON."""
    if isinstance(x, dict):
        if x.get("class_name") in ("__tuple__", "TensorShape") and isinstance(x.get("items"), list):
            return _plain(x["items"])
        return {k: _plain(v) for k, v in x.items()}
    return [_plain(v) for v in x] if isinstance(x, list) else x


# -- weights -------------------------------------------------------------------------------------------------------------


class _Objects:
    """The objects of a checkpoint: the names of their members, and where their values are."""

    def __init__(self, graph: bytes):
        self.members: list[dict[str, int]] = []
        self.keys: list[str | None] = []
        for node in _all(graph, 1):
            members = [dict(_fields(m)) for m in _all(node, 1)]
            self.members.append({m.get(2, b"").decode("utf-8", "replace"): m.get(1, 0) for m in members})
            attributes = [dict(_fields(a)) for a in _all(node, 2)]
            keys = [a[3].decode("utf-8", "replace") for a in attributes if a.get(1) == b"VARIABLE_VALUE" and a.get(3)]
            self.keys.append(keys[0] if keys else None)

    def variables(self, node: int) -> list[str]:
        """The keys of an object's variables in their order."""
        held = self.members[self.members[node]["variables"]] if "variables" in self.members[node] else {}
        order = sorted((name for name in held if name.isdigit()), key=int)
        return [key for name in order if (key := self.keys[held[name]]) is not None]


def read_weights(model: Any, path: Path, skip_mismatch: bool = False) -> list[str]:
    """Load the weights; returns what did not fit. Raises: ValueError that lists it, and then nothing was loaded."""
    stored = Checkpoint(str(path / "variables/variables"))
    objects = _Objects(stored.object_graph())
    wrong: list[str] = []
    todo: list[tuple[Any, np.ndarray]] = []
    for layer, own, keys in _pairs(model, objects, 0):
        if sum(int(np.prod(stored.shapes.get(k, ()))) for k in keys) > _MOST:
            limits.refuse(path, f"the weights of `{layer.name}` claim too many numbers")
        arrays = layouts.weights(layer, [stored[k] for k in keys], _VERSION, None) if keys else []
        if [tuple(a.shape) for a in arrays] != [v.shape for v in own]:
            theirs = [stored.shapes[k] for k in keys]
            wrong.append(f"layer `{layer.name}`: the model has {[v.shape for v in own]}, the file {theirs}")
        else:
            todo += zip(own, arrays)
    weights.report(model, wrong, skip_mismatch)
    for variable, value in todo:
        variable.assign(value)
    return wrong


_SLOTS = ("m", "v", "vhat", "rms", "momentum", "mg", "accumulator", "linear", "accum_grad", "accum_var")


def _read_optimizer(model: Any, path: Path) -> None:
    """Load the optimizer's state, if the folder has it."""
    stored = Checkpoint(str(path / "variables/variables"))
    objects = _Objects(stored.object_graph())
    optimizer = model.optimizer
    node = objects.members[0].get("optimizer")
    if optimizer is None or node is None:
        return
    optimizer.build(model.trainable_variables)
    members = objects.members[node]
    names: list[str] | None = None
    keys: list[Any]
    if "_variables" in members:  # tf.keras 2.11 and later
        held = objects.members[members["_variables"]]
        keys = [objects.keys[held[i]] for i in sorted(held, key=lambda i: int(i) if i.isdigit() else -1)]
    else:
        places = {id(v): key for _, own, keys in _pairs(model, objects, 0) for v, key in zip(own, keys)}
        trained = [places.get(id(v), "").removesuffix(_VALUE) for v in model.trainable_variables]
        found = [(k, f"{v}/.OPTIMIZER_SLOT/optimizer/{k}{_VALUE}") for k in _SLOTS for v in trained]
        found = [("iter", f"optimizer/iter{_VALUE}"), *((k, key) for k, key in found if key in stored.shapes)]
        names, keys = [k for k, _ in found], [key for _, key in found]
    own = optimizer.variables
    values = None
    if all(key in stored.shapes for key in keys) and sum(_count(stored, k) for k in keys) <= 2 * sum(map(_size, own)):
        values = layouts.optimizer(own, model.trainable_variables, [np.asarray(stored[k]) for k in keys], names)
    if values is None:
        warnings.warn(f"{path}: the optimizer's state is not loaded, {len(keys)} arrays do not fit", stacklevel=4)
    for variable, value in zip(own, values or ()):
        variable.assign(value)


def _count(stored: Checkpoint, key: str) -> int:
    return math.prod(stored.shapes[key])


def _size(variable: Any) -> int:
    return math.prod(variable.shape)


def _pairs(model: Any, objects: _Objects, node: int) -> Iterator[tuple[Any, list[Any], list[str]]]:
    """Each layer with its variables and the keys of what is stored for them, both in order."""
    members = objects.members[node]
    inner = [members[name] for i in range(len(members)) if (name := f"layer-{i}") in members]
    if not inner:
        yield model, model.weights, objects.variables(node)
        return
    layers = [x for x in model.layers if x.weights or len(model.layers) == len(inner)]
    inner = [n for n in inner if len(model.layers) == len(inner) or objects.variables(n)]
    for layer, place in zip(layers, inner):
        if type(layer).role == "model" and any(name.startswith("layer-") for name in objects.members[place]):
            yield from _pairs(layer, objects, place)
        else:
            yield layer, [*layer.trainable_weights, *layer.non_trainable_weights], objects.variables(place)
    for layer in layers[len(inner) :]:
        yield layer, layer.weights, []


# -- the wire format of protocol buffers: https://protobuf.dev/programming-guides/encoding -------------------------------


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > _MOST:
        limits.refuse(path, f"it has more than {_MOST} bytes")
    return path.read_bytes()


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an int, or the bytes of a text, message or fixed number."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(message) or shift > 63:
                check.fail("load_model", "a message in the SavedModel is damaged")
            value |= (message[at] & 127) << shift
            at += 1
            shift += 7
            if message[at - 1] < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint()
            continue
        size = varint() if kind == 2 else {1: 8, 5: 4}.get(kind, len(message) + 1)
        if at + size > len(message):
            check.fail("load_model", "a message in the SavedModel is damaged")
        yield number, message[at : at + size]
        at += size


def _all(message: bytes, number: int) -> Iterator[bytes]:
    """The messages in the fields of that number."""
    return (value for n, value in _fields(message) if n == number and isinstance(value, bytes))


__all__ = ["is_savedmodel", "read", "read_weights", "root_config"]
