"""HDF5 files as plain containers of numbers and short texts.

A file may come from anywhere: only data sets that stand in the file itself are read. Links, external and virtual storage,
object references and foreign filters are refused, and so is a file whose data sets claim far more than it stores.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from nyala.backends import dtypes
from nyala.base import check
from nyala.saving import limits

if TYPE_CHECKING:
    import h5py

_MAX_DEPTH = 64
_MAX_MEMBERS = 1_000_000
_MAX_NAMES = 1_000_000
_ATTRIBUTE = 64_512
"""Bytes that fit into one attribute; longer lists are cut into ``name0``, ``name1``, ..."""
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""By number; every other one would make HDF5 look for a plug-in to load."""
_TEXTS = ("model_config", "training_config", "keras_version", "backend", "layer_names", "weight_names", "dtype")
"""The attributes that are read, or how their names begin."""


def is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(path))


@contextmanager
def read(source: str | Path | IO[bytes]) -> Iterator[h5py.File]:
    """The open file, after every member of it was found to be plain. Raises ValueError for what is refused or no HDF5."""
    import h5py
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]  (compiled, without stubs)

    name = getattr(source, "name", source)
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        check.fail("load", f"{name} is no HDF5 file or is damaged: {error}")
    with file:
        number, known = h5o.get_info(file.id).fileno, set(_texts)
        try:
            with Path(source).open("rb") if isinstance(source, (str, Path)) else nullcontext(source) as data:
                _inspect(file, data)
            yield file
        finally:
            for key in [k for k in _texts if k[0] == number and k not in known]:
                del _texts[key]


@contextmanager
def write(target: str | Path | IO[bytes]) -> Iterator[h5py.File]:
    """A new file, open for writing."""
    import h5py

    if not isinstance(target, (str, Path)):
        with h5py.File(target, "w") as file:
            yield file
        return
    patient = _Patient(target, "w+")
    try:
        with patient, h5py.File(patient, "w") as file:
            yield file
    finally:
        if patient.error is not None:
            raise patient.error


class _Patient(io.FileIO):
    """A file that keeps an error of the disk until it is closed: the HDF5 library crashes on one."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = self.error or error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


def _inspect(file: h5py.File, data: IO[bytes]) -> None:
    """Refuse a file with more in it than plain members."""
    import h5py
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]  (compiled, without stubs)

    todo: list[tuple[str, Any, int]] = [("", file, 0)]
    seen = {h5o.get_info(file.id).addr}
    count = claimed = 0
    if file.id.get_create_plist().get_sizes() != (8, 8):
        refuse(file, "its addresses have not 8 bytes")
    _read_texts(file, data, "", file)
    while todo:
        path, group, depth = todo.pop()
        for name in group:
            count += 1
            place = f"{path}/{name}" if path else name
            if count > _MAX_MEMBERS or depth > _MAX_DEPTH:
                refuse(file, f"it holds more than {_MAX_MEMBERS} members or is nested deeper than {_MAX_DEPTH}")
            limits.inner_path(file.filename, place)
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                refuse(file, f"{place} is a link to another place")
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in seen:
                refuse(file, f"{place} is a second name of something else in it")
            seen.add(address)
            _read_texts(file, data, place, item)
            if isinstance(item, h5py.Group):
                todo.append((place, item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                claimed += _inspect_data(file, place, item)
    most = limits.unpacked(file.id.get_filesize())
    if claimed > most:
        refuse(file, f"its data sets claim {claimed} bytes, the limit for a file of its size is {most}")


def _read_texts(file: h5py.File, data: IO[bytes], place: str, item: Any) -> None:
    """Note the texts of an object's attributes that have no length of their own.

    The HDF5 library is not asked for them: it takes as much memory as a text claims to have, up to 4 GiB, looks on without end
    in a damaged heap, and crashes on a damaged type.
    https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (object header, attribute message, global heap)
    """
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]  (compiled, without stubs)

    left = {a for a in item.attrs if a.startswith(_TEXTS) and item.attrs.get_id(a).dtype.kind == "O"}
    if not left:
        return
    base, info = file.userblock_size, h5o.get_info(item.id)

    def at(place: int, size: int) -> bytes:
        data.seek(base + place)
        return data.read(size)

    for name, values in _attributes(at, info.addr):
        if name not in left:
            continue
        left.discard(name)
        where, shape, texts = f"attribute {name} of {place or '/'}", item.attrs.get_id(name).shape, []
        for i in range(0 if shape is None else math.prod(shape)):
            claimed, heap, index = struct.unpack_from("<IQI", values, 16 * i)
            first, stored = _in_heap(at, heap, index) if claimed else (0, 0)
            if claimed != stored:
                refuse(file, f"{where} claims a text of {claimed} bytes, its heap stores {stored}")
            texts.append(at(first, claimed))
            if sum(map(len, texts)) > limits.MAX_TEXT:
                refuse(file, f"{where} is longer than {limits.MAX_TEXT} bytes")
        _texts[info.fileno, info.addr, name] = [t.decode("utf-8", "replace").rstrip("\0") for t in texts]
    if left:
        way = (
            "not in the header, as HDF5's newer formats do from 9 attributes on; write the file with libver='earliest'"
        )
        refuse(file, f"attribute {min(left)} of {place or '/'} is stored {way}")


_texts: dict[tuple[int, int, str], list[str]] = {}
"""Of the files that are open, by the numbers of file and object and the attribute's name."""


