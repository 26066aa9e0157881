"""``BackupAndRestore``: a training that was interrupted goes on where it was."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, ClassVar

from nyala.base import check
from nyala.training import resume
from nyala.training.callbacks.base import Callback, Logs

_LAST, _BEFORE = "backup.npz", "previous.npz"


class BackupAndRestore(Callback):
    """Backs a training up while it runs; the same program, started again, goes on from the last backup.

    ``fit(..., resume="folder")`` is short for ``callbacks=[BackupAndRestore("folder")]``. Weights, optimizer, metrics, seeds,
    the order of the data, the memory of the other callbacks (``Callback.get_state``) and ``History`` are restored: the end is
    bit for bit that of a training that was never stopped. It is called after all other callbacks. A generator is read again
    up to its place, so it must start from its beginning. With it ``steps_per_execution="auto"`` is 1.

    Args:
        backup_dir: a folder of its own. A backup is complete or not written at all, whenever the process is killed.
        save_freq: ``"epoch"`` or a number of batches.
        double_checkpoint: keep the backup before the last one, too, for when the last cannot be read.
        delete_checkpoint: delete the backup when training has ended, and the folder if nothing else is in it.

    Raises: ValueError for a backup of another model or other data.
    """

    backs_up: ClassVar[bool] = True
    progress: resume.Progress

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        if not os.fspath(backup_dir):
            check.fail(self, "backup_dir must name a folder, got an empty string")
        if save_freq != "epoch":
            check.positive_int(self, "save_freq ('epoch' or a number of batches)", save_freq)
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._batches = self._last_batch = 0
        if save_freq != "epoch":  # only a backup that counts batches hooks into them
            self.__dict__["on_train_batch_end"] = self._on_batch_end

    def get_state(self) -> dict[str, Any]:
        return {"batches": self._batches, "last_batch": self._last_batch}

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches, self._last_batch = state["batches"], state["last_batch"]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._batches = 0
        state = self._read()
        if state is not None:
            self.progress.resume(state)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._last_batch = 0

    def _on_batch_end(self, batch: int, logs: Logs = None) -> None:
        # Steps may be fused, so a call can stand for several batches.
        self._batches += batch + 1 - self._last_batch
        self._last_batch = batch + 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._write()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.save_freq == "epoch":
            self._write()

    def on_train_end(self, logs: Logs = None) -> None:
        if self.delete_checkpoint:
            for name in (_LAST, _BEFORE):
                (self.backup_dir / name).unlink(missing_ok=True)
            if self.backup_dir.is_dir() and not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()

    def _write(self) -> None:
        last, before = self.backup_dir / _LAST, self.backup_dir / _BEFORE
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        state = self.progress.state()
        if self.double_checkpoint and last.exists():
            os.replace(last, before)  # killed here, the one before is what there is
        resume.write(last, state)

    def _read(self) -> dict[str, Any] | None:
        paths = [p for p in (self.backup_dir / _LAST, self.backup_dir / _BEFORE) if p.exists()]
        for i, path in enumerate(paths):
            try:
                return resume.read(path)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                if i + 1 == len(paths):
                    check.fail(self, f"{path} is damaged ({error}); delete it to train from the beginning", OSError)
                warnings.warn(
                    f"BackupAndRestore: {path} is damaged ({error}); going on from the one before", stacklevel=2
                )
        return None
