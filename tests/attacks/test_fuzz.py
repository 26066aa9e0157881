"""Damaged and altered files: the only error that comes out is ``ModelFileError``, and memory stays bounded.

Mutations are drawn from a seed. ``make test`` tries a few hundred; ``-m long`` goes on for ``NYALA_FUZZ_SECONDS`` (60) a reader.
"""

from __future__ import annotations

import copy
import io
import json
import os
import resource
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.saving import ModelFileError, inspect, load_model, model_from_json
from tests.attacks import corpus

Rng = np.random.Generator
SECONDS = float(os.environ.get("NYALA_FUZZ_SECONDS", "60"))
MEMORY = 512 * 2**10
"""KiB that a whole run may add."""

VALUES: list[Any] = [
    None, True, -1, 0, 1, 2, 7, 2**31, 10**12, -(10**30), 1e308, float("nan"), "", "a", "/etc/passwd", "../x", "float32", "Dense",
    "Sequential", "relu", [], [[]], {}, [None, 3], {"class_name": "Dense", "config": {"units": 10**9}},
    {"class_name": "function", "config": "open", "module": "builtins"}, {"class_name": "__numpy__", "config": {"value": 1}},
]  # fmt: skip


def configs() -> list[Any]:
    """Models with many kinds of entries."""
    x = nyala.Input((8, 4))
    y = nyala.layers.Conv1D(3, 2, activation="relu", kernel_regularizer="l2")(x)
    y = nyala.layers.Bidirectional(nyala.layers.LSTM(2, return_sequences=True))(y)
    y = nyala.layers.BatchNormalization()(nyala.layers.Dense(4)(y) + 1.0)
    graph = nyala.Model(x, nyala.layers.Flatten()(y))
    graph.compile("adam", "mse", metrics=["mae"])
    line = nyala.Sequential(
        [nyala.Input((4,)), nyala.layers.Dense(2), nyala.layers.Dropout(0.5), nyala.layers.Softmax()]
    )
    return [json.loads(m.to_json()) for m in (graph, line)]


def altered(config: Any, rng: Rng) -> Any:
    """A value replaced, removed, doubled, or put into the place of another."""
    config = copy.deepcopy(config)
    places: list[tuple[Any, Any]] = []
    todo = [config]
    while todo:
        x = todo.pop()
        for key in x if isinstance(x, dict) else range(len(x)):
            places.append((x, key))
            if isinstance(x[key], (dict, list)):
                todo.append(x[key])
    for _ in range(int(rng.integers(1, 4))):
        holder, key = places[rng.integers(len(places))]
        if key not in holder if isinstance(holder, dict) else key >= len(holder):
            continue
        how = rng.integers(4)
        if how == 0:
            del holder[key]
        elif how == 1:
            other, there = places[rng.integers(len(places))]
            if there in other if isinstance(other, dict) else there < len(other):
                holder[key] = copy.deepcopy(other[there])
        else:
            holder[key] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    return config


def damaged(data: bytes, rng: Rng) -> bytes:
    """Bytes changed, cut out, doubled or cut off."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(max(1, len(out))))
        span = int(rng.integers(1, 40))
        how = rng.integers(6)
        if how == 0:
            del out[at : at + span]
        elif how == 1:
            out[at:at] = out[at : at + span]
        elif how == 2 and rng.integers(4) == 0:
            del out[at:]
        elif how == 3:
            out[at : at + 8] = [b"\xff" * 8, b"\0" * 8, b"\xff" * 3 + b"\x7f" + b"\0" * 4][rng.integers(3)]
        elif out:
            out[min(at, len(out) - 1)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def saved(name: str, folder: Path) -> bytes:
    net = corpus.model()
    net.fit(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0)
    if name.endswith(".keras") or name == "m.h5":
        net.save(folder / name)
    else:
        net.save_weights(folder / name)
    return (folder / name).read_bytes()


Try = Callable[[Rng], None]


def json_reader(folder: Path) -> Try:
    sources = configs()
    texts = [json.dumps(c).encode() for c in sources]

    def once(rng: Rng) -> None:
        i = int(rng.integers(len(sources)))
        if rng.integers(3):
            text = json.dumps(altered(sources[i], rng))
        else:
            text = damaged(texts[i], rng).decode("utf-8", "replace")
        model_from_json(text)

    return once


def archive_reader(folder: Path) -> Try:
    data = saved("m.keras", folder)
    path = folder / "x.keras"
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        members = {n: z.read(n) for n in z.namelist()}

    def once(rng: Rng) -> None:
        if rng.integers(2):
            path.write_bytes(damaged(data, rng))
        else:
            changed = str(rng.choice(list(members)))
            with zipfile.ZipFile(path, "w") as z:
                for name, content in members.items():
                    z.writestr(name, damaged(content, rng) if name == changed else content)
        inspect(path)
        load_model(path)

    return once


def whole_reader(name: str, load: Callable[[Path], Any]) -> Callable[[Path], Try]:
    def make(folder: Path) -> Try:
        data, path = saved(name, folder), folder / f"x{name[1:]}"

        def once(rng: Rng) -> None:
            path.write_bytes(damaged(data, rng))
            inspect(path)
            load(path)

        return once

    return make


def into_model() -> Callable[[Path], Any]:
    net = corpus.model()
    return lambda path: net.load_weights(path)


READERS: dict[str, Callable[[Path], Try]] = {
    "json": json_reader,
    "keras": archive_reader,
    "h5": whole_reader("m.h5", load_model),
    "weights.h5": whole_reader("m.weights.h5", lambda path: into_model()(path)),
    "safetensors": whole_reader("m.safetensors", lambda path: into_model()(path)),
}


def run(reader: str, folder: Path, tries: int, seconds: float) -> None:
    once = READERS[reader](folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    end = time.monotonic() + seconds
    refused = 0
    for seed in range(tries):
        if time.monotonic() > end:
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                once(np.random.default_rng(seed))
            except ModelFileError as error:
                assert not isinstance(error.__cause__, MemoryError), f"reader {reader}, seed {seed}: {error}"
                refused += 1
            except Exception as error:
                error.add_note(f"reader {reader}, seed {seed}")
                raise
    assert refused > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


@pytest.mark.parametrize("reader", READERS)
def test_a_little(reader: str, tmp_path: Path) -> None:
    run(reader, tmp_path, 150, 30)


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_long(reader: str, tmp_path: Path) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    # a bomb is to fail, not to take the machine along
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**33, before[1]))
    try:
        run(reader, tmp_path, 10**9, SECONDS)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
