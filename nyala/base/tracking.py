"""What an object owns: layers, variables, metrics and seeds in its attributes, and in lists, tuples and dicts there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nyala import backends
from nyala.base.variable import Variable

_PLAIN = (str, bytes, int, float, bool, type(None))


def owned(obj: Any, skip: frozenset[str]) -> Iterator[Any]:
    """The tracked objects that the attributes of ``obj`` hold, each once, in the order of the attributes."""
    seen: set[int] = set()
    for name, value in obj.__dict__.items():
        if name not in skip and not isinstance(value, _PLAIN):
            yield from _walk(value, seen)


def _walk(value: Any, seen: set[int]) -> Iterator[Any]:
    if isinstance(value, Variable) or getattr(type(value), "role", "") in ("layer", "model", "metric", "seed"):
        if id(value) not in seen:
            seen.add(id(value))
            yield value
    elif isinstance(value, backends.foreign_state):
        for variable in backends.adopt(value):
            yield from _walk(variable, seen)
    elif isinstance(value, (list, tuple, set, frozenset, dict)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            if not isinstance(item, _PLAIN):
                yield from _walk(item, seen)


def unique(items: Any) -> list[Any]:
    """The items in order, each once, by identity."""
    return list({id(x): x for x in items}.values())
