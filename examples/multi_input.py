"""A car's numbers and its name in, its fuel consumption and where it was built out: two inputs, two outputs, one model.

    python examples/multi_input.py --backend torch

Uses the 392 complete rows of Auto MPG below $NYALA_DATA; else, and with --quick, cars that are made up here.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import common
import numpy as np

import nyala as keras
from nyala import layers

PLACES = ("usa", "europe", "japan")
MAKERS = (("ford", "buick", "dodge"), ("volkswagen", "fiat", "peugeot"), ("toyota", "mazda", "datsun"))
NUMBERS = ("cylinders", "displacement", "horsepower", "weight", "acceleration", "model_year")


def cars(quick: bool) -> list[dict[str, Any]]:
    """Rows with the keys of ``NUMBERS``, ``name``, ``origin`` and ``mpg`` (miles per gallon), in a random order."""
    rng = np.random.default_rng(0)
    place = None if quick else common.find("auto_mpg.csv", "tabular/auto_mpg.csv")
    if place:
        with open(place, newline="") as file:
            rows: list[dict[str, Any]] = [row for row in csv.DictReader(file) if all(row.values())]
        return [rows[i] for i in rng.permutation(len(rows))]
    rows = []
    for _ in range(400):
        origin = rng.choice(3, p=(0.6, 0.2, 0.2))
        weight = rng.normal((3400, 2400, 2200)[origin], 300)
        numbers = [rng.choice((4, 6, 8)), weight / 15, weight / 30, weight, rng.normal(15, 2), rng.integers(70, 83)]
        name = f"{rng.choice(MAKERS[origin])} {rng.choice(['sedan', 'wagon', 'custom'])}"
        mpg = 55 - weight / 110 + 0.5 * (numbers[-1] - 70) + rng.normal(0, 1)
        rows.append({**dict(zip(NUMBERS, numbers)), "name": name, "origin": PLACES[origin], "mpg": mpg})
    return rows


def build(numbers_seen: np.ndarray, names_seen: list[str]) -> tuple[keras.Model, layers.TextVectorization]:
    """The model, and the layer that makes numbers of names, for strings are not for every backend."""
    scale = layers.Normalization()
    scale.adapt(numbers_seen)
    words = layers.TextVectorization(max_tokens=300, output_mode="int", output_sequence_length=6)
    words.adapt(names_seen)

    numbers = keras.Input((len(NUMBERS),), name="numbers")
    name = keras.Input((6,), dtype="int32", name="name")
    n = layers.Dense(32, activation="relu")(scale(numbers))
    w = layers.Embedding(words.vocabulary_size(), 16, mask_zero=True)(name)
    both = layers.Concatenate()([n, layers.GlobalAveragePooling1D()(w)])
    both = layers.Dense(32, activation="relu")(both)
    mpg = layers.Dense(1, name="mpg")(both)
    origin = layers.Dense(3, activation="softmax", name="origin")(both)
    return keras.Model({"numbers": numbers, "name": name}, {"mpg": mpg, "origin": origin}), words


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train and return the error in miles per gallon and the accuracy of the origin on the last 80 cars."""
    args = common.options(__doc__, argv, epochs=(150, 40))
    rows = cars(args.quick)
    numbers = np.array([[float(row[key]) for key in NUMBERS] for row in rows], "float32")
    names = [str(row["name"]) for row in rows]
    mpg = np.array([[float(row["mpg"])] for row in rows], "float32")
    origin = np.array([PLACES.index(row["origin"]) for row in rows])
    cut = len(rows) - 80

    model, words = build(numbers[:cut], names[:cut])
    model.summary()
    x = {"numbers": numbers, "name": np.asarray(words(names))}
    y = {"mpg": mpg, "origin": origin}
    x_train, y_train = ({key: value[:cut] for key, value in part.items()} for part in (x, y))
    x_test, y_test = ({key: value[cut:] for key, value in part.items()} for part in (x, y))
    model.compile(
        keras.optimizers.Adam(3e-3),
        loss={"mpg": "mse", "origin": "sparse_categorical_crossentropy"},
        loss_weights={"mpg": 0.05, "origin": 1.0},
        metrics={"mpg": ["mae"], "origin": ["accuracy"]},
    )
    model.fit(x_train, y_train, epochs=args.epochs, validation_split=0.1, verbose=2)
    result = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    print(f"miles per gallon off by {result['mpg_mae']:.2f}, origin right in {result['origin_accuracy']:.1%}")
    return result


if __name__ == "__main__":
    main()
