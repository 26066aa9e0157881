"""What tests share: the ``backend`` fixture, its ``--backend`` option, and quiet frameworks of one thread each."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before any framework is imported. Workers of pytest-xdist share the cores, so each takes one.
os.environ.update(
    NYALA_BACKEND="jax",
    KERAS_BACKEND="jax",
    JAX_PLATFORMS="cpu",
    CUDA_VISIBLE_DEVICES="",
    TF_CPP_MIN_LOG_LEVEL="3",
    TF_ENABLE_ONEDNN_OPTS="0",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
    OMP_NUM_THREADS="1",
    MPLBACKEND="Agg",
    # Compiling takes most of jax's time here, running what was compiled next to none of it.
    XLA_FLAGS=os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0"
    " --xla_llvm_disable_expensive_passes=true",
)

import pytest

from tests.xfails import XFAILS

# A worker holds millions of objects of three frameworks: scanning them all, again and again, was a good part of its time.
gc.set_threshold(50_000, 20, 100)

BACKENDS = ("jax", "torch", "tensorflow")
_STATM = Path("/proc/self/statm")
_memory = {"MiB": 2048}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend", action="append", choices=BACKENDS, help="test on this backend only (may be given several times)"
    )


@pytest.hookimpl(trylast=True)  # innermost: what one backend made the oracle compute, the next one finds
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--backend") or BACKENDS
        metafunc.parametrize("backend", [b for b in BACKENDS if b in chosen], indirect=True)


def pytest_runtest_teardown() -> None:
    """Let go of what jax has compiled when a worker has grown by a gigabyte; it would grow to four, for no use."""
    if _STATM.exists() and "jax" in sys.modules and _resident() > _memory["MiB"]:
        sys.modules["jax"].clear_caches()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        _memory["MiB"] = max(2048, _resident() + 1024)


def _resident() -> int:
    return int(_STATM.read_text().split()[1]) * 4096 >> 20


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend that the test runs on, with its scope entered, names counted anew and the seeds set."""
    from nyala.backends import backend_scope
    from nyala.base import naming, seeds

    with backend_scope(request.param):
        naming.reset()
        seeds.set_random_seed(0)
        yield request.param


@pytest.fixture
def deviation(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``deviation("ops/erfinv")``: from here on the test must fail if ``tests/xfails.py`` has that row, else pass."""

    def expect(key: str) -> None:
        reasons = XFAILS.get(key, {})
        backend = request.getfixturevalue("backend") if "backend" in request.fixturenames else "any"
        reason = reasons.get(backend) or reasons.get("any")
        if reason:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    return expect
