"""What a user writes as ``x *= y`` gives a new tensor, as it does on the other backends.

On tensors torch would write it into ``x``: the gradient of what made ``x`` then fails, and whoever else holds ``x`` (the metrics,
after a loss that normalises ``y_pred``) sees it changed.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

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
        return func(*args, **(kwargs or {}))


@functools.lru_cache(maxsize=4096)
def _writes(code: types.CodeType) -> bool:
    """Whether there is such an operator, and no call of torch's ``x.mul_(y)``, which means what it says."""
    operators = any(i.opname == "BINARY_OP" and i.argrepr.endswith("=") for i in dis.get_instructions(code))
    return operators and not any(f.__name__ in code.co_names for f in _NEW)


def kept(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn``, with such operators giving new tensors if it has any."""
    code = getattr(fn, "__code__", None)
    if code is None or not _writes(code):
        return fn

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _New():
            return fn(*args, **kwargs)

    return call
