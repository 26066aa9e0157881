"""The public names of Keras: what Nyala lacks is this table, and nothing else."""

from __future__ import annotations

import importlib
from typing import Any

import keras
import pytest

import nyala

NAMESPACES = (
    "activations applications backend callbacks config constraints datasets distillation distribution dtype_policies export "
    "initializers layers legacy losses metrics mixed_precision models ops ops.image ops.linalg ops.nn ops.numpy optimizers "
    "optimizers.schedules preprocessing preprocessing.image preprocessing.sequence quantizers random regularizers saving "
    "tree utils utils.bounding_boxes visualization wrappers"
).split()

ABSENT: dict[str, str] = {}
"""Namespace -> the names of later issues; a namespace that is missing as a whole has the value "*"."""


def _names(module: Any) -> set[str]:
    return {n for n in dir(module) if not n.startswith("_") and n != "src"}


def _find(package: Any, path: str) -> Any:
    found = package
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _compare(namespace: str, ours: Any, theirs: Any) -> None:
    missing = {n for n in _names(theirs) if not hasattr(ours, n)}
    known = set(ABSENT.get(namespace, "").split())
    assert not missing - known, f"missing: {sorted(missing - known)}"
    assert not known - missing, f"these are there now, take them from the table: {sorted(known - missing)}"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_names(namespace: str) -> None:
    ours = _find(nyala, namespace)
    if ours is None:
        assert ABSENT.get(namespace) == "*"
    else:
        _compare(namespace, ours, _find(keras, namespace))


def test_names_of_the_package() -> None:
    _compare("keras", nyala, keras)


@pytest.mark.parametrize("namespace", [n for n in NAMESPACES if ABSENT.get(n) != "*" and "." not in n])
def test_every_name_in_all_is_there(namespace: str) -> None:
    module = importlib.import_module(f"nyala.{namespace}")
    assert [n for n in getattr(module, "__all__", dir(module)) if not hasattr(module, n)] == []
