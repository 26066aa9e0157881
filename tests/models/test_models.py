"""Sequential, Functional and subclassed models: what they compute, own, say and refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nyala as keras
from nyala import layers, ops


def _data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _numpy(x: Any) -> np.ndarray:
    return ops.convert_to_numpy(x)


class Block(layers.Layer):
    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return ops.tanh(self.dense(x)) + x


class Deep(keras.Model):
    """Layers in an attribute, a list and a dict."""

    def __init__(self, units: int = 4, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.first = layers.Dense(units, name="first")
        self.blocks = [Block(units) for _ in range(2)]
        self.heads = {"out": layers.Dense(2, name="out")}

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.heads["out"](x)


def test_sequential_with_and_without_an_input_shape(backend: str) -> None:
    x = _data(3, 5)
    known = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    old = keras.Sequential([layers.Dense(4, activation="relu", input_shape=(5,)), layers.Dense(2)])
    deferred = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    assert known.built and old.built and not deferred.built
    assert known.output_shape == old.output_shape == (None, 2)
    assert deferred.weights == []
    assert tuple(deferred(x).shape) == (3, 2)
    assert known.weights[0].path == "sequential/dense/kernel"
    for model in (old, deferred):
        model.set_weights(known.get_weights())
        np.testing.assert_allclose(_numpy(model(x)), _numpy(known(x)), rtol=1e-6)
    assert known.count_params() == 5 * 4 + 4 + 4 * 2 + 2


def test_sequential_add_and_pop(backend: str) -> None:
    model = keras.Sequential()
    model.add(keras.Input((5,)))
    model.add(layers.Dense(4))
    model.add(layers.Dense(3))
    assert model.output_shape == (None, 3)
    assert model.pop().units == 3
    assert model.output_shape == (None, 4) and len(model.layers) == 1
    with pytest.raises(ValueError, match="an Input must come first"):
        model.add(keras.Input((5,)))
    with pytest.raises(TypeError, match="add takes a layer"):
        model.add(3)


def test_functional_several_inputs_outputs_and_shared_layers(backend: str) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    both = layers.concatenate([shared(a), shared(b)])
    y, z = layers.Dense(2, name="y")(both), layers.Dense(1, name="z")(both * 2.0 + 1.0)
    model = keras.Model([a, b], [y, z])
    xa, xb = _data(5, 4), _data(5, 4) + 1
    first = [_numpy(t) for t in model([xa, xb])]
    by_name = [_numpy(t) for t in model({"b": xb, "a": xa})]
    for one, two in zip(first, by_name):
        np.testing.assert_array_equal(one, two)
    assert [t.shape for t in first] == [(5, 2), (5, 1)]
    assert model.input_names == ["a", "b"] and model.output_names == ["y", "z"]
    assert len(shared.inbound_nodes) == 2 and len([x for x in model.layers if x is shared]) == 1
    kernel, bias = shared.get_weights()
    joined = np.concatenate([xa @ kernel + bias, xb @ kernel + bias], -1)
    ky, by = model.get_layer("y").get_weights()
    np.testing.assert_allclose(first[0], joined @ ky + by, rtol=1e-4, atol=1e-5)


def test_functional_dicts_and_nests(backend: str) -> None:
    inputs = {"p": keras.Input((3,)), "q": [keras.Input((2,)), keras.Input((2,))]}
    x = layers.concatenate([inputs["p"], *inputs["q"]])
    model = keras.Model(inputs, {"sum": ops.sum(x, axis=-1), "twice": (x * 2, x)})
    out = model({"p": _data(4, 3), "q": [_data(4, 2), _data(4, 2)]})
    assert set(out) == {"sum", "twice"}
    np.testing.assert_allclose(_numpy(out["sum"]), _numpy(out["twice"][1]).sum(-1), rtol=1e-5)


def test_models_in_models_and_models_cut_out_of_models(backend: str) -> None:
    i = keras.Input((4,))
    h = layers.Dense(3, activation="tanh", name="h")(i)
    outer = keras.Model(i, layers.Dense(2, name="o")(h))
    x = _data(6, 4)
    cut = keras.Model(outer.input, outer.get_layer("h").output)
    tail = keras.Model(outer.get_layer("h").output, outer.output)
    np.testing.assert_allclose(_numpy(tail(cut(x))), _numpy(outer(x)), rtol=1e-5, atol=1e-6)
    j = keras.Input((4,))
    nested = keras.Model(j, keras.Sequential([layers.Dense(1)])(outer(j)))
    assert nested.count_params() == outer.count_params() + 3
    assert tuple(nested(x).shape) == (6, 1)
    assert {id(v) for v in outer.weights} <= {id(v) for v in nested.weights}


def test_subclassed_models_find_what_they_own(backend: str) -> None:
    model = Deep()
    assert not model.built
    model.build((None, 3))
    assert model.built and len(model.weights) == 8
    assert model.layers[0].name == "first" and len(model.layers) == 4
    assert [v.path for v in model.weights][:3] == ["deep/first/kernel", "deep/first/bias", "deep/block/dense/kernel"]
    model.blocks[0].trainable = False
    assert len(model.trainable_variables) == 6 and len(model.non_trainable_variables) == 2
    model.trainable = False
    assert model.trainable_variables == []
    model.trainable = True
    assert len(model.trainable_variables) == 8


def test_mixing_all_three(backend: str) -> None:
    i = keras.Input((3,))
    model = keras.Model(i, keras.Sequential([layers.Dense(4), Block(4)])(Deep()(i)))
    assert tuple(model(_data(2, 3)).shape) == (2, 4)
    assert len(model.weights) == 8 + 4


def test_subclass_that_gives_inputs_and_outputs(backend: str) -> None:
    class Mine(keras.Model):
        def __init__(self) -> None:
            i = keras.Input((3,))
            super().__init__(inputs=i, outputs=layers.Dense(2)(i))
            self.extra = 1

        def greet(self) -> str:
            return "hello"

    model = Mine()
    assert model.name.startswith("mine")  # and not "functional"
    assert isinstance(model, keras.Functional) and model.greet() == "hello" and model.output_shape == (None, 2)
    assert tuple(model(_data(5, 3)).shape) == (5, 2)


def test_a_deep_functional_model_is_no_recursion(backend: str) -> None:
    i = keras.Input((2,))
    x = i
    for _ in range(1500):
        x = layers.Activation("relu")(x)
    assert tuple(keras.Model(i, x)(_data(1, 2)).shape) == (1, 2)


def test_what_a_build_computes_is_kept(backend: str) -> None:
    class Inner(layers.Layer):
        def build(self, shape: Any) -> None:
            self.scale = ops.arange(shape[-1], dtype="float32") * 2.0

        def call(self, x: Any) -> Any:
            return x * self.scale

    class Outer(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def call(self, x: Any) -> Any:
            return self.inner(x)  # built in the abstract evaluation of this layer

    model = keras.Sequential([keras.Input((3,)), Outer()])
    for _ in range(2):
        np.testing.assert_allclose(_numpy(model(np.ones((2, 3), "float32"))), [[0, 2, 4]] * 2)


def test_sizes_computed_by_ops(backend: str) -> None:
    class Grouped(layers.Layer):
        def call(self, x: Any) -> Any:
            size = ops.minimum(4, ops.shape(x)[0]) if backend != "jax" else min(4, ops.shape(x)[0])  # jax traces it
            return ops.reshape(x, (size, -1, 3))

    assert Grouped()(keras.Input((3,))).shape == (4, None, 3)


@pytest.mark.parametrize(
    "shape, dtype, stack",
    [
        ((None, 3), "float32", [layers.Conv1D, (4, 2), layers.Dense, (5,)]),
        ((None,), "int32", [layers.Embedding, (9, 4), layers.Dense, (5,)]),
    ],
)
def test_models_in_layers_are_built_for_any_length(shape: Any, dtype: str, stack: Any, backend: str) -> None:
    class Holds(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.stack = keras.Sequential([make(*given) for make, given in zip(stack[::2], stack[1::2])])

        def call(self, x: Any) -> Any:
            return self.stack(x)

    model = keras.Sequential([keras.Input(shape, dtype=dtype), Holds()])
    assert model.output_shape == (None, None, 5)
    for length in (4, 6):
        x = np.ones((2, length, *shape[1:]), dtype)
        assert tuple(model(x).shape)[::2] == (2, 5)


def test_layers_written_for_one_size_of_the_batch(backend: str) -> None:
    x, index = keras.Input((2,)), keras.Input((), dtype="int32")

    class Summed(layers.Layer):
        def call(self, x: Any, index: Any) -> Any:
            return ops.segment_sum(x, index, num_segments=4)

    out = Summed()(Summed()(x, index), index)  # of 4 rows, which the index must then have, too
    assert out.shape == (4, 2)
    rows, places = _data(4, 2), np.array([0, 1, 1, 3], "int32")
    found = _numpy(keras.Model([x, index], out)([rows, places]))
    np.testing.assert_allclose(found[0], rows[0], rtol=1e-6)


def test_a_batch_that_is_the_rows_of_a_square_matrix(backend: str) -> None:
    """As convolutions over one graph take their nodes."""
    x, edges = keras.Input((2,)), keras.Input((5,))
    out = layers.Lambda(lambda both: ops.matmul(both[1], both[0]))([x, edges])
    assert out.shape == (None, 2)
    rows, square = _data(5, 2), _data(5, 5)
    found = keras.Model([x, edges], out).predict([rows, square], batch_size=5, verbose=0)
    np.testing.assert_allclose(found, square @ rows, rtol=1e-5)


def test_clone_model_draws_new_weights(backend: str) -> None:
    i = keras.Input((3,))
    functional = keras.Model(i, ops.relu(layers.Dense(2, name="d")(i)) + 1.0)
    # Two functions of one name and a class that nothing has registered, inside another model.
    inner = keras.Sequential([layers.Lambda(lambda x: x + 1.0), type("Own", (layers.ReLU,), {})()])
    inner.add(layers.Dense(3, activation=lambda x: x * 2.0))
    sequential = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Dense(2), inner])
    x = _data(4, 3)
    for model in (functional, sequential):
        clone = keras.models.clone_model(model)
        assert type(clone) is type(model) and clone.name == model.name
        assert not np.allclose(clone.get_weights()[0], model.get_weights()[0])
        clone.set_weights(model.get_weights())
        np.testing.assert_allclose(_numpy(clone(x)), _numpy(model(x)), rtol=1e-6)


def test_configs_give_the_same_model_again(backend: str) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3)
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="inner")
    out = inner(shared(a)) + ops.sum(shared(b), axis=-1, keepdims=True)
    for model in (keras.Model({"a": a, "b": b}, [out]), inner):
        new = type(model).from_config(model.get_config())
        assert [v.shape for v in new.weights] == [v.shape for v in model.weights]
        new.set_weights(model.get_weights())
        x = {"a": _data(2, 4), "b": _data(2, 4)} if len(model.inputs) == 2 else _data(2, 3)
        one, two = (m(x) for m in (model, new))
        one, two = (v[0] if isinstance(v, list) else v for v in (one, two))
        np.testing.assert_allclose(_numpy(one), _numpy(two), rtol=1e-6)


def test_summary_is_like_keras(backend: str) -> None:
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(10, name="head")], name="m")
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=80, show_trainable=True)
    text = "\n".join(lines)
    for part in (
        'Model: "m"',
        "head (Dense)",
        "(None, 784)",
        "7,850",
        "Total params: 7,850 (30.66 KB)",
        "Trainable params",
    ):
        assert part in text
    assert max(len(line) for line in text.splitlines()) <= 80
    i = keras.Input((3,), name="i")
    wide = keras.Model(i, layers.add([layers.Dense(2, name="p")(i), model_of(i)]))
    lines.clear()
    wide.summary(print_fn=lines.append, expand_nested=True, line_length=100)
    assert "Connected to" in lines[0] and "i[0][0]" in lines[0] and "inner_dense" in lines[0]
    unbuilt: list[str] = []
    Deep().summary(print_fn=unbuilt.append)
    assert "(unbuilt)" in unbuilt[0] and "?" in unbuilt[0]


def model_of(i: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), layers.Dense(2, name="inner_dense")])(i)


def test_to_backend_moves_everything(backend: str) -> None:
    x, y = _data(32, 4), _data(32, 1)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="tanh"), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0, batch_size=8)
    assert model.backend == backend
    before = model.predict(x, verbose=0)
    state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    for other in ("torch", "tensorflow", "jax"):
        model.to_backend(other)
        assert model.backend == other
        for old, v in zip(state, (*model.variables, *model.optimizer.variables)):
            np.testing.assert_array_equal(old, v.numpy())
        np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-5, atol=1e-6)
    first = model.evaluate(x, y, verbose=0)
    model.fit(x, y, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < first[0]


def test_two_models_on_two_backends_train_in_turn() -> None:
    x, y = _data(16, 3), _data(16, 1)
    models = []
    for name in ("jax", "torch", "tensorflow"):
        with keras.backend_scope(name):
            model = keras.Sequential([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
            model.compile("sgd", "mse")
            models.append(model)
    losses = [[m.train_on_batch(x, y) for m in models] for _ in range(3)]
    for row in losses:
        np.testing.assert_allclose(row, row[0], rtol=1e-5)
    assert [m.backend for m in models] == ["jax", "torch", "tensorflow"]


def test_the_same_seed_gives_the_same_weights_everywhere() -> None:
    drawn = []
    for name in ("jax", "torch", "tensorflow"):
        with keras.backend_scope(name):
            keras.utils.set_random_seed(7)
            drawn.append(keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(2, "relu")]).get_weights())
    for one, two, three in zip(*drawn):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_errors_name_who_and_what(backend: str) -> None:
    dense = layers.Dense(2, name="head")
    dense(_data(2, 3))
    with pytest.raises(
        ValueError, match=r"Dense `head`: expected axis -1 of the input to have size 3, got shape \(2, 4\)"
    ):
        dense(_data(2, 4))
    with pytest.raises(ValueError, match=r"Conv2D `c`: expected an input with 4 axes, got 3"):
        layers.Conv2D(2, 3, name="c")(_data(2, 8, 8))
    with pytest.raises(ValueError, match=r"Dense `.*`: units must be a positive int, got 0"):
        layers.Dense(0)
    with pytest.raises(TypeError, match=r"unknown argument 'actvation'.*Did you mean 'activation'"):
        layers.Dense(1, actvation="relu")
    i, j = keras.Input((3,), name="i"), keras.Input((3,), name="j")
    with pytest.raises(ValueError, match="depends on the input `j`"):
        keras.Model(i, layers.add([i, j]))
    model = keras.Model(i, layers.Dense(1)(i), name="m")
    with pytest.raises(ValueError, match=r"Functional `m`: input `i` expects shape \(None, 3\), got \(2, 5\)"):
        model(_data(2, 5))
    with pytest.raises(ValueError, match=r"has no layer 'dens'. Did you mean 'dense'"):
        keras.Sequential([layers.Dense(1, name="dense")]).get_layer("dens")
    with pytest.raises(RuntimeError, match="is not compiled"):
        model.fit(_data(2, 3), _data(2, 1))
    with pytest.raises(ValueError, match="has no weights to count yet"):
        keras.Sequential([layers.Dense(1)]).count_params()


def test_a_model_in_another_takes_further_axes(backend: str) -> None:
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    x = layers.Input((3, 4))
    with pytest.warns(UserWarning, match=r"expects shape \(None, 4\), got"):
        outer = keras.Model(x, inner(x))
    with pytest.warns(UserWarning, match="expects shape"):
        found = outer.predict(np.ones((5, 3, 4)), verbose=0)
    np.testing.assert_allclose(found[:, 1], inner.predict(np.ones((5, 4)), verbose=0), rtol=1e-6)
    with pytest.raises(ValueError, match="expects shape"):
        inner.predict(np.ones((5, 3, 4)), verbose=0)


def test_stateless_call_changes_nothing(backend: str) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization(), layers.Dense(2)])
    before = model.get_weights()
    fixed = [v.value for v in model.non_trainable_variables]
    outputs, new = model.stateless_call(
        [v.value * 0 for v in model.trainable_variables], fixed, _data(8, 3), training=True
    )
    np.testing.assert_allclose(_numpy(outputs), 0, atol=1e-6)
    assert any(not np.allclose(_numpy(a), _numpy(b)) for a, b in zip(new, fixed))
    for one, two in zip(before, model.get_weights()):
        np.testing.assert_array_equal(one, two)


def test_state_of_metrics_stands_apart(backend: str) -> None:
    class Counts(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seen, self.drop = keras.metrics.Sum(name="seen"), layers.Dropout(0.5)

        def call(self, x: Any) -> Any:
            self.seen.update_state(x * 0 + 1)
            return self.drop(x)

    model = keras.Sequential([keras.Input((3,)), Counts(), layers.Dense(1, kernel_regularizer="l2")])
    model.compile("sgd", "mse")
    model.train_on_batch(_data(4, 3), _data(4, 1))
    assert float(model.layers[0].seen.result()) == 12
    names = {v.path.split("/")[0] for v in model.metrics_variables}
    assert names == {"loss", "seen"} and len(model.variables) == 3 and len(model.non_trainable_variables) == 1
    state = [[v.value for v in group] for group in (model.trainable_variables, model.non_trainable_variables)]
    counts = [v.value for v in model.metrics_variables]
    y = _data(4, 1)
    loss, after = model.stateless_compute_loss(*state, counts, y=y, y_pred=y)
    np.testing.assert_allclose(_numpy(loss), 0.01 * np.sum(model.get_weights()[0] ** 2), rtol=1e-5)
    assert [len(x) for x in after] == [2, 1, 3]
    with pytest.raises(ValueError, match="needs 3 metrics_variables, got 0"):
        model.stateless_compute_loss(*state, [], y=y, y_pred=y)


def test_code_for_multiples_of_a_power_of_two(backend: str) -> None:
    class Tiles(layers.Layer):
        def call(self, x: Any) -> Any:
            assert x.shape[0] % 128 == 0
            return x * 2

    assert Tiles()(keras.Input((3,))).shape == (None, 3)


def test_losses_added_by_layers_and_regularizers(backend: str) -> None:
    class Adds(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(ops.mean(ops.square(x)))
            self.add_loss(x)
            return x

    dense = layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones")
    model = keras.Sequential([keras.Input((3,)), Adds(), dense])
    x = _data(4, 3)
    for _ in range(2):  # the second call replaces the first one's losses
        model(x)
    values = sorted(float(_numpy(v).sum()) for v in model.losses)
    expected = [float((x**2).mean()), float(x.sum()), 0.01 * 6]
    np.testing.assert_allclose(values, sorted(expected), rtol=1e-5)
    np.testing.assert_allclose(float(_numpy(model.compute_loss())), sum(expected), rtol=1e-5)

    class Whole(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.adds = Adds()

        def call(self, x: Any) -> Any:
            self.add_loss(ops.max(x))
            return self.adds(x)

    whole = Whole()
    assert whole.losses == []
    whole(x)  # which builds it by an abstract call, whose losses are nobody's
    np.testing.assert_allclose([_numpy(v).sum() for v in whole.losses], [x.max(), *expected[:2]], rtol=1e-5)
    whole(keras.Input((3,)))
    assert len(whole.losses) in (0, 3) and all(isinstance(_numpy(v), np.ndarray) for v in whole.losses)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(backend: str, policy: str) -> None:
    model = keras.Sequential([layers.Dense(4, dtype=policy), layers.Dense(2, dtype="float32")])
    x = _data(3, 5)
    out = model(x)
    low = policy.removeprefix("mixed_")
    assert model.layers[0].compute_dtype == low and model.layers[0].kernel.dtype == "float32"
    assert keras.KerasTensor((1,), low).dtype == low
    assert str(model.layers[0](x).dtype).endswith(low) or low in str(model.layers[0](x).dtype)
    assert "float32" in str(out.dtype)


class Reader(keras.Model):
    """Reads values in ``call``, as programs with ``print`` or ``if`` do."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.seen: Any = None

    def call(self, x: Any) -> Any:
        y = self.dense(x)
        self.seen = float(keras.ops.mean(keras.ops.stop_gradient(y)))
        return y


