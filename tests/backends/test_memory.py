"""What malloc is told: memory that a step gives back stays with the process.

Told of torch, whose every large tensor is a block of its own; of JAX's steps only some are large enough to show it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from nyala import backends, ops
backend = backends.get("torch")
with backends.backend_scope(backend):
    x = ops.ones((9, 1 << 20))  # larger than what malloc keeps by itself, 32 MB
    step = backend.compile(lambda x: sum(ops.tanh(x * i)[:, :8] @ ops.cumsum(x, 0)[:8] for i in (1, 2))[0, 0])
    faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for i in range(24):
        if i == 20:  # the heap has found its size
            before = faults()
        step(x)
        backend.synchronize()
    print(faults() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="it is glibc's malloc that is told")
def test_a_step_takes_no_new_memory() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    program = [sys.executable, "-c", PROGRAM]
    found = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    pages_of_x = (9 << 22) // resource.getpagesize()
    assert int(found.stdout) < 4 * pages_of_x / 2
