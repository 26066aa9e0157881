"""Every layer in model files, both ways with Keras: equal configs, weights and predictions. The rows are the layers' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala.saving import load_model
from tests.layers.cases import CASES, Case
from tests.saving.test_models_in_files import rounded

ROWS = list({case.layer: case for case in reversed(CASES)}.values())[::-1]
"""The first case of every layer."""


def model(k: Any, case: Case) -> Any:
    dtype = "int32" if case.high else "float32"
    inputs = [k.Input(shape[1:], dtype=dtype, name=f"in{i}") for i, shape in enumerate(case.shapes)]
    layer = getattr(k.layers, case.layer)(**case.kwargs, name="it")
    return k.Model(inputs, layer(*inputs) if case.spread else layer(inputs if len(inputs) > 1 else inputs[0]))


def data(case: Case) -> Any:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, case.high, s).astype("int32") if case.high else rng.random(s, dtype="float32")
        for s in case.shapes
    ]


def close(one: Any, other: Any, case: Case) -> None:
    results = [
        np.asarray(y)
        for m in (one, other)
        for y in keras.tree.flatten(keras.tree.map_structure(np.asarray, m(data(case))))
    ]
    half = len(results) // 2
    for a, b in zip(results[:half], results[half:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ROWS, ids=lambda c: c.layer)
def test_layers_go_to_keras_and_back(case: Case, tmp_path: Path) -> None:
    ours, theirs = model(nyala, case), model(keras, case)
    mine, expected = (m.get_layer("it").get_config() for m in (ours, theirs))
    assert list(mine) == list(expected)
    new = [getattr(k.layers, case.layer)(**case.kwargs, name="it").get_config() for k in (nyala, keras)]
    assert json.dumps(rounded(new[0])) == json.dumps(rounded(new[1]))
    ours.save(tmp_path / "ours.keras")
    close(keras.models.load_model(tmp_path / "ours.keras"), ours, case)
    theirs.save(tmp_path / "theirs.keras")
    close(load_model(tmp_path / "theirs.keras"), theirs, case)
    theirs.save(tmp_path / "theirs.h5")
    close(load_model(tmp_path / "theirs.h5"), theirs, case)
