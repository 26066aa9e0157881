"""Pruning while training: which weights are 0 and when, in every backend's compiled step; files; the names of tfmot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import layers, ops, pruning

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 8)).astype("float32"), RNG.normal(size=(32, 3)).astype("float32")


def _model() -> Any:
    return nyala.Sequential(
        [layers.Input((8,)), layers.Dense(8, activation="relu", name="h"), layers.Dense(3, name="o")]
    )


def _fitted(model: Any, epochs: int = 2, **kwargs: Any) -> Any:
    if not model.compiled:
        model.compile("adam", "mse")
    model.fit(X, Y, epochs=epochs, batch_size=16, verbose=0, **kwargs)
    return model


def _is_structured(k: np.ndarray) -> bool:
    return bool(((k.reshape(2, 4, 8) != 0).sum(1) == 2).all())


def _is_in_blocks(k: np.ndarray) -> bool:
    return set((k != 0).reshape(4, 2, 2, 4).sum((1, 3)).ravel()) == {0, 8}


@pytest.mark.parametrize(
    ("arguments", "sparsity", "holds"),
    [
        ({"pruning_schedule": pruning.PolynomialDecay(0.25, 0.75, 0, 3, frequency=3)}, 0.75, None),
        ({"sparsity_m_by_n": (2, 4)}, 0.5, _is_structured),
        ({"block_size": (2, 4)}, 0.5, _is_in_blocks),
        pytest.param({"pruning_schedule": pruning.ConstantSparsity(0.25, 0), "block_size": (2, 4), "block_pooling_type": "MAX"}, 0.25, _is_in_blocks, marks=pytest.mark.long),
        ({"pruning_schedule": pruning.ConstantSparsity(0.5, 100)}, 0, None),
    ],
    ids=["polynomial", "2:4", "blocks", "blocks by maximum", "not yet"],
)  # fmt: skip
def test_training(backend: str, arguments: Any, sparsity: float, holds: Any, tmp_path: Path) -> None:
    model = _fitted(pruning.prune_low_magnitude(_model(), **arguments))
    kernel = model.layers[0].layer.kernel.numpy()
    assert (kernel == 0).mean() == sparsity and (holds is None or holds(kernel))
    assert int(model.layers[0].pruning_step) == 4
    before = model.predict(X, verbose=0)
    if holds is _is_structured:  # one file a backend
        model.save(tmp_path / "pruned.keras")
        model = nyala.models.load_model(tmp_path / "pruned.keras")
        np.testing.assert_array_equal(model.predict(X, verbose=0), before)
        _fitted(model, 1)
        assert int(model.layers[0].pruning_step) == 6 and holds(model.layers[0].layer.kernel.numpy())
        before = model.predict(X, verbose=0)
    plain = pruning.strip_pruning(model)
    assert [type(x) for x in plain.layers] == [layers.Dense, layers.Dense]
    assert all(v.constraint is None for v in plain.weights) and len(plain.weights) == 4
    np.testing.assert_allclose(plain.predict(X, verbose=0), before, rtol=1e-6)


def test_schedules(backend: str) -> None:
    polynomial = pruning.PolynomialDecay(0.2, 0.8, 10, 20, power=2, frequency=5)
    wanted = {
        9: (False, 0.2),
        10: (True, 0.2),
        15: (True, 0.8 - 0.6 * 0.25),
        16: (False, None),
        20: (True, 0.8),
        25: (False, 0.8),
    }
    for step, (due, sparsity) in wanted.items():
        found = [np.asarray(ops.convert_to_numpy(x)) for x in polynomial(step)]
        assert found[0] == due
        if sparsity is not None:
            np.testing.assert_allclose(found[1], sparsity, rtol=1e-5)
    assert pruning.PolynomialDecay.from_config(polynomial.get_config()).get_config() == polynomial.get_config()


def test_one_layer_its_constraint_and_the_callbacks(tmp_path: Path) -> None:
    held = pruning.prune_low_magnitude(
        layers.Dense(3, kernel_constraint="non_neg"), pruning.ConstantSparsity(0.5, 3, frequency=1)
    )
    model = nyala.Sequential([layers.Input((8,)), layers.Embedding(4, 2), layers.Flatten(), held])
    model.compile("sgd", "mse")
    model.optimizer.iterations.assign(3)  # trained before
    x = RNG.integers(0, 4, (32, 8))
    model.fit(x, Y, verbose=0, callbacks=[pruning.UpdatePruningStep(), pruning.PruningSummaries(tmp_path)])
    kernel = held.layer.kernel.numpy()
    assert (kernel >= 0).all() and (kernel == 0).mean() >= 0.5 and list(tmp_path.iterdir())
    found = pruning.report(model, x, Y)
    assert found["parameters"] == 8 + 16 * 3 + 3 and found["bytes"] == 4 * found["parameters"]
    assert found["zeros"] >= 24 and found["compressed_bytes"] < found["bytes"] and found["metrics"]["loss"] > 0


def test_a_quantized_model_is_smaller() -> None:
    model = _model()
    before = pruning.report(model)
    model.quantize("int8")
    after = pruning.report(model)
    assert before["bytes"] == 4 * (64 + 8 + 24 + 3) and after["bytes"] == 64 + 24 + 4 * (8 + 3) * 2


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: pruning.prune_low_magnitude(layers.Flatten()), "has no weight to prune"),
        (lambda: pruning.prune_low_magnitude(nyala.Sequential([layers.Flatten()])), "no layer with weights to prune"),
        (lambda: pruning.ConstantSparsity(1.0, 0), "target_sparsity must be a number in"),
        (lambda: pruning.PolynomialDecay(0.0, 0.5, 10, 5), "must not be before begin_step"),
        (lambda: pruning.prune_low_magnitude(layers.Dense(1), sparsity_m_by_n=(4, 2)), "0 < m < n"),
        (lambda: pruning.prune_low_magnitude(layers.Conv1D(1, 2), block_size=(2, 2)).build((1, 4, 2)), "goes with matrices"),
    ],
)  # fmt: skip
def test_errors(act: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_the_old_names(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import tensorflow_model_optimization as tfmot\n"
        "from tensorflow_model_optimization.sparsity import keras as sparsity\n"
        "import keras\n"
        "schedule = tfmot.sparsity.keras.PolynomialDecay(initial_sparsity=0.0, final_sparsity=0.5, begin_step=0, end_step=9)\n"
        "model = tfmot.sparsity.keras.prune_low_magnitude(keras.Sequential([keras.layers.Dense(3)]), pruning_schedule=schedule)\n"
        "with sparsity.prune_scope():\n"
        "    print(type(model.layers[0]).__name__, sparsity.UpdatePruningStep.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "nyala", "run", str(program)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["PruneLowMagnitude", "UpdatePruningStep"], done.stderr
