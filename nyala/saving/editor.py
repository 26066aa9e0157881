"""Weights files opened, changed and saved again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import check, files
from nyala.saving import archive, hdf5, limits, weights

Arrays = dict[str, np.ndarray]


class KerasFileEditor:
    """The values in a ``.weights.h5`` file or a ``.keras`` archive, to look at and change.

    ``weights_dict`` holds them, nested as the paths of objects are: ``{"layers": {"dense": {"0": ..., "1": ...}}}``.
    An object is named by its path, ``"layers/dense"``, or by the last part of it where that is the only one.

    Raises: ModelFileError, a ValueError, for another file.
    """

    def __init__(self, filepath: str | os.PathLike[str]):
        self.filepath = Path(filepath)
        if not self.filepath.exists():
            check.fail(type(self), f"there is no file {self.filepath}", FileNotFoundError)
        source: Any = self.filepath
        self._objects: dict[str, Arrays] = {}
        with limits.reading(self.filepath):
            if archive.is_archive(self.filepath):
                source = archive.stored_weights(self.filepath)
            with hdf5.read(source) as file:
                if "layer_names" in file.attrs or "model_config" in file.attrs:
                    check.fail(
                        type(self),
                        f"{source} is a file of Keras 1 or 2; load it and use save_weights('NAME.weights.h5')",
                    )
                for place, found in hdf5.groups(file).items():
                    if found:
                        path = place.removesuffix("vars").rstrip("/")
                        self._objects[path] = {k: np.asarray(hdf5.array(d)) for k, d in found.items()}

    @property
    def weights_dict(self) -> dict[str, Any]:
        nest: dict[str, Any] = {}
        for path, arrays in self._objects.items():
            inner = nest
            for part in filter(None, path.split("/")):
                inner = inner.setdefault(part, {})
            inner.update(arrays)
        return nest

    def _find(self, name: str) -> str:
        name = name.strip("/")
        if name in self._objects:
            return name
        found = [path for path in self._objects if path.split("/")[-1] == name]
        if len(found) == 1:
            return found[0]
        if found:
            check.fail(self, f"several objects are called {name!r}: {', '.join(found)}; give the path")
        return check.fail(self, f"there is no object {name!r}.{check.nearest(name, list(self._objects))}")

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object, with what is below it, another name, which is its last part or a whole path."""
        old = self._find(object_name)
        new = new_name.strip("/") if "/" in new_name else "/".join([*old.split("/")[:-1], new_name])
        if new in self._objects:
            check.fail(self, f"there is already an object {new!r}")
        below = f"{old}/"
        self._objects = {
            new + path[len(old) :] if path == old or path.startswith(below) else path: arrays
            for path, arrays in self._objects.items()
        }

    def delete_object(self, object_name: str) -> None:
        """Remove an object and what is below it."""
        old = self._find(object_name)
        self._objects = {p: a for p, a in self._objects.items() if p != old and not p.startswith(f"{old}/")}

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Add an object with values by their keys, ``{"0": kernel, "1": bias}``."""
        path = object_path.strip("/")
        limits.inner_path(self.filepath, path)
        if path in self._objects:
            check.fail(self, f"there is already an object {path!r}; use add_weights")
        self._objects[path] = {str(k): np.asarray(v) for k, v in weights.items()}

    def delete_weight(self, object_name: str, weight_name: str) -> None:
        arrays = self._objects[self._find(object_name)]
        if weight_name not in arrays:
            check.fail(self, f"{object_name} has no weight {weight_name!r}; it has {list(arrays)}")
        del arrays[weight_name]

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Add values to an object that is there, or replace those of the same keys."""
        self._objects[self._find(object_name)].update({str(k): np.asarray(v) for k, v in weights.items()})

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write a ``.weights.h5`` file."""
        path = Path(filepath)
        if not path.name.endswith(".weights.h5"):
            check.fail(self, f"filepath must end in .weights.h5, got {str(path)!r}")
        with files.beside(path) as temporary, hdf5.write(temporary) as file:
            for place, arrays in self._objects.items():
                group = file.create_group(f"{place}/vars" if place else "vars")
                group.attrs["name"] = place.split("/")[-1]
                for key, value in arrays.items():
                    hdf5.put(group, key, value)

    resave_weights = save

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Print what differs from a model's weights; returns ``status`` ("success" or "error") and the two counts."""
        own = {place: weights.values(obj) for place, obj in weights.walk(reference_model)}
        own = {place: values for place, values in own.items() if values}
        wrong, matches = [], 0
        for place in (*own, *(p for p in self._objects if p not in own)):
            mine, theirs = own.get(place), self._objects.get(place)
            if mine is None or theirs is None:
                wrong.append(f"{place} is {'not in the model' if mine is None else 'missing in the file'}")
                continue
            for key in dict.fromkeys((*mine, *theirs)):
                shapes = [str(tuple(x[key].shape)) if key in x else "none" for x in (mine, theirs)]
                matches += shapes[0] == shapes[1]
                if shapes[0] != shapes[1]:
                    wrong.append(f"{place}/{key}: the model has {shapes[0]}, the file {shapes[1]}")
        _print([*wrong, f"{matches} weights match, {len(wrong)} things do not"])
        return {"status": "error" if wrong else "success", "error_count": len(wrong), "match_count": matches}

    def summary(self) -> None:
        """Print the objects and the shapes and dtypes of their values."""
        lines = [str(self.filepath)]
        for place, arrays in self._objects.items():
            lines.append(f"  {place or '.'}")
            for key in sorted(arrays, key=lambda k: (not k.isdigit(), int(k) if k.isdigit() else 0, k)):
                lines.append(f"    {key}: {arrays[key].shape} {arrays[key].dtype}")
        _print(lines)

    def __repr__(self) -> str:
        return f"KerasFileEditor `{self.filepath}`"


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


__all__ = ["KerasFileEditor"]
