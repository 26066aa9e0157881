"""What lies where: whole copies of the model and parts of the batch, or parts of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nyala import backends
from nyala.base import check
from nyala.distribution.layout import DeviceMesh, LayoutMap, TensorLayout


class Distribution:
    """Says for every variable and batch how it lies on a mesh."""

    def __init__(self, device_mesh: DeviceMesh, batch_dim_name: str | None = None, auto_shard_dataset: bool = True):
        self.device_mesh = device_mesh
        self.batch_dim_name = batch_dim_name or device_mesh.axis_names[0]
        if self.batch_dim_name not in device_mesh.axis_names:
            check.fail(self, f"batch_dim_name {batch_dim_name!r} is no axis of the mesh {device_mesh.axis_names}")
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def num_processes(self) -> int:
        return backends.current().process_count()

    @property
    def num_model_replicas(self) -> int:
        """Into how many parts a batch is cut."""
        return self.device_mesh.shape[self.device_mesh.axis_names.index(self.batch_dim_name)]

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """Cut along the first axis."""
        return TensorLayout((self.batch_dim_name, *[None] * (len(data_shape) - 1)), self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        return TensorLayout([None] * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        return None

    def distribute_dataset(self, dataset: Any) -> Any:
        """The data set as it is: one process reads it, and ``fit`` shares each batch."""
        if self.num_processes > 1:
            check.fail(self, "data sets are not shared among processes; give each its own part", NotImplementedError)
        return dataset

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Variables made inside lie as this says."""
        from nyala.distribution import set_distribution

        outer = backends.distribution
        set_distribution(self)
        try:
            yield
        finally:
            backends.distribution = outer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"

    __str__ = __repr__


class DataParallel(Distribution):
    """Every device has the whole model and a part of each batch.

    Args:
        device_mesh: of one axis; default all devices in a row. devices: their names in place of a mesh.
        auto_shard_dataset: cut data sets among processes; they are not with several, whatever it says: see ``distribute_dataset``.
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[str] | None = None,
        auto_shard_dataset: bool = True,
    ):
        if device_mesh is None:
            from nyala.distribution import list_devices

            found = list(devices or list_devices())
            device_mesh = DeviceMesh((len(found),), ["batch"], found)
        super().__init__(device_mesh, auto_shard_dataset=auto_shard_dataset)


class ModelParallel(Distribution):
    """Variables are cut as ``layout_map`` says, batches along ``batch_dim_name``.

    Args:
        layout_map: layouts by paths of variables; the others lie whole on every device.
        batch_dim_name: an axis of the mesh; default the first.
        auto_shard_dataset: as in ``DataParallel``.
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ):
        check.no_extra("ModelParallel", kwargs, ("layout_map", "batch_dim_name", "auto_shard_dataset"))
        if not isinstance(layout_map, LayoutMap):
            check.fail("ModelParallel", f"layout_map must be a LayoutMap, got {layout_map!r}")
        self.layout_map: LayoutMap = layout_map  # type: ignore[assignment]
        super().__init__(self.layout_map.device_mesh, batch_dim_name, auto_shard_dataset)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        found = self.layout_map[variable.path]
        return super().get_variable_layout(variable) if found is None else found

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        return self.layout_map[path]
