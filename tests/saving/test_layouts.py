"""Files of Keras 1 and 2 written by hand, layer by layer: predictions follow from the arrays by the formulas of their time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nyala.saving import load_model

N = 3  # units or filters
Arrays = list[np.ndarray]


def write(
    path: Path, class_name: str, config: dict[str, Any], arrays: Arrays, version: str | None, backend: str | None
) -> None:
    with h5py.File(path, "w") as file:
        layers = [{"class_name": class_name, "config": {"name": "a", "trainable": True, **config}}]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers}).encode()
        group = file.create_group("model_weights")
        for holder in (file, group):
            for key, value in (("keras_version", version), ("backend", backend)):
                if value is not None:
                    holder.attrs[key] = value.encode()
        group.attrs["layer_names"] = [b"a"]
        names = [f"a_{i}" for i in range(len(arrays))]
        group.create_group("a").attrs["weight_names"] = [n.encode() for n in names]
        for name, value in zip(names, arrays):
            group["a"][name] = value


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype("float32") / 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(0.2 * x + 0.5, 0, 1)


def lstm(x: np.ndarray, gates: dict[str, Any], squash: Any) -> np.ndarray:
    """``gates``: (W, U, b) by name, for x @ W + h @ U + b."""
    h = c = np.zeros((len(x), N), "float32")
    for t in range(x.shape[1]):
        z = {k: x[:, t] @ w + h @ u + b for k, (w, u, b) in gates.items()}
        c = squash(z["f"]) * c + squash(z["i"]) * np.tanh(z["c"])
        h = squash(z["o"]) * np.tanh(c)
    return h


def keras_1_lstm(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    parts = {k: (random(4, N) + i, random(N, N) - i, random(N) + i / 3) for i, k in enumerate("icfo")}
    stored = [a for k in "icfo" for a in parts[k]]
    config = {"output_dim": N, "inner_activation": "hard_sigmoid", "activation": "tanh", "consume_less": "cpu"}
    return config | {"batch_input_shape": [None, 5, 4]}, stored, lstm(x, parts, hard_sigmoid)


def keras_1_lstm_on_gpu(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    config, arrays, y = keras_1_lstm(x)
    stored = [np.concatenate([arrays[3 * gate + part] for gate in (0, 2, 1, 3)], -1) for part in range(3)]
    return config | {"consume_less": "gpu"}, stored, y


def keras_1_gru(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    (wz, uz, bz), (wr, ur, br), (wh, uh, bh) = gates = [
        (random(4, N) + i, random(N, N) - i / 2, random(N) + i / 3) for i in range(3)
    ]
    h = np.zeros((len(x), N), "float32")
    for t in range(x.shape[1]):
        z, r = hard_sigmoid(x[:, t] @ wz + h @ uz + bz), hard_sigmoid(x[:, t] @ wr + h @ ur + br)
        h = z * h + (1 - z) * np.tanh(x[:, t] @ wh + (r * h) @ uh + bh)
    config = {"output_dim": N, "inner_activation": "hard_sigmoid", "batch_input_shape": [None, 5, 4]}
    return config, [a for gate in gates for a in gate], h


def cudnn(gates: int) -> tuple[dict[str, Any], Arrays, list[Any]]:
    """CuDNN's flat buffers, cut into matrices (units, inputs) row by row, and what Keras 2 stores of them."""
    w, r = random(gates, N, 4), random(gates, N, N)
    b = random(2, gates, N)
    stored = [np.hstack([m.reshape(4, N) for m in w]), np.hstack(list(r)), b.reshape(-1)]
    return {"units": N, "batch_input_shape": [None, 5, 4], "go_backwards": False}, stored, [w, r, b]


