"""How older Keras laid out arrays: a layer's weights, an optimizer's state, and the places in a weights file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala.saving import eras

Arrays = list[np.ndarray]

_SLOTS = frozenset({"m", "v", "vhat", "momentum", "rms", "mg", "accumulator", "linear", "accum_grad", "accum_var"})


def place(path: str) -> str:
    """The place of an object in a weights file: of Keras 2.12 on Windows, of Functional models up to 2.14, of attention to 2.15."""
    path = path.replace("\\", "/").replace("_layer_checkpoint_dependencies/", "layers/")
    return re.sub(r"(/multi_head_attention\w*)/_(query|key|value|output)_dense/", r"\1/\2_dense/", path)


# -- weights of layers ---------------------------------------------------------------------------------------------------


def weights(layer: Any, arrays: Arrays, version: str | None, backend: str | None) -> Arrays:
    """The arrays of a layer's group, in file order, as the layer has them today."""
    kind = type(layer).__name__
    if kind == "Bidirectional":
        half = len(arrays) // 2
        sides = zip((layer.forward_layer, layer.backward_layer), (arrays[:half], arrays[half:]))
        return [a for inner, part in sides for a in weights(inner, part, version, backend)]
    if kind == "TimeDistributed":
        return weights(layer.layer, arrays, version, backend)
    if getattr(layer, "layers", None) and type(layer).role == "model":
        return _nested(layer, arrays, version, backend)
    if arrays and eras.major(version) < 2 and kind in _KERAS_1:
        arrays = _KERAS_1[kind](layer, arrays)
    if arrays and kind in _CUDNN:
        arrays = _from_cudnn(arrays, _CUDNN[kind], layer)
    if backend == "theano" and kind.startswith("Conv"):  # whose convolution turns kernels around
        arrays = [np.flip(a, tuple(range(a.ndim - 2))) if a.ndim > 2 else a for a in arrays]
    return arrays


def _nested(model: Any, arrays: Arrays, version: str | None, backend: str | None) -> Arrays:
    """A model's own order is that of all trainable weights and then all others; each layer is changed by itself."""
    order = [*model.trainable_weights, *model.non_trainable_weights]
    if len(order) != len(arrays):
        return arrays
    found = {id(v): a for v, a in zip(order, arrays)}
    for layer in model.layers:
        own = [*layer.trainable_weights, *layer.non_trainable_weights]
        for v, a in zip(own, weights(layer, [found[id(v)] for v in own], version, backend)):
            found[id(v)] = a
    return [found[id(v)] for v in order]


def _conv_1(layer: Any, arrays: Arrays) -> Arrays:
    if layer.data_format == "channels_first":  # (filters, channels, rows, columns)
        return [a.transpose(*range(2, a.ndim), 1, 0) if a.ndim > 2 else a for a in arrays]
    return arrays


def _conv1d_1(layer: Any, arrays: Arrays) -> Arrays:
    kernel = arrays[0]
    if kernel.ndim == 4:  # a convolution over (length, 1)
        if kernel.shape[:2] != (layer.kernel_size[0], 1) or kernel.shape[3] != layer.filters:
            kernel = kernel.transpose(2, 3, 1, 0)
        kernel = kernel[:, 0]
    return [kernel, *arrays[1:]]


def _conv_transpose_1(layer: Any, arrays: Arrays) -> Arrays:
    order = (0, 1, 3, 2) if layer.data_format == "channels_last" else (2, 3, 0, 1)
    return [arrays[0].transpose(order), *arrays[1:]]


def _gates_1(order: Sequence[int]) -> Callable[[Any, Arrays], Arrays]:
    """Kernel, recurrent kernel and bias of each gate side by side, in today's order of gates."""

    def join(layer: Any, arrays: Arrays) -> Arrays:
        if len(arrays) != 3 * len(order):
            return arrays
        return [np.concatenate([arrays[3 * gate + part] for gate in order], axis=-1) for part in range(3)]

    return join


_KERAS_1: dict[str, Callable[[Any, Arrays], Arrays]] = {
    "Conv1D": _conv1d_1,
    "Conv2D": _conv_1,
    "Conv3D": _conv_1,
    "Conv2DTranspose": _conv_transpose_1,
    "ConvLSTM2D": lambda layer, arrays: _gates_1((0, 2, 1, 3))(layer, _conv_1(layer, arrays)),
    "LSTM": _gates_1((0, 2, 1, 3)),  # stored: input, cell, forget, output
    "GRU": _gates_1((0, 1, 2)),
    "SeparableConv2D": _conv_1,
}

_CUDNN = {"LSTM": 4, "GRU": 3}


def _from_cudnn(arrays: Arrays, gates: int, layer: Any) -> Arrays:
    """CuDNN keeps two biases and each gate's matrix turned; its bias of 2 * gates * units says so."""
    if len(arrays) != 3 or arrays[2].shape != (2 * gates * layer.units,):
        return arrays
    kernel, recurrent, bias = arrays
    blocks = np.split(kernel, gates, axis=1)
    kernel = np.hstack([block.T.reshape(block.shape, order="F") for block in blocks])
    recurrent = np.hstack([block.T for block in np.split(recurrent, gates, axis=1)])
    bias = bias.reshape(2, -1)
    return [kernel, recurrent, bias if gates == 3 else bias.sum(axis=0)]


# -- optimizers ----------------------------------------------------------------------------------------------------------


def optimizer(
    own: Sequence[Any], trained: Sequence[Any], arrays: Arrays, names: Sequence[str] | None = None
) -> Arrays | None:
    """Values for the variables of an optimizer that was built with the weights ``trained``; ``None`` if they do not fit.

    Today each weight's slots stand together, after the count of steps and the learning rate. Up to Keras 2.10 all slots
    of one kind stood together, up to 2.0 in the order of the weights' names; before Keras 3 there was no learning rate.
    """
    n = len(trained)
    if _fits(own, arrays):
        return arrays
    if not arrays or arrays[0].shape != ():
        return None
    slots = arrays[1:]
    kinds = (len(own) - 2) // n if n else 0
    if len(slots) == n * (kinds + 1) and all(a.shape == (1,) for a in slots[-n:]):
        slots = slots[:-n]  # Keras 2.1 to 2.3: placeholders of amsgrad
    if len(slots) != n * kinds or len(own) != 2 + n * kinds:
        return None
    by_name = {i: rank for rank, i in enumerate(sorted(range(n), key=lambda i: trained[i].path.split("/")[-2:]))}
    grouped = [slots[kind * n + i] for i in range(n) for kind in range(kinds)]
    sorted_ = [slots[kind * n + by_name[i]] for i in range(n) for kind in range(kinds)]
    last = [name.split("/")[-1].split(":")[0] for name in (names or ())[1:]]
    by_kind = any(x in _SLOTS or x.startswith("Variable") for x in last)
    for candidate in (grouped, sorted_, slots) if by_kind else (slots, grouped, sorted_):
        values = [arrays[0], own[1].numpy(), *candidate]
        if _fits(own, values):
            return values
    return None


def _fits(own: Sequence[Any], arrays: Arrays) -> bool:
    return len(own) == len(arrays) and all(tuple(a.shape) == tuple(v.shape) for v, a in zip(own, arrays))
