"""HDF5 files as plain containers of numbers and short texts.

A file may come from anywhere: only data sets that stand in the file itself are read. Links, external and virtual storage,
object references and foreign filters are refused, and so is a file whose data sets claim far more than it stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from nyala.backends import dtypes
from nyala.base import check

if TYPE_CHECKING:
    import h5py

_MAX_DEPTH = 64
_MAX_MEMBERS = 1_000_000
_MAX_TEXT = 256 * 2**20
_ATTRIBUTE = 64_512
"""Bytes that fit into one attribute; longer lists are cut into ``name0``, ``name1``, ..."""
_RATIO = 1_100
"""What deflate makes of zeros at best: a data set that claims more for its stored bytes is a bomb."""
_FILTERS = {"gzip", "lzf", None}


def is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(path))


@contextmanager
def read(source: str | Path | IO[bytes]) -> Iterator[h5py.File]:
    """The open file, after every member of it was found to be plain. Raises ValueError for what is refused or no HDF5."""
    import h5py

    name = getattr(source, "name", source)
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        check.fail("load", f"{name} is no HDF5 file or is damaged: {error}")
    with file:
        _inspect(file)
        yield file


@contextmanager
def write(target: str | Path | IO[bytes]) -> Iterator[h5py.File]:
    """A new file, open for writing."""
    import h5py

    with h5py.File(target, "w") as file:
        yield file


def _inspect(file: h5py.File) -> None:
    import h5py

    todo: list[tuple[str, Any, int]] = [("", file, 0)]
    count = 0
    while todo:
        path, group, depth = todo.pop()
        for name in group:
            count += 1
            place = f"{path}/{name}" if path else name
            if count > _MAX_MEMBERS or depth > _MAX_DEPTH:
                refuse(file, f"it holds more than {_MAX_MEMBERS} members or is nested deeper than {_MAX_DEPTH}")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                refuse(file, f"{place} is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                todo.append((place, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                _inspect_data(file, place, item)


def _inspect_data(file: h5py.File, place: str, data: h5py.Dataset) -> None:
    if data.is_virtual or data.external:
        refuse(file, f"{place} keeps its values in another file")
    if data.dtype.kind not in "fiubcSVO":
        refuse(file, f"{place} holds no numbers but {data.dtype}")
    if data.compression not in _FILTERS or data.scaleoffset is not None:
        refuse(file, f"{place} is packed by a filter that is not read")
    if data.shape is None:
        refuse(file, f"{place} is empty")
    stored = data.id.get_storage_size()
    if data.size * data.dtype.itemsize > stored * (_RATIO if data.compression else 1) + 4096:
        refuse(file, f"{place} claims {data.size * data.dtype.itemsize} bytes and stores {stored}")


def refuse(file: h5py.File, why: str) -> None:
    check.fail("load", f"the file {file.filename} is refused: {why}")


def groups(file: h5py.File) -> dict[str, dict[str, h5py.Dataset]]:
    """The data sets of the file by the group they stand in."""
    import h5py

    stored: dict[str, dict[str, h5py.Dataset]] = {}
    todo: list[tuple[str, Any]] = [("", file)]
    while todo:
        path, group = todo.pop()
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                place = f"{path}/{name}" if path else name
                todo.append((place, item))
                stored.setdefault(place, {})
            elif isinstance(item, h5py.Dataset):
                stored.setdefault(path, {})[name] = item
    return stored


def group(parent: h5py.Group, name: str) -> h5py.Group:
    """A member group; ValueError if there is none."""
    import h5py

    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        check.fail("load", f"{parent.file.filename} has no group {str(parent.name).rstrip('/')}/{name}")
    return found


def array(data: Any) -> np.ndarray:
    """The numbers of a data set."""
    import h5py

    if not isinstance(data, h5py.Dataset):
        check.fail("load", "a place that should hold numbers holds a group or nothing")
    kind = data.attrs.get("dtype")
    if data.dtype.kind == "V" and isinstance(kind, str):
        return np.asarray(data[()]).view(dtypes.numpy_dtype(dtypes.standardize(kind)))
    if data.dtype.kind not in "fiubcS":
        check.fail("load", f"{data.name} holds no numbers but {data.dtype}")
    return data[()]


def put(group: h5py.Group, key: str, value: np.ndarray) -> None:
    if value.dtype.kind == "V" or value.dtype.name.startswith(("bfloat", "float8")):  # HDF5 has no such type
        stored = group.create_dataset(key, data=value.view(f"V{value.dtype.itemsize}"))
        stored.attrs["dtype"] = value.dtype.name
    else:
        group.create_dataset(key, data=value)


def text(holder: Any, name: str) -> str | None:
    """A text in an attribute; ``None`` if there is none."""
    value = holder.attrs.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or not isinstance(value, str):
        return None
    if len(value) > _MAX_TEXT:
        refuse(holder.file, f"attribute {name} is longer than {_MAX_TEXT} bytes")
    return value


def names(holder: Any, name: str) -> list[str] | None:
    """A list of texts in an attribute, or in several; ``None`` if there is none."""
    if name in holder.attrs:
        found = list(np.asarray(holder.attrs[name]).reshape(-1))
    elif f"{name}0" in holder.attrs:
        found, part = [], 0
        while f"{name}{part}" in holder.attrs:
            found += list(np.asarray(holder.attrs[f"{name}{part}"]).reshape(-1))
            part += 1
    else:
        return None
    return [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in found]


def put_names(holder: Any, name: str, values: Sequence[str]) -> None:
    encoded = np.array([v.encode() for v in values], dtype=bytes) if values else np.zeros(0, "S1")
    parts = max(1, -(-encoded.nbytes // _ATTRIBUTE))
    if parts == 1:
        holder.attrs[name] = encoded
        return
    each = max(1, _ATTRIBUTE // encoded.itemsize)
    for part, start in enumerate(range(0, len(encoded), each)):
        holder.attrs[f"{name}{part}"] = encoded[start : start + each]
