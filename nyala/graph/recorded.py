"""Functions of a library that has no hook for other people's tensors, made to record themselves on symbolic tensors.

Only ``compat.install()`` and ``nyala run`` do this to a library: it puts a Python call before each of the functions.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from nyala.backends.interop import NoValue
from nyala.graph.node import record
from nyala.graph.symbolic import is_symbolic, leaves_of


class Recorded:
    """``fn``, which becomes a node of the graph when it asks a symbolic tensor for its value."""

    def __init__(self, fn: Any):
        self.__wrapped__ = fn
        self.__doc__ = fn.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__wrapped__(*args, **kwargs)
        except NoValue:
            if not any(map(is_symbolic, leaves_of((args, kwargs)))):
                raise
            return record(self.__wrapped__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["__wrapped__"], name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> Any:
        return _found, (self.__wrapped__.__module__, self.__wrapped__.__name__)


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def record_functions(module: ModuleType) -> None:
    for name, fn in list(vars(module).items()):
        if callable(fn) and name[0] != "_" and not isinstance(fn, (type, ModuleType, Recorded)):
            setattr(module, name, Recorded(fn))
