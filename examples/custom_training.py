"""The same training three times: by fit, by a train_step of one's own, and by a loop written by hand. All on any backend.

    python examples/custom_training.py --backend tensorflow

Uses MNIST from Keras's cache, $NYALA_DATA or a download; with --quick scikit-learn's digits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import layers, ops


class OwnStep(keras.Sequential):
    """A Sequential model with a training step of its own, which clips the gradients' common length to 1."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data

        def forward() -> tuple[Any, Any]:
            y_pred = self(x, training=True)
            return self.compute_loss(x, y, y_pred), y_pred

        variables = self.trainable_variables
        (loss, y_pred), gradients = keras.value_and_grad(forward, variables, has_aux=True)()
        length = ops.sqrt(sum(ops.sum(ops.square(g)) for g in gradients))
        self.optimizer.apply([ops.divide(g, ops.maximum(length, 1.0)) for g in gradients], variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return self.get_metrics_result()


def network(size: int, cls: type[keras.Sequential] = keras.Sequential) -> keras.Sequential:
    return cls(
        [
            keras.Input((size, size, 1)),
            layers.Flatten(),
            layers.Dense(64, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(seed=1)),
            layers.Dropout(0.1, seed=2),
            layers.Dense(10, kernel_initializer=keras.initializers.GlorotUniform(seed=3)),
        ]
    )


def by_hand(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train ``model`` without compile and fit."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam()
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @keras.function  # compiled: jax.jit on JAX, tf.function on TensorFlow; on PyTorch it runs as it is
    def step(x: Any, y: Any) -> Any:
        def forward() -> tuple[Any, Any]:
            logits = model(x, training=True)
            return loss_fn(y, logits), logits

        (loss, logits), gradients = keras.value_and_grad(forward, model, has_aux=True)()
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        return loss

    rng = np.random.default_rng(0)
    for epoch in range(epochs):
        accuracy.reset_state()
        order = rng.permutation(len(x))
        losses = [step(x[rows], y[rows]) for rows in np.split(order, range(64, len(order), 64))]
        mean = np.mean([float(loss) for loss in losses])
        print(f"by hand, epoch {epoch + 1}: loss {mean:.4f}, accuracy {float(accuracy.result()):.4f}")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train three times and return the test accuracies."""
    args = common.options(__doc__, argv, epochs=(3, 10))
    (x_train, y_train), (x_test, y_test) = common.digits() if args.quick else common.mnist()
    size = x_train.shape[1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def fitted(cls: type[keras.Sequential]) -> keras.Model:
        model = network(size, cls)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(x_train, y_train, batch_size=64, epochs=args.epochs, verbose=2)
        return model

    def written() -> keras.Model:
        model = network(size)
        by_hand(model, x_train, y_train, args.epochs)
        return model

    accuracies = {}
    for name, train in (
        ("fit", lambda: fitted(keras.Sequential)),
        ("train_step", lambda: fitted(OwnStep)),
        ("loop", written),
    ):
        started = time.perf_counter()
        model = train()
        guesses = model.predict(x_test, batch_size=256, verbose=0).argmax(-1)
        accuracies[name] = float((guesses == y_test).mean())
        print(f"{name}: test accuracy {accuracies[name]:.4f} after {time.perf_counter() - started:.1f} s")
    return accuracies


if __name__ == "__main__":
    main()
