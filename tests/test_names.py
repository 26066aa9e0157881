"""The public names of Keras: what Nyala lacks is this table, and nothing else."""

from __future__ import annotations

import importlib
import inspect
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


UNLIKE = {
    "backend.result_type": "takes any number of dtypes, without a name",
    "Model.compiled_loss": "y_true, y_pred as Keras 2 called it",
    "Sequential.compiled_loss": "as Model's",
    "Functional.compiled_loss": "as Model's",
    "Distiller.compiled_loss": "as Model's",
    "Config.get": "Keras's is ml_collections' own",
    "RandomGrayscale.get_random_transformation": "the base's names",
    "RandomGrayscale.transform_labels": "the base's names",
    "RandomGrayscale.transform_segmentation_masks": "the base's names",
    "Lambda.from_config": "a config never holds code: there is no unsafe mode",
    "TFSMLayer.from_config": "as Lambda's",
    "TorchModuleWrapper.from_config": "as Lambda's",
    "Discretization.from_config": "no class is named in its config",
    "Adadelta.update_step": "gradient as in every other optimizer",
}

NOT_NAMED = {
    "_": "has no name",
    "state": "of train_step, on Keras's jax backend only; ours may take it",
    "var_list": "of some optimizers' build, which takes it as an old spelling",
}


def _lacks(ours: Any, theirs: Any) -> list[str]:
    """The parameters of Keras's that ours has not."""
    try:
        mine, wanted = inspect.signature(ours).parameters, inspect.signature(theirs).parameters.values()
    except (TypeError, ValueError):  # written in C
        return []
    if any(p.kind is p.VAR_KEYWORD for p in mine.values()):
        return []
    return [
        p.name
        for p in wanted
        if p.name not in mine and p.name not in NOT_NAMED and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


@pytest.mark.parametrize("namespace", ["", *(n for n in NAMESPACES if n != "legacy")])
def test_arguments(namespace: str) -> None:
    """Every parameter of every function, class and method of Keras has its name here, too."""
    found: dict[str, list[str]] = {}
    ours, theirs = (_find(m, namespace) if namespace else m for m in (nyala, keras))
    for name in sorted(_names(theirs)):
        mine, wanted = getattr(ours, name), getattr(theirs, name)
        if inspect.ismodule(wanted) or not callable(wanted):
            continue
        found[f"{namespace}.{name}"] = _lacks(mine, wanted)
        for method in dir(wanted) if inspect.isclass(wanted) else ():
            if (method[0] != "_" or method == "__call__") and callable(getattr(mine, method, None)):
                found[f"{name}.{method}"] = _lacks(getattr(mine, method), getattr(wanted, method))
    assert {name: lacking for name, lacking in found.items() if lacking and name not in UNLIKE} == {}
