"""The import hook: ``keras`` and ``tf.keras``, under every module path they ever had, are Nyala in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from nyala import backends
from nyala.compat import names, tensorflow
from nyala.compat.facade import Facade, exists, facade, near
from nyala.graph.recorded import record_functions


class Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in _AFTER:
            return _then(tensorflow.spec_of_others(fullname, self), _AFTER[fullname])
        if fullname == "tensorboard.compat.notf" and not tensorflow.installed(self):
            return ModuleSpec(fullname, self)  # tensorboard asks for this module to learn that there is no TensorFlow
        own = tensorflow.find_spec(fullname, self)
        if own is not None or (tensorflow.is_loading() and fullname.startswith("tensorflow.")):
            return own
        inner = names.path_in_keras(fullname)
        if inner is None:
            if fullname.startswith("tensorflow."):
                tensorflow.load(fullname)
            return None
        if not exists(inner):
            # Not as an answer of None: Python's own message would not know the nearest names.
            parent, _, leaf = inner.rpartition(".")
            like = near(parent, leaf) if exists(parent) else ""
            raise ModuleNotFoundError(f"no name {leaf!r} in '{f'keras.{parent}'.rstrip('.')}' (nyala).{like}")
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__spec__.name if module.__spec__ else module.__name__
        inner = names.path_in_keras(name)
        if inner is not None:
            sys.modules[name] = facade(inner)  # the import system takes the module from there


_finder = Finder()


def install(backend: str | None = None) -> None:
    """From now on ``import keras`` and ``tf.keras`` are Nyala in this process and its workers; nothing on disk changes.

    backend: the default backend from here on (``None``: as it is). What was imported from Keras before stays what it was.
    """
    if backend is not None:
        from nyala.backends import set_backend

        set_backend(backend)
    if _finder in sys.meta_path:
        return
    for name in [n for n in sys.modules if names.path_in_keras(n) is not None]:
        if not isinstance(sys.modules[name], Facade):
            del sys.modules[name]
    sys.meta_path.insert(0, _finder)
    if "tensorflow" in sys.modules:
        tensorflow.adopt(sys.modules["tensorflow"])
    for name, patch in _AFTER.items():
        if name in sys.modules:
            patch(sys.modules[name])


def installed() -> bool:
    return _finder in sys.meta_path


def restore(path: str) -> ModuleType:
    """What a pickled module becomes in the process that reads it, which may be a worker without the hook yet."""
    install()
    return facade(path)


# -- workers -------------------------------------------------------------------------------------------------------------


class _Install:
    """Installs the hook where it is unpickled."""

    def __reduce__(self) -> Any:
        return install, ()


def _in_spawned(spawn: Any) -> None:
    # A new interpreter unpickles this before it imports the program's __main__.
    prepare = spawn.get_preparation_data
    spawn.get_preparation_data = lambda name: {**prepare(name), "nyala": _Install()}


def _in_forkserver(forkserver: Any) -> None:
    # The server would import __main__ before it unpickles anything; its children import it instead.
    server = forkserver._forkserver
    preload = server.set_forkserver_preload

    def set_forkserver_preload(modules: Sequence[str]) -> None:
        preload(["nyala.compat.worker", *(m for m in modules if m != "__main__")])

    server.set_forkserver_preload = forkserver.set_forkserver_preload = set_forkserver_preload
    set_forkserver_preload(())


_AFTER: dict[str, Callable[[Any], None]] = {
    "multiprocessing.spawn": _in_spawned,
    "multiprocessing.forkserver": _in_forkserver,
    **dict.fromkeys(backends.WITHOUT_DISPATCH, record_functions),
}
"""Modules that are changed as soon as the program imports them."""


class _ThenLoader(Loader):
    def __init__(self, loader: Any, then: Callable[[Any], None]):
        self.loader, self.then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.then(module)


def _then(spec: ModuleSpec | None, then: Callable[[Any], None]) -> ModuleSpec | None:
    if spec is not None:
        spec.loader = _ThenLoader(spec.loader, then)
    return spec
