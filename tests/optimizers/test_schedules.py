"""Schedules against Keras's."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from nyala import backends, schedules

CASES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 10], "values": [1.0, 0.5, 0.1]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "power": 2.0, "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "alpha": 0.1}),
    ("CosineDecay", {"initial_learning_rate": 0.0, "decay_steps": 10, "warmup_target": 0.3, "warmup_steps": 5}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "warmup_target": 0.3}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.5}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.9}),
]  # fmt: skip
STEPS = (0, 1, 3, 4, 7, 10, 11, 26)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c[0], *c[1]]))
def test_values_as_keras(case: Any, backend: str) -> None:
    mine = getattr(schedules, case[0])(**case[1])
    wanted = [float(getattr(keras.optimizers.schedules, case[0])(**case[1])(step)) for step in STEPS]
    convert = backends.current().convert
    np.testing.assert_allclose([float(mine(step)) for step in STEPS], wanted, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose([float(mine(convert(step, "int32"))) for step in STEPS], wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c[0], *c[1]]))
def test_config_as_keras(case: Any) -> None:
    mine = getattr(schedules, case[0])(**case[1])
    config = schedules.serialize(mine)
    wanted = keras.optimizers.schedules.serialize(getattr(keras.optimizers.schedules, case[0])(**case[1]))
    assert json.dumps(config) == json.dumps(wanted)
    assert schedules.serialize(schedules.deserialize(config)) == config


def test_errors() -> None:
    with pytest.raises(ValueError, match="decay_steps must be positive"):
        schedules.CosineDecay(0.1, 0)
    with pytest.raises(ValueError, match="one value more"):
        schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2])
    with pytest.raises(NotImplementedError, match="__call__"):
        schedules.LearningRateSchedule()(1)
