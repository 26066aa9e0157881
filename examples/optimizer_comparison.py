"""Optimizers side by side on two half-moons and on iris: learning curves, test accuracies, boundaries between classes.

    python examples/optimizer_comparison.py --backend jax

The data are scikit-learn's; each optimizer starts from the same weights, with its default learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import layers

OPTIMIZERS = ("SGD", "Adam", "RMSprop", "Adagrad")


def moons() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_moons

    data: Any = make_moons(1000, noise=0.3, random_state=0)
    return data


def iris() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_iris

    data: Any = load_iris()
    return data.data, data.target


def network(features: int, classes: int, optimizer: str) -> keras.Model:
    """16 and 8 units, then one for two classes or one a class; the same first weights each time."""
    keras.utils.set_random_seed(1)
    two = classes == 2
    model = keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(8, activation="relu"),
            layers.Dense(1, activation="sigmoid") if two else layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(optimizer, f"{'binary' if two else 'sparse_categorical'}_crossentropy", metrics=["accuracy"])
    return model


def compare(x: np.ndarray, y: np.ndarray, epochs: int) -> dict[str, tuple[keras.Model, dict[str, list[float]], float]]:
    """For each optimizer its model, history and accuracy on the fifth of the data that was held out."""
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype("float32"), y[order]
    cut = int(0.8 * len(x))
    x = (x - x[:cut].mean(0)) / x[:cut].std(0)
    results = {}
    for name in OPTIMIZERS:
        model = network(x.shape[1], int(y.max()) + 1, name)
        history = model.fit(x[:cut], y[:cut], batch_size=32, epochs=epochs, validation_split=0.2, verbose=0)
        accuracy = model.evaluate(x[cut:], y[cut:], verbose=0)[1]
        results[name] = model, history.history, accuracy
    return results


def boundary(axes: Any, model: keras.Model, x: np.ndarray, y: np.ndarray) -> None:
    """What the model takes each point of the plane for, and the points of the data."""
    low, high = x.min(0) - 0.5, x.max(0) + 0.5
    grid = np.stack(np.meshgrid(*(np.linspace(a, b, 80) for a, b in zip(low, high))), -1).astype("float32")
    guesses = model.predict(grid.reshape(-1, 2), batch_size=1024, verbose=0)[:, 0].reshape(80, 80)
    axes.contourf(grid[..., 0], grid[..., 1], guesses, levels=20, cmap="RdBu", alpha=0.7)
    axes.scatter(*x.T, c=y, s=8, cmap="RdBu", edgecolors="k", linewidths=0.3)


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, float]]:
    """Train, draw, and return data set -> optimizer -> test accuracy."""
    args = common.options(__doc__, argv, epochs=(100, 15))
    accuracies = {}
    for title, (x, y) in (("make_moons", moons()), ("iris", iris())):
        results = compare(x, y, args.epochs)
        accuracies[title] = {name: accuracy for name, (_, _, accuracy) in results.items()}
        figure, (curves, losses, bars) = common.subplots(1, 3, figsize=(14, 4))
        for name, (_, history, accuracy) in results.items():
            curves.plot(history["val_accuracy"], label=name)
            losses.plot(history["val_loss"], label=name)
            bars.bar(name, accuracy)
            bars.text(name, accuracy, f"{accuracy:.3f}", ha="center", va="bottom")
            within = [i + 1 for i, value in enumerate(history["val_accuracy"]) if value >= 0.9]
            print(
                f"{title}, {name}: test accuracy {accuracy:.4f}, 90% first after {within[0] if within else '-'} epochs"
            )
        curves.set(title=f"{title}: validation accuracy", xlabel="epoch")
        losses.set(title="validation loss", xlabel="epoch")
        bars.set(title="test accuracy", ylim=(0, 1.1))
        curves.legend()
        common.save(figure, args.out / f"optimizers_{title}.png")
        if title == "make_moons":
            figure, axes = common.subplots(1, len(results), figsize=(14, 3.6))
            points = (x - x.mean(0)) / x.std(0)
            for ax, (name, (model, _, accuracy)) in zip(axes, results.items()):
                boundary(ax, model, points, y)
                ax.set(title=f"{name} ({accuracy:.3f})", xticks=[], yticks=[])
            common.save(figure, args.out / "optimizers_boundaries.png")
    return accuracies


if __name__ == "__main__":
    main()
