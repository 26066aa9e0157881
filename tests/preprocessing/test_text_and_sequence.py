"""Tokenizer, padding, skip-grams and windows, against the Keras that still has them."""

from __future__ import annotations

import inspect
import json
import random
from typing import Any

import numpy as np
import pytest
from keras._tf_keras.keras import preprocessing as theirs

import nyala
from nyala import preprocessing as ours

TEXTS = ["The cat sat on the mat", "The dog ate my homework!", ["A", "cat", "cat"], "", "ÄÖ\tß-a_b"]
TOKENIZERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "num_words": {"num_words": 4},
    "oov": {"num_words": 5, "oov_token": "<x>"},
    "oov-is-a-word": {"oov_token": "cat"},
    "chars": {"char_level": True, "oov_token": "?"},
    "case": {"lower": False, "filters": ""},
    "split": {"split": "-"},
    "analyzer": {"analyzer": lambda text: text.split("a")},
    "old-names": {"nb_words": 3, "document_count": 2},
}


def state(tokenizer: Any) -> dict[str, Any]:
    names = ("word_index", "index_word", "word_counts", "word_docs", "index_docs", "document_count", "num_words")
    return {name: getattr(tokenizer, name) for name in names}


@pytest.mark.filterwarnings("ignore:The `nb_words`")
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tokenizer(kind: str) -> None:
    mine, expected = (module.text.Tokenizer(**TOKENIZERS[kind]) for module in (ours, theirs))
    for texts in (TEXTS, TEXTS[:1]):
        mine.fit_on_texts(texts), expected.fit_on_texts(texts)
        assert state(mine) == state(expected)
    assert list(mine.word_counts) == list(expected.word_counts)
    new = ["the cat zebra zebra", "", ["dog", "A"], "a b"]
    sequences = mine.texts_to_sequences(new)
    assert sequences == expected.texts_to_sequences(new)
    numbers = [[1, 2, 99], [0, 3]]
    assert mine.sequences_to_texts(numbers) == expected.sequences_to_texts(numbers)
    for mode in ("binary", "count", "freq", "tfidf"):
        first, second = mine.texts_to_matrix(new, mode), expected.texts_to_matrix(new, mode)
        np.testing.assert_allclose(first, second)
        assert first.dtype == second.dtype
    if kind != "analyzer":
        one, other = json.loads(mine.to_json()), json.loads(expected.to_json())
        for config in (one["config"], other["config"]):  # words of one text are counted in the order of a set in Keras
            config.update({k: json.loads(config[k]) for k in ("word_docs", "index_docs")})
        assert one == other and list(one["config"]) == list(other["config"])
        for text in (mine.to_json(indent=1), expected.to_json()):
            again = ours.text.tokenizer_from_json(text)
            assert state(again) == state(mine) and again.texts_to_sequences(new) == sequences
            again.fit_on_texts(["one more"])


