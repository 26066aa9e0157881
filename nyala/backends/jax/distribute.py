"""Layouts of tensors on meshes of devices, by jax's shardings: XLA cuts the computation accordingly."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nyala import backends
from nyala._typing import Nest
from nyala.base import tree
from nyala.base.variable import Variable


class Layouts:
    """Mixed into the backend."""

    has_layouts = True

    def make_mesh(self, devices: np.ndarray, axis_names: Sequence[str]) -> Mesh:
        known = {f"{d.platform}:{d.id}": d for d in jax.devices()}
        return Mesh(np.vectorize(lambda name: known[name], otypes=[object])(devices), tuple(axis_names))

    def make_layout(self, mesh: Mesh, axes: Sequence[str | None]) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(*axes))

    def lay_out(self, x: Any, layout: NamedSharding) -> Any:
        x = backends.get("jax").convert(x)
        return lax.with_sharding_constraint(x, layout) if isinstance(x, Tracer) else jax.device_put(x, layout)

    def join_processes(self, address: str | None, count: int | None, number: int | None) -> None:
        jax.distributed.initialize(address, count, number)

    def process_count(self) -> int:
        return jax.process_count()

    def placement(self, variables: Sequence[Variable]) -> Any:
        return backends.distribution

    def spread(self, fn: Callable[..., Nest], placement: Any) -> Callable[..., Nest]:
        if jax.process_count() > 1:
            raise NotImplementedError("fit runs in one process; with several use a loop of your own over jax.jit")

        def cut(x: Any) -> Any:
            if not hasattr(x, "shape") or not x.shape or x.shape[0] % placement.num_model_replicas:
                return x
            return self.lay_out(x, placement.get_data_layout(x.shape).backend_layout)

        return lambda batch, *rest: fn(tree.map(cut, batch), *rest)

    def align(self, variable: Variable, reference: Variable) -> None:
        pinned = sharding_of(reference)
        if pinned is not None and variable.shape == reference.shape:
            variable._storage.array = jax.device_put(variable._storage.array, pinned)


def first_place(variable: Variable, array: jax.Array) -> jax.Array:
    """A new variable's value, laid out as the distribution that is set says."""
    if backends.distribution is None:
        return array
    return jax.device_put(array, backends.distribution.get_variable_layout(variable).backend_layout)


def sharding_of(variable: Variable) -> NamedSharding | None:
    """Where the variable must stay."""
    found = variable._storage.array.sharding
    return found if isinstance(found, NamedSharding) else None


def kept(variable: Variable, value: Any) -> Any:
    """A new value of a variable, laid out as the old one."""
    found = sharding_of(variable)
    if found is None:
        return value
    if isinstance(value, Tracer):
        return lax.with_sharding_constraint(value, found)
    return value if value.sharding == found else jax.device_put(value, found)
