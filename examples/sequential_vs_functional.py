"""One network written as Sequential, as Functional and as a class gives the same numbers; then two that need Functional.

    python examples/sequential_vs_functional.py --backend torch

Two half-moons of scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common

import nyala as keras
from nyala import layers


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def functional() -> keras.Model:
    inputs = keras.Input((2,))
    x = layers.Dense(16, activation="relu")(inputs)
    x = layers.Dense(8, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [layers.Dense(16, activation="relu"), layers.Dense(8, activation="relu")]
        self.out = layers.Dense(1, activation="sigmoid")

    def call(self, x: Any) -> Any:
        for layer in self.hidden:
            x = layer(x)
        return self.out(x)


def branching() -> keras.Model:
    """Two ways through the network, joined."""
    inputs = keras.Input((2,))
    ways = [layers.Dense(32, activation="relu")(inputs), layers.Dense(24, activation="tanh")(inputs)]
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Concatenate()(ways)))


def residual() -> keras.Model:
    """Two blocks whose input is added to their output."""
    inputs = keras.Input((2,))
    x = layers.Dense(32, activation="relu")(inputs)
    for _ in range(2):
        y = layers.Dense(32, activation="relu")(x)
        x = layers.Add()([x, layers.Dense(32)(y)])
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


MODELS = {
    "sequential": sequential,
    "functional": functional,
    "subclassed": Subclassed,
    "branching": branching,
    "residual": residual,
}


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train all, draw their curves, and return their test accuracies."""
    from sklearn.datasets import make_moons

    args = common.options(__doc__, argv, epochs=(100, 10))
    moons: Any = make_moons(1000, noise=0.3, random_state=0)
    x, y = moons[0].astype("float32"), moons[1]
    figure, axes = common.subplots(figsize=(8, 4))
    accuracies = {}
    for name, build in MODELS.items():
        keras.utils.set_random_seed(1)
        model = build()
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(x[:800], y[:800], epochs=args.epochs, validation_split=0.2, verbose=0).history
        accuracies[name] = model.evaluate(x[800:], y[800:], verbose=0)[1]
        print(f"{name}: {model.count_params()} parameters, test accuracy {accuracies[name]:.4f}")
        axes.plot(history["val_loss"], label=name, alpha=0.7, linestyle="--" if name == "functional" else "-")
    axes.set(title="validation loss", xlabel="epoch")
    axes.legend()
    common.save(figure, args.out / "sequential_vs_functional.png")
    return accuracies


if __name__ == "__main__":
    main()
