"""Public names and signatures of the ops are Keras's."""

from __future__ import annotations

import inspect

import pytest

import nyala


@pytest.mark.parametrize("space", ["ops", "ops.nn", "ops.linalg", "ops.image", "ops.numpy", "random"])
def test_names_and_signatures(space):
    import keras

    theirs, ours = keras, nyala
    for part in space.split("."):
        theirs, ours = getattr(theirs, part), getattr(ours, part)
    for name in (n for n in dir(theirs) if not n.startswith("_")):
        want, got = getattr(theirs, name), getattr(ours, name)
        if inspect.ismodule(want):
            continue
        want, got = ([(p.name, p.default) for p in inspect.signature(f).parameters.values()] for f in (want, got))
        assert got == want, f"{space}.{name}"
