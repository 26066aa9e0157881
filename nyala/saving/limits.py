"""What a file may cost, and the one error of a file that is refused.

A file may come from anywhere. Whatever goes wrong while it is read comes out as ``ModelFileError``, and sizes are checked
before anything is allocated: what a file claims is held against the bytes that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NoReturn

MAX_TEXT = 64 * 2**20
"""Bytes of JSON."""
MAX_DEPTH = 200
MAX_VALUES = 4_000_000
MAX_MEMBERS = 10_000
MAX_DIRECTORY = 4 * 2**20
"""Bytes of an archive's table of contents."""
_RATIO, _FREE = 16, 64 * 2**20
_FREE_NUMBERS = 2**24
NUMBERS_WITHOUT_WEIGHTS = 2**29
"""What a config may ask for that comes without weights, so that there is nothing to hold it against: 2 GiB."""


class ModelFileError(ValueError):
    """A model or weights file is refused: it is damaged, too large for what it stores, or more than data.

    A ``ValueError``; the message names the file and the reason.
    """


def refuse(name: Any, why: str) -> NoReturn:
    raise ModelFileError(f"{name} is refused: {why}")


@contextmanager
def reading(name: Any) -> Iterator[None]:
    """Whatever fails inside is the file's fault, and says so."""
    try:
        yield
    except (ModelFileError, Warning):
        raise
    except ValueError as error:
        new = ModelFileError(str(error))
        for note in getattr(error, "__notes__", ()):
            new.add_note(note)
        raise new.with_traceback(error.__traceback__) from error.__cause__
    except Exception as error:
        raise ModelFileError(f"{name} cannot be read: {type(error).__name__}: {error}") from error


def unpacked(stored: int) -> int:
    """The most bytes that so many stored ones may be unpacked to."""
    return _RATIO * stored + _FREE


def numbers(stored: int) -> int:
    """The most numbers that the weights of a model may have whose file holds so many bytes of them, 4 bits each at least."""
    return 2 * stored + _FREE_NUMBERS


def of_training(numbers: int) -> int:
    """The most numbers in the state of an optimizer and metrics for a model of so many."""
    return 8 * numbers


def text(data: str | bytes, name: Any) -> None:
    """Refuse a JSON text that is too large, by what can be counted before it is parsed."""
    if len(data) > MAX_TEXT:
        refuse(name, f"its config has {len(data)} bytes, over the limit {MAX_TEXT}")
    count: Callable[[str], int] = data.count if isinstance(data, str) else lambda c: data.count(c.encode())
    values = sum(map(count, ",[{"))
    if values > MAX_VALUES:
        refuse(name, f"its config holds about {values} values, over the limit {MAX_VALUES}")


def nest(config: Any, name: Any) -> None:
    """Refuse a config that is nested too deep, or in which a name is a path."""
    level = [config]
    for _ in range(MAX_DEPTH + 1):
        for x in level:
            if isinstance(x, dict) and isinstance(x.get("name"), str):
                inner_path(name, x["name"])
        level = [v for x in level for v in (x.values() if isinstance(x, dict) else x) if isinstance(v, (dict, list))]
        if not level:
            return
    refuse(name, f"its config is nested deeper than {MAX_DEPTH}")


def inner_path(name: Any, place: str) -> None:
    """Refuse a name of something inside a file that leads out of it."""
    parts = PurePosixPath(place.replace("\\", "/")).parts
    if ".." in parts or place[:1] in ("/", "\\") or place[1:3] in (":/", ":\\") or "\0" in place:
        refuse(name, f"the name {place!r} in it leads out of its folder")
