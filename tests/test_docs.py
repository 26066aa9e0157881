"""The Python blocks of the pages in docs/ and of README.md run: a page's blocks in their order, in one namespace."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"(?P<skip><!-- not run: [^\n]+ -->\n)?^```python\n(?P<code>.*?)^```$", re.M | re.S)

# Where a page is worth running on another backend than torch, which compiles nothing and so is soonest done.
BACKEND = {"README.md": "jax", "index.md": "jax", "custom_loops.md": "tensorflow", "distribution.md": "jax"}


def blocks(page: Path) -> list[tuple[int, str]]:
    """The line and the text of each block that is to run."""
    text = page.read_text()
    found = (m for m in BLOCK.finditer(text) if not m["skip"])
    return [(text.count("\n", 0, m.start("code")), m["code"]) for m in found]


def run(page: Path, line: int, text: str, namespace: dict[str, Any]) -> None:
    """Run a block, statement by statement; ``expression  # 2.0: and why`` must have that value."""
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        end = lines[(statement.end_lineno or 1) - 1]
        ast.increment_lineno(statement, line)  # an error names the page's own line
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), page, "exec"), namespace)
            continue
        value = eval(compile(ast.Expression(statement.value), page, "eval"), namespace)
        try:
            told = ast.literal_eval(end.partition("  # ")[2].partition(":")[0])
        except (SyntaxError, ValueError):
            continue
        assert value == told, f"{page.name}: {end}, got {value!r}"


def few_digits(path: str = "mnist.npz") -> Any:
    rng = np.random.default_rng(0)
    return tuple((rng.integers(0, 256, (n, 28, 28)).astype("uint8"), rng.integers(0, 10, n)) for n in (64, 32))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_page(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = blocks(page)
    if any("compat.install()" in text for _, text in code):  # it takes Keras's name for good, which other tests need
        program = tmp_path / "page.py"
        program.write_text("".join(text for _, text in code))
        subprocess.run([sys.executable, program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
        return
    import nyala
    from nyala import backends
    from nyala.base import policy, seeds
    from nyala.datasets import mnist

    monkeypatch.setattr(backends, "_chosen", BACKEND.get(page.name, "torch"))  # pages may call set_backend
    monkeypatch.setattr(mnist, "load_data", few_digits)
    monkeypatch.chdir(tmp_path)
    before = policy.dtype_policy()
    seeds.set_random_seed(0)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", nyala.base.old.OldSpelling)  # type: ignore[attr-defined]
            for line, text in code:
                run(page, line, text, namespace)
    finally:
        policy.set_dtype_policy(before)


def test_few_are_not_run() -> None:
    """What does not run says why, and most does."""
    for page in PAGES:
        text = page.read_text()
        assert not re.findall(r"^ +```python", text, re.M), f"{page.name}: an indented block is not run"
    counts = [[bool(m["skip"]) for m in BLOCK.finditer(p.read_text())] for p in PAGES]
    skipped, every = sum(map(sum, counts)), sum(map(len, counts))
    assert skipped <= every / 10, f"{skipped} of {every} blocks are not run"
