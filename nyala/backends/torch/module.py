"""A layer as an ``nn.Module``, and modules and parameters of torch as variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nyala.backends.torch.types import NAMES
from nyala.base import check, tree
from nyala.base.variable import Variable


class LayerModule(nn.Module):
    """A layer as a module: its trainable weights are the parameters, its other floating weights the buffers, on the same memory.

    ``train()`` and ``eval()`` give the ``training`` that the layer is called with.
    """

    def __init__(self, layer: Any):
        super().__init__()
        self.layer = layer
        self._places: list[tuple[Variable, nn.Module, str]] = []
        for variable in layer.variables:
            if variable._storage.is_floating_point() or variable._storage.is_complex():
                self._register(variable)

    def _register(self, variable: Variable) -> None:
        parts = variable.path.replace(".", "_").split("/")
        if parts[0] == self.layer.name and len(parts) > 1:
            parts = parts[1:]
        home: nn.Module = self
        for part in parts[:-1]:
            part = part if part not in ("layer", "training") else f"{part}_"
            if part not in home._modules:
                home.add_module(part, nn.Module())
            home = home._modules[part]  # type: ignore[assignment]
        name, n = parts[-1], 1
        while hasattr(home, name):
            name, n = f"{parts[-1]}_{n}", n + 1
        storage = variable._storage
        if variable.trainable:
            if not isinstance(storage, nn.Parameter):
                variable._storage = storage = nn.Parameter(storage.detach())
            home.register_parameter(name, storage)
        else:
            home.register_buffer(name, storage)
        self._places.append((variable, home, name))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.layer(*args, **{"training": self.training, **kwargs})

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        for kind in {variable._storage.dtype for variable, _, _ in self._places}:
            if fn(torch.empty(0, dtype=kind)).dtype is not kind:
                check.fail(
                    self.layer,
                    f"its weights are {NAMES[kind]} and cannot be converted in place; make the layer with dtype=...",
                    TypeError,
                )
        super()._apply(fn, recurse)
        for variable, home, name in self._places:
            variable._storage = getattr(home, name)
        return self


def as_module(layer: Any) -> nn.Module:
    """The module of a built layer, always the same one while its variables are the same."""
    variables = [v for v in layer.variables if v._storage.is_floating_point()]
    found = layer.__dict__.get("_torch_module")
    if found is None or [(id(v), v.trainable) for v in variables] != found[0]:
        found = [(id(v), v.trainable) for v in variables], LayerModule(layer)
        layer.__dict__["_torch_module"] = found
    return found[1]


_OF_MODULES = frozenset({
    "parameters", "named_parameters", "buffers", "named_buffers", "modules", "named_modules", "state_dict", "load_state_dict",
})  # fmt: skip


def attribute_of_layer(layer: Any, name: str) -> Any:
    """``model.parameters()`` and the like, as users of Keras on torch write them."""
    if name in _OF_MODULES and layer.built:
        return getattr(as_module(layer), name)
    if name in ("to", "cpu", "cuda") and layer.built:
        return lambda *args, **kwargs: getattr(as_module(layer), name)(*args, **kwargs).layer
    raise AttributeError(name)


# -- the other way -----------------------------------------------------------------------------------------------------


def adopt(backend: Any, x: nn.Module | nn.Parameter) -> list[Variable]:
    """Variables around parameters, and around the floating buffers of modules."""
    if isinstance(x, LayerModule):
        return x.layer.variables
    if isinstance(x, nn.Parameter):
        return [_around(backend, x, "parameter")]
    found = [_around(backend, p, name) for name, p in x.named_parameters()]
    return found + [_around(backend, b, name) for name, b in x.named_buffers() if b.is_floating_point()]


def _around(backend: Any, storage: Tensor, name: str) -> Variable:
    found = storage.__dict__.get("_nyala")
    if found is None:
        shape, dtype = tuple(storage.shape), NAMES[storage.dtype]
        found = Variable.around(backend, storage, shape, dtype, storage.requires_grad, name.replace(".", "_"))
        setattr(storage, "_nyala", found)
    return found


def run_module(module: nn.Module, training: bool | None, args: Any, kwargs: Any) -> Any:
    """``module(*args, **kwargs)`` in the mode of ``training``; ``None`` leaves its mode as it is."""
    if training is not None and module.training is not bool(training):
        module.train(bool(training))
    args, kwargs = tree.map(lambda v: v.value if isinstance(v, Variable) else v, (args, kwargs))
    return module(*args, **kwargs)
