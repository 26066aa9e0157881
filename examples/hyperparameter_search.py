"""Search for the learning rate, width and dropout that classify handwritten digits best, by Optuna or KerasTuner.

    python examples/hyperparameter_search.py --trials 30
    python examples/hyperparameter_search.py --library keras-tuner --backend torch

Needs ``pip install "nyala[search,demo]"``. Trials that look bad after some epochs are given up.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import common

import nyala as keras
from nyala import layers

Data = tuple[common.Arrays, common.Arrays]
"""Images and labels to train on, and to choose by."""


def build(units: int, dropout: float, rate: float) -> keras.Model:
    """A network of one hidden layer."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(units, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Prune(keras.callbacks.Callback):
    """Tells Optuna how a trial goes, and ends it when that is worse than the others were by then."""

    def __init__(self, trial: Any):
        self.trial = trial

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        import optuna

        self.trial.report(float(logs["val_accuracy"]), epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def with_optuna(data: Data, trials: int, epochs: int) -> dict[str, Any]:
    """The best arguments of ``build`` that Optuna's sampler comes to."""
    import optuna

    (x, y), held_out = data

    def score(trial: Any) -> float:
        model = build(
            units=trial.suggest_int("units", 16, 256, log=True),
            dropout=trial.suggest_float("dropout", 0.0, 0.5),
            rate=trial.suggest_float("rate", 1e-4, 3e-2, log=True),
        )
        history = model.fit(x, y, 64, epochs, 0, [Prune(trial)], validation_data=held_out)
        return max(history.history["val_accuracy"])

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=2),
    )
    study.optimize(score, n_trials=trials)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    print(
        f"{len(study.trials)} trials, {pruned} of them given up early; best validation accuracy {study.best_value:.4f}"
    )
    return study.best_params


def with_keras_tuner(data: Data, trials: int, epochs: int) -> dict[str, Any]:
    """The same by KerasTuner, which imports ``keras`` and gets Nyala."""
    from nyala import compat

    compat.install()
    import keras_tuner  # pyright: ignore[reportMissingImports]

    (x, y), held_out = data

    def from_space(space: Any) -> keras.Model:
        return build(
            units=space.Int("units", 16, 256, sampling="log"),
            dropout=space.Float("dropout", 0.0, 0.5),
            rate=space.Float("rate", 1e-4, 3e-2, sampling="log"),
        )

    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.BayesianOptimization(
            from_space, objective="val_accuracy", max_trials=trials, seed=0, directory=folder, overwrite=True
        )
        stop = keras.callbacks.EarlyStopping("val_accuracy", patience=3)
        tuner.search(x, y, batch_size=64, epochs=epochs, validation_data=held_out, callbacks=[stop], verbose=0)
        return tuner.get_best_hyperparameters()[0].values


LIBRARIES: dict[str, Callable[[Data, int, int], dict[str, Any]]] = {
    "optuna": with_optuna,
    "keras-tuner": with_keras_tuner,
}


def main(argv: Sequence[str] | None = None) -> float:
    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--library", choices=LIBRARIES, default="optuna")
        parser.add_argument("--trials", type=int, help="default 20, with --quick 2")

    args = common.options(__doc__, argv, epochs=(20, 2), more=more)
    (x, y), (x_test, y_test) = common.digits()
    data = (x[:1100], y[:1100]), (x[1100:], y[1100:])
    best = LIBRARIES[args.library](data, args.trials or (2 if args.quick else 20), args.epochs)
    print("Best:", ", ".join(f"{name} {value:.4g}" for name, value in best.items()))

    # The chosen model learns from what it was chosen by, too, before it is tested.
    model = build(**best)
    model.fit(x, y, batch_size=64, epochs=args.epochs, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    print(f"Test accuracy: {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main()
