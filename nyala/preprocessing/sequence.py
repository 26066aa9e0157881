"""Sequences of numbers: padding, pairs for skip-gram models, windows of time series."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.base import check
from nyala.training.data import PyDataset
from nyala.utils.sequences import pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]

_EULER = 0.577
"""Euler's constant, with the digits that the table has always been made with."""


def make_sampling_table(size: int, sampling_factor: float = 1e-05) -> np.ndarray:
    """Probabilities with which ``skipgrams`` keeps the word of each rank, so that common words do not prevail.

    min(1, sqrt(factor / frequency)), the frequency of rank r by Zipf's law: 1 / (r (log r + gamma) + 1/2 - 1 / (12 r))
    (Mikolov et al. 2013, arXiv:1310.4546).

    Shapes: (size,); the word numbers are ranks, 0 counts as 1.
    """
    rank = np.maximum(np.arange(size), 1)
    inverse_frequency = rank * (np.log(rank) + _EULER) + 0.5 - 1.0 / (12.0 * rank)
    return np.minimum(1.0, np.sqrt(sampling_factor * inverse_frequency))


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of word numbers with label 1 where they stand near each other, 0 where the second is a random one.

    Args:
        sequence: word numbers; 0 is no word and is skipped.
        vocabulary_size: random words are from 1 to one less.
        window_size: how far apart words of a pair may be.
        negative_samples: random pairs per true pair, >= 0.
        shuffle: mix the pairs.
        categorical: labels ``[0, 1]`` and ``[1, 0]``.
        sampling_table: the probability to keep each word, see ``make_sampling_table``.
        seed: for the shuffle; other draws come from Python's ``random``.
    """
    couples: list[list[int]] = []
    for i, word in enumerate(sequence):
        if not word or (sampling_table is not None and sampling_table[word] < random.random()):
            continue
        near = [*sequence[max(0, i - window_size) : i], *sequence[i + 1 : i + window_size + 1]]
        couples += [[word, other] for other in near if other]
    true, false = ([0, 1], [1, 0]) if categorical else (1, 0)
    labels: list[Any] = [true] * len(couples)
    if negative_samples > 0:
        words = [couple[0] for couple in couples]
        random.shuffle(words)
        count = int(len(labels) * negative_samples)
        couples += [[words[i % len(words)], random.randint(1, vocabulary_size - 1)] for i in range(count)]
        labels += [false] * count
    if shuffle:
        seed = random.randint(0, 10_000_000) if seed is None else seed
        for part in (couples, labels):
            random.seed(seed)
            random.shuffle(part)
    return couples, labels


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a series and the target that follows each; ``timeseries_dataset_from_array`` is newer.

    Args:
        data: array (time, ...). targets: array (time, ...).
        length: time steps a window spans. sampling_rate: steps between its values. stride: steps between windows.
        start_index, end_index: the part of the series to use, both included.
        shuffle: windows at random, with repetition. reverse: the latest value first.
        batch_size: windows a batch.

    Raises: ValueError when no window fits.
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if len(data) != len(targets):
            check.fail(self, f"data and targets must be equally long, got {len(data)} and {len(targets)}")
        self.data = np.asarray(data)
        self.targets = np.asarray(targets)
        self.length = check.positive_int(self, "length", length)
        self.sampling_rate = check.positive_int(self, "sampling_rate", sampling_rate)
        self.stride = check.positive_int(self, "stride", stride)
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle = shuffle
        self.reverse = reverse
        self.batch_size = check.positive_int(self, "batch_size", batch_size)
        if self.start_index > self.end_index:
            check.fail(
                self,
                f"no window fits: the first target would be at start_index + length = {self.start_index}, "
                f"the last usable one is at {self.end_index}",
            )

    def __len__(self) -> int:
        return -(-(self.end_index - self.start_index + 1) // (self.batch_size * self.stride))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.shuffle:
            at = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            at = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        samples = self.data[at[:, None] + np.arange(-self.length, 0, self.sampling_rate)]
        return (samples[:, ::-1] if self.reverse else samples), self.targets[at]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, the arrays as JSON."""
        names = ("sampling_rate", "stride", "start_index", "end_index", "shuffle", "reverse", "batch_size")
        return {
            "data": json.dumps(self.data.tolist()),
            "targets": json.dumps(self.targets.tolist()),
            "length": self.length,
            **{name: getattr(self, name) for name in names},
            "start_index": self.start_index - self.length,
        }

    def to_json(self, **kwargs: Any) -> str:
        """``get_config`` as JSON; ``kwargs`` go to ``json.dumps``."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)
