"""Steps: eager by default, ``torch.compile`` where asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nyala import backends
from nyala._typing import Nest
from nyala.backends.torch.control import _at
from nyala.base import tree
from nyala.base.scope import python_state

if TYPE_CHECKING:
    from nyala.base.variable import Variable


def compile(
    self: Any,
    fn: Callable[..., Nest],
    variables: Sequence[Variable] = (),
    *,
    jit: bool | None = None,
    donate: bool = True,
) -> Callable[..., Nest]:
    """``fn`` itself inside the backend's scope, its NumPy arguments converted; ``jit=True``: by ``torch.compile``."""
    run = _compiled(fn) if jit else fn
    local = backends.local

    def call(*args: Any, **kwargs: Any) -> Nest:
        outer, local.backend = local.backend, self
        try:
            return run(*(_tensors(self, a) for a in args), **{k: _tensors(self, v) for k, v in kwargs.items()})
        finally:
            local.backend = outer

    return call


def _compiled(fn: Callable[..., Nest]) -> Callable[..., Nest]:
    """One ``torch.compile`` a version of the Python state. The gradient inside is part of the graph."""
    # It reads through the caches of the dtype lattice, which is pure, and says so at length.
    warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")
    versions: dict[tuple[int, int], Callable[..., Nest]] = {}

    def run(*args: Any, **kwargs: Any) -> Nest:
        key = python_state.version, python_state.flags
        found = versions.get(key)
        if found is None:
            for old in [k for k in versions if k[0] != key[0]]:
                del versions[old]
            # A fresh function: dynamo keeps its results by code and closure.
            found = versions[key] = torch.compile(lambda *a, **k: fn(*a, **k))
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            return found(*args, **kwargs)

    return run


def compile_loop(
    self: Any, fn: Callable[..., Nest], variables: Sequence[Variable] = (), *, jit: bool | None = None
) -> Callable[..., Nest]:
    step = compile(self, fn, variables, jit=jit)

    def call(xs: Nest, *rest: Any) -> Nest:
        xs = _tensors(self, xs)
        n = next(x.shape[0] for x in tree.flatten(xs) if isinstance(x, Tensor))
        out = None
        for i in range(n):
            out = step(_at(xs, i), *rest)
        return out

    return call


def _tensors(backend: Any, x: Any) -> Any:
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        return backend.convert(x)
    if isinstance(x, (list, tuple, dict)):
        return tree.map(lambda v: _tensors(backend, v), x)
    return x
