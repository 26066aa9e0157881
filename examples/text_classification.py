"""Tell good film reviews from bad ones with an LSTM or with a Transformer, the first layers made by hand.

    python examples/text_classification.py --model transformer --backend torch

Uses IMDB from Keras's cache, $NYALA_DATA or a download; with --quick small sentences that are made up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import layers, ops


class PositionalEmbedding(layers.Layer):
    """Words and their places as vectors: (batch, words) -> (batch, words, width)."""

    def __init__(self, words: int, length: int, width: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.words, self.length, self.width = words, length, width
        self.word = layers.Embedding(words, width)
        self.place = layers.Embedding(length, width)

    def call(self, x: Any) -> Any:
        return self.word(x) + self.place(ops.arange(x.shape[1]))

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.not_equal(x, 0)


class TransformerBlock(layers.Layer):
    """Attention and a small network at each place, each added to what came in and normalized."""

    def __init__(self, heads: int, width: int, rate: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads, self.width, self.rate = heads, width, rate
        self.supports_masking = True
        self.attention = layers.MultiHeadAttention(heads, width // heads, dropout=rate)
        self.inner = layers.Dense(4 * width, activation="relu")
        self.outer = layers.Dense(width)
        self.dropout = layers.Dropout(rate)
        self.norm1, self.norm2 = layers.LayerNormalization(), layers.LayerNormalization()

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.norm1(x + self.dropout(self.attention(x, x, training=training), training=training))
        return self.norm2(x + self.dropout(self.outer(self.inner(x)), training=training))


def lstm(words: int, length: int, width: int) -> keras.Model:
    """The last state of an LSTM; padding is masked."""
    return keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            layers.Embedding(words, width, mask_zero=True),
            layers.LSTM(width, dropout=0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def transformer(words: int, length: int, width: int) -> keras.Model:
    """One block of attention, averaged over the words."""
    return keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            PositionalEmbedding(words, length, width),
            TransformerBlock(heads=4, width=width),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def reviews(words: int) -> tuple[common.Arrays, common.Arrays]:
    """IMDB's reviews as lists of word numbers below ``words``."""
    place = common.find("imdb.npz", "text/imdb/imdb.npz") or "imdb.npz"
    return keras.datasets.imdb.load_data(str(place), num_words=words)


def sentences(length: int) -> tuple[common.Arrays, common.Arrays]:
    """Made-up reviews: a few good or bad words, "not" before some of them, among words that say nothing."""
    rng = np.random.default_rng(0)
    good, bad = ["good", "great", "lovely", "fine"], ["bad", "awful", "boring", "poor"]
    filler = ["the", "film", "a", "story", "with", "it", "was", "in", "an", "actor", "scene", "some", "music", "plot"]
    texts, labels = [], []
    for label in rng.integers(0, 2, 1200):
        text = list(rng.choice(filler, rng.integers(6, 12)))
        for _ in range(2):
            # "not" turns a word around: counting words is not enough.
            turned = rng.random() < 0.3
            word = str(rng.choice(good if label != turned else bad))
            at = rng.integers(len(text) + 1)
            text[at:at] = ["not", word] if turned else [word]
        texts.append(" ".join(text))
        labels.append(label)
    vectorize = layers.TextVectorization(output_sequence_length=length)
    vectorize.adapt(texts)
    x, y = np.asarray(vectorize(texts)), np.array(labels)
    return (x[:1000], y[:1000]), (x[1000:], y[1000:])


def main(argv: Sequence[str] | None = None) -> float:
    """Train and return the test accuracy."""
    args = common.options(
        __doc__,
        argv,
        epochs=(3, 8),
        more=lambda p: p.add_argument("--model", choices=("lstm", "transformer"), default="lstm"),
    )
    words, length, width = (64, 16, 16) if args.quick else (20_000, 200, 64)
    (x_train, y_train), (x_test, y_test) = sentences(length) if args.quick else reviews(words)
    x_train, x_test = (keras.utils.pad_sequences(x, maxlen=length) for x in (x_train, x_test))

    model = {"lstm": lstm, "transformer": transformer}[args.model](words, length, width)
    model.summary()
    rate = 5e-3 if args.quick else 1e-3
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=64, epochs=args.epochs, validation_split=0.1, verbose=2)
    _, accuracy = model.evaluate(x_test, y_test, batch_size=256, verbose=0)
    print(f"{args.model}: test accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main()
