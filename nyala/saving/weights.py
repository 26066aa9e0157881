"""Weights files (``.weights.h5``) in the layout of Keras 3, read and written.

The place of an object follows the attributes that lead to it: public names in order, then private ones. A list, tuple
or dict is a group whose members are numbered by class: ``layers/dense``, ``layers/dense_1``. Below it ``vars/0``,
``vars/1`` hold the object's own variables, trainable ones first. Nothing in a file but numbers is read, and only where
the model has a variable of that shape; links, external and virtual storage are refused.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from nyala.backends import dtypes
from nyala.base import check, naming

if TYPE_CHECKING:
    import h5py

_ENDING = ".weights.h5"
_MAX_DEPTH = 64
_MAX_MEMBERS = 1_000_000
_ROLES = ("layer", "model", "optimizer")
_PASSING = ("seed_generator", "metrics", "compile_metrics")
"""Groups with state that older files hold and that is not weights."""


def save_weights(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, max_shard_size: Any = None
) -> None:
    """Write the weights, and the optimizer's state if the model is compiled, to ``filepath``.

    Args:
        filepath: ends in ``.weights.h5``.
        overwrite: replace an existing file; if False, ask on a terminal, else raise FileExistsError.
        max_shard_size: None; files in several parts are not supported yet.
    """
    path = Path(filepath)
    if max_shard_size is not None:
        check.fail(
            "save_weights", "max_shard_size is not supported yet; leave it None for one file", NotImplementedError
        )
    if not path.name.endswith(_ENDING):
        check.fail("save_weights", f"filepath must end in {_ENDING}, got {str(filepath)!r}")
    if not model.built:
        check.fail(model, "has no weights to save yet: call it on data or use build(input_shape) first")
    may_write(path, overwrite)
    with beside(path) as file:
        write(model, file)


def load_weights(model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Read the weights, and the optimizer's state if the model is compiled, that Nyala or Keras 3 saved.

    Args:
        filepath: ends in ``.weights.h5``.
        skip_mismatch: leave out, with a warning, what does not fit.

    Raises: ValueError that lists what is missing, unexpected or of another shape; then nothing was loaded.
    """
    check.no_extra("load_weights", kwargs, ("skip_mismatch",))
    path = Path(filepath)
    if not path.name.endswith(_ENDING):
        check.fail("load_weights", f"filepath must end in {_ENDING}, got {str(filepath)!r}")
    if not path.is_file():
        check.fail("load_weights", f"there is no file {path}", FileNotFoundError)
    if not model.built:
        check.fail(model, "has no variables to load into yet: call it on data or use build(input_shape) first")
    read(model, path, skip_mismatch)


