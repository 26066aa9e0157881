"""What only JAX does: donated buffers, discovery of variables, retracing."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from nyala import backends, ops
from nyala.base.scope import python_state
from nyala.base.variable import Variable


@pytest.fixture
def jx():
    with backends.backend_scope("jax") as found:
        yield found


def test_what_a_user_holds_survives_the_step(jx):
    v = Variable(np.ones(3, "float32"))
    held = v.value
    step = jx.compile(lambda: (v.assign(v + 1.0), v.value)[1])
    out = step()
    step()
    np.testing.assert_allclose(held, 1.0)
    np.testing.assert_allclose(out, 2.0)
    np.testing.assert_allclose(v.numpy(), 3.0)


def test_two_variables_of_one_array(jx):
    a, b = Variable(np.ones(2, "float32")), Variable(np.ones(2, "float32"))
    shared = ops.convert_to_tensor([5.0, 6.0])
    a.assign(shared)
    b.assign(shared)
    step = jx.compile(lambda: (a.assign(a + 1.0), b.assign(b + a), None)[2])
    step()
    step()
    np.testing.assert_allclose(a.numpy(), [7, 8])
    np.testing.assert_allclose(b.numpy(), [18, 21])
    np.testing.assert_allclose(shared, [5, 6])


def test_a_value_returned_and_assigned_is_not_donated(jx):
    v, w = Variable(np.zeros(2, "float32")), Variable(np.ones(2, "float32"))

    def step(x):
        v.assign(x)
        return x, v.value, w.value

    x = ops.convert_to_tensor([1.0, 2.0])
    compiled = jx.compile(step)
    outs = compiled(x)
    jx.compile(lambda: (w.assign(w + 1.0), None)[1])()
    compiled(x * 3.0)
    for out, want in zip(outs, ([1, 2], [1, 2], [1, 1])):
        np.testing.assert_allclose(out, want)


def test_python_state_traces_anew(jx):
    v = Variable(np.ones((), "float32"))
    traces = []

    def step(x):
        traces.append(v.trainable)
        return x * (2.0 if v.trainable else 3.0)

    compiled, x = jx.compile(step), ops.convert_to_tensor(1.0)
    assert float(compiled(x)) == float(compiled(x)) == 2.0
    assert len(traces) == 1
    v.trainable = False
    assert float(compiled(x)) == 3.0
    python_state.changed()
    assert float(compiled(x)) == 3.0


def test_another_shape_may_write_other_variables(jx):
    a, b = Variable(np.zeros((), "float32")), Variable(np.zeros((), "float32"))

    def step(x):
        (a if x.shape[0] == 2 else b).assign(ops.sum(x))

    compiled = jx.compile(step)
    for n in (2, 3, 2):
        compiled(np.ones(n, "float32") * n)
    assert (float(a.numpy()), float(b.numpy())) == (4.0, 9.0)


def test_a_lost_write_is_an_error(jx):
    v = Variable(np.zeros((), "float32"))
    with pytest.raises(RuntimeError, match="variable"):
        jax.jit(lambda x: (v.assign(x), x)[1])(1.0)


def test_jax_functions_take_variables() -> None:
    import jax.numpy as jnp

    variable = Variable(np.ones((2, 3), "float32"), backend="jax")
    assert jnp.matmul(jnp.ones((4, 2)), variable).shape == (4, 3)
    assert float(jnp.sum(jnp.tanh(variable))) == pytest.approx(6 * np.tanh(1))
    assert float(jax.grad(lambda w: jnp.sum(w**2))(variable)[0, 0]) == 2.0


def test_a_jax_function_on_a_symbolic_tensor_says_what_to_do() -> None:
    import jax.numpy as jnp

    import nyala as keras

    with keras.backend_scope("jax"), pytest.raises(TypeError, match=r"nyala\.ops.*Lambda"):
        jnp.tanh(keras.Input((3,)))
