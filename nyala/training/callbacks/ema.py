"""``SwapEMAWeights``: evaluation with the moving averages of the weights."""

from __future__ import annotations

from typing import Any

from nyala.base import check
from nyala.training.callbacks.base import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the averages that an optimizer with ``use_ema=True`` keeps in place of the weights, while the model is evaluated.

    Args:
        swap_on_epoch: put them in place at the end of each epoch as well, until the next one begins, so that callbacks after
            this one, such as ``ModelCheckpoint``, find them.

    Raises: ValueError for an optimizer without averages.
    """

    def __init__(self, swap_on_epoch: bool = False):
        self.swap_on_epoch = swap_on_epoch

    def _swap(self, swapped: bool) -> None:
        self.model.optimizer.swap_averages(swapped)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        if not getattr(optimizer, "keeps_averages", False):
            check.fail(self, "needs an optimizer that keeps averages: compile the model with one that has use_ema=True")

    def get_state(self) -> dict[str, Any]:
        return {"swapped": self.model.optimizer.swapped}

    def set_state(self, state: dict[str, Any]) -> None:
        self.model.optimizer.swapped = state["swapped"]

    def on_train_begin(self, logs: Logs = None) -> None:
        self._swap(False)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap(True)

    def on_test_begin(self, logs: Logs = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._swap(False)
