"""Activations, normalization, encodings, attention, convolution, pooling, cross-entropies and image resizing."""

from __future__ import annotations

import numpy as np
import pytest

from nyala import backends, ops
from tests.ops.sweep import case, check, rows

rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype("float32")


def positive(*shape: int) -> np.ndarray:
    return rng.uniform(0.1, 1.0, size=shape).astype("float32")


def simplex(*shape: int) -> np.ndarray:
    x = positive(*shape)
    return (x / x.sum(-1, keepdims=True)).astype("float32")


# Away from the places where a gradient jumps; far enough out for what must stay finite.
X = np.array([[-90.0, -3.7, -1.3, -0.6, -0.2, 0.1], [0.3, 0.7, 1.6, 2.9, 7.3, 90.0]], "float32")
NEAR = np.array([[-3.7, -1.3, -0.6, -0.2], [0.3, 0.7, 1.6, 2.9]], "float32")
HALF = ("float16", "bfloat16")
WITH_INTS = (*HALF, "int32")


def _sparsemax(x, axis=-1):
    """The projection onto the simplex, its threshold found by bisection."""
    low, high = x.min(axis, keepdims=True) - 1, x.max(axis, keepdims=True)
    for _ in range(60):
        tau = (low + high) / 2
        over = np.maximum(x - tau, 0).sum(axis, keepdims=True) > 1
        low, high = np.where(over, tau, low), np.where(over, high, tau)
    return np.maximum(x - tau, 0)


def _rms(x, scale, axis):
    return x / np.sqrt((x**2).mean(axis, keepdims=True) + 1e-7) * scale[:, None]


def _sparse_crossentropy(target, output, axis):
    return -np.log(np.take_along_axis(output / output.sum(axis, keepdims=True), target[:, None], axis))[:, 0]


ACTIVATIONS = [
    case("relu", X, _dtypes=WITH_INTS, _batch=True),
    *(
        case(name, X, _dtypes=WITH_INTS, _batch=True)
        for name in ("relu6", "softplus", "softsign", "log_sigmoid", "hard_sigmoid", "hard_silu", "hard_swish", "elu")
    ),
    *(case(name, X, _batch=True) for name in ("sigmoid", "silu", "swish", "selu", "celu", "hard_tanh", "squareplus")),
    *(case(name, X) for name in ("tanh_shrink", "soft_shrink", "hard_shrink", "sparse_plus", "sparse_sigmoid")),
    case("gelu", NEAR, _dtypes=WITH_INTS),
    case("gelu", NEAR, approximate=False),
    case("leaky_relu", X, _dtypes=WITH_INTS),
    case("leaky_relu", X, negative_slope=0.05),
    case("elu", NEAR, alpha=0.5),
    case("celu", NEAR, alpha=0.5),
    case("squareplus", NEAR, b=2),
    case("soft_shrink", NEAR, threshold=1.0),
    case("hard_shrink", NEAR, threshold=1.0),
    case("threshold", X, 0.5, 9.0),
    case("threshold", np.array([1, 2, 3], "int32"), 1, 7, _grad=False, _dtypes=()),
    case("glu", normal(3, 4)),
    case("glu", normal(4, 3), axis=0),
    case("softmax", X, _dtypes=WITH_INTS, _batch=True),
    case("softmax", normal(2, 3, 4), axis=(1, 2)),
    case("softmax", normal(2, 3, 4), axis=0),
    case("log_softmax", X, _dtypes=WITH_INTS),
    case("log_softmax", normal(2, 3, 4), axis=(0, 2)),
    # Keras's does not sum to 1.
    case("sparsemax", normal(3, 5), _ref=_sparsemax, _batch=True),
    case("sparsemax", normal(3, 5), axis=0, _ref=_sparsemax),
]

