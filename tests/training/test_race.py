"""``compile(backend=...)``: a model moves to the backend that is named, or to the one that is measured to be fastest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nyala as keras
from nyala import cli
from nyala.training import race

X = np.random.default_rng(0).random((24, 6), dtype="float32")
Y = X.sum(1, keepdims=True)


def _model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, "relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )


def test_a_named_backend():
    model = _model()
    model.compile("adam", "mse", backend="torch")
    assert model.backend == "torch"
    assert isinstance(model.layers[0].kernel.value, torch.Tensor)
    with pytest.raises(ValueError, match="'jax', 'torch', 'tensorflow'"):
        model.compile("adam", "mse", backend="theano")


def test_the_fastest_is_taken_and_nothing_else_has_changed(monkeypatch):
    measured = {}

    def step_seconds(model, kind, batch, whole=race.step_seconds):
        measured.update(whole(model, kind, batch))
        return {**measured, "tensorflow": 0.0}

    monkeypatch.setattr(race, "step_seconds", step_seconds)
    results = []
    for backend in ("auto", "tensorflow"):
        model = _model()
        model.compile("adam", "mse", metrics=["mae"], backend=backend)
        np.random.seed(0)
        history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        results.append((model.backend, history.history, model.optimizer.iterations.numpy(), *model.get_weights()))
    assert all(seconds > 0 for seconds in measured.values()) and len(measured) == 3
    np.testing.assert_equal(*results)
    assert results[0][0] == "tensorflow"


def test_a_backend_that_cannot_run_the_model_is_passed_over():
    with keras.backend_scope("torch"):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2), keras.layers.Lambda(torch.sin)])
    model.compile("sgd", "mse", backend="auto")
    model.fit((X[i : i + 8], Y[i : i + 8]) for i in range(0, 24, 8))
    assert model.backend == "torch"
    assert model.optimizer.iterations.numpy() == 3
    found = race.step_seconds(model, "predict", (X, None, None))
    assert [name for name, seconds in found.items() if isinstance(seconds, float)] == ["torch"]


def test_the_error_of_the_models_own_backend_is_raised():
    model = _model()
    model.compile("sgd", "mse", backend="auto")
    with pytest.raises(ValueError, match="shape"):
        model.fit(X[:, :3], Y, verbose=0)


def test_bench(tmp_path, capsys):
    model = _model()
    model.save(tmp_path / "m.keras")
    cli.main(["bench", str(tmp_path / "m.keras"), "--batch-size", "4"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2:4] for line in lines] == [[n, b] for n in "14" for b in ("jax", "torch", "tensorflow")]
    assert all(line.endswith(" ms") for line in lines)
