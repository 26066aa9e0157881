"""Small helpers of Keras 1 and 2 that programs still import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from nyala.preprocessing.text import FILTERS


def base_filter() -> str:
    """The characters that ``Tokenizer`` leaves out."""
    return FILTERS


def probas_to_classes(y_pred: np.ndarray) -> np.ndarray:
    """The largest of several columns, or whether the only one is over 0.5."""
    return y_pred.argmax(1) if np.ndim(y_pred) > 1 and y_pred.shape[1] > 1 else np.array([p > 0.5 for p in y_pred], int)


def categorical_probas_to_classes(p: np.ndarray) -> np.ndarray:
    return np.argmax(p, axis=1)


def accuracy(p: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(np.equal(p, y)))


def count_params(weights: Iterable[Any]) -> int:
    """The number of parameters in the weights, each counted once."""
    return sum(int(np.prod(w.shape)) for w in {id(w): w for w in weights}.values())


def print_summary(
    model: Any, line_length: int | None = None, positions: Any = None, print_fn: Callable[..., Any] | None = None
) -> None:
    """``model.summary``; a list of layers, which Keras 1 took, stands for their model."""
    if isinstance(model, (list, tuple)):
        from nyala.models import Functional

        first, last = model[0], model[-1]
        model = Functional(getattr(first, "input", None), last.output)
    model.summary(line_length, positions, print_fn)


def convert_all_kernels_in_model(model: Any) -> None:
    """Turn the kernels of convolutions by half a turn, as Theano and TensorFlow differ."""
    for layer in model._flatten_layers(include_self=False):
        if (
            layer.__class__.__name__.startswith(("Conv", "SeparableConv"))
            and getattr(layer, "kernel", None) is not None
        ):
            kernel = layer.kernel.numpy()
            layer.kernel.assign(np.flip(kernel, tuple(range(kernel.ndim - 2))).copy())
