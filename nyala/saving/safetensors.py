"""Weights as ``.safetensors``: a JSON header with name, dtype, shape and place of each array, then the bytes.

https://huggingface.co/docs/safetensors (the format; read and written here, for it is a page long and holds no code).
Names are the variables' paths below the model.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from nyala.backends import dtypes
from nyala.base import check
from nyala.base.variable import Variable
from nyala.saving import limits, weights

_DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "I32": "int32", "U32": "uint32",
    "I64": "int64", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
_NAMES = {name: code for code, name in _DTYPES.items()}


def _variables(model: Any) -> dict[str, Variable]:
    """Place of the layer and name of the variable -> variable."""
    found: dict[str, Variable] = {}
    for place, obj in weights.walk(model):
        if type(obj).role == "optimizer":
            continue
        for variable in obj._own_weights():
            name = "/".join(part for part in (place, variable.name) if part)
            found[f"{name}_{len(found)}" if name in found else name] = variable
    return found


def write(model: Any, path: Path) -> None:
    """Write the weights, without optimizer state."""
    header: dict[str, Any] = {"__metadata__": {"format": "nyala"}}
    arrays = {name: np.ascontiguousarray(v.numpy()) for name, v in _variables(model).items()}
    start = 0
    for name, value in arrays.items():
        code = _NAMES[value.dtype.name]
        header[name] = {"dtype": code, "shape": list(value.shape), "data_offsets": [start, start + value.nbytes]}
        start += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for value in arrays.values():
            file.write(value.tobytes())


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays by name. Raises ValueError for a file that is not of this form, overlaps or has gaps."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(limits.MAX_TEXT, size - 8):
            _refuse(path, f"its header claims {length} bytes")
        try:
            text = file.read(length)
            limits.text(text, path)
            header = json.loads(text, object_pairs_hook=lambda pairs: _once(path, pairs))
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            _refuse(path, f"its header is no JSON: {error}")
        if not isinstance(header, dict):
            _refuse(path, "its header is no JSON object")
        header.pop("__metadata__", None)
        found: dict[str, np.ndarray] = {}
        end = 0
        for name, entry in sorted(header.items(), key=lambda item: _offsets(path, item[0], item[1])):
            start, stop = _offsets(path, name, entry)
            shape, dtype = entry["shape"], dtypes.numpy_dtype(_DTYPES[entry["dtype"]])
            if start != end or stop - start != math.prod(shape) * dtype.itemsize or 8 + length + stop > size:
                _refuse(path, f"the place of {name!r} does not fit its shape, its neighbours or the file")
            end = stop
            found[name] = np.frombuffer(file.read(stop - start), dtype).reshape(shape)
    if 8 + length + end != size:
        _refuse(path, f"{size - 8 - length - end} bytes of it belong to nothing")
    return found


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        _refuse(path, "a name stands in its header twice")
    return found


def _offsets(path: Path, name: str, entry: Any) -> tuple[int, int]:
    if isinstance(entry, dict) and isinstance(entry.get("dtype"), str) and entry["dtype"] in _DTYPES:
        shape, offsets = entry.get("shape"), entry.get("data_offsets")
        lists = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2
        if lists and all(check.is_int(n) and n >= 0 for n in (*shape, *offsets)):  # type: ignore[misc]
            return offsets[0], offsets[1]  # type: ignore[index]
    return _refuse(path, f"the entry of {name!r} is not of this format")


def _refuse(path: Path, why: str) -> NoReturn:
    limits.refuse(f"the file {path}", why)


def read(model: Any, path: Path, skip_mismatch: bool = False) -> list[str]:
    """Load the weights. Raises ValueError that lists what is missing, unexpected or of another shape."""
    stored, own = arrays(path), _variables(model)
    wrong = [f"{name}: the file has no such array" for name in own if name not in stored]
    wrong += [f"{name}: the model has no such weight" for name in stored if name not in own]
    both = {name: v for name, v in own.items() if name in stored}
    wrong += [
        f"{name}: has shape {v.shape}, in the file {stored[name].shape}"
        for name, v in both.items()
        if v.shape != stored[name].shape
    ]
    weights.report(model, wrong, skip_mismatch)
    for name, variable in both.items():
        if variable.shape == stored[name].shape:
            variable.assign(stored[name])
    return wrong
