"""Quantization by data: pieces of a text run through a model block by block, and what meets each weight decides on its ints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala import backends, ops
from nyala.backends import dtypes
from nyala.base import check, tracking
from nyala.layers.base import Layer
from nyala.layers.quantized import become_quantized
from nyala.layers.quantized.kernels import _GroupedKernel
from nyala.quantizers import calibrated


def quantize(model: Any, config: Any, wanted: Callable[[Layer], bool]) -> None:
    """Quantize the Dense and EinsumDense layers in the blocks of a model, by ``GPTQConfig`` or ``AWQConfig``."""
    structure = config.quantization_layer_structure or model.get_quantization_layer_structure(config.mode)
    if not isinstance(structure, dict) or not structure.get("sequential_blocks"):
        check.fail(
            model,
            f"quantize({config.mode!r}) needs the model's blocks: give quantization_layer_structure={{'pre_block_layers': [...], "
            "'sequential_blocks': [...]} in the config, or return that from get_quantization_layer_structure(mode)",
        )
    backend = model._find_backend()
    with backends.backend_scope(backend), backend.no_grad():
        pieces: list[Any] = [ops.convert_to_tensor(x) for x in _pieces(config)]
        for layer in structure.get("pre_block_layers") or ():
            pieces = [layer(x) for x in pieces]
        found = False
        for block in structure["sequential_blocks"]:
            below = tracking.unique([x for x in block._flatten_layers() if wanted(x)])
            found = found or bool(below)
            with _watched(below) as seen:
                for x in pieces:
                    block(x)
            for layer, moments in seen.items():
                if moments.count:
                    _encode(layer, config, moments)
            pieces = [block(x) for x in pieces]
    if not found:
        check.fail(model, f"has no layer in its blocks to quantize to {config.mode!r}")


def _pieces(config: Any) -> Iterator[np.ndarray]:
    """``num_samples`` pieces of the data's tokens, (1, sequence_length), spread evenly over it."""
    if config.dataset is None or (config.tokenizer is None and any(isinstance(x, str) for x in config.dataset)):
        check.fail(config, "needs a dataset of texts and a tokenizer, or a dataset of tokens")
    data: Iterable[Any] = config.dataset
    rows = [x if config.tokenizer is None else config.tokenizer(x) for x in data]
    tokens = np.concatenate(
        [np.ravel(np.asarray(r if backends.of(r) is None else ops.convert_to_numpy(r))) for r in rows]
    )
    n = config.sequence_length
    if len(tokens) < n:
        check.fail(config, f"the dataset has {len(tokens)} tokens, fewer than sequence_length={n}")
    starts = np.linspace(0, len(tokens) - n, min(config.num_samples, len(tokens) - n + 1)).astype(int)
    return (tokens[None, s : s + n].astype("int32") for s in starts)


class _Moments:
    """What met a weight: the sums of x x' and of abs(x)."""

    count = 0
    products: Any = 0.0
    sizes: Any = 0.0

    def add(self, x: np.ndarray) -> None:
        self.count += len(x)
        self.products = self.products + x.T @ x
        self.sizes = self.sizes + np.abs(x).sum(0)


@contextmanager
def _watched(layers: list[Any]) -> Iterator[dict[Any, _Moments]]:
    """Sum up what the layers are called on."""
    seen = {layer: _Moments() for layer in layers}

    def watch(layer: Any) -> None:
        call, axes = layer.call, None

        def noted(x: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal axes
            axes = axes or _GroupedKernel.axes_of(layer, len(x.shape))
            seen[layer].add(axes.rows(ops.convert_to_numpy(ops.cast(x, "float32"))).astype("float64"))
            return call(x, *args, **kwargs)

        layer.__dict__["call"] = noted

    for layer in layers:
        watch(layer)
    try:
        yield seen
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)


def _encode(layer: Any, config: Any, moments: _Moments) -> None:
    kernel = layer.kernel
    w = ops.convert_to_numpy(ops.cast(kernel, "float32"))
    become_quantized(layer, config)
    w = w.reshape(layer._sizes()).T
    mean = moments.products / moments.count
    if config.mode == "gptq":
        found = calibrated.gptq(
            w, mean, config.weight_bits, config.group_size, config.hessian_damping, config.symmetric, config.per_channel,
            config.activation_order,
        )  # fmt: skip
    else:
        sizes = moments.sizes / moments.count
        found = calibrated.awq(w, mean, sizes, config.weight_bits, config.group_size, config.num_grid_points)
    for name, value in layer._grouped(ops.convert_to_tensor(found.ints.astype("uint8")), *found[1:]).items():
        variable = layer.__dict__[name]
        variable.assign(ops.cast(value, variable.dtype) if dtypes.is_float(variable.dtype) else value)


__all__ = ["quantize"]
