"""Callbacks that save the model, or its weights, while it trains: when, and ``ModelCheckpoint``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nyala.base import check, files, old
from nyala.training.callbacks.base import Logs
from nyala.training.callbacks.logging import plain
from nyala.training.callbacks.monitor import MonitorCallback


class SavingCallback(MonitorCallback):
    """Saves at the end of epochs, or after a number of batches; a subclass says where, and how.

    Args:
        monitor, mode: see ``MonitorCallback``.
        verbose: 1 prints what is done.
        save_best_only: save only when the monitored result is the best so far.
        save_weights_only: save the weights instead of the model.
        save_freq: ``"epoch"`` or a number of batches.
        initial_value_threshold: the value to beat at first.
    """

    period: int = 1

    def __init__(
        self,
        monitor: str,
        verbose: int,
        save_best_only: bool,
        save_weights_only: bool,
        mode: str,
        save_freq: str | int,
        initial_value_threshold: float | None,
    ):
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        if save_freq != "epoch":
            check.positive_int(self, "save_freq ('epoch' or a number of batches)", save_freq)
        self.save_freq = save_freq
        self._epoch = self._batches = 0
        self._last_batch = -1
        if save_freq != "epoch":  # only a checkpoint that counts batches hooks into them
            self.__dict__["on_train_batch_end"] = self._on_batch_end

    def place(self, epoch: int, batch: int | None, logs: Any) -> Any:
        """Where to save, printed when it is said."""
        raise NotImplementedError

    def write(self, place: Any) -> None:
        raise NotImplementedError

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._epoch, self._last_batch = epoch, -1

    def _on_batch_end(self, batch: int, logs: Logs = None) -> None:
        # Steps may be fused, so a call can stand for several batches.
        self._batches += batch - self._last_batch
        self._last_batch = batch
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch" and (epoch + 1) % self.period == 0:
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs) -> None:
        logs = logs or {}
        place = self.place(epoch, batch, logs)
        label = f"\nEpoch {epoch + 1}:"
        text = f"{label} saving model to {place}"
        if self.save_best_only and (value := self.get_monitor_value(logs)) is not None:
            self._direction()
            if not self.improves(value, self.best):
                self._say(f"{label} {self.monitor} did not improve from {self.best:.5f}")
                return
            before = "None" if self.best is None else f"{self.best:.5f}"
            text = f"{label} {self.monitor} improved from {before} to {value:.5f}, saving model to {place}"
            self.best = value
        self._say(text)
        self.write(place)
        self._say(f"{label} finished saving model to {place}")

    def _say(self, text: str) -> None:
        if self.verbose > 0:
            print(text)  # noqa: T201

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self._batches, "last_batch": self._last_batch}

    def set_state(self, state: dict[str, Any]) -> None:
        self.best, self._batches, self._last_batch = state["best"], state["batches"], state["last_batch"]


class ModelCheckpoint(SavingCallback):
    """Saves the model at the end of epochs, or after a number of batches.

    A file takes its place when it is complete, so an interrupted run leaves the last whole one.

    Args:
        filepath: may hold ``{epoch}``, ``{batch}`` and the names of results: ``"{epoch:02d}-{val_loss:.2f}.keras"``.
            Ends in ``.keras``, ``.h5`` or ``.hdf5``; with ``save_weights_only`` in ``.weights.h5``, ``.h5``, ``.hdf5`` or
            ``.safetensors``.
        monitor, verbose, save_best_only, save_weights_only, mode, save_freq, initial_value_threshold: see ``SavingCallback``.
        keep: of the files with different names delete all but the last so many; ``None``: none.
        period: with ``save_freq="epoch"`` look at every so many epochs only.
    """

    @old.takes(options=None)
    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        *,
        keep: int | None = None,
        period: int = 1,
    ):
        super().__init__(monitor, verbose, save_best_only, save_weights_only, mode, save_freq, initial_value_threshold)
        self.filepath = files.of_today(os.fspath(filepath), ".weights.h5" if save_weights_only else ".keras")
        self.keep = None if keep is None else check.positive_int(self, "keep", keep)
        self.period = check.positive_int(self, "period", period)
        endings = (".h5", ".hdf5", ".safetensors") if save_weights_only else (".keras", ".h5", ".hdf5")
        if not self.filepath.endswith(endings):
            what = "the weights" if save_weights_only else "the model"
            check.fail(self, f"filepath must end in {' or '.join(endings)} to save {what}, got {self.filepath!r}")
        self._saved: list[str] = []

    def place(self, epoch: int, batch: int | None, logs: Any) -> Path:
        fields = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1})}
        try:
            return Path(self.filepath.format(**fields, **{k: plain(v) for k, v in logs.items()}))
        except KeyError as error:
            known = ", ".join([*fields, *logs])
            return check.fail(self, f"filepath {self.filepath!r} names {error}, but there is only {known}", KeyError)

    def write(self, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        with files.beside(place) as new:
            (self.model.save_weights if self.save_weights_only else self.model.save)(new, overwrite=True)
        self._saved = [*(p for p in self._saved if p != str(place)), str(place)]
        if self.keep is not None:
            for old_one in self._saved[: -self.keep]:
                Path(old_one).unlink(missing_ok=True)
            self._saved = self._saved[-self.keep :]

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "saved": self._saved}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._saved = list(state["saved"])
