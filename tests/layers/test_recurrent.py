"""Recurrent layers against Keras: masks, states, directions, any cell; kernels against the plain loop; files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import backends, layers, ops
from nyala.base import tree
from nyala.ops import rnn

BATCH, TIME, WIDTH, UNITS = 3, 4, 2, 2
rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH, TIME, WIDTH)).astype("float32")
MASK = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
STATES = [rng.normal(size=(BATCH, UNITS)).astype("float32") for _ in range(4)]


def weights_like(layer: Any) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.normal(size=w.shape).astype("float32") for w in layer.weights]


def numpy(nest: Any) -> list[np.ndarray]:
    return [ops.convert_to_numpy(x) for x in tree.flatten(nest)]


def tensors(nest: Any) -> Any:
    return tree.map(ops.convert_to_tensor, nest)


def compare(ours: Any, theirs: Any, **tolerance: float) -> None:
    found, want = numpy(ours), [np.asarray(x) for x in tree.flatten(theirs)]
    assert len(found) == len(want)
    for a, b in zip(found, want):
        np.testing.assert_allclose(a, b, **{"rtol": 2e-5, "atol": 2e-6, **tolerance})


# -- against Keras -----------------------------------------------------------------------------------------------------

Make = Callable[[Any], Any]
"""A layer, from the module ``layers`` of either library."""

STACK: Make = lambda L: L.RNN([L.LSTMCell(2), L.GRUCell(2)], return_state=True)  # noqa: E731

CALLS: dict[str, tuple[Make, dict[str, Any]]] = {
    "SimpleRNN-mask-state": (lambda L: L.SimpleRNN(2, return_state=True), {"mask": MASK, "initial_state": STATES[:1]}),
    "LSTM-mask-sequences-state": (
        lambda L: L.LSTM(2, return_sequences=True, return_state=True),
        {"mask": MASK, "initial_state": STATES[:2]},
    ),
    "LSTM-mask-backwards": (lambda L: L.LSTM(2, return_state=True, go_backwards=True), {"mask": MASK}),
    "LSTM-mask-zeros": (lambda L: L.LSTM(2, return_sequences=True, zero_output_for_mask=True), {"mask": MASK}),
    "GRU-mask-sequences-state": (
        lambda L: L.GRU(2, return_sequences=True, return_state=True),
        {"mask": MASK, "initial_state": STATES[:1]},
    ),
    "GRU-before-mask": (lambda L: L.GRU(2, reset_after=False, return_sequences=True), {"mask": MASK}),
    "RNN-stacked-mask": (STACK, {"mask": MASK}),
    "Bidirectional-LSTM": (
        lambda L: L.Bidirectional(L.LSTM(2, return_sequences=True, return_state=True)),
        {"mask": MASK, "initial_state": STATES},
    ),
    "Bidirectional-GRU-mul": (lambda L: L.Bidirectional(L.GRU(2), merge_mode="mul"), {}),
    "Bidirectional-sum": (lambda L: L.Bidirectional(L.SimpleRNN(2, return_sequences=True), merge_mode="sum"), {}),
    "Bidirectional-two": (
        lambda L: L.Bidirectional(L.LSTM(2), merge_mode=None, backward_layer=L.GRU(2, go_backwards=True)),
        {},
    ),
    "Bidirectional-ave-stacked": (lambda L: L.Bidirectional(STACK(L), merge_mode="ave"), {}),
}


@pytest.fixture(scope="module")
def keras_calls() -> dict[str, Any]:
    """What Keras gives, each layer with its arguments compiled as one."""
    import jax
    import keras

    found = {}
    for name, (make, arguments) in CALLS.items():
        layer = make(keras.layers)
        layer.build(X.shape)
        layer.set_weights(weights_like(layer))
        values = [[w.value for w in ws] for ws in (layer.trainable_variables, layer.non_trainable_variables)]
        run = jax.jit(lambda a, b, x, rest, layer=layer: layer.stateless_call(a, b, x, **rest)[0])
        paths = [w.path.split("/", 1)[1] for w in layer.weights]
        found[name] = run(*values, X, arguments), paths, layer.get_config()
    return found


@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str, keras_calls: dict[str, Any], backend: str) -> None:
    make, arguments = CALLS[name]
    layer = make(layers)
    layer.build(X.shape)
    want, paths, config = keras_calls[name]
    assert [len(w.path.split("/")) for w in layer.weights] == [len(p.split("/")) + 1 for p in paths]
    assert [w.path.split("/")[-1] for w in layer.weights] == [p.split("/")[-1] for p in paths]
    layer.set_weights(weights_like(layer))
    compare(layer(X, **tensors(arguments)), want)
    if "mask" in arguments:  # and as the mask comes from the layer before
        x = X.copy()
        x[~MASK] = 0
        given = {k: tensors(v) for k, v in arguments.items() if k != "mask"}
        compare(layer(layers.Masking()(x), **given), want)
    ours = layer.get_config()
    assert list(ours) == list(config)
    assert list(ours.get("layer", ours.get("cell", ours))) == list(config.get("layer", config.get("cell", config)))
    again = layers.deserialize(layers.serialize(layer))
    assert again.get_config() == ours


# -- kernels and the plain loop ----------------------------------------------------------------------------------------

KERNELS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "tanh": (layers.SimpleRNN, {}),
    "relu": (layers.SimpleRNN, {"activation": "relu"}),
    "gru": (layers.GRU, {}),
    "lstm": (layers.LSTM, {}),
    "softsign": (layers.LSTM, {"activation": "softsign", "use_bias": False, "unroll": True}),
}
WAYS = [(k, s, s) for k in KERNELS for s in (True, False)] + [("lstm", True, False), ("gru", True, False)]


@pytest.mark.parametrize(("kind", "masked", "sequences"), WAYS)
def test_kernels_are_the_plain_loop(
    kind: str, masked: bool, sequences: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs, states, and gradients by inputs, first states and weights."""
    owner = backends.current()
    kernels = {"_recurrence", "_fused_rnn"} & set(owner.natives)
    make, arguments = KERNELS[kind]
    layer = make(UNITS, return_sequences=sequences, return_state=True, **arguments)
    layer.build(X.shape)
    layer.set_weights(weights_like(layer))
    x, *states = (nyala.Variable(a) for a in [X, *STATES[: len(layer.state_size)]])
    mask = tensors(MASK) if masked else None

    def loss() -> Any:
        outputs = layer(x.value, initial_state=[s.value for s in states], mask=mask)
        parts = [ops.sum(ops.sin(ops.arange(float(np.prod(y.shape))) + 1) * ops.reshape(y, (-1,))) for y in outputs]
        return sum(parts[1:], parts[0]), outputs

    def run() -> list[np.ndarray]:
        call = owner.value_and_grad(loss, [x, *states, *layer.trainable_variables], has_aux=True)
        return numpy(owner.compile(lambda: call(), [x, *states, *layer.variables])())

    used = []
    for name in kernels:
        monkeypatch.setitem(owner.natives, name, lambda *a, f=owner.natives[name]: used.append(f(*a)) or used[-1])
    fast = run()
    assert any(found is not None for found in used) or (backend == "torch" and kind == "softsign")
    for name in kernels:
        monkeypatch.delitem(owner.natives, name)
    plain = run()
    assert len(fast) == len(plain) == 3 + 2 * len(states) + len(layer.weights)
    for a, b in zip(fast, plain):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_steps_are_the_cell(backend: str) -> None:
    for cell in (layers.SimpleRNNCell(2), layers.LSTMCell(2), layers.GRUCell(2), layers.GRUCell(2, reset_after=False)):
        layer = layers.RNN(cell, return_state=True)
        found = layer(X)
        states = cell.get_initial_state(BATCH)
        for t in range(TIME):
            output, states = cell(tensors(X[:, t]), states)
        compare(found, numpy([output, states]))


