"""A layer that is quantized or adapted is of another class from then on, which goes by the same name.

Such a class is the layer's own with the parts for what it does now in front of it: ``(LoRA, Int8, Dense)``. Whoever holds
the layer keeps it, and no call asks which kind of layer it is in.
"""

from __future__ import annotations

import functools
from typing import Any

from nyala.base import check, registry, scope
from nyala.layers.base import Layer


def become(layer: Layer, *, mode: str | None = None, lora: bool | None = None) -> None:
    """Give ``layer`` the class for a quantization mode, for LoRA, or both; ``None`` leaves it as it is."""
    cls = type(layer)
    plain, old_mode, old_lora = getattr(cls, "_swapped_from", (cls, "", False))
    layer.__class__ = _class_of(plain, old_mode if mode is None else mode, old_lora if lora is None else lora)
    scope.python_state.changed()


def parts_for(plain: type, mode: str) -> tuple[type, type] | None:
    """The class of ours that has a part for ``mode`` among the bases of ``plain``, and the part."""
    from nyala.layers import quantized

    for cls in plain.__mro__:
        if (mode, cls) in quantized.PARTS:
            return cls, quantized.PARTS[mode, cls]
    return None


@functools.cache
def _class_of(plain: type, mode: str, lora: bool) -> type:
    found = [parts_for(plain, kind) for kind in (*(["lora"] * lora), *([mode] if mode else []))]
    if not all(found):
        check.fail(
            plain,
            f"has no {mode} form; layers that have: Dense, EinsumDense, Embedding and ReversibleEmbedding",
            NotImplementedError,
        )
    if not found:
        return plain
    ours = found[0][0]  # type: ignore[index]
    bridge: type = type(f"_{ours.__name__}", (*(part for _, part in found), ours), {})  # type: ignore[misc]
    names: dict[str, Any] = {
        "__module__": plain.__module__,
        "__qualname__": plain.__qualname__,
        "__doc__": plain.__doc__,
        "_swapped_from": (plain, mode, lora),
    }
    if "keras_name" in plain.__dict__:
        names["keras_name"] = plain.__dict__["keras_name"]
    cls = type(plain.__name__, (bridge,) if plain is ours else (plain, bridge), names)
    registry.also_called(plain, cls)
    return cls


def restored(plain: type, mode: str, lora: bool) -> Layer:
    """For pickle: a blank layer of a class that no module holds."""
    return object.__new__(_class_of(plain, mode, lora))
