"""What layers do when they are quantized or adapted: the parts that ``swap`` puts in front of a layer's own class.

A part says how the main weight is stored (``_encode``, ``_decoded``) and how the layer computes with it. Other parts go on from
there by ``super()``: LoRA adds its product to whatever the layer under it gives. The parts of ``Dense`` and ``EinsumDense``
are in ``kernels``, those of embeddings in ``tables``, what all share in ``parts``; ``calibration`` is the way of GPTQ and AWQ.
"""

from __future__ import annotations

import re
from typing import Any

from nyala import backends
from nyala.base import check, policy
from nyala.layers import swap
from nyala.layers.base import Layer
from nyala.layers.core import Dense, EinsumDense, Embedding, ReversibleEmbedding
from nyala.layers.quantized.kernels import (
    _Float8Kernel,
    _GroupedKernel,
    _Int4Kernel,
    _Int8Kernel,
    _LoRADense,
    _LoRAKernel,
    _ScaledKernel,
)
from nyala.layers.quantized.tables import (
    _Int4Reversible,
    _Int4Table,
    _Int8Reversible,
    _Int8Table,
    _LoRAReversible,
    _LoRATable,
)
from nyala.quantizers import quantizers


def quantize(layer: Any, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
    """Store the weights of a built layer in few bits; see ``Layer.quantize``."""
    if not layer.built:
        check.fail(layer, "quantize needs a built layer: call it on data or use build(input_shape) first")
    if layer.quantization_mode is not None:
        check.fail(layer, f"is quantized already, by the policy {layer.dtype_policy.name!r}")
    if mode is None and config is None:
        config = getattr(layer, "quantization_config", None)
    config = quantizers.resolve(layer, mode, config)
    if config.mode in _BY_DATA:
        check.fail(
            layer,
            f"{config.mode} looks at data, which a layer alone does not see: use model.quantize(config=...)",
            NotImplementedError,
        )
    plain = getattr(type(layer), "_swapped_from", (type(layer),))[0]
    found = swap.parts_for(plain, config.mode)
    if found is None or (type_check and found[0] is not plain):
        why = (
            f"a subclass of {found[0].__name__} is only quantized with type_check=False" if found else "has no weights"
        )
        check.fail(layer, f"cannot be quantized to {config.mode!r}: {why}", NotImplementedError)
    become_quantized(layer, config)


_BY_DATA = ("gptq", "awq")


def become_quantized(layer: Any, config: Any) -> None:
    """Give a layer the class and the policy of the config's mode, and the ints for its floats."""
    wanted = policy.get(f"{config.policy_mode(layer.dtype_policy)}_from_{layer.dtype_policy.name}")
    with backends.backend_scope(layer._find_backend()):
        layer.quantization_config = config
        swap.become(layer, mode=config.mode)
        layer._set_policy(wanted)
        layer._take_over()


def quantize_below(model: Layer, mode: Any, config: Any, filters: Any, type_check: bool) -> None:
    """Quantize the layers below ``model`` that have a form for it and that ``filters`` lets through."""
    config = quantizers.resolve(model, mode, config)
    patterns = [filters] if isinstance(filters, str) else filters

    def wanted(layer: Layer) -> bool:
        if patterns is None or callable(patterns):
            return patterns is None or bool(patterns(layer))
        return any(re.search(p, layer.name) for p in patterns)

    def has_form(layer: Layer) -> bool:
        plain = getattr(type(layer), "_swapped_from", (type(layer),))[0]
        found = swap.parts_for(plain, config.mode)
        return found is not None and (not type_check or found[0] is plain) and wanted(layer)

    if config.mode in _BY_DATA:
        from nyala.layers.quantized import calibration

        return calibration.quantize(model, config, has_form)
    chosen = [layer for layer in model._flatten_layers(include_self=False) if has_form(layer)]
    if not chosen:
        check.fail(model, f"has no layer to quantize to {config.mode!r}" + (" by those filters" if patterns else ""))
    for layer in chosen:
        if not layer.built or layer.quantization_mode is not None:
            check.fail(layer, f"cannot be quantized: its policy is {layer.dtype_policy.name!r}, built: {layer.built}")
    for layer in chosen:
        layer.quantize(config.mode, type_check=type_check, config=config)
    return None


def change_mode(layer: Any, wanted: Any) -> None:
    """Make ``layer`` the one that a policy of another quantization mode asks for."""
    if wanted.quantization_mode is None:
        check.fail(layer, "is quantized and has no floats to go back to; make a new layer")
    if layer.built:
        check.fail(layer, f"has its weights already; use quantize({wanted.quantization_mode!r}) in place of its policy")
    swap.become(layer, mode=wanted.quantization_mode)


PARTS: dict[tuple[str, type], type] = {
    ("lora", Dense): _LoRADense,
    ("lora", EinsumDense): _LoRAKernel,
    ("lora", Embedding): _LoRATable,
    ("lora", ReversibleEmbedding): _LoRAReversible,
    ("int8", Dense): _Int8Kernel,
    ("int8", EinsumDense): _Int8Kernel,
    ("int8", Embedding): _Int8Table,
    ("int8", ReversibleEmbedding): _Int8Reversible,
    ("int4", Dense): _Int4Kernel,
    ("int4", EinsumDense): _Int4Kernel,
    ("int4", Embedding): _Int4Table,
    ("int4", ReversibleEmbedding): _Int4Reversible,
    ("gptq", Dense): _GroupedKernel,
    ("gptq", EinsumDense): _GroupedKernel,
    ("awq", Dense): _ScaledKernel,
    ("awq", EinsumDense): _ScaledKernel,
    ("float8", Dense): _Float8Kernel,
    ("float8", EinsumDense): _Float8Kernel,
}
"""What a class of ours is, or does, in each mode."""