# -- states and masks --------------------------------------------------------------------------------------------------


def test_stateful(backend: str) -> None:
    for make in (
        lambda **k: layers.LSTM(2, **k),
        lambda **k: layers.RNN([layers.GRUCell(2), layers.LSTMCell(2)], **k),
        lambda **k: layers.Bidirectional(layers.GRU(2, **k)),
    ):
        layer = make(stateful=True)
        assert layer(layers.Input(batch_shape=(BATCH, TIME, WIDTH))).shape[0] == BATCH
        first, second = numpy(layer(X))[0], numpy(layer(X))[0]
        assert np.abs(first - second).max() > 1e-4
        layer.reset_states()
        compare(layer(X), [first])
        compare(layer(X), [second])
        assert not any("rnn_state" in w.path for w in layer.weights)
    whole, half = layers.LSTM(2), layers.LSTM(2, stateful=True)
    want = whole(X)
    half(X[:, :2])
    half.reset_state()
    half.set_weights(whole.get_weights())
    half(X[:, :2])
    compare(half(X[:, 2:]), numpy(want))


def test_stateful_in_fit(backend: str) -> None:
    model = nyala.Sequential([layers.Input(batch_shape=(2, 3, 2)), layers.GRU(2, stateful=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 3, 2), "float32")
    model.fit(x, np.ones((4, 1)), batch_size=2, epochs=1, verbose=0, shuffle=False)
    states = numpy(model.layers[0].states)
    assert np.abs(states[0]).max() > 0
    before = model.predict(x[:2], verbose=0)
    assert np.abs(model.predict(x[:2], verbose=0) - before).max() > 0


def test_stateful_needs_a_batch_size(backend: str) -> None:
    with pytest.raises(ValueError, match="known batch size"):
        layers.LSTM(2, stateful=True)(layers.Input((TIME, WIDTH)))


def test_mask_flows_from_embedding(backend: str) -> None:
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    inner = layers.LSTM(2, return_sequences=True)
    embedding = layers.Embedding(5, 2, mask_zero=True)
    model = nyala.Sequential([layers.Input((None,)), embedding, layers.Bidirectional(inner), layers.GRU(2)])
    padded = numpy(model(ids))[0]
    compare(model(ids[:, :2]), [padded])
    short = numpy(model(ids[1:, :1]))[0]
    np.testing.assert_allclose(short, padded[1:], rtol=1e-5, atol=1e-6)


def test_symbolic_states(backend: str) -> None:
    past = layers.Input((None, WIDTH))
    _, h, c = layers.LSTM(2, return_state=True)(past)
    future = layers.Input((None, WIDTH))
    decoder = layers.LSTM(2, return_sequences=True)
    outputs = decoder(future, initial_state=[h, c])
    model = nyala.Model([past, future], outputs)
    assert outputs.shape == (None, None, 2)
    assert model.predict([X, X[:, :3]], verbose=0).shape == (BATCH, 3, 2)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    compare(again([X, X[:, :3]]), numpy(model([X, X[:, :3]])))
    old = layers.GRU(2)([past, layers.Input((2,))])  # as Keras 2 passed states
    assert old.shape == (None, 2)


def test_unknown_length(backend: str) -> None:
    cell = layers.LSTMCell(2, activation=lambda x: ops.tanh(x) * 0.5)
    layer = nyala.Sequential([layers.Input((None, WIDTH)), layers.LSTM(2, return_sequences=True), layers.RNN(cell)])
    run = backends.current().compile(lambda x: layer(x), layer.variables)
    for n in (1, 3):
        compare(run(tensors(X[:, :n])), numpy(layer(X[:, :n])))


# -- cells of users ----------------------------------------------------------------------------------------------------


class Minimal(layers.Layer):
    """The sum so far, its state not in a list."""

    state_size = WIDTH

    def call(self, x: Any, states: Any) -> Any:
        new = states[0] + x
        return 2 * new, new


class Nested(layers.Layer):
    """Two inputs and two states of different ranks."""

    state_size = [type("TensorShape", (), {"__iter__": lambda self: iter((2,))})(), (3, 1)]
    output_size = [(2,), (3, 1)]

    def call(self, inputs: Any, states: Any) -> Any:
        a, b = states[0] + inputs["a"], states[1] * 0.5 + inputs["b"]
        return {"p": a, "q": b}, [a, b]


class NoLayer:
    """No layer, with a first state of its own."""

    state_size = [WIDTH]

    def get_initial_state(self, batch_size: Any) -> Any:
        return ops.ones((batch_size, WIDTH))

    def call(self, x: Any, states: Any) -> Any:
        return states[0] + x, [states[0] + x]


def test_cells_of_users(backend: str) -> None:
    compare(layers.RNN(Minimal(), return_sequences=True)(X), [2 * X.cumsum(1)])
    compare(layers.RNN(Minimal(), return_state=True, go_backwards=True)(X), [2 * X.sum(1), X.sum(1)])
    held = 2 * (X * MASK[..., None]).cumsum(1)
    compare(layers.RNN(Minimal(), return_sequences=True, unroll=True)(X, mask=tensors(MASK)), [held])
    compare(layers.RNN(NoLayer())(X), [1 + X.sum(1)])
    compare(layers.Bidirectional(layers.RNN(Minimal()))(X), [2 * np.concatenate([X.sum(1)] * 2, -1)])
    b = rng.normal(size=(BATCH, TIME, 3, 1)).astype("float32")
    found = layers.RNN(Nested(), return_sequences=True)({"a": X, "b": b})
    compare(found["p"], [X.cumsum(1)])
    assert found["q"].shape == b.shape
    with pytest.raises(ValueError, match="state_size"):
        layers.RNN(layers.Dense(2))


def test_driver(backend: str) -> None:
    outputs, states = rnn.rnn(lambda x, s: (x + s[0], [x + s[0]]), tensors(X), tensors([STATES[0]]), mask=tensors(MASK))
    held = (X * MASK[..., None]).cumsum(1) + STATES[0][:, None]
    seen = np.logical_or.accumulate(MASK, 1)[..., None]
    compare([outputs, states[0]], [np.where(seen, held, 0), held[:, -1]])


# -- dropout, precision, arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
def test_dropout(rate: str, backend: str) -> None:
    layer = layers.SimpleRNN(8, activation="linear", use_bias=False, return_sequences=True, seed=3, **{rate: 0.5})
    x = np.ones((2, 3, 8), "float32")
    layer.build(x.shape)
    eye = np.eye(8, dtype="float32")
    layer.set_weights([eye, eye])
    plain = numpy(layer(x))[0]
    np.testing.assert_allclose(plain, np.tile([[[1.0]], [[2.0]], [[3.0]]], (2, 1, 1, 8)).reshape(2, 3, 8))
    y = numpy(layer(x, training=True))[0]
    first = y[:, 0] if rate == "dropout" else y[:, 1] - 1
    assert set(np.unique(first)) == {0.0, 2.0}
    # One pattern for all steps, another in the next call.
    after = np.stack([first, 2 * first, 3 * first], 1) if rate == "dropout" else 1 + first * y[:, 1]
    np.testing.assert_allclose(y if rate == "dropout" else y[:, 2], after)
    assert np.abs(numpy(layer(x, training=True))[0] - y).max() > 0
    inner = [layers.LSTMCell(2, **{rate: 0.5}), layers.GRUCell(2, **{rate: 0.5})]
    stacked = layers.RNN(inner)
    assert np.abs(numpy(stacked(X, training=True))[0] - numpy(stacked(X, training=True))[0]).max() > 0


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(name: str, backend: str) -> None:
    for make in (layers.LSTM, layers.GRU, layers.SimpleRNN):
        layer, exact = make(2, dtype=name, return_sequences=True), make(2, return_sequences=True)
        layer.build(X.shape)
        exact.build(X.shape)
        exact.set_weights(layer.get_weights())
        y = layer(X, mask=tensors(MASK))
        assert ops.dtype(y) == name.removeprefix("mixed_")
        compare(ops.cast(y, "float32"), numpy(exact(X, mask=tensors(MASK))), rtol=0.05, atol=0.03)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: layers.LSTM(0), "units must be a positive int"),
        (lambda: layers.GRU(2, dropout=1.5), "dropout must be a number"),
        (lambda: layers.LSTM(2, implementation=3), "implementation must be one of"),
        (lambda: layers.LSTM(2, use_cudnn=True, activation="relu"), "use_cudnn=True needs"),
        (lambda: layers.Bidirectional(layers.LSTM(2), merge_mode="max"), "merge_mode must be one of"),
        (lambda: layers.Bidirectional(layers.LSTM(2), backward_layer=layers.LSTM(2)), "opposite"),
        (lambda: layers.Bidirectional(layers.Dense(2)), "recurrent layer"),
        (lambda: layers.LSTM(2)(X, initial_state=STATES[:1]), "needs 2 states"),
        (lambda: layers.LSTM(2)(X[0]), "ndim=3|3 axes|dimensions"),
        (lambda: layers.ConvLSTM1D(2, 2)(layers.Input((3, None, 2))), "known sizes"),
    ],
)
def test_errors(make: Callable[[], Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        make()


# -- files -------------------------------------------------------------------------------------------------------------


def saved(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((TIME, 4))
    y = L.Bidirectional(L.LSTM(2, return_sequences=True))(x)
    y = L.GRU(3, return_sequences=True, dropout=0.1)(L.LSTM(3, return_sequences=True)(y))
    y = L.RNN([L.LSTMCell(2), L.GRUCell(3, reset_after=False), L.SimpleRNNCell(4)], return_sequences=True)(y)
    image = L.Reshape((TIME, 2, 2, 1))(y)
    return keras.Model(x, L.ConvLSTM2D(2, 2)(image))


def same_weights(ours: Any, theirs: Any) -> None:
    assert len(ours.weights) == len(theirs.weights)
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_files_of_both(tmp_path: Any) -> None:
    import keras

    with backends.backend_scope("jax"):
        ours, theirs = saved(nyala), saved(keras)
        assert ours.output_shape == theirs.output_shape
        ours.set_weights(weights_like(ours))
        ours.save_weights(tmp_path / "ours.weights.h5")
        theirs.load_weights(tmp_path / "ours.weights.h5")
        same_weights(ours, theirs)
        ours.save(tmp_path / "ours.keras")
        same_weights(ours, keras.saving.load_model(tmp_path / "ours.keras"))
        theirs.set_weights([w + 1 for w in weights_like(theirs)])
        theirs.save_weights(tmp_path / "theirs.weights.h5")
        ours.load_weights(tmp_path / "theirs.weights.h5")
        same_weights(ours, theirs)
        theirs.save(tmp_path / "theirs.keras")
        same_weights(nyala.saving.load_model(tmp_path / "theirs.keras"), theirs)
