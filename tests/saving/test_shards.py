"""Weights in several files, models in folders, the editor and reports, exchanged with Keras."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import nyala
from nyala.saving import KerasFileEditor, inspect, load_model
from tests.saving.test_archive import close, sequential, trained

SMALL = 100 / 2**30


def same(a: object, b: object) -> None:
    for x, y in zip(a.variables, b.variables, strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.asarray(x.numpy()), np.asarray(y.numpy()))


def test_several_files_go_to_keras_and_back(tmp_path: Path) -> None:
    ours = trained(sequential, nyala)
    ours.save_weights(tmp_path / "m.weights.h5", max_shard_size=SMALL)
    theirs = sequential(keras)
    theirs.compile("adam", "mse")
    theirs.optimizer.build(theirs.trainable_variables)
    theirs.load_weights(tmp_path / "m.weights.json")
    same(ours, theirs)
    same(ours.optimizer, theirs.optimizer)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert "m_00001.weights.h5" in files and "m.weights.json" in files and not files[0].startswith(".")

    theirs.weights[0].assign(np.asarray(theirs.weights[0]) + 1)
    theirs.save_weights(tmp_path / "k.weights.json", max_shard_size=SMALL)
    ours.load_weights(tmp_path / "k.weights.json")
    same(ours, theirs)
    mine, others = (json.loads((tmp_path / f"{n}.weights.json").read_text()) for n in "mk")
    assert mine["metadata"] == others["metadata"] and mine["weight_map"].keys() == others["weight_map"].keys()
    assert len(inspect(tmp_path / "k.weights.json").arrays) == len(ours.variables) + len(ours.optimizer.variables)
    ours.save_weights(tmp_path / "k.weights.json")
    assert sorted(p.name for p in tmp_path.glob("k*")) == ["k.weights.json", "k_00000.weights.h5"]


@pytest.mark.parametrize("name", ["../a.weights.h5", "/a.weights.h5", "x/a.weights.h5", "a.h5", 3])
def test_an_index_names_only_files_beside_it(name: object, tmp_path: Path) -> None:
    index = tmp_path / "m.weights.json"
    index.write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    with pytest.raises(ValueError, match=r"no \.weights\.h5 file beside it"):
        trained(sequential, nyala).load_weights(index)


def test_an_array_too_large_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than max_shard_size"):
        trained(sequential, nyala).save_weights(tmp_path / "m.weights.json", max_shard_size=8 / 2**30)
    assert not list(tmp_path.iterdir())


def test_a_model_in_a_folder(tmp_path: Path) -> None:
    ours = trained(sequential, nyala)
    ours.save(tmp_path / "m", zipped=False)
    ours.save(tmp_path / "m", zipped=False)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "metadata.json", "model.weights.h5"]
    close(ours, load_model(tmp_path / "m"))
    theirs = keras.saving.load_model(tmp_path / "m")
    close(ours, theirs)
    theirs.save(tmp_path / "k", zipped=False)
    same(load_model(tmp_path / "k").optimizer, ours.optimizer)
    assert inspect(tmp_path / "k").kind == "a model (folder)"
    again = sequential(nyala)
    again.load_weights(tmp_path / "k")
    close(ours, again)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="left alone"):
        ours.save(tmp_path / "own", zipped=False)


def test_the_editor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"
    model = nyala.Sequential([nyala.Input((4,)), nyala.layers.Dense(3), nyala.layers.Dense(2)])
    model.save_weights(a)
    editor = KerasFileEditor(a)
    assert editor.compare(model) == {"status": "success", "error_count": 0, "match_count": 4}
    kernel = np.ones((3, 5), "float32")
    editor.rename_object("dense_1", "head")
    editor.add_weights("layers/head", {"0": kernel})
    editor.delete_weight("head", "1")
    editor.add_weights("head", {"1": np.zeros(5, "float32")})
    editor.delete_object("layers/dense")
    editor.add_object("layers/dense", {"0": np.ones((4, 3)), "1": np.ones(3)})
    editor.rename_object("head", "dense_1")
    assert editor.compare(model)["error_count"] == 2
    assert "layers/dense_1/0: the model has (3, 2), the file (3, 5)" in capsys.readouterr().out
    editor.summary()
    assert "layers/dense_1\n    0: (3, 5) float32" in capsys.readouterr().out
    assert list(editor.weights_dict["layers"]) == ["dense_1", "dense"]
    editor.resave_weights(b)
    for library in (nyala, keras):
        larger = library.Sequential([library.Input((4,)), library.layers.Dense(3), library.layers.Dense(5)])
        larger.load_weights(b)
        np.testing.assert_array_equal(np.asarray(larger.get_weights()[2]), kernel)
    with pytest.raises(ValueError, match=r"no object 'dens'.*dense"):
        editor.delete_object("dens")


def two(units: int) -> nyala.Model:
    return nyala.Sequential([nyala.Input((4,)), nyala.layers.Dense(3, name="a"), nyala.layers.Dense(units, name="b")])


@pytest.mark.parametrize("ending", [".weights.h5", ".weights.json", ".safetensors", ".h5"])
def test_a_report_instead_of_an_error(ending: str, tmp_path: Path) -> None:
    two(2).save_weights(tmp_path / f"m{ending}")
    with pytest.warns(UserWarning, match="do not fit"):
        wrong = two(9).load_weights(tmp_path / f"m{ending}", strict=False)
    assert wrong and all("(3, 9)" in line or "(9,)" in line for line in wrong), wrong
    assert two(2).load_weights(tmp_path / f"m{ending}", strict=False) == []
