"""Callbacks that record or print what training gives: ``History``, ``ProgbarLogger``, ``CSVLogger``."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nyala.base import check, extras, files
from nyala.training.callbacks.base import Callback, Logs, ProgressCallback
from nyala.training.progress import Progbar, write

_INTERVAL = 0.1
"""Seconds between two redraws in ``fit``: each may wait for the device once."""


def plain(value: Any) -> Any:
    """A Python number for a tensor or array with one element; anything else as it is."""
    if isinstance(value, (int, float, str)) or value is None:
        return value
    array = np.asarray(value)
    return array.item() if array.size == 1 and array.dtype.kind in "biuf" else value


class History(Callback):
    """Records the results of every epoch; ``fit`` returns one.

    ``history`` maps names to lists with a value an epoch, ``epoch`` lists the epochs.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._epochs: dict[str, list[int]] = {}  # which of them each name has values of

    def on_train_begin(self, logs: Logs = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(plain(value))
            self._epochs.setdefault(name, []).append(epoch)
        self.model.history = self

    def plot(self, metrics: str | Sequence[str] | None = None, path: Any = None) -> Any:
        """Curves over the epochs, training and validation in one picture for each metric; the matplotlib figure.

        Args: metrics: the names to show, without "val_"; default all. path: a file to save the figure in.
        """
        names = dict.fromkeys(k.removeprefix("val_") for k in self.history)
        if metrics is not None:
            wanted = [metrics] if isinstance(metrics, str) else list(metrics)
            unknown = [m for m in wanted if m not in names]
            if unknown:
                check.fail(self, f"no metric {unknown[0]!r}.{check.nearest(unknown[0], names)}")
            names = dict.fromkeys(wanted)
        if not names:
            check.fail(self, "there is nothing to plot before an epoch has ended", RuntimeError)
        figure = extras.pyplot("History.plot").figure(figsize=(6.4 * len(names), 4.8), layout="tight")
        for i, name in enumerate(names, 1):
            axis = figure.add_subplot(1, len(names), i)
            for key, label in ((name, "Train"), (f"val_{name}", "Validation")):
                values = self.history.get(key)
                if values:
                    at = self._epochs.get(key, range(len(values)))
                    axis.plot([e + 1 for e in at], values, label=label, marker="." if len(values) == 1 else None)
            axis.set(title=f"Model {name}", xlabel="Epoch", ylabel=name)
            axis.legend()
        if isinstance(path, (str, os.PathLike)):
            with files.beside(Path(path)) as file:
                figure.savefig(file)
        elif path is not None:
            figure.savefig(path)
        return figure

    def get_state(self) -> dict[str, Any]:
        return {
            "history": {k: list(v) for k, v in self.history.items()},
            "epoch": list(self.epoch),
            "epochs": {k: list(v) for k, v in self._epochs.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.history, self.epoch, self._epochs = state["history"], state["epoch"], state.get("epochs", {})


class ProgbarLogger(ProgressCallback):
    """Prints the progress bar of ``fit``, ``evaluate`` and ``predict``."""

    def __init__(self) -> None:
        self.verbose = 1
        self.epochs = 1
        self.target: int | None = None
        self.progbar: Progbar | None = None
        self._waiting: Progbar | None = None
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.verbose = params.get("verbose", 1)
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def on_progress(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.progbar is not None and self.progbar.step(step):
            self.progbar.show(logs or {})

    def _open(self) -> None:
        self.progbar = Progbar(self.target, verbose=self.verbose, interval=_INTERVAL) if self.verbose else None

    def _close(self, logs: Logs) -> None:
        if self.progbar is not None:
            # An epoch of unknown length has told it; what was promised and not reached stays visible.
            self.progbar.target = self.target = self.target or self.progbar.seen
            self.progbar.finish(logs or {})
            self.progbar = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Logs = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        if self.verbose and self.epochs > 1:
            write(f"Epoch {epoch + 1}/{self.epochs}\n")
        self._open()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.on_progress(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._close(logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        # Validation within fit has no bar of its own; the epoch's bar waits, its speed is training's.
        if not self._in_fit:
            self._open()
        else:
            if self.progbar is not None:
                self.progbar.hold()
            self._waiting, self.progbar = self.progbar, None

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.on_progress(batch + 1, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if self._in_fit:
            self.progbar = self._waiting
        else:
            self._close(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._open()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.on_progress(batch + 1)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._close(None)


class CSVLogger(Callback):
    """Writes the results of each epoch as a line of a CSV file.

    The first epoch decides on the columns, in alphabetical order; without validation in it, ``val_`` columns are kept
    free for later epochs. A missing value is ``NA``.

    Args:
        filename: the file.
        separator: between the columns.
        append: continue an existing file instead of replacing it.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False):
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._kept: int | None = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.keys = None
        self._kept = self._there() if self.append else 0

    def _there(self) -> int:
        return os.path.getsize(self.filename) if os.path.exists(self.filename) else 0

    def get_state(self) -> dict[str, Any]:
        return {"keys": self.keys, "size": self._there() if self._kept is None else self._kept}

    def set_state(self, state: dict[str, Any]) -> None:
        self.keys, self._kept = state["keys"], min(state["size"], self._there())

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        with files.writing(Path(self.filename)):
            if self._kept is not None and self._there():  # not before the first line: a backup may have said what stays
                os.truncate(self.filename, self._kept)
            self._kept, before, logs = None, self._there(), logs or {}
            rows: list[list[Any]] = []
            if self.keys is None:
                self.keys = sorted(logs)
                if not any(k.startswith("val_") for k in self.keys):
                    self.keys += ["val_" + k for k in self.keys]
                rows = [["epoch", *self.keys]] if before == 0 else []
            rows.append([epoch, *(_cell(logs[k]) if k in logs else "NA" for k in self.keys)])
            try:
                with Path(self.filename).open("a", newline="") as file:
                    csv.writer(file, delimiter=self.sep, lineterminator="\n").writerows(rows)
            except OSError:
                if self._there() > before:  # half a line
                    os.truncate(self.filename, before)
                raise


def _cell(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, (list, tuple, np.ndarray)):
        return f'"[{", ".join(str(plain(v)) for v in value)}]"'
    return value
