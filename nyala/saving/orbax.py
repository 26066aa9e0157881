"""Folders of Orbax's checkpoints that ``OrbaxCheckpoint`` wrote, here or in Keras."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import allowance, check
from nyala.saving import config as config_
from nyala.saving import eras, limits
from nyala.training.callbacks.orbax import CONFIG, STATE, library
from nyala.training.state_tree import as_named, front, paths

_MARK = "_CHECKPOINT_METADATA"
_WEIGHTS = ("trainable_variables", "non_trainable_variables")


def is_orbax(path: Path) -> bool:
    """Whether the folder is a checkpoint or holds some."""
    return path.is_dir() and ((path / _MARK).is_file() or bool(_steps(path)))


def _steps(path: Path) -> list[int]:
    return sorted(int(p.name) for p in path.iterdir() if re.fullmatch(r"\d+", p.name) and (p / _MARK).is_file())


def _last(path: Path) -> Path:
    return path if (path / _MARK).is_file() else path / str(_steps(path)[-1])


def read(path: Path, compile: bool = True) -> Any:
    """The model of the last checkpoint, with weights and, compiled, with the optimizer's state."""
    folder = _last(path)
    if not (folder / CONFIG).is_dir():
        limits.refuse(path, "it holds weights only; make the model and use load_weights")
    text = _restored(folder / CONFIG)["config"]
    if not isinstance(text, str):
        limits.refuse(path, "its model_config holds no text")
    config = config_.parse(text.encode(), str(path))
    numbers = limits.numbers(_bytes(folder))
    model = config_.build(config, None, numbers)
    if compile and config.get("compile_config"):
        with allowance.of(limits.of_training(numbers)):
            model.compile_from_config(eras.compiled(config["compile_config"]))
    _load(model, folder, (*_WEIGHTS, "optimizer_variables") if model.compiled else _WEIGHTS, False)
    return model


def read_weights(model: Any, path: Path, skip_mismatch: bool = False) -> list[str]:
    """Load the weights of the last checkpoint; what did not fit, a line each."""
    return _load(model, _last(path), _WEIGHTS, skip_mismatch)


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def _load(model: Any, folder: Path, parts: tuple[str, ...], skip_mismatch: bool) -> list[str]:
    claimed = _checkpointer().metadata(folder / STATE).item_metadata.tree
    if "optimizer_variables" in parts and claimed.get("optimizer_variables"):
        model.optimizer.build(model.trainable_variables)
    own = {part: {v.path: v for v in _variables(model, part)} for part in parts}
    slots = front(p for p, _ in paths(claimed["trainable_variables"])), front(own["trainable_variables"])
    wrong = []
    for part in parts:
        shapes = {p: tuple(x.shape) for p, x in as_named(claimed.get(part) or {}, own[part], slots).items()}
        wrong += [f"{p} is missing" for p in own[part] if p not in shapes]
        wrong += [f"{p} is unexpected" for p in shapes if p not in own[part]]
        wrong += [
            f"{p} has shape {v.shape}, stored is {shapes[p]}"
            for p, v in own[part].items()
            if shapes.get(p, v.shape) != v.shape
        ]
    if wrong and not skip_mismatch:
        check.fail(model, f"{folder} does not fit: " + "; ".join(wrong[:10]))
    if wrong:
        warnings.warn(f"{folder}: left out what does not fit: " + "; ".join(wrong[:10]), stacklevel=4)
    stored = _restored(folder / STATE)
    for part in parts:
        for path, value in as_named(stored.get(part) or {}, own[part], slots).items():
            variable = own[part].get(path)
            if variable is not None and np.shape(value) == variable.shape:
                variable.assign(np.asarray(value))
    return wrong


def _variables(model: Any, part: str) -> list[Any]:
    return model.optimizer.variables if part == "optimizer_variables" else getattr(model, part)


def _checkpointer() -> Any:
    return library().Checkpointer(library().PyTreeCheckpointHandler())


def _restored(folder: Path) -> Any:
    with warnings.catch_warnings():  # where the values lie is ours to say
        warnings.filterwarnings("ignore", message="Sharding info not provided")
        return _checkpointer().restore(folder.absolute())


__all__ = ["is_orbax", "read", "read_weights"]
