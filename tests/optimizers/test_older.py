"""Optimizers that programs define in the manners of older Keras: they make the steps of the built-in one they repeat."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import backend as K
from nyala import layers, ops, optimizers
from nyala.base import naming

pytestmark = pytest.mark.filterwarnings("ignore::nyala.base.old.OldSpelling")


class Keras2Adam(optimizers.Optimizer):
    def __init__(self, learning_rate: float = 0.25, beta_1: float = 0.9, beta_2: float = 0.999, **kwargs: Any):
        super().__init__(**kwargs)
        with K.name_scope(type(self).__name__):
            self.iterations = K.variable(0, dtype="int64", name="iterations")
            self.learning_rate = K.variable(learning_rate, name="learning_rate")
            self.beta_1, self.beta_2 = K.variable(beta_1), beta_2

    def get_updates(self, loss: Any, params: Any) -> Any:
        grads = self.get_gradients(loss, params)
        self.updates = [K.update_add(self.iterations, 1)]
        t = K.cast(self.iterations, K.floatx()) + 1  # of the step before: the update comes later
        rate = self.lr * K.sqrt(1.0 - K.pow(self.beta_2, t)) / (1.0 - K.pow(self.beta_1, t))
        ms = [K.zeros(K.int_shape(p), dtype=K.dtype(p), name=f"m_{i}") for i, p in enumerate(params)]
        vs = [K.variable(np.zeros_like(K.get_value(p))) for p in params]
        self.weights = [self.iterations, *ms, *vs]
        for p, g, m, v in zip(params, grads, ms, vs):
            m_t = self.beta_1 * m + (1.0 - self.beta_1) * g
            v_t = self.beta_2 * v + (1.0 - self.beta_2) * K.square(g)
            self.updates.append(K.update(p, p - rate * m_t / (K.sqrt(v_t) + 1e-7)))
            self.updates += [K.update(m, m_t), K.update(v, v_t)]
        return self.updates

    def get_config(self) -> Any:
        return {**super().get_config(), "learning_rate": float(K.get_value(self.learning_rate))}


class Keras1SGD(optimizers.Optimizer):
    def __init__(self, lr: float = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        self.__dict__.update(locals())
        self.iterations = K.variable(0.0)
        self.lr = K.variable(lr)

    def get_updates(self, params: Any, constraints: Any, loss: Any) -> Any:
        moments = [K.zeros(K.get_variable_shape(p)) for p in params]
        for p, g, m in zip(params, self.get_gradients(loss, params), moments):
            v = 0.9 * m - self.lr * g
            self.updates.append(K.update(m, v))
            self.updates.append(K.update(p, constraints[p](p + v) if p in constraints else p + v))
        return self.updates


class Slow(optimizers.Optimizer):
    """Wraps another one, whose rate it changes by the name of the variable."""

    def __init__(self, optimizer: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.optimizer = optimizers.get(optimizer)

    @property
    def lr(self) -> Any:
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: Any) -> None:
        self.optimizer.lr = value

    def get_config(self) -> Any:
        return {**super().get_config(), "optimizer": optimizers.serialize(self.optimizer)}

    def get_updates(self, loss: Any, params: Any) -> Any:
        rate = self.optimizer.lr
        for p in params:
            self.optimizer.lr = rate * (0.5 if p.name.startswith("dense/bias:0") else 1.0)
            self.updates += self.optimizer.get_updates(loss, [p])
        self.optimizer.lr = rate
        return self.updates


class OwnRate(optimizers.Optimizer):
    """Computes its rate."""

    def __init__(self, lr: float = 0.25, **kwargs: Any):
        super().__init__(**kwargs)
        self._learning_rate = lr

    @property
    def learning_rate(self) -> Any:
        return self._learning_rate / (K.cast(self.iterations, "float32") * 0.0 + 1.0)

    def get_updates(self, loss: Any, params: Any) -> Any:
        for p, g in zip(params, self.get_gradients(loss, params)):
            self.updates.append(K.update(p, p - self.learning_rate * g))
        return self.updates


class Halved(optimizers.SGD):
    """Changes what its parent assigns, by a function of its own in the place of K.update."""

    def get_updates(self, loss: Any, params: Any) -> Any:
        K = sys.modules["keras.backend"]
        update = K.update
        K.update = lambda x, new: update(x, x + (new - x) * 0.5 if any(x is p for p in params) else new)
        try:
            return super().get_updates(loss, params)
        finally:
            K.update = update


class TF2Adam(optimizers.Optimizer):
    def __init__(self, learning_rate: Any = 0.25, name: str = "TF2Adam", **kwargs: Any):
        super().__init__(name, **kwargs)
        self._set_hyper("learning_rate", kwargs.get("lr", learning_rate))
        self._set_hyper("beta_1", 0.9)

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            self.add_slot(var, "m")
            self.add_slot(var, "v", initializer="zeros")

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        import tensorflow as tf

        dtype = var.dtype.base_dtype
        rate = ((apply_state or {}).get((var.device, dtype)) or self._fallback_apply_state(var.device, dtype))["lr_t"]
        m, v, b = self.get_slot(var, "m"), self.get_slot(var, "v"), self._get_hyper("beta_1", dtype)
        t = tf.cast(self.iterations + 1, dtype)
        m_t = m.assign(b * m + (1.0 - b) * grad, use_locking=self._use_locking)
        v_t = v.assign(0.999 * v + 0.001 * tf.square(grad))
        step = rate * tf.sqrt(1.0 - 0.999**t) / (1.0 - b**t) * m_t / (tf.sqrt(v_t) + 1e-7)
        return tf.group(var.assign_sub(step), m_t, v_t)

    def get_config(self) -> Any:
        return {**super().get_config(), "learning_rate": self._serialize_hyperparameter("learning_rate")}


class Clipping(optimizers.Adam):
    """As AdamWeightDecay is written: on top of Adam's own rule."""

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        return super()._resource_apply_dense(grad, var, apply_state=apply_state)

    def apply_gradients(self, grads_and_vars: Any, name: Any = None, **kwargs: Any) -> Any:
        return super().apply_gradients([(ops.clip(g, -1.0, 1.0), v) for g, v in grads_and_vars], name, **kwargs)


