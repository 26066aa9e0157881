"""The modules that ``import keras.layers.core`` and the like give: they hold nothing, and find each name in Nyala."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from types import ModuleType
from typing import Any

import nyala
from nyala.base import check, naming
from nyala.compat import names

_facades: dict[str, Facade] = {}
_ABSENT = object()


class Facade(ModuleType):
    """A module of Keras by its path below the root; all roots (``keras``, ``tf.keras``, ...) share it."""

    _path: str

    def __init__(self, path: str):
        super().__init__(f"keras.{path}".rstrip("."), "Keras's names, on Nyala.")
        self._path = path
        self.__path__: list[str] = []
        self.__package__ = self.__name__
        if not path:
            self.__version__ = names.KERAS_VERSION

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return public(self._path)
        value = _ABSENT if name.startswith("__") else find(self._path, name)
        if value is _ABSENT:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}.{near(self._path, name)}")
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *public(self._path)})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # keras.optimizers.adam(...) and keras.layers.merge(...) were functions before they were modules.
        called = called_as(self._path)
        if called is None:
            raise TypeError(f"module {self.__name__!r} is not callable")
        return called(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} (nyala)>"

    def __deepcopy__(self, memo: Any) -> Facade:
        return self

    __copy__ = functools.partialmethod(__deepcopy__, None)

    def __reduce__(self) -> Any:
        from nyala.compat.hook import restore

        return restore, (self._path,)


def facade(path: str) -> Facade:
    found = _facades.get(path)
    return found if found is not None else _facades.setdefault(path, Facade(path))


def exists(path: str) -> bool:
    """Whether some version of Keras has this module and Nyala knows where its names are."""
    if not path or path in names.HOMES or path in names.SAME_AS or _own(path):
        return True
    parent, _, leaf = path.rpartition(".")
    return bool(parent) and exists(parent) and _spelled(parent, leaf) is not None


def find(path: str, name: str) -> Any:
    """What the module at ``path`` calls ``name``; ``_ABSENT`` if nothing is called so."""
    renamed = names.RENAMED.get(_group(path), {}).get(name)
    if renamed is not None:
        return _get(renamed)
    for module in _homes(path):
        value = getattr(module, name, _ABSENT)
        if value is not _ABSENT and not isinstance(value, ModuleType):
            return value
    child = f"{path}.{name}".lstrip(".")
    if child in names.HOMES or child in names.SAME_AS or _own(child):
        return facade(child)
    return _get_spelled(path, name)


def public(path: str) -> list[str]:
    """The names that ``from ... import *`` gives."""
    found = {n for module in _homes(path) for n in _listed(module) if find(path, n) is not _ABSENT}
    return sorted(found | {n for n, to in names.RENAMED.get(_group(path), {}).items() if _get(to) is not _ABSENT})


def near(path: str, name: str) -> str:
    """A sentence with the names at ``path`` that are like ``name``; nothing where none is."""
    found = check.nearest(name, public(path))
    return found if found.startswith(" Did") else ""


def called_as(path: str) -> Any:
    if path in names.CALLED:
        return _get(names.CALLED[path])
    parent, _, leaf = path.rpartition(".")
    found = _get_spelled(parent, leaf)
    return None if found is _ABSENT else found


def _group(path: str) -> str:
    """The path that has a row for ``path``: itself, what it is the same as, or its nearest ancestor of these."""
    while path not in names.HOMES and path not in names.SAME_AS and not _own(path) and "." in path:
        path = path.rpartition(".")[0]
    return names.SAME_AS.get(path, path)


@functools.lru_cache(maxsize=None)
def _own(path: str) -> bool:
    """Whether Nyala has a public module of this very path."""
    top, _, rest = path.partition(".")
    if path.startswith("_") or "._" in path or (top not in names.TREES if rest else top not in nyala.__all__):
        return False
    try:
        return importlib.util.find_spec(f"nyala.{path}") is not None
    except ModuleNotFoundError:
        return False


@functools.lru_cache(maxsize=None)
def _homes(path: str) -> tuple[ModuleType, ...]:
    group = _group(path)
    homes = names.HOMES.get(group, group).split()
    if path != group and _own(path):
        homes = [path, *homes]
    return tuple(module for home in homes if (module := _import(home)) is not None)


def _listed(module: ModuleType) -> list[str]:
    """What a module exports: ``__all__``, else what it defines."""
    defined = (n for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__ and n[0] != "_")
    return list(getattr(module, "__all__", defined))


def _import(home: str) -> ModuleType | None:
    full = f"nyala.{home}".rstrip(".")
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full and not full.startswith(f"{error.name}."):
            raise
        return None


def _get(dotted: str) -> Any:
    home, _, name = dotted.rpartition(".")
    return getattr(_import(home), name, _ABSENT)


def _spelled(path: str, name: str) -> str | None:
    """The class that older Keras wrote as ``name`` (or kept in a module so called): ``adam_v2`` is ``Adam``."""
    return _spellings(path).get(re.sub(r"_(v\d|legacy)$", "", name))


@functools.lru_cache(maxsize=None)
def _spellings(path: str) -> dict[str, str]:
    classes = [n for module in _homes(path) for n in _listed(module) if n[0].isupper()]
    return {spelling: n for n in reversed(classes) for spelling in (n.lower(), naming.snake(n))}


def _get_spelled(path: str, name: str) -> Any:
    found = _spelled(path, name)
    return _ABSENT if found is None else find(path, found)
