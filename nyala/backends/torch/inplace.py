"""What a user writes as ``x *= y`` gives a new tensor, and ``x[::-1]`` turns it round, as they do on the other backends.

On tensors torch would write the first into ``x``: the gradient of what made ``x`` then fails, and whoever else holds ``x`` (the
metrics, after a loss that normalises ``y_pred``) sees it changed. The second it refuses.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from nyala.backends.torch.shapes import natives as _shapes

_NEW = {
    getattr(Tensor, f"{name}_"): getattr(Tensor, name)
    for name in ("add", "sub", "mul", "div", "floor_divide", "pow", "remainder")
}
"""What torch calls for ``+=`` and its kin -> what it calls for ``+``."""


class _New(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        # Under no_grad ``weight -= rate * gradient`` is the usual update of a weight.
        if func in _NEW and not (args[0].requires_grad and args[0].is_leaf):
            func = _NEW[func]
        if func is Tensor.__getitem__:
            return _shapes["getitem"](*args)
        return func(*args, **(kwargs or {}))


_known: dict[types.CodeType, bool] = {}
"""Whether the function with this code needs to be run otherwise."""


def _differs(code: types.CodeType) -> tuple[bool, bool]:
    """Whether there is such an operator or slice, and whether a call of torch's ``x.mul_(y)``, which means what it says."""
    found = any(
        (i.opname == "BINARY_OP" and i.argrepr.endswith("=")) or (i.opname == "BUILD_SLICE" and i.arg == 3)
        for i in dis.get_instructions(code)
    )
    return found, any(f.__name__ in code.co_names for f in _NEW)


def _codes(fn: Any, seen: dict[int, types.CodeType]) -> dict[int, types.CodeType]:
    """The code of a function and of those of its module that it calls, by their ids."""
    code = getattr(fn, "__code__", None)
    if code is not None and id(code) not in seen:
        seen[id(code)] = code
        names = getattr(fn, "__globals__", {})
        for other in (names.get(n) for n in code.co_names):
            if isinstance(other, types.FunctionType) and other.__globals__ is names:
                _codes(other, seen)
    return seen


def kept(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, with such operators giving new tensors if it has any."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return fn
    if code not in _known:
        found = [_differs(c) for c in _codes(fn, {}).values()]
        _known[code] = any(differs for differs, _ in found) and not any(own for _, own in found)
    if not _known[code]:
        return fn

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _New():
            return fn(*args, **kwargs)

    return call
