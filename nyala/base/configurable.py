"""Configs captured from constructors: ``get_config`` and ``from_config`` without writing either.

``get_config`` walks the constructors from the base class to the object's own class and gives, for each parameter, the
attribute of that name (else the argument that was passed). A class says only what differs: ``config_skip`` names parameters
that are not part of it, ``config_order`` the key order where Keras's is not the constructors'.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar, Self

import numpy as np

from nyala._typing import Config
from nyala.backends import dtypes
from nyala.backends.interop import Citizen
from nyala.base import check, naming, registry

_NO_VALUE = object()


class Configurable(Citizen):
    """Base of everything that a config can describe."""

    role: ClassVar[str] = ""
    keras_module: ClassVar[str] = ""
    """The module that Keras's files name for this class, e.g. ``keras.layers``."""
    keras_name: ClassVar[str] = ""
    """The class's name in files, where it is not its own."""
    config_skip: ClassVar[frozenset[str]] = frozenset()
    config_order: ClassVar[tuple[str, ...]] = ()
    config_paths: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may name a file: in a config, which may come from anywhere, they must not."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = object.__new__(cls)
        self.__dict__["_init_args"] = (args, kwargs)
        return self

    def __init_subclass__(cls, *, names: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.role and naming.is_ours(cls) and not cls.__name__.startswith("_"):
            file_name = cls.__dict__.get("keras_name")
            registry.add(cls.role, cls, *names, *([file_name] if file_name else []))

    def get_config(self) -> Config:
        """The arguments that make an equal object, as plain data."""
        config = {}
        for name in _config_names(type(self)):
            value = self.config_value(name)
            if value is not _NO_VALUE:
                config[name] = value
        first = {k: config[k] for k in self.config_order if k in config}
        return {**first, **{k: v for k, v in config.items() if k not in first}}

    def config_value(self, name: str) -> Any:
        """The value of one constructor parameter in ``get_config``."""
        value = self.__dict__.get(name, _NO_VALUE)
        if value is _NO_VALUE:
            value = _captured(self, name)
            if value is _NO_VALUE:
                value = getattr(self, name, _NO_VALUE)
        return value if value is _NO_VALUE else serialize(value)

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """An object with the arguments of ``config``. Raises ValueError where one names a file to be opened."""
        if custom_objects:
            with registry.custom_object_scope(custom_objects):
                return cls.from_config(config)
        for name in cls.config_paths:
            if isinstance(config.get(name), (str, os.PathLike)):
                check.fail(
                    cls,
                    f"{name}={config[name]!r} in a config names a file, and no config makes Nyala open one; "
                    "make the object in Python, or give the values themselves",
                )
        config = {k: deserialize(v) if _is_serialized(v) else v for k, v in config.items()}
        unasked = _without_base_arguments(cls, config)
        try:
            made = cls(**config)
            for name, value in unasked.items():
                setattr(made, name, value)
            return made
        except TypeError as error:
            error.add_note(f"while {cls.__name__} was made from the config {config}")
            raise


def copied(obj: Any, **changes: Any) -> Any:
    """A new object of the config of ``obj`` with ``changes``; functions and classes of a user are those of ``obj``."""
    met: dict[str, Any] = {}
    token = _own.set(met)
    try:
        config = obj.get_config()
    finally:
        _own.reset(token)
    with registry.custom_object_scope(met):
        return type(obj).from_config({**config, **changes})


_own: ContextVar[dict[str, Any] | None] = ContextVar("own", default=None)


def _registered_name(obj: Any) -> str | None:
    """The name that a config gives a user's class or function, which is found again if the config is for a copy."""
    if not hasattr(obj, "__name__"):
        return None
    met, name = _own.get(), registry.get_registered_name(obj)
    if met is not None:
        name = f"{name} at {id(obj)}"
        met[name] = obj
    return name


def _without_base_arguments(cls: type, config: Config) -> Config:
    """Takes from ``config`` what a user's constructor without ``**kwargs`` does not accept; what of it can be set later."""
    if naming.is_ours(cls):
        return {}
    parameters = _signature(next(k for k in cls.__mro__ if "__init__" in k.__dict__))
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return {}
    taken = {p.name for p in parameters}
    left = {k: config.pop(k) for k in ("name", "trainable", "dtype") if k in config and k not in taken}
    return {{"dtype": "dtype_policy"}.get(k, k): v for k, v in left.items()}


@functools.lru_cache(maxsize=None)
def _signature(cls: type) -> tuple[inspect.Parameter, ...]:
    init = cls.__dict__["__init__"]
    return tuple(p for p in list(inspect.signature(init).parameters.values())[1:])


@functools.lru_cache(maxsize=None)
def _config_names(cls: type) -> tuple[str, ...]:
    mro = list(cls.__mro__)
    for i, klass in enumerate(mro):
        # A user's own get_config adds its keys to those of its bases itself.
        if "get_config" in klass.__dict__ and not naming.is_ours(klass):
            mro = mro[i + 1 :]
            break
    names: dict[str, None] = {}
    for klass in reversed(mro):
        if "__init__" in klass.__dict__ and issubclass(klass, Configurable) and klass is not Configurable:
            for p in _signature(klass):
                if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                    names[p.name] = None
        # A parameter that a subclass lists again is part of its config again.
        for name in klass.__dict__.get("config_skip", ()):
            names.pop(name, None)
    return tuple(names)


def _captured(obj: Configurable, name: str) -> Any:
    """The argument that the constructor was called with, or the parameter's default."""
    cls = type(obj)
    init_class = next((k for k in cls.__mro__ if "__init__" in k.__dict__), cls)
    args, kwargs = obj.__dict__["_init_args"]
    if name in kwargs:
        return kwargs[name]
    parameters = _signature(init_class)
    for i, p in enumerate(parameters):
        if p.name == name:
            if i < len(args):
                return args[i]
            return _NO_VALUE if p.default is p.empty else p.default
    return _NO_VALUE


# -- plain data ----------------------------------------------------------------------------------------------------------


def serialize(obj: Any) -> Any:
    """Plain data for an object: configurable ones as ``{module, class_name, config, registered_name}``.

    Raises TypeError for an object that a config cannot hold.
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, Configurable):
        return serialize_object(obj)
    if isinstance(obj, (list, tuple)):
        return type(obj)(map(serialize, obj)) if not hasattr(obj, "_fields") else [serialize(v) for v in obj]
    if isinstance(obj, Mapping):
        return {k: serialize(v) for k, v in obj.items()}
    if hasattr(obj, "get_config"):
        return serialize_object(obj)
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, np.dtype):
        return obj.name
    if hasattr(obj, "__array__") and hasattr(obj, "shape") and not callable(obj):
        value = np.asarray(obj)
        return {"class_name": "__tensor__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if isinstance(obj, slice):
        return {"class_name": "__slice__", "config": {"start": obj.start, "stop": obj.stop, "step": obj.step}}
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if callable(obj):
        return serialize_function(obj)
    raise TypeError(f"a config cannot hold {obj!r} of type {type(obj).__name__}; give the object a get_config method")


def serialize_object(obj: Any) -> Config:
    """The object's entry in a config; of a layer or model also how it was built, of a model how it was compiled."""
    cls = type(obj)
    ours = naming.is_ours(cls)
    module = (cls.keras_module or f"keras.{cls.role}s") if ours else None
    entry = {
        "module": module,
        "class_name": (cls.__dict__.get("keras_name") if ours else None) or cls.__name__,
        # A user's own get_config may give functions and objects as they are.
        "config": obj.get_config() if ours else serialize(obj.get_config()),
        # Keras names classes that are not exported under their module a second time.
        "registered_name": cls.__name__ if ours and "keras.src" in str(module) else None,
    }
    if not ours:
        entry["registered_name"] = _registered_name(cls)
    for key in ("build_config", "compile_config"):
        get = getattr(obj, f"get_{key}", None)
        value = get() if get is not None else None
        if value is not None:
            entry[key] = value
    return entry


def serialize_function(fn: Any) -> Any:
    """The name of a built-in function; ``{class_name: "function", ...}`` for a user's."""
    if naming.is_ours(fn):
        return fn.__name__
    return {
        "module": "builtins",
        "class_name": "function",
        "config": getattr(fn, "__name__", type(fn).__name__),
        "registered_name": _registered_name(fn),
    }


def _is_serialized(x: Any) -> bool:
    return isinstance(x, Mapping) and "class_name" in x and "config" in x


_ROLE_OF_MODULE = {
    "keras.layers": "layer",
    "keras.models": "model",
    "keras.losses": "loss",
    "keras.metrics": "metric",
    "keras.optimizers": "optimizer",
    "keras.optimizers.schedules": "schedule",
    "keras.initializers": "initializer",
    "keras.regularizers": "regularizer",
    "keras.constraints": "constraint",
    "keras.activations": "activation",
    "keras.random": "seed",
    "keras.dtype_policies": "policy",
    "keras.distillation": "distillation",
    "keras.quantizers": "quantizer",
    "nyala.pruning": "pruning",
}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, *, role: str | None = None) -> Any:
    """The object that ``config`` describes. Only built-ins of a known role and custom objects can be named.

    Raises ValueError for an unknown class, with the nearest known names and how to supply a custom one.
    """
    if custom_objects:
        with registry.custom_object_scope(custom_objects):
            return deserialize(config, role=role)
    if isinstance(config, (list, tuple)):
        return type(config)(deserialize(c) for c in config)
    if not _is_serialized(config):
        if isinstance(config, str) and role:
            return registry.get(role, config)
        if isinstance(config, Mapping):
            return {k: deserialize(v) for k, v in config.items()}
        return config
    name, inner = config["class_name"], config["config"]
    if name in ("__numpy__", "__tensor__"):
        return np.array(inner["value"], dtypes.numpy_dtype(dtypes.standardize(inner["dtype"])))
    if name == "__slice__":
        return slice(inner["start"], inner["stop"], inner["step"])
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__tuple__":
        return tuple(deserialize(v) for v in config.get("items", inner))
    if name == "function":
        return _find(inner, config, role or "activation")
    cls = _find(name, config, role)
    made = cls.from_config(inner) if hasattr(cls, "from_config") else cls(**inner)
    if config.get("build_config") and hasattr(made, "build_from_config") and not getattr(made, "built", True):
        made.build_from_config(_as_shapes(config["build_config"]))
    return made


def _as_shapes(x: Any) -> Any:
    """Tuples for the lists that JSON makes of shapes."""
    if isinstance(x, Mapping):
        return {k: _as_shapes(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return tuple(x) if all(n is None or check.is_int(n) for n in x) else [_as_shapes(v) for v in x]
    return x


def _find(name: str, config: Mapping[str, Any], role: str | None) -> Any:
    registered = config.get("registered_name")
    if registered and (found := registry.custom(registered)) is not None:
        return found
    module = config.get("module") or ""
    roles = (
        ["layer", "model"]
        if role == "layer"
        else [role]
        if role
        else [_ROLE_OF_MODULE[module]]
        if module in _ROLE_OF_MODULE
        else list(registry.HOMES)
    )
    for candidate in roles:
        if (found := registry.find(candidate, name)) is not None:
            return found
    known = [n for candidate in roles for n in registry.names(candidate)]
    return check.fail(
        f"config of {name!r}",
        f"no {role or 'class'} of that name is known.{check.nearest(name, known)} "
        "A custom one is given by custom_objects={...} or the decorator register_keras_serializable",
    )
