"""What programs for Keras 1 and 2 write: it works, and the modern spelling is told once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import backend as K
from nyala import backends, layers, losses, metrics, ops, optimizers
from nyala.base import old
from nyala.compat import initializations, recurrent

ROW: Any = lambda cls, args, kwargs, **today: (cls, args, kwargs, today)  # noqa: E731

LAYERS = [
    ROW("Dense", (), dict(output_dim=3, init="uniform", bias=False, W_regularizer="l2"), units=3, kernel_initializer="uniform", use_bias=False, kernel_regularizer="l2"),
    ROW("Dense", (3,), dict(b_regularizer="l1", W_constraint="nonneg", b_constraint="nonneg"), units=3, bias_regularizer="l1", kernel_constraint="nonneg", bias_constraint="nonneg"),
    ROW("Conv2D", (), dict(nb_filter=4, nb_row=3, nb_col=5, border_mode="same", subsample=(2, 1)), filters=4, kernel_size=(3, 5), padding="same", strides=(2, 1)),
    ROW("Convolution2D", (4, 3, 5), dict(border_mode="same", dim_ordering="tf"), filters=4, kernel_size=(3, 5), padding="same", data_format="channels_last"),
    ROW("Convolution2D", (4, 3, 3), dict(dim_ordering="th", init="normal"), filters=4, kernel_size=(3, 3), data_format="channels_first", kernel_initializer="normal"),
    ROW("Convolution2D", (4, 1, 3, 5), dict(border_mode="full"), filters=4, kernel_size=(3, 5), padding="full"),
    ROW("Dense", (784, 3), dict(init="zero"), units=3, kernel_initializer="zero"),
    ROW("MaxPooling2D", (), dict(poolsize=(3, 3), ignore_border=True), pool_size=(3, 3)),
    ROW("Conv2D", (4, 3, 2), {}, filters=4, kernel_size=3, strides=2),
    ROW("Conv2D", (4, (3, 3)), dict(atrous_rate=2), filters=4, kernel_size=(3, 3), dilation_rate=2),
    ROW("Conv1D", (), dict(nb_filter=2, filter_length=3, subsample_length=2), filters=2, kernel_size=3, strides=2),
    ROW("Conv3D", (), dict(nb_filter=2, kernel_dim1=1, kernel_dim2=2, kernel_dim3=3), filters=2, kernel_size=(1, 2, 3)),
    ROW("MaxPooling2D", ((2, 2),), dict(border_mode="same", dim_ordering="default"), pool_size=(2, 2), padding="same"),
    ROW("MaxPooling1D", (), dict(pool_length=3, stride=2), pool_size=3, strides=2),
    ROW("UpSampling1D", (), dict(length=3), size=3),
    ROW("Dropout", (), dict(p=0.25), rate=0.25),
    ROW("GaussianNoise", (), dict(sigma=0.25), stddev=0.25),
    ROW("Embedding", (7, 3), dict(init="normal", W_regularizer="l2"), input_dim=7, output_dim=3, embeddings_initializer="normal", embeddings_regularizer="l2"),
    ROW("TextVectorization", (), dict(output_mode="tf-idf"), output_mode="tf_idf"),
    ROW("CategoryEncoding", (3,), dict(output_mode="binary"), num_tokens=3, output_mode="multi_hot"),
    ROW("BatchNormalization", (), dict(mode=0, beta_init="one", fused=True), beta_initializer="one"),
    ROW("LeakyReLU", (), dict(alpha=0.25), negative_slope=0.25),
    ROW("LSTM", (), dict(output_dim=3, inner_activation="sigmoid", inner_init="zeros", forget_bias_init="one", dropout_W=0.25, dropout_U=0.5, U_regularizer="l2", consume_less="gpu"), units=3, recurrent_activation="sigmoid", recurrent_initializer="zeros", unit_forget_bias=True, dropout=0.25, recurrent_dropout=0.5, recurrent_regularizer="l2"),
]  # fmt: skip


OTHERS = [
    ("constraints.MaxNorm", dict(m=3, axis=1), dict(max_value=3, axis=1)),
    ("regularizers.L1", dict(l=0.25), dict(l1=0.25)),
    ("regularizers.L2", dict(l=0.25), dict(l2=0.25)),
    ("callbacks.ModelCheckpoint", dict(filepath="m.keras", options=None), dict(filepath="m.keras")),
    ("callbacks.TensorBoard", dict(log_dir="x", batch_size=2, write_grads=False), dict(log_dir="x")),
    ("preprocessing.image.ImageDataGenerator", dict(dim_ordering="th"), dict(data_format="channels_first")),
]


@pytest.fixture(autouse=True)
def told_again() -> Iterator[None]:
    old.forget()
    yield
    old.forget()


def _told(caught: Any) -> list[str]:
    return [str(w.message) for w in caught if w.category is old.OldSpelling]


@pytest.mark.parametrize(("name", "older", "today"), OTHERS, ids=lambda x: x if isinstance(x, str) else "")
def test_old_arguments_of_others(name: str, older: dict[str, Any], today: dict[str, Any]) -> None:
    cls: Any = nyala
    for part in name.split("."):
        cls = getattr(cls, part)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made, plain = cls(**older), cls(**today)
    assert len(_told(caught)) == len(older.keys() - today.keys())
    known = (str, int, float, bool)
    assert {n: v for n, v in vars(made).items() if isinstance(v, known)} == {
        n: v for n, v in vars(plain).items() if isinstance(v, known)
    }


def test_initializers_as_functions_of_older_keras(backend: str) -> None:
    seen: list[Any] = []
    of_shape = lambda shape: seen.append(shape) or np.ones(shape)  # noqa: E731
    of_name = lambda shape, name: seen.append(name) or initializations.uniform(shape, scale=0.25, name=name)  # noqa: E731
    layer = layers.Dense(3, kernel_initializer=of_shape, bias_initializer=of_name)
    layer.build((None, 2))
    assert seen == [(2, 3), "bias"] and 0 < np.abs(layer.b.numpy()).max() <= 0.25
    np.testing.assert_array_equal(layer.W.numpy(), np.ones((2, 3)))
    made = initializations.get("one")((2, 2), name="W")
    assert made.name == "W" and (made.numpy() == 1).all()
    with pytest.raises(AttributeError, match="'U'"):
        layer.U


def test_attributes_that_users_choose(backend: str) -> None:
    """Names that no version of Keras has are free for a user's layer and model."""
    names = ("_backend", "_collect", "_convert", "_own", "_test", "_train", "_trained", "_training", "backend", "nodes")

    class Mine(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            for name in (*names, "input_shape", "output_shape"):
                setattr(self, name, "theirs")
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    class Whole(nyala.Model):
        def __init__(self) -> None:
            super().__init__()
            for name in names:
                setattr(self, name, "theirs")
            self.inner = Mine()

        def call(self, x: Any) -> Any:
            return self.inner(x)

    model, x, y = Whole(), np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, validation_data=(x, y))
    assert model.predict(x, verbose=0).shape == (4, 1) and model.backend == model.inner.nodes == "theirs"
    assert Mine()(layers.Input((2,))).shape == (None, 1)


