"""Programs as users of JAX write them, over our layers, optimizers, losses and metrics."""

from __future__ import annotations

import pickle
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nyala as keras
from nyala import backends, layers
from nyala.graph.recorded import record_functions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.integers(0, 3, size=(32,)).astype("int32")


@pytest.fixture(autouse=True)
def here(request):
    if "jax" not in (request.config.getoption("--backend") or ["jax"]):
        pytest.skip("another backend was asked for")
    with backends.backend_scope("jax"):
        keras.utils.set_random_seed(0)
        yield


def mlp():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.1), layers.Dense(3)]
    )


# -- loops -------------------------------------------------------------------------------------------------------------


def test_the_guides_loop():
    model, optimizer = mlp(), keras.optimizers.Adam(learning_rate=1e-2)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()

    def compute_loss_and_updates(trainable_variables, non_trainable_variables, metric_variables, x, y):
        y_pred, non_trainable_variables = model.stateless_call(
            trainable_variables, non_trainable_variables, x, training=True
        )
        loss = loss_fn(y, y_pred)
        metric_variables = accuracy.stateless_update_state(metric_variables, y, y_pred)
        return loss, (non_trainable_variables, metric_variables)

    grad_fn = jax.value_and_grad(compute_loss_and_updates, has_aux=True)

    @jax.jit
    def train_step(state, data):
        trainable_variables, non_trainable_variables, optimizer_variables, metric_variables = state
        x, y = data
        (loss, (non_trainable_variables, metric_variables)), grads = grad_fn(
            trainable_variables, non_trainable_variables, metric_variables, x, y
        )
        trainable_variables, optimizer_variables = optimizer.stateless_apply(
            optimizer_variables, grads, trainable_variables
        )
        return loss, (trainable_variables, non_trainable_variables, optimizer_variables, metric_variables)

    optimizer.build(model.trainable_variables)
    trained, fixed = model.trainable_variables, model.non_trainable_variables
    state = trained, fixed, optimizer.variables, accuracy.variables
    before = float(loss_fn(Y, model(X)))
    for _ in range(5):
        for i in range(0, 32, 8):
            _, state = train_step(state, (X[i : i + 8], Y[i : i + 8]))
    for variable, value in zip([*trained, *fixed, *accuracy.variables], [*state[0], *state[1], *state[3]]):
        variable.assign(value)
    assert float(loss_fn(Y, model(X))) < before and 0 < float(accuracy.result()) <= 1
    assert float(accuracy.stateless_result(state[3])) == float(accuracy.result())
    assert float(accuracy.stateless_result(accuracy.stateless_reset_state())) == 0


class Custom(keras.Model):
    """As Keras's guide prints it."""

    def compute_loss_and_updates(self, trainable_variables, non_trainable_variables, x, y, training=False):
        y_pred, non_trainable_variables = self.stateless_call(
            trainable_variables, non_trainable_variables, x, training=training
        )
        loss = self.compute_loss(x, y, y_pred)
        return loss, (y_pred, non_trainable_variables)

    def _metrics(self, metrics_variables, loss, y, y_pred):
        new, logs = [], {}
        for metric in self.metrics:
            this = metrics_variables[len(new) : len(new) + len(metric.variables)]
            if metric.name == "loss":
                this = metric.stateless_update_state(this, loss)
            else:
                this = metric.stateless_update_state(this, y, y_pred)
            logs[metric.name] = metric.stateless_result(this)
            new += this
        return logs, new

    def train_step(self, state, data):
        trainable_variables, non_trainable_variables, optimizer_variables, metrics_variables = state
        x, y = data
        grad_fn = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (loss, (y_pred, non_trainable_variables)), grads = grad_fn(
            trainable_variables, non_trainable_variables, x, y, training=True
        )
        trainable_variables, optimizer_variables = self.optimizer.stateless_apply(
            optimizer_variables, grads, trainable_variables
        )
        logs, new = self._metrics(metrics_variables, loss, y, y_pred)
        return logs, (trainable_variables, non_trainable_variables, optimizer_variables, new)

    def test_step(self, state, data):
        trainable_variables, non_trainable_variables, metrics_variables = state
        x, y = data
        y_pred, non_trainable_variables = self.stateless_call(
            trainable_variables, non_trainable_variables, x, training=False
        )
        logs, new = self._metrics(metrics_variables, self.compute_loss(x, y, y_pred), y, y_pred)
        return logs, (trainable_variables, non_trainable_variables, new)


def test_the_guides_custom_steps_are_the_built_in_ones():
    def run(cls):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        model = cls(inputs, layers.Dense(1)(inputs))
        model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"])
        history = model.fit(X, X[:, :1], epochs=3, batch_size=8, verbose=0).history
        return [*history["loss"], *history["mae"], *model.evaluate(X, X[:, :1], verbose=0)]

    np.testing.assert_allclose(run(Custom), run(keras.Model), rtol=1e-5)


