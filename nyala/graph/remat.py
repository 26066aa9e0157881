"""Rematerialisation: inner values of a layer are not kept for the gradient but computed again, time against memory."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

from nyala import backends
from nyala.base import check, tree
from nyala.graph import infer

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class _Local(threading.local):
    scopes: tuple[RematScope, ...] = ()


_local = _Local()


class RematScope:
    """Layers made in the ``with`` block are rematerialised.

    Args:
        mode: ``"full"``: every layer; ``"activations"``: those with an activation; ``"larger_than"``: those whose output has
            more than ``output_size_threshold`` entries; ``"list_of_layers"``: those called ``layer_names``; ``None``: none.
        output_size_threshold: number of entries, an unknown axis counting 1. layer_names: names of layers.
    """

    def __init__(
        self, mode: str | None = "full", output_size_threshold: int = 1024, layer_names: Sequence[str] | None = None
    ):
        self.mode = check.one_of("RematScope", "mode", mode, _MODES)
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        self._outer = _local.scopes
        _local.scopes = (*self._outer, self)
        return self

    def __exit__(self, *exc: Any) -> None:
        _local.scopes = self._outer

    def covers(self, layer: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> bool:
        """Whether the call of ``layer`` that is about to be made is to be rematerialised."""
        if self.mode == "activations":
            return getattr(layer, "activation", None) is not None
        if self.mode == "larger_than":
            specs = tree.flatten(infer.infer(call, args, kwargs, layer._find_backend()))
            sizes = [math.prod(n or 1 for n in s.shape) for s in specs if hasattr(s, "shape")]
            return max(sizes, default=0) > self.output_size_threshold
        return self.mode == "full" or (self.mode == "list_of_layers" and layer.name in self.layer_names)


def current() -> RematScope | None:
    return _local.scopes[-1] if _local.scopes else None


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` without its inner values being kept for the gradient, which runs it a second time.

    What ``f`` assigns to variables and draws at random is as if it ran once.
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        backend = next((b for b in map(backends.of, tree.flatten((args, kwargs))) if b is not None), backends.current())
        return backend.remat(lambda a, k: f(*a, **k), (args, kwargs))

    return call
