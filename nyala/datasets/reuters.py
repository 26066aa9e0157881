"""Reuters: 11,228 newswires of 46 topics, as numbers of words by frequency (Reuters-21578, Lewis 1987)."""

from __future__ import annotations

import json
import os

import numpy as np

from nyala.base import check, old
from nyala.datasets._files import Arrays, cached
from nyala.datasets._plain import npz
from nyala.datasets._words import prepare, shuffled

_SHA256 = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_INDEX_MD5 = "4d44cc38712099c9e383dc6e5f11a921"

_TOPICS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton carcass
    crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail ipi iron-steel
    rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


@old.takes(nb_words="num_words")
def load_data(
    path: str | os.PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: object arrays (n,) of lists of word numbers, topics int64 (n,).

    Args: test_split: the fraction of newswires in the test set, in [0, 1). The others are those of ``imdb.load_data``.
    """
    check.number_in("reuters.load_data", "test_split", test_split, 0.0, 1.0, open_high=True)
    arrays = npz(cached(os.fspath(path), "reuters.npz", _SHA256))
    x, y = shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    x, y = prepare(x, y, num_words, skip_top, maxlen, start_char, oov_char, index_from)
    at = int(len(x) * (1 - test_split))
    return (x[:at], y[:at]), (x[at:], y[at:])


def get_word_index(path: str | os.PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """Words and their numbers, from 1 for the commonest."""
    return json.loads(cached(os.fspath(path), "reuters_word_index.json", _INDEX_MD5).read_text())


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics, in the order of their numbers."""
    return tuple(_TOPICS.split())
