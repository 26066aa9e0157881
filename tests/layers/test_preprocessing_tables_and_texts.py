"""Layers of tables and texts against Keras's: values, configs, files both ways, and their three places of work."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from nyala import Input, Model, Sequential, layers, models, ops, saving
from nyala.layers.preprocessing import hashes

WORDS = np.array([["a", "c", "a"], ["c", "b", "x"]])
NUMBERS = np.array([[12, 36, 0], [40, 7, 8]])
REAL = np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]], "float32")
TEXTS = ["The cat, the dog!", "a cat sat", " Über DOG  sat-down a"]
VOCABULARY, INTS = dict(vocabulary=["a", "b", "c"]), dict(vocabulary=[12, 36, 40])
IDF = dict(output_mode="tf_idf", idf_weights=[0.1, 0.2, 0.3])

CASES: list[tuple[str, dict[str, Any], Any]] = [
    *[("Hashing", dict(num_bins=9, **k), x) for k in ({}, dict(salt=7), dict(salt=[133, 137]), dict(mask_value="a"),
      dict(output_mode="one_hot"), dict(output_mode="count"), dict(output_mode="multi_hot")) for x in (WORDS, WORDS[:, :1])],
    ("Hashing", dict(num_bins=50), NUMBERS),
    *[("CategoryEncoding", dict(num_tokens=4, output_mode=m), x) for m in ("one_hot", "multi_hot", "count")
      for x in (np.array([[0, 1], [3, 3]]), np.array([0, 1]), np.array([[0], [3]]))],
    *[("Discretization", dict(bin_boundaries=[0.0, 1.0, 2.0], output_mode=m), REAL) for m in ("int", "one_hot", "multi_hot", "count")],
    *[("Normalization", dict(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 9, 16], invert=i), REAL) for i in (False, True)],
    *[(name, {**vocabulary, **k}, x) for name, vocabulary, x in (("StringLookup", VOCABULARY, WORDS), ("IntegerLookup", INTS, NUMBERS))
      for k in ({}, dict(num_oov_indices=3), dict(output_mode="one_hot"), dict(output_mode="multi_hot"), dict(output_mode="count"), IDF,
                dict(output_mode="multi_hot", max_tokens=7, pad_to_max_tokens=True))],
    ("StringLookup", dict(mask_token="c", num_oov_indices=2, salt=5, vocabulary=["a", "b"]), WORDS),
    ("StringLookup", dict(mask_token="", output_mode="count", **VOCABULARY), WORDS),
    ("IntegerLookup", dict(oov_method="farmhash", num_oov_indices=4, **INTS), NUMBERS),
    ("IntegerLookup", dict(invert=True, **INTS), np.array([[0, 1, 2], [3, 7, 8]])),
    ("IntegerLookup", dict(mask_token=0, **INTS), NUMBERS),
    *[("TextVectorization", dict(vocabulary=["cat", "dog", "the"], **k), np.array(TEXTS)) for k in (
        {}, dict(ngrams=2), dict(ngrams=(2,)), dict(output_sequence_length=3), dict(output_sequence_length=9), dict(standardize="lower"),
        dict(standardize="strip_punctuation"), dict(standardize=None), dict(split="character"), dict(split=None),
        dict(output_mode="multi_hot"), dict(output_mode="count"), IDF, dict(output_mode="count", max_tokens=9, pad_to_max_tokens=True))],
]  # fmt: skip


def oracle(name: str, arguments: dict[str, Any], x: Any) -> Any:
    return np.asarray(getattr(keras.layers, name)(**arguments)(x))


@pytest.mark.parametrize(("name", "arguments", "x"), CASES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(CASES)])
def test_values_and_configs(name: str, arguments: dict[str, Any], x: Any) -> None:
    ours = getattr(layers, name)(**arguments, name="it")
    found = ops.convert_to_numpy(ours(x))
    np.testing.assert_allclose(found, oracle(name, arguments, x), rtol=1e-5, atol=1e-6)
    config = ours.get_config()
    theirs = getattr(keras.layers, name)(**arguments, name="it").get_config()
    assert {**config, "dtype": 0} == {**theirs, "dtype": 0} and list(config) == list(theirs)
    np.testing.assert_array_equal(ops.convert_to_numpy(type(ours).from_config(config)(x)), found)


ADAPTED = [
    ("StringLookup", {}, np.array(["b", "a", "c", "a", "d", "b"])),
    ("StringLookup", dict(max_tokens=4), np.array(["b", "a", "c", "a", "d", "b"])),
    ("StringLookup", dict(output_mode="tf_idf"), np.array([["a", "b"], ["b", "c"]])),
    ("IntegerLookup", {}, np.array([5, 4, 4, 7, 7, 1])),
    ("TextVectorization", dict(max_tokens=6), np.array(TEXTS)),
    ("TextVectorization", dict(output_mode="tf_idf"), np.array(TEXTS)),
    ("Normalization", {}, REAL),
    ("Normalization", dict(axis=None), REAL),
    ("Normalization", dict(axis=1, invert=True), REAL),
    ("Discretization", dict(num_bins=3), REAL),
]


@pytest.mark.parametrize(("name", "arguments", "x"), ADAPTED, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(ADAPTED)])
def test_adapt_and_files_both_ways(name: str, arguments: dict[str, Any], x: Any, tmp_path: Any) -> None:
    dtype = {"S": "string", "I": "int64", "T": "string"}.get(name[0], "float32")
    x = x if x.ndim == 2 else x[:, None]
    parts: dict[Any, Any] = {}
    for library in (keras, layers):
        layer = parts[library] = getattr(getattr(library, "layers", library), name)(**arguments)
        layer.adapt(x)
    want = np.asarray(parts[keras](x))
    np.testing.assert_allclose(ops.convert_to_numpy(parts[layers](x)), want, rtol=1e-5, atol=1e-5)
    again = getattr(layers, name)(**arguments)
    again.adapt(tf.data.Dataset.from_tensor_slices(x).batch(1))
    np.testing.assert_allclose(ops.convert_to_numpy(again(x)), want, rtol=1e-5, atol=1e-5)

    keras.Sequential([keras.Input(x.shape[1:], dtype=dtype), parts[keras]]).save(tmp_path / "theirs.keras")
    Sequential([Input(x.shape[1:], dtype=dtype), parts[layers]]).save(tmp_path / "ours.keras")
    loaded = saving.load_model(tmp_path / "theirs.keras").layers[0]
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), want, rtol=1e-5, atol=1e-5)
    loaded = keras.saving.load_model(tmp_path / "ours.keras").layers[-1]
    np.testing.assert_allclose(np.asarray(loaded(x)), want, rtol=1e-5, atol=1e-5)
    loaded = saving.load_model(tmp_path / "ours.keras").layers[0]
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(x)), want, rtol=1e-5, atol=1e-5)


def test_inside_a_model(backend: str) -> None:
    x = Input((3,), dtype="int64")
    scaled = layers.Normalization(mean=10.0, variance=4.0)(x)
    model = Model(x, [layers.Hashing(10)(x), layers.IntegerLookup(**INTS, output_mode="multi_hot")(x), scaled])
    hashed, hot, scaled = model.predict(NUMBERS, verbose=0)
    np.testing.assert_array_equal(hashed, hashes.buckets(NUMBERS, 10))
    np.testing.assert_array_equal(hot, [[1, 1, 1, 0], [1, 0, 0, 1]])
    np.testing.assert_allclose(scaled, (NUMBERS - 10) / 2, rtol=1e-6)


SENTENCES, LABELS = np.array(["a b c", "b", "c c"]), np.array([1.0, 0.0, 1.0])


def _same_in_step_and_eagerly(model: Any, x: Any) -> None:
    np.testing.assert_allclose(model.predict(x, verbose=0), ops.convert_to_numpy(model(x)), rtol=1e-5, atol=1e-6)


def test_texts_in_a_model(backend: str, tmp_path: Any) -> None:
    x = Input((1,), dtype="string")
    numbers = layers.TextVectorization(vocabulary=["a", "b"])(x)
    assert numbers.shape == (None, None)
    np.testing.assert_array_equal(Model(x, numbers).predict(SENTENCES[:2], verbose=0), [[2, 3, 1], [3, 0, 0]])
    body = Sequential(
        [Input((None,)), layers.Embedding(4, 3, mask_zero=True), layers.GlobalAveragePooling1D(), layers.Dense(1)]
    )
    model = Model(x, body(numbers))
    model.compile("sgd", "mse")
    before = body.get_weights()
    model.fit(SENTENCES, LABELS, batch_size=2, verbose=0)
    assert all((new != old).any() for new, old in zip(body.get_weights(), before))
    _same_in_step_and_eagerly(model, SENTENCES)
    model.reset_metrics()
    assert model.test_on_batch(SENTENCES, LABELS) == pytest.approx(
        model.evaluate(SENTENCES, LABELS, verbose=0), rel=1e-5
    )
    model.save(tmp_path / "texts.keras")
    np.testing.assert_array_equal(
        models.load_model(tmp_path / "texts.keras").predict_on_batch(SENTENCES), model.predict_on_batch(SENTENCES)
    )


def test_texts_beside_numbers_in_a_model_inside_a_model(backend: str) -> None:
    def inputs() -> list[Any]:
        return [Input((1,), dtype="string"), Input((2,))]

    text, numbers = inputs()
    hot = layers.StringLookup(vocabulary=["b"], output_mode="one_hot")(text)
    inner = Model([text, numbers], layers.Dense(3)(layers.Concatenate()([hot, numbers])))  # trains, and reads strings
    outer = inputs()
    model = Model(outer, layers.Dense(1)(inner(outer)))
    model.compile("sgd", "mse")
    before = inner.get_weights()[0]
    x = [SENTENCES.astype(object), np.ones((3, 2), "float32")]  # objects, as a column of pandas is
    model.fit(x, LABELS, verbose=0)
    assert (inner.get_weights()[0] != before).any()
    _same_in_step_and_eagerly(model, x)


@pytest.mark.parametrize("first", [layers.StringLookup, layers.Hashing])
def test_an_unbuilt_model_is_given_texts(backend: str, first: Any) -> None:
    made = (
        first(vocabulary=["b"], output_mode="one_hot")
        if first is layers.StringLookup
        else first(2, output_mode="one_hot")
    )
    model = Sequential([made, layers.Dense(1)])
    model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((SENTENCES, LABELS)).batch(2)  # strings of TensorFlow, on any backend
    model.fit(data, verbose=0)
    np.testing.assert_array_equal(model.predict(data, verbose=0), model.predict(SENTENCES, batch_size=2, verbose=0))


class Reader(Model):
    """A model whose layers no graph tells."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = layers.StringLookup(vocabulary=["b"], output_mode="one_hot"), layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.last(self.words(x))


