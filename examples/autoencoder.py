"""Take noise away from handwritten digits: a convolutional autoencoder that sees noisy images and is shown clean ones.

    python examples/autoencoder.py --backend jax

Uses MNIST from Keras's cache, $NYALA_DATA or a download; with --quick scikit-learn's digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import common
import numpy as np

import nyala as keras
from nyala import layers


def autoencoder(size: int, width: int) -> keras.Model:
    """An encoder to (size / 4, size / 4, width) and a decoder back, as models of their own inside one model."""
    encoder = keras.Sequential(
        [
            keras.Input((size, size, 1)),
            layers.Conv2D(width, 3, strides=2, activation="relu", padding="same"),
            layers.Conv2D(width, 3, strides=2, activation="relu", padding="same"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [
            keras.Input(encoder.output_shape[1:]),
            layers.Conv2DTranspose(width, 3, strides=2, activation="relu", padding="same"),
            layers.Conv2DTranspose(width, 3, strides=2, activation="relu", padding="same"),
            layers.Conv2D(1, 3, activation="sigmoid", padding="same"),
        ],
        name="decoder",
    )
    image = keras.Input((size, size, 1), name="image")
    return keras.Model(image, decoder(encoder(image)), name="autoencoder")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, draw, and return the mean squared distance to the clean images before and after."""
    args = common.options(__doc__, argv, epochs=(5, 10))
    (x_train, _), (x_test, _) = common.digits() if args.quick else common.mnist()
    rng = np.random.default_rng(0)

    def noisy(x: np.ndarray) -> np.ndarray:
        return np.clip(x + rng.normal(0, 0.4, x.shape), 0, 1).astype("float32")

    noisy_train, noisy_test = noisy(x_train), noisy(x_test)
    model = autoencoder(x_train.shape[1], 16 if args.quick else 32)
    model.summary(expand_nested=True)
    model.compile(keras.optimizers.Adam(3e-3 if args.quick else 1e-3), loss="binary_crossentropy")
    model.fit(noisy_train, x_train, batch_size=64, epochs=args.epochs, validation_split=0.1, verbose=2)

    cleaned = model.predict(noisy_test, batch_size=256, verbose=0)
    errors = {name: float(((x - x_test) ** 2).mean()) for name, x in (("before", noisy_test), ("after", cleaned))}
    print(f"mean squared distance to the clean images: {errors['before']:.4f} before, {errors['after']:.4f} after")

    figure, rows = common.subplots(3, 10, figsize=(10, 3.2))
    for axes, images, name in zip(rows, (noisy_test, cleaned, x_test), ("noisy", "cleaned", "clean")):
        for ax, image in zip(axes, images):
            ax.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name)
    common.save(figure, args.out / "autoencoder.png")
    return errors


if __name__ == "__main__":
    main()
