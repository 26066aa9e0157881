"""Weights files (``.weights.h5``) in the layout of Keras 3, read and written.

The place of an object follows the attributes that lead to it: public names in order, then private ones. A list, tuple
or dict is a group whose members are numbered by class: ``layers/dense``, ``layers/dense_1``. Below it ``vars/0``,
``vars/1`` hold the object's own variables, trainable ones first. Nothing in a file but numbers is read, and only where
the model has a variable of that shape; links, external and virtual storage are refused.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nyala.base import check, naming
from nyala.layers.base import Layer
from nyala.saving import hdf5, layouts

if TYPE_CHECKING:
    import h5py

_ROLES = ("layer", "model", "optimizer")
_PASSING = ("seed_generator", "metrics", "compile_metrics")
"""Groups with state that older files hold and that is not weights."""


# -- the places of objects ---------------------------------------------------------------------------------------------


def walk(obj: Any, path: str = "", visited: dict[int, Any] | None = None) -> Iterator[tuple[str, Any]]:
    """The objects with variables below ``obj``, each once, with their places."""
    visited = {} if visited is None else visited
    # Kept alive, too: `model.layers` is a new list at each access, and an id of one that is gone may come again.
    visited[id(obj)] = obj
    yield path, obj
    for name, value in _members(obj):
        yield from _below(value, f"{path}/{name}" if path else name, visited)


def _below(value: Any, path: str, visited: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    if id(value) in visited:
        return
    if _has_state(value):
        yield from walk(value, path, visited)
    elif isinstance(value, (list, tuple, set, dict)):
        visited[id(value)] = value
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
    return obj.variables if type(obj).role == "optimizer" else obj._own_weights()


# -- writing -----------------------------------------------------------------------------------------------------------


def write(model: Any, file: h5py.File, include_optimizer: bool = True) -> None:
    """Write the weights below ``model``."""
    for path, obj in walk(model):
        if path.startswith("optimizer") and not include_optimizer and type(obj).role == "optimizer":
            continue
        group = file.create_group(f"{path}/vars" if path else "vars")
        group.attrs["name"] = getattr(obj, "name", path)
        for key, value in values(obj).items():
            hdf5.put(group, key, value)


def values(obj: Any) -> Mapping[str, np.ndarray]:
    """The object's own variables by their keys in a file."""
    store: dict[str, Any] = {}
    obj.save_own_variables(store)
    return {k: np.asarray(v) for k, v in store.items()}


# -- reading -----------------------------------------------------------------------------------------------------------


def read(model: Any, file: h5py.File, skip_mismatch: bool = False) -> list[str]:
    """Load the weights of an open file into ``model``; returns what did not fit."""
    return read_groups(model, hdf5.groups(file), skip_mismatch)


def read_groups(model: Any, groups: Mapping[str, Mapping[str, Any]], skip_mismatch: bool = False) -> list[str]:
    """The same from data sets by the group they stand in."""
    stored = {layouts.place(path): found for path, found in groups.items()}
    used: set[str] = set()
    wrong: list[str] = []
    todo: list[tuple[Any, Mapping[str, Any]]] = []
    optimizer = getattr(model, "optimizer", None)
    slots = stored.get("optimizer/vars", ())
    # A model that was saved before its first step has no slots to load.
    if optimizer is not None and not optimizer.built and len(slots) > len(_own(optimizer)):
        optimizer.build(model.trainable_variables)
    for path, obj in walk(model):
        place = f"{path}/vars" if path else "vars"
        found = stored.get(place, {})
        used.add(place)
        own_way = type(obj).role != "optimizer" and type(obj).load_own_variables is not Layer.load_own_variables
        problem = None if own_way else _mismatch(obj, found)
        if problem is None:
            todo.append((obj, found))
        elif type(obj).role == "optimizer" and (older := _older_optimizer(model, obj, found)) is not None:
            todo.append((obj, older))
        elif type(obj).role == "optimizer":
            warnings.warn(f"the optimizer's state is not loaded: {problem}", stacklevel=4)
        else:
            wrong.append(f"{path or model.name}: {problem}")
    for place, found in stored.items():
        parts = place.split("/")
        if found and place not in used and parts[0] != "optimizer" and not set(parts) & set(_PASSING):
            wrong.append(f"{place.removesuffix('/vars')}: {len(found)} values that the model has no place for")
    report(model, wrong, skip_mismatch)
    for obj, found in todo:
        arrays = {k: d if isinstance(d, np.ndarray) else hdf5.array(d) for k, d in found.items()}
        obj.load_own_variables(arrays)
    return wrong


def report(model: Any, wrong: list[str], skip_mismatch: bool) -> None:
    """Raise, or with ``skip_mismatch`` warn, about the parts that do not fit."""
    if not wrong:
        return
    text = f"{len(wrong)} of the stored parts do not fit:\n  " + "\n  ".join(wrong)
    if not skip_mismatch:
        check.fail(model, text + "\nskip_mismatch=True loads the others")
    warnings.warn(f"{check.who(model)}: {text}\nThe others were loaded.", stacklevel=5)


def _older_optimizer(model: Any, optimizer: Any, found: Mapping[str, Any]) -> dict[str, Any] | None:
    if set(found) != {str(i) for i in range(len(found))}:
        return None
    data = [found[str(i)] for i in range(len(found))]
    if not hdf5.fits(data, _own(optimizer)):
        return None
    stored = [np.asarray(hdf5.array(d)) for d in data]
    values = layouts.optimizer(_own(optimizer), model.trainable_variables, stored)
    return None if values is None else {str(i): np.asarray(v) for i, v in enumerate(values)}


def _mismatch(obj: Any, found: Mapping[str, Any]) -> str | None:
    own = _own(obj)
    if {str(i) for i in range(len(own))} != set(found):
        names = ", ".join(v.name for v in own) or "none"
        return f"has {len(own)} variables ({names}), the file {len(found)}"
    for i, variable in enumerate(own):
        if tuple(found[str(i)].shape) != tuple(variable.shape):
            return f"{variable.name} has shape {tuple(variable.shape)}, in the file {tuple(found[str(i)].shape)}"
    return None
