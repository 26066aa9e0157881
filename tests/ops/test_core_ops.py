"""Conversion, casts and control flow."""

from __future__ import annotations

import numpy as np
import pytest

from nyala import backends, ops
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def test_casts(backend):
    assert numpy(ops.cast(np.array([1.7, -1.7]), "int32")).tolist() == [1, -1]
    assert numpy(ops.saturate_cast(np.array([300.0, -5.0]), "uint8")).tolist() == [255, 0]
    assert numpy(ops.saturate_cast(np.array([3e9, -3e9], "float32"), "int32")).tolist() == [2**31 - 1, -(2**31)]
    assert ops.dtype(ops.convert_to_tensor([1, 2])) == "int32"
    assert ops.dtype(ops.convert_to_tensor([1.0, 2])) == "float32"
    assert ops.dtype(ops.convert_to_tensor(np.ones(2, "float32"), "float16")) == "float16"
    with pytest.raises(ValueError, match="sparse"):
        ops.convert_to_tensor([1], sparse=True)


def test_is_tensor_and_shape(backend):
    x = ops.convert_to_tensor(np.ones((2, 3)))
    assert ops.is_tensor(x) and not ops.is_tensor(np.ones(2)) and not ops.is_tensor(SymbolicTensor((2,)))
    assert tuple(ops.shape(x)) == (2, 3) and ops.shape(SymbolicTensor((None, 3))) == (None, 3)
    assert [numpy(v).tolist() for v in ops.unstack(np.arange(6).reshape(2, 3), axis=1)] == [[0, 3], [1, 4], [2, 5]]


def test_cond_and_switch(backend):
    x = ops.convert_to_tensor(3.0)
    for flag in (True, False):
        assert numpy(ops.cond(ops.convert_to_tensor(flag), lambda: x, lambda: -x)) == (3 if flag else -3)
    branches = [lambda v: v, lambda v: v * 2.0, lambda v: v * 3.0]
    assert [float(numpy(ops.switch(i, branches, x))) for i in (-1, 0, 1, 2, 9)] == [3, 3, 6, 9, 9]
    symbolic = ops.switch(SymbolicTensor((), "int32"), [*branches, lambda v: -v], SymbolicTensor((None, 3)))
    assert symbolic.shape == (None, 3)


def test_loops(backend):
    assert numpy(ops.while_loop(lambda v: v < 10, lambda v: v * 2, 1)) == 16
    assert numpy(ops.while_loop(lambda v: v < 10, lambda v: v * 2, 1, maximum_iterations=2)) == 4
    i, total = ops.while_loop(lambda i, t: i < 4, lambda i, t: (i + 1, t + i), (0, 0))
    assert (numpy(i), numpy(total)) == (4, 6)
    assert numpy(ops.fori_loop(1, 5, lambda i, v: v + i, 0)) == 10


@pytest.mark.parametrize("reverse", [False, True])
def test_scans(backend, reverse):
    xs = np.arange(1.0, 6.0, dtype="float32")
    last, ys = ops.scan(lambda c, x: (c + x, c * x), np.float32(0), xs, reverse=reverse)
    carry, want = 0.0, []
    for x in xs[::-1] if reverse else xs:
        want.append(carry * x)
        carry += x
    np.testing.assert_allclose(numpy(ys), want[::-1] if reverse else want)
    assert numpy(last) == 15
    sums = ops.associative_scan(lambda a, b: a + b, xs, reverse=reverse)
    np.testing.assert_allclose(numpy(sums), np.cumsum(xs[::-1])[::-1] if reverse else np.cumsum(xs))


def test_maps(backend):
    x = np.arange(6, dtype="float32").reshape(3, 2)
    for fn in (ops.map, ops.vectorized_map):
        np.testing.assert_allclose(numpy(fn(lambda row: ops.sum(row * row), x)), (x * x).sum(1))


def test_gradients_cut_and_given(backend):
    found = backends.current()
    x = found.convert(np.array([2.0, 3.0], "float32"))
    _, (g,) = found.grad(lambda x: ops.sum(x * ops.stop_gradient(x)), [x])
    np.testing.assert_allclose(numpy(g), [2, 3])

    @ops.custom_gradient
    def twice(x):
        return x * 2.0, lambda upstream: upstream * 10.0

    value, (g,) = found.grad(lambda x: ops.sum(twice(x)), [x])
    assert numpy(value) == 10
    np.testing.assert_allclose(numpy(g), [10, 10])


def test_control_flow_of_symbolic_tensors(backend):
    x = SymbolicTensor((3, 2))
    assert ops.vectorized_map(lambda row: ops.sum(row), x).shape == (3,)
    carry, ys = ops.scan(lambda c, row: (c + row, row[0]), np.zeros(2, "float32"), x)
    assert carry.shape == (2,) and ys.shape == (3,)


def test_vectorize(backend):
    a, b = np.arange(6, dtype="float32").reshape(2, 3), np.arange(3, dtype="float32")
    for fn, kwargs, args, want in (
        (lambda x, y: x * y, {}, (a, b), a * b),
        (lambda x, y: x * y, {}, (a, 2.0), a * 2),
        (lambda x, y: x + ops.sum(ops.convert_to_tensor(y)), {"excluded": {1}}, (a, b), a + b.sum()),
        (lambda x, y: ops.sum(x * y), {"signature": "(n),(n)->()"}, (a, b), a @ b),
        (ops.matmul, {"signature": "(m,n),(n)->(m)"}, (np.stack([a, a + 1]), b), np.stack([a @ b, (a + 1) @ b])),
        (ops.square, {}, (3.0,), 9),
    ):
        np.testing.assert_allclose(numpy(ops.vectorize(fn, **kwargs)(*args)), want, rtol=1e-6)
    with pytest.raises(ValueError, match="signature"):
        ops.vectorize(lambda x: x, signature="n->n")(a)


def test_jvp(backend):
    x, t = np.array([0.1, 0.5], "float32"), np.array([1.0, -2.0], "float32")
    out, tangent = ops.jvp(ops.sin, (x,), (t,))
    np.testing.assert_allclose(numpy(out), np.sin(x), rtol=1e-5)
    np.testing.assert_allclose(numpy(tangent), np.cos(x) * t, rtol=1e-5)
    counter = Variable(np.float32(0), trainable=False)

    def fn(pair, z):
        counter.assign_add(1.0)
        return {"y": pair[0] * pair[1] + z}, pair[0]

    out, tangent, aux = ops.jvp(fn, ((x, t), 2.0), ((t, x), 1.0), has_aux=True)
    np.testing.assert_allclose(numpy(tangent["y"]), t * t + x * x + 1, rtol=1e-5)
    np.testing.assert_allclose(numpy(out["y"]), x * t + 2, rtol=1e-5)
    assert (numpy(aux) == x).all() and numpy(counter) == 1
    with pytest.raises(ValueError, match="equally many"):
        ops.jvp(ops.sin, (x,), ())


def test_sparse_tensors_of_tensorflow():
    import tensorflow as tf

    with backends.backend_scope("tensorflow"):
        sparse = tf.sparse.from_dense([[0, 2], [3, 0]])
        out = ops.matmul(ops.transpose(ops.cast(sparse, "float32")), np.eye(2, dtype="float32"))
        np.testing.assert_array_equal(out, [[0, 3], [2, 0]])
        with pytest.raises(TypeError, match="SparseTensor"):
            ops.exp(sparse)
        counts = tf.function(lambda n: ops.tile(np.ones((1, 2)), n), input_signature=[tf.TensorSpec((2,), "int32")])
        assert counts(tf.constant([2, 3])).shape == (2, 6)
