"""Callbacks that watch one result: ``EarlyStopping`` and ``ReduceLROnPlateau``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.base import check, naming
from nyala.training.callbacks.base import Callback, Logs
from nyala.training.callbacks.logging import plain

_MODES = ("auto", "min", "max")


class MonitorCallback(Callback):
    """A callback that compares one result of each epoch with the best so far.

    Args:
        monitor: the name of the result, e.g. ``"val_loss"``.
        mode: ``"min"`` or ``"max"`` is better; ``"auto"``: min for a loss, for a metric what its class says.
        min_delta: the least change that counts as better, >= 0.
        best: the value to beat at first.

    Raises: ValueError when ``"auto"`` cannot tell.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, best: float | None = None):
        self.monitor = monitor
        self.mode = mode
        if mode not in _MODES:
            warnings.warn(f"{type(self).__name__}: mode {mode!r} is unknown, 'auto' is used", stacklevel=3)
            self.mode = "auto"
        self.min_delta = abs(min_delta)
        self.best = best
        self._sign: int | None = None

    def get_monitor_value(self, logs: Logs) -> float | None:
        """The monitored value; a warning and ``None`` when there is none."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not among the results: "
                f"{', '.join(logs or {}) or 'there are none'}",
                stacklevel=3,
            )
            return None
        return plain(value)

    def improves(self, value: float, on: float | None) -> bool:
        """Whether ``value`` is better than ``on`` by more than ``min_delta``; anything is better than ``None``."""
        if on is None:
            return True
        sign = self._direction()
        return bool(sign * value > sign * on + self.min_delta)

    @property
    def monitor_op(self) -> Callable[[Any, Any], Any]:
        """``np.less`` or ``np.greater``: what makes a value the better one."""
        return np.less if self._direction() < 0 else np.greater

    def _direction(self) -> int:
        if self._sign is None:
            self._sign = {"min": -1, "max": 1}[self.mode if self.mode != "auto" else _better(self)]
        return self._sign


def _better(callback: MonitorCallback) -> str:
    name = callback.monitor.removeprefix("val_")
    if name == "loss" or name.endswith("_loss"):
        return "min"
    groups = getattr(callback.model, "metrics", ()) or ()
    for metric in [m for group in groups for m in (group, *group.metrics)]:
        # Keras calls the metrics of a named output "output_metric".
        if (name == metric.name or name.endswith("_" + metric.name)) and (found := _direction_of(metric)) is not None:
            return found
    return check.fail(
        type(callback).__name__,
        f"cannot tell whether {callback.monitor!r} should fall or rise; say mode='min' or mode='max'",
    )


_FALLING = ("Error", "Hinge", "Crossentropy", "KLDivergence", "Poisson")
_NEUTRAL = ("Metric", "Mean", "Sum", "MeanTensor", "MeanMetricWrapper")


def _direction_of(metric: Any) -> str | None:
    """``"max"`` for scores, ``"min"`` for errors; ``None`` for what says neither, such as a mean or a user's metric."""
    own = getattr(metric, "_direction", None)
    if own is not None:
        return {"up": "max", "down": "min"}[own]
    kind = type(metric)
    if not naming.is_ours(kind) or kind.__name__ in _NEUTRAL:
        return None
    return "min" if kind.__name__.endswith(_FALLING) else "max"


_MEMORY = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")


class EarlyStopping(MonitorCallback):
    """Stops training when a result no longer gets better.

    Args:
        monitor, min_delta, mode: see ``MonitorCallback``.
        patience: epochs without improvement after which to stop.
        verbose: 1 prints what is done.
        baseline: a value that counts as the best from the start: waiting ends only by beating it.
        restore_best_weights: give the model its best epoch's weights when training ends.
        start_from_epoch: epochs to leave out at the start.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if epoch < self.start_from_epoch or (value := self.get_monitor_value(logs)) is None:
            return
        self._direction()
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.improves(value, self.baseline):
                self.wait = 0
                return
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def get_state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _MEMORY}

    def set_state(self, state: dict[str, Any]) -> None:
        for name in _MEMORY:
            setattr(self, name, state[name])

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")  # noqa: T201
        if self.best_weights is not None:
            if self.verbose > 0:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")  # noqa: T201
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Lowers the learning rate when a result no longer gets better: ``lr = max(lr * factor, min_lr)``.

    Args:
        monitor, min_delta, mode: see ``MonitorCallback``.
        factor: in [0, 1).
        patience: epochs without improvement after which to lower it.
        verbose: 1 prints what is done.
        cooldown: epochs to wait after that before counting again.
        min_lr: the lowest learning rate.
        kwargs: ``epsilon``, the old name of ``min_delta``.

    Raises: ValueError for a factor of 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(monitor, mode, kwargs.pop("epsilon", min_delta))
        check.no_extra(self, kwargs)
        self.factor = check.number_in(self, "factor", factor, 0.0, 1.0, open_high=True)
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.cooldown_counter = self.wait = 0
        self.best = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        rate = learning_rate(self)
        if logs is not None:
            logs["learning_rate"] = rate
        if (value := self.get_monitor_value(logs)) is None:
            return
        self._direction()
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and rate > np.float32(self.min_lr):
                new = max(rate * self.factor, self.min_lr)
                self.model.optimizer.learning_rate = new
                if self.verbose > 0:
                    print(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")  # noqa: T201
                self.cooldown_counter, self.wait = self.cooldown, 0

    def get_state(self) -> dict[str, Any]:
        return {"cooldown_counter": self.cooldown_counter, "wait": self.wait, "best": self.best}

    def set_state(self, state: dict[str, Any]) -> None:
        self.cooldown_counter, self.wait, self.best = state["cooldown_counter"], state["wait"], state["best"]


def learning_rate(callback: Callback) -> float:
    """The learning rate of the callback's model. Raises ValueError for an optimizer without one."""
    optimizer = getattr(callback.model, "optimizer", None)
    rate: Any = getattr(optimizer, "learning_rate", None)
    if rate is None:
        check.fail(type(callback).__name__, "the model has no optimizer with a learning_rate; compile it with one")
    return float(np.asarray(rate))
