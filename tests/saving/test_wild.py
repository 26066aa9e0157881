"""Model files that other people wrote with Keras 1.0 to 3.14: they load, and predict what is recorded beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import nyala
from nyala import backend_scope, ops
from nyala.saving import load_model, savedmodel

WILD = Path(__file__).resolve().parents[3] / "shared/data/models_wild"
pytestmark = pytest.mark.skipif(not WILD.is_dir(), reason="the folder with the files is not there")

RECORDED = sorted(p.name.removesuffix(".npz") for p in (WILD / "expected").glob("*.npz") if "savedmodel" not in p.name)
OTHERS = [
    "h5_keras2/braai_d6_m9.h5",
    "keras_v3/allaudin_ecg_cnn1d_k2.15.keras",
    "keras_v3/cleandoc_conv_autoencoder_k2.14.keras",
]
JSON = {
    "kerasjs_mnist_cnn.json": 600_810,
    "kerasjs_mnist_vae.json": 1_709_121,
}


def found(name: str) -> Path:
    return next(p for p in WILD.rglob(name) if "expected" not in p.parts)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", RECORDED)
def test_predictions_are_those_recorded(name: str) -> None:
    model = load_model(found(name))
    data = np.load(WILD / "expected" / f"{name}.npz")
    x, y = data["x0"][:4], data["y0"][:4]
    np.testing.assert_allclose(np.asarray(model.predict(x, verbose=0)), y, rtol=2e-5, atol=2e-5)
    assert model.compiled and (int(model.optimizer.iterations.numpy()) > 0) == (
        "optimizer_weights" in stored(found(name))
    )


def stored(path: Path) -> Any:
    if path.suffix == ".keras":
        return ["optimizer_weights"]
    with h5py.File(path) as file:
        return list(file)


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_load_with_the_optimizer_s_state(name: str) -> None:
    model = load_model(WILD / name)
    slots = model.optimizer.variables[2:]
    assert sum(float(np.abs(v.numpy()).sum()) > 0 for v in slots) > len(slots) // 2
    shape = [2, *(n or 32 for n in model.input_shape[1:])]
    assert np.isfinite(np.asarray(model(np.zeros(shape, "float32")))).all()


@pytest.mark.parametrize("name", JSON)
def test_architectures_of_keras_1(name: str) -> None:
    assert nyala.models.model_from_json((WILD / "json_arch" / name).read_text()).count_params() == JSON[name]


def test_weights_beside_an_architecture() -> None:
    folder = WILD / "h5_keras2"
    model = nyala.models.model_from_json((folder / "braai_d6_m9.architecture.json").read_text())
    model.load_weights(folder / "braai_d6_m9.weights.h5")
    whole = load_model(folder / "braai_d6_m9.h5", compile=False)
    x = np.random.default_rng(0).random((2, 63, 63, 3), dtype="float32")
    with h5py.File(folder / "braai_d6_m9.weights.h5") as file:
        np.testing.assert_array_equal(model.get_weights()[0], file["conv1/conv1/kernel:0"][()])
    assert model(x).shape == whole(x).shape


def test_channels_first(backend: str) -> None:
    folder = WILD / "h5_keras1"
    spec = json.loads((folder / "rocalphago_minimodel_policy.json").read_text())

    class Bias(nyala.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1],), name="w")

        def call(self, x: Any) -> Any:
            return x + self.w

    model = nyala.models.model_from_json(spec["keras_model"], custom_objects={"Bias": Bias})
    model.load_weights(folder / "rocalphago_random_minimodel_policy_weights.hdf5")
    y = model.predict(np.random.default_rng(0).random((1, 12, 19, 19), dtype="float32"), verbose=0)
    np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-5)


def test_code_in_a_file_is_not_run_and_may_be_supplied() -> None:
    path = WILD / "keras_v3/pill_siamese_nested.keras"
    with pytest.warns(UserWarning, match="`l2_embedding`, `absolute_difference` hold Python code"):
        model = load_model(path)
    x = [np.random.default_rng(i).random((1, *x.shape[1:]), dtype="float32") for i, x in enumerate(model.inputs)]
    with pytest.raises(RuntimeError, match="Lambda `l2_embedding`: cannot be called"):
        model.predict(x, verbose=0)
    with pytest.raises(TypeError, match="cannot be saved"):
        model.to_json()
    functions = {
        "l2_embedding": lambda x: ops.normalize(x, axis=1),
        "absolute_difference": lambda pair: ops.abs(pair[0] - pair[1]),
    }
    whole = load_model(path, custom_objects=functions)
    model.get_layer("embedding_model").get_layer("l2_embedding").function = functions["l2_embedding"]
    model.get_layer("absolute_difference").function = functions["absolute_difference"]
    y = model.predict(x, verbose=0)
    np.testing.assert_array_equal(y, whole.predict(x, verbose=0))
    assert np.isfinite(y).all()


def test_code_in_a_file_of_keras_2() -> None:
    # On torch, which does not compile each of the many operations of the calls.
    with backend_scope("torch"), pytest.warns(UserWarning, match="`lambda_15` hold Python code"):
        model = load_model(WILD / "h5_keras2/st_efficientnet_lc_v1_128_flowers.h5", compile=False)
    x = np.zeros((1, 128, 128, 3), "float32")
    with pytest.raises(RuntimeError, match="Lambda `lambda`: cannot be called"):
        model(x)
    for layer in model.layers:
        if isinstance(layer, nyala.layers.Lambda):
            layer.function = lambda x: ops.clip(x, -4.0, 4.0)
    assert np.isfinite(ops.convert_to_numpy(model(x))).all()


def test_a_function_by_name_may_be_supplied() -> None:
    path = WILD / "keras_v3/spotify_siamese_nested.keras"
    with pytest.raises(ValueError, match="euclidean_distance"):
        load_model(path)

    def euclidean_distance(pair: Any) -> Any:
        return ops.sqrt(ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True))

    model = load_model(path, custom_objects={"euclidean_distance": euclidean_distance}, compile=False)
    shapes = [(1, *x.shape[1:]) for x in model.inputs]
    assert np.isfinite(np.asarray(model([np.ones(s, "float32") for s in shapes]))).all()


def test_a_savedmodel() -> None:
    folder = WILD / "savedmodel/mlperftiny/kws_ref_model"
    model = load_model(folder)
    data = np.load(WILD / "expected/savedmodel_mlperftiny_kws_ref_model.npz")
    np.testing.assert_allclose(model.predict(data["x"], verbose=0), data["y_dense"], rtol=2e-5, atol=2e-5)
    assert nyala.saving.inspect(folder).layers["DepthwiseConv2D"] == 4
    import tensorflow as tf

    stored = tf.train.load_checkpoint(str(folder / "variables/variables"))
    value, slot = "/.ATTRIBUTES/VARIABLE_VALUE", "layer_with_weights-9/gamma/.OPTIMIZER_SLOT/optimizer/"
    assert int(model.optimizer.iterations.numpy()) == stored.get_tensor(f"optimizer/iter{value}") > 0
    gamma = [x for x in model.layers if x.weights][9].gamma
    place = 2 + 2 * [v is gamma for v in model.trainable_variables].index(True)
    for kind, variable in zip("mv", model.optimizer.variables[place : place + 2]):
        np.testing.assert_array_equal(variable.numpy(), stored.get_tensor(f"{slot}{kind}{value}"))


def test_weights_of_a_savedmodel_without_layers() -> None:
    folder = WILD / "savedmodel/albany/mnist_model"
    with pytest.raises(ValueError, match="use load_weights"):
        load_model(folder)
    data = np.load(WILD / "expected/savedmodel_albany_mnist_model.npz")
    model = nyala.Sequential([nyala.Input((784,)), *(nyala.layers.Dense(n, "relu") for n in (64, 64))])
    model.add(nyala.layers.Dense(10, "softmax"))
    model.load_weights(folder)
    np.testing.assert_allclose(model.predict(data["x"], verbose=0), data["y_output_0"], rtol=2e-5, atol=2e-5)


def test_a_savedmodel_of_tf_keras_2_5_and_later(tmp_path: Path) -> None:
    folder = WILD / "savedmodel/mlperftiny/kws_ref_model"
    told = json.dumps(savedmodel.root_config(folder)).encode()
    (tmp_path / "saved_model.pb").write_bytes(b"")
    (tmp_path / "variables").symlink_to(folder / "variables")
    field = lambda number, text: bytes([8 * number + 2]) + varint(len(text)) + text  # noqa: E731
    root = field(3, b"root") + field(4, b"_tf_keras_network") + field(5, told)
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, root))
    for a, b in zip(load_model(tmp_path).get_weights(), load_model(folder).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, root)[:-9])
    with pytest.raises(ValueError, match="damaged"):
        load_model(tmp_path)


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
