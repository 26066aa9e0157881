"""Attention beyond the contract: every mask against Keras, the fused kernel against the steps, scores, files, errors."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import backends, config, layers, ops
from nyala.base import masks
from nyala.ops import attention

RNG = np.random.default_rng(0)
Q, V = (RNG.normal(size=(2, n, 4)).astype("float32") for n in (3, 5))
QUERY = np.array([[1, 1, 0], [1, 0, 0]], bool)
VALUE = np.array([[0, 1, 1, 0, 1], [0, 0, 1, 1, 1]], bool)
KEY = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 0, 1]], bool)
PAIRS = RNG.random((2, 3, 5)) > 0.4
PAIRS[0, 1] = False  # a query that may look at nothing

MASKS: dict[str, dict[str, Any]] = {
    "none": {},
    "causal": {"use_causal_mask": True},
    "query": {"query_mask": QUERY},
    "value": {"value_mask": VALUE},
    "key": {"key_mask": KEY, "value_mask": VALUE},
    "pairs": {"attention_mask": PAIRS},
    "heads": {"attention_mask": np.stack([PAIRS, PAIRS[:, ::-1]], 1)},
    "floats": {"attention_mask": PAIRS[:1].astype("float32")},
    "all": {"attention_mask": PAIRS, "value_mask": VALUE, "query_mask": QUERY, "use_causal_mask": True},
}
LAYERS = {
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3, "use_gate": True},
    "GroupQueryAttention": {"head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1, "sliding_window": 3},
}


def array(x: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x))


@functools.lru_cache(maxsize=None)
def oracle(name: str) -> Any:
    import keras

    layer = keras.layers.__dict__[name](**LAYERS[name])
    layer.build(Q.shape, V.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.weights])
    return layer


@functools.lru_cache(maxsize=None)
def expected(name: str, mask: str) -> list[np.ndarray]:
    return [np.asarray(x) for x in oracle(name)(Q, V, return_attention_scores=True, **MASKS[mask])]


def like_oracle(name: str) -> Any:
    layer = layers.__dict__[name](**LAYERS[name])
    layer.build(Q.shape, V.shape)
    layer.set_weights(oracle(name).get_weights())
    return layer


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_masks_and_scores_against_keras(name: str, mask: str, backend: str) -> None:
    layer = like_oracle(name)
    output, scores = layer(Q, V, return_attention_scores=True, **MASKS[mask])
    want, want_scores = expected(name, mask)
    np.testing.assert_allclose(array(scores), want_scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(output), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(array(layer(Q, V, **MASKS[mask])), want, rtol=1e-4, atol=1e-4)


FUSED = {
    "plain": {},
    "causal": {"is_causal": True},
    "mask": {"mask": PAIRS[:, None]},
    "mask and causal": {"mask": PAIRS[:, None], "is_causal": True},
    "bias": {"bias": RNG.normal(size=(1, 4, 3, 5)).astype("float32")},
    "bias and mask": {"bias": RNG.normal(size=(2, 1, 3, 5)).astype("float32"), "mask": PAIRS[:, None]},
    "bias and causal": {"bias": RNG.normal(size=(2, 4, 3, 5)).astype("float32"), "is_causal": True},
    "scale": {"scale": 0.1},
}


@pytest.mark.parametrize("kwargs", FUSED.values(), ids=list(FUSED))
def test_fused_kernel_and_steps_agree(kwargs: dict[str, Any], backend: str) -> None:
    """Values and gradients, with heads that share keys and with queries that see nothing."""
    rng = np.random.default_rng(2)
    q, k, v = (
        ops.convert_to_tensor(rng.normal(size=(2, n, h, 6)).astype("float32")) for n, h in ((3, 4), (5, 2), (5, 2))
    )
    given = {n: ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x for n, x in kwargs.items()}
    factors = ops.convert_to_tensor(rng.normal(size=(2, 3, 4, 6)).astype("float32"))
    run = backends.current()

    def fused(q: Any, k: Any, v: Any) -> Any:
        return ops.dot_product_attention(q, k, v, **given)

    def steps(q: Any, k: Any, v: Any) -> Any:
        weights = attention.attention_weights(q, k, **{"scale": 6**-0.5, **given})
        return attention.weighted_values(weights, v)

    np.testing.assert_allclose(array(fused(q, k, v)), array(steps(q, k, v)), rtol=1e-4, atol=1e-5)
    gradients = [run.grad(lambda *x: ops.sum(fn(*x) * factors), (q, k, v))[1] for fn in (fused, steps)]
    for ours, theirs in zip(*gradients):
        assert np.isfinite(array(ours)).all()
        np.testing.assert_allclose(array(ours), array(theirs), rtol=1e-4, atol=1e-5)


def test_dropout_drops_weights_in_training(backend: str) -> None:
    layer = layers.MultiHeadAttention(2, 3, dropout=0.5, seed=1)
    _, kept = layer(Q, V, return_attention_scores=True)
    _, dropped = layer(Q, V, return_attention_scores=True, training=True)
    ratio = np.unique(np.round(array(dropped) / array(kept), 4))
    assert set(ratio) == {0.0, 2.0}
    np.testing.assert_allclose(array(layer(Q, V)), array(layer(Q, V, return_attention_scores=True)[0]), atol=1e-5)


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2), (2, 1)])
def test_attention_axes_are_attention_over_each_of_the_others(axes: tuple[int, ...], backend: str) -> None:
    x = np.random.default_rng(3).normal(size=(2, 3, 4, 5)).astype("float32")
    layer = layers.MultiHeadAttention(2, 3, attention_axes=axes)
    mask = np.random.default_rng(4).random((2, *(x.shape[a] for a in axes + axes))) > 0.3
    present = np.random.default_rng(5).random(x.shape[:3]) > 0.3
    got = array(layer(x, x, attention_mask=mask, value_mask=present))
    flat = layers.MultiHeadAttention(2, 3)
    flat.build((2, 4, 5), (2, 4, 5))
    flat.set_weights(layer.get_weights())
    if len(axes) == 1:
        other = 3 - axes[0]
        for i in range(x.shape[other]):
            part = x.take(i, other)
            want = array(flat(part, part, attention_mask=mask, value_mask=present.take(i, other)))
            np.testing.assert_allclose(got.take(i, other), want, rtol=1e-4, atol=1e-5)
    else:
        turned, shown = (a if axes == (1, 2) else a.swapaxes(1, 2) for a in (x, present))
        part = turned.reshape(2, 12, 5)
        want = array(flat(part, part, attention_mask=mask.reshape(2, 12, 12), value_mask=shown.reshape(2, 12)))
        want = want.reshape(turned.shape)
        np.testing.assert_allclose(got, want if axes == (1, 2) else want.swapaxes(1, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention"])
def test_scores_of_whole_vectors_against_keras(name: str, backend: str) -> None:
    import keras

    theirs, ours = keras.layers.__dict__[name](), layers.__dict__[name]()
    given = {"mask": [QUERY, VALUE], "use_causal_mask": True, "return_attention_scores": True}
    want = theirs([Q, V], **given)
    ours.build([Q.shape, V.shape])
    ours.set_weights(theirs.get_weights())
    for got, value in zip(ours([Q, V], **given), want):
        np.testing.assert_allclose(array(got), np.asarray(value), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_files_both_ways(name: str, backend: str, tmp_path: Any) -> None:
    import keras

    def model(module: Any) -> Any:
        q, v = module.Input((3, 4)), module.Input((5, 4))
        return module.Model([q, v], module.layers.__dict__[name](**LAYERS[name])(q, v))

    ours, theirs = model(nyala), model(keras)
    ours.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    np.testing.assert_allclose(array(ours([Q, V])), np.asarray(theirs([Q, V])), rtol=1e-4, atol=1e-5)
    theirs.layers[-1].set_weights(oracle(name).get_weights())
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours.load_weights(tmp_path / "theirs.weights.h5")
    np.testing.assert_allclose(array(ours([Q, V])), np.asarray(theirs([Q, V])), rtol=1e-4, atol=1e-4)


def test_symbolic_scores_and_the_mask_of_the_query(backend: str) -> None:
    x = layers.Embedding(9, 4, mask_zero=True)(nyala.Input((None,), dtype="int32"))
    y, scores = layers.MultiHeadAttention(2, 3)(x, x, return_attention_scores=True)
    assert y.shape == (None, None, 4) and scores.shape == (None, 2, None, None)
    assert y._keras_mask is x._keras_mask
    ids = layers.Embedding(9, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    np.testing.assert_array_equal(array(masks.get_mask(layers.GroupQueryAttention(3, 2, 1)(ids, ids))), [[1, 1, 0]])


def test_flash_attention_is_demanded_taken_or_avoided(backend: str) -> None:
    layer = layers.MultiHeadAttention(2, 4)
    plain = array(layer(Q, V))
    config.disable_flash_attention()
    try:
        assert config.is_flash_attention_enabled() is False
        np.testing.assert_allclose(array(layer(Q, V)), plain, rtol=1e-4, atol=1e-5)
    finally:
        config.enable_flash_attention()
    demanding = layers.MultiHeadAttention(2, 4, flash_attention=True)
    demanding.build(Q.shape, V.shape)
    demanding.set_weights(layer.get_weights())
    if backend == "torch":
        np.testing.assert_allclose(array(demanding(Q, V)), plain, rtol=1e-4, atol=1e-5)
    else:
        with pytest.raises(NotImplementedError, match="flash_attention None"):
            demanding(Q, V)
    with pytest.raises(ValueError, match="keeps no scores"):
        demanding(Q, V, return_attention_scores=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MultiHeadAttention(0, 2), "num_heads must be a positive int"),
        (lambda: layers.MultiHeadAttention(2, 2, sliding_window=0), "sliding_window must be a positive int"),
        (lambda: layers.MultiHeadAttention(2, 2, flash_attention=True, dropout=0.1), "knows no dropout"),
        (lambda: layers.MultiHeadAttention(2, 2, attention_axes=0)(Q, V), "attention_axes must lie between"),
        (lambda: layers.MultiHeadAttention(2, 2)(Q[:, 0], V[:, 0]), "at least 3"),
        (lambda: layers.MultiHeadAttention(2, 2)(Q, V, Q), "value and key must agree"),
        (lambda: layers.MultiHeadAttention(2, 2)(Q, V, attention_mask=VALUE[0]), "attention_mask must have"),
        (lambda: layers.GroupQueryAttention(2, 3, 2), "must be a multiple of num_key_value_heads"),
        (lambda: layers.Attention(score_mode="sum"), "score_mode must be one of"),
        (lambda: layers.Attention()(Q), "expected a list [query, value]"),
        (lambda: layers.Attention()([Q, V], mask=QUERY), "mask must be a list"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value)
