"""``MLflowCallback`` and ``WandbCallback``: against the libraries where they are installed, else against what stands in for them."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.callbacks import MLflowCallback, WandbCallback

X = np.ones((8, 2), "float32")


def _fit(callback: Any) -> Any:
    model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)], name="m")
    model.compile("sgd", "mse", metrics=["mae"])
    return model.fit(
        X, X[:, :1], validation_data=(X, X[:, :1]), batch_size=2, epochs=2, callbacks=[callback], verbose=0
    ).history


class Tracker(types.ModuleType):
    """What both libraries offer, as far as it is used; keeps the calls."""

    def __init__(self) -> None:
        super().__init__("tracker")
        self.calls: list[tuple[Any, ...]] = []
        self.run: Any = None
        self.id = "r"
        self.config = types.SimpleNamespace(
            update=lambda values, allow_val_change: self.calls.append(("params", values))
        )

    def active_run(self) -> Any:
        return self.run

    def start_run(self, run_name: str | None) -> None:
        self.run = run_name

    def init(self, **given: Any) -> Any:
        self.calls.append(("init", given))
        self.run = self
        return self

    def log_params(self, values: Any) -> None:
        self.calls.append(("params", values))

    def log_metrics(self, values: Any, step: int) -> None:
        self.calls.append(("metrics", values, step))

    def log(self, values: Any) -> None:
        self.calls.append(("metrics", values, None))

    def Artifact(self, name: str, type: str) -> Any:
        return types.SimpleNamespace(add_file=lambda file: self.calls.append(("file", Path(file).name)))

    def log_artifact(self, file: Any) -> None:
        self.calls.append(("file", Path(file).name) if isinstance(file, str) else ("kept",))

    def end_run(self) -> None:
        self.run = None

    finish = end_run


@pytest.mark.parametrize("kind", (MLflowCallback, WandbCallback))
def test_what_is_reported(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker()
    monkeypatch.setitem(sys.modules, kind.library, tracker)
    history = _fit(
        kind(log_freq=3, log_model=True, **({"project": "p"} if kind is WandbCallback else {"run_name": "n"}))
    )
    (values,) = [c[1] for c in tracker.calls if c[0] == "params"]
    assert values["optimizer"] == "SGD" and values["parameters"] == 3 and values["epochs"] == 2
    assert values["learning_rate"] == pytest.approx(0.01)
    metrics = [c[1:] for c in tracker.calls if c[0] == "metrics"]
    epochs = [(v, s) for v, s in metrics if "epoch" in v]
    assert [v["epoch"] for v, _ in epochs] == [0, 1]
    for name, per_epoch in history.items():
        assert [v[name] for v, _ in epochs] == pytest.approx(per_epoch)
    assert [list(v) for v, _ in metrics if "epoch" not in v] == [
        ["batch_loss", "batch_mae"]
    ] * 2  # of 8 batches the 3rd, the 6th
    if kind is MLflowCallback:
        assert [s for _, s in epochs] == [0, 1] and [s for v, s in metrics if "epoch" not in v] == [3, 6]
    else:
        assert ("init", {"project": "p"}) in tracker.calls
    assert ("file", "model.keras") in tracker.calls and tracker.run is None

    tracker.run = mine = tracker  # a run that is active is used, and left open
    _fit(kind())
    assert tracker.run is mine


@pytest.mark.parametrize("kind", (MLflowCallback, WandbCallback))
def test_missing_library(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, kind.library, None)
    with pytest.raises(ImportError, match=f"pip install {kind.package}"):
        kind()


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(tmp_path.as_uri())
    history = _fit(MLflowCallback(run_name="r", experiment="e", log_freq=1, log_model=True))
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert (run.info.run_name, run.info.status) == ("r", "FINISHED") and run.data.params["optimizer"] == "SGD"
    assert [m.value for m in client.get_metric_history(run.info.run_id, "val_loss")] == pytest.approx(
        history["val_loss"]
    )
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["model.keras"]


def test_wandb(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    history = _fit(WandbCallback(mode="offline", dir=str(tmp_path), project="p", log_model=True))
    assert wandb.run is None and list(tmp_path.glob("wandb/offline-run-*/*.wandb")) and len(history["loss"]) == 2
