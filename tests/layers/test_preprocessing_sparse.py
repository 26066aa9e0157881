"""Sparse and ragged outputs of the layers of tables and texts: what Keras gives on TensorFlow, BCOO on jax, else an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nyala
from nyala import layers

IDS = np.array([[1, 2, 2], [0, 3, 1]])
WORDS = np.array([["a", "b", "b"], ["c", "z", "a"]])
TEXTS = np.array(["a b b", "c"])
VOCABULARY = ["a", "b", "c"]

ROWS: dict[str, tuple[Any, Any]] = {
    "categories": (lambda **k: layers.CategoryEncoding(4, output_mode="multi_hot", **k), IDS),
    "counts": (lambda **k: layers.CategoryEncoding(4, output_mode="count", **k), IDS),
    "strings": (lambda **k: layers.StringLookup(vocabulary=VOCABULARY, output_mode="one_hot", **k), WORDS[:, 0]),
    "tf-idf": (
        lambda **k: layers.StringLookup(vocabulary=VOCABULARY, idf_weights=[1.0, 2.0, 3.0], output_mode="tf_idf", **k), WORDS,
    ),
    "integers": (lambda **k: layers.IntegerLookup(vocabulary=[1, 2, 3], output_mode="multi_hot", **k), IDS),
    "hashes": (lambda **k: layers.Hashing(4, output_mode="multi_hot", **k), WORDS),
    "bins": (lambda **k: layers.Discretization([1.0, 2.0], output_mode="multi_hot", **k), IDS.astype("float32")),
    "crosses": (lambda **k: layers.HashedCrossing(4, output_mode="one_hot", **k), (WORDS[:, :1], IDS[:, :1])),
    "texts": (lambda **k: layers.TextVectorization(vocabulary=VOCABULARY, output_mode="count", **k), TEXTS),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_sparse(name: str, backend: str) -> None:
    make, x = ROWS[name]
    if backend == "torch":
        with pytest.raises(NotImplementedError, match="sparse=False"):
            make(sparse=True)(x)
        return
    got, want = make(sparse=True)(x), nyala.ops.convert_to_numpy(make()(x))
    if backend == "jax":
        dense, kind, stored = got.todense(), "BCOO", got.nse
    else:
        import tensorflow as tf

        dense, kind, stored = tf.sparse.to_dense(got), "SparseTensor", len(got.values)
    assert type(got).__name__ == kind and stored == np.count_nonzero(want)
    np.testing.assert_array_equal(np.asarray(dense), want)
    assert np.asarray(dense).dtype == want.dtype


def test_ragged(backend: str) -> None:
    layer = layers.TextVectorization(vocabulary=VOCABULARY, ragged=True)
    if backend != "tensorflow":
        with pytest.raises(NotImplementedError, match="no ragged tensors"):
            layer(TEXTS)
        return
    assert layer(TEXTS).to_list() == [[2, 3, 3], [4]]  # as Keras
    assert layers.TextVectorization(vocabulary=VOCABULARY, ragged=True, output_sequence_length=2)(TEXTS).to_list() == [
        [2, 3],
        [4],
    ]


def test_in_tf_data_and_in_a_model() -> None:
    import tensorflow as tf

    with nyala.backend_scope("tensorflow"):
        layer = layers.CategoryEncoding(4, output_mode="multi_hot", sparse=True)
        (batch,) = tf.data.Dataset.from_tensors(IDS).map(layer)
        assert isinstance(batch, tf.SparseTensor)
        i = nyala.Input((3,), dtype="int32")
        model = nyala.Model(i, layer(i))  # within a model tensors are dense
        np.testing.assert_array_equal(model.predict(IDS, verbose=0), [[0, 1, 1, 0], [1, 1, 0, 1]])


@pytest.mark.parametrize(
    "make, message",
    (
        (lambda: layers.StringLookup(sparse=True), "output_mode='int' use sparse=False"),
        (lambda: layers.TextVectorization(ragged=True, output_mode="count"), "ragged=True is for output_mode='int'"),
    ),
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
