"""Weights files and archives, exchanged with Keras in both directions."""

from __future__ import annotations

import copy
import pickle
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import nyala
from nyala.base import old
from nyala.saving import inspect, load_model

X = np.random.default_rng(0).random((4, 8, 8, 2), dtype="float32")
Y = np.ones((4, 2), "float32")


def functional(k: Any) -> Any:
    layers = k.layers
    inputs = k.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="first")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    x = layers.Dropout(0.5)(x)
    both = layers.Add()([layers.Dense(4)(x), layers.Dense(4)(x)])
    return k.Model(inputs, k.Sequential([k.Input((4,)), layers.Dense(3), layers.Dense(2)])(both))


def sequential(k: Any) -> Any:
    layers = k.layers
    return k.Sequential(
        [k.Input((8, 8, 2)), layers.GlobalAveragePooling2D(), layers.Dense(3), layers.PReLU(), layers.Dense(2)]
    )


def subclassed(k: Any) -> Any:
    class Block(k.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self._hidden = k.layers.Dense(4)
            self.many = [k.layers.Dense(4), [k.layers.Dense(4)], {"a": k.layers.Dense(4)}]

        def build(self, shape: Any) -> None:
            self.count = self.add_weight(shape=(2,), trainable=False, initializer="ones", name="count")
            self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

        def call(self, x: Any) -> Any:
            for layer in (self._hidden, self.many[0], self.many[1][0], self.many[2]["a"]):
                x = layer(x)
            return x * self.scale

    class Net(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self.flat = k.layers.Flatten()
            self.blocks = [Block(), Block()]
            self._last = k.layers.Dense(2)
            self.also_last = {"same": self._last}

        def call(self, x: Any) -> Any:
            x = self.flat(x)
            for block in self.blocks:
                x = block(x)
            return self._last(x)

    model = Net()
    model(X)
    return model


MODELS = {"functional": functional, "sequential": sequential, "subclassed": subclassed}


def trained(make: Any, k: Any, compiled: bool = True) -> Any:
    model = make(k)
    if compiled:
        model.compile("adam", "mse", metrics=["mae"])
        model.fit(X, Y, epochs=2, verbose=0)
    return model


def close(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one.predict(X, verbose=0), other.predict(X, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_weights_go_to_keras_and_back(make: Any, backend: str, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    ours, theirs = trained(make, nyala), trained(make, keras)
    ours.save_weights(path)
    theirs.load_weights(path)
    close(ours, theirs)
    assert int(theirs.optimizer.iterations) == 2
    theirs.fit(X, Y, verbose=0)
    theirs.save_weights(path)
    fresh = make(nyala)
    fresh.compile("adam", "mse")
    fresh.load_weights(path)
    close(fresh, theirs)
    assert int(fresh.optimizer.iterations.numpy()) == 3
    for mine, expected in zip(fresh.optimizer.variables, theirs.optimizer.variables):
        np.testing.assert_array_equal(mine.numpy(), np.asarray(expected))


@pytest.mark.parametrize("make", [functional, sequential])
def test_models_go_to_keras_and_back(make: Any, backend: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = trained(make, nyala)
    model.save(path)
    for loaded in (load_model(path), keras.models.load_model(path)):
        close(model, loaded)
        assert int(np.asarray(loaded.optimizer.iterations)) == 2
    theirs = trained(make, keras)
    theirs.save(path)
    loaded = load_model(path)
    close(loaded, theirs)
    loaded.fit(X, Y, verbose=0)
    assert int(np.asarray(loaded.optimizer.iterations)) == 3


def test_uncompiled_and_low_precision(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, dtype="bfloat16")])
    model.save(path)
    for loaded in (load_model(path), load_model(path, compile=False)):
        np.testing.assert_array_equal(model.get_weights()[0], loaded.get_weights()[0])
    expected = keras.models.load_model(path).get_weights()[0]
    assert expected.dtype.name == "bfloat16"
    np.testing.assert_array_equal(model.get_weights()[0], expected)


def dense(*units: int) -> Any:
    return nyala.Sequential([nyala.Input((3,)), *(nyala.layers.Dense(n, name=f"d{i}") for i, n in enumerate(units))])


@pytest.mark.parametrize(
    ("saved", "loaded", "message"),
    [
        ((2,), (3,), r"layers/dense: kernel has shape \(3, 3\), in the file \(3, 2\)"),
        ((2,), (2, 2), r"layers/dense_1: has 2 variables \(kernel, bias\), the file 0"),
        ((2, 2), (2,), "layers/dense_1: 2 values that the model has no place for"),
    ],
)
def test_strict(saved: Any, loaded: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    dense(*saved).save_weights(path)
    model = dense(*loaded)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.load_weights(path)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match=message):
        model.load_weights(path, skip_mismatch=True)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m, d: m.save_weights(d / "a.npz"), ValueError, "must end in .weights.h5"),
        (lambda m, d: m.load_weights(d / "there"), ValueError, "neither an HDF5 file"),
        (lambda m, d: m.load_weights(d / "a.weights.h5"), FileNotFoundError, "no file"),
        (lambda m, d: m.load_weights(d / "a.weights.h5", by_names=True), TypeError, "by_name"),
        (lambda m, d: m.save_weights(d / "a.h5", max_shard_size=1), ValueError, "weights.json"),
        (lambda m, d: m.save_weights(d / "a.weights.json", max_shard_size=0), ValueError, "positive number of GiB"),
        (lambda m, d: m.save(d / "a.foo"), ValueError, "must end in .keras"),
        (lambda m, d: m.save(d / "a.keras", zipped=False), ValueError, "names a folder"),
        (lambda m, d: m.save(d / "there"), ValueError, "would be loaded in place of"),
        (lambda m, d: m.save(d / "none" / "a.keras"), FileNotFoundError, "there is no folder"),
        (lambda m, d: m.save_weights(d / "none" / "a.weights.json"), FileNotFoundError, "there is no folder"),
        (lambda m, d: load_model(d / "a.keras"), FileNotFoundError, "no file"),
        (lambda m, d: load_model(d / "there"), ValueError, "neither a .keras archive"),
        (lambda m, d: load_model(d / "there", safe_mode=False), ValueError, "safe_mode"),
        (lambda m, d: nyala.Sequential([nyala.layers.Dense(2)]).save_weights(d / "b.weights.h5"), ValueError, "build"),
    ],
)
def test_errors(act: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    with pytest.raises(error, match=message):
        act(dense(2), tmp_path)


def test_overwrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.weights.h5"
    path.write_text("precious")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(FileExistsError, match="overwrite is False"):
        dense(2).save_weights(path, overwrite=False)
    assert path.read_text() == "precious"


def _fit(model: Any, *callbacks: Any, epochs: int = 1, **options: Any) -> Any:
    x, y = np.zeros((2, 3), "f4"), np.zeros((2, 1), "f4")
    return model.fit(x, y, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)


Write = Callable[[Any, Path], Any]
WRITERS: dict[str, Write] = {
    "m.keras": lambda m, p: m.save(p),
    "m.h5": lambda m, p: m.save(p),
    "m.weights.h5": lambda m, p: m.save_weights(p),
    "w.h5": lambda m, p: m.save_weights(p),
    "m.weights.json": lambda m, p: m.save_weights(p),
    "m.safetensors": lambda m, p: m.save_weights(p),
    "folder": lambda m, p: nyala.saving.save_model(m, p, zipped=False),
    "c.keras": lambda m, p: _fit(m, nyala.callbacks.ModelCheckpoint(p)),
    "backup.npz": lambda m, p: _fit(m, resume=p.parent),
    "log.csv": lambda m, p: _fit(m, nyala.callbacks.CSVLogger(p, append=True), epochs=120),
    "h.png": lambda m, p: _fit(m).plot(path=p),
    "m.png": lambda m, p: nyala.utils.plot_model(m, p),
}
NO_PLACE = Path("/sys/kernel")  # a folder in which not even root makes a file


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_the_old_file(
    name: str, tmp_path: Path, capfd: Any
) -> None:  # HDF5 complains on stderr itself
    model = dense(200)
    model.add(nyala.layers.Dense(1))
    model.compile("sgd", "mse")
    path, write = tmp_path / name, WRITERS[name]
    if name != "backup.npz":  # which goes when training ends
        write(model, path)
    old = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as error:
            write(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (error.value.filename, error.value.errno) == (str(path), 27) or name == "folder"
    found = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    if name == "log.csv":
        lines = found[path].split(b"\n")
        assert found[path].startswith(old[path]) and not lines.pop() and {n.count(b",") for n in lines} == {2}
    else:
        assert found == old
    if NO_PLACE.is_dir():
        with pytest.raises(PermissionError, match=str(NO_PLACE / name)):
            write(model, NO_PLACE / name)


def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from nyala.base import files\n"
        "with files.beside(Path(sys.argv[1])) as new, new.open('w') as f:\n"
        "    f.write('half'); f.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[2]).returncode == -9
    assert path.read_text() == "old"
    dense(2).save(path)
    assert zipfile.is_zipfile(path)


def test_unknown_class_is_not_imported(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    dense(2).save(path)
    with zipfile.ZipFile(path) as z:
        members = {n: z.read(n) for n in z.namelist()}
    members["config.json"] = members["config.json"].replace(b'"Dense"', b'"os.system"')
    with zipfile.ZipFile(path, "w") as z:
        for name, content in members.items():
            z.writestr(name, content)
    with pytest.raises(ValueError, match=r"os\.system"):
        load_model(path)


def test_links_and_outside_storage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    model = dense(2)
    for spoil in ("soft", "external", "storage"):
        model.save_weights(path)
        with h5py.File(path, "a") as f:
            group = f["layers/dense/vars"]
            del group["0"]
            if spoil == "soft":
                group["0"] = h5py.SoftLink("/layers/dense/vars/1")
            elif spoil == "external":
                group["0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
            else:
                group.create_dataset("0", shape=(3, 2), dtype="f4", external=[(str(tmp_path / "raw"), 0, 24)])
        with pytest.raises(ValueError, match="is refused"):
            model.load_weights(path)


def test_own_ways_of_saving(tmp_path: Path) -> None:
    class Table(nyala.layers.Dense):
        words, text = np.arange(3), "before"

        def save_own_variables(self, store: Any) -> None:
            super().save_own_variables(store)
            store["words"] = self.words

        def load_own_variables(self, store: Any) -> None:
            self.words = store.pop("words")
            super().load_own_variables(store)

        def save_assets(self, folder: str) -> None:
            Path(folder, "deep").mkdir()
            Path(folder, "deep", "text.txt").write_text(self.text)

        def load_assets(self, folder: str) -> None:
            self.text = Path(folder, "deep", "text.txt").read_text()

    first, second = (nyala.Sequential([nyala.Input((3,)), Table(2)]) for _ in range(2))
    first.layers[0].words, first.layers[0].text = np.array([7, 8]), "after"
    first.save_weights(tmp_path / "m.weights.h5")
    second.load_weights(tmp_path / "m.weights.h5")
    first.save(tmp_path / "m.keras")
    first.save(tmp_path / "folder", zipped=False)
    for found in (second, *(nyala.models.load_model(tmp_path / n, {"Table": Table}) for n in ("m.keras", "folder"))):
        np.testing.assert_array_equal(found.layers[0].words, [7, 8])
        np.testing.assert_array_equal(found.get_weights()[0], first.get_weights()[0])
        assert found.layers[0].text == ("before" if found is second else "after")
    with pytest.raises(ValueError, match="has 2 variables"):
        nyala.layers.Layer.load_own_variables(first.layers[0], {})


def test_checkpoint_callback_saves_what_loads(backend: str, tmp_path: Path) -> None:
    model = sequential(nyala)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, callbacks=[nyala.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")])
    close(model, load_model(tmp_path / "1.keras"))


class Scaled(nyala.Model):
    """No get_config, and a constructor that takes no name."""

    def __init__(self, by: float = 2.0) -> None:
        super().__init__()
        self.by = by
        self.flat = nyala.layers.Flatten()
        self.last = nyala.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.last(self.flat(x)) * self.by


def own_loss(y: Any, p: Any) -> Any:
    return nyala.ops.mean(nyala.ops.abs(y - p), axis=-1)


def scaled(k: Any) -> Any:
    model = Scaled(3.0)
    model(X)
    return model


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("make", [functional, sequential, scaled])
def test_copies(make: Any, how: Any, backend: str) -> None:
    model = make(nyala)
    model.compile("adam", own_loss, metrics=["mse"])
    model.fit(X, Y, verbose=0)
    again = how(model)
    close(model, again)
    assert again.backend == backend and again.optimizer is not model.optimizer
    for mine, theirs in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    before = model.get_weights()
    again.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert again.name == model.name and getattr(again, "by", 3.0) == 3.0


def test_a_model_without_get_config_is_saved(tmp_path: Path) -> None:
    model = scaled(nyala)
    model.save(tmp_path / "m.keras")
    close(model, load_model(tmp_path / "m.keras", custom_objects={"Scaled": Scaled}))


def test_inspect(tmp_path: Path) -> None:
    model = nyala.Sequential([nyala.Input((8, 8, 2)), nyala.layers.Flatten(), nyala.layers.Dense(2)])
    for name, kind in {
        "m.keras": "a model (.keras archive)",
        "m.h5": "a model (HDF5)",
        "m.weights.h5": "weights (HDF5)",
        "w.h5": "weights by layer (HDF5)",
        "m.safetensors": "weights (safetensors)",
    }.items():
        (model.save if name in ("m.keras", "m.h5") else model.save_weights)(tmp_path / name)
        info = inspect(tmp_path / name)
        assert info.kind == kind and not info.problems and (128, 2) in info.arrays.values()
        assert "(128, 2)" in str(info)
        if name in ("m.keras", "m.h5"):
            assert info.layers["Dense"] == 1 and info.version == "3.15.1" and not info.needs
    wrapped = nyala.Sequential([nyala.Input((8, 8, 2)), Scaled()])
    wrapped.save(tmp_path / "m.keras")
    assert inspect(tmp_path / "m.keras").needs == ["Scaled"]
    path = tmp_path / "bad.h5"
    with h5py.File(path, "w") as file:
        file["a"] = h5py.ExternalLink("other.h5", "/x")
    assert "link to another place" in inspect(path).problems[0]


def test_names_of_tensorflows_format(tmp_path):
    """Programs of Keras 2 name no ending; what is written in place of TensorFlow's format is found by that name."""
    model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)])
    old.forget()
    with pytest.warns(old.OldSpelling, match="weights.h5"):
        model.save_weights(tmp_path / "new" / "cp.ckpt", save_format="tf")
        model.save(tmp_path / "new" / "model")
        callback = nyala.callbacks.ModelCheckpoint(tmp_path / "cp-{epoch}-{loss:.1f}", save_weights_only=True)
    callback.set_model(model)
    callback.on_epoch_end(0, {"loss": 0.5})
    again = load_model(tmp_path / "new" / "model")
    for name in ("new/cp.ckpt", "new/model", "cp-1-0.5"):
        again.set_weights([0 * w for w in again.get_weights()])
        again.load_weights(tmp_path / name).expect_partial()
        np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_a_model_of_which_only_the_parts_are_called(tmp_path: Path) -> None:
    class Trainer(nyala.Model):
        def __init__(self) -> None:
            super().__init__()
            self.part = dense(2)

    model, other = Trainer(), Trainer()
    model.save_weights(tmp_path / "m.weights.h5")
    other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(model.part.get_weights()[0], other.part.get_weights()[0])
