"""What callbacks are good for: the same training without any, with EarlyStopping, and with ReduceLROnPlateau as well.

    python examples/callback_effectiveness.py --backend jax

Scikit-learn's digits, a dense network, at most 100 epochs. A callback of our own takes the time of each epoch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import callbacks, layers


class EpochTimes(callbacks.Callback):
    """The seconds of each epoch, in ``seconds``."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def setups() -> dict[str, list[callbacks.Callback]]:
    stop = callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
    again = callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True)
    slower = callbacks.ReduceLROnPlateau("val_loss", factor=0.2, patience=5)
    return {"none": [], "EarlyStopping": [stop], "EarlyStopping + ReduceLROnPlateau": [again, slower]}


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Train three times, draw, and return the epochs, the best validation and the test accuracy of each."""
    args = common.options(__doc__, argv, epochs=(100, 15))
    (x, y), (x_test, y_test) = common.digits()
    figure, (losses, accuracies) = common.subplots(1, 2, figsize=(11, 4))
    results = {}
    for name, chosen in setups().items():
        model, times = network(), EpochTimes()
        history = model.fit(
            x, y, batch_size=32, epochs=args.epochs, validation_split=0.2, callbacks=[*chosen, times], verbose=0
        ).history
        result = {
            "epochs": len(history["loss"]),
            "best_val_accuracy": max(history["val_accuracy"]),
            "test_accuracy": model.evaluate(x_test, y_test, verbose=0)[1],
            "epochs_saved": 1 - len(history["loss"]) / args.epochs,
            "seconds": float(np.sum(times.seconds)),
        }
        results[name] = result
        print(
            f"{name}: {result['epochs']} epochs ({result['epochs_saved']:.0%} saved, {result['seconds']:.1f} s), best "
            f"validation accuracy {result['best_val_accuracy']:.4f}, test accuracy {result['test_accuracy']:.4f}"
        )
        losses.plot(history["val_loss"], label=name)
        accuracies.plot(history["val_accuracy"], label=name)
    losses.set(title="validation loss", xlabel="epoch")
    accuracies.set(title="validation accuracy", xlabel="epoch", ylim=(0.8, 1))
    losses.legend()
    common.save(figure, args.out / "callbacks.png")
    return results


if __name__ == "__main__":
    main()
