"""Layers of sound: MelSpectrogram, STFTSpectrogram."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.base import check, config
from nyala.layers.base import Layer
from nyala.layers.preprocessing.base import DataLayer


class MelSpectrogram(DataLayer):
    """Loudness by pitch and time: (batch, samples) or (samples,) -> (..., num_mel_bins, frames).

    Args:
        fft_length, sequence_stride, sequence_length: samples of a transform, between frames, of a frame (default fft_length).
        window: "hann" or "hamming", or a vector. sampling_rate: samples a second.
        num_mel_bins: triangular filters, evenly spaced on the mel scale 1127 ln(1 + f / 700) from min_freq to max_freq
            (default half the sampling rate), in Hz.
        power_to_db: give 10 log10(power / ref_power), at least min_power and within top_db of the largest.
        mag_exp: the power of the magnitude that is summed.
    """

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: int = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.fft_length = check.positive_int(self, "fft_length", fft_length)
        self.sequence_stride = check.positive_int(self, "sequence_stride", sequence_stride)
        self.sequence_length = check.positive_int(self, "sequence_length", sequence_length or fft_length)
        self.window = window
        self.sampling_rate = check.positive_int(self, "sampling_rate", sampling_rate)
        self.num_mel_bins = check.positive_int(self, "num_mel_bins", num_mel_bins)
        self.min_freq = check.number_in(self, "min_freq", min_freq, 0)
        self.max_freq = check.number_in(self, "max_freq", max_freq or sampling_rate // 2, min_freq, sampling_rate / 2)
        self.power_to_db = power_to_db
        self.top_db = top_db
        self.mag_exp = mag_exp
        self.min_power = min_power
        self.ref_power = ref_power

    def _filters(self) -> np.ndarray:
        """(frequencies, num_mel_bins): the weight of each frequency in each bin."""
        mel = lambda f: 1127 * np.log1p(np.asarray(f) / 700)  # noqa: E731
        at = mel(np.linspace(0, self.sampling_rate / 2, self.fft_length // 2 + 1))[1:, None]
        edges = np.linspace(mel(self.min_freq), mel(self.max_freq), self.num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        weights = np.maximum(0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
        return np.pad(weights, ((1, 0), (0, 0)))

    def call(self, inputs: Any) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        real, imag = ops.stft(x, self.sequence_length, self.sequence_stride, self.fft_length, self.window)
        power = ops.power(ops.sqrt(ops.add(ops.square(real), ops.square(imag))), self.mag_exp)
        y = ops.matmul(power, ops.convert_to_tensor(self._filters(), self.compute_dtype))
        y = ops.swapaxes(y, -1, -2)
        if not self.power_to_db:
            return y
        y = ops.log10(ops.maximum(y, self.min_power)) * 10.0 - 10.0 * float(
            np.log10(max(self.min_power, self.ref_power))
        )
        return ops.maximum(y, ops.max(y) - self.top_db)


MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """The short-time Fourier transform by a convolution whose kernels can be trained.

    Shapes: (batch, samples, channels) -> (batch, frames, channels * frequencies).

    Args:
        mode: "log", "magnitude", "psd" (power spectral density), "real", "imag", "angle" or "stft" (both parts).
        frame_length, frame_step, fft_length: samples of a frame, between frames (default half), of the transform.
        window: the name of a window of SciPy ("hann" and "hamming" need none), a vector, or ``None``. periodic: of the window.
        scaling: "density", "spectrum" or ``None``. padding: "valid" or "same". expand_dims: a last axis for the channels.
    """

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.mode = check.one_of(self, "mode", mode, MODES)
        self.frame_length = check.positive_int(self, "frame_length", frame_length)
        self.frame_step = None if frame_step is None else check.positive_int(self, "frame_step", frame_step)
        self.fft_length = None if fft_length is None else check.positive_int(self, "fft_length", fft_length)
        self._size = self.fft_length or frame_length
        if self._size < frame_length:
            check.fail(self, f"fft_length must be at least frame_length={frame_length}, got {fft_length}")
        self.window = window
        self.periodic = periodic
        self.scaling = check.one_of(self, "scaling", scaling, ("density", "spectrum", None))
        self.padding = check.one_of(self, "padding", padding, ("valid", "same"))
        self.data_format = config.standardize_data_format(self, data_format)
        self.expand_dims = expand_dims

    config_order = (
        "name", "trainable", "dtype", "mode", "frame_length", "frame_step", "fft_length", "window", "periodic", "scaling",
        "padding", "data_format", "expand_dims",
    )  # fmt: skip

    def _window(self) -> np.ndarray:
        n = self.frame_length
        if self.window is None:
            return np.ones(n)
        if not isinstance(self.window, str):
            values = np.asarray(self.window, float)
            if values.shape != (n,):
                check.fail(self, f"window must have shape ({n},), got {values.shape}")
            return values
        if self.window in ("hann", "hamming"):
            turn = 2 * np.pi * np.arange(n) / (n if self.periodic else max(n - 1, 1))
            return 0.5 - 0.5 * np.cos(turn) if self.window == "hann" else 0.54 - 0.46 * np.cos(turn)
        try:
            from scipy.signal import get_window
        except ImportError as error:
            raise ImportError(f'the window {self.window!r} needs scipy: pip install "nyala[image]"') from error
        return np.asarray(get_window(self.window, n, fftbins=self.periodic))

    def build(self, input_shape: Any) -> None:
        window = self._window()
        scale = {"density": np.sqrt((window**2).sum()), "spectrum": abs(window.sum()), None: 1.0}[
            None if self.window is None else self.scaling
        ]
        turns = np.outer(np.arange(self.frame_length), np.arange(self._size // 2 + 1)) * (2 * np.pi / self._size)
        for name, wave, unless in (("real", np.cos(turns), "imag"), ("imag", -np.sin(turns), "real")):
            if self.mode != unless:
                values = ((window / scale)[:, None] * wave)[:, None, :].astype("float32")
                make = lambda shape, dtype=None, values=values: ops.convert_to_tensor(values, dtype)  # noqa: E731
                setattr(self, f"{name}_kernel", self.add_weight(values.shape, make, name=f"{name}_kernel"))

    def _conv(self, x: Tensor, kernel: Any) -> Tensor:
        """(batch, frames, channels, frequencies): each channel for itself."""
        samples, channels = x.shape[1], x.shape[2]
        x = ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, samples, 1))
        step = self.frame_step or self.frame_length // 2 or 1
        y = ops.conv(x, kernel, strides=step, padding=self.padding, data_format="channels_last")
        return ops.transpose(ops.reshape(y, (-1, channels, *y.shape[1:])), (0, 2, 1, 3))

    def call(self, inputs: Any) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        last = self.data_format == "channels_last"
        x = x if last else ops.transpose(x, (0, 2, 1))
        real = self._conv(x, self.real_kernel) if self.mode != "imag" else None
        imag = self._conv(x, self.imag_kernel) if self.mode != "real" else None
        y = self._of_parts(real, imag)  # (batch, frames, channels, frequencies)
        if self.expand_dims:
            return ops.transpose(y, (0, 1, 3, 2) if last else (0, 2, 1, 3))
        y = ops.reshape(y, (-1, y.shape[1], y.shape[2] * y.shape[3]))
        return y if last else ops.transpose(y, (0, 2, 1))

    def _of_parts(self, real: Any, imag: Any) -> Tensor:
        if self.mode in ("real", "imag"):
            return real if imag is None else imag
        if self.mode == "stft":
            return ops.concatenate([real, imag], axis=-1)
        if self.mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.add(ops.square(real), ops.square(imag))
        if self.mode == "psd":
            # The frequencies between 0 and the highest stand for their negatives, too.
            twice = np.full(self._size // 2 + 1, 2.0)
            twice[0] = 1.0
            if self._size % 2 == 0:
                twice[-1] = 1.0
            return ops.multiply(power, ops.convert_to_tensor(twice, self.compute_dtype))
        magnitude = ops.sqrt(ops.maximum(power, config.epsilon() ** 2))
        return ops.log(magnitude) if self.mode == "log" else magnitude
