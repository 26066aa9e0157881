"""Layers of sound against Keras's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from nyala import Input, Model, layers, ops

RNG = np.random.default_rng(0)
SOUND = (np.sin(np.arange(1200) * 0.3) + RNG.normal(size=(2, 1200))).astype("float32")
SMALL = dict(frame_length=16, frame_step=8, fft_length=32)
SHORT = dict(fft_length=256, sequence_stride=128, num_mel_bins=20)

CASES: list[tuple[str, dict[str, Any], Any]] = [
    *[("MelSpectrogram", k, SOUND) for k in (dict(SHORT, sequence_length=200, sampling_rate=8000), dict(SHORT, power_to_db=False),
                                             dict(SHORT, mag_exp=1.0, top_db=20.0))],
    ("MelSpectrogram", {}, SOUND[0]),
    *[("STFTSpectrogram", {**SMALL, **k}, SOUND.reshape(2, 600, 2)[:, :100]) for k in (
        dict(mode="magnitude"), dict(mode="log"), dict(mode="psd"), dict(mode="real"), dict(mode="imag"), dict(mode="stft"),
        dict(mode="stft", expand_dims=True), dict(mode="psd", scaling="spectrum"), dict(mode="psd", padding="same"),
        dict(mode="magnitude", scaling=None, window="hamming", periodic=True), dict(mode="real", window=None))],
    ("STFTSpectrogram", dict(mode="magnitude", data_format="channels_first", **SMALL), SOUND.reshape(2, 2, 600)),
    ("STFTSpectrogram", dict(mode="magnitude"), SOUND[..., None]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "x"), CASES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(CASES)])
def test_values_and_configs(name: str, arguments: dict[str, Any], x: Any) -> None:
    ours = getattr(layers, name)(**arguments, name="it")
    theirs = getattr(keras.layers, name)(**arguments, name="it")
    want = np.asarray(theirs(x))
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), want, rtol=2e-4, atol=2e-4)
    config = ours.get_config()
    assert {**config, "dtype": 0} == {**theirs.get_config(), "dtype": 0} and list(config) == list(theirs.get_config())
    assert [v.shape for v in ours.weights] == [v.shape for v in theirs.weights]


def test_inside_a_model(backend: str) -> None:
    x = Input((1200,))
    mel = layers.MelSpectrogram(**SHORT)(x)
    frames = layers.STFTSpectrogram(mode="magnitude", **SMALL)(layers.Reshape((-1, 1))(x))
    assert mel.shape[:2] == (None, 20) and frames.shape[2] == 17
    found = Model(x, [mel, frames]).predict(SOUND, verbose=0)
    np.testing.assert_allclose(found[0], keras.layers.MelSpectrogram(**SHORT)(SOUND), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        found[1], keras.layers.STFTSpectrogram(mode="magnitude", **SMALL)(SOUND[..., None]), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("STFTSpectrogram", dict(mode="power"), "mode must be one of"),
        ("STFTSpectrogram", dict(frame_length=16, fft_length=8), "fft_length must be at least"),
        ("MelSpectrogram", dict(num_mel_bins=0), "num_mel_bins"),
        ("MelSpectrogram", dict(max_freq=9000.0), "max_freq"),
    ],
)
def test_errors(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(layers, name)(**wrong)
