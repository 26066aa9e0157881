"""The metric functions by name, for configs that name one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.metrics import accuracy as _accuracy
from nyala.metrics import regression as _regression

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    fn.__name__: fn
    for fn in (
        _accuracy.accuracy,
        _accuracy.binary_accuracy,
        _accuracy.categorical_accuracy,
        _accuracy.sparse_categorical_accuracy,
        _accuracy.top_k_categorical_accuracy,
        _accuracy.sparse_top_k_categorical_accuracy,
        _regression.cosine_similarity,
        _regression.pearson_correlation,
        _regression.concordance_correlation,
    )
}


def get(name: Any) -> Callable[..., Any] | None:
    return _FUNCTIONS.get(name) if isinstance(name, str) else None
