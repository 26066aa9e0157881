"""Weights in several files: ``NAME.weights.json`` says which of ``NAME_00000.weights.h5``, ... holds an object's values."""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import check
from nyala.base import files as files_
from nyala.saving import config, hdf5, limits, weights

ENDING = ".weights.json"
_GIB = 1024**3


def write(model: Any, path: Path, max_shard_size: float | None) -> None:
    """Write the files, each of at most ``max_shard_size`` GiB of values (``None``: one file), and last the index."""
    most = np.inf if max_shard_size is None else max_shard_size * _GIB
    name = path.name.removesuffix(ENDING)
    places: dict[str, list[str]] = {}
    total, room = 0, -1.0
    names: list[str] = []
    replaced = path.exists()
    with files_.beside(path) as new:
        with ExitStack() as stack:
            shard: Any = None
            for place, obj in weights.walk(model):
                group = f"{place}/vars" if place else "vars"
                for key, value in weights.values(obj).items():
                    if value.nbytes > most:
                        check.fail(
                            "save_weights",
                            f"{group}/{key} has {value.nbytes / _GIB:.3g} GiB, more than max_shard_size={max_shard_size}",
                        )
                    if value.nbytes > room:
                        names.append(f"{name}_{len(names):05}.weights.h5")
                        shard = stack.enter_context(hdf5.write(new.with_name(names[-1])))
                        room = most
                    hdf5.put(shard.require_group(group), key, value)
                    room -= value.nbytes
                    total += value.nbytes
                    held = places.setdefault(f"/{group}", [])
                    if names[-1] not in held:
                        held.append(names[-1])
                if f"/{group}" in places:
                    shard[group].attrs["name"] = getattr(obj, "name", place)
        index = {"metadata": {"total_size": total}, "weight_map": places}
        new.write_text(json.dumps(index, indent=4))
    for n in itertools.count(len(names)) if replaced else ():  # files that only the older index named
        older = path.with_name(f"{name}_{n:05}.weights.h5")
        if not older.exists():
            break
        older.unlink()


def read(model: Any, path: Path, skip_mismatch: bool = False) -> list[str]:
    """Load the weights of all files that the index names; they stand beside it."""
    stored: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        for file in files(path):
            for place, found in hdf5.groups(stack.enter_context(hdf5.read(file))).items():
                known = stored.setdefault(place, {})
                if known.keys() & found.keys():
                    limits.refuse(path, f"{place} stands in two of its files")
                known.update(found)
        return weights.read_groups(model, stored, skip_mismatch)


def files(path: Path) -> list[Path]:
    """The files that an index names."""
    if path.stat().st_size > limits.MAX_TEXT:
        limits.refuse(path, f"it has more than {limits.MAX_TEXT} bytes")
    places = config.parse(path.read_text(), str(path)).get("weight_map")
    if not isinstance(places, dict):
        check.fail("load_weights", f"{path} has no weight_map, so it is no index of weights files")
    names: dict[str, None] = {}
    for held in places.values():
        for name in held if isinstance(held, list) else [held]:
            if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".weights.h5"):
                limits.refuse(path, f"it names {name!r}, which is no .weights.h5 file beside it")
            names[name] = None
    missing = [name for name in names if not path.with_name(name).is_file()]
    if missing:
        check.fail("load_weights", f"{path} names files that are not beside it: {', '.join(missing)}")
    return [path.with_name(name) for name in names]


__all__ = ["ENDING", "files", "read", "write"]
