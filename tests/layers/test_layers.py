"""What single layers do beyond the contract: errors, randomness, frozen and adapted weights, wrappers, functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nyala import layers, ops

X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)
IMG = np.ones((2, 5, 5, 3), "float32")


def array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0, name="head"), "Dense `head`: units must be a positive int, got 0"),
        (lambda: layers.Dense(3, unit=2), "unknown argument 'unit'"),
        (lambda: layers.Dense(3, quantization_config=8), "config must be a QuantizationConfig, got 8"),
        (lambda: layers.Dense(3, activation="rellu"), "relu"),
        (lambda: layers.Conv2D(3, 2, groups=2), "filters must be a multiple of groups, got filters=3 and groups=2"),
        (lambda: layers.Conv2D(3, (2, 2, 2)), "kernel_size must be an int >= 1 or a tuple of 2 of them"),
        (lambda: layers.Conv2D(3, 2, padding="causal"), "padding must be one of 'valid', 'same', 'full', got 'causal'"),
        (lambda: layers.Conv2D(3, 2, strides=2, dilation_rate=2), "strides and dilation_rate cannot both exceed 1"),
        (lambda: layers.Conv2D(3, 7)(IMG), "does not fit into the input of shape (2, 5, 5, 3)"),
        (lambda: layers.Conv2D(3, 2)(X), "expected an input with 4 axes, got 3"),
        (lambda: layers.Conv2DTranspose(3, 2, strides=2, output_padding=2), "output_padding must be less than strides"),
        (lambda: layers.MaxPooling2D(7)(IMG), "pool_size (7, 7) does not fit"),
        (lambda: layers.Cropping1D(2)(X), "leaves nothing of an input of shape (2, 4, 3)"),
        (lambda: layers.Reshape((5,))(X), "cannot give 12 numbers"),
        (lambda: layers.Permute((0, 1)), "dims must be an order of 1, ..., 2, got (0, 1)"),
        (lambda: layers.BatchNormalization(axis=4)(X), "axis 4 is not an axis of an input of shape (2, 4, 3)"),
        (lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"r": 1}), "a key of renorm_clipping must be"),
        (
            lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"rmax": 1, "rmin": 2}),
            "rmax must be greater",
        ),
        (lambda: layers.GroupNormalization(2)(X), "groups must divide the 3 channels of the input, got 2"),
        (lambda: layers.Dropout(1.5), "rate must be a number in [0, 1], got 1.5"),
        (lambda: layers.Subtract()([X, X, X]), "expected a list of 2 inputs, got 3 of them"),
        (lambda: layers.Add()(X), "expected a list of inputs, got one tensor"),
        (lambda: layers.Add()([X, X[:, :, :2]]), "cannot be broadcast"),
        (lambda: layers.Concatenate(1)([X, X[:, :, :2]]), "must have the same shape except along axis 1"),
        (lambda: layers.Dot(0)([X, X]), "must name axes of equal size, not the batch"),
        (lambda: layers.EinsumDense("abc->abd", 3)(X), "equation must look like"),
        (
            lambda: layers.EinsumDense("abc,cd->abd", (7, 3))(X),
            "axis 'b' has size 4 in the input and 7 in output_shape",
        ),
        (lambda: layers.Lambda(3), "function must be callable"),
        (lambda: layers.Dense(3).enable_lora(2), "enable_lora needs a built layer"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError, NotImplementedError)) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (layers.Dropout(0.25, seed=1), {0.0, 4 / 3}),
        (layers.SpatialDropout1D(0.25, seed=1), {0.0, 4 / 3}),
        (layers.AlphaDropout(0.25, seed=1), {1.24844, -1.14354}),
        (layers.GaussianDropout(0.25, seed=1), None),
        (layers.GaussianNoise(0.5, seed=1), None),
    ],
    ids=lambda x: type(x).__name__,
)
def test_noise(layer: Any, values: Any, backend: str) -> None:
    layer = layers.deserialize(layers.serialize(layer))  # one whose seed belongs to this backend
    x = np.ones((100, 20, 20), "float32")
    np.testing.assert_array_equal(array(layer(x)), x)
    y, z = array(layer(x, training=True)), array(layer(x, training=True))
    if not isinstance(layer, layers.AlphaDropout):  # which keeps a mean of 0
        assert abs(y.mean() - 1) < 0.06
    assert (y != z).any()
    if values is not None:
        assert {round(float(v), 5) for v in np.unique(y)} == {round(v, 5) for v in values}
    if layer.__class__ is layers.SpatialDropout1D:
        assert (y == y[:, :1]).all()


def test_frozen_batch_normalization_keeps_its_statistics(backend: str) -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 4, 3))
    layer.trainable = False
    y = layer(X, training=True)
    np.testing.assert_allclose(array(y), X / np.sqrt(1 + 1e-3), rtol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))


def test_lora(backend: str) -> None:
    layer = layers.Dense(2)
    before = array(layer(X))
    layer.enable_lora(2, lora_alpha=6)
    np.testing.assert_allclose(array(layer(X)), before, atol=1e-6)
    assert [v.name for v in layer.trainable_weights] == ["bias", "lora_kernel_a", "lora_kernel_b"]
    layer.lora_kernel_b.assign(np.ones((2, 2)))
    low = X @ layer.lora_kernel_a.numpy() @ np.ones((2, 2)) * 3
    np.testing.assert_allclose(array(layer(X)), before + low, rtol=1e-5, atol=1e-5)
    assert layers.deserialize(layers.serialize(layer)).lora_alpha == 6


def test_a_convolution_whose_kernel_is_changed_first(backend: str) -> None:
    class Centred(layers.Conv1D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return super().convolution_op(inputs, kernel - ops.mean(kernel))

    found = Centred(2, 1, kernel_initializer="ones", bias_initializer="ones")(np.ones((1, 3, 4), "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(found), np.ones((1, 3, 2)))


def test_time_distributed(backend: str) -> None:
    layer = layers.TimeDistributed(layers.Dense(5))
    y = layer(X)
    assert tuple(y.shape) == (2, 4, 5)
    np.testing.assert_allclose(array(y)[:, 1], array(layer.layer(X[:, 1])), rtol=1e-5, atol=1e-6)
    assert layer(layers.Input((None, 3))).shape == (None, None, 5)
    assert layers.deserialize(layers.serialize(layer)).layer.units == 5


def test_spectral_normalization(backend: str) -> None:
    layer = layers.SpectralNormalization(layers.Dense(3), power_iterations=30)
    layer(X, training=True)
    assert abs(np.linalg.norm(layer.layer.kernel.numpy(), 2) - 1) < 1e-3


def test_lambda(backend: str) -> None:
    layer = layers.Lambda(lambda x, by, training=None: x * (by if training else 1.0), arguments={"by": 3.0})
    np.testing.assert_allclose(array(layer(X)), X)
    np.testing.assert_allclose(array(layer(X, training=True)), 3 * X)


def test_masks_travel(backend: str) -> None:
    x = np.array([[1, 2, 0], [3, 0, 0]])
    y = layers.Embedding(4, 3, mask_zero=True)(x)
    z = layers.Dense(2)(layers.Dropout(0.5)(y))
    mean = layers.GlobalAveragePooling1D()(z)
    want = [array(z)[0, :2].mean(0), array(z)[1, :1].mean(0)]
    np.testing.assert_allclose(array(mean), want, rtol=1e-5, atol=1e-6)


def test_function_forms(backend: str) -> None:
    pairs = {"add": X + X, "subtract": X - X, "multiply": X * X, "average": X, "maximum": X, "minimum": X}
    for name, want in pairs.items():
        np.testing.assert_allclose(array(getattr(layers, name)([X, X])), want, atol=1e-6)
    assert tuple(layers.concatenate([X, X], axis=1).shape) == (2, 8, 3)
    assert tuple(layers.dot([X, X], axes=2, normalize=True).shape) == (2, 4, 4)


def test_every_alias_of_keras() -> None:
    import keras

    for name in layers.__all__:
        theirs = getattr(keras.layers, name, None)
        if isinstance(theirs, type):
            assert getattr(layers, name).__name__ == theirs.__name__
    assert layers.get("MaxPool2D") is not None and isinstance(layers.get("flatten"), layers.Flatten)
