"""What a file is, without making anything of it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nyala.base import check, registry
from nyala.saving import archive, eras, graph_calls, hdf5, legacy, limits, safetensors, savedmodel, shards
from nyala.saving import config as config_


@dataclass
class FileInfo:
    """What ``inspect`` found.

    Args:
        kind: of file. version: of Keras that wrote it. layers: class -> how many. arrays: place -> shape.
        needs: custom classes and functions that ``custom_objects`` must give. code: Lambda layers that hold code.
        problems: why it would be refused.
    """

    path: str
    kind: str
    version: str | None = None
    layers: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.kind}" + (f", written by Keras {self.version}" if self.version else "")]
        if self.layers:
            lines.append("  layers: " + ", ".join(f"{n} {name}" for name, n in self.layers.items()))
        if self.arrays:
            lines.append(f"  {len(self.arrays)} arrays:")
            lines += [f"    {place} {shape}" for place, shape in self.arrays.items()]
        for label, what in (("needs", self.needs), ("holds code, never run", self.code), ("problem", self.problems)):
            lines += [f"  {label}: {one}" for one in what]
        return "\n".join(lines)


def inspect(path: str | os.PathLike[str]) -> FileInfo:
    """What the file is, its layers, arrays and version, what it needs to load, and what in it would be refused."""
    path = Path(path)
    if not path.exists():
        check.fail("inspect", f"there is no file {path}", FileNotFoundError)
    info = FileInfo(str(path), "no file of a known kind")
    try:
        with limits.reading(path):
            if path.suffix == ".safetensors":
                info.kind = "weights (safetensors)"
                info.arrays = {name: a.shape for name, a in safetensors.arrays(path).items()}
            elif path.name.endswith(shards.ENDING):
                info.kind = "weights in several files (index)"
                for file in shards.files(path):
                    _arrays(file, info)
            elif archive.is_archive(path):
                info.kind = "a model (folder)" if path.is_dir() else "a model (.keras archive)"
                config, info.version = archive.read_config(path)
                _see(config, info)
                _arrays(archive.stored_weights(path), info)
            elif savedmodel.is_savedmodel(path):
                config = savedmodel.root_config(path)
                info.kind = "a SavedModel" + ("" if config else " (a graph and weights, no layers)")
                _see((config or {}).get("config"), info)
            elif hdf5.is_hdf5(path):
                _arrays(path, info)
            else:
                info.problems.append("it is damaged, or neither an archive, HDF5 nor safetensors")
    except limits.ModelFileError as error:
        info.problems.append(str(error))
    return info


def _arrays(source: Path | IO[bytes], info: FileInfo) -> None:
    with hdf5.read(source) as file:
        if legacy.is_model(file):
            info.kind = "a model (HDF5)"
            _see(config_.parse(hdf5.text(file, "model_config") or "", info.path), info)
        elif info.kind.startswith("no file"):
            info.kind = "weights by layer (HDF5)" if legacy.is_weights(file) else "weights (HDF5)"
        info.version = info.version or hdf5.text(file, "keras_version")
        for group, found in hdf5.groups(file).items():
            info.arrays |= {f"{group}/{name}": tuple(data.shape) for name, data in found.items()}


def _see(config: Any, info: FileInfo) -> None:
    """Count the layers in a config, and note what is not built in."""
    counts: Counter[str] = Counter(info.layers)
    todo = [config]
    while todo:
        x = todo.pop()
        if isinstance(x, dict):
            name, inner = x.get("class_name"), x.get("config")
            if isinstance(name, str) and isinstance(inner, (dict, list)):
                if "inbound_nodes" in x or "build_config" in x or (isinstance(inner, dict) and "trainable" in inner):
                    counts[name] += 1
                if name == "Lambda" and isinstance(inner, dict) and _is_code(inner.get("function")):
                    info.code.append(str(inner.get("name")))
                if not _known(x) and name not in info.needs:
                    info.needs.append(name)
            elif name == "function" and isinstance(inner, str) and registry.find("activation", inner) is None:
                info.needs.append(inner)
            todo.extend(x.values())
        elif isinstance(x, list):
            todo.extend(x)
    info.layers = dict(counts.most_common())


def _is_code(function: Any) -> bool:
    return isinstance(function, (list, str)) or (
        isinstance(function, dict) and function.get("class_name") == "__lambda__"
    )


def _known(entry: dict[str, Any]) -> bool:
    from nyala.models.op_config import is_op

    name = str(entry["class_name"]).removeprefix("Custom>")
    if name.startswith("__") or name in eras.CLASSES or name in ("Merge", "Policy", *graph_calls.LAYERS):
        return True
    inner = entry["config"]
    return any(name in registry.names(role) for role in registry.HOMES) or (isinstance(inner, dict) and is_op(entry))


__all__ = ["FileInfo", "inspect"]
