"""One subject in a process of its own: ``python -m benchmarks.subject '{"subject": "nyala", ...}'``."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import transformer

BATCH = 32
WARM_UP = 2
"""Epochs that are not measured: the first compiles, and in the next automatic choices may still be measured."""


def data(workload: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = {"mlp": (784,), "cnn": (28, 28, 1), "lstm": (100,), "transformer": (100,)}[workload]
    n = steps * BATCH
    tokens = workload in ("lstm", "transformer")
    x = rng.integers(0, 1000, (n, *shape)).astype("int32") if tokens else rng.random((n, *shape), "float32")
    return x, rng.integers(0, 10, n).astype("int32")


def milliseconds(fn: Callable[[], Any], times: int = 50) -> float:
    """The median time of a call."""
    for _ in range(5):
        fn()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        fn()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent) * 1e3


def memory() -> float:
    """The most memory the process held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def library(name: str, backend: str) -> Any:
    os.environ["KERAS_BACKEND"] = os.environ["NYALA_BACKEND"] = backend
    found = __import__(name)
    if name == "nyala":
        found.config.set_backend(backend)  # loads it, as Keras's import did: figures leave imports out
    return found


def network(keras: Any, workload: str) -> Any:
    if workload == "transformer":
        return transformer.network(keras)
    layers = keras.layers
    if workload == "mlp":
        body = [keras.Input((784,)), layers.Dense(128, activation="relu"), layers.Dense(64, activation="relu")]
    elif workload == "lstm":
        body = [keras.Input((100,), dtype="int32"), layers.Embedding(1000, 128), layers.LSTM(128)]
    else:
        body = [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"), layers.Flatten(), layers.Dense(64, activation="relu"),
        ]  # fmt: skip
    return keras.Sequential([*body, layers.Dense(10)])


def train_by_fit(name: str, backend: str, workload: str, steps: int, epochs: int) -> dict[str, float]:
    keras = library(name, backend)
    x, y = data(workload, steps)
    start = time.perf_counter()
    model = network(keras, workload)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)
    first = time.perf_counter() - start
    ends: list[float] = []
    timer = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(x, y, batch_size=BATCH, epochs=epochs + WARM_UP, verbose=0, callbacks=[timer])
    peak, one = memory(), x[:1]
    return {
        "step ms": statistics.median(np.diff(ends[WARM_UP - 1 :])) / steps * 1e3,
        "first step s": first,
        "memory MB": peak,
        "predict(1) ms": milliseconds(lambda: model.predict(one, verbose=0)),
        "model(1) ms": milliseconds(lambda: keras.ops.convert_to_numpy(model(one))),
    }


def train_by_hand(backend: str, workload: str, steps: int, epochs: int) -> dict[str, float]:
    from benchmarks import raw

    x, y = data(workload, steps)
    __import__(backend)
    start = time.perf_counter()
    step, wait, predict = getattr(raw, backend)(workload, x, y)
    wait(step(np.arange(BATCH)))
    first = time.perf_counter() - start
    rng = np.random.default_rng(1)
    spent = []
    for _ in range(epochs + WARM_UP):
        start = time.perf_counter()
        order = rng.permutation(len(x))
        for i in range(0, len(x), BATCH):
            loss = step(order[i : i + BATCH])
        wait(loss)
        spent.append(time.perf_counter() - start)
    return {
        "step ms": statistics.median(spent[WARM_UP:]) / steps * 1e3,
        "first step s": first,
        "memory MB": memory(),
        "predict(1) ms": (one := milliseconds(lambda: predict(x[:1]))),
        "model(1) ms": one,
    }


def import_time(name: str, backend: str) -> dict[str, float]:
    start = time.perf_counter()
    module = library(backend if name == "raw" else name, backend)
    imported = time.perf_counter() - start
    if name != "raw":
        module.layers.Dense, module.Sequential, module.optimizers.Adam, module.losses.Loss, module.metrics.Mean  # noqa: B018
    return {"import s": imported, "import, use s": time.perf_counter() - start}


def build_time(name: str, backend: str, layers: int = 500) -> dict[str, float]:
    keras = library(name, backend)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)])  # what is loaded on first use is not building
    start = time.perf_counter()
    x = inputs = keras.Input((8,))
    for _ in range(layers):
        x = keras.layers.Dense(8, activation="relu")(x)
    keras.Model(inputs, x)
    return {f"build {layers} s": time.perf_counter() - start}


def main() -> None:
    task = json.loads(sys.argv[1])
    subject, backend, workload = task["subject"], task["backend"], task["workload"]
    if workload == "import":
        figures = import_time(subject, backend)
    elif workload == "build":
        figures = build_time(subject, backend)
    elif subject == "raw":
        figures = train_by_hand(backend, workload, task["steps"], task["epochs"])
    else:
        figures = train_by_fit(subject, backend, workload, task["steps"], task["epochs"])
    print("FIGURES " + json.dumps(figures))


if __name__ == "__main__":
    main()
