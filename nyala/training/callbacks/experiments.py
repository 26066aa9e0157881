"""Callbacks that report a training to a tracker of experiments: MLflow, Weights & Biases."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nyala.base import check
from nyala.training.callbacks.base import Callback, Logs
from nyala.training.callbacks.logging import plain


class ExperimentCallback(Callback):
    """Reports parameters, the results of each epoch and, if wanted, the trained model.

    The run that is active is used; if there is none, one is started with training and ended with it.

    Args:
        log_freq: ``"epoch"``, or a number of batches after which their results are reported, too, as ``batch_loss``, ...
        log_model: keep the model in the run, as ``model.keras``, when training has ended.

    Raises: ImportError naming what to install.
    """

    library: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, log_freq: str | int = "epoch", log_model: bool = False):
        if log_freq != "epoch":
            check.positive_int(self, "log_freq ('epoch' or a number of batches)", log_freq)
            self.__dict__["on_train_batch_end"] = self._on_batch_end
        self.log_freq, self.log_model = log_freq, log_model
        self._batches = self._last_batch = 0
        try:
            self._tracker: Any = importlib.import_module(self.library)
        except ImportError as error:
            raise ImportError(f"{type(self).__name__} reports by {self.library}: pip install {self.package}") from error

    # -- what a tracker does -----------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Start a run; False if one was active."""
        raise NotImplementedError

    def report_parameters(self, values: Mapping[str, Any]) -> None:
        raise NotImplementedError

    def report(self, values: Mapping[str, float], step: int) -> None:
        raise NotImplementedError

    def keep(self, file: Path) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError

    # -- when --------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs = None) -> None:
        self._batches = 0
        self._started = self.start()
        optimizer = self.model.optimizer
        values = {
            "model": self.model.name,
            "parameters": self.model.count_params() if self.model.built else None,
            "optimizer": type(optimizer).__name__,
            "learning_rate": _number(getattr(optimizer, "learning_rate", None)),
            **{k: v for k, v in (self.params or {}).items() if k != "verbose"},
        }
        self.report_parameters({k: v for k, v in values.items() if v is not None})

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._last_batch = 0

    def _on_batch_end(self, batch: int, logs: Logs = None) -> None:
        # Steps may be fused, so a call can stand for several batches.
        before = self._batches
        self._batches += batch + 1 - self._last_batch
        self._last_batch = batch + 1
        if self._batches // int(self.log_freq) > before // int(self.log_freq):
            self.report({f"batch_{k}": v for k, v in _numbers(logs).items()}, self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.report({"epoch": epoch, **_numbers(logs)}, epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        if self.log_model:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "model.keras"
                self.model.save(file)
                self.keep(file)
        if self._started:
            self.end()


def _numbers(logs: Logs) -> dict[str, float]:
    found = {k: _number(v) for k, v in (logs or {}).items()}
    return {k: v for k, v in found.items() if v is not None}


def _number(x: Any) -> float | None:
    if x is None or callable(x):
        return None
    value = np.asarray(plain(x))
    return float(value) if value.ndim == 0 and value.dtype.kind in "fiub" else None


class MLflowCallback(ExperimentCallback):
    """Reports to MLflow, with the package mlflow or mlflow-skinny. See ``ExperimentCallback``.

    Args: run_name, experiment: of the run that is started if none is active.
    """

    library, package = "mlflow", "mlflow-skinny"

    def __init__(
        self,
        run_name: str | None = None,
        experiment: str | None = None,
        log_freq: str | int = "epoch",
        log_model: bool = False,
    ):
        super().__init__(log_freq, log_model)
        self.run_name, self.experiment = run_name, experiment

    def start(self) -> bool:
        if self._tracker.active_run() is not None:
            return False
        if self.experiment is not None:
            self._tracker.set_experiment(self.experiment)
        self._tracker.start_run(run_name=self.run_name)
        return True

    def report_parameters(self, values: Mapping[str, Any]) -> None:
        self._tracker.log_params(dict(values))

    def report(self, values: Mapping[str, float], step: int) -> None:
        self._tracker.log_metrics(dict(values), step=step)

    def keep(self, file: Path) -> None:
        self._tracker.log_artifact(str(file))

    def end(self) -> None:
        self._tracker.end_run()


class WandbCallback(ExperimentCallback):
    """Reports to Weights & Biases, with the package wandb. See ``ExperimentCallback``.

    Args: init: arguments of ``wandb.init`` for the run that is started if none is active: ``project``, ``mode``, ...
    """

    library = package = "wandb"

    def __init__(self, log_freq: str | int = "epoch", log_model: bool = False, **init: Any):
        super().__init__(log_freq, log_model)
        self.init = init

    def start(self) -> bool:
        active = self._tracker.run is not None
        self._run = self._tracker.run if active else self._tracker.init(**self.init)
        return not active

    def report_parameters(self, values: Mapping[str, Any]) -> None:
        self._run.config.update(dict(values), allow_val_change=True)

    def report(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values))  # its own steps count reports

    def keep(self, file: Path) -> None:
        artifact = self._tracker.Artifact(f"{self._run.id}-model", type="model")
        artifact.add_file(str(file))
        self._run.log_artifact(artifact)

    def end(self) -> None:
        self._run.finish()
