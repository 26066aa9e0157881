"""Colours, cropping, patches, filters and warps of images."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala import ops
from tests.ops.sweep import case, check, rows

rng = np.random.default_rng(0)


def uniform(*shape: int) -> np.ndarray:
    return rng.uniform(size=shape).astype("float32")


X = uniform(2, 5, 6, 3)
BYTES = (X * 255).astype("uint8")
TURNS = np.array([[1, 0.1, -1.2, -0.2, 0.9, 0.7, 0, 0], [0.8, 0, 0.3, 0.1, 1.1, 0.2, 0, 0]], "float32")
START = np.array([[[0, 0], [5, 0], [0, 4], [5, 4]]] * 2, "float32")
END = START + uniform(2, 4, 2)
PLACES = np.array([[-3.3, -1.2, -0.45, 0.4, 1.55, 4.2, 5.6, 9.7]], "float32")
GRID = 7 * uniform(2, 3, 4) - 1.5
SIDES = {"top_padding": 1, "left_padding": 2, "target_height": 9, "right_padding": 1}
CUTS = {"bottom_cropping": 1, "left_cropping": 2, "target_height": 3, "right_cropping": 1}
SCALED = ((2, 3, 8, 3), np.array([0.6, 1.3], "float32"), np.array([0.2, -0.4], "float32"), (1, 2))
NO = {"_grad": False, "_dtypes": ()}


def _gaussian(n: int, sigma: float) -> np.ndarray:
    w = np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / sigma) ** 2)
    return w / w.sum()


def _blur(x, size, sigma):
    """Keras's has but the middle row of the filter."""
    for axis, (n, s) in enumerate(zip(size, sigma), 1):
        x = np.apply_along_axis(lambda v: np.convolve(v, _gaussian(n, s), "same"), axis, x)
    return x


def _projective(x, transform):
    """Keras's has no perspective on JAX: nearest neighbours of one image, outside 0."""
    a0, a1, a2, b0, b1, b2, c0, c1 = transform
    out = np.zeros_like(x)
    for i, j in np.ndindex(x.shape[1:3]):
        k = c0 * j + c1 * i + 1
        u, v = round((a0 * j + a1 * i + a2) / k), round((b0 * j + b1 * i + b2) / k)
        if 0 <= v < x.shape[1] and 0 <= u < x.shape[2]:
            out[:, i, j] = x[:, v, u]
    return out


