"""The backends (JAX, PyTorch, TensorFlow), and which of them is in use. No other folder imports one of them.

What a backend provides is in ``base``; a folder each holds how it does so. (``nyala.backend``, without the s, is a set of functions
that old programs call.)

The backend of an object is fixed when its first tensor is made: the innermost ``backend_scope``, else the default.
The default is ``$NYALA_BACKEND``, else ``$KERAS_BACKEND``, else what ``set_backend`` or Keras's ``keras.json`` says, else jax.
Nothing here imports a backend before it is used.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from nyala.backends import memory
from nyala.base import check, config

if TYPE_CHECKING:
    from nyala.backends.base import BackendBase as Backend

NAMES = ("jax", "torch", "tensorflow")

WITHOUT_DISPATCH = ("jax.numpy", "jax.numpy.fft", "jax.numpy.linalg", "jax.image", "jax.nn", "jax.scipy.special")
"""Modules of functions that offer no way to take tensors of others, which symbolic tensors are."""

_loaded: dict[str, Backend] = {}
_lock = threading.RLock()

backend_of_type: dict[type, Backend] = {}
"""From the type of a tensor to its backend; filled as backends load and as new tensor types are met."""

floating: set[object] = set()
"""The dtype objects of all loaded backends that are floating point."""

distribution: Any = None
"""What ``nyala.distribution.set_distribution`` was given."""

foreign_state: tuple[type, ...] = ()
"""The variables and modules of all loaded backends' own libraries."""


class _Local(threading.local):
    backend: Backend | None = None


local = _Local()
_chosen: str | None = None


def get(name: str | Backend) -> Backend:
    """The backend of that name, loaded if need be."""
    if not isinstance(name, str):
        return name
    if name in _loaded:
        return _loaded[name]
    check.one_of("backend", "name", name, NAMES)
    with _lock:
        if name not in _loaded:
            try:
                backend = importlib.import_module(f"nyala.backends.{name}").Backend()
            except ModuleNotFoundError as error:
                if error.name != name:
                    raise
                raise ModuleNotFoundError(
                    f"backend {name!r} needs the package `{name}`, which is not installed: pip install 'nyala[{name}]'",
                    name=name,
                ) from None
            for kind in backend.tensor_types:
                backend_of_type[kind] = backend
            floating.update(backend.floating)
            global foreign_state
            foreign_state += backend.foreign_state
            memory.keep_freed()
            if config.is_determinism_enabled():
                backend.make_deterministic()
            _loaded[name] = backend
    return _loaded[name]


def loaded() -> list[Backend]:
    return list(_loaded.values())


def in_process() -> list[Backend]:
    """The backends whose library somebody has imported."""
    return [get(name) for name in NAMES if name in sys.modules]


def default_name() -> str:
    return (
        _chosen or os.environ.get("NYALA_BACKEND") or os.environ.get("KERAS_BACKEND") or config.get("backend") or "jax"
    )


def current() -> Backend:
    """The backend that new tensors and variables are made with."""
    return local.backend or get(default_name())


def set_backend(backend: str) -> None:
    """Make ``backend`` the default for what is made from now on."""
    global _chosen
    check.one_of("set_backend", "backend", backend, NAMES)
    get(backend)
    _chosen = backend


@contextmanager
def backend_scope(name: str | Backend) -> Iterator[Backend]:
    """Use backend ``name`` for what is made inside the ``with`` block, in this thread."""
    outer, local.backend = local.backend, get(name)
    try:
        yield local.backend
    finally:
        local.backend = outer


def device(device_name: str) -> AbstractContextManager[Any]:
    """What is made inside lies on that device of the current backend: ``"cpu:0"``, ``"gpu:1"``."""
    return current().on_device(device_name)


def of(x: Any) -> Backend | None:
    """The backend that the tensor ``x`` belongs to; ``None`` if it is no tensor of a loaded backend."""
    found = backend_of_type.get(type(x))
    if found is None:
        for backend in list(_loaded.values()):
            if backend.is_tensor(x):
                backend_of_type[type(x)] = backend
                return backend
        library = type(x).__module__.partition(".")[0]
        if library in NAMES and library not in _loaded and not hasattr(x, "numpy"):
            # Of a library whose backend is not in use yet, and without values that another could take: as in tf.data.
            return get(library) if get(library).is_tensor(x) else None
    return found


def adopt(x: Any) -> list[Any]:
    """Variables for those of a backend's own library in ``x``."""
    return next(b.adopt(x) for b in _loaded.values() if isinstance(x, b.foreign_state))


def owner_of(x: Any) -> Any:
    """The backend whose library made the variable or module ``x``; ``None`` if none did."""
    for name in NAMES:
        if name in sys.modules and isinstance(x, get(name).foreign_state):
            return get(name)
    return None


def user_code(fn: Any) -> Any:
    """``fn`` ready to be traced by the current backend; functions of ours are as they are."""
    if getattr(fn, "__module__", "").startswith("nyala."):
        return fn
    return current().user_code(fn)
