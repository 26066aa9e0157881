"""Masks travel with values and with symbolic tensors: through layers, models and files, to losses and metrics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import layers, ops
from nyala.base import masks
from nyala.graph.symbolic import SymbolicTensor
from nyala.models.functional import Functional

IDS = np.array([[1, 2, 0, 3], [3, 0, 0, 0]])
MASK = IDS != 0
OTHER = np.ones((2, 4, 3), "float32")


def array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


def embedded(ids: Any) -> Any:
    return layers.Embedding(5, 3, mask_zero=True)(ids)


def sub_model(x: Any) -> Any:
    inner = layers.Input((4, 3))
    return Functional(inner, layers.Dropout(0.5)(layers.Dense(2)(inner)))(x)


THROUGH: dict[str, tuple[Callable[..., Any], np.ndarray | None]] = {
    "Dense": (lambda x, y: layers.Dense(2)(x), MASK),
    "Activation": (lambda x, y: layers.Activation("relu")(x), MASK),
    "LayerNormalization": (lambda x, y: layers.LayerNormalization()(x), MASK),
    "BatchNormalization": (lambda x, y: layers.BatchNormalization()(x), MASK),
    "Add both": (lambda x, y: layers.Add()([x, x]), MASK),
    "Add one": (lambda x, y: layers.Add()([x, y]), None),
    "Concatenate features": (lambda x, y: layers.Concatenate()([x, y]), np.ones_like(MASK)),
    "Concatenate steps": (lambda x, y: layers.Concatenate(1)([x, y]), np.concatenate([MASK, np.ones_like(MASK)], 1)),
    "TimeDistributed": (lambda x, y: layers.TimeDistributed(layers.Dense(2))(x), MASK),
    "Masking": (lambda x, y: layers.Masking(1.0)(y), np.zeros_like(MASK)),
    "Lambda with mask": (lambda x, y: layers.Lambda(lambda v: v * 2, mask=lambda v, m: m)(x), MASK),
    "Lambda": (lambda x, y: layers.Lambda(lambda v: v * 2)(x), None),
    "Attention": (lambda x, y: layers.Attention()([x, y]), MASK),
    "MultiHeadAttention": (lambda x, y: layers.MultiHeadAttention(1, 2)(x, y), MASK),
    "MultiHeadAttention, other query": (lambda x, y: layers.MultiHeadAttention(1, 2)(y, x), None),
    "GlobalAveragePooling1D": (lambda x, y: layers.GlobalAveragePooling1D()(x), None),
}


@pytest.mark.parametrize("name", THROUGH)
def test_values_and_symbols_carry_the_same_mask(name: str, backend: str) -> None:
    apply, want = THROUGH[name]
    got = masks.get_mask(apply(embedded(IDS), OTHER))
    assert (got is None) == (want is None)
    ids, other = layers.Input((4,), dtype="int32"), layers.Input((4, 3))
    symbol = getattr(apply(embedded(ids), other), "_keras_mask", None)
    assert (symbol is None) == (want is None)
    if want is not None:
        np.testing.assert_array_equal(array(got), want)
        assert isinstance(symbol, SymbolicTensor) and symbol.shape == (None, *want.shape[1:])
        np.testing.assert_array_equal(array(Functional([ids, other], ops.cast(symbol, "int32"))([IDS, OTHER])), want)


def test_masks_pass_through_models(backend: str) -> None:
    np.testing.assert_array_equal(array(masks.get_mask(sub_model(embedded(IDS)))), MASK)
    ids = layers.Input((4,), dtype="int32")
    model = nyala.Sequential([ids, layers.Embedding(5, 3, mask_zero=True), layers.Dense(2)])
    np.testing.assert_array_equal(array(masks.get_mask(model(IDS))), MASK)
    mean = Functional(ids, layers.GlobalAveragePooling1D()(sub_model(model.layers[0](ids))))
    hidden = array(mean.layers[-2](model.layers[0](IDS)))
    np.testing.assert_allclose(array(mean(IDS))[1], hidden[1, 0], rtol=1e-5)


def test_a_layer_that_drops_a_mask_says_so(backend: str) -> None:
    for x in (IDS, layers.Input((4,), dtype="int32")):
        with pytest.warns(UserWarning, match="Flatten.*drops"):
            y = layers.Flatten()(embedded(x))
        assert getattr(y, "_keras_mask", None) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = embedded(layers.Input((4,), dtype="int32"))
        layers.MultiHeadAttention(1, 2)(layers.Dense(2)(x), x)


class Last(layers.Layer):
    """The last step that is there; the result has no mask."""

    def call(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            raise ValueError("needs a mask")
        steps = ops.expand_dims(ops.cumsum(ops.cast(mask, "int32"), axis=1), -1)
        last = ops.logical_and(ops.equal(steps, ops.max(steps, 1, keepdims=True)), ops.expand_dims(mask, -1))
        return ops.sum(ops.where(last, x, 0.0), axis=1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


def test_own_layers_get_masks_given_or_implied_also_from_a_file(backend: str, tmp_path: Any) -> None:
    ids, other = layers.Input((4,), dtype="int32"), layers.Input((4, 3))
    x = embedded(ids)
    given = Last()(other, mask=x._keras_mask)
    attended = layers.MultiHeadAttention(1, 2)(other, other, attention_mask=ops.expand_dims(x._keras_mask, 1))
    model = nyala.Model([ids, other], [Last()(x), given, attended])
    again = Functional.from_config(model.get_config(), custom_objects={"Last": Last})
    again.set_weights(model.get_weights())
    steps = np.arange(24, dtype="float32").reshape(2, 4, 3)
    outputs = [array(y) for y in model([IDS, steps])]
    np.testing.assert_allclose(outputs[0], array(embedded_rows(model))[[0, 1], [3, 0]])
    np.testing.assert_allclose(outputs[1], steps[[0, 1], [3, 0]])
    for one, other_one in zip(outputs, again([IDS, steps])):
        np.testing.assert_allclose(one, array(other_one), rtol=1e-5, atol=1e-6)


def embedded_rows(model: Any) -> Any:
    return next(x for x in model.layers if isinstance(x, layers.Embedding))(IDS)


def test_losses_and_metrics_leave_masked_steps_out(backend: str) -> None:
    model = nyala.Sequential([layers.Input((4,), dtype="int32"), layers.Embedding(5, 1, mask_zero=True)])
    model.compile(loss="mse", metrics=["mae"], weighted_metrics=["mse"])
    targets = np.arange(8, dtype="float32").reshape(2, 4, 1)
    errors = (array(model(IDS)) - targets)[MASK]
    loss, mae, mse = model.evaluate(IDS, targets, verbose=0)
    np.testing.assert_allclose(loss, (errors**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(mae, np.abs(errors).mean(), rtol=1e-5)
    np.testing.assert_allclose(mse, (errors**2).mean(), rtol=1e-5)


def test_masked_moments_are_those_of_what_is_there(backend: str) -> None:
    layer = layers.BatchNormalization(momentum=0.0)
    x = np.random.default_rng(0).normal(2, 3, size=(2, 4, 3)).astype("float32")
    layer(x, training=True, mask=MASK)
    np.testing.assert_allclose(layer.moving_mean.numpy(), x[MASK].mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x[MASK].var(0), rtol=1e-4)


def test_reversible_embedding(backend: str) -> None:
    import keras

    kwargs = {"tie_weights": False, "logit_soft_cap": 1.5, "reverse_dtype": "float32"}
    ours, theirs = (
        layers.ReversibleEmbedding(5, 3, mask_zero=True, **kwargs),
        keras.layers.ReversibleEmbedding(5, 3, **kwargs),
    )
    theirs.build()
    vectors = ours(IDS)
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(array(ours(x, reverse=True)), np.asarray(theirs(x, reverse=True)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(array(masks.get_mask(ours(vectors, reverse=True))), MASK)
    tied = layers.ReversibleEmbedding(5, 3)
    np.testing.assert_allclose(array(tied(x, reverse=True)), x @ tied.embeddings.numpy().T, rtol=1e-5, atol=1e-6)
