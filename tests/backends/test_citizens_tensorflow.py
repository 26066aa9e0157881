"""Programs as users of TensorFlow write them, over our layers, optimizers, losses and metrics."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import nyala as keras
from nyala import backends, layers, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = RNG.integers(0, 3, size=(8,)).astype("int32")


@pytest.fixture(autouse=True)
def here(request):
    if "tensorflow" not in (request.config.getoption("--backend") or ["tensorflow"]):
        pytest.skip("another backend was asked for")
    with backends.backend_scope("tensorflow"):
        keras.utils.set_random_seed(0)
        yield


def dense(units=3, n=4):
    layer = layers.Dense(units)
    layer.build((None, n))
    return layer


def mlp(*more):
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), *more, layers.Dense(3)])


# -- tapes -------------------------------------------------------------------------------------------------------------


def test_tapes_persist_nest_and_give_jacobians():
    layer, x = dense(), tf.constant(X)
    with tf.GradientTape(persistent=True) as tape:
        y = layer(x)
        total, mean = tf.reduce_sum(y**2), tf.reduce_mean(y)
    for loss in (total, mean):
        assert all(g is not None for g in tape.gradient(loss, layer.trainable_weights))
    assert tape.jacobian(y, layer.kernel).shape == (8, 3, 4, 3)
    v = keras.Variable(np.array([1.0, 2.0], "float32"))
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            cube = tf.reduce_sum(v**3) * v[0]
        (gradient,) = inner.gradient(cube, [v])
    np.testing.assert_allclose(outer.jacobian(gradient, v), [[12.0, 12.0], [12.0, 12.0]])  # of x^4 + x y^3


def test_tensorflows_numpy():
    import tensorflow.experimental.numpy as tnp

    layer, x = dense(), tf.constant(X)
    with tf.GradientTape() as tape:
        y = tnp.maximum(tnp.matmul(x, layer.kernel) + layer.bias, 0.0)
    np.testing.assert_allclose(y, np.maximum(X @ layer.kernel.numpy(), 0), rtol=1e-5)
    assert all(g is not None for g in tape.gradient(y, layer.trainable_weights))


def test_gradient_penalty():
    critic, x = mlp(), tf.constant(X)
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(x)
            score = critic(x, training=True)
        slope = inner.gradient(score, [x])[0]
        loss = tf.reduce_mean((tf.norm(slope, axis=1) - 1.0) ** 2)
    gradients = tape.gradient(loss, critic.trainable_variables)
    assert gradients[0] is not None and np.isfinite(gradients[0]).all()


def test_gradients_are_clipped_and_applied():
    layer, unused = dense(), keras.Variable(np.ones(2, "float32"), name="unused")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(X))
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, layer.trainable_weights), 1.0)
    before = layer.get_weights()
    with pytest.warns(UserWarning, match="unused"):
        keras.optimizers.SGD(1.0).apply_gradients(zip([*gradients, None], [*layer.trainable_weights, unused]))
    for old, new, g in zip(before, layer.get_weights(), gradients):
        np.testing.assert_allclose(new, old - g, rtol=1e-5)
    tf.clip_by_global_norm(layer.trainable_variables, 1.0)
    assert float(tf.add_n([tf.nn.l2_loss(v) for v in layer.trainable_variables])) > 0


# -- functions ---------------------------------------------------------------------------------------------------------


class Block(keras.Model):
    """A subclassed model whose call branches on a value."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.drop = layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5)

    def call(self, x, training=False):
        x = self.norm(self.inner(x), training=training)
        if tf.reduce_sum(x) > 1e6:
            x = x * 0.0
        return self.drop(x, training=training)


def test_unbuilt_objects_in_the_first_trace_of_a_function():
    model, optimizer = Block(), keras.optimizers.Adam(1e-2)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        accuracy.update_state(y, model(x))
        return loss

    before = float(loss_fn(Y, model(X)))
    for _ in range(20):
        step(X, Y)
    step(X[:4], Y[:4])  # traces anew
    assert float(loss_fn(Y, model(X))) < before
    assert int(optimizer.iterations) == 21 and 0 < float(accuracy.result()) <= 1


@pytest.mark.parametrize("settings", [{}, {"autograph": False}, {"jit_compile": True}])
def test_functions_with_settings(settings):
    model = mlp(layers.BatchNormalization())
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([8, 4]), tf.TensorSpec([8, 3])], **settings)
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    first = float(step(X, X[:, :3]))
    assert [float(step(X, X[:, :3])) for _ in range(5)][-1] < first