ENCODINGS = [
    case("one_hot", np.array([0, 2, -1, 5], "int32"), 4, _dtypes=("uint8",)),
    case("one_hot", np.array([[0, 2], [1, 3]], "int32"), 4, axis=1, dtype="int8", _dtypes=()),
    case("one_hot", np.array([[0, 2], [1, 3]], "int32"), 4, axis=0, dtype="bool", _dtypes=()),
    case("multi_hot", np.array([[0, 2], [1, 1]], "int32"), 4, _dtypes=("uint8",)),
    case("multi_hot", np.array([0, 2], "int32"), 4, dtype="int32", _dtypes=()),
    case("multi_hot", rng.integers(0, 3, (2, 4, 5)).astype("int32"), 3, _dtypes=()),
]

NORMALIZATION = [
    case("moments", normal(3, 4), [0]),
    case("moments", normal(3, 4, 2), (0, 1), keepdims=True),
    case("moments", np.array([[1, 2], [3, 5]], "int32"), [1], _dtypes=()),
    case("batch_normalization", normal(4, 3), normal(3), positive(3), 1, _batch=True),
    case("batch_normalization", normal(4, 3, 2), normal(3), positive(3), 1, normal(3), normal(3), 0.1),
    case("batch_normalization", normal(4, 3, 2), normal(2), positive(2), -1, offset=normal(2)),
    case("layer_normalization", normal(3, 4), _batch=True),
    case("layer_normalization", normal(3, 4), normal(4), normal(4), epsilon=0.01),
    case("layer_normalization", normal(3, 4, 2), normal(4), normal(4), axis=1),
    case("layer_normalization", normal(3, 4, 2), normal(4, 2), axis=(1, 2), _tol=5e-5),
    case("rms_normalization", normal(3, 4), _batch=True),
    case("rms_normalization", normal(3, 4), normal(4), epsilon=0.01),
    case("rms_normalization", normal(3, 4, 2), normal(4), axis=1, _ref=_rms),
    case("normalize", normal(3, 4)),
    case("normalize", normal(3, 4), axis=0, order=1),
    case("normalize", normal(3, 4), order=3),
    case("normalize", normal(3, 4), axis=(0, 1), order=2),
    case("normalize", np.full((2, 3), 1e-9, "float32")),
]


def _q() -> np.ndarray:
    return normal(2, 3, 4, 5)


def _attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray, is_causal: bool) -> np.ndarray:
    """A query that may look at nothing gets zeros; Keras's op gives it the mean of all values, its layer zeros."""
    weights = np.exp(np.einsum("btnh,bsnh->bnts", q, k) / np.sqrt(q.shape[-1])) * mask
    return np.einsum("bnts,bsnh->btnh", weights / np.maximum(weights.sum(-1, keepdims=True), 1e-30), v)


ATTENTION = [
    case("dot_product_attention", _q(), _q(), _q()),
    case("dot_product_attention", _q(), normal(2, 6, 4, 5), normal(2, 6, 4, 5), scale=0.3),
    case("dot_product_attention", _q(), normal(2, 6, 2, 5), normal(2, 6, 2, 5), is_causal=True),
    case("dot_product_attention", _q(), _q(), _q(), bias=normal(2, 4, 3, 3)),
    case("dot_product_attention", _q(), _q(), _q(), mask=np.tril(np.ones((2, 1, 3, 3), bool)), _dtypes=()),
    case(
        "dot_product_attention",
        _q(),
        _q(),
        _q(),
        mask=np.tril(np.ones((1, 1, 3, 3), bool), -1),
        _ref=_attention,
        is_causal=True,
    ),
]

IMAGES_OF = {1: (2, 9, 4), 2: (2, 7, 9, 4), 3: (1, 5, 6, 7, 4)}
WINDOWS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


