"""What is particular to TensorFlow: its tapes, functions and data over our variables and symbolic tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from nyala import backends, ops
from nyala.base.scope import StateScope
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest) -> Iterator[backends.Backend]:
    if "tensorflow" not in (request.config.getoption("--backend") or ["tensorflow"]):
        pytest.skip("another backend was asked for")
    with backends.backend_scope("tensorflow") as found:
        yield found


def variable(*values: float) -> Variable:
    return Variable(np.array(values, "float32"))


# -- TF's functions over our variables ---------------------------------------------------------------------------------


def test_tape_takes_variables_as_sources():
    v, w = variable(1, 2), variable(3, 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(v * w) + tf.reduce_sum(tf.square(v))
    gradients = tape.gradient(loss, {"v": v, "w": [w]})
    np.testing.assert_array_equal(gradients["v"], [5, 8])
    np.testing.assert_array_equal(gradients["w"][0], [1, 2])


def test_tape_watches_chosen_variables():
    v, w = variable(1, 2), variable(3, 4)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v])
        loss = tf.reduce_sum(v * w)
    dv, dw = tape.gradient(loss, [v, w])
    np.testing.assert_array_equal(dv, [3, 4])
    assert dw is None


def test_tf_functions_take_variables():
    v = Variable(np.eye(2, dtype="float32"))
    np.testing.assert_array_equal(tf.matmul(tf.constant([[1.0, 2.0]]), v), [[1, 2]])
    np.testing.assert_array_equal(tf.constant([[1.0, 2.0]]) + v, [[2, 2], [1, 3]])
    np.testing.assert_array_equal(tf.gather(v, [1]), [[0, 1]])
    np.testing.assert_array_equal(tf.stack([v, v])[1], np.eye(2))
    assert tf.cast(v, "float16").dtype == tf.float16


@pytest.mark.parametrize("jit", [False, True])
def test_tf_function_reads_writes_and_takes_variables(jit):
    v = variable(1, 2)

    @tf.function(jit_compile=jit, autograph=False)
    def step(x, scale):
        v.assign(v.value * scale)
        return tf.reduce_sum(x * v)

    assert float(step(v, 3.0)) == 3 * 3 + 6 * 6  # by reference, as a tf.Variable
    np.testing.assert_array_equal(v.numpy(), [3, 6])


def test_a_variable_made_inside_a_function_is_lifted():
    made = []

    @tf.function(autograph=False)
    def f(x):
        made.append(variable(5))
        return x * made[0].value

    assert f(tf.constant([2.0])).numpy() == [10]
    assert made[0].numpy() == [5]


def test_what_is_not_dense_is_refused():
    with pytest.raises(TypeError, match="dense"):
        ops.add(tf.sparse.from_dense([[1.0, 0.0]]), 1.0)


# -- gradients and steps -----------------------------------------------------------------------------------------------


def test_value_and_grad_makes_slices_dense(here):
    table = Variable(np.arange(6, dtype="float32").reshape(3, 2))
    other = variable(1)
    _, (g, none) = here.value_and_grad(lambda: tf.reduce_sum(tf.gather(table, [2, 2])), [table, other])()
    np.testing.assert_array_equal(g, [[0, 0], [0, 0], [2, 2]])
    assert none is None


def test_value_and_grad_by_the_values_of_a_scope(here):
    v, seen = variable(1, 2), variable(0)

    def loss():
        seen.assign([7.0])
        return tf.reduce_sum(tf.square(v.value))

    with StateScope({v: tf.constant([3.0, 4.0])}) as state:
        value, (g,) = here.value_and_grad(loss, [v])()
        assert state.read(seen).numpy() == [7]
    assert float(value) == 25
    np.testing.assert_array_equal(g, [6, 8])
    assert seen.numpy() == [0]


def test_compile_traces_once_for_each_static_argument(here):
    traces = []

    def step(x, training, names=()):
        traces.append(training)
        return {"y": x * (2.0 if training else 1.0), "names": names, "flag": training}

    compiled = here.compile(step)
    x = tf.constant([1.0, 2.0])
    for _ in range(2):
        out = compiled(x, True, names=("a",))
    assert out["flag"] is True and out["names"] == ("a",)
    np.testing.assert_array_equal(out["y"], [2, 4])
    np.testing.assert_array_equal(compiled(np.array([1.0, 2.0], "float32"), False)["y"], [1, 2])
    assert traces == [True, False]


def test_compile_loop_gives_the_last_result_and_keeps_state(here):
    total = variable(0)

    def step(pair, scale):
        x, y = pair
        total.assign_add([tf.reduce_sum(x) * y * scale])
        return {"total": total.value, "unit": "m"}

    xs = (tf.constant([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), tf.constant([1.0, 1.0, 2.0]))
    out = here.compile_loop(step)(xs, 10.0)
    assert out["total"].numpy() == [180] and out["unit"] == "m"
    assert total.numpy() == [180]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "sgdw"])
def test_fused_kernels_are_the_written_rule(here, name):
    from nyala import optimizers

    own = {"weight_decay": 0.01} if name.endswith("w") else {}
    own |= {"momentum": 0.9, "nesterov": True} if name.startswith("sgd") else {}
    cls = optimizers.Adam if name.startswith("adam") else optimizers.SGD
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype("float32")
    gradients = rng.normal(size=(5, 3, 4)).astype("float32")
    calls = []
    ends = []
    kernel = here.fused_updates[name]
    for fused in (True, False):
        weight = Variable(start)
        optimizer = cls(0.01, **own)
        optimizer.build([weight])
        if not fused:
            optimizer.fused = ""
        try:
            here.fused_updates[name] = lambda *a, **k: calls.append(kernel(*a, **k)) or calls[-1]
            for g in gradients:
                optimizer.apply([tf.constant(g)], [weight])
        finally:
            here.fused_updates[name] = kernel
        ends.append([weight.numpy(), *(v.numpy() for v in optimizer.variables)])
    assert calls == [True] * 5
    for a, b in zip(*ends):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


# -- symbolic tensors --------------------------------------------------------------------------------------------------


def run(output: SymbolicTensor, given: SymbolicTensor, value: tf.Tensor) -> tf.Tensor:
    """The value of ``output`` by the recorded nodes."""
    from nyala.graph.function import Function

    return Function([given], output).run([value])


def test_tf_functions_on_symbolic_tensors_are_recorded():
    x = SymbolicTensor((None, 6), "float32")
    b = tf.constant(np.arange(24, dtype="float32").reshape(4, 6))
    y = tf.nn.tanh(x) + tf.constant(1.0)
    y = tf.reshape(tf.matmul(y, b, transpose_b=True), (tf.shape(x)[0], -1, 4))
    y = tf.constant(2.0) * tf.concat([y, y], axis=1)
    assert isinstance(y, SymbolicTensor)
    assert y.shape == (None, 2, 4) and y.dtype == "float32"
    value = np.linspace(-1, 1, 18, dtype="float32").reshape(3, 6)
    want = 2 * np.repeat(((np.tanh(value) + 1) @ b.numpy().T)[:, None], 2, 1)
    np.testing.assert_allclose(run(y, x, tf.constant(value)), want, rtol=1e-5)


def test_a_shape_that_depends_on_values_is_refused():
    with pytest.raises(ValueError, match="depends on values"):
        ops.nonzero(SymbolicTensor((4,), "float32"))


def test_tf_data_elements_are_arguments(here):
    data = tf.data.Dataset.from_tensor_slices((np.ones((4, 2), "float32"), np.arange(4))).batch(2)
    step = here.compile(lambda x, y: ops.sum(ops.add(x, 1)) * ops.cast(ops.max(y), "float32"))
    assert [float(step(*pair)) for pair in data] == [8, 24]


# -- unknown dimensions ------------------------------------------------------------------------------------------------


def test_ops_in_a_function_with_unknown_dimensions():
    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, None, 3))])
    def f(x):
        n, t, c = ops.shape(x)
        y = ops.reshape(ops.transpose(x, (1, 0, 2)), (t, n * c))
        y = ops.concatenate([y, ops.zeros_like(y), ops.ones((t, 1))], axis=-1)
        y = ops.take(ops.flip(y, 0), [0, -1], axis=1) + ops.tril(ops.matmul(y, ops.transpose(y)))[:, :2]
        return ops.softmax(ops.sum(y, axis=1)), ops.take_along_axis(x, ops.argmax(x, axis=1, keepdims=True), axis=1)

    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    probabilities, largest = f(x)
    assert probabilities.shape == (4,)
    np.testing.assert_allclose(float(ops.sum(probabilities)), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(largest[:, 0], x.max(1))


def test_scan_and_cond_keep_what_they_write(here):
    count = Variable(np.array(0, "int32"))

    def f(xs):
        def step(carry, x):
            count.assign(count.value + 1)
            new = ops.cond(x > 0, lambda: carry + x, lambda: carry)
            return new, new * 2.0

        return ops.scan(step, tf.constant(0.0), xs)

    xs = tf.constant([1.0, -5.0, 2.0])
    for call in (f, here.compile(f)):
        total, ys = call(xs)
        assert float(total) == 3
        np.testing.assert_array_equal(ys, [2, 2, 6])
    assert int(count) == 6
    with StateScope() as state:
        tf.function(lambda: f(xs)[0], autograph=False)
        total, _ = f(xs)
        assert int(state.read(count)) == 9
    assert int(count) == 6
