"""Whole models and weights in the HDF5 files of Keras 1 and 2, exchanged with Keras in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import nyala
from nyala.saving import load_model
from tests.saving.test_archive import X, Y, close, dense, functional, sequential, subclassed, trained


@pytest.mark.parametrize("make", [functional, sequential])
def test_models_go_to_keras_and_back(make: Any, backend: str, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    ours = trained(make, nyala)
    ours.save(path)
    close(ours, load_model(path))
    theirs = keras.models.load_model(path)
    close(ours, theirs)
    assert int(theirs.optimizer.iterations) == 2

    model = make(keras)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    loaded = load_model(path)
    close(model, loaded)
    for mine, expected in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), np.asarray(expected))


def test_training_goes_on(backend: str, tmp_path: Path) -> None:
    model = trained(sequential, nyala)
    model.save(tmp_path / "m.hdf5")
    loaded = load_model(tmp_path / "m.hdf5")
    again = [m.fit(X, Y, epochs=2, shuffle=False, verbose=0).history for m in (model, loaded)]
    assert again[0] == again[1]
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_how_it_was_compiled(tmp_path: Path) -> None:
    model = functional(nyala)
    schedule = nyala.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(
        nyala.optimizers.SGD(schedule, momentum=0.5),
        nyala.losses.Huber(delta=0.5),
        metrics=["mse", nyala.metrics.RootMeanSquaredError(name="root")],
        loss_weights=2.0,
    )
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.h5")
    for loaded in (load_model(tmp_path / "m.h5"), keras.models.load_model(tmp_path / "m.h5")):
        ours = dict(zip(["loss", "mse", "root"], model.evaluate(X, Y, verbose=0)))
        theirs = dict(zip(["loss", "mse", "root"], loaded.evaluate(X, Y, verbose=0)))
        assert ours == pytest.approx(theirs, rel=1e-4)
        assert loaded.optimizer.get_config()["learning_rate"]["config"]["decay_steps"] == 10
    assert not load_model(tmp_path / "m.h5", compile=False).compiled
    model.save(tmp_path / "m.h5", include_optimizer=False)
    assert not load_model(tmp_path / "m.h5").compiled


@pytest.mark.parametrize("make", [functional, sequential, subclassed])
def test_weights_go_to_keras_and_back(make: Any, backend: str, tmp_path: Path) -> None:
    ours, other = make(nyala), make(nyala)
    ours.save_weights(tmp_path / "w.h5")
    theirs = make(keras)
    theirs.load_weights(tmp_path / "w.h5")
    close(ours, theirs)
    theirs.save_weights(tmp_path / "w.weights.h5")
    if make is not subclassed:
        theirs.save(tmp_path / "w.h5")
    other.load_weights(tmp_path / "w.h5")
    close(other, theirs)


def test_by_name(tmp_path: Path) -> None:
    layers = nyala.layers
    dense(4, 2).save_weights(tmp_path / "w.hdf5")
    model = nyala.Sequential([nyala.Input((3,)), layers.Dense(4, name="d0"), layers.Dense(5, name="new")])
    before = model.get_weights()
    model.load_weights(tmp_path / "w.hdf5", by_name=True)
    after = model.get_weights()
    assert not np.array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[2], after[2])
    wrong = nyala.Sequential([nyala.Input((3,)), layers.Dense(4, name="d0"), layers.Dense(5, name="d1")])
    with pytest.raises(
        ValueError, match=r"layer `d1`: the model has kernel \(4, 5\), bias \(5,\); the file kernel \(4, 2\)"
    ):
        wrong.load_weights(tmp_path / "w.hdf5", by_name=True)
    with pytest.warns(UserWarning, match="layer `d1`"):
        wrong.load_weights(tmp_path / "w.hdf5", by_name=True, skip_mismatch=True)
    np.testing.assert_array_equal(wrong.get_weights()[0], after[0])


@pytest.mark.parametrize(
    ("saved", "loaded", "message"),
    [
        ((2,), (2, 2), "layer `d1` has 2 weights, the file none for it"),
        ((2, 2), (2,), "the file's layer `d1` has no counterpart"),
    ],
)
def test_strict(saved: Any, loaded: Any, message: str, tmp_path: Path) -> None:
    dense(*saved).save_weights(tmp_path / "w.h5")
    model = dense(*loaded)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_checkpoint(tmp_path: Path) -> None:
    model = sequential(nyala)
    model.compile("sgd", "mse")
    callbacks = [
        nyala.callbacks.ModelCheckpoint(tmp_path / "m.h5"),
        nyala.callbacks.ModelCheckpoint(tmp_path / "w.hdf5", save_weights_only=True),
    ]
    model.fit(X, Y, verbose=0, callbacks=callbacks)
    close(model, load_model(tmp_path / "m.h5"))
    other = sequential(nyala)
    other.load_weights(tmp_path / "w.hdf5")
    close(model, other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.h5", "w.hdf5"]


def test_custom_objects(tmp_path: Path) -> None:
    class Twice(nyala.layers.Layer):
        def __init__(self, by: Any = 2, act: Any = None, start: Any = "ones", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.by = by
            self.act = nyala.activations.get(act)
            self.start = nyala.initializers.get(start)

        def call(self, x: Any) -> Any:
            return self.act(x * self.by)

        def get_config(self) -> dict[str, Any]:
            """As many write it: the objects themselves."""
            return {**super().get_config(), "by": np.float32(self.by), "act": self.act, "start": self.start}

    def mine(y: Any, p: Any) -> Any:
        return nyala.ops.mean(nyala.ops.abs(y - p))

    def mine_too(x: Any) -> Any:
        return nyala.ops.tanh(x)

    model = nyala.Sequential(
        [nyala.Input((8, 8, 2)), nyala.layers.Flatten(), Twice(3, mine_too), nyala.layers.Dense(2)]
    )
    model.compile("sgd", mine)
    for name in ("m.h5", "m.keras"):
        model.save(tmp_path / name)
        with pytest.raises(ValueError, match="Twice"):
            load_model(tmp_path / name)
        loaded = load_model(tmp_path / name, custom_objects={"Twice": Twice, "mine": mine, "mine_too": mine_too})
        close(model, loaded)
        assert loaded.layers[1].act is mine_too and type(loaded.layers[1].start) is nyala.initializers.Ones
        assert loaded.evaluate(X, Y, verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0))


def without(x: Any, key: str) -> Any:
    if isinstance(x, dict):
        return {k: without(v, key) for k, v in x.items() if k != key}
    return [without(v, key) for v in x] if isinstance(x, list) else x


def test_json(backend: str) -> None:
    text = functional(nyala).to_json()
    assert nyala.models.model_from_json(text).count_params() == functional(nyala).count_params()
    assert keras.models.model_from_json(text).count_params() == functional(nyala).count_params()
    theirs = functional(keras).to_json()
    ours = nyala.models.model_from_json(theirs).to_json()
    # Which of the layers without weights say what they were built for is Keras's own business.
    assert without(json.loads(ours), "build_config") == without(json.loads(theirs), "build_config")


def test_long_lists_of_names(tmp_path: Path) -> None:
    from nyala.saving import hdf5

    names = [f"{'layer' * 20}_{i}" for i in range(2000)]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        hdf5.put_names(file, "layer_names", names)
        assert hdf5.names(file, "layer_names") == names


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m, d: load_model(d / "weights.h5"), ValueError, "weights only"),
        (lambda m, d: nyala.models.model_from_yaml("a: 1"), NotImplementedError, "YAML"),
        (lambda m, d: nyala.models.model_from_json("["), ValueError, "no JSON"),
        (lambda m, d: nyala.models.model_from_json("[" * 100_000), ValueError, "no JSON or nested"),
        (lambda m, d: nyala.models.model_from_json("{}"), ValueError, "not of a model"),
        (lambda m, d: m.save(d / "x.weights.h5"), ValueError, "save_weights"),
        (lambda m, d: nyala.Sequential([nyala.layers.Dense(2)]).save(d / "x.h5"), ValueError, "build"),
    ],
)
def test_errors(act: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    model = dense(2)
    model.save_weights(tmp_path / "weights.h5")
    with pytest.raises(error, match=message):
        act(model, tmp_path)