def test_tokenizer_on_sequences() -> None:
    results = []
    for module in (ours, theirs):
        tokenizer = module.text.Tokenizer(num_words=6)
        tokenizer.fit_on_sequences([[1, 2, 2], [2], [9]])
        results.append(tokenizer.sequences_to_matrix([[1, 2, 2, 9], []], "tfidf"))
    np.testing.assert_allclose(*results)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ours.text.Tokenizer().texts_to_matrix(["a"]), "fit_on_texts first"),
        (lambda: ours.text.Tokenizer(3).sequences_to_matrix([[1]], "tfidf"), "needs counted documents"),
        (lambda: ours.text.Tokenizer(3).sequences_to_matrix([[1]], "tf"), "mode must be one of"),
        (lambda: ours.text.Tokenizer(words=3), "unknown argument 'words'"),
        (lambda: ours.text.tokenizer_from_json("{}"), "not JSON that"),
        (lambda: ours.text.hashing_trick("a", 1), "n must be an int > 1"),
        (lambda: ours.text.hashing_trick("a", 3, "sha"), "hash_function"),
        (lambda: ours.sequence.pad_sequences([1, 2]), "wrap a single one"),
        (lambda: ours.sequence.pad_sequences([["a"]], value="x"), "dtype=object"),
        (lambda: ours.sequence.pad_sequences([[1]], padding="left"), "padding must be one of"),
        (lambda: ours.sequence.pad_sequences([[1]], truncating="left"), "truncating must be one of"),
        (lambda: ours.sequence.pad_sequences([[[1, 2]], [[1]]]), "sequence 1 have shape"),
        (lambda: ours.sequence.TimeseriesGenerator([1, 2], [1, 2], 2), "no window fits"),
        (lambda: ours.sequence.TimeseriesGenerator([1, 2], [1], 1), "equally long"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_words_and_hashes() -> None:
    for text in ("A, b;c  d", "", "x||y"):
        for kwargs in ({}, {"split": "||"}, {"filters": "", "lower": False}):
            assert ours.text.text_to_word_sequence(text, **kwargs) == theirs.text.text_to_word_sequence(text, **kwargs)
        for function in ("md5", len):
            assert ours.text.hashing_trick(text, 50, function) == theirs.text.hashing_trick(text, 50, function)
        assert ours.text.one_hot(text, 50) == theirs.text.one_hot(text, 50)


PADDED: list[tuple[Any, dict[str, Any]]] = [
    ([[1], [1, 2, 3], []], {}),
    ([[1], [1, 2, 3], []], {"maxlen": 2, "padding": "post"}),
    ([[1], [1, 2, 3]], {"maxlen": 2, "truncating": "post", "value": -1.5, "dtype": "float32"}),
    ([["a"], ["bb", "c"]], {"dtype": object, "value": "z"}),
    ([[[1, 2]], [[1, 2], [3, 4]], []], {"maxlen": 3}),
    (np.arange(6).reshape(2, 3), {"maxlen": 5, "dtype": "int64"}),
    ([[], []], {}),
    ([[1.7], [2]], {}),
]


@pytest.mark.parametrize("case", PADDED)
def test_pad_sequences(case: Any) -> None:
    sequences, kwargs = case
    mine, expected = (m.sequence.pad_sequences(sequences, **kwargs) for m in (ours, theirs))
    np.testing.assert_array_equal(mine, expected)
    assert mine.dtype == expected.dtype
    assert nyala.utils.pad_sequences is ours.sequence.pad_sequences


@pytest.mark.parametrize(
    "kwargs",
    [
        {"seed": 1}, {"shuffle": False}, {"seed": 2, "categorical": True, "negative_samples": 0.5},
        {"seed": 3, "window_size": 1, "negative_samples": 0},
        {"seed": 3, "sampling_table": ours.sequence.make_sampling_table(10, 0.1)},
    ],
)  # fmt: skip
def test_skipgrams(kwargs: Any) -> None:
    found = []
    for module in (ours, theirs):
        random.seed(0)
        found.append(module.sequence.skipgrams([1, 2, 0, 3, 4, 1], 6, **kwargs))
    assert found[0] == found[1]


def test_skipgrams_without_a_seed_differ() -> None:
    assert ours.sequence.skipgrams(range(30), 40) != ours.sequence.skipgrams(range(30), 40)
    assert ours.sequence.skipgrams([], 4) == ([], [])


def test_sampling_table() -> None:
    np.testing.assert_allclose(
        ours.sequence.make_sampling_table(50, 0.01), theirs.sequence.make_sampling_table(50, 0.01)
    )


@pytest.mark.parametrize(
    "kwargs",
    [
        {}, {"sampling_rate": 2, "stride": 3, "batch_size": 4, "start_index": 2, "end_index": 17, "reverse": True},
        {"shuffle": True, "batch_size": 6}, {"batch_size": 4},
    ],
)  # fmt: skip
def test_timeseries_generator(kwargs: Any) -> None:
    data, targets = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20)
    found = []
    for module in (ours, theirs):
        np.random.seed(0)
        generator = module.sequence.TimeseriesGenerator(data, targets, 5, **kwargs)
        found.append([generator[i] for i in range(len(generator))])
    assert len(found[0]) == len(found[1])
    for mine, expected in zip(*found):
        np.testing.assert_array_equal(mine[0], expected[0])
        np.testing.assert_array_equal(mine[1], expected[1])


def test_timeseries_generator_as_json_and_in_fit() -> None:
    generator = ours.sequence.TimeseriesGenerator([[1.0], [2.0], [3.0], [4.0]], [1, 2, 3, 4], 2, start_index=1)
    config = json.loads(generator.to_json())["config"]
    config.update(data=json.loads(config["data"]), targets=json.loads(config["targets"]))
    again = ours.sequence.TimeseriesGenerator(**config)
    np.testing.assert_array_equal(again[0][0], generator[0][0])
    model = nyala.Sequential([nyala.layers.Flatten(), nyala.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert len(model.fit(generator, epochs=2, verbose=0).history["loss"]) == 2


NAMES = [(kind, name) for kind in ("text", "sequence") for name in getattr(ours, kind).__all__]


@pytest.mark.parametrize("where", NAMES, ids=str)
def test_signatures_are_keras(where: tuple[str, str]) -> None:
    kind, name = where
    mine, expected = (inspect.signature(getattr(getattr(m, kind), name)).parameters for m in (ours, theirs))
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in expected.values()]
