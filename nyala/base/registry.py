"""One table of what can be named: role -> name -> class or function; and the custom objects of the user.

A role is a family such as ``"layer"``, ``"loss"`` or ``"initializer"``. Built-in classes enter when they are defined; user
classes only by ``register_keras_serializable``, ``custom_object_scope`` or a ``custom_objects`` argument.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from nyala.base import check
from nyala.base.naming import snake

T = TypeVar("T")

_builtin: dict[str, dict[str, Any]] = {}
_custom: dict[str, Any] = {}
_custom_names: dict[Any, str] = {}

HOMES = {
    "policy": "nyala.dtype_policies",
    "layer": "nyala.layers",
    "model": "nyala.models",
    "loss": "nyala.losses",
    "metric": "nyala.metrics",
    "optimizer": "nyala.optimizers",
    "schedule": "nyala.schedules",
    "initializer": "nyala.initializers",
    "regularizer": "nyala.regularizers",
    "constraint": "nyala.constraints",
    "activation": "nyala.activations",
    "seed": "nyala.base.seeds",
    "distillation": "nyala.distillation",
    "quantizer": "nyala.quantizers",
    "pruning": "nyala.layers.pruning",
}
"""The module whose import fills the role's table."""


class _Local(threading.local):
    scopes: tuple[Mapping[str, Any], ...] = ()


_local = _Local()


def add(role: str, obj: T, *names: str) -> T:
    """Enter a built-in class or function under its own name, its snake case name and ``names``."""
    table = _builtin.setdefault(role, {})
    own = obj.__name__  # type: ignore[attr-defined]
    for name in dict.fromkeys((own, snake(own), own.lower(), *names)):
        table.setdefault(name, obj)
    return obj


def names(role: str) -> dict[str, Any]:
    """All names of a role (its home module is imported)."""
    if role in HOMES:
        importlib.import_module(HOMES[role])
    return _builtin.setdefault(role, {})


def find(role: str, name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object called ``name``: a built-in first, then the custom objects. ``None`` if nothing is called so."""
    found = names(role).get(name)
    if found is None:
        found = custom(name, custom_objects)
    return found


def custom(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    for table in (custom_objects or {}, *reversed(_local.scopes), _custom):
        if name in table:
            return table[name]
    for table in (custom_objects or {}, *reversed(_local.scopes), _custom):
        for full, obj in table.items():
            if full.split(">")[-1] == name:
                return obj
    return None


def get(role: str, identifier: Any, *, owner: str | None = None, make: Callable[..., Any] | None = None) -> Any:
    """An object of the role from ``None``, a name, a config, a class, an object or a callable.

    A named class is made with its defaults (``make`` may replace how); a named function is given as it is. Raises ValueError with
    the nearest known names for an unknown one, TypeError for something that can be none of these.
    """
    from nyala.base import configurable

    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        return configurable.deserialize(dict(identifier), role=role)
    if isinstance(identifier, str):
        found = find(role, identifier)
        if found is None:
            check.fail(owner or role, f"unknown {role} {identifier!r}.{check.nearest(identifier, names(role))}")
        return (make or _instance)(found)
    if isinstance(identifier, type):
        return (make or _instance)(identifier)
    if callable(identifier) or isinstance(identifier, configurable.Configurable):
        return identifier
    return check.fail(
        owner or role, f"expected a name, a config, a {role} object or a callable, got {identifier!r}", TypeError
    )


def _instance(found: Any) -> Any:
    return found() if isinstance(found, type) else found


# -- custom objects ------------------------------------------------------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Class or function decorator: files and configs may name it as ``package>name``.

    Raises ValueError for a class without ``get_config``.
    """

    def register(obj: T) -> T:
        full = f"{package}>{name or obj.__name__}"  # type: ignore[attr-defined]
        if isinstance(obj, type) and not hasattr(obj, "get_config"):
            check.fail("register_keras_serializable", f"class {obj.__name__} has no get_config method")
        _custom[full] = obj
        _custom_names[obj] = full
        return obj

    return register


@contextmanager
def custom_object_scope(*objects: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Names of custom classes and functions that are known inside the ``with`` block."""
    outer = _local.scopes
    _local.scopes = (*outer, *objects, *([] if custom_objects is None else [custom_objects]))
    try:
        yield
    finally:
        _local.scopes = outer


CustomObjectScope = custom_object_scope


def get_custom_objects() -> dict[str, Any]:
    """The global table of custom objects; changes to it count."""
    return _custom


def get_registered_name(obj: Any) -> str:
    """``package>Name`` of a registered class or function, else its own name."""
    return _custom_names.get(obj) or obj.__name__


def also_called(cls: Any, other: Any) -> None:
    """Let ``other`` stand in files under the name that ``cls`` is registered by."""
    if cls in _custom_names:
        _custom_names[other] = _custom_names[cls]


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Any = None
) -> Any:
    found = custom(name, custom_objects)
    return (module_objects or {}).get(name) if found is None else found
