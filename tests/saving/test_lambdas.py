"""A Lambda of today is a name in its file; what is needed to load it is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nyala as keras
from nyala import layers


def twice(x: object) -> object:
    return x * 2  # type: ignore[operator]


@pytest.mark.parametrize("function, given", [(lambda x: x * 2, "double"), (twice, "double"), (twice, "twice")])
def test_the_function_is_handed_over(function: object, given: str, tmp_path: Path) -> None:
    with keras.backend_scope("torch"):
        model = keras.Sequential([keras.Input((2,)), layers.Lambda(function, name="double")])  # type: ignore[arg-type]
        model.save(tmp_path / "m.keras")
        with pytest.raises(ValueError, match=r"layer `double` is a Lambda .*custom_objects=\{'double': \.\.\.\}"):
            keras.models.load_model(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras", custom_objects={given: twice})
        np.testing.assert_array_equal(again(np.ones((1, 2), "float32")), 2)


def test_known_functions_need_nothing(tmp_path: Path) -> None:
    with keras.backend_scope("torch"):
        model = keras.Sequential([keras.Input((2,)), layers.Lambda(keras.activations.relu)])
        model.save(tmp_path / "m.keras")
        again = keras.models.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(again(-np.ones((1, 2), "float32")), 0)