def test_python_control_flow_over_tensors():
    count, layer = keras.Variable(np.zeros((), "float32")), dense()

    @tf.function
    def f(x, n):
        total = tf.constant(0.0)
        for _ in tf.range(n):
            if tf.reduce_sum(x) > 0:
                count.assign_add(1.0)
            else:
                count.assign_sub(1.0)
            total += tf.reduce_sum(layer(x))
        return total

    np.testing.assert_allclose(f(tf.constant(X), tf.constant(3)), 3 * np.sum(layer(X)), rtol=1e-5)
    assert abs(float(count)) == 3.0


def test_fit_traces_the_control_flow_of_a_users_code():
    def loss(y, p):
        error = tf.reduce_mean(tf.square(y - p))
        if error > 0:
            error = error * 2.0
        return error

    model = keras.Sequential([Block()])
    model.compile("sgd", loss, metrics=[loss])
    model.fit(X, X[:, :3], verbose=0)
    want = 2 * np.mean((model.predict(X, verbose=0) - X[:, :3]) ** 2)
    np.testing.assert_allclose(model.evaluate(X, X[:, :3], verbose=0), [want, want], rtol=1e-5)


# -- data --------------------------------------------------------------------------------------------------------------


def classifier():
    model = keras.Sequential([layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_layers_and_ops_in_map():
    scale, made, drop = layers.Rescaling(0.5), dense(), layers.Dropout(0.5)
    data = tf.data.Dataset.from_tensor_slices(X).batch(2).map(lambda x: ops.sum(drop(made(scale(x)), training=True), 1))
    assert [tuple(x.shape) for x in data] == [(2,)] * 4


def test_data_sets_of_every_form():
    data = tf.data.Dataset.from_tensor_slices((X, Y))
    history = classifier().fit(data.repeat().batch(3), epochs=2, steps_per_epoch=3, verbose=0).history
    assert len(history["loss"]) == 2
    model = classifier()
    model.fit(data.shuffle(8).batch(3).prefetch(1), validation_data=data.batch(4), verbose=0)
    assert model.predict(data.batch(3), verbose=0).shape == (8, 3)
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    two = keras.Model({"a": a, "b": b}, layers.Dense(1)(layers.concatenate([a, b])))
    two.compile("adam", "mse")
    two.fit(tf.data.Dataset.from_tensor_slices(({"a": X, "b": X}, X[:, :1], X[:, 0] ** 2)).batch(3), verbose=0)
    ragged = tf.data.Dataset.from_tensor_slices((tf.ragged.constant([[1.0, 2.0], [1.0]]), [0, 1])).batch(2)
    with pytest.raises((TypeError, ValueError), match="Ragged"):
        classifier().fit(ragged, verbose=0)


# -- TF's own objects --------------------------------------------------------------------------------------------------


def test_functions_of_tf_take_variables():
    v, x = keras.Variable(np.arange(6, dtype="float32").reshape(2, 3)), tf.ones((4, 2))
    for found in (tf.matmul(x, v), x @ v, tf.einsum("bi,ij->bj", x, v), tf.tensordot(x, v, 1)):
        np.testing.assert_allclose(found, np.ones((4, 2)) @ v.numpy())
    np.testing.assert_allclose(v + tf.ones((2, 3)), tf.ones((2, 3)) + v)
    assert tf.nn.embedding_lookup(v, [1, 0])[0, 0] == 3 and v[..., 1:].shape == (2, 2) and len(list(v)) == 2
    assert float(tf.reduce_sum(v)) == 15 and tf.concat([v, v], 0).shape == (4, 3)
    v.assign_add(tf.ones((2, 3)))
    assert float(tf.function(lambda: tf.reduce_sum(v * 1.0))()) == 21
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.nn.embedding_lookup(v, [1, 1]))
    gradient = tape.gradient(loss, v)
    assert isinstance(gradient, tf.IndexedSlices)
    keras.optimizers.Adam().apply_gradients([(gradient, v)])


class _Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones((4, 3)))

    def __call__(self, x):
        return x @ self.w


class _Holder(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner, self.scale = _Module(), tf.Variable(1.0, name="scale")
        self.fixed = tf.Variable(1.0, trainable=False)

    def call(self, x):
        return self.inner(x) * self.scale * self.fixed


def test_variables_and_modules_of_tf_are_weights_of_a_layer():
    layer = _Holder()
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((8, 3), "float32"), verbose=0)
    assert len(layer.trainable_weights) == 2 and len(layer.weights) == 3
    assert layer.non_trainable_weights == [layer.fixed]
    assert float(layer.scale) != 1.0 and float(layer.fixed) == 1.0
    with pytest.raises(TypeError, match="add_weight"):
        model.to_backend("jax")


