"""Words to numbers as Keras 1 and 2 had it; ``layers.TextVectorization`` does it inside a model."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from nyala.base import check

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_MODES = ("binary", "count", "tfidf", "freq")
_TABLES = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")

Text = str | Sequence[str]
Analyzer = Callable[[str], Iterable[str]]


def text_to_word_sequence(input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text: characters of ``filters`` count as ``split``, between which the words are."""
    if lower:
        input_text = input_text.lower()
    return [word for word in input_text.translate(dict.fromkeys(map(ord, filters), split)).split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """``hashing_trick`` by Python's ``hash``, whose values differ from one run to the next."""
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[str], int] | str | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """A number from 1 to ``n - 1`` for each word of a text; words may share one.

    Args:
        n: size of the hashing space, an int > 1.
        hash_function: ``"md5"``, a function of a word, or ``None`` for Python's ``hash``, which differs between runs.
        analyzer: splits the text, in place of ``filters``, ``lower`` and ``split``.
    """
    if not check.is_int(n) or n < 2:
        check.fail("hashing_trick", f"n must be an int > 1, got {n!r}")
    if hash_function == "md5":
        hash_function = _md5
    elif isinstance(hash_function, str):
        check.fail("hashing_trick", f"hash_function must be 'md5', a function or None, got {hash_function!r}")
    words = analyzer(text) if analyzer else text_to_word_sequence(text, filters, lower, split)
    return [(hash_function or hash)(word) % (n - 1) + 1 for word in words]  # type: ignore[operator]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """Numbers the words of texts by how often they occur, from 1; 0 is left for padding.

    Args:
        num_words: only numbers below it are given out: the ``num_words - 1`` commonest words.
        filters, lower, split: see ``text_to_word_sequence``.
        char_level: characters in place of words.
        oov_token: the word that stands for unknown ones, with number 1; without it they are left out.
        analyzer: a function that splits a text, in place of ``filters``, ``lower`` and ``split``.

    A text is a string or a list of words.
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Analyzer | None = None,
        **kwargs: Any,
    ):
        num_words = kwargs.pop("nb_words", num_words)
        self.document_count: int = kwargs.pop("document_count", 0)
        check.no_extra("Tokenizer", kwargs, ("num_words", "filters", "lower", "split", "char_level", "oov_token"))
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.oov_token = oov_token
        self.analyzer = analyzer
        self.word_counts: dict[str, int] = OrderedDict()
        self.word_docs: dict[str, int] = defaultdict(int)
        self.index_docs: dict[int, int] = defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    nb_words = property(lambda self: self.num_words, doc="Keras 1: ``num_words``.")

    def _words(self, text: Text) -> Iterable[str]:
        if self.char_level or not isinstance(text, str):
            return (part.lower() for part in text) if self.lower else text
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Text]) -> None:
        """Count the words of ``texts``, on top of what was counted before, and number them anew."""
        for text in texts:
            self.document_count += 1
            counts = Counter(self._words(text))
            for word, count in counts.items():
                self.word_counts[word] = self.word_counts.get(word, 0) + count
                self.word_docs[word] = self.word_docs.get(word, 0) + 1
        words = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        if self.oov_token is not None:
            words.insert(0, self.oov_token)
        # A word given twice, the oov_token, has its later number.
        self.word_index = {word: i for i, word in enumerate(words, 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Iterable[Iterable[int]]) -> None:
        """Count in how many sequences of numbers each number occurs, for ``sequences_to_matrix`` in mode ``tfidf``."""
        for sequence in sequences:
            self.document_count += 1
            for i in set(sequence):
                self.index_docs[i] = self.index_docs.get(i, 0) + 1

    def texts_to_sequences(self, texts: Iterable[Text]) -> list[list[int]]:
        """The numbers of the words of each text."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Text]) -> Iterator[list[int]]:
        """``texts_to_sequences``, one text at a time."""
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        numbers = {word: i for word, i in self.word_index.items() if self._kept(i)}
        for text in texts:
            found = (numbers.get(word, unknown) for word in self._words(text))
            yield [i for i in found if i is not None]

    def _kept(self, i: int) -> bool:
        return not self.num_words or i < self.num_words

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The words of each sequence of numbers, with spaces between."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """``sequences_to_texts``, one sequence at a time."""
        words = {i: word for i, word in self.index_word.items() if self._kept(i)}
        for sequence in sequences:
            found = (words.get(i, self.oov_token) for i in sequence)
            yield " ".join(word for word in found if word is not None)

    def texts_to_matrix(self, texts: Iterable[Text], mode: str = "binary") -> np.ndarray:
        """``sequences_to_matrix`` of ``texts_to_sequences``."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> np.ndarray:
        """A row a sequence, a column a number: what the number counts in the sequence.

        Args:
            mode: ``"binary"``: 1 where it occurs; ``"count"``: how often; ``"freq"``: how often, divided by the length;
                ``"tfidf"``: (1 + log count) log(1 + documents / (1 + documents that have it)).

        Shapes: (sequences, num_words), without ``num_words`` (sequences, words + 1).
        """
        check.one_of("Tokenizer", "mode", mode, _MODES)
        width = self.num_words or len(self.word_index) + bool(self.word_index)
        if not width:
            check.fail("Tokenizer", "is not fitted; call fit_on_texts first, or give num_words")
        if mode == "tfidf" and not self.document_count:
            check.fail("Tokenizer", "mode='tfidf' needs counted documents; call fit_on_texts or fit_on_sequences first")
        rows = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
        columns = np.fromiter((i for s in sequences for i in s), "int64", len(rows))
        inside = columns < width
        result = np.zeros((len(sequences), width))
        np.add.at(result, (rows[inside], columns[inside]), 1.0)
        if mode == "binary":
            return (result > 0).astype(result.dtype)
        if mode == "freq":
            return result / np.maximum([len(s) for s in sequences], 1)[:, None]
        if mode == "tfidf":
            documents = np.array([self.index_docs.get(i, 0) for i in range(width)])
            weight = 1.0 + np.log(np.maximum(result, 1.0))
            return np.where(result > 0, weight * np.log(1.0 + self.document_count / (1.0 + documents)), 0.0)
        return result

    def get_config(self) -> dict[str, Any]:
        """What makes the tokenizer, its tables as JSON; an ``analyzer`` is not part of it."""
        names = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        return {name: getattr(self, name) for name in names} | {
            name: json.dumps(getattr(self, name)) for name in _TABLES
        }

    def to_json(self, **kwargs: Any) -> str:
        """The tokenizer as JSON for ``tokenizer_from_json``; ``kwargs`` go to ``json.dumps``."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that ``Tokenizer.to_json`` wrote. Raises ValueError for anything else."""
    found = json.loads(json_string)
    config = found.get("config") if isinstance(found, dict) else None
    if not isinstance(config, dict) or not set(_TABLES) <= set(config):
        return check.fail("tokenizer_from_json", "this is not JSON that Tokenizer.to_json wrote")
    config = dict(config)
    tables = {name: json.loads(config.pop(name)) for name in _TABLES}
    tokenizer = Tokenizer(**config)
    for name, table in tables.items():
        setattr(tokenizer, name, {int(k): v for k, v in table.items()} if name.startswith("index") else table)
    return tokenizer
