"""One kind of data for the loop, whatever it came from.

``make(...)`` turns arrays, tensors, tables, generators, ``PyDataset``s, ``tf.data.Dataset``s, torch and grain loaders into a
``Data``: batches of ``(x, y, sample_weight)``, and for arrays in memory the indices of each batch.
"""

from __future__ import annotations

import collections
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nyala._typing import Nest
from nyala.base import check, seeds, tree
from nyala.training.arrays import as_arrays, class_weights, equal_lengths, is_arrays, is_loader, read
from nyala.training.workers import prepared

Batch = tuple[Any, Any, Any]


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """``(x, y, sample_weight)`` from a tuple of one to three parts, or ``x`` alone."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if 1 <= len(data) <= 3:
        x, y, sample_weight = (*data, None, None)[:3]
        return x, y, sample_weight
    return check.fail("data", f"expected x, (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The shortest tuple that ``unpack_x_y_sample_weight`` reads back; a single tensor stays alone."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, (list, tuple, dict)) else x


class PyDataset:
    """A data set of batches by index; subclass it with ``__getitem__(i)`` and ``__len__``.

    Args:
        workers: threads or processes that prepare batches ahead.
        use_multiprocessing: processes in place of threads; the data set must pickle.
        max_queue_size: how many batches may be ready ahead.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        self.workers = check.positive_int(self, "workers", workers)
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = check.positive_int(self, "max_queue_size", max_queue_size)

    def __getitem__(self, index: int) -> Any:
        check.fail(self, "must define __getitem__(self, index) giving a batch", NotImplementedError)

    def __len__(self) -> int:
        return check.fail(self, "must define __len__(self), the number of batches", NotImplementedError)

    @property
    def num_batches(self) -> int | None:
        """The number of batches; ``None`` for an endless data set."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before each epoch."""

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class Data:
    """What the loop reads. ``steps`` is the number of batches of an epoch, ``None`` if not known."""

    steps: int | None = None
    recorded: bool = False
    """Whether the place of every epoch is kept, for exact resume."""
    _begun: dict[str, Any] | None = None

    def batches(self) -> Iterator[Batch]:
        """The batches of one epoch, on the host or as tensors."""
        raise NotImplementedError

    def peek(self) -> Batch:
        """The first batch, without losing it."""
        raise NotImplementedError

    def position(self) -> dict[str, Any]:
        """What the epochs from here on depend on, the generators of random numbers apart; at an epoch's beginning."""
        return {}

    def move_to(self, position: dict[str, Any]) -> None:
        """Be, before the first epoch, where ``position`` was taken."""

    def begin(self) -> None:
        """An epoch begins."""
        if self.recorded:
            self._begun = {"position": self.position(), "random": seeds.random_state()}

    def state(self, batch: int) -> dict[str, Any]:
        """Where the epoch that goes on, of which ``batch`` batches are done, began; else where the next will."""
        return self._begun if batch and self._begun is not None else {"position": self.position()}

    def on_epoch_end(self) -> None:
        """After each epoch."""


class ArrayData(Data):
    """Arrays or tensors in memory.

    Args:
        x, y, sample_weight: nests of arrays with equal first axes.
        batch_size: samples a batch. steps: of an epoch; default all samples.
        shuffle: a new order of the samples each epoch; ``"batch"``: of the batches.
        seed_order: gives the epochs' orders.
    """

    def __init__(
        self,
        x: Nest,
        y: Nest = None,
        sample_weight: Nest = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
        who: str = "fit",
    ):
        if class_weight is not None:
            if y is None:
                check.fail(who, "class_weight needs y")
            sample_weight = class_weights(y, class_weight, sample_weight)
        self.x, self.y, self.sample_weight = (
            as_arrays(part, who, name) for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
        )
        self.num_samples: int = equal_lengths(self.x, self.y, self.sample_weight, who)
        if self.num_samples == 0:
            check.fail(who, "the data set is empty: x has 0 samples")
        self.batch_size: int = check.positive_int(who, "batch_size", 32 if batch_size is None else batch_size)
        self.per_pass = math.ceil(self.num_samples / self.batch_size)
        self.steps: int = self.per_pass if steps is None else check.positive_int(who, "steps_per_epoch", steps)
        self.shuffle = shuffle
        self._left_over: list[np.ndarray] = []

    @property
    def arrays(self) -> Batch:
        return self.x, self.y, self.sample_weight

    def peek(self) -> Batch:
        return tree.map(lambda a: None if a is None else a[: self.batch_size], self.arrays)

    def position(self) -> dict[str, Any]:
        return {"left_over": self._left_over}

    def move_to(self, position: dict[str, Any]) -> None:
        self._left_over = position["left_over"]

    def order(self) -> list[np.ndarray]:
        """For each batch of the next epoch the indices of its samples."""
        while len(self._left_over) < self.steps:
            self._left_over += self._one_pass()
        now, self._left_over = self._left_over[: self.steps], self._left_over[self.steps :]
        if self.steps == self.per_pass:
            self._left_over = []
        return now

    def _one_pass(self) -> list[np.ndarray]:
        n, size = self.num_samples, self.batch_size
        if self.shuffle is True:
            index = np.random.permutation(n)
        else:
            index = np.arange(n)
        chunks = [index[i : i + size] for i in range(0, n, size)]
        if self.shuffle == "batch":
            full = chunks if len(chunks[-1]) == size else chunks[:-1]
            np.random.shuffle(full)
            chunks = full + chunks[len(full) :]
        return chunks

    def batches(self) -> Iterator[Batch]:
        for index in self.order():
            yield tree.map(lambda a: None if a is None else a[index], self.arrays)


