"""``nyala.distribution``: shapes and names here, training on four devices in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import keras as oracle
import numpy as np
import pytest

import nyala as keras
from nyala import backends, distribution

PROGRAM = '''
import jax
import numpy as np

import nyala as keras
from nyala import distribution, layers

X = np.random.default_rng(0).normal(size=(37, 4)).astype("float32")


def run():
    """The last batches are smaller, and no multiple of the devices."""
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(8, "relu", name="first"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(3)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(keras.optimizers.Adam(1e-2), "mse", metrics=["mae"])
    history = model.fit(X, X[:, :3], batch_size=12, epochs=3, verbose=0, validation_data=(X, X[:, :3])).history
    slots = [v.numpy() for v in model.optimizer.variables]
    return model, (history, model.evaluate(X, X[:, :3], verbose=0), model.predict(X, verbose=0), model.get_weights(), slots)


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


assert distribution.list_devices() == ["cpu:0", "cpu:1", "cpu:2", "cpu:3"] and distribution.get_device_count("gpu") == 0
_, want = run()

data = distribution.DataParallel()
distribution.set_distribution(data)
model, got = run()
same(got, want)
assert len(model.layers[0].kernel.value.sharding.device_set) == 4
distribution.set_distribution(None)

mesh = distribution.DeviceMesh((2, 2), ["batch", "model"])
layouts = distribution.LayoutMap(mesh)
layouts[".*first/kernel"] = (None, "model")
layouts[".*first/bias"] = ("model",)
with distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch").scope():
    model, got = run()
same(got, want)
kernel = model.layers[0].kernel
assert [s.data.shape for s in kernel.value.addressable_shards] == [(4, 4)] * 4
assert model.optimizer._slots["momentums"][0].value.sharding == kernel.value.sharding
kernel.assign(np.ones((4, 8), "float32"))
assert kernel.value.addressable_shards[0].data.shape == (4, 4)

cut = distribution.distribute_tensor(np.ones((4, 2)), distribution.TensorLayout(("batch", None), mesh))
assert cut.addressable_shards[0].data.shape == (2, 2)
jax.jit(lambda x: distribution.distribute_tensor(x, distribution.TensorLayout(("batch", "model"), mesh)))(np.ones((4, 2)))
'''


def test_four_devices_give_what_one_gives(pytestconfig):
    if "jax" not in (pytestconfig.getoption("--backend") or ["jax"]):
        pytest.skip("another backend was asked for")
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


def _described(module):
    mesh = module.DeviceMesh((1,), ["batch"], ["cpu:0"])
    data = module.DataParallel(devices=["cpu:0"])
    layouts = module.LayoutMap(mesh)
    layouts["dense.*kernel"] = ("batch", None)
    return [
        repr(mesh),
        repr(data),
        data.batch_dim_name,
        repr(data.get_data_layout((4, 3))),
        repr(data.get_variable_layout(np.ones((2, 3)))),
        data.get_tensor_layout("x"),
        [layouts[k] and layouts[k].axes for k in ("dense_1/kernel", "model/dense_1/kernel", "dense_1/kernel/x")],
        layouts["other"],
        list(layouts),
        repr(module.TensorLayout(("batch", None), mesh)),
        module.list_devices(),
        module.distribution(),
    ]


def test_objects_are_those_of_keras():
    with backends.backend_scope("jax"):
        assert _described(distribution) == _described(oracle.distribution)


def test_names_are_those_of_keras():
    assert set(distribution.__all__) == {n for n in dir(oracle.distribution) if not n.startswith("_")}


def test_what_does_not_go_together_is_refused():
    mesh = distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    layouts = distribution.LayoutMap(mesh)
    layouts["a.*"] = layouts[".*b"] = ("batch",)
    for call, says in (
        (lambda: distribution.DeviceMesh((2,), ["batch"], ["cpu:0"]), "2 devices"),
        (lambda: distribution.DeviceMesh((1, 1), ["batch"], ["cpu:0"]), "axis_names"),
        (lambda: distribution.TensorLayout(("model",), mesh), "'model' is no axis"),
        (lambda: layouts["ab"], "several keys"),
        (lambda: layouts.__setitem__("a.*", ("batch",)), "already"),
        (lambda: distribution.ModelParallel(layout_map=layouts, batch_dim_name="model"), "batch_dim_name"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


@pytest.mark.parametrize(("name", "says"), [("torch", "to_backend"), ("tensorflow", "MirroredStrategy")])
def test_other_backends_say_what_to_do(name, says, pytestconfig):
    if name not in (pytestconfig.getoption("--backend") or [name]):
        pytest.skip("another backend was asked for")
    mesh = distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    with backends.backend_scope(name), pytest.raises(NotImplementedError, match=says):
        keras.distribution.set_distribution(keras.distribution.DataParallel(mesh))
