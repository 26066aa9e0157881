"""Callbacks, driven by made-up results and compared with Keras's driven by the same."""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from nyala import callbacks as ours

theirs = keras.callbacks


class FakeModel:
    """What a callback asks of a model; its one weight is the number of the epoch."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = SimpleNamespace(learning_rate=0.1)
        self.metrics = [
            SimpleNamespace(name="accuracy", _direction="up", metrics=[]),
            SimpleNamespace(name="mae", _direction="down", metrics=[]),
        ]
        self.weight = -1
        self.saved: list[tuple[str, str]] = []

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(self.weight)]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weight = int(weights[0])

    def save(self, path: Any, overwrite: bool = True) -> None:
        Path(path).write_text(f"model {self.weight}")

    def save_weights(self, path: Any, overwrite: bool = True) -> None:
        Path(path).write_text(f"weights {self.weight}")


def drive(callback: Any, results: list[dict[str, Any]], batches: int = 0, epochs: int = 20) -> dict[str, Any]:
    """Run the hooks as ``fit`` does; everything that can be seen from outside."""
    model = FakeModel()
    printed = io.StringIO()
    rates, seen = [], []
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        callback.set_params({"epochs": epochs, "steps": batches, "verbose": 0})
        callback.set_model(model)
        callback.on_train_begin()
        for epoch, logs in enumerate(results):
            model.weight = epoch
            callback.on_epoch_begin(epoch)
            for batch in range(batches):
                callback.on_train_batch_begin(batch)
                callback.on_train_batch_end(batch, {"loss": float(batch)})
            logs = dict(logs)
            callback.on_epoch_end(epoch, logs)
            rates.append(round(float(model.optimizer.learning_rate), 9))
            seen.append({k: round(v, 9) if isinstance(v, float) else v for k, v in logs.items()})
            if model.stop_training:
                break
        callback.on_train_end()
    state = {
        k: getattr(callback, k) for k in ("wait", "best", "stopped_epoch", "cooldown_counter") if hasattr(callback, k)
    }
    return {
        "printed": printed.getvalue(), "warnings": bool(warned), "rates": rates, "logs": repr(seen),
        "weight": model.weight, "stopped": model.stop_training, "state": repr(state),
    }  # fmt: skip


def values(name: str, *numbers: float) -> list[dict[str, float]]:
    return [{name: v} for v in numbers]


FALLING = values("val_loss", 3.0, 2.0, 1.0, 0.9, 0.95, 0.98, 0.97, 0.99, 1.0, 1.1)
RUNS = {
    "stop": ("EarlyStopping", {"verbose": 1}, FALLING),
    "stop-patience": ("EarlyStopping", {"verbose": 1, "patience": 3}, FALLING),
    "stop-min-delta": ("EarlyStopping", {"verbose": 1, "patience": 2, "min_delta": 0.2}, FALLING),
    "stop-negative-delta": ("EarlyStopping", {"patience": 2, "min_delta": -0.2}, FALLING),
    "stop-restore": ("EarlyStopping", {"verbose": 1, "patience": 2, "restore_best_weights": True}, FALLING),
    "stop-restore-at-end": ("EarlyStopping", {"verbose": 1, "patience": 9, "restore_best_weights": True}, FALLING),
    "stop-baseline": ("EarlyStopping", {"patience": 2, "baseline": 0.5, "restore_best_weights": True}, FALLING),
    "stop-baseline-reached": ("EarlyStopping", {"patience": 2, "baseline": 2.5}, FALLING),
    "stop-start-from": ("EarlyStopping", {"verbose": 1, "start_from_epoch": 4}, FALLING),
    "stop-max": ("EarlyStopping", {"mode": "max", "patience": 1}, FALLING),
    "stop-nan": (
        "EarlyStopping",
        {"patience": 1, "restore_best_weights": True},
        values("val_loss", math.nan, 0.9, 0.8),
    ),
    "stop-missing": ("EarlyStopping", {}, values("loss", 1.0, 2.0)),
    "stop-unknown-mode": ("EarlyStopping", {"mode": "down"}, FALLING),
    "stop-first-epoch": ("EarlyStopping", {"baseline": 1.0}, values("val_loss", 2.0, 3.0)),
    "plateau": ("ReduceLROnPlateau", {"verbose": 1, "patience": 1}, FALLING),
    "plateau-cooldown": ("ReduceLROnPlateau", {"verbose": 1, "patience": 1, "cooldown": 2, "factor": 0.5}, FALLING),
    "plateau-min-lr": ("ReduceLROnPlateau", {"patience": 1, "min_lr": 0.005}, FALLING),
    "plateau-min-delta": ("ReduceLROnPlateau", {"patience": 2, "min_delta": 0.5}, FALLING),
    "plateau-max": ("ReduceLROnPlateau", {"patience": 2, "mode": "max"}, FALLING),
    "plateau-missing": ("ReduceLROnPlateau", {}, values("loss", 1.0)),
    "terminate": ("TerminateOnNaN", {}, values("loss", 1.0, math.nan)),
}


def both(name: str, kwargs: dict[str, Any], results: list[dict[str, Any]], **how: Any) -> list[Any]:
    return [drive(getattr(module, name)(**kwargs), results, **how) for module in (ours, theirs)]


@pytest.mark.filterwarnings("ignore:.*mode 'down' is unknown")
@pytest.mark.parametrize("run", RUNS)
def test_as_keras(run: str) -> None:
    mine, expected = both(*RUNS[run])
    assert mine == expected


@pytest.mark.parametrize(
    "schedule", [lambda epoch, lr: lr * 0.5, lambda epoch: 0.5 / (epoch + 1), lambda epoch, lr: np.float32(0.2)]
)
def test_learning_rate_scheduler(schedule: Any) -> None:
    mine, expected = both("LearningRateScheduler", {"schedule": schedule, "verbose": 1}, FALLING[:3])
    assert mine == expected


@pytest.mark.parametrize("bad", ["a", None, True, np.ones(2)])
def test_learning_rate_scheduler_wants_a_number(bad: Any) -> None:
    with pytest.raises(ValueError, match="must return a float"):
        drive(ours.LearningRateScheduler(lambda epoch: bad), FALLING)


def test_learning_rate_scheduler_keeps_the_schedules_own_error() -> None:
    with pytest.raises(TypeError, match="my own"):
        drive(ours.LearningRateScheduler(lambda epoch, lr: (_ for _ in ()).throw(TypeError("my own"))), FALLING)


CHECKPOINTS = {
    "every": ("{epoch:02d}-{val_loss:.2f}.keras", {"verbose": 1}, 0),
    "best": ("best.keras", {"save_best_only": True, "verbose": 1}, 0),
    "best-max": ("best.keras", {"save_best_only": True, "mode": "max"}, 0),
    "threshold": (
        "w.weights.h5",
        {"save_best_only": True, "save_weights_only": True, "initial_value_threshold": 0.95},
        0,
    ),
    "batches": ("{epoch}-{batch}.keras", {"save_freq": 2}, 3),
    "batches-over-epochs": ("{epoch}-{batch}-{loss}.keras", {"save_freq": 4, "verbose": 1}, 3),
    "batches-best": ("{epoch}-{batch}.keras", {"save_freq": 2, "save_best_only": True, "monitor": "loss"}, 3),
    "missing": ("best.keras", {"save_best_only": True, "monitor": "val_mae", "mode": "min"}, 0),
}


@pytest.mark.parametrize("run", CHECKPOINTS)
def test_model_checkpoint(run: str, tmp_path: Path) -> None:
    name, kwargs, batches = CHECKPOINTS[run]
    found = []
    for module in (ours, theirs):
        folder = tmp_path / module.__name__ / "sub"
        folder.mkdir(parents=True)
        seen = drive(module.ModelCheckpoint(folder / name, **kwargs), FALLING[:5], batches)
        files = {p.name: p.read_text() for p in folder.iterdir()}
        found.append((seen["printed"].replace(str(folder), ""), files))
    if run == "missing":  # Keras says that it saved where it saves without asking; the files count
        found = [files for _, files in found]
    assert found[0] == found[1]


def test_checkpoint_leaves_the_last_whole_file(tmp_path: Path) -> None:
    callback = ours.ModelCheckpoint(tmp_path / "new" / "m.keras")
    callback.set_model(model := FakeModel())
    callback.on_epoch_end(0, {})

    def broken(path: Any, overwrite: bool = True) -> None:
        Path(path).write_text("half")
        raise OSError("disk full")

    model.save = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk full"):
        callback.on_epoch_end(1, {})
    assert {p.name: p.read_text() for p in (tmp_path / "new").iterdir()} == {"m.keras": "model -1"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ours.ModelCheckpoint("m.npz"), "must end in .keras or .h5"),
        (lambda: ours.ModelCheckpoint("m.keras", save_weights_only=True), "must end in .h5"),
        (lambda: ours.ModelCheckpoint("m.keras", save_freq="batch"), "save_freq"),
        (lambda: ours.ModelCheckpoint("m.keras", save_freq=0), "save_freq"),
        (lambda: ours.ReduceLROnPlateau(factor=1.0), "factor"),
        (lambda: drive(ours.EarlyStopping("nosuch"), values("nosuch", 1.0)), "mode='min' or mode='max'"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_unknown_name_in_filepath(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="there is only epoch, loss"):
        drive(ours.ModelCheckpoint(tmp_path / "{val_loss}.keras"), values("loss", 1.0))


@pytest.mark.parametrize(
    ("monitor", "better"), [("loss", -1), ("val_out_loss", -1), ("val_accuracy", 1), ("out_mae", -1)]
)
def test_auto_mode_knows_the_metrics(monitor: str, better: int) -> None:
    callback = ours.EarlyStopping(monitor, patience=9)
    drive(callback, values(monitor, 1.0, 2.0, 3.0))
    assert callback.best == (3.0 if better > 0 else 1.0)


CSV = {
    "plain": ([{"loss": 1.0, "acc": 2.0}, {"loss": np.float32(0.5), "acc": 2.0}], {}),
    "late-validation": ([{"loss": 1.0}, {"loss": 0.5, "val_loss": 3.0}], {}),
    "validation": ([{"loss": 1.0, "val_loss": 2.0}, {"loss": 0.25, "acc": 1.0}], {"separator": ";"}),
    "lists": ([{"loss": [1.0, 2.0], "x": "a,b", "val_x": np.array([1.5, 2.0])}, {"loss": None}], {}),
}


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("run", CSV)
def test_csv_logger(run: str, append: bool, tmp_path: Path) -> None:
    results, kwargs = CSV[run]
    texts = []
    for module in (ours, theirs):
        path = tmp_path / f"{module.__name__}.csv"
        for _ in range(2):
            drive(module.CSVLogger(path, append=append, **kwargs), results)
        texts.append(path.read_text())
    assert texts[0] == texts[1]


def test_history() -> None:
    callback = ours.History()
    drive(callback, [{"a": np.float32(1.0)}, {"a": np.array([2.0]), "b": np.array([1.0, 2.0])}])
    assert callback.epoch == [0, 1] and callback.history["a"] == [1.0, 2.0]
    assert type(callback.history["a"][0]) is float and callback.history["b"][0].shape == (2,)
    assert callback.model.history is callback


def test_terminate_on_nan() -> None:
    seen = []
    for module in (ours, theirs):
        callback, model, printed = module.TerminateOnNaN(), FakeModel(), io.StringIO()
        callback.set_model(model)
        with contextlib.redirect_stdout(printed):
            callback.on_train_batch_end(0, {"loss": 1.0})
            assert not model.stop_training
            callback.on_train_batch_end(3, {"loss": np.float32("inf")})
        seen.append((model.stop_training, printed.getvalue()))
    assert seen[0] == seen[1]
    with pytest.raises(RuntimeError, match="nan at batch 4"):
        ours.TerminateOnNaN(raise_error=True).on_train_batch_end(4, {"loss": math.nan})


def test_lambda_callback() -> None:
    calls: list[Any] = []
    callback = ours.LambdaCallback(
        on_epoch_end=lambda epoch, logs: calls.append((epoch, logs)), on_test_begin=lambda logs: calls.append(logs)
    )
    group = ours.CallbackList([callback])
    group.on_epoch_end(3, {"loss": 1.0})
    group.on_test_begin()
    group.on_train_batch_end(0, {})
    assert calls == [(3, {"loss": 1.0}), {}]
    with pytest.raises(TypeError, match="on_epoch_ends"):
        ours.LambdaCallback(on_epoch_ends=print)


def test_list_knows_who_wants_batches() -> None:
    class Old(ours.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None: ...

    class Predicting(ours.Callback):
        def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None: ...

    quiet = ours.CallbackList(
        [ours.EarlyStopping(), ours.ModelCheckpoint("m.keras")], add_history=True, add_progbar=True
    )
    assert [type(c).__name__ for c in quiet.callbacks][2:] == ["History", "ProgbarLogger"]
    assert not (quiet.wants_train_batches or quiet.wants_test_batches or quiet.wants_predict_batches)
    for one in (Old(), ours.LambdaCallback(on_train_batch_begin=print), ours.ModelCheckpoint("m.keras", save_freq=3),
                ours.TerminateOnNaN(), theirs.History()):  # fmt: skip
        group = ours.CallbackList([ours.History(), [one]])
        assert group.wants_train_batches, one
    late = ours.CallbackList()
    late.append(Predicting())
    assert late.wants_predict_batches and not late.wants_train_batches


def test_list_takes_callbacks_only() -> None:
    with pytest.raises(TypeError, match=r"call it: History\(\)"):
        ours.CallbackList([ours.History])
    with pytest.raises(TypeError, match="expected Callback objects, got 1"):
        ours.CallbackList(1)


def test_list_passes_model_params_and_hooks_on() -> None:
    class Seen(ours.Callback):
        def __init__(self) -> None:
            self.calls: list[Any] = []

    def hook(name: str) -> Any:
        return lambda self, *args: self.calls.append((name, *args))

    hooks = [n for n in dir(ours.Callback) if n.startswith("on_")]
    for name in hooks:
        setattr(Seen, name, hook(name))
    one = Seen()
    group = ours.CallbackList(one, model="model", epochs=2, steps=3, verbose=0)
    assert one.model == "model" and one.params == {"epochs": 2, "steps": 3, "verbose": 0} == group.params
    expected = []
    for name in hooks:
        args = (4, {}) if "batch" in name or "epoch" in name else ({},)
        getattr(group, name)(*args[:-1])
        expected.append((name, *args))
    assert one.calls == expected


@pytest.mark.parametrize("name", sorted({*ours.__all__} - {"MLflowCallback", "WandbCallback"}))  # Keras has none
def test_signatures_are_keras(name: str) -> None:
    mine, expected = (inspect.signature(getattr(module, name)).parameters for module in (ours, theirs))
    assert [(p.name, p.default, p.kind) for p in mine.values() if p.kind is not p.KEYWORD_ONLY] == [
        (p.name, p.default, p.kind) for p in expected.values()
    ]


@pytest.mark.parametrize(
    ("name", "better"),
    [("AUC", "max"), ("SparseCategoricalAccuracy", "max"), ("MeanAbsoluteError", "min"), ("KLDivergence", "min"),
     ("SquaredHinge", "min"), ("BinaryCrossentropy", "min"), ("Mean", None)],
)  # fmt: skip
def test_direction_of_metrics(name: str, better: str | None) -> None:
    import nyala
    from nyala.training.callbacks.monitor import _direction_of

    assert _direction_of(getattr(nyala.metrics, name)()) == better
