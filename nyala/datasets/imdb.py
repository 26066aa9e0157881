"""IMDB: 50,000 film reviews, good or bad (Maas et al. 2011), as numbers of words by frequency."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from nyala.base import check, old
from nyala.datasets._files import Arrays, cached
from nyala.datasets._plain import npz
from nyala.datasets._words import prepare, shuffled

_SHA256 = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_INDEX_MD5 = "bfafd718b763782e994055a2d397834f"


@old.takes(nb_words="num_words", test_split=None)
def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    **kwargs: Any,
) -> tuple[Arrays, Arrays]:
    """``(x_train, y_train), (x_test, y_test)``: object arrays (n,) of lists of word numbers, labels int64 (n,).

    A number is the word's of ``get_word_index`` plus ``index_from``; 0 is left for padding.

    Args:
        path: the file, below ``datasets`` in the cache folder, or an absolute path.
        num_words: words numbered from it on become ``oov_char``.
        skip_top: words numbered below it become ``oov_char``.
        maxlen: longer reviews are left out.
        seed: of the reviews' order.
        start_char: the mark before each review. oov_char: the mark for words left out; ``None`` for no mark.
        index_from: added to the word numbers.
    """
    check.no_extra("imdb.load_data", kwargs, ("num_words", "skip_top", "maxlen", "seed", "start_char", "oov_char"))
    arrays = npz(cached(os.fspath(path), "imdb.npz", _SHA256))
    rng = np.random.RandomState(seed)
    parts = [shuffled(rng, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")]
    size = len(parts[0][0])
    both, labels = (np.concatenate(pair) for pair in zip(*parts))
    is_train = np.arange(len(both)) < size
    # One call for both: which number is the largest is a matter of the whole set.
    x, rows = prepare(both, np.arange(len(both)), num_words, skip_top, maxlen, start_char, oov_char, index_from)
    train, y = is_train[rows], labels[rows]
    return (x[train], y[train]), (x[~train], y[~train])


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """Words and their numbers, from 1 for the commonest."""
    return json.loads(cached(os.fspath(path), "imdb_word_index.json", _INDEX_MD5).read_text())
