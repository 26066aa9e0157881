"""``keras.initializations`` of Keras 1: functions of a shape that give a variable; ``get`` finds them by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nyala import initializers
from nyala.base import old
from nyala.base.variable import Variable

Initialization = Callable[..., Variable]


def get(identifier: Any) -> Initialization:
    """The function of that name: ``get("uniform")((3, 4), name="W")``; a function as it is."""
    if not isinstance(identifier, initializers.Initializer) and callable(identifier):
        return identifier  # type: ignore[return-value]
    return _made(initializers.get(identifier))


def _made(initializer: Any) -> Initialization:
    def initialize(shape: Sequence[int], name: str | None = None, **_: Any) -> Variable:
        return Variable(initializer, tuple(shape), name=name)

    old.tell("keras.initializations", "keras.initializers, and add_weight(shape=..., initializer=...) in a layer")
    return initialize


def normal(shape: Sequence[int], scale: float = 0.05, name: str | None = None) -> Variable:
    return _made(initializers.RandomNormal(stddev=scale))(shape, name)


def uniform(shape: Sequence[int], scale: float = 0.05, name: str | None = None) -> Variable:
    return _made(initializers.RandomUniform(-scale, scale))(shape, name)


def orthogonal(shape: Sequence[int], scale: float = 1.1, name: str | None = None) -> Variable:
    return _made(initializers.Orthogonal(scale))(shape, name)


def identity(shape: Sequence[int], scale: float = 1, name: str | None = None) -> Variable:
    return _made(initializers.Identity(scale))(shape, name)


def _named(name: str) -> Initialization:
    def initialize(shape: Sequence[int], name_: str | None = None, *, name: str | None = None, **_: Any) -> Variable:
        return get(initialize.__name__)(shape, name_ or name)

    initialize.__name__ = name
    return initialize


zero, one = _named("zero"), _named("one")
glorot_normal, glorot_uniform = _named("glorot_normal"), _named("glorot_uniform")
he_normal, he_uniform, lecun_uniform = _named("he_normal"), _named("he_uniform"), _named("lecun_uniform")

__all__ = [
    "get", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "identity", "lecun_uniform", "normal", "one",
    "orthogonal", "uniform", "zero",
]  # fmt: skip
