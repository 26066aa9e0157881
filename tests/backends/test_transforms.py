"""State written inside a transform is kept, on every backend."""

from __future__ import annotations

import numpy as np

from nyala import backends, ops
from nyala.base.variable import Variable


def _pair() -> tuple[Variable, Variable]:
    return Variable(np.array([1.0, 2.0], "float32")), Variable(np.zeros((), "float32"))


def test_value_and_grad_keeps_writes_and_tells_what_is_unused(backend):
    w, count = _pair()
    unused = Variable(np.ones(2, "float32"))

    def loss(x):
        count.assign(count + 1.0)
        return ops.sum(ops.square(w.value * x)), {"w": w.value * 1.0}

    run = backends.current().value_and_grad(loss, [w, unused], has_aux=True)
    (value, aux), gradients = run(ops.convert_to_tensor([3.0, 1.0]))
    assert float(value) == 13.0
    np.testing.assert_allclose(ops.convert_to_numpy(gradients[0]), [18.0, 4.0])
    assert gradients[1] is None
    np.testing.assert_allclose(ops.convert_to_numpy(aux["w"]), [1.0, 2.0])
    assert float(count.numpy()) == 1.0


def _step(w, count):
    def step(x, scale=1.0):
        def loss():
            count.assign(count + 1.0)
            return ops.sum(ops.square(w.value * x)) * scale

        value, (gradient,) = backends.of(x).value_and_grad(loss, [w])()
        w.assign(w.value - gradient * 0.1)
        return {"loss": value, "scale": scale}

    return step


def test_compile_is_the_function(backend):
    w, count = _pair()
    v, n = _pair()
    x = ops.convert_to_tensor([1.0, 0.5])
    compiled, plain = backends.current().compile(_step(w, count), [w]), _step(v, n)
    for scale in (1.0, 2.0, 1.0):
        got, want = compiled(x, scale=scale), plain(x, scale=scale)
        np.testing.assert_allclose(float(got["loss"]), float(want["loss"]), rtol=1e-6)
        assert float(got["scale"]) == scale
    np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-6)
    assert float(count.numpy()) == 3.0


def test_compile_loop_is_a_loop(backend):
    w, count = _pair()
    v, n = _pair()
    xs = np.linspace(0, 1, 8, dtype="float32").reshape(4, 2)
    out = backends.current().compile_loop(_step(w, count))(ops.convert_to_tensor(xs))
    for x in xs:
        want = _step(v, n)(ops.convert_to_tensor(x))
    np.testing.assert_allclose(float(out["loss"]), float(want["loss"]), rtol=1e-5)
    np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-6)
    assert float(count.numpy()) == 4.0


def _counted(count, value):
    count.assign(count + 1.0)
    return value


def _cond(x, count):
    return ops.cond(ops.sum(x) > 1.0, lambda: _counted(count, x * 2.0), lambda: x)


def _while(x, count):
    return ops.while_loop(lambda y: ops.sum(y) < 20.0, lambda y: (_counted(count, y * 2.0),), (x,))[0]


def _fori(x, count):
    return ops.fori_loop(0, 3, lambda i, y: _counted(count, y + 1.0), x)


def _scan(x, count):
    return ops.scan(lambda c, y: (c + y, _counted(count, c)), ops.sum(x) * 0.0, x)[1]


def _vectorized(x, count):
    return ops.vectorized_map(lambda y: y * y, x)


CONTROL = {
    # name: function of [1, 2], its result, how often it counts
    "cond": (_cond, [2.0, 4.0], 1),
    "while_loop": (_while, [8.0, 16.0], 3),
    "fori_loop": (_fori, [4.0, 5.0], 3),
    "scan": (_scan, [0.0, 1.0], 2),
    "vectorized_map": (_vectorized, [1.0, 4.0], 0),
}


def test_control_flow_keeps_writes(backend):
    for fn, result, times in CONTROL.values():
        for compiled in (False, True):
            count = Variable(np.zeros((), "float32"))

            def run(x, fn=fn, count=count):
                return fn(x, count)

            call = backends.current().compile(run) if compiled else run
            np.testing.assert_allclose(ops.convert_to_numpy(call(ops.convert_to_tensor([1.0, 2.0]))), result)
            assert float(count.numpy()) == times, (fn.__name__, compiled)