def test_call_may_read_values(backend: str) -> None:
    x = np.ones((4, 3), "float32")
    model = Reader()
    assert model(x).shape == (4, 2)
    assert model.built and len(model.weights) == 2
    model = Reader()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(x, np.ones((4, 2), "float32"), batch_size=2, verbose=0)
    assert isinstance(model.seen, float) and np.isfinite(model.seen)


def test_what_fails_on_data_fails(backend: str) -> None:
    class Wrong(keras.Model):
        def call(self, x: Any) -> Any:
            raise RuntimeError("no good")

    model = Wrong()
    with pytest.raises(RuntimeError, match="no good"):
        model(np.ones((4, 3), "float32"))
    assert not model.built


def test_a_list_of_one_output_is_that_output(backend: str) -> None:
    """As Keras 3 does with values, and Keras 2 with tensors of the graph and ``model.output`` too."""
    x = layers.Input((3,))
    model = keras.Model([x], [layers.Dense(2)(x)])
    model.compile("sgd", ["mse"], loss_weights=[2.0], metrics=[["mae"]])
    assert model.fit(_data(4, 3), [_data(4, 2)], verbose=0).history.keys() == {"loss", "mae"}
    assert model.predict(_data(4, 3), verbose=0).shape == model(_data(4, 3)).shape == (4, 2)
    assert model(x).shape == model.output.shape == (None, 2) and model.input is x
    assert type(model.outputs) is list and model.output_shape == (None, 2)
    assert keras.Model.from_config(model.get_config()).predict(_data(4, 3), verbose=0).shape == (4, 2)