def may_write(path: Path, overwrite: bool) -> None:
    """Raises FileExistsError unless ``path`` is free, may be replaced, or the user says so."""
    if overwrite or not path.exists():
        return
    if sys.stdin is not None and sys.stdin.isatty():
        answer = input(f"{path} exists. Overwrite it? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            return
    check.fail("save", f"{path} exists and overwrite is False", FileExistsError)


# -- the places of objects ---------------------------------------------------------------------------------------------


def walk(obj: Any, path: str = "", visited: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """The objects with variables below ``obj``, each once, with their places."""
    visited = set() if visited is None else visited
    visited.add(id(obj))
    yield path, obj
    for name, value in _members(obj):
        yield from _below(value, f"{path}/{name}" if path else name, visited)


def _below(value: Any, path: str, visited: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in visited:
        return
    if _has_state(value):
        yield from walk(value, path, visited)
    elif isinstance(value, (list, tuple, set, dict)):
        visited.add(id(value))
        counts: Counter[str] = Counter()
        for item in value.values() if isinstance(value, dict) else value:
            if _has_state(item) or isinstance(item, (list, tuple, set, dict)):
                name = naming.snake(type(item).__name__) if _has_state(item) else "container"
                n = counts[name]
                counts[name] += 1
                yield from _below(item, f"{path}/{name}_{n}" if n else f"{path}/{name}", visited)


def _has_state(x: Any) -> bool:
    return not isinstance(x, type) and getattr(type(x), "role", "") in _ROLES


def _members(obj: Any) -> list[tuple[str, Any]]:
    hidden = getattr(obj, "_untracked", frozenset())
    members = {k: v for k, v in vars(obj).items() if k not in hidden}
    for name in ("layers", "optimizer"):  # a model has these without tracking them
        if type(obj).role == "model" and getattr(obj, name, None) is not None:
            members[name] = getattr(obj, name)
    if type(obj).role == "optimizer":
        members = {k: v for k, v in members.items() if _has_state(v)}
    return sorted(members.items(), key=lambda item: (item[0].startswith("_"), item[0]))


def _own(obj: Any) -> list[Any]:
    return obj.variables if type(obj).role == "optimizer" else obj._own()


# -- writing -----------------------------------------------------------------------------------------------------------


def write(model: Any, target: Path | IO[bytes]) -> None:
    """Write the weights below ``model``."""
    import h5py

    with h5py.File(target, "w") as file:
        for path, obj in walk(model):
            group = file.create_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = getattr(obj, "name", path)
            for key, value in _values(obj).items():
                _put(group, key, value)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file to write next to ``path``; it takes its place when the block ends well, and else is removed."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _values(obj: Any) -> Mapping[str, np.ndarray]:
    if hasattr(obj, "save_own_variables"):
        store: dict[str, Any] = {}
        obj.save_own_variables(store)
        return {k: np.asarray(v) for k, v in store.items()}
    return {str(i): v.numpy() for i, v in enumerate(_own(obj))}


def _put(group: h5py.Group, key: str, value: np.ndarray) -> None:
    if value.dtype.kind == "V" or value.dtype.name.startswith(("bfloat", "float8")):  # HDF5 has no such type
        stored = group.create_dataset(key, data=value.view(f"V{value.dtype.itemsize}"))
        stored.attrs["dtype"] = value.dtype.name
    else:
        group.create_dataset(key, data=value)


# -- reading -----------------------------------------------------------------------------------------------------------


def read(model: Any, source: Path | IO[bytes], skip_mismatch: bool = False) -> None:
    """Load the weights of an open or named file into ``model``."""
    import h5py

    with h5py.File(source, "r") as file:
        stored = _stored(file)
        used: set[str] = set()
        wrong: list[str] = []
        todo: list[tuple[Any, Mapping[str, h5py.Dataset]]] = []
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and "optimizer/vars" in stored and not optimizer.built:
            optimizer.build(model.trainable_variables)
        for path, obj in walk(model):
            place = f"{path}/vars" if path else "vars"
            found = stored.get(place, {})
            used.add(place)
            problem = None if hasattr(obj, "load_own_variables") else _mismatch(obj, found)
            if problem is None:
                todo.append((obj, found))
            elif type(obj).role == "optimizer":
                warnings.warn(f"the optimizer's state is not loaded: {problem}", stacklevel=4)
            else:
                wrong.append(f"{path or model.name}: {problem}")
        for place, found in stored.items():
            parts = place.split("/")
            if found and place not in used and parts[0] != "optimizer" and not set(parts) & set(_PASSING):
                wrong.append(f"{place.removesuffix('/vars')}: {len(found)} values that the model has no place for")
        if wrong:
            text = f"{len(wrong)} of the stored parts do not fit:\n  " + "\n  ".join(wrong)
            if not skip_mismatch:
                check.fail(model, text + "\nskip_mismatch=True loads the others")
            warnings.warn(f"{check.who(model)}: {text}\nThe others were loaded.", stacklevel=4)
        for obj, found in todo:
            values = {k: _get(d) for k, d in found.items()}
            if hasattr(obj, "load_own_variables"):
                obj.load_own_variables(values)
            else:
                for i, variable in enumerate(_own(obj)):
                    variable.assign(values[str(i)])


def _mismatch(obj: Any, found: Mapping[str, Any]) -> str | None:
    own = _own(obj)
    if {str(i) for i in range(len(own))} != set(found):
        names = ", ".join(v.name for v in own) or "none"
        return f"has {len(own)} variables ({names}), the file {len(found)}"
    for i, variable in enumerate(own):
        if tuple(found[str(i)].shape) != tuple(variable.shape):
            return f"{variable.name} has shape {tuple(variable.shape)}, in the file {tuple(found[str(i)].shape)}"
    return None


def _stored(file: h5py.File) -> dict[str, dict[str, h5py.Dataset]]:
    """The data sets of the file by the group they stand in."""
    import h5py

    stored: dict[str, dict[str, h5py.Dataset]] = {}
    todo: list[tuple[str, Any, int]] = [("", file, 0)]
    count = 0
    while todo:
        path, group, depth = todo.pop()
        for name in group:
            count += 1
            place = f"{path}/{name}" if path else name
            if count > _MAX_MEMBERS or depth > _MAX_DEPTH:
                _refuse(file, f"it holds more than {_MAX_MEMBERS} members or is nested deeper than {_MAX_DEPTH}")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                _refuse(file, f"{place} is a link to another place")
            item = group[name]
            if isinstance(item, h5py.Group):
                todo.append((place, item, depth + 1))
                stored.setdefault(place, {})
            elif isinstance(item, h5py.Dataset):
                if item.is_virtual or item.external:
                    _refuse(file, f"{place} keeps its values in another file")
                stored.setdefault(path, {})[name] = item
    return stored


def _refuse(file: h5py.File, why: str) -> None:
    check.fail("load_weights", f"the file {file.filename} is refused: {why}")


def _get(data: h5py.Dataset) -> np.ndarray:
    kind = data.attrs.get("dtype")
    if data.dtype.kind == "V" and isinstance(kind, str):
        return np.asarray(data[()]).view(dtypes.numpy_dtype(dtypes.standardize(kind)))
    if data.dtype.kind not in "fiubc":
        check.fail("load_weights", f"{data.name} holds no numbers but {data.dtype}")
    return data[()]
