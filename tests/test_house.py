"""Rules of the house that a program can check: no backend is named outside ``nyala/backends``.

``nyala/compat`` may hold the names as strings: they are packages that its programs import; so may ``nyala/applications``: "torch" is a way to scale pixels.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "nyala"
NAMES = {"jax", "torch", "tensorflow"}
FILES = [p for p in sorted(ROOT.rglob("*.py")) if p.relative_to(ROOT).parts[0] != "backends"]


def _named(tree: ast.AST, strings: bool = True) -> list[str]:
    """Lines that import a backend or hold its name as a string of its own (to compare, choose or look up by)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if not node.level else []
        elif strings and isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value] if node.value in NAMES else []
        else:
            continue
        if any(n.split(".")[0] in NAMES for n in names):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_no_backend(path: Path) -> None:
    assert not _named(ast.parse(path.read_text()), strings=path.parent.name not in ("compat", "applications"))


@pytest.mark.parametrize("code", ["import jax.numpy as jnp", "from torch import nn", "x = b.name == 'tensorflow'"])
def test_the_check_sees(code: str) -> None:
    assert _named(ast.parse(code))