def _first(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def _conv_cases(rank: int) -> list:
    x, w = normal(*IMAGES_OF[rank]), WINDOWS[rank]
    kernel, grouped, depthwise = normal(*w, 4, 6), normal(*w, 2, 6), normal(*w, 4, 2)
    backwards = normal(*w, 3, 4)
    found = [
        case("conv", x, kernel, _batch=True),
        case("conv", x, kernel, strides=2, padding="same"),
        case("conv", x, kernel, padding="same", dilation_rate=2, _dtypes=()),
        case("conv", x, grouped, strides=(2,) + (1,) * (rank - 1), _dtypes=()),
        case("conv_transpose", x, backwards, _batch=True),
        case("conv_transpose", x, backwards, strides=2, padding="same"),
        case("conv_transpose", x, backwards, strides=3, _dtypes=()),
        case("conv_transpose", x, backwards, strides=2, output_padding=1, _dtypes=()),
        case("conv_transpose", x, backwards, strides=2, padding="same", output_padding=0, _dtypes=()),
        case("conv_transpose", x, backwards, dilation_rate=2, padding="same", _dtypes=()),
        case("max_pool", x, 2, 2, _batch=True),
        case("max_pool", x, 3, 2, "same"),
        case("max_pool", x, 2, 3, _dtypes=()),
        case("average_pool", x, 2, 2, _batch=True),
        case("average_pool", x, 3, 2, "same"),
    ]
    if rank < 3:
        pointwise = normal(*(1,) * rank, 8, 3)
        found += [
            case("depthwise_conv", x, depthwise, _batch=True),
            case("depthwise_conv", x, depthwise, strides=2, padding="same"),
            case("depthwise_conv", x, depthwise, dilation_rate=2, _dtypes=()),
            case("separable_conv", x, depthwise, pointwise, padding="same"),
            case("separable_conv", x, depthwise, pointwise, strides=2, _dtypes=()),
        ]
    return [_widened(c) for c in found]


def _widened(c):
    # Sums over windows: some units in the last place more.
    c.tol = 5e-5
    return c


def _channels_first(op: str, x: np.ndarray, *args, **kwargs):
    """The oracle on a CPU only knows channels_last for some: transpose around it."""
    import keras

    return np.moveaxis(np.asarray(getattr(keras.ops, op)(x, *args, **kwargs)), -1, 1)


IMAGE = normal(2, 7, 9, 4)
WINDOWS_OVER_IMAGES = [
    *(c for rank in (1, 2, 3) for c in _conv_cases(rank)),
    _widened(case("adaptive_average_pool", normal(2, 7, 9, 3), (3, 4), _dtypes=())),
    _widened(case("adaptive_average_pool", normal(2, 8, 3), 4, _dtypes=())),
    case("adaptive_max_pool", normal(2, 7, 9, 3), (3, 4), _dtypes=()),
    case("adaptive_max_pool", normal(2, 3, 7), 2, data_format="channels_first", _dtypes=()),
    case("unfold", normal(2, 3, 5, 6), (2, 3), _dtypes=()),
    case("unfold", normal(2, 3, 7, 6), 2, dilation=2, padding=1, stride=2, _dtypes=()),
    case("fold", normal(2, 12, 20), (5, 6), 2, _dtypes=()),
    case("fold", normal(2, 12, 9), (6, 5), 2, dilation=2, padding=1, stride=2, _dtypes=()),
    case("depth_to_space", normal(2, 3, 4, 12), 2, _dtypes=()),
    case("depth_to_space", normal(2, 12, 3, 4), 2, data_format="channels_first", _dtypes=()),
    case("space_to_depth", normal(2, 4, 6, 3), 2, _dtypes=()),
    case("space_to_depth", normal(2, 3, 4, 6), 2, data_format="channels_first", _dtypes=()),
    case("psnr", positive(2, 3), positive(2, 3), 1.0),
    *(
        case("image.resize", normal(2, 5, 6, 3), size, interpolation=how, _tol=1e-4)
        for how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        for size in ((10, 12), (7, 4))
    ),
    case("image.resize", normal(2, 3, 8, 9), (4, 3), antialias=True, data_format="channels_first", _tol=1e-4),
    case("image.resize", normal(8, 6, 3), (4, 4), crop_to_aspect_ratio=True, _tol=1e-4, _dtypes=()),
    case("image.resize", normal(8, 6, 3), (4, 4), pad_to_aspect_ratio=True, fill_value=2.0, _tol=1e-4, _dtypes=()),
    case("image.resize", rng.integers(0, 255, (4, 5, 3)).astype("uint8"), (6, 9), "bicubic", _dtypes=("int32",)),
]

TARGETS = (rng.uniform(size=(3, 4)) > 0.5).astype("float32")
LABELS = np.array([2, 0, 3], "int32")
CROSSENTROPIES = [
    case("binary_crossentropy", TARGETS, simplex(3, 4), _batch=True),
    case("binary_crossentropy", TARGETS, np.array(TARGETS[::-1]), _tol=1e-4, _grad=False),
    case("binary_crossentropy", TARGETS, 20 * normal(3, 4), from_logits=True, _batch=True),
    case("categorical_crossentropy", simplex(3, 4), simplex(3, 4), _batch=True),
    case("categorical_crossentropy", simplex(3, 4), 2 * positive(3, 4)),
    case("categorical_crossentropy", simplex(3, 4), 20 * normal(3, 4), from_logits=True, _tol=1e-4),
    case("categorical_crossentropy", simplex(3, 4, 2), positive(3, 4, 2), axis=1),
    case("sparse_categorical_crossentropy", LABELS, simplex(3, 4), _batch=True, _dtypes=()),
    case("sparse_categorical_crossentropy", LABELS[:, None], 20 * normal(3, 4), from_logits=True, _dtypes=()),
    case(
        "sparse_categorical_crossentropy",
        np.array([[0, 3]], "int32"),
        positive(1, 4, 2),
        axis=1,
        _ref=_sparse_crossentropy,
    ),
]

LENGTHS = np.array([3, 1], "int32"), np.array([6, 4], "int32")
SPOKEN = 2 * normal(2, 6, 4)
CTC = [
    case("ctc_loss", np.array([[1, 1, 2], [2, 0, 0]], "int32"), normal(2, 6, 4), *LENGTHS, _dtypes=(), _tol=1e-4),
    case(
        "ctc_loss",
        np.array([[0, 1, 2], [2, 1, 1]], "int32"),
        normal(2, 6, 4),
        *LENGTHS,
        mask_index=3,
        _dtypes=(),
        _tol=1e-4,
    ),
    *(
        case("ctc_decode", SPOKEN, LENGTHS[1], _dtypes=(), _grad=False, _tol=1e-4, **kw)
        for kw in (
            {},
            {"merge_repeated": False, "mask_index": 3},
            {"strategy": "beam_search", "top_paths": 3},
            {"strategy": "beam_search", "top_paths": 2, "mask_index": 3},
        )
    ),
]

CASES = [*ACTIVATIONS, *ENCODINGS, *NORMALIZATION, *ATTENTION, *WINDOWS_OVER_IMAGES, *CROSSENTROPIES, *CTC]


@pytest.mark.parametrize("row", rows(CASES))
def test_op(row, backend, deviation):
    check(row, deviation)


@pytest.mark.parametrize(
    ("op", "window", "kwargs"),
    [
        ("conv", (3, 2, 4, 6), {"strides": 2, "padding": "same"}),
        ("depthwise_conv", (3, 2, 4, 2), {}),
        ("conv_transpose", (3, 2, 3, 4), {"strides": 2, "padding": "same"}),
        ("max_pool", None, {"strides": 2, "padding": "same"}),
        ("average_pool", None, {"strides": 1, "padding": "same"}),
    ],
)
def test_channels_first_is_channels_last_with_other_axes(op, window, kwargs, backend):
    arg = (3, 2) if window is None else normal(*window)
    fn = getattr(ops, op)
    want = np.moveaxis(ops.convert_to_numpy(fn(IMAGE, arg, **kwargs)), -1, 1)
    got = ops.convert_to_numpy(fn(_first(IMAGE), arg, data_format="channels_first", **kwargs))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_soft_cap(backend):
    q, k = normal(1, 3, 1, 4), normal(1, 3, 1, 4)
    value = np.eye(3, dtype="float32")[None, :, None, :]
    value = np.concatenate([value, np.zeros((1, 3, 1, 1), "float32")], -1)
    got = ops.convert_to_numpy(ops.dot_product_attention(q, k, value, scale=9.0, attn_logits_soft_cap=0.5))
    scores = 0.5 * np.tanh(9.0 * np.einsum("bqhd,bkhd->bqk", q, k) / 0.5)
    want = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(got[:, :, 0, :3], want, rtol=1e-5, atol=1e-5)


def test_cross_entropies_of_half_floats_are_finite(backend):
    ends = ops.cast(np.array([[0.0, 1.0]]), "float16")
    for loss in (
        ops.binary_crossentropy(np.array([[1.0, 0.0]], "float16"), ends),
        ops.categorical_crossentropy(np.array([[1.0, 0.0]], "float16"), ends),
        ops.sparse_categorical_crossentropy(np.array([0]), ends),
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(loss).astype("float32"), 16.1, rtol=0.02)


def test_gradient_of_crossentropy_at_logit_zero(backend):
    # relu(x) - x * z + log1p(exp(-|x|)) has the wrong one there, where freshly made models begin.
    found = backends.current()
    x = found.convert(np.zeros((2,), "float32"))
    _, (g,) = found.grad(lambda x: ops.sum(ops.binary_crossentropy(np.array([0.0, 1.0], "float32"), x, True)), [x])
    np.testing.assert_allclose(found.to_numpy(g), [0.5, -0.5], rtol=1e-6)


def test_a_masked_class_does_not_spoil_the_sparse_loss(backend):
    logits = np.array([[0.0, -np.inf, 0.0]], "float32")
    loss = ops.sparse_categorical_crossentropy(np.array([0]), logits, from_logits=True)
    np.testing.assert_allclose(ops.convert_to_numpy(loss), [np.log(2.0)], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.conv(normal(1, 5, 3), normal(3, 2, 4)), "3 channels"),
        (lambda: ops.conv(normal(1, 5, 2), normal(3, 2, 4), strides=2, dilation_rate=2), "dilation_rate"),
        (lambda: ops.conv(normal(1, 5, 2), normal(3, 2, 4), padding="full"), "'valid', 'same'"),
        (lambda: ops.conv(normal(1, 5, 2), normal(3, 3, 2, 4)), "3 axes"),
        (lambda: ops.depthwise_conv(normal(1, 5, 3), normal(3, 2, 4)), "2 channels"),
        (lambda: ops.conv_transpose(normal(1, 5, 3), normal(3, 4, 2)), "2 channels"),
        (lambda: ops.conv_transpose(normal(1, 5, 2), normal(3, 4, 2), strides=2, output_padding=2), "output_padding"),
        (lambda: ops.max_pool(normal(1, 5, 2), 0), "pool_size"),
        (lambda: ops.one_hot(np.array([1]), 3, sparse=True), "sparse"),
        (lambda: ops.multi_hot(np.array([1])), "num_classes"),
        (lambda: ops.normalize(normal(2, 2), order=0), "order"),
        (lambda: ops.layer_normalization(normal(2, 2), foo=1), "foo"),
        (lambda: ops.binary_crossentropy(normal(2, 3), normal(2, 1)), "(2, 3)"),
        (lambda: ops.categorical_crossentropy(normal(2, 3), normal(2, 1)), "(2, 3)"),
        (lambda: ops.sparse_categorical_crossentropy(normal(2, 3), normal(2, 4)), "One-hot"),
        (lambda: ops.dot_product_attention(normal(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4)), "heads"),
        (lambda: ops.image.resize(normal(2, 3), (4, 4)), "rank"),
        (lambda: ops.image.resize(normal(2, 3, 3), (4, 4), "area"), "lanczos3"),
    ],
)
def test_errors_say_what_is_wrong(call, says, backend):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert says in str(error.value)
