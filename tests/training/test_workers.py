"""Batches prepared ahead: in order, with the data set's own errors, and with a name for a worker that is stuck or dead."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import warnings

import pytest

from nyala.training import workers

# In a process of its own: a fork of one that runs jax or TensorFlow may stop in their locks.
PROGRAM = """
import os, sys, time, warnings
from nyala.training import workers

def get(i):
    if i == 3 and sys.argv[1] == "dies":
        os._exit(7)
    if i == 2 and sys.argv[1] == "sleeps":
        time.sleep(1)
    return i, os.getpid()

workers.PATIENCE = 0.2
warnings.simplefilter("always")
found = list(workers.prepared(get, range(5), workers=2, processes=True, ahead=3, who="Batches"))
assert [i for i, _ in found] == list(range(5)) and os.getpid() not in {pid for _, pid in found}
print("in order")
"""


def test_threads_keep_the_order():
    main, seen = threading.get_ident(), set()

    def get(i: int) -> int:
        seen.add(threading.get_ident())
        return i

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(workers.prepared(get, range(9), workers=3, processes=False, ahead=2, who="Batches")) == list(
            range(9)
        )
    assert main not in seen


def test_a_stuck_thread_is_named_with_its_place(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.1)
    told = threading.Event()

    def get(i: int) -> int:
        if i == 1:
            told.wait(30)
        return i

    def show(message, *_):
        if "batch 1 is awaited" in str(message):
            told.set()
            assert "worker thread 'Batches_" in str(message) and "threading.py" in str(message)

    monkeypatch.setattr(warnings, "showwarning", show)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert list(workers.prepared(get, range(3), workers=1, processes=False, ahead=1, who="Batches")) == [0, 1, 2]
    assert told.is_set()


@pytest.mark.parametrize("error", [KeyError("no such file"), TimeoutError("the server does not answer")])
def test_errors_of_the_data_set_are_its_own(error):
    def get(i: int) -> int:
        raise error

    with pytest.raises(type(error), match=error.args[0]):
        next(workers.prepared(get, range(3), workers=2, processes=False, ahead=2, who="Batches"))


@pytest.mark.parametrize(
    "case, told",
    {
        "works": "in order",
        "sleeps": "Batches: batch 2 is awaited for 0 s: worker process",
        "dies": "RuntimeError: Batches: worker process [0-9]+ \\(exit code 7\\) died; batches \\[",
    }.items(),
)
def test_processes(case, told):
    done = subprocess.run([sys.executable, "-c", PROGRAM, case], capture_output=True, text=True, timeout=60)
    assert re.search(told, done.stdout + done.stderr), done.stderr
    assert (done.returncode == 0) == (case != "dies")
