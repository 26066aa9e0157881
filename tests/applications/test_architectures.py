"""Networks as Keras builds them: names, shapes and weights in order, from a table that Keras itself filled (keras.json)."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import nyala
from nyala import backends
from nyala.base import naming

KERAS = json.loads((Path(__file__).parent / "keras.json").read_text())

QUICK = (
    "VGG16 include_top,pooling,input_shape", "ResNet50 include_top,pooling", "ResNet50V2 include_top",
    "Xception include_top,pooling", "MobileNet alpha,depth_multiplier,dropout,input_shape,classes,name",
    "MobileNetV3Small minimalistic,include_preprocessing,input_shape",
    "EfficientNetV2B0 include_top,pooling",
    "ConvNeXtTiny include_top,pooling,input_shape",
)  # fmt: skip


def _rows() -> list[Any]:
    rows = []
    for name, arguments, *rest in KERAS["models"]:
        label = f"{name} {','.join(arguments)}".strip()
        marks = () if label in QUICK else (pytest.mark.long,)
        rows.append(pytest.param(name, arguments, *rest, id=label, marks=marks))
    return rows


def _digest(model: Any) -> str:
    layers = [[layer.name, type(layer).__name__, layer.output.shape] for layer in model.layers]
    weights = [[w.path, w.shape] for w in model.weights]
    return hashlib.sha256(json.dumps([model.name, layers, weights]).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "arguments", "parameters", "digest"), _rows())
def test_as_keras_builds_it(name: str, arguments: dict[str, Any], parameters: int, digest: str) -> None:
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    with backends.backend_scope("jax"):
        naming.reset()
        model = getattr(nyala.applications, name)(weights=None, **arguments)
    assert model.count_params() == parameters
    assert _digest(model) == digest


@pytest.mark.parametrize("name", [n for n in nyala.applications.__all__ if n[0].isupper()])
def test_signature(name: str) -> None:
    import keras

    own = getattr(nyala.applications, name)
    theirs = inspect.signature(getattr(keras.applications, name)).parameters.values()
    assert [(p.name, p.default) for p in inspect.signature(own).parameters.values()] == [
        (p.name, p.default) for p in theirs
    ]
    assert own.__name__ == name
    assert "input_tensor:" in own.__doc__


@pytest.mark.parametrize("name", KERAS["files"])
def test_files(name: str) -> None:
    row = inspect.getclosurevars(getattr(nyala.applications, name)).nonlocals["row"]
    assert [list(row.file(top)) for top in (True, False)] == KERAS["files"][name]


SMALL = dict(include_top=False, input_shape=(32, 32, 3))
MOBILE_FILES: dict[str, tuple[str, dict[str, Any], str, str | None]] = {
    "v1": ("MobileNet", dict(SMALL, alpha=0.25, input_shape=(128, 128, 3)), "mobilenet_2_5_128_tf_no_top.h5", None),
    "v1 other size": ("MobileNet", dict(SMALL, alpha=0.25), "mobilenet_2_5_224_tf_no_top.h5", None),
    "v2": (
        "MobileNetV2",
        dict(alpha=0.35, input_shape=(96, 96, 3)),
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5",
        None,
    ),
    "v3": (
        "MobileNetV3Small",
        dict(SMALL, minimalistic=True),
        "weights_mobilenet_v3_small_minimalistic_224_1.0_float_no_top_v2.h5",
        "cde8136e733e811080d9fcd8a252f7e4",
    ),
}


@pytest.mark.filterwarnings("ignore:.*no published weights")
@pytest.mark.parametrize(("name", "arguments", "file", "file_hash"), MOBILE_FILES.values(), ids=MOBILE_FILES)
def test_files_of_mobile_networks(
    name: str, arguments: dict[str, Any], file: str, file_hash: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def ask(*given: Any) -> None:
        raise Asked(*given)

    monkeypatch.setattr("nyala.applications._net.cached", ask)
    with backends.backend_scope("jax"), pytest.raises(Asked) as asked:
        getattr(nyala.applications, name)(**arguments)
    assert asked.value.args[0] == file
    assert asked.value.args[1].endswith(f"/{file}")
    assert asked.value.args[2] == file_hash
    assert len(json.dumps(asked.value.args)) < 400


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "weights": ("VGG16", dict(weights="foo"), "path of a file"),
    "classes": ("VGG16", dict(classes=10), "1000 classes"),
    "activation": ("VGG16", dict(classifier_activation="relu"), "'softmax' or None"),
    "two sizes": ("VGG16", dict(weights=None, input_shape=(100, 100)), "three sizes"),
    "small": ("InceptionV3", dict(weights=None, include_top=False, input_shape=(74, 80, 3)), "75 x 75"),
    "size of the top": ("ResNet50", dict(input_shape=(64, 64, 3)), r"\(224, 224, 3\)"),
    "channels": ("ResNet50", dict(include_top=False, input_shape=(64, 64, 4)), "3 channels"),
    "unknown size": ("VGG16", dict(weights=None, input_shape=(None, None, 3)), "without None"),
    "pooling": ("VGG16", dict(weights=None, include_top=False, pooling="sum"), "'avg'"),
    "alpha": ("MobileNet", dict(alpha=0.6), "alpha"),
    "alpha of V2": ("MobileNetV2", dict(alpha=0.3), "alpha"),
    "alpha of V3": ("MobileNetV3Large", dict(alpha=0.75, minimalistic=True), "minimalistic"),
    "depth": ("MobileNet", dict(depth_multiplier=2), "depth_multiplier"),
}


@pytest.mark.parametrize(("name", "arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(name: str, arguments: dict[str, Any], message: str) -> None:
    with backends.backend_scope("jax"), pytest.raises(ValueError, match=message):
        getattr(nyala.applications, name)(**arguments)


def test_on_a_tensor() -> None:
    """A network stands on an image that other layers made; the model begins where they do."""
    with backends.backend_scope("jax"):
        naming.reset()
        image = nyala.Input((64, 64, 3), name="image")
        scaled = nyala.layers.Rescaling(1 / 255)(image)
        model = nyala.applications.vgg16.VGG16(weights=None, include_top=False, input_tensor=scaled)
    assert [layer.name for layer in model.layers[:3]] == ["image", "rescaling", "block1_conv1"]
    assert model.input_names == ["image"]
    assert model.output_shape == (None, 2, 2, 512)
