"""Batches prepared ahead by threads or processes, in order; a worker that is stuck or has died is named."""

from __future__ import annotations

import collections
import functools
import itertools
import multiprocessing
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

from nyala.base import check

PATIENCE = 60.0
"""Seconds that a batch may take before its worker is named; then twice as long, and so on."""


class _Job(NamedTuple):
    position: int
    index: int
    future: Future[Any]


class _Inside:
    """What a worker process was handed once, when it began."""

    get: Callable[[int], Any]
    board: MutableSequence[int]


def _enter(get: Callable[[int], Any], board: MutableSequence[int]) -> None:
    _Inside.get, _Inside.board = staticmethod(get), board


def _in_process(position: int, index: int) -> Any:
    _Inside.board[position % len(_Inside.board)] = os.getpid()
    return _Inside.get(index)


def _in_thread(get: Callable[[int], Any], board: MutableSequence[int], position: int, index: int) -> Any:
    board[position % len(board)] = threading.get_ident()
    return get(index)


def prepared(
    get: Callable[[int], Any], indices: Iterable[int], *, workers: int, processes: bool, ahead: int, who: str
) -> Iterator[Any]:
    """``get(index)`` for each index, in order, up to ``ahead`` of them computed before they are asked for.

    Raises RuntimeError naming a process that died; warns, naming the worker and where it is, of one that takes long.
    """
    ahead = max(workers, ahead)
    before = multiprocessing.active_children() if processes else []
    children: set[Any] = set()
    # For each job that waits, by its position modulo ``ahead``, who has taken it.
    board: MutableSequence[int] = multiprocessing.RawArray("q", ahead) if processes else [0] * ahead  # type: ignore[assignment]
    pool: Executor
    if processes:
        pool = ProcessPoolExecutor(workers, initializer=_enter, initargs=(get, board))
        run: Callable[[int, int], Any] = _in_process
    else:
        pool = ThreadPoolExecutor(workers, thread_name_prefix=who)
        run = functools.partial(_in_thread, get, board)

    def submit(position: int, index: int) -> _Job:
        board[position % ahead] = 0
        job = _Job(position, index, pool.submit(run, position, index))
        if processes:  # the pool begins them one by one
            children.update(child for child in multiprocessing.active_children() if child not in before)
        return job

    numbered = enumerate(indices)
    jobs: collections.deque[_Job] = collections.deque()
    try:
        jobs.extend(submit(*one) for one in itertools.islice(numbered, ahead))
        while jobs:
            yield _result(jobs[0], board, processes, who)
            jobs.popleft()
            following = next(numbered, None)
            if following is not None:
                jobs.append(submit(*following))
    except BrokenExecutor:
        pool.shutdown(cancel_futures=True)  # until then exit codes may not be known
        # The pool ends the others by SIGTERM when one has died.
        dead = sorted((c for c in children if c.exitcode), key=lambda c: c.exitcode == -15)
        told = f"worker process {dead[0].pid} (exit code {dead[0].exitcode})" if dead else "a worker process"
        check.fail(
            who,
            f"{told} died; batches {[job.index for job in jobs][:workers]} were in work. Exit code -9 is mostly the "
            "system's want of memory. Fewer workers, or use_multiprocessing=False, may help",
            RuntimeError,
        )
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _result(job: _Job, board: MutableSequence[int], processes: bool, who: str) -> Any:
    waited, patience = 0.0, PATIENCE
    while True:
        try:
            return job.future.result(timeout=patience)
        except TimeoutError:
            if job.future.done():  # the data set's own error
                raise
        waited, patience = waited + patience, 2 * patience
        warnings.warn(
            f"{who}: batch {job.index} is awaited for {waited:.0f} s: {_place(board[job.position % len(board)], processes)}. "
            "Training waits on; interrupt it if the worker is stuck",
            stacklevel=2,
        )


def _place(worker: int, processes: bool) -> str:
    if not worker:
        return "no worker has begun it"
    if processes:
        return f"worker process {worker} has it (`py-spy dump --pid {worker}` shows where it is)"
    name = next((t.name for t in threading.enumerate() if t.ident == worker), str(worker))
    frame = sys._current_frames().get(worker)
    at = traceback.extract_stack(frame)[-1] if frame is not None else None
    return f"worker thread {name!r} has it" + (f", at {at.filename}:{at.lineno} in {at.name}" if at else "")
