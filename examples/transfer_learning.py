"""Teach a network that knows other pictures a few new classes: first a new head on frozen features, then all of it gently.

    python examples/transfer_learning.py --backend torch --data folder/with/one/folder/a/class

Uses MobileNetV2 0.35 at 128 pixels, with weights below $NYALA_DATA or downloaded, and by default the flowers below
$NYALA_DATA (needs Pillow: pip install "nyala[image]"). Without pictures, and with --quick, a small network that learned
scikit-learn's digits 0 to 4 learns 5 to 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common

import nyala as keras
from nyala import layers

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_128_no_top.h5"


def flowers(folder: Path) -> tuple[keras.Model, Any, Any, int]:
    """A network that knows ImageNet, pictures to train and to test with, and how many classes there are."""
    train, test = keras.utils.image_dataset_from_directory(
        folder, image_size=(128, 128), batch_size=16, validation_split=0.25, subset="both", seed=0
    )
    weights: Any = common.find(WEIGHTS, f"weights/{WEIGHTS}") or "imagenet"
    base = keras.applications.MobileNetV2((128, 128, 3), 0.35, include_top=False, weights=weights, pooling="avg")
    image = keras.Input((128, 128, 3))
    x = layers.RandomFlip("horizontal")(image)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    # training=False: batch normalization keeps ImageNet's means while the rest learns.
    return keras.Model(image, base(x, training=False)), (train,), (test,), len(train.class_names)


def digits() -> tuple[keras.Model, Any, Any, int]:
    """The same with a network that has learned the digits 0 to 4, for the digits 5 to 9."""
    (x_train, y_train), (x_test, y_test) = common.digits()
    base = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
        ]
    )
    model = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x_train[y_train < 5], y_train[y_train < 5], epochs=10, verbose=2)
    few = (x_train[y_train >= 5][:100], y_train[y_train >= 5][:100] - 5)
    return base, few, (x_test[y_test >= 5], y_test[y_test >= 5] - 5), 5


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train twice and return the accuracy on held-out pictures after each."""
    args = common.options(
        __doc__, argv, epochs=(15, 10), more=lambda p: p.add_argument("--data", type=Path, help="a folder of folders")
    )
    folder = None if args.quick else args.data or common.find("flowers", "images/flowers")
    base, train, test, classes = flowers(folder) if folder else digits()
    head = [layers.Dropout(0.2), layers.Dense(classes, activation="softmax")]
    model = keras.Sequential([base, *head])

    accuracies = {}
    for name, trainable, rate in (("frozen", False, 1e-2), ("fine-tuned", True, 1e-4)):
        base.trainable = trainable
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.summary()
        model.fit(*train, epochs=args.epochs, verbose=2)
        accuracies[name] = model.evaluate(*test, verbose=0)[1]
        print(f"{name}: accuracy {accuracies[name]:.3f}")
    return accuracies


if __name__ == "__main__":
    main()