def test_texts_in_a_class(backend: str) -> None:
    model = Reader()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(SENTENCES, LABELS, verbose=0)
    _same_in_step_and_eagerly(model, SENTENCES)
    model.compile("sgd", "mse")
    if backend == "tensorflow":
        model.fit(SENTENCES, LABELS, verbose=0)
    else:
        with pytest.raises(TypeError, match="is given strings, of which"):
            model.fit(SENTENCES, LABELS, verbose=0)
    plain = Sequential([Input((1,)), layers.Dense(1)])
    with pytest.raises(TypeError, match="expects float32, got strings"):
        plain.predict(SENTENCES, verbose=0)


def test_in_tf_data(backend: str) -> None:
    scale = layers.Normalization()
    scale.adapt(REAL)
    data = tf.data.Dataset.from_tensor_slices(REAL).batch(2).map(layers.Pipeline([scale, layers.Rescaling(2.0)]))
    np.testing.assert_allclose(next(iter(data)), 2 * ops.convert_to_numpy(scale(REAL)), rtol=1e-5, atol=1e-6)
    words = layers.TextVectorization(vocabulary=["a", "b"])
    data = tf.data.Dataset.from_tensor_slices(["a b c", "b"]).batch(2).map(words)
    np.testing.assert_array_equal(next(iter(data)), [[2, 3, 1], [3, 0, 0]])