class TF211Adam(optimizers.Optimizer):
    def __init__(self, learning_rate: Any = 0.25, name: str = "TF211Adam", weight_decay: Any = None, **kwargs: Any):
        super().__init__(name=name, weight_decay=weight_decay, jit_compile=True, **kwargs)
        self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, var_list: Any) -> None:
        super().build(var_list)
        if hasattr(self, "_built") and self._built:
            return
        self._built = True
        self._m = [self.add_variable_from_reference(model_variable=v, variable_name="m") for v in var_list]
        self._v = [self.add_variable_from_reference(model_variable=v, variable_name="v") for v in var_list]

    def update_step(self, gradient: Any, variable: Any) -> None:
        t, i = K.cast(self.iterations, "float32") + 1, self._index_dict[self._var_key(variable)]
        self._m[i].assign_add((gradient - self._m[i]) * 0.1)
        self._v[i].assign_add((ops.square(gradient) - self._v[i]) * 0.001)
        rate = self.learning_rate * ops.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        variable.assign_sub(self._m[i] * rate / (ops.sqrt(self._v[i]) + 1e-7))

    def get_config(self) -> Any:
        return {**super().get_config(), "learning_rate": self._serialize_hyperparameter(self._learning_rate)}


SCHEDULE = optimizers.schedules.ExponentialDecay(0.25, 2, 0.5)
CASES = {
    "keras2": (lambda: Keras2Adam(clipnorm=0.5), lambda: optimizers.Adam(0.25, clipnorm=0.5)),
    "keras1": (Keras1SGD, lambda: optimizers.SGD(0.25, momentum=0.9)),
    "keras2-own-rate": (OwnRate, lambda: optimizers.SGD(0.25)),
    "keras2-on-top": (lambda: Halved(0.5, momentum=0.9), lambda: optimizers.SGD(0.5, momentum=0.9)),
    "wrapped": (lambda: Slow("adam"), lambda: optimizers.Adam()),
    "tf2": (lambda: TF2Adam(lr=0.25, decay=0.5), lambda: optimizers.Adam(0.25, decay=0.5)),
    "tf2-schedule": (lambda: TF2Adam(SCHEDULE), lambda: optimizers.Adam(SCHEDULE)),
    "tf2-builtin": (lambda: Clipping(0.25), lambda: optimizers.Adam(0.25, clipvalue=1.0)),
    "tf2-scaled": (
        lambda: optimizers.LossScaleOptimizer(TF2Adam(), initial_scale=1.0),
        lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.25), initial_scale=1.0),
    ),
    "tf211": (lambda: TF211Adam(weight_decay=0.1), lambda: optimizers.Adam(0.25, weight_decay=0.1)),
}
ON_TENSORFLOW = {name for name in CASES if name.startswith("tf2-") or name == "tf2"}


