"""Train a convolutional network on handwritten digits, print its test accuracy and draw what it learned.

    python examples/mnist_cnn.py --backend torch --epochs 3

Uses MNIST from Keras's cache, $NYALA_DATA or a download; without any of them the 1,797 digits of scikit-learn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import layers


def simple(size: int) -> keras.Model:
    """Three convolutions, two dense layers: 93,322 parameters on MNIST's 28x28 images."""
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(32, 3, activation="relu", padding="same" if size < 28 else "valid"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", padding="same" if size < 28 else "valid"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", padding="same" if size < 28 else "valid"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="simple",
    )


def improved(size: int) -> keras.Model:
    """Four convolutions with batch normalization and dropout."""
    padding = "same" if size < 28 else "valid"
    return keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(32, 3, activation="relu", padding=padding),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, activation="relu", padding=padding),
            layers.BatchNormalization(),
            layers.Conv2D(64, 3, activation="relu", padding=padding),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="improved",
    )


def functional(size: int) -> keras.Model:
    """Two convolutional blocks with a skip around each; a second output after the first block helps it to learn."""
    image = keras.Input((size, size, 1), name="image")
    x = layers.Conv2D(32, 3, activation="relu", padding="same")(image)
    y = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(2)(layers.Add()([x, y]))
    early = layers.Dense(10, activation="softmax", name="early")(layers.GlobalAveragePooling2D()(x))
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    y = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(2)(layers.Add()([x, y]))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    return keras.Model(image, {"digit": layers.Dense(10, activation="softmax", name="digit")(x), "early": early})


def load() -> tuple[str, common.Arrays, common.Arrays]:
    """A name, then images and labels to train on and to test with; pixels from 0 to 1."""
    try:
        return "MNIST", *common.mnist()
    except OSError as error:
        print(f"{error}\nScikit-learn's digits are used instead.")
        return "scikit-learn's digits", *common.digits()


def draw(
    history: dict[str, list[float]], images: np.ndarray, labels: np.ndarray, guesses: np.ndarray, path: Path
) -> None:
    """A picture of the curves, of which digits are taken for which, and of some digits with what they are taken for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(3, 2))
    curves, digits = parts
    *pair, matrix = curves.subplots(1, 3)
    for axes, metric in zip(pair, ("loss", "accuracy")):
        epochs = range(1, len(history[metric]) + 1)
        axes.plot(epochs, history[metric], "o-", label="training")
        axes.plot(epochs, history[f"val_{metric}"], "o-", label="validation")
        axes.set(title=metric, xlabel="epoch", xticks=list(epochs)[:: max(1, len(epochs) // 10)])
        axes.grid(alpha=0.3)
        axes.legend()
    keras.utils.plot_confusion_matrix(labels, guesses, ax=matrix)
    # The first ten images, and ten mistakes, for they teach more.
    order = [*range(10), *np.argsort(guesses.argmax(-1) == labels, kind="stable")[:10]]
    for axes, i in zip(digits.subplots(2, 10).flat, order):
        guess = guesses[i].argmax()
        axes.imshow(images[i, ..., 0], cmap="gray_r")
        axes.set_title(f"{guess} ({guesses[i, guess]:.0%})", color="green" if guess == labels[i] else "red", fontsize=9)
        axes.axis("off")
    digits.suptitle("predictions: the first ten test images, and mistakes (red)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main(argv: Sequence[str] | None = None) -> float:
    """Train, draw, and return the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", help="jax, torch or tensorflow; default $NYALA_BACKEND, else jax")
    parser.add_argument("--quick", action="store_true", help="seconds: scikit-learn's digits")
    parser.add_argument("--model", choices=("simple", "improved", "functional"), default="simple")
    parser.add_argument("--epochs", type=int, help="default 5, 30 on the small digits, with --quick 5")
    parser.add_argument("--samples", type=int, help="train on this many images only")
    parser.add_argument("--out", type=Path, help="the picture; default demo-BACKEND.png")
    args = parser.parse_args(argv)

    if args.backend:
        keras.config.set_backend(args.backend)
    keras.utils.set_random_seed(0)
    name, (x_train, y_train), (x_test, y_test) = ("scikit-learn's digits", *common.digits()) if args.quick else load()
    x_train, y_train = x_train[: args.samples], y_train[: args.samples]
    epochs = args.epochs or (5 if args.quick or len(x_train) > 10_000 else 30)

    model = {"simple": simple, "improved": improved, "functional": functional}[args.model](x_train.shape[1])
    print(f"{name}: {len(x_train)} images to train on, {len(x_test)} to test with; backend {keras.config.backend()}")
    model.summary()
    loss = "sparse_categorical_crossentropy"
    if args.model == "functional":
        weights = {"digit": 1.0, "early": 0.3}
        model.compile("adam", dict.fromkeys(weights, loss), loss_weights=weights, metrics={"digit": ["accuracy"]})
        y_train, y_test = dict.fromkeys(weights, y_train), dict.fromkeys(weights, y_test)
    else:
        model.compile("adam", loss, metrics=["accuracy"])
    callbacks = [keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.3, min_lr=1e-5)]
    started = time.perf_counter()
    history = model.fit(x_train, y_train, batch_size=64, epochs=epochs, validation_split=0.1, callbacks=callbacks)
    print(f"Training took {time.perf_counter() - started:.1f} s")

    guesses: Any = model.predict(x_test, batch_size=256, verbose=0)
    labels: Any = y_test
    curves = history.history
    if args.model == "functional":
        guesses, labels = guesses["digit"], labels["digit"]
        curves = {**curves, **{f"{of}accuracy": curves[f"{of}digit_accuracy"] for of in ("", "val_")}}
    accuracy = float((guesses.argmax(-1) == labels).mean())
    print(f"Test accuracy: {accuracy:.4f}")
    out = args.out or Path(f"demo-{keras.config.backend()}.png")
    draw(curves, x_test, labels, guesses, out)
    print(f"Curves, confusions and predictions: {out}")
    return accuracy


if __name__ == "__main__":
    main()
