"""The config of a graph of layers, in the form that Keras 3 files use, and the way back."""

from __future__ import annotations

from typing import Any

from nyala._typing import Config
from nyala.base import check, configurable, tree
from nyala.graph.node import OpCall
from nyala.graph.symbolic import SymbolicTensor
from nyala.models.op_config import is_op, op_config, op_from_config


def functional_config(model: Any) -> Config:
    """Layers with the calls that belong to the model, and where its inputs and outputs are among them."""
    function = model._function
    inside = {id(node): node for node in function.nodes}
    for x in model.inputs:
        inside[id(x.node)] = x.node
    heads = {id(old): new for old, new in zip(function.flat_inputs, model.inputs)}
    index: dict[int, int] = {}
    counts: dict[int, int] = {}
    for op in model.operations:
        for node in op._call_nodes:
            if id(node) in inside:
                index[id(node)] = counts.setdefault(id(op), 0)
                counts[id(op)] += 1

    def place(x: SymbolicTensor) -> list[Any]:
        x = heads.get(id(x), x)
        assert x.node is not None
        return [x.node.operation.name, index[id(x.node)], x.index]

    def argument(value: Any) -> Any:
        if isinstance(value, SymbolicTensor):
            config = {"shape": value.shape, "dtype": value.dtype, "keras_history": place(value)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, (list, tuple)):
            return type(value)(argument(v) for v in value)
        if isinstance(value, dict):
            return {k: argument(v) for k, v in value.items()}
        return configurable.serialize(value)

    layers = []
    for op in model.operations:
        calls = [(node.args, node.kwargs) for node in op._call_nodes if id(node) in inside and not node.is_input]
        if isinstance(op, OpCall):
            entry, *call = op_config(op, op._call_nodes[0])
            calls = [tuple(call)]
        else:
            entry = configurable.serialize_object(op)
        entry["name"] = op.name
        entry["inbound_nodes"] = [{"args": argument(args), "kwargs": argument(kwargs)} for args, kwargs in calls]
        layers.append(entry)
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": tree.map(place, function.inputs),
        "output_layers": tree.map(place, function.outputs),
    }


def functional_from_config(cls: type, config: Config) -> Any:
    """The model that ``functional_config`` describes, with new weights."""
    made: dict[str, Any] = {}
    given: dict[str, list[list[Any]]] = {}
    """Name -> the outputs of each call."""
    waiting: list[tuple[Any, Config]] = []
    for entry in config["layers"]:
        name = entry.get("name") or entry["config"]["name"]
        made[name] = _operation(entry)
        given[name] = [node.flat_outputs for node in made[name]._call_nodes]
        waiting += [(name, call) for call in entry["inbound_nodes"]]

    def tensor(place: Any) -> SymbolicTensor:
        name, call, output = place[:3]
        return given[name][call][output]

    def ready(value: Any) -> bool:
        if _is_tensor(value):
            name, call, _ = value["config"]["keras_history"][:3]
            return len(given[name]) > call
        if isinstance(value, (list, tuple)):
            return all(map(ready, value))
        return all(map(ready, value.values())) if isinstance(value, dict) else True

    def argument(value: Any) -> Any:
        if _is_tensor(value):
            return tensor(value["config"]["keras_history"])
        if isinstance(value, (list, tuple)):
            return type(value)(argument(v) for v in value)
        if isinstance(value, dict) and "class_name" in value:
            return configurable.deserialize(value)
        return {k: argument(v) for k, v in value.items()} if isinstance(value, dict) else value

    while waiting:
        later: list[tuple[Any, Config]] = []
        blocked: set[str] = set()  # the calls of one layer keep their order: their numbers are its names
        for name, call in waiting:
            if name in blocked or not ready(call["args"]) or not ready(call["kwargs"]):
                blocked.add(name)
                later.append((name, call))
                continue
            operation = made[name]
            before = len(operation._call_nodes)
            args, kwargs = argument(call["args"]), argument(call["kwargs"])
            if not any(isinstance(x, SymbolicTensor) for x in tree.flatten([args, kwargs])):
                check.fail("model config", f"a call of `{name}` takes no tensor of the graph")  # it would run now
            outputs = operation(*args, **kwargs)
            if len(operation._call_nodes) == before:  # an op names its call by a new OpCall
                node: Any = next(x.node for x in tree.flatten(outputs) if isinstance(x, SymbolicTensor))
                node.operation.name = name
                given[name].append(tree.flatten(outputs))
            else:
                given[name].append(operation._call_nodes[-1].flat_outputs)
        if len(later) == len(waiting):
            check.fail(
                "model config", f"the calls of {sorted({n for n, _ in later})} wait for tensors that nothing gives"
            )
        waiting = later

    inputs, outputs = (_places(config[key], tensor) for key in ("input_layers", "output_layers"))
    model = cls(inputs=inputs, outputs=outputs, name=config.get("name"))
    if not config.get("trainable", True):
        model.trainable = False
    return model


def _operation(entry: Config) -> Any:
    if is_op(entry):
        return op_from_config(entry)
    return configurable.deserialize(
        {k: entry[k] for k in ("module", "class_name", "config", "registered_name") if k in entry}
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def _places(value: Any, tensor: Any) -> Any:
    """The nest of tensors for a nest of ``[layer, call, output]``."""
    if isinstance(value, dict):
        return {k: _places(v, tensor) for k, v in value.items()}
    if len(value) == 3 and isinstance(value[0], str) and check.is_int(value[1]):
        return tensor(value)
    return [_places(v, tensor) for v in value]


__all__ = ["functional_config", "functional_from_config"]