def cudnn_lstm(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    config, stored, (w, r, b) = cudnn(4)
    gates = {k: (w[i].T, r[i].T, b[0, i] + b[1, i]) for i, k in enumerate("ifco")}
    return config | {"unit_forget_bias": True}, stored, lstm(x, gates, sigmoid)


def cudnn_gru(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    config, stored, (w, r, b) = cudnn(3)
    h = np.zeros((len(x), N), "float32")
    for t in range(x.shape[1]):
        of_x, of_h = ([v @ m[i].T + b[j, i] for i in range(3)] for j, (v, m) in enumerate(((x[:, t], w), (h, r))))
        z, reset = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
        h = z * h + (1 - z) * np.tanh(of_x[2] + reset * of_h[2])
    return config, stored, h


def correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A valid correlation of (batch, spatial..., channels) with (spatial..., channels, filters)."""
    rank = kernel.ndim - 2
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:rank], tuple(range(1, rank + 1)))
    windows = np.moveaxis(windows, rank + 1, -1)
    return np.tensordot(windows, kernel, rank + 1)


def turned(kernel: np.ndarray) -> np.ndarray:
    return np.flip(kernel, tuple(range(kernel.ndim - 2)))


def conv(rank: int, order: str, first: bool = False) -> Any:
    """Keras 1's convolutions; ``first``: a Convolution1D of its first versions, or Theano's order of axes."""

    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        kernel, bias = random(*(2, 3, 2)[:rank], 4, N), random(N)
        y = correlate(np.moveaxis(x, 1, -1) if order == "th" else x, kernel) + bias
        stored = kernel
        if rank == 1:
            stored = kernel[:, None].transpose(3, 2, 0, 1) if first else kernel[:, None]
        elif order == "th":
            stored = np.moveaxis(kernel, (-1, -2), (0, 1))
        names = {1: ("filter_length",), 2: ("nb_row", "nb_col"), 3: ("kernel_dim1", "kernel_dim2", "kernel_dim3")}[rank]
        config = {"nb_filter": N, **dict(zip(names, kernel.shape)), "border_mode": "valid", "activation": "linear"}
        config |= {"batch_input_shape": [None, *x.shape[1:]]} | ({"dim_ordering": order} if rank > 1 else {})
        return config, [stored, bias], np.moveaxis(y, -1, 1) if order == "th" else y

    return row


def deconvolution(order: str) -> Any:
    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        kernel, bias = random(2, 3, 4, N), random(N)  # rows, columns, channels in, filters
        images = np.moveaxis(x, 1, -1) if order == "th" else x
        y = np.zeros((len(x), 2 * images.shape[1], 2 * images.shape[2] + 1, N), "float32") + bias
        for i, j in np.ndindex(images.shape[1:3]):
            y[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 3] += np.einsum("nc,abcf->nabf", images[:, i, j], kernel)
        config = {"nb_filter": N, "nb_row": 2, "nb_col": 3, "subsample": [2, 2], "border_mode": "valid"}
        config |= {"dim_ordering": order, "batch_input_shape": [None, *x.shape[1:]], "output_shape": [None, 8, 9, N]}
        stored = kernel.transpose(3, 2, 0, 1) if order == "th" else kernel
        return config, [stored, bias], np.moveaxis(y, -1, 1) if order == "th" else y

    return row


def separable(order: str) -> Any:
    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        depth, point, bias = random(2, 3, 4, 2), random(8, N), random(N)
        images = np.moveaxis(x, 1, -1) if order == "th" else x
        parts = [correlate(images[..., c : c + 1], depth[:, :, c : c + 1]) for c in range(4)]
        y = np.concatenate(parts, -1) @ point + bias
        config = {"nb_filter": N, "nb_row": 2, "nb_col": 3, "depth_multiplier": 2, "border_mode": "valid"}
        config |= {"dim_ordering": order, "batch_input_shape": [None, *x.shape[1:]]}
        stored = [depth, point[None, None]]
        if order == "th":
            stored = [a.transpose(3, 2, 0, 1) for a in stored]
        return config, [*stored, bias], np.moveaxis(y, -1, 1) if order == "th" else y

    return row


PADDED = ((0, 0), (0, 1), (0, 0), (0, 0))


def conv_lstm(order: str, version: int) -> Any:
    """Keras 1, and Keras 2 on Theano."""

    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        parts = {k: (random(2, 1, 4, N) + i, random(2, 1, N, N) - i, random(N) + i / 3) for i, k in enumerate("icfo")}
        frames = np.moveaxis(x, 2, -1) if order == "th" else x
        h = c = np.zeros((len(x), frames.shape[2] - 1, frames.shape[3], N), "float32")
        for t in range(x.shape[1]):
            z = {k: correlate(frames[:, t], w) + correlate(np.pad(h, PADDED), u) + b for k, (w, u, b) in parts.items()}
            c = hard_sigmoid(z["f"]) * c + hard_sigmoid(z["i"]) * np.tanh(z["c"])
            h = hard_sigmoid(z["o"]) * np.tanh(c)
        shape = {"batch_input_shape": [None, *x.shape[1:]]}
        if version == 1:
            config = {"nb_filter": N, "nb_row": 2, "nb_col": 1, "border_mode": "valid", "dim_ordering": order}
            stored = [a for k in "icfo" for a in parts[k]]
            if order == "th":
                stored = [a.transpose(3, 2, 0, 1) if a.ndim == 4 else a for a in stored]
            config["inner_activation"] = "hard_sigmoid"
        else:
            config = {"filters": N, "kernel_size": [2, 1], "recurrent_activation": "hard_sigmoid"}
            config["data_format"] = "channels_last"
            stored = [np.concatenate([parts[k][i] for k in "ifco"], -1) for i in range(3)]
            stored = [turned(a) if a.ndim == 4 else a for a in stored]
        return config | shape, stored, np.moveaxis(h, -1, 1) if order == "th" else h

    return row


def theano(class_name: str) -> Any:
    """Keras 2 on Theano: today's axes, kernels turned around."""

    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        if class_name == "Conv2DTranspose":
            config, (kernel, bias), y = deconvolution("tf")(x)
            config = {"batch_input_shape": config["batch_input_shape"], "strides": [2, 2]}
            kernel = kernel.transpose(0, 1, 3, 2)
        else:
            config, (kernel, bias), y = conv(x.ndim - 2, "tf")(x)
            kernel = kernel[:, 0] if x.ndim == 3 else kernel
            config = {"batch_input_shape": config["batch_input_shape"]}
        return config | {"filters": N, "kernel_size": kernel.shape[:-2]}, [turned(kernel), bias], y

    return row


def batch_normalization(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    gamma, beta, mean, variance = stored = [random(4), random(4) + 1, random(4) + 2, random(4) ** 2 + 1]
    config = {"epsilon": 1e-3, "mode": 0, "axis": -1, "momentum": 0.99, "batch_input_shape": [None, 5, 4]}
    return config, stored, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def dense_over_time(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    kernel, bias = random(4, N), random(N)
    return {"output_dim": N, "input_dim": 4, "input_length": 5}, [kernel, bias], x @ kernel + bias


def bidirectional(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    inner, stored, y = cudnn_lstm(x)
    shape = inner.pop("batch_input_shape")
    layer = {"class_name": "CuDNNLSTM", "config": {"name": "c", "trainable": True, **inner}}
    backward = cudnn_lstm(x[:, ::-1])[2]
    config = {"merge_mode": "concat", "layer": layer, "batch_input_shape": shape}
    return config, [*stored, *stored], np.concatenate([y, backward], -1)


# -- what Keras has no more ----------------------------------------------------------------------------------------------


def locally_connected(implementation: int, first: bool = False) -> Any:
    def row(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
        kernel, bias = random(2 * 3, 2 * 2 * 4, N), random(2, 3, N)  # places, window and channels, filters
        image = np.moveaxis(x, 1, -1) if first else x
        y = np.zeros((len(x), 2, 3, N), "float32")
        whole = np.zeros((*image.shape[1:], 2, 3, N), "float32")
        for i, j in np.ndindex(2, 3):
            part = image[:, 2 * i : 2 * i + 2, j : j + 2]
            part = np.moveaxis(part, -1, 1) if first else part
            y[:, i, j] = part.reshape(len(x), -1) @ kernel[3 * i + j]
            if not first:
                whole[2 * i : 2 * i + 2, j : j + 2, :, i, j] = kernel[3 * i + j].reshape(2, 2, 4, N)
        y = np.moveaxis(y, -1, 1) + bias.reshape(N, 2, 3) if first else y + bias
        config = {"filters": N, "kernel_size": [2, 2], "strides": [2, 1], "implementation": implementation}
        config |= {"data_format": "channels_first" if first else "channels_last"}
        stored = {1: kernel, 2: whole, 3: kernel.transpose(*((2, 0, 1) if first else (0, 2, 1))).reshape(-1)}
        return config | {"batch_input_shape": [None, *x.shape[1:]]}, [stored[implementation], bias], y

    return row


def maxout(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    kernel, bias = random(2, 4, N), random(2, N)
    config = {"output_dim": N, "nb_feature": 2, "init": "glorot_uniform", "batch_input_shape": [None, 4]}
    return config, [kernel, bias], (np.einsum("nc,kcu->nku", x, kernel) + bias).max(1)


def highway(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    kernel, carry, bias, carry_bias = stored = [random(4, 4), random(4, 4) + 1, random(4), random(4) - 1]
    t = sigmoid(x @ carry + carry_bias)
    config = {"activation": "tanh", "init": "glorot_uniform", "bias": True, "batch_input_shape": [None, 4]}
    return config, stored, t * np.tanh(x @ kernel + bias) + (1 - t) * x


def softplus(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    alpha, beta = random(4), random(4) + 1
    config = {"alpha_init": 0.2, "beta_init": 5.0, "batch_input_shape": [None, 4]}
    return config, [alpha, beta], alpha * np.log1p(np.exp(beta * x))


def srelu(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    stored = [random(4) - 0.5, random(4), random(4) + 0.1, random(4) + 2]
    left, slope, width, steep = stored
    right = left + np.abs(width)
    y = np.where(x < left, left + slope * (x - left), np.where(x > right, right + steep * (x - right), x))
    return {"t_left_init": "zero", "a_right_init": "one", "batch_input_shape": [None, 4]}, stored, y


def thresholded(x: np.ndarray) -> tuple[dict[str, Any], Arrays, np.ndarray]:
    return {"theta": 0.2, "batch_input_shape": [None, 4]}, [], np.where(x > 0.2, x, 0)


STEPS, IMAGE, VOLUME, FILM = (2, 5, 4), (2, 4, 4, 4), (2, 4, 4, 3, 4), (2, 3, 4, 4, 4)
ROWS: dict[str, tuple[str, Any, tuple[int, ...], str | None, str | None]] = {
    "lstm": ("LSTM", keras_1_lstm, STEPS, "1.2.2", None),
    "lstm, gpu": ("LSTM", keras_1_lstm_on_gpu, STEPS, "1.2.2", None),
    "gru": ("GRU", keras_1_gru, STEPS, None, None),
    "cudnn lstm": ("CuDNNLSTM", cudnn_lstm, STEPS, "2.2.4", "tensorflow"),
    "cudnn lstm, both ways": ("Bidirectional", bidirectional, STEPS, "2.2.4", "tensorflow"),
    "cudnn gru": ("CuDNNGRU", cudnn_gru, STEPS, "2.2.4-tf", "tensorflow"),
    "conv1d": ("Convolution1D", conv(1, "tf"), STEPS, "1.2.2", None),
    "conv1d, first versions": ("Convolution1D", conv(1, "tf", True), STEPS, None, None),
    "conv2d": ("Convolution2D", conv(2, "tf"), IMAGE, "1.2.2", None),
    "conv2d, th": ("Convolution2D", conv(2, "th"), IMAGE, "1.0.3", None),
    "conv3d": ("Convolution3D", conv(3, "tf"), VOLUME, "1.2.2", None),
    "conv3d, th": ("Convolution3D", conv(3, "th"), (2, 4, 4, 4, 3), "1.2.2", None),
    "deconvolution": ("Deconvolution2D", deconvolution("tf"), IMAGE, "1.2.2", None),
    "deconvolution, th": ("Deconvolution2D", deconvolution("th"), IMAGE, "1.2.2", None),
    "separable": ("SeparableConvolution2D", separable("tf"), IMAGE, "1.2.2", None),
    "separable, th": ("SeparableConvolution2D", separable("th"), IMAGE, "1.2.2", None),
    "convlstm": ("ConvLSTM2D", conv_lstm("tf", 1), FILM, "1.2.2", None),
    "convlstm, th": ("ConvLSTM2D", conv_lstm("th", 1), FILM, "1.2.2", None),
    "theano conv1d": ("Conv1D", theano("Conv1D"), STEPS, "2.0.8", "theano"),
    "theano conv2d": ("Conv2D", theano("Conv2D"), IMAGE, "2.0.8", "theano"),
    "theano conv3d": ("Conv3D", theano("Conv3D"), VOLUME, "2.0.8", "theano"),
    "theano transpose": ("Conv2DTranspose", theano("Conv2DTranspose"), IMAGE, "2.0.8", "theano"),
    "theano convlstm": ("ConvLSTM2D", conv_lstm("tf", 2), FILM, "2.0.8", "theano"),
    "batch normalization": ("BatchNormalization", batch_normalization, STEPS, "1.0.8", None),
    "locally connected": ("LocallyConnected2D", locally_connected(1), (2, 4, 4, 4), "2.2.4", "tensorflow"),
    "locally connected, first": ("LocallyConnected2D", locally_connected(1, True), (2, 4, 4, 4), "2.2.4", "tensorflow"),
    "locally connected, masked": ("LocallyConnected2D", locally_connected(2), (2, 4, 4, 4), "2.15.0", "tensorflow"),
    "locally connected, sparse": ("LocallyConnected2D", locally_connected(3), (2, 4, 4, 4), "2.15.0", "tensorflow"),
    "locally connected, sparse, first": (
        "LocallyConnected2D",
        locally_connected(3, True),
        (2, 4, 4, 4),
        "2.15.0",
        "tensorflow",
    ),
    "maxout": ("MaxoutDense", maxout, (2, 4), "1.2.2", None),
    "highway": ("Highway", highway, (2, 4), "1.2.2", None),
    "parametric softplus": ("ParametricSoftplus", softplus, (2, 4), "1.2.2", None),
    "srelu": ("SReLU", srelu, (2, 4), "1.2.2", None),
    "thresholded relu": ("ThresholdedReLU", thresholded, (2, 4), "2.15.0", "tensorflow"),
    "dense over time": ("TimeDistributedDense", dense_over_time, STEPS, None, None),
}


@pytest.mark.parametrize("name", ROWS)
def test_layouts(name: str, tmp_path: Path) -> None:
    class_name, row, shape, version, backend = ROWS[name]
    x = random(*shape)
    config, arrays, y = row(x)
    write(tmp_path / "m.h5", class_name, config, arrays, version, backend)
    model = load_model(tmp_path / "m.h5")
    np.testing.assert_allclose(np.asarray(model(x)), y, rtol=1e-4, atol=1e-5)


def test_models_side_by_side(tmp_path: Path) -> None:
    """A Sequential of Keras 1 that begins with a Merge: its layers stood in the file one after the other."""

    def dense(name: str, inputs: int, units: int, **more: Any) -> dict[str, Any]:
        shape = {"batch_input_shape": [None, inputs], "input_dtype": "float32"} if inputs else {}
        config = {"name": name, "trainable": True, "output_dim": units, "activation": "linear", **shape, **more}
        return {"class_name": "Dense", "config": config}

    def merge(name: str, mode: str, *models: Any) -> dict[str, Any]:
        config = {"name": name, "mode": mode, "mode_type": "raw", "concat_axis": -1, "dot_axes": -1, "arguments": {}}
        branches = [{"class_name": "Sequential", "config": m} for m in models]
        return {"class_name": "Merge", "config": {**config, "output_shape": None, "layers": branches}}

    inner = [merge("inner", "mul", [dense("a", 2, 3)], [dense("b", 4, 3)]), dense("c", 0, 3)]
    layers = [merge("outer", "concat", inner, [dense("d", 5, 2)]), dense("e", 0, 1)]
    weights = {n: random(*s) for n, s in {"a": (2, 3), "b": (4, 3), "c": (3, 3), "d": (5, 2), "e": (5, 1)}.items()}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        file.attrs["keras_version"] = "1.2.2"
        group = file.create_group("model_weights")
        group.attrs["keras_version"] = "1.2.2"
        group.attrs["layer_names"] = [n.encode() for n in weights]
        for name, value in weights.items():
            group.create_group(name).attrs["weight_names"] = [b"W", b"b"]
            group[name]["W"], group[name]["b"] = value, random(value.shape[1])
    model = load_model(tmp_path / "m.h5")
    a, b, d = random(2, 2), random(2, 4), random(2, 5)
    y = {n: lambda x, n=n: x @ weights[n] + random(weights[n].shape[1]) for n in weights}
    expected = y["e"](np.concatenate([y["c"](y["a"](a) * y["b"](b)), y["d"](d)], -1))
    np.testing.assert_allclose(model.predict([a, b, d], verbose=0), expected, rtol=1e-5, atol=1e-6)
