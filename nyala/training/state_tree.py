"""The state of a model as nested dicts by the paths of its variables: what Orbax and loops of one's own keep."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nyala.base import check
from nyala.base.variable import Variable

FORMATS = ("backend_tensor", "numpy_array")


def _parts(model: Any) -> dict[str, list[Variable]]:
    optimizer = getattr(model, "optimizer", None)
    return {
        "trainable_variables": model.trainable_variables,
        "non_trainable_variables": model.non_trainable_variables,
        "optimizer_variables": [] if optimizer is None else optimizer.variables,
        "metrics_variables": model.metrics_variables,
    }


def get(model: Any, value_format: str = "backend_tensor") -> dict[str, Any]:
    """See ``Trainer.get_state_tree``."""
    check.one_of("get_state_tree", "value_format", value_format, FORMATS)
    made: dict[str, Any] = {}
    for part, variables in _parts(model).items():
        branch = made[part] = {}
        for variable in variables:
            place, *names = branch, *variable.path.split("/")
            for name in names[:-1]:
                place = place.setdefault(name, {})
                if not isinstance(place, dict):
                    break
            if not isinstance(place, dict) or names[-1] in place:
                check.fail(model, f"two of its variables have the path {variable.path!r}; give the layers other names")
            place[names[-1]] = variable.numpy() if value_format == "numpy_array" else variable.value
    return made


def put(model: Any, state_tree: Mapping[str, Any]) -> None:
    """See ``Trainer.set_state_tree``."""
    known = _parts(model)
    optimizer = getattr(model, "optimizer", None)
    if state_tree.get("optimizer_variables") and optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
        known = _parts(model)
    found, wrong = [], []
    for part, branch in state_tree.items():
        check.one_of("set_state_tree", "the key", part, tuple(known))
        own = {v.path: v for v in known[part]}
        for path, value in as_named(branch, own).items():
            variable = own.get(path)
            if variable is None:
                # Metrics make their state in the first step; what they had is of no use before it.
                wrong += [f"{part}: {path} is not there"] if part != "metrics_variables" else []
            elif tuple(np.shape(value)) != variable.shape:
                wrong.append(f"{part}: {path} has shape {variable.shape}, given is {tuple(np.shape(value))}")
            else:
                found.append((variable, value))
    if wrong:
        check.fail(model, "set_state_tree does not fit: " + "; ".join(wrong[:10]))
    for variable, value in found:
        variable.assign(value)


def paths(branch: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested dicts with their paths."""
    for name, value in branch.items():
        path = f"{above}/{name}" if above else str(name)
        if isinstance(value, Mapping):
            yield from paths(value, path)
        else:
            yield path, value


def as_named(branch: Mapping[str, Any], own: Iterable[str], slots: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """The leaves of a branch by the paths that a model has, which may differ in what stands in front of all of them (the
    model's or optimizer's name) and in the numbers of seeds, for these names are made up.

    Args: slots: what ``front`` gives for the stored weights and for the model's own, which names of slots begin with.
    """
    stored, own = dict(paths(branch)), list(own)
    if any(p not in own for p in stored if not _is_seed(p)):
        theirs, ours = front(stored), front(own)
        kept = {_bare(p, ours, slots[1]): p for p in own}
        stored = {p if _is_seed(p) else kept.get(_bare(p, theirs, slots[0]), p): v for p, v in stored.items()}
    seeds, places = (sorted(filter(_is_seed, ps), key=_number) for ps in (stored, own))
    if len(seeds) == len(places):
        values = [stored.pop(p) for p in seeds]
        stored.update(zip(places, values))
    return stored


def _bare(path: str, front: str, slot: str) -> str:
    return path.removeprefix(front).removeprefix(slot.replace("/", "_"))


def front(all_paths: Iterable[str]) -> str:
    """The folders that all the paths but those of seeds have in common, with a slash."""
    folders = [p.split("/")[:-1] for p in all_paths if not _is_seed(p)]
    common = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders))
    return "".join(f"{names[0]}/" for names in common)


def _is_seed(path: str) -> bool:
    return path.endswith("seed_generator_state")


def _number(path: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]


__all__ = ["as_named", "front", "get", "paths", "put"]
