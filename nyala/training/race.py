"""Which backend runs a model fastest on this machine: its own steps are timed on each, and nothing of it stays changed."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from nyala import backends
from nyala.backends import host
from nyala.base import check, tree
from nyala.training import data as data_
from nyala.training import loop
from nyala.training.arrays import to_host
from nyala.training.steps import home, make_ready, step_function

_AIM = 0.3
"""Seconds that a backend's steps are timed for, after the first two, which compile."""


def step_seconds(model: Any, kind: str, batch: data_.Batch) -> dict[str, float | Exception]:
    """The seconds that a step on the batch takes on each backend that is installed, or the error that it ends in.

    Args:
        model: built, and for ``"train"`` and ``"test"`` compiled. It comes back on its backend, with every value as it was.
        kind: ``"train"``, ``"test"`` or ``"predict"``. batch: ``(x, y, sample_weight)`` of host arrays.
    """
    first = model.backend
    kept = [(variable, variable.numpy()) for variable in model._all_variables()]
    found: dict[str, float | Exception] = {}
    try:
        for name in filter(find_spec, sorted(backends.NAMES, key=lambda name: name != first)):
            try:
                model.to_backend(name)
                found[name] = _timed(model, kind, batch)
            except Exception as error:  # whatever it is: this model does not run there
                found[name] = error
    finally:  # an interruption, too, leaves the model as it was
        model.to_backend(first)
        for variable, value in kept:
            variable.assign(value)
        if kind != "predict":
            model.reset_metrics()
    return found


def _timed(model: Any, kind: str, batch: data_.Batch) -> float:
    with home(model) as backend:
        runner = loop.Runner(model, kind, data_.IteratorData([batch]))
        step = step_function(model, kind)

        def ready() -> data_.Batch:
            return tree.map(lambda a: None if a is None else runner._on_device(a), runner.host(batch))

        given, texts = ready(), any(map(host.is_texts, tree.flatten(batch)))

        def seconds(steps: int) -> float:
            begun = time.perf_counter()
            for _ in range(steps):
                step(ready() if texts else given)  # reading texts is a part of the step
            backend.synchronize()
            return time.perf_counter() - begun

        seconds(2)
        steps = max(1, min(100, int(_AIM / seconds(1))))
        return seconds(steps) / steps


def fastest(model: Any, data: data_.Data) -> str:
    """The backend whose training step on the first batch takes the least time. Raises what the model's own one raises."""
    first = model.backend
    with home(model):
        if model._placement() is not None:
            check.fail(model, "backend='auto' is for models on one device; name the backend")
        make_ready(model, data, "train")
        batch = tree.map(lambda a: None if a is None else to_host(a), data.peek())
    found = step_seconds(model, "train", batch)
    own = found[first]
    if isinstance(own, Exception):
        raise own
    return min((seconds, name) for name, seconds in found.items() if not isinstance(seconds, Exception))[1]
