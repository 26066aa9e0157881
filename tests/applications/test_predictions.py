"""Logits against Keras's with the same weights; pixels and names of classes; real weights on real photos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.applications import imagenet_utils

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "weights").is_dir(), reason="no published weights here")

KERAS = json.loads((Path(__file__).parent / "keras.json").read_text())
SIZE = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
LARGE = [n for n in dir(keras.applications) if n[0].isupper()]


def _fill(model: Any) -> None:
    """Weights by their order alone, such that activations neither vanish nor explode and no two channels are alike."""
    rng = np.random.default_rng(0)
    for w in model.weights:
        shape = tuple(w.shape)
        if len(shape) > 1:
            inputs = np.prod(
                shape[:2] if shape[-1] == 1 else shape[:-1]
            )  # one filter for a channel: a depthwise kernel
            w.assign(rng.normal(0, (2 / inputs) ** 0.5, shape).astype("float32"))
        elif "count" not in w.path:
            center = 1.0 if w.path.endswith(("gamma", "variance")) or "layer_scale" in w.path else 0.0
            w.assign(rng.uniform(center - 0.1, center + 0.1, shape).astype("float32"))


def _logits(package: Any, name: str, **arguments: Any) -> np.ndarray:
    size = SIZE.get(name, 32)
    model = getattr(package.applications, name)(**arguments, weights=None, input_shape=(size, size, 3))
    _fill(model)
    for layer in model.layers if package is keras else ():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # Keras computes with what it noted of the weights
    x = np.random.default_rng(1).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    return model.predict(x * 128 + 128 if name.startswith(("Eff", "Conv", "MobileNetV3")) else x, verbose=0)


def test_logits() -> None:  # on one backend: the layers are compared on all of them
    with nyala.backend_scope("torch"):
        found = _logits(nyala, "MobileNet", alpha=0.25, classes=5, classifier_activation=None)
    np.testing.assert_allclose(found, KERAS["logits"], atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", LARGE)
def test_logits_of_all(name: str) -> None:
    wanted = _logits(keras, name, include_top=False, pooling="avg")
    with nyala.backend_scope("jax"):
        found = _logits(nyala, name, include_top=False, pooling="avg")
    scale = float(np.abs(wanted).max())
    assert scale > 1e-3
    np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-4)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("kind", ["float32", "uint8", "channels_first", "tensor"])
def test_preprocess_input(mode: str, kind: str, backend: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype("uint8" if kind == "uint8" else "float32")
    layout = kind if kind == "channels_first" else "channels_last"
    x = np.moveaxis(x, -1, 1) if layout == "channels_first" else x
    wanted = keras.applications.imagenet_utils.preprocess_input(x.copy(), data_format=layout, mode=mode)
    given = nyala.ops.convert_to_tensor(x) if kind == "tensor" else x.copy()
    found = imagenet_utils.preprocess_input(given, data_format=layout, mode=mode)
    assert isinstance(found, np.ndarray) == (kind != "tensor")
    np.testing.assert_allclose(nyala.ops.convert_to_numpy(found), wanted, atol=1e-4)
    if kind == "tensor":
        symbolic = imagenet_utils.preprocess_input(nyala.Input((4, 5, 3)), mode=mode)
        assert symbolic.shape == (None, 4, 5, 3)


@pytest.mark.parametrize("family", [n for n in nyala.applications.__all__ if n[0].islower() and n != "imagenet_utils"])
def test_preprocess_input_of_a_family(family: str) -> None:
    x = np.random.default_rng(0).uniform(0, 255, (1, 2, 2, 3)).astype("float32")
    wanted = getattr(keras.applications, family).preprocess_input(x.copy())
    np.testing.assert_allclose(getattr(nyala.applications, family).preprocess_input(x), wanted, atol=1e-4)


def test_decode_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = {str(i): [f"n{i:08d}", f"class {i}"] for i in range(1000)}
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(index))
    monkeypatch.setenv("NYALA_HOME", str(tmp_path))
    monkeypatch.setattr("nyala.applications.imagenet_utils._INDEX_HASH", None)
    imagenet_utils._class_index.cache_clear()
    scores = np.zeros((2, 1000), "float32")
    scores[0, [7, 3]] = 0.75, 0.25
    scores[1, 999] = 1.0
    found = nyala.applications.vgg16.decode_predictions(scores, top=2)
    imagenet_utils._class_index.cache_clear()
    assert found[0] == [("n00000007", "class 7", 0.75), ("n00000003", "class 3", 0.25)]
    assert len(found) == 2
    assert found[1][0] == ("n00000999", "class 999", 1.0)
    with pytest.raises(ValueError, match="1000"):
        imagenet_utils.decode_predictions(scores[0])


@needs_data
def test_a_photo_gets_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """MobileNet with published weights, by a program as the documents have it."""
    from nyala.applications.mobilenet import MobileNet, decode_predictions, preprocess_input
    from nyala.preprocessing import image

    (tmp_path / "models").mkdir()
    shutil.copy(DATA / "imagenet" / "imagenet_class_index.json", tmp_path / "models")
    monkeypatch.setenv("NYALA_HOME", str(tmp_path))
    imagenet_utils._class_index.cache_clear()
    model = MobileNet(alpha=0.25, weights=DATA / "weights" / "mobilenet_v1_0.25_224_imagenet_full_model.h5")
    photos = [image.load_img(DATA / "photos" / n, target_size=(224, 224)) for n in ("dog_samoyed.jpg", "cat.jpeg")]
    x = preprocess_input(np.stack([image.img_to_array(p) for p in photos]))
    expected = np.load(DATA / "photos" / "mobilenet025_expected.npz")
    crops, indexes = expected["crops"][:2], expected["crop_index"][:2]
    scores = model.predict(np.concatenate([x, preprocess_input(crops)]), verbose=0)
    assert [best[0][1] for best in decode_predictions(scores[:2], top=1)] == ["Samoyed", "tabby"]
    np.testing.assert_allclose(scores[2:], expected["probs"][indexes], atol=1e-4)


@needs_data
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "arguments", "file"),
    [
        ("MobileNet", dict(alpha=0.5), "mobilenet_5_0_224_tf_no_top.h5"),
        ("MobileNetV2", dict(alpha=0.35), "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"),
    ],
)
def test_published_weights(name: str, arguments: dict[str, Any], file: str) -> None:
    arguments = dict(arguments, include_top=False, input_shape=(224, 224, 3), weights=DATA / "weights" / file)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype("float32")
    wanted = getattr(keras.applications, name)(**dict(arguments, weights=str(arguments["weights"]))).predict(
        x, verbose=0
    )
    with nyala.backend_scope("jax"):
        found = getattr(nyala.applications, name)(**arguments).predict(x, verbose=0)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
