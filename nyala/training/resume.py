"""Exact resume: everything that a ``fit`` depends on, as a nest of plain values and arrays, and as a file.

A training that goes on from such a nest ends with the same bits as one that was never stopped. It needs the program to be the
same: model, ``compile``, data and arguments of ``fit``. A one-shot generator must start anew; it is read again up to its place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nyala.backends import dtypes
from nyala.backends.base import TensorSpec
from nyala.base import check, files, seeds, tracking, tree
from nyala.base.variable import Variable
from nyala.training import data as data_
from nyala.training.arrays import to_host

_FORMAT = 1


class Progress:
    """How far a ``fit`` is.

    ``epoch`` and ``batch`` say where the next step stands: ``batch`` steps of ``epoch`` are done.
    """

    def __init__(self, model: Any, data: data_.Data, callbacks: Any, epoch: int):
        self.model = model
        self.data = data
        self.callbacks = callbacks
        self.epoch = epoch
        self.batch = 0
        self.logs: dict[str, Any] = {}
        """Of the last epoch that ended."""
        self.step_logs: dict[str, Any] | None = None
        """What a ``train_step`` of the user's own gave last."""
        self.stopped = False
        self._validation: Any = None
        self._validation_position: Any = None
        self._resumed: dict[str, Any] | None = None

    @property
    def validation(self) -> Any:
        return self._validation

    @validation.setter
    def validation(self, data: data_.Data) -> None:
        self._validation = data
        if self._validation_position is not None:
            data.move_to(self._validation_position)

    def ended(self, epoch: int, logs: dict[str, Any]) -> None:
        """``epoch`` is over, with ``logs``, to which callbacks may add."""
        self.epoch, self.batch, self.logs, self.step_logs = epoch + 1, 0, logs, None

    # -- out ---------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """A nest to go on from, now: between two batches or two epochs."""
        data = self._validation
        return {
            "format": _FORMAT,
            "epoch": self.epoch,
            "batch": self.batch,
            "logs": self.logs,
            "step_logs": self.step_logs,
            "stopped": bool(self.model.stop_training),
            "variables": [{"path": v.path, "value": v.numpy()} for v in self._variables()],
            "callbacks": {name: c.get_state() for name, c in self._named_callbacks().items()},
            "random": seeds.random_state(),
            "data": self.data.state(self.batch),
            "validation": self._validation_position if data is None else data.position(),
        }

    def _variables(self) -> list[Variable]:
        return tracking.unique([*self.model._all_variables(), seeds.global_generator(self.model._find_backend()).state])

    def _named_callbacks(self) -> dict[str, Any]:
        """Those that have a memory, by class and number."""
        found: dict[str, Any] = {}
        for c in self.callbacks.callbacks:
            if hasattr(c, "get_state"):
                name, n = type(c).__name__, 0
                while f"{name}_{n}" in found:
                    n += 1
                found[f"{name}_{n}"] = c
        return found

    # -- in ----------------------------------------------------------------------------------------------------------

    def resume(self, state: dict[str, Any]) -> None:
        """Be where ``state`` was taken. Raises ValueError when the program is not the one that it was taken from."""
        if state.get("format") != _FORMAT:
            check.fail("resume", f"the backup has format {state.get('format')!r}, expected {_FORMAT}; delete it")
        self._resumed = state
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.logs, self.step_logs, self.stopped = state["logs"], state["step_logs"], state["stopped"]
        self._validation_position = state["validation"]
        self.data.move_to(state["data"]["position"])
        self._set()

    def again(self) -> None:
        """Undo what the hooks of an epoch's beginning did, if that epoch goes on in its middle."""
        if self._resumed is not None and self.batch:
            self._set()

    def _set(self) -> None:
        assert self._resumed is not None
        self._set_variables(self._resumed["variables"])
        states, callbacks = self._resumed["callbacks"], self._named_callbacks()
        if missing := sorted({k for k, v in states.items() if v} - callbacks.keys()):
            check.fail(
                "resume", f"the backup holds the memory of callbacks that this fit has not: {', '.join(missing)}"
            )
        for name, value in states.items():
            if name in callbacks:
                callbacks[name].set_state(value)
        seeds.set_random_state(self._resumed["random"])

    def _set_variables(self, saved: list[dict[str, Any]]) -> None:
        if len(self._variables()) < len(saved):
            self._make_variables()
        own = self._variables()
        wrong = [
            f"`{v.path}` {v.shape}, in the backup `{s['path']}` {s['value'].shape}"
            for v, s in zip(own, saved)
            if v.shape != s["value"].shape or v.dtype != s["value"].dtype.name
        ]
        if len(own) != len(saved):
            wrong.insert(0, f"{len(own)} variables, in the backup {len(saved)}")
        if wrong:
            check.fail("resume", "the backup is of another model, or one compiled otherwise: " + "; ".join(wrong[:5]))
        for variable, s in zip(own, saved):
            variable.assign(s["value"])

    def _make_variables(self) -> None:
        """Losses and metrics make their state in the first step: one is traced, and not run."""
        from nyala.training import loop
        from nyala.training.steps import step_of

        backend = self.model._find_backend()
        batch = loop.Runner(self.model, "train", data_.IteratorData([])).host(_first_batch(self.data))

        def spec(a: Any) -> Any:
            return None if a is None else TensorSpec(tuple(a.shape), dtypes.standardize(a.dtype))

        backend.abstract(lambda *parts: step_of(self.model, "train")(parts), tree.map(spec, batch))

    def work(self, work: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        """The steps of an epoch that are left. What is done is drawn again, as it was drawn, and not computed."""
        if self._resumed is None or not self.batch:
            return work
        now, done = seeds.random_state(), 0
        seeds.set_random_state(self._resumed["data"]["random"])
        for count, _ in work:
            done += count
            if done >= self.batch:
                break
        seeds.set_random_state(now)
        if done != self.batch:
            check.fail(
                "resume",
                f"the backup was taken after {self.batch} batches of an epoch, which this data, batch_size and "
                f"steps_per_execution do not come to ({done})",
            )
        self._resumed = None
        return work


def _first_batch(data: Any) -> Any:
    if not isinstance(data, data_.ArrayData):
        return data.peek()
    return tree.map(lambda a: None if a is None else a[: data.batch_size], data.arrays)


# -- files ---------------------------------------------------------------------------------------------------------------


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write the nest as one file, complete or not at all. Raises TypeError for what is no plain value or array."""
    arrays: list[np.ndarray] = []
    text = json.dumps(_packed(state, arrays, "state"))
    with files.beside(path) as new, new.open("wb") as file:
        values: dict[str, Any] = {f"a{i}": a for i, a in enumerate(arrays)}
        np.savez(file, json=np.frombuffer(text.encode(), "uint8"), **values)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, Any]:
    """What ``write`` wrote. Raises OSError, ValueError or zipfile.BadZipFile for a damaged file."""
    with np.load(path, allow_pickle=False) as file:
        return _unpacked(json.loads(file["json"].tobytes()), file)


def _packed(x: Any, arrays: list[np.ndarray], where: str) -> Any:
    if x is None or isinstance(x, (bool, int, float, str)):
        return x
    if isinstance(x, Mapping):
        if wrong := next((k for k in x if not isinstance(k, str)), None):
            check.fail(where, f"keys must be strings, got {wrong!r}", TypeError)
        return {"dict": {k: _packed(v, arrays, f"{where}.{k}") for k, v in x.items()}}
    if isinstance(x, (list, tuple)):
        return [_packed(v, arrays, f"{where}[{i}]") for i, v in enumerate(x)]
    value = x.numpy() if isinstance(x, Variable) else to_host(x)
    if value.dtype == object:
        check.fail(
            where,
            f"expected numbers, strings, None, arrays, lists and dicts of them, got {type(x).__name__}",
            TypeError,
        )
    arrays.append(value)
    return {"array": len(arrays) - 1, "dtype": value.dtype.name if value.dtype.kind == "V" else None}


def _unpacked(x: Any, file: Any) -> Any:
    if isinstance(x, list):
        return [_unpacked(v, file) for v in x]
    if not isinstance(x, dict):
        return x
    if "dict" in x:
        return {k: _unpacked(v, file) for k, v in x["dict"].items()}
    array = file[f"a{x['array']}"]
    return array if x["dtype"] is None else array.view(dtypes.numpy_dtype(x["dtype"]))


__all__ = ["Progress", "read", "write"]
