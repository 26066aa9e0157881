"""Programs in the manner of every version of Keras run as they are, on the three backends.

One process a backend runs them all, for most of the time of each would go into starting.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKENDS

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
ROOT = str(Path(__file__).parents[2])
_DRIVER = """
import runpy, sys, traceback, warnings
warnings.simplefilter("ignore")
for program in sys.argv[1:]:
    try:
        runpy.run_path(program, run_name="__main__")
    except Exception:
        print("FAILED", program)
        traceback.print_exc(file=sys.stdout)
"""


@pytest.mark.parametrize("name", BACKENDS)
def test_programs_run(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name not in (request.config.getoption("--backend") or BACKENDS):
        pytest.skip("another backend is asked for")
    (tmp_path / "driver.py").write_text(_DRIVER)
    chosen = [p for p in PROGRAMS if name == "tensorflow" or "needs: tensorflow" not in p.read_text()]
    done = subprocess.run(
        [sys.executable, "-m", "nyala", "run", "--backend", name, "driver.py", *map(str, chosen)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout + done.stderr
