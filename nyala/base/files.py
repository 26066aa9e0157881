"""Files take their places when they are complete, and whoever cannot write one says which."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nyala.base import old


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Give an error of the disk the name of the file that was to be written, in place of none or of a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or path.name not in str(error.filename or path):
            raise
        raise OSError(error.errno, f"cannot be written: {os.strerror(error.errno)}", str(path)) from error


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file or folder to write, maybe with others beside it: when the block ends well, they replace those of their names.

    Raises OSError, with ``path`` in it, where the disk refuses; what was there is then as it was.
    """
    with writing(path), tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}-", dir=path.parent) as held:
        new = Path(held) / "new"
        new.mkdir()
        yield new / path.name
        if path.is_dir() and (new / path.name).is_dir():
            path.rename(Path(held) / "old")
        for made in sorted(new.iterdir(), reverse=True):
            os.replace(made, path.parent / made.name)


_OF_TENSORFLOW = ("", ".ckpt", ".tf", ".weights", ".model")
"""Endings of the names that programs of Keras 2 gave what was saved in TensorFlow's format."""


def of_today(path: str, ending: str) -> str:
    """``path`` with ``ending``, of which it is told, where it has the kind of name that TensorFlow's format had."""
    suffix = os.path.splitext(path)[1]
    if suffix not in _OF_TENSORFLOW and "}" not in suffix:  # a field of ModelCheckpoint's path
        return path
    old.tell(
        "a path without the ending of a Keras file, for TensorFlow's format,", f"path + {ending!r}, which is written"
    )
    return path + ending


def found(path: Path, *endings: str) -> Path:
    """``path``, or what was written for it by a name ``of_today``."""
    others = (path.with_name(path.name + ending) for ending in endings)
    return path if path.exists() else next((p for p in others if p.exists()), path)


__all__ = ["beside", "found", "of_today", "writing"]
