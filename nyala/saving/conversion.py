"""From one kind of model file to another, with a check that nothing was lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nyala import ops
from nyala.base import check, files, tree
from nyala.saving import api

_SIZES = (32, 64, 224)
"""Tried for unknown dimensions."""


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    architecture: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    overwrite: bool = True,
) -> float:
    """Write the model of one file as another kind of file, read it again and compare one forward pass.

    Args:
        source: what ``load_model`` reads, or weights if the architecture is given.
        target: its ending says what is written: a model (``.keras``, ``.h5``), its architecture (``.json``) or its weights
            (``.weights.h5``, ``.weights.json``, ``.safetensors``).
        architecture: a ``.json`` of ``to_json``.

    Returns: the largest difference between the outputs, relative to the largest output; 0 for ``.json``.

    Raises: ValueError where a file cannot be read or written, or the outputs differ by more than 1e-5; the target is then
        not there, or still the old one.
    """
    target = Path(target)
    api.may_write(target, overwrite)
    model = _model(source, architecture, custom_objects)
    weights = target.name.endswith((".weights.h5", ".weights.json", ".safetensors"))
    if target.suffix == ".json" and not weights:
        with files.beside(target) as file:
            file.write_text(model.to_json())
            api.model_from_json(file.read_text(), custom_objects)
        return 0.0
    if target.name.endswith(".weights.json"):  # of several files: not to be renamed
        model.save_weights(target)
        return _compare(model, _with_weights(model, target, custom_objects), target)
    with files.beside(target) as file:
        if weights:
            model.save_weights(file)
            return _compare(model, _with_weights(model, file, custom_objects), target)
        model.save(file)
        return _compare(model, api.load_model(file, custom_objects), target)


def _model(source: Any, architecture: Any, custom_objects: Mapping[str, Any] | None) -> Any:
    if architecture is None:
        return api.load_model(source, custom_objects)
    model = api.model_from_json(Path(architecture).read_text(), custom_objects)
    model.load_weights(source)
    return model


def _with_weights(model: Any, path: Path, custom_objects: Mapping[str, Any] | None) -> Any:
    copy = api.model_from_json(model.to_json(), custom_objects)
    copy.load_weights(path)
    return copy


def _compare(model: Any, again: Any, target: Path) -> float:
    """The relative difference of the two models' outputs for the same random inputs."""
    for size in _SIZES:
        inputs = [example(x, size) for x in model.inputs]
        try:
            first = _outputs(model, inputs)
        except (ValueError, RuntimeError) as error:
            problem = error
            continue
        second = _outputs(again, inputs)
        off = max(_difference(a, b) for a, b in zip(first, second, strict=True))
        if not off <= 1e-5:
            check.fail("convert", f"{target}: its outputs differ from those of the source by {off:.1e}; it is not kept")
        return off
    return check.fail("convert", f"the model cannot be tried on random inputs: {problem}")


def example(x: Any, size: int, batch: int = 2) -> np.ndarray:
    """An input for a symbolic tensor; ``size``: of the axes that it leaves open."""
    shape = (batch, *(size if n is None else n for n in x.shape[1:]))
    if x.shape and x.shape[0] is not None:
        shape = (x.shape[0], *shape[1:])
    if x.dtype == "string":
        return np.full(shape, "a")
    random = np.random.default_rng(0)
    if x.dtype.startswith(("int", "uint", "bool")):
        return random.integers(0, 2, shape).astype(x.dtype)
    return random.random(shape, dtype="float32")


def _outputs(model: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    nest = dict(zip(model.input_names, inputs)) if isinstance(model.input, dict) else inputs
    outputs = model(inputs[0] if len(inputs) == 1 and not isinstance(model.input, dict) else nest, training=False)
    return [ops.convert_to_numpy(y) for y in tree.flatten(outputs)]


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or a.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(a, b) else np.inf
    a, b = a.astype("float64"), b.astype("float64")
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    return float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30))


__all__ = ["convert"]
