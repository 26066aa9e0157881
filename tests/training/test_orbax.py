"""``OrbaxCheckpoint``, where orbax-checkpoint is installed; state trees, which it writes, everywhere."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.callbacks import OrbaxCheckpoint

X, Y = np.random.default_rng(0).normal(size=(2, 8, 2)).astype("float32")


def model(library: Any = nyala) -> Any:
    layers = library.layers
    made = library.Sequential(
        [library.Input((2,)), layers.Dense(2, name="d"), layers.BatchNormalization(name="b")], name="m"
    )
    made.compile("adam", "mse", metrics=["mae"])
    return made


def test_state_tree(backend: str) -> None:
    m = model()
    m.train_on_batch(X, Y)
    tree = m.get_state_tree("numpy_array")
    theirs = model(keras)
    theirs.train_on_batch(X, Y)
    wanted = theirs.get_state_tree()
    assert list(tree) == list(wanted)
    for part in ("trainable_variables", "non_trainable_variables", "optimizer_variables"):
        assert list(map(_shapes, tree[part].values())) == list(map(_shapes, wanted[part].values()))  # adam, adam_1
    other = model()
    other.set_state_tree(tree)
    np.testing.assert_array_equal(other.predict(X, verbose=0), m.predict(X, verbose=0))
    assert other.optimizer.iterations.numpy() == 1
    for wrong, message in (
        ({"trainable_variables": {"m": {"d": {"kernel": X}}}}, "has shape"),
        ({"trainable_variables": {"q": X}}, "q is not there"),
        ({"weights": {}}, "must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            other.set_state_tree(wrong)


def _shapes(branch: Any) -> Any:
    return {k: _shapes(v) for k, v in branch.items()} if isinstance(branch, dict) else tuple(branch.shape)


def test_a_path_twice() -> None:
    i = nyala.Input((2,))
    inner = [nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1, name="d")], name="s") for _ in range(2)]
    m = nyala.Model(i, inner[0](i))
    m.other = inner[1]
    with pytest.raises(ValueError, match="have the path 's/d/kernel'"):
        m.get_state_tree()


@pytest.mark.parametrize("freq", ("epoch", 1))
def test_checkpoints(backend: str, freq: Any, tmp_path: Path) -> None:
    pytest.importorskip("orbax.checkpoint")
    m = model()
    callback = OrbaxCheckpoint(tmp_path / "c", save_freq=freq, max_to_keep=2)
    m.fit(X, Y, batch_size=4, epochs=3, callbacks=[callback], verbose=0)
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == (["1", "2"] if freq == "epoch" else ["5", "6"])
    want = m.predict(X, verbose=0)
    again = nyala.models.load_model(tmp_path / "c")
    np.testing.assert_array_equal(again.predict(X, verbose=0), want)
    assert again.optimizer.iterations.numpy() == 6
    np.testing.assert_array_equal(again.optimizer.variables[2].numpy(), m.optimizer.variables[2].numpy())
    fresh = model()
    fresh.load_weights(tmp_path / "c")
    np.testing.assert_array_equal(fresh.predict(X, verbose=0), want)
    other = nyala.Sequential(
        [nyala.Input((2,)), nyala.layers.Dense(2, name="e"), nyala.layers.BatchNormalization(name="b")]
    )
    with pytest.raises(ValueError, match=r"e/kernel is missing.* is unexpected"):
        other.load_weights(tmp_path / "c")
    with pytest.warns(UserWarning, match="left out"):
        other.load_weights(tmp_path / "c", skip_mismatch=True)
    np.testing.assert_array_equal(other.layers[1].gamma.numpy(), m.layers[1].gamma.numpy())


def test_with_keras(tmp_path: Path) -> None:
    """Each reads the other's. (Keras finds the weights of a Sequential under other names when it has made it anew.)"""
    pytest.importorskip("orbax.checkpoint")
    made = []
    for library in (nyala, keras):
        i = library.Input((2,))
        made.append(m := library.Model(i, library.layers.Dense(2, name="d")(i)))
        m.compile("adam", "mse")
        m.fit(X, Y, callbacks=[library.callbacks.OrbaxCheckpoint(str(tmp_path / library.__name__))], verbose=0)
    ours, theirs = made
    again: Any = keras.saving.load_model(str(tmp_path / "nyala"))
    np.testing.assert_allclose(
        nyala.models.load_model(tmp_path / "keras").predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5
    )
    np.testing.assert_allclose(again.predict(X, verbose=0), ours.predict(X, verbose=0), rtol=1e-5)


def test_best_and_weights_only(tmp_path: Path) -> None:
    pytest.importorskip("orbax.checkpoint")
    m = model()
    callback = OrbaxCheckpoint(
        tmp_path,
        "loss",
        save_best_only=True,
        initial_value_threshold=0.0,
        save_weights_only=True,
        save_on_background=False,
    )
    m.fit(X, Y, callbacks=[callback], verbose=0)
    assert not list(tmp_path.iterdir())
    callback.best = None
    m.fit(X, Y, callbacks=[callback], verbose=0)
    with pytest.raises(ValueError, match="weights only"):
        nyala.models.load_model(tmp_path)
    other = model()
    other.load_weights(tmp_path / "0")
    np.testing.assert_array_equal(other.get_weights()[0], m.get_weights()[0])


def test_signature_and_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = (inspect.signature(c).parameters for c in (OrbaxCheckpoint, keras.callbacks.OrbaxCheckpoint))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    monkeypatch.setitem(sys.modules, "orbax", None)
    with pytest.raises(ImportError, match=r"nyala\[orbax\]"):
        OrbaxCheckpoint("x")
