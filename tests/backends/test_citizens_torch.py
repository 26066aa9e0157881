"""Programs as users of torch write them, over our layers, optimizers, losses and metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import nyala as keras
from nyala import backends, layers

RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.normal(size=(16, 4)).astype("float32"))
Y = torch.from_numpy(RNG.integers(0, 3, size=(16,)))


@pytest.fixture(autouse=True)
def here(request):
    if "torch" not in (request.config.getoption("--backend") or ["torch"]):
        pytest.skip("another backend was asked for")
    with backends.backend_scope("torch"):
        keras.utils.set_random_seed(0)
        yield


def mlp():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(3)]
    )


def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y), batch_size=4, shuffle=True)


# -- loops -------------------------------------------------------------------------------------------------------------


def test_the_guides_loop():
    model, optimizer = mlp(), keras.optimizers.Adam(1e-2)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    before = float(loss_fn(Y, model(X)))
    for _ in range(5):
        for x, y in loader():
            logits = model(x, training=True)
            loss = loss_fn(y, logits)
            model.zero_grad()
            trainable_weights = list(model.trainable_weights)
            loss.backward()
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                optimizer.apply(gradients, trainable_weights)
            accuracy.update_state(y, logits)
    assert float(loss_fn(Y, model(X))) < before and 0 < float(accuracy.result()) <= 1


def test_the_guides_custom_step():
    class Custom(keras.Model):
        def train_step(self, data):
            x, y = data
            self.zero_grad()
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
            loss.backward()
            trainable_weights = list(self.trainable_weights)
            gradients = [v.value.grad for v in trainable_weights]
            with torch.no_grad():
                self.optimizer.apply(gradients, trainable_weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    inputs = keras.Input((4,))
    model = Custom(inputs, layers.Dense(1)(inputs))
    model.compile("adam", "mse", metrics=["mae"])
    history = model.fit(X.numpy(), X.numpy()[:, :1], epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] and len(history["mae"]) == 5


def test_optimizers_and_schedules_of_torch():
    model, loss_fn = mlp(), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.9)
    seen = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_fn(model(X, training=True), Y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        seen.append(loss.item())
    assert seen[-1] < seen[0]


# -- modules -----------------------------------------------------------------------------------------------------------


def test_a_layer_as_a_module():
    model = mlp()
    module = model.as_torch_module()
    assert module is model.as_torch_module()
    assert [tuple(p.shape) for p in module.parameters()] == [v.shape for v in model.trainable_weights]
    state = module.state_dict()
    assert len(state) == len(model.weights)
    moving = model.layers[1].moving_mean
    module.train()(X)
    moved = moving.numpy()
    assert np.any(moved)
    module.eval()(X)
    np.testing.assert_array_equal(moving.numpy(), moved)
    module.load_state_dict({k: torch.zeros_like(v) for k, v in state.items()})
    assert not any(w.any() for w in model.get_weights())
    module.to("cpu").float()
    assert model.to("cpu") is model and model.cpu() is model
    below = [p for m in model.modules() for p in m.parameters(recurse=False)]
    assert [id(p) for p in below] == [id(p) for p in model.parameters()]  # as DistributedDataParallel finds them
    with pytest.raises(TypeError, match="dtype"):
        module.half()
    calls = []
    module.register_forward_hook(lambda *args: calls.append(args))
    module(X)
    assert len(calls) == 1
    with pytest.raises(ValueError, match="built"):
        layers.Dense(3).as_torch_module()
    with backends.backend_scope("jax"):
        other = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        with pytest.raises(NotImplementedError, match="torch"):
            other.as_torch_module()


def test_a_layer_in_a_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = mlp().as_torch_module(), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.body(x))

    net = nn.Sequential(Net(), nn.ReLU())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    net(X).mean().backward()
    assert len(list(net.parameters())) == 8 and all(p.grad is not None for p in net.parameters())
    before = net[0].body.layer.get_weights()[0]
    net[0].head(net[0].body(X)).mean().backward()
    optimizer.step()
    assert not np.array_equal(before, net[0].body.layer.get_weights()[0])


class Holder(layers.Layer):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def call(self, x):
        return self.linear(x) * self.scale


def test_modules_and_parameters_are_weights_of_a_layer():
    inputs = keras.Input((4,))
    layer = Holder()
    model = keras.Model(inputs, layer(inputs))
    assert len(layer.trainable_weights) == 3
    model.compile(keras.optimizers.Adam(0.1), "mse")
    before = layer.linear.weight.detach().clone()
    model.fit(X.numpy(), np.ones((16, 3), "float32"), verbose=0)
    assert not torch.equal(before, layer.linear.weight)
    np.testing.assert_array_equal(layer.linear.weight.detach(), layer.trainable_weights[0].numpy())
    with pytest.raises(TypeError, match="add_weight"):
        model.to_backend("jax")


def test_torch_module_wrapper():
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5))
    wrapped = layers.TorchModuleWrapper(body)
    inputs = keras.Input((1, 8, 8))
    model = keras.Model(inputs, layers.Dense(2)(wrapped(inputs)))
    assert model.output_shape == (None, 2) and len(wrapped.trainable_weights) == 4
    model.compile("adam", "mse")
    before = body[0].weight.detach().clone()
    model.fit(np.ones((4, 1, 8, 8), "float32"), np.ones((4, 2), "float32"), verbose=0)
    assert not torch.equal(before, body[0].weight)
    norm = layers.TorchModuleWrapper(nn.BatchNorm1d(4))
    norm(X, training=True)
    mean = norm.module.running_mean.clone()
    norm(X, training=False)
    assert mean.any() and torch.equal(mean, norm.module.running_mean)
    with pytest.raises(TypeError, match=r"nn\.Module"):
        layers.TorchModuleWrapper(lambda x: x)
    with pytest.raises(NotImplementedError, match="save_weights"):
        norm.get_config()


# -- functions and gradients -------------------------------------------------------------------------------------------


def test_autograd():
    layer = layers.Dense(3)
    out = layer(X)
    for g, v in zip(torch.autograd.grad(out.sum(), [v.value for v in layer.trainable_weights]), layer.weights):
        assert tuple(g.shape) == v.shape
    with torch.no_grad():
        assert not layer(X).requires_grad
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
    slope.norm().backward()
    assert layer.kernel.value.grad is not None
    for found in (torch.matmul(X, layer.kernel), X @ layer.kernel, torch.einsum("bi,ij->bj", X, layer.kernel)):
        np.testing.assert_allclose(found.detach(), X.numpy() @ layer.kernel.numpy(), rtol=1e-5)
    assert torch.cat([layer.kernel, layer.kernel]).shape == (8, 3) and (torch.ones(3) + layer.bias).sum() == 3


SYMBOLIC = [
    lambda x: torch.tanh(x) + torch.ones(4),
    lambda x: torch.reshape(x, (-1, 2, 2)),
    lambda x: torch.mean(input=x, dim=1, keepdim=True),
    lambda x: torch.einsum("bi,ij->bj", x, torch.ones(4, 3)),
    lambda x: torch.where(x > 0, x, torch.zeros(())),
    lambda x: torch.split(x, 2, dim=1)[0] + torch.chunk(x, 2, 1)[1],
    lambda x: torch.topk(x, 2).values + torch.max(x, dim=1, keepdim=True)[0],
    lambda x: nn.functional.layer_norm(x, (4,)),
    lambda x: nn.functional.one_hot(torch.argmax(x, 1), 4),
    lambda x: nn.functional.interpolate(torch.unsqueeze(x, 1), scale_factor=2),
    lambda x: torch.linalg.norm(nn.functional.pad(x, (1, 1)), dim=-1),
    lambda x: nn.ReLU()(nn.Flatten()(x)),
    lambda x: x.view(-1, 2, 2).permute(0, 2, 1).max(dim=1)[0].softmax(-1),
]


@pytest.mark.parametrize("fn", SYMBOLIC, ids=range(len(SYMBOLIC)))
def test_torch_functions_are_recorded(fn):
    inputs = keras.Input((4,))
    outputs, want = fn(inputs), fn(X)
    assert outputs.shape == (None, *want.shape[1:])
    np.testing.assert_allclose(keras.Model(inputs, outputs)(X), want, rtol=1e-5)