def test_optax():
    import optax

    model, loss_fn = mlp(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = optax.adam(1e-2)
    weights = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    state = optimizer.init(weights)

    @jax.jit
    def step(weights, fixed, state):
        def loss(weights):
            y_pred, new = model.stateless_call(weights, fixed, X, training=True)
            return loss_fn(Y, y_pred), new

        (value, fixed), gradients = jax.value_and_grad(loss, has_aux=True)(weights)
        updates, state = optimizer.update(gradients, state, weights)
        return value, optax.apply_updates(weights, updates), fixed, state

    seen = []
    for _ in range(20):
        value, weights, fixed, state = step(weights, fixed, state)
        seen.append(float(value))
    assert seen[-1] < seen[0]


# -- transforms and functions ------------------------------------------------------------------------------------------


def test_transforms():
    layer = layers.Dense(3)
    want = np.asarray(layer(X))
    for run in (jax.jit(layer), jax.checkpoint(layer), jax.vmap(lambda x: layer(x[None])[0])):
        np.testing.assert_allclose(run(X), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.lax.map(lambda x: layer(x[None])[0], X), want, rtol=1e-5, atol=1e-6)
    assert jax.jacobian(layer)(X[:1]).shape == (1, 3, 1, 4)
    loss = lambda weights: jnp.sum(layer.stateless_call(weights, [], X)[0])  # noqa: E731
    for weights in (layer.trainable_variables, [v.value for v in layer.trainable_variables]):
        kernel, bias = jax.grad(loss)(weights)
        np.testing.assert_allclose(kernel, np.repeat(X.sum(0)[:, None], 3, 1), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(bias, [32, 32, 32])


def test_functions_of_jax_take_variables():
    layer = layers.Dense(3)
    layer.build((None, 4))
    want = X @ layer.kernel.numpy()
    for found in (jnp.matmul(X, layer.kernel), jnp.asarray(X) @ layer.kernel, jnp.einsum("bi,ij->bj", X, layer.kernel)):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    assert jnp.concatenate([layer.kernel, layer.kernel]).shape == (8, 3) and float(jnp.sum(layer.bias)) == 0
    assert (jnp.ones(3) + layer.bias).sum() == 3 and layer.kernel[0].shape == (3,)


METHODS = [
    lambda x: x.mean(axis=1),
    lambda x: x.sum(-1, keepdims=True).clip(0, 1),
    lambda x: x.reshape(-1, 2, 2).transpose(0, 2, 1),
]


@pytest.mark.parametrize("fn", METHODS, ids=range(len(METHODS)))
def test_methods_of_arrays_are_recorded(fn):
    inputs = keras.Input((4,))
    outputs, want = fn(inputs), fn(jnp.asarray(X))
    assert outputs.shape == (None, *want.shape[1:])
    np.testing.assert_allclose(keras.Model(inputs, outputs)(X), want, rtol=1e-5)


RECORDED = {
    "sin": lambda np_, x: np_.sin(x),
    "add": lambda np_, x: np_.add(x, 1.0),
    "list": lambda np_, x: np_.concatenate([x, np_.cos(x)], axis=-1),
    "reshape": lambda np_, x: np_.reshape(x, (-1, 2, 2)),
    "einsum": lambda np_, x: np_.einsum("bi,bj->bij", x, x),
    "where": lambda np_, x: np_.where(x > 0, x, 0.0),
    "several": lambda np_, x: np_.split(x, 2, axis=1)[1],
}


@pytest.mark.parametrize("name", RECORDED)
def test_functions_are_recorded_under_compat(name):
    """What ``compat.install()`` makes of ``jax.numpy``, here of a copy of it."""
    recorded = types.ModuleType("recorded")
    recorded.__dict__.update(
        {n: getattr(jnp, n) for n in ("sin cos add concatenate reshape einsum where split").split()}
    )
    record_functions(recorded)
    inputs = keras.Input((4,))
    outputs, want = RECORDED[name](recorded, inputs), RECORDED[name](jnp, jnp.asarray(X))
    assert outputs.shape == (None, *want.shape[1:])
    np.testing.assert_allclose(keras.Model(inputs, outputs)(X), want, rtol=1e-5)
    assert recorded.add.reduce(jnp.ones(3)) == 3 and pickle.loads(pickle.dumps(recorded.sin)) is jnp.sin
    with pytest.raises(TypeError, match=r"add got incompatible shapes"):
        recorded.add(jnp.ones(3), jnp.ones(2))


# -- layers around functions -------------------------------------------------------------------------------------------


def test_jax_layer():
    given = layers.JaxLayer(
        lambda params, inputs: inputs @ params["w"] + params["b"],
        params={"w": np.ones((4, 3), "float32"), "b": np.zeros(3)},
    )
    np.testing.assert_allclose(given(X), X @ np.ones((4, 3)), rtol=1e-5)

    def init_fn(rng, inputs):
        return {"w": jax.random.normal(rng, (inputs.shape[-1], 3))}, {"calls": jnp.zeros((), "int32")}

    def call_fn(params, state, rng, inputs, training):
        noise = jax.random.normal(rng, inputs.shape) if training else 0.0
        return (inputs + noise) @ params["w"], {"calls": state["calls"] + 1}

    layer = layers.JaxLayer(call_fn, init_fn, seed=1)
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("adam", "mse")
    before = model.get_weights()[0]
    model.fit(X, X[:, :3], batch_size=8, verbose=0)
    assert int(layer.state["calls"]) == 4 and not np.array_equal(model.get_weights()[0], before)
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))
    with pytest.raises(ValueError, match="inputs"):
        layers.JaxLayer(lambda params, x: x, params={})


class Linen:
    """What a Flax module is to ``FlaxLayer``."""

    def __call__(self, inputs, training): ...

    def init(self, rngs, x, training=False):
        return {
            "params": {"w": jax.random.normal(rngs["params"], (x.shape[-1], 3))},
            "batch_stats": {"seen": jnp.zeros(())},
        }

    def apply(self, variables, x, rngs=None, mutable=False, training=False):
        y = x @ variables["params"]["w"]
        assert bool(mutable) is training
        return (y, {"batch_stats": {"seen": variables["batch_stats"]["seen"] + 1}}) if mutable else y


def test_flax_layer():
    layer = layers.FlaxLayer(Linen())
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("adam", "mse")
    model.fit(X, X[:, :3], batch_size=8, verbose=0)
    assert float(layer.state["batch_stats"]["seen"]) == 4
    assert len(model.trainable_weights) == 1 and model.predict(X, verbose=0).shape == (32, 3)