@pytest.mark.parametrize("name", CASES)
def test_steps_as_the_built_in_one(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras.backend", K)

    def steps(optimizer: Any) -> Any:
        with naming.scope("dense"):
            kernel = nyala.Variable(np.ones((2, 3), "float32"), name="kernel")
            bias = nyala.Variable(np.ones(3, "float32"), name="bias")
        kernel.constraint = nyala.constraints.NonNeg()
        rng = np.random.default_rng(0)
        for _ in range(4):
            optimizer.apply([rng.normal(size=v.shape).astype("float32") for v in (kernel, bias)], [kernel, bias])
        return [kernel.numpy(), bias.numpy()]

    make, builtin = CASES[name]
    mine = make()
    if name in ON_TENSORFLOW and backend != "tensorflow":
        with pytest.raises(NotImplementedError, match=r"define update_step"):
            steps(mine)
        return
    (kernel, bias), wanted = steps(mine), steps(builtin())
    if name == "wrapped":
        bias = 1 + (bias - 1) * 2  # half the rate; Adam's steps go with it
    if name == "keras2-on-top":
        bias, kernel = 1 + (bias - 1) * 2, wanted[0]  # not the kernel's: it is kept from below 0
    np.testing.assert_allclose(kernel, wanted[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias, wanted[1], rtol=1e-4, atol=1e-5)
    assert int(mine.iterations) == 4
    if type(mine).get_config is not optimizers.Optimizer.get_config and name != "wrapped" and "scaled" not in name:
        assert type(mine).from_config(mine.get_config()).get_config() == mine.get_config()


def test_one_in_another_goes_on_from_a_file(backend: str, tmp_path: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.ones((8, 1))
    model = nyala.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile(Slow(Slow("adam")), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.keras")
    again = nyala.models.load_model(tmp_path / "m.keras", custom_objects={"Slow": Slow})
    for m in (model, again):
        m.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert (
        int(again.optimizer.optimizer.optimizer.iterations) == int(model.optimizer.optimizer.optimizer.iterations) == 4
    )
    np.testing.assert_allclose(again.get_weights()[0], model.get_weights()[0], rtol=1e-6)


def test_in_a_compiled_step(backend: str, tmp_path: Any) -> None:
    """Trained by fit, its rate set by a callback, its state saved and read."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = x @ rng.normal(size=(4, 1)).astype("float32")
    found = []
    for optimizer in (Keras2Adam(0.0625), optimizers.Adam(0.0625)):
        nyala.utils.set_random_seed(0)
        model = nyala.Sequential([layers.Input((4,)), layers.Dense(1)])
        model.compile(optimizer, "mse")
        slower = nyala.callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2)
        model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[slower])
        if isinstance(optimizer, Keras2Adam):
            model.save(tmp_path / "m.keras")
            model = nyala.models.load_model(tmp_path / "m.keras", custom_objects={"Keras2Adam": Keras2Adam})
            assert len(model.optimizer.get_weights()) == 5 and float(K.get_value(model.optimizer.lr)) == 0.015625
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_what_cannot_be() -> None:
    with pytest.raises(NotImplementedError, match=r"value_and_grad and apply"):
        optimizers.SGD().get_gradients(ops.ones(()), [])
    early = Keras2Adam()
    early.due = K.equal(early.iterations % 2, 0)
    with pytest.raises(ValueError, match=r"`due` was computed when the optimizer was made"):
        early.build([nyala.Variable(np.ones(2, "float32"))])