def test_optimizers_take_variables_of_tf():
    image = tf.Variable([1.0, 2.0])
    keras.optimizers.SGD(0.1).apply_gradients([(tf.constant([1.0, 1.0]), image)])
    np.testing.assert_allclose(image, [0.9, 1.9])


def test_checkpoints_restore_built_and_unbuilt_models(tmp_path):
    model, optimizer = mlp(), keras.optimizers.Adam()
    model.compile(optimizer, "mse")
    model.fit(X, X[:, :3], verbose=0)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, optimizer=optimizer, step=tf.Variable(1)), str(tmp_path), max_to_keep=2
    )
    weights, path = model.get_weights(), manager.save()
    model.set_weights([w * 0 for w in weights])
    manager.checkpoint.restore(path).assert_consumed()
    for a, b in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(a, b)

    later = Block()
    later(X)
    saved = tf.train.Checkpoint(model=later).save(str(tmp_path / "block"))
    fresh = Block()
    tf.train.Checkpoint(model=fresh).restore(saved)
    fresh(X)  # its variables are made now
    for a, b in zip(fresh.get_weights(), later.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_saved_models_and_the_layer_that_runs_them(tmp_path):
    model = mlp()
    tf.saved_model.save(model, str(tmp_path))
    layer = layers.TFSMLayer(tmp_path, call_endpoint="serving_default")
    np.testing.assert_allclose(layer(X)["output_0"], model(X), rtol=1e-5)
    assert len(layer.weights) == 4
    with pytest.raises(ValueError, match="serving_default"):
        layers.TFSMLayer(tmp_path, call_endpoint="other")


# -- the guide's custom steps ------------------------------------------------------------------------------------------


class Custom(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class Older(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self.compiled_metrics.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


@pytest.mark.parametrize("cls", [Custom, Older, keras.Model])
def test_custom_steps_are_the_built_in_one(cls):
    inputs = keras.Input((4,))
    model = cls(inputs, layers.Dense(1, kernel_initializer="ones")(inputs))
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(X, X[:, :1], epochs=2, batch_size=8, shuffle=False, verbose=0).history
    w, b, seen = np.ones((4, 1), "float32"), 0.0, []
    for _ in range(2):
        error = X @ w + b - X[:, :1]
        seen.append((np.mean(error**2), np.mean(abs(error))))
        w, b = w - 0.1 * 2 * X.T @ error / 8, b - 0.1 * 2 * np.mean(error)
    np.testing.assert_allclose(list(zip(history["loss"], history["mae"])), seen, rtol=1e-5)


def test_metrics_are_called_and_defined_as_ever():
    mean = keras.metrics.Mean()
    assert float(mean(tf.constant([1.0, 3.0]))) == 2.0

    @tf.function
    def add(x):
        mean(x)
        return mean.result()

    assert float(add(tf.constant(5.0))) == 3.0

    class Count(keras.metrics.Metric):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.count = self.add_weight(name="count", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            if tf.reduce_sum(y_true) > 0:
                self.count.assign_add(tf.cast(tf.size(y_true), "float32"))

        def result(self):
            return self.count

    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Count(name="count")])
    assert model.fit(X, abs(X[:, :1]), batch_size=4, verbose=0).history["count"] == [8.0]


def test_variables_as_arguments_of_a_tf_function():
    """In a list, too: as programs move a target network's weights."""
    target, weights = keras.Variable(np.zeros(3, "float32")), keras.Variable(np.ones(3, "float32"))

    @tf.function
    def update(targets, sources, tau):
        for a, b in zip(targets, sources):
            a.assign(b * tau + a * (1 - tau))
        return targets[0] * 2.0

    for wanted in (0.5, 0.75):
        np.testing.assert_allclose(update([target], [weights], tf.constant(0.5)), 2 * wanted)
        np.testing.assert_allclose(target.numpy(), wanted)


# -- functions of TF on symbolic tensors -------------------------------------------------------------------------------

A, SEQ = RNG.normal(size=(5, 6)).astype("float32"), RNG.normal(size=(3, 4, 6)).astype("float32")
IMAGE, INTS = RNG.uniform(size=(2, 8, 8, 3)).astype("float32"), RNG.integers(0, 4, size=(5, 6)).astype("int32")
W = RNG.normal(size=(6, 4)).astype("float32")

SYMBOLIC = {
    "shape": (lambda x: tf.reshape(x, [tf.shape(x)[0], 2, 3]), A),
    "concat": (lambda x: tf.concat([x, tf.zeros_like(x)], axis=-1), A),
    "stack": (lambda x: tf.stack([x, x], axis=1), A),
    "operators": (lambda x: -(x + 1) * 2 - tf.constant(2.0) / (abs(x) + 1) ** 2, A),
    "constant @": (lambda x: x @ tf.constant(W), A),
    "slices": (lambda x: x[:, ::-1, tf.newaxis, 1:3], SEQ),
    "cast": (lambda x: tf.cast(x, tf.float32), INTS),
    "where": (lambda x: tf.where(tf.math.greater(x, 0.5), x, 0.0), A),
    "where >": (lambda x: tf.where(x > 0, x, tf.zeros_like(x)), A),
    "keywords": (lambda x: tf.reduce_sum(input_tensor=x, axis=-1, keepdims=True), A),
    "matmul": (lambda x: tf.matmul(x, x, transpose_b=True), SEQ),
    "einsum": (lambda x: tf.einsum("bti,ij->btj", x, W), SEQ),
    "split": (lambda x: tf.add_n(tf.split(x, num_or_size_splits=3, axis=1)), A),
    "unstack": (lambda x: tf.unstack(x, axis=1)[0], A),
    "top_k": (lambda x: tf.math.top_k(x, k=2).values, A),
    "moments": (lambda x: tf.nn.moments(x, axes=[1])[1], A),
    "image.resize": (lambda x: tf.image.resize(x, (4, 4)), IMAGE),
    "image.resize by shape": (lambda x: tf.image.resize(x, tf.shape(x)[1:3] * 2), IMAGE),
    "image.rgb_to_grayscale": (lambda x: tf.image.rgb_to_grayscale(x), IMAGE),
    "conv2d": (lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 3, 2)), strides=1, padding="SAME"), IMAGE),
    "space_to_depth": (lambda x: tf.nn.space_to_depth(x, 2), IMAGE),
    "linalg": (lambda x: tf.linalg.band_part(tf.linalg.norm(x, axis=-1, keepdims=True), -1, 0), SEQ),
    "name": (lambda x: tf.nn.softmax(x, name="probabilities"), A),
    "tile by shape": (lambda x: tf.tile(tf.zeros((1, 4)), [tf.shape(x)[0], 1]) + x[:, :4], A),
    "range": (lambda x: x + tf.range(start=0, limit=tf.shape(x)[-1], delta=1), INTS),
    "gather": (lambda x: tf.gather(W, x), INTS),
    "one_hot": (lambda x: tf.one_hot(x, depth=4, on_value=2.0), INTS),
    "pad": (lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), IMAGE),
    "scan": (lambda x: tf.scan(lambda a, b: a + b, x), A),
    "fill": (lambda x: tf.fill([tf.shape(x)[0], 2], 1.0), A),
    "random": (lambda x: x + 0.0 * tf.random.normal(shape=(tf.shape(x)[0], 6)), A),
    "crossentropy": (
        lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.zeros(tf.shape(x)[0], tf.int32), logits=x),
        A,
    ),
    "map_fn": (lambda x: tf.map_fn(lambda t: t * 2 + tf.reduce_sum(x), x), A),
    "vectorized_map": (lambda x: tf.vectorized_map(lambda t: tf.reduce_sum(t, 0), x), SEQ),
    "while_loop": (lambda x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + x), [0, x])[1], A),
    "cond": (lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: 2 * x), A),
    "switch_case": (lambda x: tf.switch_case(tf.cast(tf.reduce_sum(x), tf.int32), [lambda: x, lambda: -x]), A),
    "rfft": (lambda x: tf.abs(tf.signal.rfft(x)), A),
    "stft": (lambda x: tf.abs(tf.signal.stft(tf.reshape(x, (-1, 24)), 8, 4)), SEQ),
    "grayscale_to_rgb": (lambda x: tf.image.grayscale_to_rgb(x[..., :1]), IMAGE),
    "sobel": (lambda x: tf.image.sobel_edges(x), IMAGE),
    "slice by shape": (lambda x: x[:, : tf.shape(x)[1] // 2], SEQ),
    "mixed": (lambda x: ops.mean(layers.Dense(3, kernel_initializer="ones")(tf.nn.relu(x)), axis=-1), A),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_tf_functions_are_recorded(name):
    fn, value = SYMBOLIC[name]
    inputs = keras.Input(value.shape[1:], dtype=str(value.dtype))
    outputs = fn(inputs)
    want = fn(tf.constant(value))
    got = keras.Model(inputs, outputs)(tf.constant(value))
    assert outputs.shape == (None, *want.shape[1:]) and got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


# -- strategies --------------------------------------------------------------------------------------------------------


def test_strategies_in_a_process_of_two_devices():
    program = Path(__file__).with_name("strategies.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, cwd=program.parents[2])
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