def test_crossing() -> None:
    for parts in [(np.array(["A", "B"]), np.array([1, 2])), (np.array([[1], [2]]), np.array([[101], [102]]))]:
        for mode in ("int", "one_hot"):
            arguments = dict(num_bins=20, output_mode=mode)
            found = layers.HashedCrossing(**arguments)(parts)
            np.testing.assert_array_equal(ops.convert_to_numpy(found), oracle("HashedCrossing", arguments, parts))


@pytest.mark.parametrize("n", [0, 1, 3, 5, 8, 16, 17, 32, 33, 64, 65, 128, 200])
def test_hashes(n: int) -> None:
    words = ["é" * n, "ab" * n, "x" * n]
    most = 2**63 - 1
    np.testing.assert_array_equal(hashes.buckets(words, most), tf.strings.to_hash_bucket_fast(words, most))
    np.testing.assert_array_equal(
        hashes.buckets(words, most, [3, 4]), tf.strings.to_hash_bucket_strong(words, most, [3, 4])
    )


def test_strings_back_from_numbers(backend: str) -> None:
    back = layers.StringLookup(vocabulary=["a", "b"], invert=True)
    if backend != "tensorflow":
        with pytest.raises(TypeError, match="call it on what the model predicts"):
            back(Input((1,), dtype="int64"))
        with pytest.raises(TypeError, match="has no tensors of strings"):
            ops.convert_to_tensor(["a", "b"])
    assert np.asarray(back(np.array([1, 2, 0, 9]))).astype(str).tolist() == ["a", "b", "[UNK]", "[UNK]"]