class IteratorData(Data):
    """A generator or any iterable of batches, ``tf.data`` and DataLoaders included.

    Without ``steps`` an epoch lasts until the iterable ends; with it the iterator goes on from epoch to epoch.
    """

    def __init__(
        self,
        source: Any,
        *,
        steps: int | None = None,
        class_weight: Mapping[int, float] | None = None,
        known_steps: int | None = None,
        who: str = "fit",
    ):
        self.source = source
        self.class_weight = class_weight
        self.wanted = steps
        self.steps = steps if steps is not None else known_steps
        self.who = who
        self.once = iter(source) is source
        self._iterator: Iterator[Any] | None = None
        self._peeked: list[Any] = []
        self._ever = False
        self._passes = self._taken = 0
        self._random: Any = None

    def peek(self) -> Batch:
        if not self._peeked:
            self._open()
            assert self._iterator is not None
            try:
                self._peeked = [next(self._iterator)]
            except StopIteration:
                check.fail(self.who, "the data set is empty: it gave no batch")
        return self._prepare(self._peeked[0])

    def _prepare(self, data: Any) -> Batch:
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        if isinstance(x, dict):  # streamed data sets of Hugging Face give lists
            x = {k: np.asarray(v) if isinstance(v, list) else v for k, v in x.items()}
        if self.class_weight is not None:
            sample_weight = class_weights(y, self.class_weight, sample_weight)
        return x, y, sample_weight

    def _take(self, limit: int | None) -> Iterator[Any]:
        """The next batches. The source's own iterator is advanced by ``next`` alone: delegating to it would close it."""
        if self._iterator is None:
            self._open()
        assert self._iterator is not None
        count = 0
        while limit is None or count < limit:
            try:
                data = self._peeked.pop() if self._peeked else next(self._iterator)
            except StopIteration:
                return
            count += 1
            self._taken += 1
            yield data

    def _open(self) -> None:
        self._random = seeds.random_state() if self.recorded else None
        self._iterator = iter(self.source)
        self._passes += 1
        self._taken = 0

    def position(self) -> dict[str, Any]:
        if self._iterator is None:
            return {"passes": self._passes, "taken": None}
        return {"passes": self._passes, "taken": self._taken, "random": self._random, "peeked": bool(self._peeked)}

    def move_to(self, position: dict[str, Any]) -> None:
        """Passes are read again: to their end, for they may leave something behind; a data set of TensorFlow and a
        DataLoader only count them, so their first batch is enough."""
        passes, taken = position["passes"], position["taken"]
        library = hasattr(self.source, "element_spec") or hasattr(self.source, "batch_sampler")
        for n in range(1, passes + 1):
            last = n == passes and taken is not None
            if last:
                seeds.set_random_state(position["random"])
                if self._peeked and hasattr(self.source, "batch_sampler"):  # it was begun with other random numbers
                    self._iterator, self._peeked, self._passes = None, [], 0
            if self._passes < n and last and position["peeked"]:
                self.peek()
            elif self._passes < n:
                self._open()
            collections.deque(self._take(taken if last else 1 if library else None), 0)
            self._ever = True
            if not last:
                self._iterator, self._peeked = None, []

    def batches(self) -> Iterator[Batch]:
        count = 0
        for data in self._take(self.wanted):
            count += 1
            self._ever = True
            yield self._prepare(data)
        if count == 0:
            if not (self.once and self._ever):
                check.fail(self.who, "the data set is empty: it gave no batch")
            warnings.warn(
                f"{self.who}: the generator has no batches left; give steps_per_epoch, or an endless generator or a "
                "data set that can be read again",
                stacklevel=2,
            )
        elif self.wanted is None:
            self.steps = count
            if not self.once:
                self._iterator = None
        elif count < self.wanted:
            if self.once:
                warnings.warn(
                    f"{self.who}: the generator ended after {count} of {self.wanted} steps of this epoch; it must give "
                    "steps_per_epoch * epochs batches. Training stops here",
                    stacklevel=2,
                )
            else:
                self._iterator = None
                for data in self._take(self.wanted - count):
                    yield self._prepare(data)

    @property
    def exhausted(self) -> bool:
        return self.once and self._iterator is not None and self.wanted is None


