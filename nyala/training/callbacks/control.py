"""Small callbacks that steer training: a schedule by epoch, a stop at NaN, functions as hooks."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.base import check
from nyala.training.callbacks.base import HOOKS, Callback, Logs
from nyala.training.callbacks.monitor import learning_rate


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        on_epoch_begin, on_epoch_end: called with ``(epoch, logs)``.
        on_train_begin, on_train_end: called with ``(logs)``.
        on_train_batch_begin, on_train_batch_end: called with ``(batch, logs)``.
        kwargs: functions for other methods of ``Callback``.

    Raises: TypeError for a name that is no method of ``Callback``.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any],
    ):
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        check.no_extra(self, {k: v for k, v in kwargs.items() if k not in HOOKS}, HOOKS)
        self.__dict__.update({k: v for k, v in {**given, **kwargs}.items() if v is not None})


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Args:
        schedule: ``schedule(epoch, learning_rate)`` or ``schedule(epoch)``; epochs count from 0. Returns the new rate.
        verbose: 1 prints it.

    Raises: ValueError when the schedule returns no number.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0):
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        rate = learning_rate(self)
        value = self.schedule(epoch, rate) if _takes_two(self.schedule) else self.schedule(epoch)
        number = value if isinstance(value, numbers.Real) else np.asarray(value)
        if isinstance(number, bool) or (
            isinstance(number, np.ndarray) and (number.ndim or number.dtype.kind not in "fiu")
        ):
            check.fail(self, f"the schedule must return a float, got {value!r}")
        self.model.optimizer.learning_rate = float(number)
        if self.verbose > 0:
            rate = learning_rate(self)
            print(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")  # noqa: T201

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = learning_rate(self)


def _takes_two(schedule: Callable[..., Any]) -> bool:
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


class TerminateOnNaN(Callback):
    """Stops training at the first batch whose loss is NaN or infinite. It looks at every batch, which costs speed.

    Args:
        raise_error: raise RuntimeError, so that no callback runs its ``on_train_end``, instead of stopping.
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        if self.raise_error:
            check.fail(self, f"the loss is {float(loss)} at batch {batch}", RuntimeError)
        print(f"Batch {batch}: Invalid loss, terminating training")  # noqa: T201
        self.model.stop_training = True
