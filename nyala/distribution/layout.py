"""Meshes of devices and how tensors lie on them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np

from nyala import backends
from nyala.base import check


class DeviceMesh:
    """Devices in a grid whose axes have names.

    Args:
        shape: of the grid. axis_names: one a dimension. devices: names as ``list_devices`` gives; default all of them.

    Raises: ValueError where these do not go together.
    """

    def __init__(self, shape: Sequence[int], axis_names: Sequence[str], devices: Any = None):
        if not shape or not axis_names or len(shape) != len(axis_names):
            check.fail("DeviceMesh", f"needs a name for each axis, got shape={shape} and axis_names={axis_names}")
        if devices is None:
            from nyala.distribution import list_devices

            devices = list_devices()
        found = np.array(devices)
        if found.size != np.prod(shape):
            check.fail("DeviceMesh", f"shape {tuple(shape)} needs {np.prod(shape)} devices, got {found.size}")
        self.shape, self.axis_names = tuple(shape), list(axis_names)
        self.devices = found.reshape(self.shape)

    @functools.cached_property
    def backend_mesh(self) -> Any:
        return backends.current().make_mesh(self.devices, tuple(self.axis_names))

    def __repr__(self) -> str:
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"

    __str__ = __repr__


class TensorLayout:
    """For each axis of a tensor the axis of the mesh along which it is cut; ``None``: not cut."""

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None):
        self.axes = tuple(axes)
        self._mesh = device_mesh
        self._check()

    def _check(self) -> None:
        unknown = [a for a in self.axes if a is not None and self._mesh is not None and a not in self._mesh.axis_names]
        if unknown:
            check.fail("TensorLayout", f"{unknown[0]!r} is no axis of the mesh, which has {self._mesh.axis_names}")  # type: ignore[union-attr]

    @property
    def device_mesh(self) -> DeviceMesh | None:
        return self._mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if self._mesh is not None:
            check.fail("TensorLayout", f"has the mesh {self._mesh} already")
        self._mesh = mesh
        self._check()

    @property
    def backend_layout(self) -> Any:
        if self._mesh is None:
            check.fail("TensorLayout", "needs a device_mesh")
        return backends.current().make_layout(self._mesh.backend_mesh, self.axes)  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return f"<TensorLayout axes={self.axes}, device_mesh={self._mesh}>"

    __str__ = __repr__


class LayoutMap(MutableMapping[str, TensorLayout]):
    """Layouts by regular expressions that match the whole paths of variables.

    >>> layout_map[".*dense.*kernel"] = (None, "model")

    Raises: ValueError when a key is set twice or a path matches several keys.
    """

    def __init__(self, device_mesh: DeviceMesh):
        self._layouts: dict[str, TensorLayout] = {}
        self.device_mesh = device_mesh

    def __getitem__(self, key: str) -> Any:
        if key in self._layouts:
            return self._layouts[key]
        found = [k for k in self._layouts if re.fullmatch(k, key)]
        if len(found) > 1:
            check.fail("LayoutMap", f"path {key!r} matches several keys: {found}; make them more precise")
        return self._layouts[found[0]] if found else None

    def __setitem__(self, key: str, layout: Any) -> None:
        if key in self._layouts:
            check.fail("LayoutMap", f"{key!r} has the layout {self._layouts[key]} already")
        if isinstance(layout, tuple):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            check.fail("LayoutMap", f"a layout is a TensorLayout or a tuple of axes, got {type(layout).__name__}")
        if layout.device_mesh is None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)
