"""compile, fit, evaluate, predict: every kind of data and every argument, on every backend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import nyala as keras
from nyala import layers, ops
from nyala.training.data import PyDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype("float32")
C = (Y[:, 0] > 0).astype("int64")


def _model(**compile_args: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_args})
    return model


class Batches(PyDataset):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> Any:
        return X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8]


def _generator() -> Iterator[Any]:
    while True:
        for i in range(5):
            yield X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8]


def _tf_data() -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)


def _loader() -> Any:
    import torch

    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return torch.utils.data.DataLoader(data, batch_size=8)


_SOURCES = {
    "arrays": lambda: dict(x=X, y=Y, batch_size=8, shuffle=False),
    "lists": lambda: dict(x=X.tolist(), y=Y.tolist(), batch_size=8, shuffle=False),
    "float64": lambda: dict(x=X.astype("float64"), y=Y.astype("float64"), batch_size=8, shuffle=False),
    "generator": lambda: dict(x=_generator(), steps_per_epoch=5),
    "finite list of batches": lambda: dict(
        x=iter([next(g) for g in [_generator()] for _ in range(15)]), steps_per_epoch=5
    ),
    "PyDataset": lambda: dict(x=Batches(), shuffle=False),
    "PyDataset with threads": lambda: dict(x=Batches(workers=2), shuffle=False),
    "tf.data": lambda: dict(x=_tf_data()),
    "DataLoader": lambda: dict(x=_loader()),
}


@pytest.mark.parametrize("source", _SOURCES)
def test_every_source_of_data_gives_the_same_training(backend: str, source: str) -> None:
    model = _model()
    history = model.fit(**_SOURCES[source](), epochs=3, verbose=0).history
    # plain gradient descent by hand
    w, b, means = np.zeros((3, 1)), 0.0, []
    for _ in range(3):
        total = 0.0
        for i in range(5):
            x, y = X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8]
            e = x @ w + b - y
            total += float((e**2).mean())
            w, b = w - 0.01 * 2 * x.T @ e / 8, b - 0.01 * 2 * e.mean()
        means.append(total / 5)
    np.testing.assert_allclose(history["loss"], means, rtol=1e-4)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-4)


def test_logs_names_and_validation(backend: str) -> None:
    model = _model(metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse")])
    history = model.fit(X, Y, epochs=4, validation_split=0.25, validation_freq=2, verbose=0)
    assert list(history.history) == ["loss", "mae", "rmse", "val_loss", "val_mae", "val_rmse"]
    assert history.epoch == [0, 1, 2, 3] and len(history.history["val_mae"]) == 2
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert model.metrics_names == ["loss", "mae", "rmse"]
    values = model.evaluate(X, Y, verbose=0)
    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert values == list(named.values()) and list(named) == ["loss", "mae", "rmse"]
    prediction = model.predict(X, verbose=0)
    np.testing.assert_allclose(values[0], ((prediction - Y) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(values[1], np.abs(prediction - Y).mean(), rtol=1e-5)
    more = model.fit(X, Y, initial_epoch=4, epochs=6, validation_data=(X[:8], Y[:8]), verbose=0)
    assert more.epoch == [4, 5] and len(more.history["val_loss"]) == 2


@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_chosen_by_shapes(backend: str, name: str) -> None:
    for units, y, loss in (
        (1, C, "binary_crossentropy"),
        (2, C, "sparse_categorical_crossentropy"),
        (2, np.eye(2)[C], "categorical_crossentropy"),
    ):
        activation = "sigmoid" if units == 1 else "softmax"
        model = keras.Sequential([keras.Input((3,)), layers.Dense(units, activation=activation)])
        model.compile(keras.optimizers.Adam(0.1), loss, metrics=[name])
        model.fit(X, y, epochs=12, verbose=0)
        result = model.evaluate(X, y, verbose=0, return_dict=True)
        predicted = model.predict(X, verbose=0)
        classes = predicted[:, 0] > 0.5 if units == 1 else predicted.argmax(-1)
        np.testing.assert_allclose(result[name], (classes == C).mean(), rtol=1e-6)
        assert result[name] > 0.85


def _two_outputs() -> keras.Model:
    i = keras.Input((3,))
    return keras.Model(i, [layers.Dense(1, name="a")(i), layers.Dense(1, name="b")(i)])


_MULTI: dict[str, Any] = {
    "lists": (dict(loss=["mse", "mae"], metrics=[["mae"], ["mse"]], loss_weights=[1.0, 0.5]), [Y, Y]),
    "dicts": (
        dict(loss={"a": "mse", "b": "mae"}, metrics={"a": "mae", "b": ["mse"]}, loss_weights={"a": 1.0, "b": 0.5}),
        {"a": Y, "b": Y},
    ),
}


@pytest.mark.parametrize("form", _MULTI)
def test_several_outputs(backend: str, form: str) -> None:
    args, y = _MULTI[form]
    model = _two_outputs()
    model.compile("sgd", **args)
    logs = model.evaluate(X, y, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "a_loss", "b_loss", "a_mae", "b_mse"}
    np.testing.assert_allclose(logs["loss"], logs["a_loss"] + 0.5 * logs["b_loss"], rtol=1e-5)
    pa, pb = model.predict(X, verbose=0)
    np.testing.assert_allclose(logs["a_loss"], ((pa - Y) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["b_mse"], ((pb - Y) ** 2).mean(), rtol=1e-5)
    assert len(model.fit(X, y, epochs=2, verbose=0).history["a_loss"]) == 2


def test_an_output_without_a_loss(backend: str) -> None:
    model = _two_outputs()
    model.compile("sgd", loss={"b": "mse"})
    before = model.get_layer("a").get_weights()[0]
    model.fit(X, {"b": Y}, verbose=0)
    np.testing.assert_array_equal(before, model.get_layer("a").get_weights()[0])


def test_weights_of_samples_and_classes(backend: str) -> None:
    weight = np.linspace(0, 2, 40).astype("float32")
    model = _model(weighted_metrics=["mae"], metrics=["mae"])
    logs = model.evaluate(X, Y, sample_weight=weight, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], (weight * (Y**2)[:, 0]).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["mae"], np.abs(Y).mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["mae_1"], (weight * np.abs(Y)[:, 0]).sum() / weight.sum(), rtol=1e-5)

    def train(**kwargs: Any) -> np.ndarray:
        m = keras.Sequential([keras.Input((3,)), layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
        m.compile("sgd", "binary_crossentropy")
        m.fit(**kwargs, verbose=0)
        return m.get_weights()[0]

    classes = {0: 3.0, 1: 0.5}
    by_hand = np.where(C == 0, 3.0, 0.5).astype("float32")
    expected = train(x=X, y=C, sample_weight=by_hand, shuffle=False, batch_size=8)
    batches = [(X[i * 8 : i * 8 + 8], C[i * 8 : i * 8 + 8]) for i in range(5)]
    for kwargs in (dict(x=X, y=C, shuffle=False, batch_size=8), dict(x=(b for b in batches))):
        np.testing.assert_allclose(train(class_weight=classes, **kwargs), expected, rtol=1e-5)


@pytest.mark.parametrize("options", [dict(run_eagerly=True), dict(steps_per_execution=3), dict(jit_compile=False)])
def test_ways_to_run_a_step_agree(backend: str, options: dict[str, Any]) -> None:
    plain, other = _model(), _model(**options)
    for model in (plain, other):
        model.fit(X, Y, epochs=2, shuffle=False, batch_size=7, verbose=0)
    np.testing.assert_allclose(plain.get_weights()[0], other.get_weights()[0], rtol=1e-5)


def test_run_eagerly_runs_python_each_step(backend: str) -> None:
    seen = []

    class Spy(layers.Layer):
        def call(self, x: Any) -> Any:
            seen.append(x)
            return x

    model = keras.Sequential([keras.Input((3,)), Spy(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    seen.clear()
    model.fit(X, Y, batch_size=10, verbose=0)
    assert len(seen) == 4


def test_batch_norm_and_dropout_state_moves(backend: str) -> None:
    model = keras.Sequential(
        [keras.Input((3,)), layers.BatchNormalization(momentum=0.5), layers.Dropout(0.3), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    bn = model.layers[0]
    model.fit(X, Y, batch_size=20, epochs=2, shuffle=False, verbose=0)
    mean = np.zeros(3)
    for i in (0, 1, 0, 1):
        mean = 0.5 * mean + 0.5 * X[i * 20 : i * 20 + 20].mean(0)
    np.testing.assert_allclose(ops.convert_to_numpy(bn.moving_mean), mean, rtol=1e-4, atol=1e-6)
    state = model.layers[1].seed_generator.state
    before = state.numpy().copy()
    model.fit(X, Y, batch_size=20, verbose=0)
    assert not np.array_equal(before, state.numpy())
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))


def test_own_train_step(backend: str) -> None:
    class Mine(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y = data

            def loss() -> Any:
                return self.compute_loss(x=x, y=y, y_pred=self(x, training=True))

            value, grads = keras.value_and_grad(loss, self.trainable_variables)()
            self.optimizer.apply(grads, self.trainable_variables)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(value)
            return {"loss": value, "double": value * 2}

    plain = _model()
    mine = Mine([keras.Input((3,)), layers.Dense(1, kernel_initializer="zeros")])
    mine.compile("sgd", "mse")
    h = mine.fit(X, Y, shuffle=False, batch_size=8, verbose=0).history
    plain.fit(X, Y, shuffle=False, batch_size=8, verbose=0)
    np.testing.assert_allclose(mine.get_weights()[0], plain.get_weights()[0], rtol=1e-5)
    np.testing.assert_allclose(h["double"][0], 2 * h["loss"][0], rtol=1e-6)


def test_loop_by_hand(backend: str) -> None:
    model = keras.Sequential([layers.Dense(1, kernel_initializer="zeros")])
    model(X[:1])
    optimizer = keras.optimizers.SGD(0.01)
    loss_fn = keras.losses.MeanSquaredError()

    @keras.function
    def step(x: Any, y: Any) -> Any:
        loss, grads = keras.value_and_grad(lambda: loss_fn(y, model(x, training=True)), model.trainable_variables)()
        optimizer.apply(grads, model.trainable_variables)
        return loss

    for i in range(5):
        loss = step(X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8])
    plain = _model()
    plain.fit(X, Y, shuffle=False, batch_size=8, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0], rtol=1e-5)
    assert np.isfinite(float(ops.convert_to_numpy(loss)))


def test_subclassed_model_is_built_by_fit(backend: str) -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = layers.Dense(8, activation="relu")
            self.out = layers.Dense(1)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.out(self.hidden(x))

    model = Net()
    model.compile("adam", "mse", metrics=["mae"])
    h = model.fit(X, Y, epochs=5, verbose=0).history
    assert h["loss"][-1] < h["loss"][0] and len(model.trainable_variables) == 4
    assert model.predict(X[:5], verbose=0).shape == (5, 1)


def test_compile_freezes_trainable(backend: str) -> None:
    """A change of ``trainable`` counts from the next compile on; the attribute itself and hand-written loops have it at once."""
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, name="d"), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    model.get_layer("d").trainable = False
    kernel = model.get_layer("d").kernel
    seen = []

    def trained(train: Callable[[], object]) -> bool:
        before = kernel.numpy()
        train()
        seen.append((model.get_layer("d").trainable, len(model.trainable_variables)))
        return not np.array_equal(before, kernel.numpy())

    with pytest.warns(UserWarning, match="since the model was compiled"):
        assert trained(lambda: model.fit(X, Y, verbose=0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained(lambda: model.train_on_batch(X, Y))
    outer = keras.Sequential([model, layers.Dense(1)])
    outer.compile("sgd", "mse")
    for _ in range(2):
        assert not trained(lambda: outer.train_on_batch(X, Y)) and trained(lambda: model.train_on_batch(X, Y))
    assert set(seen) == {(False, 4)}
    model.compile("sgd", "mse")
    assert not trained(lambda: model.fit(X, Y, verbose=0))


def test_switching_trainable_keeps_the_traces(backend: str) -> None:
    """Programs that freeze and thaw a layer around each batch do not trace each batch."""
    calls = []

    class Counted(layers.Layer):
        def call(self, x: object) -> object:
            calls.append(1)
            return x

    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d"), Counted(), layers.Dense(1)])
    step = keras.function(lambda x: model(x))
    first = None
    for i in range(6):
        model.get_layer("d").trainable = i % 2 == 0
        step(X)
        if i == 1:
            first = len(calls)
    assert backend == "torch" or len(calls) == first


def test_on_batch_methods(backend: str) -> None:
    model = _model(metrics=["mae"])
    before = model.test_on_batch(X, Y, return_dict=True)
    np.testing.assert_allclose(before["loss"], (Y**2).mean(), rtol=1e-5)
    model.reset_metrics()
    values = model.train_on_batch(X, Y)
    assert len(values) == 2
    assert model.predict_on_batch(X[:4]).shape == (4, 1)
    assert model.test_on_batch(X, Y, reset_metrics=True)[0] < before["loss"]


def test_predict_keeps_nests_and_rests(backend: str) -> None:
    i = keras.Input((3,))
    model = keras.Model(i, {"p": layers.Dense(2)(i), "q": (i * 2.0, i)})
    out = model.predict(X, batch_size=16, verbose=0)
    assert out["p"].shape == (40, 2)
    np.testing.assert_allclose(out["q"][0], X * 2, rtol=1e-6)
    assert _model().predict(X[:1], verbose=0).shape == (1, 1)
    kept = model.predict(X, batch_size=16, verbose=0)["q"][1]
    kept += 1  # what predict returns is the caller's own


def test_stop_training_and_callbacks(backend: str) -> None:
    seen: list[str] = []

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(f"epoch {epoch} {sorted(logs)}")
            if epoch == 1:
                self.model.stop_training = True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(f"batch {batch} {logs['loss'] >= 0}")

    history = _model().fit(X, Y, epochs=5, batch_size=20, callbacks=[Spy()], verbose=0)
    assert history.epoch == [0, 1]
    assert seen == [
        "batch 0 True",
        "batch 1 True",
        "epoch 0 ['loss']",
        "batch 0 True",
        "batch 1 True",
        "epoch 1 ['loss']",
    ]


def test_early_stopping_restores_the_best_weights(backend: str) -> None:
    model = _model(optimizer=keras.optimizers.SGD(0.05))
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=1, mode="max", restore_best_weights=True)
    model.fit(X, Y, epochs=6, callbacks=[stop], verbose=0, shuffle=False)
    assert stop.stopped_epoch == 1 and stop.monitor_op(2, 1) and stop.get_monitor_value({"loss": 3.0}) == 3


_BAD = {
    "lengths": (lambda m: m.fit(X, Y[:7]), ValueError, "differ in their numbers of samples: x has 40, y has 7"),
    "empty": (lambda m: m.fit(X[:0], Y[:0]), ValueError, "the data set is empty"),
    "empty generator": (lambda m: m.fit(iter([])), ValueError, "the data set is empty"),
    "no data": (lambda m: m.fit(None), ValueError, "x is None"),
    "y beside a generator": (lambda m: m.fit(_generator(), Y), ValueError, "y cannot be given beside a generator"),
    "split of a generator": (
        lambda m: m.fit(_generator(), validation_split=0.1),
        ValueError,
        "validation_split needs arrays",
    ),
    "split of everything": (lambda m: m.fit(X, Y, validation_split=0.999), ValueError, "leaves 0 to train on"),
    "input shape": (lambda m: m.fit(X[:, :2], Y), ValueError, r"expects shape \(None, 3\), got \(.*2\)"),
    "optimizer": (lambda m: m.compile("adm"), ValueError, "unknown optimizer 'adm'.*Did you mean 'adam'"),
    "loss": (lambda m: m.compile("sgd", "msee") or m.fit(X, Y, verbose=0), ValueError, "unknown loss 'msee'.*'mse'"),
    "loss keys": (
        lambda m: m.compile("sgd", {"nope": "mse"}) or m.fit(X, Y, verbose=0),
        ValueError,
        "loss has the key 'nope', but the outputs are",
    ),
    "batch size": (lambda m: m.fit(X, Y, batch_size=0), ValueError, "batch_size must be a positive int, got 0"),
    "steps": (
        lambda m: m.compile("sgd", "mse", steps_per_execution=0),
        ValueError,
        "steps_per_execution must be a positive int",
    ),
}


@pytest.mark.parametrize("case", _BAD)
def test_errors(case: str) -> None:
    run, error, message = _BAD[case]
    with pytest.raises(error, match=message):
        run(_model())


def test_labels_out_of_range_are_named(backend: str) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="2"):
        model.fit(X, C + 1, verbose=0)


def test_a_loss_that_is_no_number_names_epoch_and_batch(backend: str) -> None:
    bad = X.copy()
    bad[25] = np.nan
    with pytest.warns(UserWarning, match="the loss became nan in epoch 1, first in batch 4 of 5"):
        _model().fit(bad, Y, batch_size=8, shuffle=False, verbose=0)


def test_a_generator_that_ends_early_says_so(backend: str) -> None:
    batches = [(X[:8], Y[:8])] * 3
    with pytest.warns(UserWarning, match="ended after 3 of 5 steps"):
        _model().fit(iter(batches), steps_per_epoch=5, epochs=2, verbose=0)


def test_fit_does_not_warn_when_all_is_well(backend: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        _model().fit(X, Y, epochs=2, verbose=0)


def test_measured_pace_changes_nothing_but_the_time(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nyala.training.loop import _Pace

    weights = []
    for steps in (1, "auto"):
        monkeypatch.setattr(_Pace, "_WORTH", 0.0)
        monkeypatch.setattr(_Pace, "_SHORT", 1e9)
        monkeypatch.setattr(_Pace, "_CANDIDATE", 4)
        monkeypatch.setattr(_Pace, "_SINGLES", 3)
        model = _model(steps_per_execution=steps, metrics=["mae"])
        history = model.fit(X, Y, batch_size=1, epochs=2, shuffle=False, verbose=0).history
        weights.append([model.get_weights()[0].ravel(), history["loss"], history["mae"]])
    for one, two in zip(*weights):
        np.testing.assert_allclose(one, two, rtol=1e-4)


def test_an_own_step_does_not_hide_that_the_model_cannot_be_called(backend: str) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.inner(x).no_such_thing

        def train_step(self, data: Any) -> Any:
            return {"loss": ops.mean(self.inner(data[0]))}

    model = Own()
    model.compile("sgd")
    with pytest.warns(UserWarning, match="(?s)calling it on the data fails: AttributeError.*no_such_thing"):
        model.fit(X, Y, verbose=0)


def test_a_layer_that_fails_fails_its_model(backend: str) -> None:
    class Unfinished(layers.Layer):
        def call(self, x: Any) -> Any:
            raise NotImplementedError("to be done")

    with pytest.raises(NotImplementedError, match="to be done"):
        keras.Sequential([keras.Input((3,)), Unfinished()])


def test_functions_of_older_programs(backend: str) -> None:
    """A loss that normalises ``y_pred`` in place leaves it as it is for the metrics; integer labels meet floats in a metric."""

    def loss(y_true: Any, y_pred: Any) -> Any:
        y_pred /= ops.sum(y_pred, axis=-1, keepdims=True)
        return -ops.sum(y_true * ops.log(y_pred), axis=-1)

    def hits(y_true: Any, y_pred: Any) -> Any:
        return y_true * y_pred

    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, "sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", loss, metrics=[hits])
    results = model.evaluate(X, np.ones((40, 2), "int64"), verbose=0, return_dict=True)
    assert abs(results["hits"] - 0.5) < 1e-6
    before = model.get_weights()[1]
    model.fit(X, np.eye(2, dtype="int64")[C], verbose=0)
    assert not np.array_equal(before, model.get_weights()[1])


def test_a_table_of_positions_shorter_than_the_probes(backend: str) -> None:
    table = np.ones((1, 10, 2), "float32")

    class Positions(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + ops.convert_to_tensor(table)[:, : ops.shape(x)[1]]

    assert Positions()(keras.Input((None, 2))).shape == (None, None, 2)


def test_a_loss_of_ones_own_without_training(backend: str) -> None:
    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return ops.mean(ops.square(y_pred))

    model = Mine()
    model.compile("sgd")
    x = np.ones((4, 2), "float32")
    first, last = model.fit(x, x[:, :1], epochs=2, verbose=0).history["loss"]
    assert last < first
