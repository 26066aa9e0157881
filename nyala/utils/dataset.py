"""``Dataset``: batches that are made when they are asked for, with the methods of ``tf.data.Dataset``, without TensorFlow."""

from __future__ import annotations

import itertools
import math
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from nyala import backends
from nyala.base import check, tree

__all__ = ["AUTOTUNE", "Dataset"]

AUTOTUNE = -1
INFINITE_CARDINALITY, UNKNOWN_CARDINALITY = -1, -2
_END = object()


class HostArray(np.ndarray):
    """A NumPy array that also has the method ``numpy`` of a tensor; so have its elements."""

    def numpy(self) -> np.ndarray:
        return np.asarray(self)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return np.asarray(found).view(HostArray) if isinstance(found, np.generic) else found


def host_array(x: Any) -> Any:
    """``x`` as a ``HostArray``; tensors stay what they are."""
    return x if backends.of(x) is not None else np.asarray(x).view(HostArray)


class Dataset:
    """Elements (arrays, or tuples and dicts of them) that can be read again and again; methods give new data sets.

    Args:
        make: gives an iterator over one pass.
        length: elements of a pass; ``math.inf`` for an endless one, ``None`` if not known.
        element_spec: a nest of ``TensorSpec`` like the elements, if it is known.
    """

    class_names: list[str]
    file_paths: list[str]

    def __init__(self, make: Callable[[], Iterator[Any]], length: float | None = None, element_spec: Any = None):
        self._make = make
        self._length = length
        self.element_spec = element_spec

    def _new(self, make: Callable[[], Iterator[Any]], length: float | None, element_spec: Any = None) -> Dataset:
        new = Dataset(make, length, element_spec)
        for name in ("class_names", "file_paths"):
            if hasattr(self, name):
                setattr(new, name, getattr(self, name))
        return new

    # -- sources -----------------------------------------------------------------------------------------------------

    @classmethod
    def from_tensor_slices(cls, tensors: Any) -> Dataset:
        """One element a row of the arrays, which have equal first axes."""
        arrays = tree.map(host_array, tensors)
        lengths = {len(a) for a in tree.flatten(arrays)}
        if len(lengths) != 1:
            check.fail("Dataset", f"the arrays must be equally long, got {sorted(lengths)}")
        n = lengths.pop()
        return cls(lambda: (tree.map(lambda a: a[i], arrays) for i in range(n)), n)

    @classmethod
    def from_generator(cls, generator: Callable[[], Iterable[Any]]) -> Dataset:
        """The elements of ``generator()``, called anew for each pass."""
        return cls(lambda: (tree.map(host_array, x) for x in generator()))

    @classmethod
    def range(cls, *args: int) -> Dataset:
        numbers = range(*args)
        return cls(lambda: (host_array(i) for i in numbers), len(numbers))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Tuples with an element of each."""
        parts = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], (tuple, list)) else datasets
        lengths = [d._length for d in parts]
        return Dataset(lambda: zip(*parts), None if None in lengths else min(lengths))

    # -- reading -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._length is None or math.isinf(self._length):
            raise TypeError(f"the data set is {'endless' if self._length else 'of unknown length'}")
        return int(self._length)

    def cardinality(self) -> int:
        """The number of elements; -1: endless, -2: not known."""
        if self._length is None:
            return UNKNOWN_CARDINALITY
        return INFINITE_CARDINALITY if math.isinf(self._length) else int(self._length)

    def as_numpy_iterator(self) -> Iterator[Any]:
        return (tree.map(np.asarray, element) for element in self)

    def get_single_element(self) -> Any:
        """The only element. Raises ValueError when there are more or none."""
        found = list(itertools.islice(self, 2))
        return found[0] if len(found) == 1 else check.fail("Dataset", "has not exactly one element")

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        for element in self:
            initial_state = reduce_func(initial_state, element)
        return initial_state

    # -- other data sets ---------------------------------------------------------------------------------------------

    def map(
        self, map_func: Callable[..., Any], num_parallel_calls: int | None = None, deterministic: Any = None
    ) -> Dataset:
        """``map_func`` of each element; a tuple's parts are its arguments.

        Args: num_parallel_calls: threads; -1 (AUTOTUNE) for one a core. The order stays, so ``deterministic`` changes nothing.
        """

        def call(element: Any) -> Any:
            return map_func(*element) if isinstance(element, tuple) else map_func(element)

        if num_parallel_calls is None:
            return self._new(lambda: map(call, self), self._length)
        workers = os.cpu_count() or 1 if num_parallel_calls == AUTOTUNE else num_parallel_calls
        workers = check.positive_int("Dataset.map", "num_parallel_calls (or -1)", workers)
        return self._new(lambda: _in_threads(call, iter(self), workers), self._length)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        def wanted(element: Any) -> bool:
            return bool(predicate(*element) if isinstance(element, tuple) else predicate(element))

        return self._new(lambda: filter(wanted, self), None, self.element_spec)

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        return transformation_func(self)

    def batch(
        self, batch_size: int, drop_remainder: bool = False, num_parallel_calls: Any = None, deterministic: Any = None
    ) -> Dataset:
        """``batch_size`` elements stacked into one; the last may be of fewer, which ``drop_remainder`` leaves out.

        ``num_parallel_calls`` and ``deterministic`` change nothing.
        """
        check.positive_int("Dataset.batch", "batch_size", batch_size)

        def make() -> Iterator[Any]:
            elements = iter(self)
            while group := list(itertools.islice(elements, batch_size)):
                if len(group) == batch_size or not drop_remainder:
                    yield tree.map(_stack, group[0], *group[1:])

        n = self._length
        known = n is not None and not math.isinf(n)
        return self._new(make, (n // batch_size if drop_remainder else -(-n // batch_size)) if known else n)  # type: ignore[operator]

    def unbatch(self) -> Dataset:
        def make() -> Iterator[Any]:
            for element in self:
                for i in range(len(tree.flatten(element)[0])):
                    yield tree.map(lambda a: a[i], element)

        return self._new(make, None)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Elements drawn from a buffer that is filled from behind, in another order each pass.

        Args: seed: of the order; default from NumPy's generator.
        """
        check.positive_int("Dataset.shuffle", "buffer_size", buffer_size)
        passes = itertools.count()
        first = np.random.randint(2**31) if seed is None else seed

        def make() -> Iterator[Any]:
            rng = np.random.default_rng([first, next(passes) if reshuffle_each_iteration else 0])
            elements = iter(self)
            buffer = list(itertools.islice(elements, buffer_size))
            while buffer:
                i = int(rng.integers(len(buffer)))
                buffer[i], last = buffer[-1], buffer[i]
                buffer.pop()
                yield last
                buffer += itertools.islice(elements, 1)

        return self._new(make, self._length, self.element_spec)

    def take(self, count: int) -> Dataset:
        if count == -1:
            return self
        length = None if self._length is None else min(count, self._length)
        return self._new(lambda: itertools.islice(self, count), length, self.element_spec)

    def skip(self, count: int) -> Dataset:
        length = None if self._length is None else max(self._length - count, 0)
        return self._new(lambda: itertools.islice(self, count, None), length, self.element_spec)

    def shard(self, num_shards: int, index: int) -> Dataset:
        """Every ``num_shards``-th element from ``index`` on."""
        known = self._length is not None and not math.isinf(self._length)
        length = len(range(index, int(self._length), num_shards)) if known else self._length  # type: ignore[arg-type]
        return self._new(lambda: itertools.islice(self, index, None, num_shards), length, self.element_spec)

    def repeat(self, count: int | None = None) -> Dataset:
        """The passes one after the other; without ``count`` (or -1) without end."""
        endless = count is None or count == -1
        passes = lambda: itertools.count() if endless else range(count or 0)  # noqa: E731
        length = math.inf if endless else None if self._length is None else self._length * (count or 0)
        return self._new(lambda: (x for _ in passes() for x in self), length, self.element_spec)

    def concatenate(self, dataset: Dataset) -> Dataset:
        both = None if None in (self._length, dataset._length) else self._length + dataset._length  # type: ignore[operator]
        return self._new(lambda: itertools.chain(self, dataset), both, self.element_spec)

    def enumerate(self, start: int = 0) -> Dataset:
        return self._new(lambda: ((host_array(i), x) for i, x in enumerate(self, start)), self._length)

    def cache(self, filename: str = "") -> Dataset:
        """Keeps the elements of the first whole pass in memory. Raises NotImplementedError for a file."""
        if filename:
            check.fail("Dataset.cache", "keeps elements in memory only; leave filename empty", NotImplementedError)
        kept: list[Any] = []
        whole: list[bool] = []

        def make() -> Iterator[Any]:
            if whole:
                yield from kept
                return
            found = []
            for element in self:
                found.append(element)
                yield element
            kept[:] = found
            whole.append(True)

        return self._new(make, self._length, self.element_spec)

    def prefetch(self, buffer_size: int) -> Dataset:
        """Makes up to ``buffer_size`` elements (-1: two) ahead, in a thread."""
        size = 2 if buffer_size == AUTOTUNE else check.positive_int("Dataset.prefetch", "buffer_size", buffer_size)
        return self._new(lambda: _ahead(self, size), self._length, self.element_spec)

    def __repr__(self) -> str:
        return f"<Dataset of {self._length if self._length is not None else 'unknown'} elements>"


def _stack(*parts: Any) -> Any:
    owner = backends.of(parts[0])
    return np.stack(parts).view(HostArray) if owner is None else owner.convert(list(parts))


def _in_threads(call: Callable[[Any], Any], elements: Iterator[Any], workers: int) -> Iterator[Any]:
    backend = backends.current()

    def work(element: Any) -> Any:
        with backends.backend_scope(backend):
            return call(element)

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Any]] = deque(pool.submit(work, x) for x in itertools.islice(elements, 2 * workers))
        while waiting:
            found = waiting.popleft().result()
            waiting.extend(pool.submit(work, x) for x in itertools.islice(elements, 1))
            yield found


def _ahead(source: Iterable[Any], size: int) -> Iterator[Any]:
    """The elements of ``source``, made in a thread that ends with this iterator."""
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(size)
    stopped = threading.Event()
    backend = backends.current()

    def put(item: tuple[Any, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        try:
            with backends.backend_scope(backend):
                for element in source:
                    put((element, None))
                    if stopped.is_set():
                        return
        except BaseException as error:
            put((_END, error))
        else:
            put((_END, None))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            element, error = ready.get()
            if error is not None:
                raise error
            if element is _END:
                return
            yield element
    finally:
        stopped.set()
