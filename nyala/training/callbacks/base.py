"""``Callback``: hooks around training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, ClassVar, TypeAlias

Logs: TypeAlias = "MutableMapping[str, Any] | None"
"""Names to values. The loop's own fetches a value from the device when it is read, so read what you need only."""

PHASES = ("train", "test", "predict")
HOOKS = (
    *(f"on_{phase}_{edge}" for phase in PHASES for edge in ("begin", "end")),
    *(f"on_{phase}_batch_{edge}" for phase in PHASES for edge in ("begin", "end")),
    "on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end",
)  # fmt: skip


class Callback:
    """Hooks that ``fit``, ``evaluate`` and ``predict`` call; override those of interest.

    ``self.params`` holds ``epochs``, ``steps`` and ``verbose``, ``self.model`` the model. Overriding a batch hook makes
    the loop stop at each batch for it; hooks of epochs cost nothing in between.
    """

    backs_up: ClassVar[bool] = False
    """Whether it backs the training up: called after all others, handed the ``progress``."""
    params: dict[str, Any] | None = None
    _model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def get_state(self) -> dict[str, Any]:
        """What the callback remembers from batch to batch and from epoch to epoch, for ``BackupAndRestore``.

        A dict, keys strings, of numbers, strings, ``None``, arrays, lists and dicts. Empty: it has no memory.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember what ``get_state`` gave; called after ``on_train_begin`` and, within an epoch, ``on_epoch_begin``."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs = None) -> None:
        """After the last epoch; ``logs`` are its results."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """After an epoch and its validation; ``logs`` are its results, validation's with the prefix ``val_``."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The old name of ``on_train_batch_begin``."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The old name of ``on_train_batch_end``."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a training batch, counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a training batch; ``logs`` are the results of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Before an evaluation, also one within ``fit``."""

    def on_test_end(self, logs: Logs = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of an evaluation; ``logs`` are the results so far."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Before ``predict``."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """After ``predict``."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before a batch of ``predict``."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After a batch of ``predict``; ``logs["outputs"]`` are its predictions."""


class ProgressCallback(Callback):
    """A callback that is told how far the loop is without being asked for single batches."""

    def on_progress(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """``step`` batches of the running phase are done. Must return at once, most times without reading ``logs``."""
        raise NotImplementedError


def overrides(callback: Callback, hook: str) -> bool:
    """Whether the class of ``callback``, or the object itself, has its own ``hook``."""
    method = getattr(callback, hook)
    return getattr(method, "__func__", method) is not getattr(Callback, hook)
