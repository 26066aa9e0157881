"""``OrbaxCheckpoint``: checkpoints by Orbax, written while training goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nyala.base import check, configurable
from nyala.training import state_tree
from nyala.training.callbacks.base import Logs
from nyala.training.callbacks.checkpoint import SavingCallback

CONFIG, STATE = "model_config", "pytree"
"""The items of a checkpoint, as Keras names them."""


def library() -> Any:
    """Orbax. Raises ImportError naming what to install."""
    try:
        import orbax.checkpoint  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("Orbax's checkpoints need orbax-checkpoint: pip install 'nyala[orbax]'") from error
    return orbax.checkpoint


class OrbaxCheckpoint(SavingCallback):
    """Keeps the last checkpoints of a training in a folder: weights, optimizer and metrics, and how the model is made.

    ``load_model(directory)`` and ``model.load_weights(directory)`` read the last one, those of Keras's callback, too. A
    checkpoint is a folder named by the epoch, or by the optimizer's iterations; it is complete or not there at all.

    Args:
        directory: of the checkpoints; other files in it are left alone.
        monitor, verbose, save_best_only, mode, save_freq, initial_value_threshold: see ``SavingCallback``.
        max_to_keep: delete all but the last so many; ``None``: none.
        save_on_background: go on training while a checkpoint is written.
        save_weights_only: without the model's config, optimizer and metrics.

    Raises: ImportError without Orbax. NotImplementedError when several processes train together.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ):
        super().__init__(monitor, verbose, save_best_only, save_weights_only, mode, save_freq, initial_value_threshold)
        self._library = library()
        self.directory = os.fspath(directory)
        self.max_to_keep = None if max_to_keep is None else check.positive_int(self, "max_to_keep", max_to_keep)
        self.save_on_background = save_on_background
        self._manager: Any = None

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        if model._find_backend().process_count() > 1:
            check.fail(self, "does not save what several processes train; use ModelCheckpoint", NotImplementedError)

    def is_multihost_enabled(self) -> bool:
        return False

    def is_primary_host(self) -> bool:
        return True

    @property
    def checkpointer(self) -> Any:
        """Orbax's ``CheckpointManager`` of the folder."""
        if self._manager is None:
            options = self._library.CheckpointManagerOptions(
                max_to_keep=self.max_to_keep, enable_async_checkpointing=self.save_on_background
            )
            self._manager = self._library.CheckpointManager(Path(self.directory).absolute(), options=options)
        return self._manager

    def place(self, epoch: int, batch: int | None, logs: Any) -> Path:
        step = epoch if batch is None else int(self.model.optimizer.iterations.numpy())
        return Path(self.directory) / str(step)

    def write(self, place: Path) -> None:
        args = self._library.args
        state = state_tree.get(self.model, "numpy_array")  # copies, for training goes on
        if self.save_weights_only:
            items = {STATE: {k: state[k] for k in ("trainable_variables", "non_trainable_variables")}}
        else:
            items = {STATE: state, CONFIG: {"config": json.dumps(configurable.serialize_object(self.model))}}
        saved = {name: args.PyTreeSave(item) for name, item in items.items()}
        self.checkpointer.save(int(place.name), args=args.Composite(**saved), force=True)

    def wait_until_finished(self) -> None:
        """Return when all checkpoints are written."""
        if self._manager is not None:
            self._manager.wait_until_finished()

    def on_train_end(self, logs: Logs = None) -> None:
        if self._manager is not None:
            self._manager.close()  # waits, too
            self._manager = None
