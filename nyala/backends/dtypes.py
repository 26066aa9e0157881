"""The one promotion lattice of Nyala, JAX's, and the dtype names.

Two weak members stand for Python numbers: ``"int"`` and ``"float"`` adapt to what they meet, as in
https://docs.jax.dev/en/latest/type_promotion.html; alone they become ``int32`` and ``floatx()``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

_FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
FLOATS = frozenset({"float16", "bfloat16", "float32", "float64", *_FLOAT8})
INTS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
COMPLEX = frozenset({"complex64", "complex128"})
ALL = FLOATS | INTS | COMPLEX | {"bool", "string"}

# child -> parents: what one step up the lattice gives
_UP: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16", *_FLOAT8, "complex"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float8_e4m3fn": ("bfloat16", "float16"),
    "float8_e5m2": ("bfloat16", "float16"),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex": ("complex64",),
    "complex64": ("complex128",),
    "complex128": (),
}


@lru_cache(maxsize=None)
def _above(dtype: str) -> frozenset[str]:
    return frozenset({dtype}).union(*(_above(p) for p in _UP[dtype]))


@lru_cache(maxsize=None)
def _join(names: frozenset[str]) -> str:
    if "string" in names:
        if len(names) > 1:
            raise ValueError(f"no common dtype of {sorted(names)}: strings do not mix with numbers")
        return "string"
    common = frozenset.intersection(*(_above(n) for n in names))
    least = [c for c in common if common <= _above(c)]
    if not least:
        raise ValueError(f"no common dtype of {sorted(names)}; cast one side with ops.cast")
    return least[0]


def join(*names: str) -> str:
    """The least common dtype; may be weak (``"int"``, ``"float"``) when all the names are."""
    return _join(frozenset(names))


def result_type(*dtypes: Any) -> str:
    """The dtype that an operation over ``dtypes`` (names, Python types, tensors' dtypes) gives.

    >>> result_type("int32", "float16"), result_type("int64", float)
    ('float16', 'float32')
    """
    from nyala.base import config

    if not dtypes:
        return config.floatx()
    joined = join(*(weak_name(d) for d in dtypes))
    return {"int": "int32", "float": config.floatx(), "complex": "complex64"}.get(joined, joined)


def weak_name(dtype: Any) -> str:
    """Like ``standardize``, but Python's ``int`` and ``float`` stay weak."""
    if dtype is int or dtype == "int":
        return "int"
    if dtype is float or dtype == "float":
        return "float"
    if dtype is complex or dtype == "complex":
        return "complex"
    return standardize(dtype)


_PYTHON = {bool: "bool", int: "int32", str: "string", complex: "complex64"}


def standardize(dtype: Any) -> str:
    """The name of a dtype given as a name, a Python or NumPy type, or a backend's own dtype; ``None`` is ``floatx()``."""
    from nyala.base import config

    if type(dtype) is str and dtype in ALL:
        return dtype
    if dtype is None or dtype is float or dtype == "float":
        return config.floatx()
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    if dtype == "int":
        return "int32"
    name = getattr(dtype, "name", None) or str(dtype)
    name = name.removeprefix("torch.")
    if name in ALL:
        return name
    if name.startswith(("str", "object", "bytes")):
        return "string"
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = ""
    if name in ALL:
        return name
    raise ValueError(f"dtype {dtype!r} is not one of {', '.join(sorted(ALL))}")


def is_float(dtype: Any) -> bool:
    return standardize(dtype) in FLOATS


def is_int(dtype: Any) -> bool:
    return standardize(dtype) in INTS


def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of that name; ``bfloat16`` and ``float8_*`` come from ml_dtypes."""
    if name in ("bfloat16", *_FLOAT8):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(object if name == "string" else name)
