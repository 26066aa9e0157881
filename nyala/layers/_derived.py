"""What a user's ``build`` computes from weights: ``self.k_i = self.kernel[:, :n]``, as the cells of Keras 1 and 2 were written.

In a graph such an attribute followed the weight. So ``build`` is run once more, on a copy of the layer and with the weights that it
made, when the layer is called, and for that call the layer has the copy's attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nyala import backends
from nyala.base import scope, tree
from nyala.base.variable import Variable


class Derived:
    """The attributes that ``build`` computed, and the variables it made, in their order.

    ``fresh``: whether a call that is running has computed them already.
    """

    def __init__(self, names: list[str], made: list[Any]):
        self.names, self.made = names, made
        self.fresh = False


def find(layer: Any, before: dict[str, Any], run: scope.Replayed) -> Derived | None:
    """What ``build``, which ran in ``run`` and found the attributes ``before``, derived from weights."""
    if not run.asked:
        return None
    names = [n for n, x in vars(layer).items() if x is not before.get(n) and n[0] != "_" and _has_tensor(x)]
    return Derived(names, run.made) if names else None


def _has_tensor(value: Any) -> bool:
    return any(not isinstance(x, Variable) and backends.of(x) is not None for x in tree.flatten(value))


@contextmanager
def anew(layers: Iterable[Any]) -> Iterator[None]:
    """While it is open, the layers' derived attributes have the values that follow from the weights as they are."""
    kept = [(layer, _computed(layer)) for layer in layers if layer._derived is not None and not layer._derived.fresh]
    try:
        for layer, _ in kept:
            layer._derived.fresh = True
        yield
    finally:
        for layer, attributes in kept:
            layer.__dict__.update(attributes)
            layer._derived.fresh = False


def _computed(layer: Any) -> dict[str, Any]:
    """Set the attributes; what they were."""
    twin = object.__new__(type(layer))
    twin.__dict__.update(vars(layer), _own_variables=[], _losses=[], _building=True)
    with scope.Replayed(layer._derived.made):
        args, kwargs = layer._build_args
        twin.build(*args, **kwargs)
    kept = {name: vars(layer)[name] for name in layer._derived.names}
    layer.__dict__.update({name: vars(twin)[name] for name in kept})
    return kept
