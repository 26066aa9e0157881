"""Weights as .safetensors files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.saving import safetensors
from tests.saving.test_archive import close, dense, functional, scaled, sequential


@pytest.mark.parametrize("make", [functional, sequential, scaled])
def test_round_trip(make: Any, backend: str, tmp_path: Path) -> None:
    one, other = make(nyala), make(nyala)
    one.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    close(one, other)


def test_low_precision_and_names(tmp_path: Path) -> None:
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, dtype="bfloat16")])
    model.save_weights(tmp_path / "w.safetensors")
    stored = safetensors.arrays(tmp_path / "w.safetensors")
    assert list(stored) == ["layers/dense/kernel", "layers/dense/bias"]
    assert stored["layers/dense/kernel"].dtype.name == "bfloat16"


def test_strict(tmp_path: Path) -> None:
    dense(2, 2).save_weights(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="layers/dense_1/kernel: the model has no such weight"):
        dense(2).load_weights(tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match=r"layers/dense_1/kernel: has shape \(2, 3\), in the file \(2, 2\)"):
        dense(2, 3).load_weights(tmp_path / "w.safetensors", skip_mismatch=True)


def entry(**changed: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changed}}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"[", "no JSON"),
        ([1], "no JSON object"),
        (entry(shape=[10**12]), "does not fit its shape"),
        (entry(data_offsets=[4, 12]), "does not fit"),
        (entry(data_offsets=[0, -8]), "not of this format"),
        (entry(dtype="object"), "not of this format"),
        (entry(shape=[1], data_offsets=[0, 4]), "belong to nothing"),
    ],
)
def test_damaged(header: Any, message: str, tmp_path: Path) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + np.zeros(2, "float32").tobytes())
    with pytest.raises(ValueError, match=message):
        safetensors.arrays(path)
    path.write_bytes((2**60).to_bytes(8, "little"))
    with pytest.raises(ValueError, match="header claims"):
        safetensors.arrays(path)