def test_a_vocabulary_file_is_read_for_code_and_never_for_a_file(tmp_path: Any) -> None:
    path = os.path.join(tmp_path, "words.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a\nb\n")
    for cls in (layers.StringLookup, layers.TextVectorization):
        layer = cls(vocabulary=path)
        assert layer.get_vocabulary()[-2:] == ["a", "b"]
        assert cls.from_config(layer.get_config()).get_vocabulary() == layer.get_vocabulary()
        with pytest.raises(ValueError, match="names a file"):
            cls.from_config({**layer.get_config(), "vocabulary": path})
    model = Sequential([Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a"])])
    text = model.to_json().replace('["a"]', f'"{path}"')
    with pytest.raises(ValueError, match="names a file"):
        models.model_from_json(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.StringLookup()("a"), "no vocabulary yet"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), "more than once"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), "unknown tokens"),
        (lambda: layers.StringLookup(vocabulary="nowhere.txt"), "no vocabulary file"),
        (lambda: layers.IntegerLookup(salt=3), "farmhash"),
        (lambda: layers.Normalization(mean=1.0), "both or neither"),
        (lambda: layers.Discretization(), "bin_boundaries or num_bins"),
        (lambda: layers.Discretization(num_bins=3)(REAL), "adapt"),
        (lambda: layers.CategoryEncoding(), "num_tokens"),
        (lambda: layers.HashedCrossing(3)(WORDS), "at least two inputs"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises((ValueError, NotImplementedError, FileNotFoundError), match=message):
        make()


def test_columns_of_a_table(backend):
    import pandas as pd

    words = pd.Series(["a b", "c", "d"])
    lookup = layers.StringLookup(vocabulary=["c", "a b"])
    for column in (words, words.values, words.astype("category")):
        assert ops.convert_to_numpy(lookup(column)).tolist() == [2, 1, 0]
