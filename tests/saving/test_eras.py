"""Configs of older Keras that no file at hand holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nyala
from nyala.saving import config as config_
from nyala.saving import layouts, weights

TF_OPS = {
    "class_name": "Functional",
    "keras_version": "2.8.0",
    "config": {
        "name": "m",
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {
                    "batch_input_shape": [None, 4],
                    "dtype": "float32",
                    "sparse": False,
                    "ragged": False,
                    "name": "x",
                },
                "name": "x",
                "inbound_nodes": [],
            },
            {
                "class_name": "TFOpLambda",
                "config": {
                    "name": "tf.math.multiply",
                    "trainable": True,
                    "dtype": "float32",
                    "function": "math.multiply",
                },
                "name": "tf.math.multiply",
                "inbound_nodes": [["x", 0, 0, {"y": 3.0, "name": None}]],
            },
            {
                "class_name": "TFOpLambda",
                "config": {"name": "tf.concat", "trainable": True, "dtype": "float32", "function": "concat"},
                "name": "tf.concat",
                "inbound_nodes": [[["x", 0, 0, {"axis": -1}], ["tf.math.multiply", 0, 0, {"axis": -1}]]],
            },
            {
                "class_name": "SlicingOpLambda",
                "config": {"name": "g", "trainable": True, "dtype": "float32", "function": "__operators__.getitem"},
                "name": "g",
                "inbound_nodes": [
                    [
                        "tf.concat",
                        0,
                        0,
                        {
                            "slice_spec": [
                                {"start": None, "stop": None, "step": None},
                                {"start": 2, "stop": 6, "step": None},
                            ]
                        },
                    ]
                ],
            },
            {
                "class_name": "TFOpLambda",
                "config": {"name": "a", "trainable": True, "dtype": "float32", "function": "__operators__.add"},
                "name": "a",
                "inbound_nodes": [["g", 0, 0, {"y": ["x", 0, 0], "name": None}]],
            },
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["a", 0, 0]],
    },
}


def test_functions_of_tensorflow(backend: str) -> None:
    model = nyala.models.model_from_json(json.dumps(TF_OPS))
    x = np.arange(8.0, dtype="float32").reshape(2, 4)
    expected = np.concatenate([x, 3 * x], -1)[:, 2:6] + x
    np.testing.assert_allclose(model.predict(x, verbose=0), expected)


def test_an_unknown_function_is_named() -> None:
    text = json.dumps(TF_OPS).replace("math.multiply", "math.bessel_i0")
    with pytest.raises(ValueError, match=r"tf\.math\.bessel_i0"):
        nyala.models.model_from_json(text)


@pytest.mark.parametrize("name", ["DenseFeatures", "ModuleWrapper", "CategoryCrossing"])
def test_a_layer_without_a_successor_is_named(name: str) -> None:
    layer = {"class_name": name, "config": {"name": "old", "trainable": True}}
    config = {"class_name": "Sequential", "keras_version": "2.3.0", "config": {"name": "m", "layers": [layer]}}
    with pytest.raises(ValueError, match=rf"layer `old` is a {name}, which Keras had up to .*custom_objects"):
        nyala.models.model_from_json(json.dumps(config))


@pytest.mark.parametrize("kind", ["gaussian", "laplacian"])
def test_random_fourier_features(kind: str) -> None:
    """The layer is gone from Keras; its formula is the kernel that it stands for."""
    config = {"name": "f", "output_dim": 20_000, "kernel_initializer": kind, "scale": 1.5, "trainable": False}
    layers = [{"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "name": "i"}},
              {"class_name": "RandomFourierFeatures", "config": config}]  # fmt: skip
    nyala.utils.set_random_seed(0)
    model = nyala.models.model_from_json(
        json.dumps({"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "m", "layers": layers}})
    )
    assert [w.name for w in model.weights] == ["kernel_scale", "unscaled_kernel", "bias"]  # as Keras 2 stored them
    assert not model.trainable_weights
    x = np.array([[0.1, 0.5, -0.3], [1.0, 0.2, 0.4]], "float32")
    a, b = model.predict(x, verbose=0)
    distance = x[0] - x[1]
    wanted = np.exp(-(distance**2).sum() / 4.5) if kind == "gaussian" else np.exp(-abs(distance).sum() / 1.5)
    assert abs(2 * a @ b / 20_000 - wanted) < 0.02
    assert nyala.layers.RandomFourierFeatures.from_config(model.layers[0].get_config()).scale == 1.5


def test_metrics_of_functions_by_name() -> None:
    """tf.keras wrote MeanMetricWrapper with the name of a function, which is also that of a class."""
    metric = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"},
    }
    training = {"loss": "mse", "metrics": [[metric]], "optimizer_config": {"class_name": "SGD", "config": {}}}
    arguments = config_.compile_arguments(training, "2.15.0")
    found = arguments["metrics"][0][0]
    found.update_state(np.array([[1.0, 2.0]]), np.array([[2.0, 4.0]]))
    assert float(found.result()) == 1.5


GLOROT = {"class_name": "GlorotUniform", "config": {"seed": None}}
UNUSED = {
    "SeparableConv2D": ((4, 4, 2), {
        "filters": 3, "kernel_size": [2, 2], "data_format": "channels_last", "groups": 1, "kernel_initializer": GLOROT,
        "kernel_regularizer": None, "kernel_constraint": None, "depthwise_initializer": GLOROT,
    }),
    "SpatialDropout2D": ((4, 4, 2), {"rate": 0.5, "noise_shape": None, "seed": None}),
    "SpatialDropout1D": ((4, 2), {"rate": 0.5, "noise_shape": None, "seed": None}),
    "RandomHeight": ((4, 4, 2), {"factor": 0.2, "interpolation": "bilinear", "seed": None}),
}  # fmt: skip
"""Layers as tf.keras 2.15 wrote them, with arguments that they did not use."""


@pytest.mark.parametrize("name", UNUSED)
def test_arguments_that_said_nothing(name: str) -> None:
    shape, config = UNUSED[name]
    start = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, *shape], "name": "x", "ragged": False}}
    layer = {"class_name": name, "config": {"name": "it", "trainable": True, "dtype": "float32", **config}}
    model = {"class_name": "Sequential", "keras_version": "2.15.0", "config": {"name": "m", "layers": [start, layer]}}
    loaded = nyala.models.model_from_json(json.dumps(model))
    assert type(loaded.layers[-1]).__name__ == name and len(loaded.output_shape) == len(shape) + 1


def test_attention_of_tf_keras() -> None:
    x = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3, 4], "name": "x"}, "name": "x"}
    config = {"name": "a", "trainable": True, "dtype": "float32", "num_heads": 2, "key_dim": 2, "value_dim": 2, "dropout": 0.0,
              "use_bias": True, "output_shape": None, "attention_axes": [1], "query_shape": [None, 3, 4],
              "key_shape": [None, 3, 4], "value_shape": [None, 3, 4], "kernel_initializer": GLOROT}  # fmt: skip
    call = ["x", 0, 0, {"value": ["x", 0, 0]}]
    layers = [
        {**x, "inbound_nodes": []},
        {"class_name": "MultiHeadAttention", "config": config, "name": "a", "inbound_nodes": [[call]]},
    ]
    graph = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["a", 0, 0]]}
    text = json.dumps({"class_name": "Functional", "keras_version": "2.15.0", "config": graph})
    assert nyala.models.model_from_json(text).count_params() == 3 * (4 * 4 + 4) + 4 * 4 + 4
    places = [path for path, _ in weights.walk(nyala.models.model_from_json(text))]
    assert layouts.place("layers/multi_head_attention/_key_dense/vars") == "layers/multi_head_attention/key_dense/vars"
    assert "layers/multi_head_attention/key_dense" in places
