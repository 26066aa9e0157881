"""Hyperparameter search: the example on Optuna, and KerasTuner, which imports ``keras`` and takes Nyala for it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nyala.backends import backend_scope

ROOT = Path(__file__).resolve().parent.parent


def test_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna").logging.set_verbosity(40)
    monkeypatch.syspath_prepend(ROOT / "examples")
    with backend_scope("torch"):
        assert importlib.import_module("hyperparameter_search").main(["--quick"]) > 0.6


PROGRAM = """
import keras
import keras_tuner
import numpy as np
from keras import layers

x = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
y = x.sum(1, keepdims=True)

def build(space):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(space.Int("units", 2, 4)), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(space.Choice("rate", [0.1, 0.01])), "mse")
    return model

tuner = keras_tuner.RandomSearch(build, "val_loss", max_trials=2, directory="d", seed=0)
tuner.search(x, y, validation_data=(x, y), epochs=2, verbose=0)
best = tuner.get_best_models()[0]
score = min(trial.score for trial in tuner.oracle.trials.values())
assert abs(best.evaluate(x, y, verbose=0) - score) < 1e-5 * score  # the weights of the best epoch were kept and read
assert "nyala" in type(best).__module__, type(best)
print("found", sorted(tuner.get_best_hyperparameters()[0].values))
"""


@pytest.mark.long
@pytest.mark.parametrize("backend_name", ("jax", "torch", "tensorflow"))
def test_keras_tuner(backend_name: str, tmp_path: Path) -> None:
    pytest.importorskip("keras_tuner")
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "nyala", "run", "--backend", backend_name, "program.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "found ['rate', 'units']" in done.stdout, done.stderr[-3000:]
