"""Sequences of word numbers as ``imdb`` and ``reuters`` give them."""

from __future__ import annotations

from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np

from nyala.base import check


def prepare(
    sequences: Any,
    labels: np.ndarray,
    num_words: int | None,
    skip_top: int,
    maxlen: int | None,
    start_char: int | None,
    oov_char: int | None,
    index_from: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The sequences with a start mark and shifted numbers, without the rare, the commonest and the long ones.

    Args:
        num_words: numbers from it on are replaced; default the largest there is.
        skip_top: numbers below it are replaced.
        maxlen: only sequences shorter than it are kept, the start mark counted.
        start_char: put before each sequence. oov_char: the replacement; ``None`` leaves the numbers out.
        index_from: added to all numbers.

    Shapes: an object array (sequences,) of lists; the labels of those that are kept.
    """
    flat = np.fromiter(chain.from_iterable(sequences), "int64") + index_from
    lengths = np.fromiter(map(len, sequences), "int64", len(sequences))
    if start_char is not None:
        flat = np.insert(flat, np.cumsum(lengths) - lengths, start_char)
        lengths = lengths + 1
    if maxlen:
        short = lengths < maxlen
        flat, lengths, labels = flat[np.repeat(short, lengths)], lengths[short], labels[short]
        if not len(lengths):
            check.fail("load_data", f"maxlen={maxlen} leaves nothing: no sequence is shorter; increase it")
    kept = (flat >= skip_top) & (flat < (num_words or flat.max()))
    if oov_char is not None:
        flat = np.where(kept, flat, oov_char)
    else:
        owner = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(owner[kept], minlength=len(lengths))
        flat = flat[kept]
    numbers = flat.tolist()
    result = np.empty(len(lengths), object)
    for i, (start, end) in enumerate(pairwise(accumulate(lengths.tolist(), initial=0))):
        result[i] = numbers[start:end]
    return result, labels


def shuffled(rng: np.random.RandomState, *arrays: np.ndarray) -> list[np.ndarray]:
    """All arrays in one new order."""
    order = np.arange(len(arrays[0]))
    rng.shuffle(order)
    return [a[order] for a in arrays]