CASES = [
    case("image.rgb_to_grayscale", X, _batch=True),
    case("image.rgb_to_grayscale", np.moveaxis(X, -1, 1), data_format="channels_first"),
    case("image.rgb_to_grayscale", BYTES, _dtypes=()),
    case("image.rgb_to_hsv", X, _batch=True, _tol=5e-5),
    case("image.rgb_to_hsv", np.round(X[0] * 2), **NO),
    case("image.hsv_to_rgb", X, _batch=True, _tol=5e-5),
    case("image.crop_images", X, **CUTS, _batch=True),
    case("image.pad_images", X, **SIDES, _batch=True),
    case("image.extract_patches", X, 2, _batch=True),
    case("image.extract_patches", X, (2, 3), strides=1, padding="same"),
    case("image.extract_patches", X[0], 2, strides=1, dilation_rate=2),
    case("image.extract_patches", np.moveaxis(X, -1, 1), 2, data_format="channels_first"),
    case("image.extract_patches", BYTES, 2, **NO),
    case("image.extract_patches_3d", uniform(2, 4, 5, 3, 2), (2, 3, 2), strides=(1, 2, 1), padding="same"),
    case("image.gaussian_blur", X, _ref=lambda x: _blur(x, (3, 3), (1.0, 1.0)), **NO),
    case("image.gaussian_blur", X, (3, 5), np.array([1.0, 2.0], "float32"), _ref=_blur, **NO),
    case("image.sobel_edges", X, _batch=True),
    case("image.ssim", uniform(2, 13, 12, 3), uniform(2, 13, 12, 3), _tol=5e-5),
    case("image.ssim", X[0], X[1], filter_size=3, max_val=2.0, _tol=5e-5),
    *(
        case("image.map_coordinates", uniform(5), PLACES, order, fill_mode=mode, fill_value=7.0, _grad=order == 1)
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
        for order in (0, 1)
    ),
    case("image.map_coordinates", uniform(6, 5), GRID, 1),
    case("image.map_coordinates", np.arange(5, dtype="int32"), PLACES, 1, **NO),
    case("image.affine_transform", X, TURNS, fill_value=0.5, _grad=False),  # Keras has no gradient of c0 and c1
    case("image.affine_transform", X, TURNS, interpolation="nearest", fill_mode="reflect"),
    case("image.affine_transform", np.moveaxis(X, -1, 1), TURNS, fill_mode="wrap", data_format="channels_first", _grad=False),
    case("image.affine_transform", X[0], TURNS[0], **NO),
    case(
        "image.affine_transform", X, np.array([1, 0, 0.3, 0.2, 1, 0, 0.1, 0.05], "float32"), interpolation="nearest",
        _ref=lambda x, t, interpolation: _projective(x, t), **NO,
    ),
    case("image.perspective_transform", X, START, END, _tol=1e-4, _grad=False),
    case("image.perspective_transform", X[0], START[0], END[0], interpolation="nearest", fill_value=3.0, **NO),
    *(
        case("image.scale_and_translate", X, *SCALED, method, antialias, _tol=1e-4, _grad=method != "linear")
        for method, antialias in (("linear", True), ("linear", False), ("bicubic", True), ("lanczos3", True))
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", rows(CASES))
def test_op(row, backend, deviation):
    check(row, deviation)


def test_elastic_transform(backend):
    rows_and_columns = np.stack(np.mgrid[:64, :64], -1).astype("float32")
    moved = ops.image.elastic_transform(rows_and_columns, alpha=10.0, sigma=2.0, fill_mode="nearest", seed=3)
    shifts = (ops.convert_to_numpy(moved) - rows_and_columns)[16:48, 16:48]
    assert 2.0 < shifts.std() < 3.6
    assert np.corrcoef(shifts[1:].ravel(), shifts[:-1].ravel())[0, 1] > 0.85
    still = ops.image.elastic_transform(BYTES, alpha=0.0, seed=3)
    assert (ops.convert_to_numpy(still) == BYTES).all()
    one, same = (ops.convert_to_numpy(ops.image.elastic_transform(X, seed=5)) for _ in range(2))
    assert (one == same).all() and (one != X).any()


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: ops.image.crop_images(X, top_cropping=1), "exactly two"),
        (lambda: ops.image.crop_images(X, top_cropping=1, target_height=9, left_cropping=1, target_width=2), "height of 5"),
        (lambda: ops.image.pad_images(X, 1, 1, target_height=3, target_width=9), "height of 5"),
        (lambda: ops.image.rgb_to_hsv(BYTES), "float"),
        (lambda: ops.image.rgb_to_grayscale(X[..., :2]), "3 channels"),
        (lambda: ops.image.map_coordinates(X[0, 0], PLACES, 1), "coordinates"),
        (lambda: ops.image.map_coordinates(X[0, 0, 0], PLACES, 2), "order"),
        (lambda: ops.image.affine_transform(X, TURNS[:, :6]), "8"),
        (lambda: ops.image.perspective_transform(X, START[:, :3], END), "start_points"),
        (lambda: ops.image.ssim(X, X), "filter_size"),
        (lambda: ops.image.extract_patches(X, 7), "does not fit"),
        (lambda: ops.image.scale_and_translate(X, *SCALED, "area"), "lanczos3"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(call, says, backend):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)


UNKNOWN = {
    "resize": lambda x: ops.image.resize(x, (4, 7), antialias=True),
    "nearest": lambda x: ops.image.resize(x, (4, 7), "nearest", crop_to_aspect_ratio=True),
    "pad": lambda x: ops.image.resize(x, (4, 7), "bicubic", pad_to_aspect_ratio=True, fill_value=0.5),
    "crop_images": lambda x: ops.image.crop_images(x, **CUTS),
    "pad_images": lambda x: ops.image.pad_images(x, **SIDES),
    "extract_patches": lambda x: ops.image.extract_patches(x[None], 3, strides=2, padding="same"),
    "gaussian_blur": lambda x: ops.image.gaussian_blur(x[None]),
    "affine_transform": lambda x: ops.image.affine_transform(x, TURNS[0], fill_mode="mirror"),
}


@pytest.mark.parametrize("name", ["tensorflow", "jax"], ids="current={}".format)
def test_pictures_whose_sizes_only_the_graph_knows(name):
    import tensorflow as tf

    data = tf.data.Dataset.from_generator(lambda: iter(X), output_signature=tf.TensorSpec((None, None, 3)))
    with nyala.backend_scope(name):
        found = list(data.map(lambda x: {k: f(x) for k, f in UNKNOWN.items()}))
        for x, one in zip(X, found):
            for k, f in UNKNOWN.items():
                np.testing.assert_allclose(one[k], ops.convert_to_numpy(f(x)), atol=1e-5, err_msg=k)