def test_add_metric(backend: str) -> None:
    class Level(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_metric(ops.mean(x), name="level", aggregation="mean")
            return x

    model = nyala.Sequential([layers.Input((2,)), Level(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.arange(8, dtype="float32").reshape(4, 2), np.ones((4, 1))
    found = model.fit(x, y, batch_size=2, validation_data=(2 * x, y), verbose=0).history
    assert found["level"] == [3.5] and found["val_level"] == [7.0]
    with pytest.raises(NotImplementedError, match="symbolic"):
        model.add_metric(model.output, name="out")


class Hits(metrics.Metric):
    """As Keras 2.4 had it: targets come as a column."""

    def __init__(self, name: str = "hits", **kwargs: Any):
        super().__init__(name=name, **kwargs)
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
        self.count.assign_add(ops.sum(ops.cast(ops.equal(ops.cast(y_true, "int32"), found), "float32")))

    def result(self) -> Any:
        return self.count

    def reset_states(self) -> None:
        self.count.assign(0.0)


def test_targets_are_columns_for_a_metric_of_keras_2(backend: str) -> None:
    model = nyala.Sequential([layers.Input((2,)), layers.Activation("linear")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=[Hits()])
    x, y = np.array([[1, 0], [0, 1], [1, 0]], "float32"), np.array([0, 1, 1])
    assert model.evaluate(x, y, verbose=0)[1] == 2


def test_relu_with_alpha() -> None:
    found = nyala.activations.relu(ops.convert_to_tensor([-2.0, 1.0]), alpha=0.5)
    np.testing.assert_array_equal(ops.convert_to_numpy(found), [-1.0, 1.0])


def test_show_accuracy() -> None:
    model = nyala.Sequential([layers.Input((2,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    x, y = np.ones((4, 2)), np.eye(2)[[0, 1, 0, 1]]
    history = model.fit(x, y, nb_epoch=1, show_accuracy=True, verbose=0).history
    assert set(history) == {"loss", "accuracy"} and len(model.evaluate(x, y, show_accuracy=True, verbose=0)) == 2


def test_own_compute_output_shape_and_compute_mask(backend: str) -> None:
    """What a call needs of sizes that are not known yet its own ``compute_output_shape`` says; masks come as a list."""
    seen: list[Any] = []

    class Tail(layers.Layer):
        def call(self, inputs: Any) -> Any:
            x, y = inputs
            return x[:, -y.shape[1] :] + y

        def compute_output_shape(self, shapes: Any) -> Any:
            return shapes[1]

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            seen.append(mask)
            return mask[1]

    x, y = layers.Input((3, 2)), layers.Input((None, 2))
    out = Tail()([x, y])
    model = nyala.Model([x, y], out)
    assert out.shape == (None, None, 2) and seen[0] == [None, None]
    found = model.predict([np.ones((2, 3, 2)), np.ones((2, 2, 2))], verbose=0)
    np.testing.assert_array_equal(found, np.full((2, 2, 2), 2.0))
    stack = nyala.Sequential([layers.Embedding(5, 3), layers.LSTM(2)])
    stack.build()
    assert stack.input_shape == (None, None) and stack.output_shape == (None, 2)


@pytest.mark.parametrize("row", LAYERS, ids=lambda row: f"{row[0]}-{'-'.join(row[2])}")
def test_old_arguments_of_layers(row: Any) -> None:
    name, args, kwargs, today = row
    cls = getattr(layers, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = cls(*args, **kwargs, name="x").get_config()
        again = cls(*args, **kwargs, name="x").get_config()
    assert found == again
    assert found == cls(**today, name="x").get_config()
    # Once a spelling; what asked for nothing is not spoken of.
    words = set(kwargs) - {"mode", "fused", "consume_less"}
    assert len(_told(caught)) == len(set(_told(caught))) and bool(_told(caught)) == bool(words)
    assert all(w.filename == __file__ for w in caught if w.category is old.OldSpelling)


def test_what_has_no_successor_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"mode=1 of older Keras .* LayerNormalization"):
        layers.BatchNormalization(mode=1)
    with pytest.raises(TypeError, match=r"unknown argument 'foo'"):
        layers.Dense(1, foo=2)


SHAPES = [
    (dict(input_shape=(4,)), (None, 4)), (dict(input_dim=4), (None, 4)), (dict(batch_input_shape=(2, 4)), (2, 4)),
    (dict(input_shape=(4,), batch_size=2), (2, 4)), (dict(input_dim=4, input_length=3), (None, 3, 4)),
    (dict(input_dim=4, input_length=None), (None, None, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("given", "shape"), SHAPES, ids=str)
def test_the_input_shape_of_a_first_layer(given: dict[str, Any], shape: Any) -> None:
    weights = [np.full((4, 2), 0.5, "float32"), np.ones(2, "float32")]
    with pytest.warns(old.OldSpelling, match=r"Input\(shape"):
        model = nyala.Sequential([layers.Dense(2, weights=weights, **given)])
    assert model.input_shape == shape and model.layers[0].output_shape == (*shape[:-1], 2)
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])


def test_a_layer_as_keras_1_and_2_wrote_it(backend: str) -> None:
    class Scale(layers.Layer):
        def __init__(self, output_dim: int, **kwargs: Any):
            self.output_dim = output_dim
            super().__init__(**kwargs)

        def build(self, input_shape: Any) -> None:
            self.k = self.add_weight("k", (input_shape[1], self.output_dim), initializer="one", trainable=True)
            self.b = self.add_weight((self.output_dim,), "zero", "b")
            self.n = self.add_variable(name="n", shape=(), initializer="zeros", trainable=False, use_resource=True)
            super().build(input_shape)

        def call(self, x: Any, mask: Any = None) -> Any:
            self.add_update([(self.n, self.n + 1)], x)
            return nyala.backend.dot(x, self.k) + self.b

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (input_shape[0], self.output_dim)

    with pytest.warns(old.OldSpelling):
        layer = Scale(3, input_shape=(4,))
        model = nyala.Sequential([layer])
        x = np.ones((2, 4), "float32")
        np.testing.assert_array_equal(ops.convert_to_numpy(layer(x)), np.full((2, 3), 4.0))
        layer(x, training=True)
    assert [w.name for w in layer.weights] == ["k", "b", "n"] and len(layer.trainable_weights) == 2
    assert layer.n.numpy() == 1
    assert model.layers[0].get_output_at(0).shape == (None, 3) and layer.updates == []
    assert model.model is model and model.uses_learning_phase is False


def test_merge_and_what_keras_1_alone_had() -> None:
    from nyala.compat import old as keras1

    left = nyala.Sequential([layers.Dense(2, input_shape=(3,))])
    right = nyala.Sequential([layers.Dense(2, input_shape=(4,))])
    model = nyala.Sequential()
    model.add(keras1.Merge([left, right], mode="concat"))
    model.add(layers.Dense(1))
    model.compile("sgd", "mse", ["mae"])  # the third argument was metrics
    logs = model.evaluate([np.ones((4, 3)), np.ones((4, 4))], np.ones((4, 1)), verbose=0, return_dict=True)
    assert model.layers[1].kernel.shape == (4, 1) and set(logs) == {"loss", "mae"}
    again = nyala.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert set(again.predict([np.ones((4, 3)), np.ones((4, 4))], verbose=0).shape) == {4, 1}

    class Between(keras1.MergeLayer):
        def _merge_function(self, inputs: Any) -> Any:
            return K.random_uniform((8, 1)) * inputs[0] + inputs[1]  # for batches of 8 only

    assert Between()([nyala.Input((3,)), nyala.Input((3,))]).shape == (8, 3)
    assert keras1.Merge(mode="mul")([nyala.Input((3,)), nyala.Input((3,))]).shape == (None, 3)


def test_lambda_takes_the_real_shape(backend: str) -> None:
    layer = layers.Lambda(lambda x: x[:, :2], output_shape=(5,))
    with pytest.warns(UserWarning, match="output_shape says"):
        assert layer(nyala.Input((4,))).shape == (None, 2)


def _turned(x: Any) -> Any:
    return x[:, ::-1]


def test_lambda_of_sizes_that_meet_later(backend: str) -> None:
    """What a function needs of unknown sizes its ``output_shape`` says; helpers may take steps backwards."""

    def function(args: Any) -> Any:
        x, y = args
        y = y * 1.0
        y += _turned(x)
        return y

    x, y = layers.Input((None, 2)), layers.Input((3, 2))
    out = layers.Lambda(function, output_shape=(3, 2))([x, y])
    data = np.arange(12, dtype="float32").reshape(2, 3, 2)
    assert out.shape == (None, 3, 2)
    np.testing.assert_array_equal(nyala.Model([x, y], out).predict([data, data], verbose=0), data + data[:, ::-1])
    with pytest.raises(Exception, match=r"lambda"):
        layers.Lambda(lambda t: t[0] + t[1], output_shape=(3, 2))([layers.Input((4, 2)), y])


def test_nodes() -> None:
    x = layers.Input((3,))
    first, second = layers.Dense(2), layers.Dense(1)
    second(first(x))
    assert second.inbound_nodes[0].inbound_layers is first
    assert [n.outbound_layer for n in first.outbound_nodes] == [second]
    assert first._outbound_nodes[0].input_tensors[0] is first.output
    assert first.get_output_shape_at(0) == (None, 2)


def _data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).random((64, 4), dtype="float32")
    return x, (x.sum(1) > 2).astype("float32")


def _model(outputs: int = 1, **compile: Any) -> Any:
    x = layers.Input((4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nyala.Model(
            input=x, output=layers.Dense(outputs, activation="sigmoid" if outputs == 1 else "softmax")(x)
        )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile})
    return model


def test_training_as_older_keras_wrote_it(backend: str) -> None:
    x, y = _data()

    def batches() -> Any:
        while True:
            yield x[:16], y[:16]

    model = _model(metrics=["acc"], sample_weight_mode=None)
    with pytest.warns(old.OldSpelling):
        history = model.fit(x, y, nb_epoch=2, batch_size=32, verbose=0).history
        assert len(history["acc"]) == 2 and model.metrics_names == ["loss", "acc"]
        steps = int(model.optimizer.iterations.numpy())
        more = model.fit_generator(
            batches(), samples_per_epoch=40, nb_epoch=2, verbose=0, validation_data=batches(), nb_val_samples=32
        )
        assert int(model.optimizer.iterations.numpy()) - steps == 2 * 3 and "val_acc" in more.history
        model.fit_generator(batches(), steps_per_epoch=2, epochs=1, verbose=0, workers=1, max_queue_size=5)
        assert int(model.optimizer.iterations.numpy()) - steps == 8
        np.testing.assert_allclose(
            model.evaluate_generator(batches(), steps=1), model.evaluate(x[:16], y[:16], verbose=0), rtol=1e-5
        )
        assert model.predict_generator(batches(), 2).shape == (32, 1)
        model.reset_metrics()


def test_predict_classes_and_proba(backend: str) -> None:
    x, _ = _data()
    for outputs in (1, 3):
        model = _model(outputs)
        values = model.predict(x, verbose=0)
        np.testing.assert_allclose(model.predict_proba(x), values, rtol=1e-6)
        expected = values.argmax(-1) if outputs > 1 else (values > 0.5).astype("int32")
        np.testing.assert_array_equal(model.predict_classes(x), expected)
    linear = nyala.Sequential([layers.Dense(1, kernel_initializer=nyala.initializers.Constant(9.0))])
    with pytest.raises(ValueError, match=r"no probabilities; end the model with"):
        linear.predict_proba(x)
    for name in ("total_loss", "targets"):
        with pytest.raises(AttributeError, match="compute_loss"):
            getattr(linear, name)
    linear.targets = [1]  # a program's own attribute
    assert linear.targets == [1]


def test_workers_are_those_of_the_data_set() -> None:
    class Batches(nyala.utils.Sequence):
        def __getitem__(self, index: int) -> Any:
            return _data()

        def __len__(self) -> int:
            return 2

    data = Batches()
    model = _model()
    with pytest.warns(old.OldSpelling, match="PyDataset"):
        model.fit(data, workers=2, max_queue_size=3, use_multiprocessing=False, verbose=0)
    assert (data.workers, data.max_queue_size) == (2, 3)
    with pytest.raises(TypeError, match=r"target_tensors"):
        _model(target_tensors=[1])


def test_lr_and_decay(backend: str) -> None:
    """decay is lr / (1 + decay * updates), as InverseTimeDecay over one step says; the rate itself can be set."""
    with pytest.warns(old.OldSpelling, match=r"learning_rate="):
        found = optimizers.SGD(lr=0.5, decay=0.25, momentum=0.5)
    wanted = optimizers.SGD(optimizers.schedules.InverseTimeDecay(0.5, 1, 0.25), momentum=0.5)
    start = np.ones(3, "float32")
    v, w = nyala.Variable(start), nyala.Variable(start)
    for _ in range(4):
        found.apply([start], [v])
        wanted.apply([start], [w])
    np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-6)
    assert found.get_config()["decay"] == 0.25 and "decay" not in wanted.get_config()
    assert optimizers.SGD.from_config(found.get_config()).decay == 0.25
    found.lr = 0.125
    nyala.backend.set_value(found.lr, nyala.backend.get_value(found.lr) * 2)
    assert float(found.learning_rate) == 0.25
    with pytest.raises(ValueError, match=r"decay must be"):
        optimizers.SGD(lr=0.1, decay=-1.0)
    assert optimizers.Adam(epsilon=None).epsilon == 1e-7


def test_minimize(backend: str) -> None:
    v = nyala.Variable(np.float32(3.0))
    optimizers.SGD(0.25).minimize(lambda: v * v, [v])
    assert float(v) == 1.5
    with pytest.raises(ValueError, match=r"loss function without arguments"):
        optimizers.SGD(0.25).minimize(ops.ones(()), [v])


FUNCTIONS = {
    "mean_squared_error": ("mse", "MSE"),
    "mean_absolute_error": ("mae", "MAE"),
    "mean_absolute_percentage_error": ("mape", "MAPE"),
    "mean_squared_logarithmic_error": ("msle", "MSLE"),
    "kl_divergence": ("kld", "KLD", "kullback_leibler_divergence"),
    "binary_crossentropy": ("bce", "BCE"),
    "log_cosh": ("logcosh",),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loss_and_metric_functions_under_all_their_names(name: str) -> None:
    for module in (losses, metrics):
        own = getattr(module, name)
        for other in FUNCTIONS[name]:
            assert getattr(module, other) is own
            assert module.get(other) is not None
    for other in (*FUNCTIONS[name], name):
        _model(loss=other, metrics=[other])


def test_limits_and_logging(capsys: Any, caplog: Any) -> None:
    x, y = _data()
    model = _model()
    config = nyala.config
    try:
        config.set_max_epochs(1)
        config.set_max_steps_per_epoch(3)
        with pytest.warns(UserWarning, match=r"5 epochs were asked for"):
            assert model.fit(x, y, epochs=5, batch_size=8, verbose=0).epoch == [0]
        assert int(model.optimizer.iterations.numpy()) == 3
        assert model.predict(x, batch_size=8, verbose=0).shape == (24, 1)
        config.disable_interactive_logging()
        with caplog.at_level("INFO", "nyala"):
            model.evaluate(x, y)
        assert "loss" in caplog.text and capsys.readouterr().out == ""
    finally:
        config.set_max_epochs(None)
        config.set_max_steps_per_epoch(None)
        config.enable_interactive_logging()
    with pytest.raises(RuntimeError, match=r"custom_objects"):
        config.enable_unsafe_deserialization()


@pytest.mark.parametrize("filtering", [True, False])
def test_tracebacks(filtering: bool) -> None:
    class Broken(layers.Layer):
        def call(self, x: Any) -> Any:
            raise ValueError("mine")

    if not filtering:
        nyala.config.disable_traceback_filtering()
    try:
        with pytest.raises(ValueError, match="mine") as caught:
            nyala.Sequential([Broken()]).predict(np.ones((2, 2)), verbose=0)
    finally:
        nyala.config.enable_traceback_filtering()
    inner = [e for e in caught.traceback if e.frame.f_globals.get("__name__", "").startswith("nyala.")]
    assert bool(inner) is not filtering


@pytest.mark.parametrize("mode", ["full", "larger_than", "list_of_layers"])
def test_rematerialised_layers_train_alike(backend: str, mode: str) -> None:
    """With dropout and batch normalization inside: the second run draws the same numbers and writes nothing."""

    class Block(layers.Layer):
        def __init__(self, **kwargs: Any):
            super().__init__(**kwargs)
            self.inner = [layers.Dense(3), layers.BatchNormalization(), layers.Dropout(0.5, seed=3)]

        def call(self, x: Any, training: bool | None = None) -> Any:
            for layer in self.inner:
                x = layer(x, training=training)
            return x

    def weights(scope: Any) -> list[np.ndarray]:
        nyala.utils.set_random_seed(1)
        with scope:
            block = Block(name="block")
        model = nyala.Sequential([layers.Input((4,)), block, layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(*_data(), epochs=2, shuffle=False, verbose=0)
        return model.get_weights()

    scope = nyala.RematScope(mode, output_size_threshold=8, layer_names=["block"])
    for a, b in zip(weights(scope), weights(nyala.RematScope(None))):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_operation_function_and_scopes(backend: str) -> None:
    class Twice(nyala.Operation):
        def call(self, x: Any) -> Any:
            return ops.multiply(x, 2.0)

    x = layers.Input((3,))
    y = layers.Dense(2)(Twice()(x))
    model = nyala.Model(x, y)
    data = np.ones((4, 3), "float32")
    fn = nyala.Function(x, y)
    np.testing.assert_allclose(ops.convert_to_numpy(fn(data)), model.predict(data, verbose=0), rtol=1e-5)
    assert [type(op).__name__ for op in fn.operations] == ["InputLayer", "Twice", "Dense"]
    v = nyala.Variable(np.float32(1.0))
    with nyala.StatelessScope([(v, 5.0)], collect_losses=True) as scope:
        assert float(ops.convert_to_numpy(v.value)) == 5.0
        v.assign(7.0)
        layers.ActivityRegularization(l2=1.0)(data)
    assert float(ops.convert_to_numpy(scope.get_current_value(v))) == 7.0 and float(v) == 1.0
    assert len(scope.losses) == 1
    with nyala.device("cpu:0"), nyala.name_scope("outer"):
        assert nyala.Variable(np.ones(2), name="w").path == "outer/w"


def test_tree_and_policies() -> None:
    import keras

    nest = {"b": 1, "a": [2, (3, None)]}
    shapes = {"a": (1, None), "b": [(2, 3), [4, 5]]}
    for name, args in {
        "flatten": (nest,), "flatten_with_path": (nest,), "lists_to_tuples": ({"a": [1, [2]]},), "is_nested": (nest,),
        "map_structure": (lambda a, b: (a, b), [1, None], [2, 3]), "map_shape_structure": (lambda s: ("s", s), shapes),
        "map_structure_up_to": ([1, 1], lambda x: x, [[1, 2], [3]]), "pack_sequence_as": ([1, [2, 3]], [4, 5, 6]),
    }.items():  # fmt: skip
        assert getattr(nyala.tree, name)(*args) == getattr(keras.tree, name)(*args), name
    tree = nyala.tree
    assert tree.traverse(lambda x: tree.MAP_TO_NONE if x == 2 else None, [1, [2, 3]]) == [1, [None, 3]]
    for check in (tree.assert_same_structure, tree.assert_same_paths):
        with pytest.raises(ValueError):
            check([1, 2], [1])
    for name in (
        "int8_from_float32",
        "float8_from_mixed_float16",
        "int4/128_from_float32",
        "int4_from_float32",
        "gptq/4/-1_from_mixed_bfloat16",
        "awq/4/128_from_float32",
    ):
        ours, theirs = nyala.dtype_policies.get(name), keras.dtype_policies.get(name)
        assert nyala.dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
        assert (ours.compute_dtype, ours.quantization_mode, repr(ours)) == (
            theirs.compute_dtype,
            theirs.quantization_mode,
            repr(theirs),
        )
        assert nyala.dtype_policies.deserialize(nyala.dtype_policies.serialize(ours)) == ours
    with pytest.raises(NotImplementedError, match=r"Conv1D: has no int8 form; layers that have: Dense"):
        layers.Conv1D(1, 1, dtype="int8_from_float32")
    with pytest.raises(ValueError, match=r"written 'gptq/"):
        nyala.dtype_policies.get("gptq_from_float32")


def test_config_and_legacy() -> None:
    settings = nyala.utils.Config(rate=1)
    settings.size = 2
    settings.freeze()
    assert settings.as_dict() == {"rate": 1, "size": 2} and settings["rate"] == settings.rate == 1
    with pytest.raises(ValueError, match="frozen"):
        settings.rate = 3
    with pytest.raises(AttributeError, match=r"'rat'"):
        settings.rat
    saving = nyala.legacy.saving
    config = saving.serialize_keras_object(layers.Dense(2, name="d"))
    assert set(config) == {"class_name", "config"} and saving.deserialize_keras_object(config).name == "d"
    x = layers.Input((2,))
    assert nyala.utils.get_source_inputs(layers.Dense(1)(x) + layers.Dense(1)(x)) == [x]


def test_a_symbolic_loss(backend: str) -> None:
    """model.add_loss(tensor of the graph), as variational autoencoders for Keras 2 have it."""
    x, _ = _data()
    inputs = layers.Input((4,))
    hidden = layers.Dense(2)(inputs)
    model = nyala.Model(inputs, layers.Dense(4)(hidden))
    with pytest.warns(old.OldSpelling, match="add_loss"):
        model.add_loss(K.sum(K.square(hidden), axis=-1))
    model.compile("sgd", "mse")
    encoder = nyala.Model(inputs, hidden)
    penalty = (encoder.predict(x, verbose=0) ** 2).sum(-1).mean()
    error = ((model.predict(x, verbose=0) - x) ** 2).mean()
    model.add_metric(K.max(hidden), name="top", aggregation="mean")
    found = model.evaluate(x, x, batch_size=64, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], penalty + error, rtol=1e-4)
    np.testing.assert_allclose(found["top"], encoder.predict(x, verbose=0).max(), rtol=1e-5)
    model.metrics_names.append("low")
    model.metrics_tensors.append(K.min(hidden, axis=-1))
    low = model.evaluate(x, x, verbose=0, return_dict=True)["low"]
    np.testing.assert_allclose(low, encoder.predict(x, verbose=0).min(-1).mean(), rtol=1e-5)
    model.compile("sgd")
    assert model.fit(x, epochs=3, verbose=0).history["loss"][-1] < penalty


def _auto_encoder() -> Any:
    inputs = layers.Input((4,))
    code, gate = layers.Dense(2)(inputs), layers.Dense(2, activation="softmax")(inputs)
    return inputs, code, gate


def test_a_loss_that_names_tensors_of_the_model(backend: str) -> None:
    """As the variational autoencoders of 2016 to 2018 wrote it; metrics and methods, too."""
    x, _ = _data()
    inputs, code, gate = _auto_encoder()

    class Program:
        def __init__(self) -> None:
            self.code = code

        def size(self, y_true: Any, y_pred: Any) -> Any:
            return K.sum(K.square(self.code), axis=-1)

        def loss(self, y_true: Any, y_pred: Any) -> Any:
            return K.mean(K.square(y_true - y_pred), axis=-1) + self.size(y_true, y_pred) + K.sum(gate, axis=-1)

    program, model = Program(), nyala.Model(inputs, layers.Dense(4)(code))
    with pytest.warns(old.OldSpelling, match="names tensors"):
        model.compile("sgd", loss=program.loss, metrics=[program.size])
    penalty = (nyala.Model(inputs, code).predict(x, verbose=0) ** 2).sum(-1).mean()
    error = ((model.predict(x, verbose=0) - x) ** 2).mean()
    found = model.evaluate(x, x, batch_size=64, verbose=0)
    np.testing.assert_allclose(found, [penalty + error + 1, penalty], rtol=1e-4)
    assert model.fit(x, x, epochs=3, verbose=0).history["size"][-1] < penalty

    stack = nyala.Sequential([layers.Input((4,)), layers.Dense(2), layers.Dense(4)])
    with pytest.raises(ValueError, match="not among the inputs") as caught:
        stack.compile("sgd", loss=program.loss)
    assert "`loss`, which names" in caught.value.__notes__[0]
    first = stack.layers[0].output
    stack.compile("sgd", loss=lambda t, p: K.sum(K.square(first), axis=-1))
    before = stack.evaluate(x, x, verbose=0)
    stack.fit(x, x, epochs=2, verbose=0)
    assert stack.evaluate(x, x, verbose=0) < before


def test_a_layer_that_names_tensors_of_the_graph(backend: str) -> None:
    x, _ = _data()
    inputs, code, gate = _auto_encoder()

    class Penalty(layers.Layer):
        def penalty(self, y: Any) -> Any:
            return K.mean(K.square(y)) + K.sum(gate, axis=-1)

        def call(self, inputs: Any) -> Any:
            self.add_loss(self.penalty(inputs[0]), inputs=inputs)
            return inputs[0]

    with pytest.warns(old.OldSpelling):
        product = layers.Lambda(lambda t: t * gate)(code)
        model = nyala.Model(inputs, Penalty()([product, code]))
    a, b = nyala.Model(inputs, [code, gate]).predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), a * b, rtol=1e-5)
    model.compile("sgd")
    np.testing.assert_allclose(model.evaluate(x, batch_size=64, verbose=0), ((a * b) ** 2).mean() + 1, rtol=1e-4)
    with pytest.raises(ValueError, match="works only in a model that has them"):
        model.layers[-1](x[:, :2])


def test_shapes_of_symbolic_tensors() -> None:
    x = layers.Input((4, None, 3))
    shape: Any = x.shape
    assert shape.as_list() == shape.dims == [None, 4, None, 3] and shape.ndims == shape.rank == 4
    with pytest.warns(old.OldSpelling, match="_keras_shape"):
        assert x._keras_shape == x.shape == x.get_shape()
    x.set_shape((None, 4, 5, None))
    assert x.shape == (None, 4, 5, 3)
    with pytest.raises(ValueError, match="contradicts its shape"):
        x.set_shape((None, 3, 5, 3))


class Running(recurrent.Recurrent):
    """As in Keras 1: weights from ``keras.initializations``, products before the loop, the rest in ``step``."""

    def __init__(self, output_dim: int, **kwargs: Any):
        self.output_dim = output_dim
        super().__init__(**kwargs)

    def build(self, input_shape: Any) -> None:
        self.states = [None]
        self.W = initializations.get("one")((input_shape[2], self.output_dim), name="W")
        self.b = K.zeros((self.output_dim,), name="b")
        self.trainable_weights = [self.W, self.b]

    def preprocess_input(self, x: Any) -> Any:
        return recurrent.time_distributed_dense(x, self.W, self.b)

    def get_constants(self, x: Any) -> Any:
        return [K.sum(x, axis=(1, 2))[:, None]]

    def step(self, x: Any, states: Any) -> Any:
        before, total = states
        h = 0.5 * before
        h += x + total  # a new tensor on every backend
        return h, [h]


class Gated(layers.LSTM):
    def step(self, x: Any, states: Any) -> Any:
        h, states = super().step(x, states)
        return h * 2.0, states


def test_recurrent_layers_of_steps(backend: str) -> None:
    x = np.random.default_rng(0).random((2, 4, 3), dtype="float32")
    h, wanted = 0, []
    for t in range(4):
        h = 0.5 * h + x[:, t].sum(1) + x.sum((1, 2))
        wanted.append(h)
    inputs = layers.Input((4, 3))
    model = nyala.Sequential([inputs, Running(2, return_sequences=True)])
    np.testing.assert_allclose(model.predict(x, verbose=0)[..., 1].T, wanted, rtol=1e-5)
    last = Running(2, return_state=True, go_backwards=True)(x)
    assert [tuple(y.shape) for y in last] == [(2, 2), (2, 2)]
    model.add(Gated(2))
    model.compile("sgd", "mse")
    assert len(model.trainable_weights) == 5
    before = model.get_weights()[0]
    model.fit(x, np.ones((2, 2)), verbose=0)
    assert not np.array_equal(before, model.get_weights()[0])
    plain, gated = layers.LSTM(2), Gated(2)
    gated.build(x.shape)
    plain.build(x.shape)
    plain.set_weights(gated.get_weights())
    np.testing.assert_allclose(*(ops.convert_to_numpy(y) for y in (gated(x), plain(x) * 2)), rtol=1e-5)
    assert gated.output_dim == 2 and gated.inner_init((2, 2), name="U").shape == (2, 2)


def test_graph_of_named_nodes() -> None:
    graph = recurrent.Graph()
    graph.add_input("a", input_shape=(3,))
    graph.add_input("b", input_shape=(3,))
    graph.add_node(layers.Dense(2), "hidden", inputs=["a", "b"], merge_mode="sum")
    graph.add_node(layers.Dense(1), "end", input="hidden", create_output=True)
    with pytest.raises(ValueError, match=r"no node \['x'\]"):
        graph.add_output("y", input="x")
    graph.add_output("wide", inputs=["hidden", "a"])
    graph.compile("sgd", {"end": "mse", "wide": "mae"})
    data = {"a": np.ones((4, 3)), "b": np.zeros((4, 3)), "end": np.ones((4, 1)), "wide": np.ones((4, 5))}
    assert graph.fit(data, nb_epoch=2, validation_data=data, verbose=0).history.keys() >= {"loss", "val_loss"}
    found = graph.predict(data, verbose=0)
    assert {n: y.shape for n, y in found.items()} == {"end": (4, 1), "wide": (4, 5)} and graph.count_params() == 11
    np.testing.assert_allclose(graph.evaluate(data, verbose=0), graph.test_on_batch(*graph._split(data)), rtol=1e-5)


def test_metrics_of_keras_1(backend: str) -> None:
    from nyala.metrics import older

    y = np.array([1, 1, 0, 0, 1, 0], "float32")
    p = np.array([0.9, 0.2, 0.8, 0.1, 0.7, 0.3], "float32")
    for name, wanted in {"precision": 2 / 3, "recall": 2 / 3, "fmeasure": 2 / 3, "matthews_correlation": 1 / 3}.items():
        found = getattr(older, name)(ops.convert_to_tensor(y), ops.convert_to_tensor(p))
        np.testing.assert_allclose(ops.convert_to_numpy(found), wanted, rtol=1e-5)
    assert metrics.get("fmeasure") is older.fmeasure and metrics.get("fbeta_score") is older.fbeta_score


TENSORFLOW_1 = [
    ("AdamOptimizer", (0.5, 0.8), optimizers.Adam(0.5, 0.8, epsilon=1e-8)),
    ("GradientDescentOptimizer", (0.5,), optimizers.SGD(0.5)),
    ("MomentumOptimizer", (0.5, 0.25), optimizers.SGD(0.5, 0.25)),
    ("RMSPropOptimizer", (0.5,), optimizers.RMSprop(0.5, epsilon=1e-10)),
]


@pytest.mark.parametrize(("name", "args", "wanted"), TENSORFLOW_1, ids=lambda x: x if isinstance(x, str) else "")
def test_optimizers_of_tensorflow_1(name: str, args: Any, wanted: Any) -> None:
    import tensorflow as tf

    from nyala.compat.old import TFOptimizer

    found = TFOptimizer(getattr(tf.compat.v1.train, name)(*args)).get_config()
    assert {**found, "name": ""} == {**wanted.get_config(), "name": ""}
    with pytest.raises(TypeError, match="expected a name"):
        optimizers.get(tf.compat.v1.train.ProximalGradientDescentOptimizer(0.1))


@pytest.mark.parametrize("recurrent", [False, True], ids=["layer", "cell"])
def test_what_build_computes_from_weights_follows_them(recurrent: bool, backend: str) -> None:
    """As the cells of Keras 1 and 2 were written, whose build ran in a graph."""

    class Now(layers.Layer):
        units = state_size = 2

        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 4), initializer="ones")
            self.scale = K.variable(np.full(2, 0.5))
            self.count = self.count + 1 if hasattr(self, "count") else 1

        def parts(self) -> Any:
            return self.kernel[:, :2], [K.softmax(self.kernel[:, 2:] * self.scale)]

        def call(self, x: Any, states: Any = None) -> Any:
            first, (second,) = self.parts()
            y = K.dot(x, first) + K.dot(x, second)
            return y if states is None else (y + states[0], [y + states[0]])

    class AtBuild(Now):
        def build(self, shape: Any) -> None:
            super().build(shape)
            self.first, self.rest = Now.parts(self)

        def parts(self) -> Any:
            return self.first, self.rest

    def weights(cls: Any) -> Any:
        layer: Any = cls()
        inputs = layers.Input((3, 5) if recurrent else (5,))
        model = nyala.Model(inputs, (layers.RNN(layer) if recurrent else layer)(inputs))
        model.compile(optimizers.SGD(0.25), "mse")
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(8, *inputs.shape[1:])), rng.normal(size=(8, 2))
        for _ in range(2):
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        assert layer.count == 1 and len(layer.weights) == 2
        assert isinstance(getattr(layer, "first", None), type(backends.current().convert(0.0))) == (cls is AtBuild)
        return [*model.get_weights(), model.predict(x, verbose=0)]

    for found, wanted in zip(weights(AtBuild), weights(Now)):
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
