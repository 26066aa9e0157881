"""Exported files take their place when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nyala.base import check, files

_MARK = "saved_model.pb"


@contextmanager
def in_place(path: Path) -> Iterator[Path]:
    """A file or folder to write in place of ``path``, with whatever files belong beside it.

    Raises FileExistsError for a folder with something else in it than a SavedModel.
    """
    if path.is_dir() and any(path.iterdir()) and not (path / _MARK).exists():
        check.fail("export", f"{path} is a folder that holds no SavedModel, so it is left alone", FileExistsError)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.beside(path) as new:
        yield new


__all__ = ["in_place"]
