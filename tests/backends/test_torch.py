"""What is particular to the torch backend."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nyala import backends, ops
from nyala.backends.base import TensorSpec
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor


@pytest.fixture(autouse=True)
def scope(pytestconfig):
    chosen = pytestconfig.getoption("--backend")
    if chosen and "torch" not in chosen:
        pytest.skip("another backend was asked for")
    with backends.backend_scope("torch") as backend:
        yield backend


def variable(value, **kwargs):
    return Variable(np.asarray(value, "float32"), **kwargs)


def test_backward_leaves_the_gradient_at_the_value():
    w = variable([1.0, 2.0])
    (w.value**2).sum().backward()
    np.testing.assert_allclose(w.value.grad, [2.0, 4.0])
    assert w.grad is w.value.grad and w.requires_grad


def test_functions_of_torch_take_variables():
    w = variable([0.5, 1.0])
    np.testing.assert_allclose(torch.tanh(w).detach(), np.tanh([0.5, 1.0]), rtol=1e-6)
    assert torch.stack([w, w]).shape == (2, 2)
    assert (torch.ones(2) + w).tolist() == [1.5, 2.0]


def test_functions_of_torch_record_symbolic_tensors():
    y = torch.nn.functional.pad(SymbolicTensor((None, 3)), (1, 1))
    assert isinstance(y, SymbolicTensor) and y.shape == (None, 5) and y.node is not None


def test_kernels_are_channels_last_to_torch():
    kernel = variable(np.arange(3 * 3 * 2 * 4).reshape(3, 3, 2, 4))
    assert kernel.value.permute(3, 2, 0, 1).is_contiguous(memory_format=torch.channels_last)
    x = torch.ones(2, 8, 8, 2)
    assert ops.conv(x, kernel).is_contiguous()


@pytest.mark.parametrize(("decay", "amsgrad"), [(None, False), (0.01, False), (None, True)])
def test_fused_adam_is_keras_adam_on_a_kernel(decay, amsgrad):
    import keras

    from nyala.optimizers.adam import Adam

    rng = np.random.default_rng(0)
    first = [rng.normal(size=s).astype("float32") for s in ((3, 3, 2, 4), (4, 3))]
    ours = [variable(v) for v in first]
    theirs = [keras.Variable(v) for v in first]
    settings = {"learning_rate": 0.01, "weight_decay": decay, "amsgrad": amsgrad}
    optimizer, oracle = Adam(**settings), keras.optimizers.Adam(**settings)
    for _ in range(5):
        gradients = [rng.normal(size=v.shape).astype("float32") for v in first]
        # Contiguous gradients, so their strides are not those of the kernel.
        optimizer.apply([torch.from_numpy(g) for g in gradients], ours)
        oracle.apply(gradients, theirs)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.numpy(), np.asarray(b), rtol=1e-5, atol=1e-6)


def test_variables_made_in_an_abstract_evaluation_are_real(scope):
    made = []

    def build(x):
        made.append(variable(np.ones((3, 2))))
        return ops.matmul(x, made[0])

    assert scope.abstract(build, (TensorSpec((5, 3), "float32"),)) == TensorSpec((5, 2), "float32")
    np.testing.assert_array_equal(made[0].numpy(), np.ones((3, 2)))


def test_shapes_that_depend_on_values_name_the_op(scope):
    with pytest.raises(ValueError, match="nonzero"):
        scope.abstract(lambda x: torch.nonzero(x), (TensorSpec((4,), "float32"),))


def test_writes_wait_for_the_gradient(scope):
    w, mean = variable([1.0, 2.0]), variable([0.0, 0.0], trainable=False)

    def loss():
        mean.assign(mean.value + w.value)
        return ops.sum(w.value * mean.value)

    value, (gradient, none) = scope.value_and_grad(loss, [w, variable([3.0])])()
    assert none is None and not value.requires_grad and not mean.value.requires_grad
    np.testing.assert_allclose(gradient, [2.0, 4.0])
    np.testing.assert_allclose(mean.numpy(), [1.0, 2.0])


def test_variables_written_together_swap(scope):
    a, b = variable([1.0]), variable([2.0])

    def swap():
        first = a.value
        a.assign(b.value)
        b.assign(first)
        return ops.sum(a.value)

    scope.value_and_grad(swap, [])()
    assert (a.numpy(), b.numpy()) == ([2.0], [1.0])


def test_gradients_of_gradients(scope):
    w = variable([2.0])

    def outer():
        _, (inner,) = scope.value_and_grad(lambda: ops.sum(w.value**3), [w])()
        return ops.sum(inner * inner)

    _, (gradient,) = scope.value_and_grad(outer, [w])()
    np.testing.assert_allclose(gradient, [2 * 3 * 4 * 12.0])  # d (3 w^2)^2 = 2 * 3 w^2 * 6 w


def test_thin_integers_take_the_wide_way():
    x = np.array([1, 2, 2**32 - 1], "uint32")
    out = ops.add(ops.convert_to_tensor(x), ops.convert_to_tensor(x))
    assert out.dtype is torch.uint32
    np.testing.assert_array_equal(ops.convert_to_numpy(out), x + x)


def test_frozen_variables_get_gradients_when_asked(scope):
    w = variable([3.0], trainable=False)
    _, (gradient,) = scope.value_and_grad(lambda: ops.sum(w.value**2), [w])()
    np.testing.assert_allclose(gradient, [6.0])
