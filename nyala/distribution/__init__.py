"""Training over several devices: meshes of devices, layouts of tensors on them, and what a model does with both.

Variables that are made while a distribution is set lie on its mesh, and ``fit`` shares its batches among the devices. It runs
on jax; on TensorFlow make the model inside a ``tf.distribute`` strategy's scope.
"""

from __future__ import annotations

import os
from typing import Any

from nyala import backends
from nyala.base import check
from nyala.distribution.layout import DeviceMesh, LayoutMap, TensorLayout
from nyala.distribution.parallel import DataParallel, Distribution, ModelParallel


def list_devices(device_type: str | None = None) -> list[str]:
    """The devices of the current backend, ``["gpu:0", "gpu:1"]``; of ``device_type`` "cpu", "gpu" or "tpu", default the best."""
    devices = backends.current().devices()
    kind = (device_type or devices[0].split(":")[0]).lower()
    return [d for d in devices if d.split(":")[0] == kind]


def get_device_count(device_type: str | None = None) -> int:
    """How many devices ``list_devices`` lists."""
    return len(list_devices(device_type))


def distribution() -> Distribution | None:
    """The distribution that is set."""
    return backends.distribution


def set_distribution(value: Distribution | None) -> None:
    """Make variables from now on as ``value`` says; ``None``: on one device.

    Raises: NotImplementedError where the current backend has no layouts.
    """
    if value is not None:
        check_backend("set_distribution")
    backends.distribution = value


def check_backend(who: str) -> None:
    backend = backends.current()
    if not backend.has_layouts:
        check.fail(who, f"needs the jax backend, not {backend.name!r}{backend.instead_of_layouts}", NotImplementedError)


def distribute_tensor(tensor: Any, layout: TensorLayout) -> Any:
    """``tensor`` laid out as ``layout`` says, eagerly and inside compiled functions."""
    check_backend("distribute_tensor")
    return backends.current().lay_out(tensor, layout.backend_layout)


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join several processes to one run; call it before anything else.

    Args:
        job_addresses: ``"host:port"`` of the first process (or of all, comma-separated). num_processes, process_id: how many
            there are, and which this one is. Defaults: ``$KERAS_DISTRIBUTION_JOB_ADDRESSES`` and so on.
    """
    check_backend("initialize")
    given = {"job_addresses": job_addresses, "num_processes": num_processes, "process_id": process_id}
    known = {k: os.environ.get(f"KERAS_DISTRIBUTION_{k.upper()}") if v is None else v for k, v in given.items()}
    address = known["job_addresses"]
    first = None if address is None else str(address).split(",")[0]
    backends.current().join_processes(first, *(None if known[k] is None else int(known[k]) for k in list(known)[1:]))  # type: ignore[arg-type]


__all__ = [
    "DataParallel", "DeviceMesh", "LayoutMap", "ModelParallel", "TensorLayout", "distribute_tensor", "distribution",
    "get_device_count", "initialize", "list_devices", "set_distribution",
]  # fmt: skip
