"""Small helpers of Keras 1 and 2 that programs still import."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from nyala.base import check, config
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
    """How many of the classes ``p`` are those of ``y``; one of the two may be a column."""
    return float(np.mean(np.equal(np.ravel(p), np.ravel(y))))


def count_params(weights: Iterable[Any]) -> int:
    """The number of parameters in the weights, each counted once."""
    return sum(int(np.prod(w.shape)) for w in {id(w): w for w in weights}.values())


def obtain_input_shape(
    input_shape: Sequence[int | None] | None,
    default_size: int,
    min_size: int,
    data_format: str | None = None,
    require_flatten: bool = True,
    weights: str | None = None,
) -> tuple[int | None, ...]:
    """The input shape of an application: as given, checked, else of the default size if its top needs one.

    Args: min_size: of height and width. require_flatten: height and width must be known. weights: not used.
    """
    rows = (
        slice(1, 3) if config.standardize_data_format("obtain_input_shape", data_format)[9:] == "first" else slice(0, 2)
    )
    if input_shape is None:
        sizes: list[int | None] = [3, 3, 3]
        sizes[rows] = [default_size if require_flatten else None] * 2
        return tuple(sizes)
    found = tuple(input_shape)
    if len(found) != 3 or any(n is not None and n < min_size for n in found[rows]):
        check.fail(
            "obtain_input_shape", f"input_shape must have 3 sizes, at least {min_size} by {min_size}, got {found}"
        )
    if require_flatten and None in found:
        check.fail("obtain_input_shape", f"include_top=True needs a known input_shape, got {found}")
    return found


def has_arg(fn: Callable[..., Any], name: str, accept_all: bool = False) -> bool:
    """Whether ``fn`` takes an argument by this name; with ``accept_all`` by ``**kwargs``, too."""
    taken = inspect.signature(fn).parameters
    if name in taken:
        return taken[name].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return accept_all and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values())


def to_list(x: Any, allow_tuple: bool = False) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple) if allow_tuple else list) else [x]


def unpack_singleton(x: Any) -> Any:
    """What stands alone in a list."""
    return x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x


def slice_arrays(arrays: Any, start: Any = None, stop: int | None = None) -> Any:
    """Rows ``start`` to ``stop``, or those of the numbers in ``start``, of an array or of each in a list."""
    rows = np.asarray(start) if np.ndim(start) else slice(start, stop)
    return [None if x is None else x[rows] for x in arrays] if isinstance(arrays, list) else arrays[rows]


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
