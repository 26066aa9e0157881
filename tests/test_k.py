"""keras.backend: its functions against Keras's own, and its state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nyala
from nyala import backend as K
from nyala import layers, ops


def _a(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype("float32")


X, Y, P = _a(2, 3, 4), _a(2, 4, 5, seed=1), _a(4, 5, seed=2, low=0.1, high=0.9)
IMAGE, VOLUME, STEPS = _a(2, 6, 7, 3), _a(1, 4, 4, 4, 2), _a(2, 8, 3)
ONE_HOT = np.eye(5, dtype="float32")[[0, 3, 1, 4]]
ROW: Any = lambda name, *args, **kwargs: (name, args, kwargs)  # noqa: E731

SAME = [
    ROW("abs", X), ROW("all", X > 0, axis=1), ROW("any", X > 0, axis=-1, keepdims=True), ROW("arange", 5),
    ROW("arange", 1, 7, 2, dtype="float32"), ROW("argmax", X), ROW("argmin", X, axis=0), ROW("batch_dot", X, Y),
    ROW("batch_dot", X, X, axes=2), ROW("batch_dot", X[:, 0], X[:, 1], axes=1), ROW("batch_dot", X, Y[:, :, 0], axes=(2, 1)),
    ROW("batch_flatten", X), ROW("cast", X, "int32"), ROW("clip", X, -0.3, 0.4), ROW("clip", X, 0.5, 0.1),
    ROW("concatenate", [X, X]), ROW("concatenate", [X, X], axis=1), ROW("cos", X), ROW("cumprod", X), ROW("cumsum", X, axis=1),
    ROW("dot", X, _a(4, 2)), ROW("dot", X, Y[:, :4]), ROW("elu", X), ROW("elu", X, alpha=0.5), ROW("equal", X, X), ROW("exp", X),
    ROW("expand_dims", X), ROW("eye", 3), ROW("flatten", X), ROW("gather", X, np.array([1, 0, 1])), ROW("greater", X, 0.1),
    ROW("greater_equal", X, X), ROW("hard_sigmoid", X * 4), ROW("in_top_k", P, np.array([0, 1, 2, 3]), 2),
    ROW("l2_normalize", X, axis=1), ROW("l2_normalize", X), ROW("less", X, 0.0), ROW("less_equal", X, X), ROW("log", np.abs(X) + 1),
    ROW("max", X, axis=1), ROW("maximum", X, 0.2), ROW("mean", X, axis=(0, 1)), ROW("mean", np.array([True, False])),
    ROW("min", X, keepdims=True), ROW("minimum", X, 0.2), ROW("not_equal", X, 0.0),
    ROW("one_hot", np.array([0, 2]), 3), ROW("ones", (2, 3)), ROW("ones_like", X), ROW("permute_dimensions", X, (2, 0, 1)),
    ROW("pow", X, 2), ROW("prod", X, axis=1), ROW("relu", X), ROW("relu", X * 3, alpha=0.1, max_value=1.5, threshold=0.2),
    ROW("repeat", X[0], 3), ROW("repeat_elements", X, 2, axis=1), ROW("reshape", X, (4, 6)), ROW("reverse", X, axes=1),
    ROW("reverse", X, axes=(0, 2)), ROW("round", X * 3), ROW("sigmoid", X), ROW("sign", X), ROW("sin", X), ROW("softmax", X),
    ROW("softmax", X, axis=1), ROW("softplus", X), ROW("softsign", X), ROW("sqrt", np.abs(X)), ROW("square", X), ROW("squeeze", X[:, :1], 1),
    ROW("stack", [X, X], axis=1), ROW("std", X, axis=1), ROW("sum", X, axis=-1, keepdims=True), ROW("sum", X, axis=np.arange(1, 3)), ROW("tanh", X), ROW("tile", X, (1, 2, 1)),
    ROW("transpose", X), ROW("var", X, axis=0), ROW("zeros", (2,)), ROW("zeros_like", X),
    ROW("switch", X > 0, X, -X),
    ROW("binary_crossentropy", ONE_HOT, P), ROW("binary_crossentropy", ONE_HOT, P, from_logits=True),
    ROW("categorical_crossentropy", ONE_HOT, P), ROW("categorical_crossentropy", ONE_HOT, P, from_logits=True),
    ROW("sparse_categorical_crossentropy", np.array([0, 3, 1, 4]), P),
    ROW("sparse_categorical_crossentropy", np.array([0, 3, 1, 4]), P, from_logits=True),
    ROW("batch_normalization", X, X.mean((0, 1)), X.var((0, 1)), _a(4), _a(4, seed=4)),
    ROW("bias_add", X, _a(4)), ROW("bias_add", X, _a(3, 4)), ROW("bias_add", IMAGE, _a(6), data_format="channels_first"),
    ROW("conv1d", STEPS, _a(3, 3, 4)), ROW("conv1d", STEPS, _a(3, 3, 4), padding="causal", dilation_rate=2),
    ROW("conv2d", IMAGE, _a(3, 3, 3, 4), strides=(2, 1), padding="same"), ROW("conv3d", VOLUME, _a(2, 2, 2, 2, 3)),
    ROW("conv2d_transpose", IMAGE, _a(3, 3, 2, 3), (2, 12, 14, 2), strides=(2, 2), padding="same"),
    ROW("conv2d_transpose", IMAGE, _a(3, 3, 2, 3), (2, 13, 15, 2), strides=(2, 2)),
    ROW("depthwise_conv2d", IMAGE, _a(3, 3, 3, 2)), ROW("separable_conv2d", IMAGE, _a(3, 3, 3, 2), _a(1, 1, 6, 4), padding="same"),
    ROW("pool2d", IMAGE, (2, 2), strides=(2, 2)), ROW("pool2d", IMAGE, (2, 2), pool_mode="avg", padding="same"),
    ROW("pool3d", VOLUME, (2, 2, 2), strides=(2, 2, 2)), ROW("resize_images", IMAGE, 2, 3, "channels_last"),
    ROW("resize_images", IMAGE, 2, 2, "channels_last", interpolation="bilinear"), ROW("resize_volumes", VOLUME, 2, 1, 2, "channels_last"),
    ROW("spatial_2d_padding", IMAGE, ((1, 0), (2, 1))), ROW("spatial_3d_padding", VOLUME), ROW("temporal_padding", STEPS, (2, 0)),
    ROW("ctc_batch_cost", np.array([[0, 1, 2], [3, 1, 0]]), np.abs(_a(2, 9, 5)) / 2, np.array([[9], [8]]), np.array([[3], [2]])),
    ROW("foldl", lambda a, b: a + b, X), ROW("foldr", lambda a, b: 2 * a + b, X), ROW("map_fn", lambda x: x * 2, X),
    ROW("constant", 2.0, shape=(2, 2)), ROW("constant", [1, 2]), ROW("count_params", X), ROW("int_shape", X), ROW("ndim", X),
]  # fmt: skip


def _numpy(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return [_numpy(v) for v in x]
    return np.asarray(x) if isinstance(x, (np.ndarray, int, float)) or x is None else ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def keras_k() -> Any:
    return pytest.importorskip("keras.src.legacy.backend")


@pytest.mark.parametrize("row", SAME, ids=lambda row: row[0])
def test_a_function_gives_what_keras_gives(backend: str, row: Any, keras_k: Any) -> None:
    import tensorflow as tf

    name, args, kwargs = row

    def tensors(make: Any) -> list[Any]:
        each = lambda a: make(a) if isinstance(a, np.ndarray) else a  # noqa: E731
        return [[each(v) for v in a] if isinstance(a, list) else each(a) for a in args]

    wanted = getattr(keras_k, name)(*tensors(tf.convert_to_tensor), **kwargs)
    found = getattr(K, name)(*tensors(ops.convert_to_tensor), **kwargs)
    wanted = np.asarray(wanted)
    found = np.asarray(_numpy(found))
    assert found.shape == wanted.shape
    assert (found.dtype.kind, found.dtype.itemsize) == (
        wanted.dtype.kind,
        wanted.dtype.itemsize,
    ) or wanted.dtype.kind in "iu"
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"go_backwards": True},
        {"mask": True},
        {"mask": True, "zero_output_for_mask": True},
        {"unroll": True, "mask": True},
    ],
    ids=str,
)
def test_rnn(backend: str, options: dict[str, Any], keras_k: Any) -> None:
    import tensorflow as tf

    mask = np.array([[1] * 8, [1] * 5 + [0] * 3], "bool")
    given = {**options, **({"mask": mask} if "mask" in options else {})}

    def run(module: Any, tensor: Any) -> list[np.ndarray]:
        step = lambda x, states: ((y := x + 0.5 * states[0]), [y])  # noqa: E731
        more = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in given.items()}
        last, outputs, states = module.rnn(step, tensor(STEPS), [tensor(np.zeros((2, 3), "float32"))], **more)
        return [np.asarray(_numpy(v)) if module is K else v.numpy() for v in (last, outputs, states[0])]

    for found, wanted in zip(run(K, ops.convert_to_tensor), run(keras_k, tf.convert_to_tensor)):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_batch_dot_of_many_axes(backend: str) -> None:
    """Axes before the last two are samples where they agree (capsules, heads), else the outer product of them."""
    c, hat, q = _a(2, 3, 4), _a(2, 3, 4, 5), _a(2, 3, 6, 5)
    rows = [(c, hat, [2, 2], "bij,bijd->bid"), (c[:, :, :3], hat[:, :, :3, :3], [2, 3], "bik,bijk->bij"),
            (q, hat, [3, 3], "bhqd,bhkd->bhqk"), (q, hat[:, 1:], 3, "bhqd,bgkd->bhqgk")]  # fmt: skip
    for x, y, axes, formula in rows:
        found = K.batch_dot(ops.convert_to_tensor(x), ops.convert_to_tensor(y), axes)
        np.testing.assert_allclose(_numpy(found), np.einsum(formula, x, y), rtol=1e-5, atol=1e-6)


def _graph() -> tuple[Any, Any, Any]:
    nyala.utils.set_random_seed(0)
    x = layers.Input((4,))
    hidden = layers.Dense(3, activation="tanh")(x)
    return x, hidden, layers.Dense(2)(layers.Dropout(0.5)(hidden))


def test_function_with_a_learning_phase(backend: str) -> None:
    x, hidden, out = _graph()
    model = nyala.Model(x, out)
    run = K.function([model.input, K.learning_phase()], [hidden, out])
    data = _a(5, 4)
    test, again, train = run([data, 0]), run([data, 0]), run([data, 1])
    np.testing.assert_allclose(test[1], model.predict(data, verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(test[1], again[1])
    np.testing.assert_allclose(test[0], train[0])
    assert not np.allclose(test[1], train[1])
    assert K.function(model.inputs, out)(data).shape == (5, 2)
    with pytest.raises(ValueError, match=r"no graph for updates"):
        K.function([x], [out], updates=[(1, 2)])


def test_what_is_left_of_a_session(backend: str) -> None:
    x, hidden, out = _graph()
    data, model = _a(5, 4), nyala.Model(x, out)
    with pytest.warns(nyala.base.old.OldSpelling, match="no sessions"):
        nyala.base.old.forget()
        session = K.get_session()
    found, kernel, nothing = session.run([out, model.layers[1].kernel, None], {x: data, K.learning_phase(): 0})
    np.testing.assert_allclose(found, model.predict(data, verbose=0), rtol=1e-5)
    assert kernel.shape == (4, 3) and nothing is None
    with session.as_default():
        np.testing.assert_allclose(session.run(hidden, {x: data}), K.function([x], [hidden])([data])[0])


def test_gradients(backend: str) -> None:
    """By an inner tensor, an input and a weight: those of y = w tanh(k x + b) in closed form."""
    x, hidden, out = _graph()
    model = nyala.Model(x, out)
    dense, last = model.layers[1], model.layers[-1]
    by_hidden, by_kernel = K.gradients(out[:, 0], [hidden, dense.kernel])
    (by_input,) = K.gradients(K.sum(out[:, 0]), x)
    data = _a(5, 4)
    h, g, gk, gx = K.function([x], [hidden, by_hidden, by_kernel, by_input])([data])
    w, k = last.kernel.numpy()[:, 0], dense.kernel.numpy()
    inner = (1 - h**2) * w
    np.testing.assert_allclose(g, np.broadcast_to(w, (5, 3)), rtol=1e-4)
    np.testing.assert_allclose(gx, inner @ k.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(gk, data.T @ inner, rtol=1e-4, atol=1e-6)
    with pytest.raises(NotImplementedError, match=r"value_and_grad"):
        K.gradients(ops.ones(()), [x])


def test_values_and_phases(backend: str) -> None:
    v = K.variable([[1.0, 2.0]], name="v")
    K.set_value(v, [[3.0, 4.0]])
    K.update_add(v, 1.0)
    K.moving_average_update(v, ops.zeros((1, 2)), 0.5)
    np.testing.assert_allclose(K.eval(v), [[2.0, 2.5]])
    assert K.batch_get_value([v, ops.ones(())])[1] == 1.0
    assert K.is_keras_tensor(K.placeholder((None, 3))) and K.placeholder(ndim=2).shape == (None, None)
    assert K.learning_phase() == 0 and K.in_train_phase(1, lambda: 2) == 2 and K.in_test_phase(1, 2) == 1
    with K.learning_phase_scope(1):
        assert K.in_train_phase(lambda: 1, 2) == 1
        assert (ops.convert_to_numpy(layers.Dropout(0.5)(np.ones((4, 50)))) == 0).any()
    # A condition of fewer axes holds for whole rows.
    chosen = K.switch(ops.convert_to_tensor([True, False]), ops.ones((2, 3)), ops.zeros((2, 3)))
    np.testing.assert_array_equal(ops.convert_to_numpy(chosen), [[1] * 3, [0] * 3])
    assert K.cast_to_floatx([1, 2]).dtype == "float32"
    K.reset_uids()
    assert [K.get_uid("a-prefix"), K.get_uid("a-prefix")] == [1, 2]
    normed, mean, var = K.normalize_batch_in_training(ops.convert_to_tensor(X), None, None, [0, 1], epsilon=0.0)
    np.testing.assert_allclose(ops.convert_to_numpy(normed).std((0, 1)), 1.0, rtol=1e-4)
    assert tuple(mean.shape) == tuple(var.shape) == (4,)


IN_GRAPHS = {
    "random_normal": (lambda x: x + 0 * K.random_normal(shape=(K.shape(x)[0], K.shape(x)[1], 4)), lambda a: a),
    "zeros": (lambda x: x + K.zeros(K.shape(x)), lambda a: a),
    "reshape": (lambda x: K.reshape(x, (-1, K.shape(x)[1] * 4)), lambda a: a.reshape(len(a), -1)),
    "slice": (lambda x: x[:, : K.shape(x)[1] // 2], lambda a: a[:, : a.shape[1] // 2]),
    "arange": (lambda x: x[..., 0] + K.cast(K.arange(0, K.shape(x)[1]), "float32"), lambda a: a[..., 0] + np.arange(6)),
    "switch": (lambda x: K.switch(K.sum(x) > 1e9, lambda: x, lambda: x * 2), lambda a: a * 2),
    "map_fn": (lambda x: K.map_fn(lambda t: t + K.max(x), x), lambda a: a + a.max()),
    "foldl": (lambda x: K.foldl(lambda a, b: a + b, K.permute_dimensions(x, (1, 0, 2))), lambda a: a.sum(1)),
    "rnn": (lambda x: K.rnn(lambda t, s: (t + s[0], [t + s[0]]), x, [K.zeros_like(x[:, 0])])[0], lambda a: a.sum(1)),
}


@pytest.mark.parametrize("name", IN_GRAPHS)
def test_sizes_and_functions_in_a_graph(name: str, backend: str) -> None:
    """Of symbolic tensors whose sizes are not known yet, and functions that name other ones."""
    fn, wanted = IN_GRAPHS[name]
    x = layers.Input((None, 4))
    data = _a(3, 6, 4)
    found = nyala.Model(x, fn(x))(data)
    np.testing.assert_allclose(ops.convert_to_numpy(found), wanted(data), rtol=1e-5, atol=1e-5)


def test_print_tensor(backend: str, capfd: Any) -> None:
    x = layers.Input((2,))
    model = nyala.Model(x, K.print_tensor(x * 2.5, "seen:"))
    model.predict(np.ones((1, 2)), verbose=0)
    out = capfd.readouterr().out
    assert "seen:" in out and "2.5" in out


def test_settings_and_what_is_gone() -> None:
    assert K.backend() == nyala.config.backend() and K.epsilon() == 1e-7
    K.set_image_dim_ordering("th")
    assert K.image_data_format() == "channels_first" and K.image_dim_ordering() == "th"
    K.set_image_data_format("channels_last")
    assert (K.is_int_dtype("uint8"), K.is_int_dtype("bool"), K.is_float_dtype("bfloat16")) == (True, False, True)
    with pytest.raises(AttributeError, match=r"a model has its own"):
        K.get_graph()
    with pytest.raises(AttributeError, match=r"no attribute 'foo'"):
        K.foo


def test_clear_session_begins_anew() -> None:
    nyala.config.set_dtype_policy("mixed_bfloat16")
    K.clear_session()
    first = layers.Dense(1).name
    K.clear_session()
    assert layers.Dense(1).name == first == "dense" and nyala.config.dtype_policy().name == "float32"
