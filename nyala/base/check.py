"""Argument checks that raise an error saying who, what was expected, what came, and a way out.

``owner`` is the object or name that the message begins with: ``Dense `head`: units must be a positive int, got 0``.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn


def who(owner: Any) -> str:
    """``Dense `head` `` for a named object, the class name for another, the string itself for a string."""
    if isinstance(owner, str):
        return owner
    name = getattr(owner, "name", None)
    kind = owner.__name__ if isinstance(owner, type) else type(owner).__name__
    return f"{kind} `{name}`" if isinstance(name, str) and name else kind


def fail(owner: Any, message: str, error: type[Exception] = ValueError) -> NoReturn:
    raise error(f"{who(owner)}: {message}")


def nearest(word: Any, choices: Iterable[str]) -> str:
    """``" Did you mean 'adam'?"``, or the choices when nothing is near."""
    choices = [str(c) for c in choices]
    close = difflib.get_close_matches(str(word).lower(), choices, n=3, cutoff=0.6) or difflib.get_close_matches(
        str(word), choices, n=3, cutoff=0.5
    )
    if close:
        return " Did you mean " + " or ".join(repr(c) for c in close) + "?"
    return " Known: " + ", ".join(repr(c) for c in sorted(choices)) + "."


def is_int(x: Any) -> bool:
    return isinstance(x, numbers.Integral) and not isinstance(x, bool)


def positive_int(owner: Any, name: str, value: Any) -> int:
    if not is_int(value) or value <= 0:
        fail(owner, f"{name} must be a positive int, got {value!r}")
    return int(value)


def non_negative_int(owner: Any, name: str, value: Any) -> int:
    if not is_int(value) or value < 0:
        fail(owner, f"{name} must be an int >= 0, got {value!r}")
    return int(value)


def ints(owner: Any, name: str, value: Any, n: int, *, allow_zero: bool = False) -> tuple[int, ...]:
    """An int, repeated ``n`` times, or a sequence of ``n`` ints, all positive."""
    values = (value,) * n if is_int(value) else value
    low = 0 if allow_zero else 1
    if (
        not isinstance(values, Sequence)
        or isinstance(values, str)
        or len(values) != n
        or not all(is_int(v) and v >= low for v in values)
    ):
        fail(owner, f"{name} must be an int >= {low} or a tuple of {n} of them, got {value!r}")
    return tuple(int(v) for v in values)


def number_in(
    owner: Any,
    name: str,
    value: Any,
    low: float = float("-inf"),
    high: float = float("inf"),
    *,
    open_high: bool = False,
) -> Any:
    """A real number in ``[low, high]`` (``[low, high)`` when ``open_high``)."""
    ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and low <= float(value) <= high
    if not ok or (open_high and value == high):
        fail(owner, f"{name} must be a number in [{low}, {high}{')' if open_high else ']'}, got {value!r}")
    return value


def one_of(owner: Any, name: str, value: Any, choices: Sequence[Any]) -> Any:
    if value not in choices:
        fail(owner, f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.{_hint(value, choices)}")
    return value


def _hint(value: Any, choices: Sequence[Any]) -> str:
    close = difflib.get_close_matches(str(value), [str(c) for c in choices], n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def no_extra(owner: Any, kwargs: dict[str, Any], known: Iterable[str] = ()) -> None:
    """Raise on arguments that nothing understands."""
    if kwargs:
        first = next(iter(kwargs))
        fail(
            owner,
            f"unknown argument {first!r} (of {sorted(kwargs)}).{nearest(first, known) if known else ''}",
            TypeError,
        )
