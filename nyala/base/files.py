"""Files take their places when they are complete, and whoever cannot write one says which."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


__all__ = ["beside", "writing"]