class PyDatasetData(Data):
    """A ``PyDataset`` (or a ``Sequence`` of older Keras), its batches prepared ahead by workers."""

    def __init__(
        self,
        source: Any,
        *,
        steps: int | None = None,
        shuffle: bool | str = False,
        class_weight: Mapping[int, float] | None = None,
        who: str = "fit",
    ):
        self.source = source
        self.shuffle = bool(shuffle)
        self.class_weight = class_weight
        self.who = who
        self.length = source.num_batches if isinstance(source, PyDataset) else len(source)
        if self.length == 0:
            check.fail(who, "the data set is empty: its length is 0")
        self.steps = steps if steps is not None else self.length
        self._hooks: list[Any] = []

    def peek(self) -> Batch:
        return self._get(0)

    def _get(self, index: int) -> Batch:
        x, y, sample_weight = unpack_x_y_sample_weight(self.source[index])
        if self.class_weight is not None:
            sample_weight = class_weights(y, self.class_weight, sample_weight)
        return x, y, sample_weight

    def _indices(self) -> Iterator[int]:
        if self.length is None:
            yield from itertools.islice(itertools.count(), self.steps)
            return
        wanted = self.steps or self.length
        while wanted > 0:
            order = np.random.permutation(self.length) if self.shuffle else np.arange(self.length)
            yield from (int(i) for i in order[:wanted])
            wanted -= self.length

    def batches(self) -> Iterator[Batch]:
        self._hook("on_epoch_begin")
        workers = getattr(self.source, "workers", 1)
        if workers <= 1 and not getattr(self.source, "use_multiprocessing", False):
            yield from map(self._get, self._indices())
            return
        yield from prepared(
            self._get,
            self._indices(),
            workers=workers,
            processes=self.source.use_multiprocessing,
            ahead=self.source.max_queue_size,
            who=type(self.source).__name__,
        )

    def on_epoch_end(self) -> None:
        self._hook("on_epoch_end")

    def _hook(self, name: str) -> None:
        """Call it; where it may draw random numbers, to shuffle, remember which."""
        own = getattr(type(self.source), name, None)
        if own is None or own is getattr(PyDataset, name):
            return
        if self.recorded:
            self._hooks.append([name, seeds.random_state()])
        getattr(self.source, name)()

    def position(self) -> dict[str, Any]:
        return {"hooks": list(self._hooks)}

    def move_to(self, position: dict[str, Any]) -> None:
        for name, state in position["hooks"]:
            seeds.set_random_state(state)
            self._hook(name)


def make(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool | str = False,
    class_weight: Mapping[int, float] | None = None,
    who: str = "fit",
) -> Any:
    """The ``Data`` for what the user gave. Raises ValueError for arguments that do not go together."""
    if isinstance(x, Data):
        return x
    x, y, sample_weight = (read(part) for part in (x, y, sample_weight))
    if x is None:
        check.fail(who, "x is None; give arrays, a generator or a data set")
    if is_arrays(x):
        return ArrayData(
            x, y, sample_weight, batch_size=batch_size, steps=steps, shuffle=shuffle, class_weight=class_weight, who=who
        )
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            check.fail(
                who, f"{name} cannot be given beside a {type(x).__name__}, which must yield it: (x, y, sample_weight)"
            )
    if isinstance(x, PyDataset) or (hasattr(x, "__getitem__") and hasattr(x, "__len__") and not is_loader(x)):
        return PyDatasetData(x, steps=steps, shuffle=shuffle, class_weight=class_weight, who=who)
    if hasattr(x, "__iter__"):
        known = _known_length(x)
        return IteratorData(x, steps=steps, class_weight=class_weight, known_steps=known, who=who)
    return check.fail(
        who, f"cannot read data from {type(x).__name__}; give arrays, a generator or a data set", TypeError
    )


def _known_length(x: Any) -> int | None:
    cardinality = getattr(x, "cardinality", None)
    if cardinality is not None:
        count = int(cardinality())
        return count if count >= 0 else None
    try:
        return len(x)
    except TypeError:
        return None


def split(x: Nest, y: Nest, sample_weight: Nest, fraction: float, who: str = "fit") -> tuple[Batch, Batch]:
    """The first ``1 - fraction`` of the samples and the rest. Raises ValueError when one part would be empty."""
    x, y, sample_weight = (read(part) for part in (x, y, sample_weight))
    if not is_arrays(x):
        check.fail(who, f"validation_split needs arrays, got {type(x).__name__}; give validation_data")
    check.number_in(who, "validation_split", fraction, 0.0, 1.0, open_high=True)
    parts = tuple(as_arrays(part, who, name) for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight")))
    n = equal_lengths(parts[0], parts[1], parts[2], who)
    at = math.floor(n * (1.0 - fraction))
    if at in (0, n):
        check.fail(
            who, f"validation_split={fraction} of {n} samples leaves {at} to train on and {n - at} to validate on"
        )
    first = tuple(tree.map(lambda a: None if a is None else a[:at], p) for p in parts)
    second = tuple(tree.map(lambda a: None if a is None else a[at:], p) for p in parts)
    return first, second  # type: ignore[return-value]