_At = Callable[[int, int], bytes]
"""The bytes of a file from a place."""


def _attributes(at: _At, start: int) -> Iterator[tuple[str, bytes]]:
    """Names and stored bytes of the attributes in an object's header."""
    head = at(start, 16)
    new = head[:4] == b"OHDR"
    if new:
        skipped, width = 6 + (head[5] >> 5 & 1) * 16 + (head[5] >> 4 & 1) * 4, 1 << (head[5] & 3)
        blocks = [(start + skipped + width, int.from_bytes(at(start + skipped, width), "little"))]
        layout, order = "<BHx", (head[5] >> 2 & 1) * 2
    else:
        blocks = [(start + 16, int.from_bytes(head[8:12], "little"))]
        layout, order = "<HH4x", 0
    step = struct.calcsize(layout) + order
    for place, size in blocks:  # which grow by what is found in them
        content, here = at(place, size), 0
        while here + step <= len(content):
            kind, length = struct.unpack_from(layout, content, here)
            message, here = content[here + step : here + step + length], here + step + length
            if kind == 0x10 and len(blocks) < _MAX_MEMBERS:
                there, size = struct.unpack_from("<QQ", message)
                blocks.append((there + 4, size - 8) if new else (there, size))
            elif kind == 0x0C:
                version, *sizes = struct.unpack_from("<BxHHH", message)
                first = 8 + (version == 3)
                name = message[first : first + sizes[0]].split(b"\0")[0].decode("utf-8", "replace")
                yield name, message[first + sum(s if version > 1 else -(-s // 8) * 8 for s in sizes) :]


def _in_heap(at: _At, heap: int, index: int) -> tuple[int, int]:
    """Place and size of an object in a heap; a size of -1 if it is not there or the heap is damaged."""
    head = at(heap, 16)
    size = int.from_bytes(head[8:], "little")
    place, found = 16, (0, -1)
    while head[:4] == b"GCOL" and place + 16 <= size:
        number, length = struct.unpack("<H6xQ", at(heap + place, 16).ljust(16, b"\xff"))
        if number == index and found[1] < 0:
            found = heap + place + 16, length
        place += -(-length // 8) * 8 + 16 if number else length
        if place > size or (not number and place != size):
            return 0, -1
    return found


def _inspect_data(file: h5py.File, place: str, data: h5py.Dataset) -> int:
    """The bytes that the data set claims."""
    import h5py

    if data.is_virtual or data.external:
        refuse(file, f"{place} keeps its values in another file")
    kind = data.dtype
    if kind.kind not in "fiubcSVO" or h5py.check_ref_dtype(kind) is not None:
        refuse(file, f"{place} holds no numbers but {'references' if kind.kind == 'O' else kind}")
    made = data.id.get_create_plist()
    filters = [made.get_filter(i)[0] for i in range(made.get_nfilters())]
    if any(f not in _FILTERS for f in filters):
        refuse(file, f"{place} is packed by a filter that is not read; those that are: {', '.join(_FILTERS.values())}")
    if data.shape is None:
        refuse(file, f"{place} is empty")
    claimed = math.prod(data.shape) * kind.itemsize
    if data.chunks is not None:
        claimed = max(claimed, math.prod(data.chunks) * kind.itemsize)
    stored = data.id.get_storage_size()
    if claimed > (limits.unpacked(stored) if data.chunks is not None else stored):
        refuse(file, f"{place} claims {claimed} bytes and stores {stored}")
    return claimed


def refuse(file: h5py.File, why: str) -> NoReturn:
    limits.refuse(f"the file {file.filename}", why)


def claimed(file: h5py.File) -> int:
    """The bytes of all data sets."""
    return sum(d.size * d.dtype.itemsize for found in groups(file).values() for d in found.values())


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
    kind = text(data, "dtype") if data.dtype.kind == "V" else None
    if kind is not None:
        return np.asarray(data[()]).view(dtypes.numpy_dtype(dtypes.standardize(kind)))
    if data.dtype.kind not in "fiubcS":
        check.fail("load", f"{data.name} holds no numbers but {data.dtype}")
    return data[()]


def fits(stored: Sequence[Any], variables: Sequence[Any]) -> bool:
    """Whether data sets are, in all, no larger than older layouts of these variables may be: then they may be read."""
    import h5py

    if not all(isinstance(d, h5py.Dataset) for d in stored):
        return False
    return sum(d.size for d in stored) <= 2 * sum(math.prod(v.shape) for v in variables) + 1024


def put(group: h5py.Group, key: str, value: np.ndarray) -> None:
    if value.dtype.kind == "V" or value.dtype.name.startswith(("bfloat", "float8")):  # HDF5 has no such type
        stored = group.create_dataset(key, data=value.view(f"V{value.dtype.itemsize}"))
        stored.attrs["dtype"] = value.dtype.name
    else:
        group.create_dataset(key, data=value)


def text(holder: Any, name: str) -> str | None:
    """A text in an attribute; ``None`` if there is none."""
    value = _attribute(holder, name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or not isinstance(value, str):
        return None
    return value


def names(holder: Any, name: str) -> list[str] | None:
    """A list of texts in an attribute, or in several; ``None`` if there is none."""
    if name in holder.attrs:
        found = list(np.asarray(_attribute(holder, name)).reshape(-1))
    elif f"{name}0" in holder.attrs:
        found, part = [], 0
        while f"{name}{part}" in holder.attrs:
            found += list(np.asarray(_attribute(holder, f"{name}{part}")).reshape(-1))
            part += 1
    else:
        return None
    return [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in found]


def _attribute(holder: Any, name: str) -> Any:
    """The texts of an attribute, which is held against its size before it is read; ``None`` if there is none."""
    from h5py import h5o  # pyright: ignore[reportAttributeAccessIssue]  (compiled, without stubs)

    if name not in holder.attrs:
        return None
    stored = holder.attrs.get_id(name)
    count = math.prod(stored.shape) if stored.shape is not None else 0
    if stored.dtype.kind not in "SOf" or count > _MAX_NAMES or count * stored.dtype.itemsize > limits.MAX_TEXT:
        refuse(holder.file, f"attribute {name} holds {count} values of {stored.dtype}, which is no list of names")
    if stored.dtype.kind != "O":
        return holder.attrs[name]
    info = h5o.get_info(holder.id)
    found = _texts[info.fileno, info.addr, name]
    return found[0] if stored.shape == () else found


def put_names(holder: Any, name: str, values: Sequence[str]) -> None:
    encoded = np.array([v.encode() for v in values], dtype=bytes) if values else np.zeros(0, "S1")
    parts = max(1, -(-encoded.nbytes // _ATTRIBUTE))
    if parts == 1:
        holder.attrs[name] = encoded
        return
    each = max(1, _ATTRIBUTE // encoded.itemsize)
    for part, start in enumerate(range(0, len(encoded), each)):
        holder.attrs[f"{name}{part}"] = encoded[start : start + each]
