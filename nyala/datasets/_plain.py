"""Pickled data without running pickled code: numbers, bytes, text, lists, dicts and arrays of them, and nothing else.

CIFAR's files and NumPy's object arrays are pickles. A pickle names functions and calls them; here the few names that NumPy
writes stand for recorders of this module, and the arrays are made from what was recorded after it was checked.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from nyala.base import check


class _DType:
    """What ``numpy.dtype(text)`` and its byte order say."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any, *_: Any):
        self.text = text.decode("ascii") if isinstance(text, bytes) else text
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]

    def dtype(self) -> np.dtype:
        if not isinstance(self.text, str) or self.text[:1] not in ("b", "i", "u", "f", "O") or len(self.text) > 3:
            raise pickle.UnpicklingError(f"dtype {self.text!r}")
        found = np.dtype(self.text)
        return found.newbyteorder(self.order) if self.order in ("<", ">") else found


class _Array:
    """What the state of an array says."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        _version, shape, kind, is_fortran, data = self.state
        dtype, shape, order = kind.dtype(), tuple(shape), "F" if is_fortran else "C"
        if not all(isinstance(n, int) and n >= 0 for n in shape):
            raise pickle.UnpicklingError(f"shape {shape}")
        if not dtype.hasobject:
            return np.frombuffer(data, dtype).reshape(shape, order=order).copy(order)
        if not isinstance(data, list):
            raise pickle.UnpicklingError("an object array without its list")
        flat = np.empty(len(data), object)
        for i, value in enumerate(data):
            flat[i] = _finish(value)
        return flat.reshape(shape, order=order)


class _Call:
    """A name in the file: calling it makes a recorder. Has no attributes that a file could set."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]):
        object.__setattr__(self, "make", make)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"a state for a name: {name}")

    def __call__(self, *args: Any) -> Any:
        return self.make(*args)


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any, *_: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", data))
    return array


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _nothing(*_: Any) -> Any:
    raise pickle.UnpicklingError("a bare numpy.ndarray")


_NAMES: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _DType,
    ("numpy", "ndarray"): _nothing,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): lambda *_: _Array() for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"the name {module}.{name}")
        return _Call(_NAMES[module, name])


def _finish(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.array()
    if isinstance(value, dict):
        return {k: _finish(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        # Lists of numbers, by the million, stay as they are.
        plain = all(type(v) is int for v in value)
        return value if plain else type(value)(_finish(v) for v in value)
    if value is None or isinstance(value, (bool, int, float, str, bytes, bytearray)):
        return value
    raise pickle.UnpicklingError(f"a {type(value).__name__}")


def load(file: IO[bytes], path: Any) -> Any:
    """The data of a pickle file, text of Python 2 as bytes. Raises ValueError when there is more in it than data."""
    try:
        return _finish(_Reader(file, encoding="bytes").load())
    except (
        pickle.UnpicklingError,
        TypeError,
        ValueError,
        AttributeError,
        LookupError,
        EOFError,
        RecursionError,
    ) as error:
        return check.fail(str(path), f"holds more than plain data, or is damaged, and is not read: {error}")


def npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz file, those of objects (lists of numbers) included."""
    arrays = {}
    with zipfile.ZipFile(path) as members:
        for member in members.namelist():
            with members.open(member) as file:
                version = np.lib.format.read_magic(file)
                read_header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                _shape, _order, dtype = read_header(file)
                if dtype.hasobject:
                    array = load(file, path)
                else:
                    file.seek(0)
                    array = np.lib.format.read_array(file, allow_pickle=False)
            if not isinstance(array, np.ndarray):
                check.fail(str(path), f"{member} is no array")
            arrays[member.removesuffix(".npy")] = array
    return arrays
