"""The mask that travels with a tensor: which of its entries are valid."""

from __future__ import annotations

import weakref
from typing import Any

from nyala._typing import Tensor, TensorLike

_ATTRIBUTE = "_keras_mask"
_elsewhere: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_masks: dict[int, Any] = {}
"""For tensors of a type that takes no attributes: ``id(tensor) -> mask`` while the tensor lives."""


def get_mask(x: TensorLike) -> Tensor | None:
    """The mask of ``x``, a bool tensor over its leading axes, or ``None``."""
    mask = getattr(x, _ATTRIBUTE, None)
    if mask is None and _masks and _elsewhere.get(id(x)) is x:
        return _masks[id(x)]
    return mask


def set_mask(x: Tensor, mask: Tensor | None) -> None:
    """Let ``mask`` travel with ``x``; ``None`` takes a mask off."""
    try:
        setattr(x, _ATTRIBUTE, mask)
    except AttributeError:
        key = id(x)
        if mask is None:
            _masks.pop(key, None)
            return
        _elsewhere[key] = x
        _masks[key] = mask
        weakref.finalize(x, _masks.pop, key, None)
