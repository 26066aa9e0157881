"""``tensorflow`` for programs: the real one, loaded when something other than ``tf.keras`` is touched.

``tf.keras`` and its aliases (``tf.losses``, ``tf.compat.v1.keras``, ...) are Nyala from the start, so that a program which only
wants ``from tensorflow import keras`` neither waits for TensorFlow nor needs it.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from contextlib import nullcontext
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from nyala.compat.facade import facade

_ALIASES = {
    "keras": "",
    "initializers": "initializers",
    "losses": "losses",
    "metrics": "metrics",
    "optimizers": "optimizers",
}
_LEGACY = "tensorflow.python.keras"
_PARENTS = frozenset({"tensorflow.compat", "tensorflow.compat.v1", "tensorflow.compat.v2", "tensorflow.python"})
"""Packages on the way to an old path of ``tf.keras``, which must be importable without TensorFlow."""

_OF_TENSORFLOW_1 = (
    "ConfigProto", "GPUOptions", "arg_max", "batch_gather", "count_nonzero", "div", "log", "logging", "matrix_band_part",
    "random_crop", "random_normal", "random_uniform", "set_random_seed", "space_to_depth", "to_double", "to_float",
    "to_int32", "to_int64", "truncated_normal", "global_variables_initializer", "train.AdadeltaOptimizer",
    "train.AdagradOptimizer", "train.AdamOptimizer", "train.FtrlOptimizer", "train.GradientDescentOptimizer",
    "train.MomentumOptimizer", "train.RMSPropOptimizer", "image.resize_bicubic", "image.resize_bilinear",
    "image.resize_images", "image.resize_nearest_neighbor",
)  # fmt: skip
"""Names that programs for Keras on TensorFlow 1 use beside it, and that mean the same in ``tf.compat.v1``."""


class Graph:
    """What ``tf.get_default_graph()`` gives: programs enter it around ``predict`` in a thread."""

    def as_default(self) -> Any:
        return nullcontext(self)

    def finalize(self) -> None:
        """There is nothing to finish."""


_lock = threading.RLock()
_loading = False


def is_loading() -> bool:
    """While TensorFlow itself is being imported, its own ``tensorflow.python.keras`` must be found."""
    return _loading


def spec_of_others(name: str, finder: Any) -> ModuleSpec | None:
    """What the other finders say."""
    for other in sys.meta_path:
        find_spec = getattr(other, "find_spec", None)
        if other is not finder and find_spec is not None:
            spec = find_spec(name, _path_of_parent(name))
            if spec is not None:
                return spec
    return None


def _path_of_parent(name: str) -> Any:
    parent = name.rpartition(".")[0]
    return sys.modules[parent].__path__ if parent else None


def installed(finder: Any) -> bool:
    return spec_of_others("tensorflow", finder) is not None


def find_spec(name: str, finder: Any) -> ModuleSpec | None:
    if name == "tensorflow":
        spec = spec_of_others(name, finder)
        if spec is None:
            return ModuleSpec(name, _Absent(), is_package=True)
        spec.loader = _Lazily(spec.loader)
        return spec
    if isinstance(sys.modules.get("tensorflow"), AbsentTensorFlow) and name in _PARENTS:
        return ModuleSpec(name, _Absent(), is_package=True)
    return None


def load(wanted: str = "tensorflow") -> None:
    """Import the real TensorFlow into the module that stands for it, unless that has been done."""
    global _loading
    module = sys.modules.get("tensorflow")
    if isinstance(module, AbsentTensorFlow):
        raise module._error(f"module {wanted}")
    if not isinstance(module, LazyTensorFlow) or _loading:
        return
    with _lock:
        loader = module.__dict__.pop("_nyala_loader", None)
        if loader is None:
            return
        _loading = True
        try:
            loader.exec_module(module)
        except BaseException:
            module.__dict__["_nyala_loader"] = loader
            raise
        finally:
            _loading = False
        module.__class__ = ModuleType  # type: ignore[assignment]  # an ordinary module from here on
        adopt(module)


def adopt(tf: Any) -> None:
    """Make Nyala of what TensorFlow calls Keras."""
    for name, path in _ALIASES.items():
        setattr(tf, name, facade(path))
        setattr(tf.compat.v2, name, facade(path))
    tf.compat.v1.keras = facade("")
    for path in _OF_TENSORFLOW_1:
        home, _, name = path.rpartition(".")
        here, older = (getattr(tf, home), getattr(tf.compat.v1, home)) if home else (tf, tf.compat.v1)
        if name not in here.__dict__:
            setattr(here, name, getattr(older, name))
    from nyala.backend import Session, clear_session

    stand_ins = {"Session": Session, "get_default_graph": Graph, "reset_default_graph": clear_session}
    for name, value in stand_ins.items():
        if name not in tf.__dict__:
            setattr(tf, name, value)
    tf.train.latest_checkpoint = _latest(tf.train.latest_checkpoint)
    tf.__path__ = [p for p in tf.__path__ if isinstance(p, str) and os.path.isdir(p)]
    # TensorFlow keeps and uses an old copy of Keras; its modules hold each other, a program must not find them.
    for name in [n for n in sys.modules if n == _LEGACY or n.startswith(f"{_LEGACY}.")]:
        del sys.modules[name]
    sys.modules["tensorflow.python"].keras = facade("")  # type: ignore[attr-defined]


def _latest(theirs: Any) -> Any:
    @functools.wraps(theirs)
    def latest_checkpoint(checkpoint_dir: Any, latest_filename: Any = None) -> Any:
        ending = ".weights.h5"
        ours = sorted(Path(checkpoint_dir).glob(f"*{ending}"), key=lambda p: p.stat().st_mtime)
        return theirs(checkpoint_dir, latest_filename) or (str(ours[-1]).removesuffix(ending) if ours else None)

    return latest_checkpoint


class LazyTensorFlow(ModuleType):
    """TensorFlow before it is loaded."""

    def __getattr__(self, name: str) -> Any:
        if name == "is_tensor" and sys._getframe(1).f_globals.get("__name__") == "matplotlib.cbook":
            raise AttributeError(name)  # it only asks whether a tensor of TensorFlow can be about
        with _lock:
            load()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module 'tensorflow' has no attribute {name!r}") from None

    def __dir__(self) -> list[str]:
        load()
        return list(self.__dict__)


class AbsentTensorFlow(ModuleType):
    """TensorFlow where it is not installed."""

    def __getattr__(self, name: str) -> Any:
        if (name.startswith("__") and name != "__version__") or name == "is_tensor":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise self._error(f"tf.{name}" if self.__name__ == "tensorflow" else f"{self.__name__}.{name}")

    def _error(self, what: str) -> ModuleNotFoundError:
        return ModuleNotFoundError(
            f"{what} is TensorFlow's own, which is not installed (tf.keras is Nyala's and needs no TensorFlow): "
            "pip install 'nyala[tensorflow]'",
            name="tensorflow",
        )


class _Absent(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return AbsentTensorFlow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if not module.__name__.endswith((".compat", ".python")):
            module.__dict__.update({name: facade(path) for name, path in _ALIASES.items()})


class _Lazily(Loader):
    def __init__(self, loader: Any):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return LazyTensorFlow(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__dict__.update({name: facade(path) for name, path in _ALIASES.items()})
        module.__dict__["_nyala_loader"] = self.loader
