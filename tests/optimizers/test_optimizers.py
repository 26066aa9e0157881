"""Every optimizer against Keras: five steps with the same weights, configs, variables; and what Keras lacks."""

from __future__ import annotations

import functools
import inspect
import json
import warnings
from typing import Any

import keras
import numpy as np
import pytest

import nyala
from nyala import backends, optimizers
from nyala.base import naming, old, scope
from nyala.base.variable import Variable

RULES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("RMSprop", {"centered": True, "rho": 0.8}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_1": 0.8}),
    ("AdamW", {}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.9}),
    ("Adafactor", {"learning_rate": 0.9, "relative_step": False, "clip_threshold": 0.5}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("Adamax", {}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2,
              "l2_shrinkage_regularization_strength": 0.3, "beta": 0.4, "learning_rate_power": -0.6}),
    ("Lamb", {"learning_rate": 0.1}),
    ("Lion", {}),
    ("Muon", {"learning_rate": 0.1}),
    ("Muon", {"rms_rate": None, "nesterov": False, "adam_lr_ratio": 0.5, "exclude_layers": ["square"]}),
    ("Nadam", {}),
    ("ScheduleFreeAdamW", {}),
    ("ScheduleFreeAdamW", {"warmup_steps": 3, "beta_1": 0.7}),
]  # fmt: skip
FEATURES = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"use_ema": True, "ema_momentum": 0.7},
    {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2, "clipnorm": 0.5},
    {"loss_scale_factor": 8.0},
    {"learning_rate": ("ExponentialDecay", (0.1, 2, 0.5))},
    {"learning_rate": ("ExponentialDecay", (0.1, 2, 0.5)), "gradient_accumulation_steps": 2},
]
CASES = [*RULES, *((name, extra) for name in ("Adam", "SGD") for extra in FEATURES)]
NAMES = sorted({name for name, _ in RULES})
SHAPES = {"square": (3, 3), "kernel": (3, 2), "bias": (2,), "conv": (2, 2, 3, 4)}


def case_id(case: Any) -> str:
    return "-".join([case[0], *map(str, case[1])])


def weights() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape).astype("float32") for shape in SHAPES.values()]


def gradients(steps: int = 5) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(2)
    return [[rng.normal(size=shape).astype("float32") for shape in SHAPES.values()] for _ in range(steps)]


def make(module: Any, name: str, kwargs: dict[str, Any]) -> Any:
    rate = kwargs.get("learning_rate")
    if isinstance(rate, tuple):
        kwargs = {**kwargs, "learning_rate": getattr(module.schedules, rate[0])(*rate[1])}
    return getattr(module, name)(**kwargs)


def ours(name: str, kwargs: dict[str, Any]) -> tuple[Any, list[Variable]]:
    optimizer = make(optimizers, name, kwargs)
    with naming.scope("dense"):
        variables = [Variable(w, name=n) for n, w in zip(SHAPES, weights())]
    optimizer.build(variables)
    return optimizer, variables


@functools.lru_cache(maxsize=None)
def theirs(index: int) -> dict[str, Any]:
    name, kwargs = CASES[index]
    keras.utils.clear_session(free_memory=False)
    optimizer = make(keras.optimizers, name, kwargs)
    with keras.name_scope("dense"):
        variables = [keras.Variable(w, name=n) for n, w in zip(SHAPES, weights())]
    optimizer.build(variables)
    described = [(v.path, tuple(v.shape), v.dtype) for v in optimizer.variables]
    for grads in gradients():
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads])
    values = [keras.ops.convert_to_numpy(v) for v in variables]
    optimizer.finalize_variable_values(variables)
    final = [keras.ops.convert_to_numpy(v) for v in variables]
    return {"described": described, "values": values, "final": final}


def close(got: list[Variable], wanted: list[np.ndarray]) -> None:
    for variable, value in zip(got, wanted):
        np.testing.assert_allclose(variable.numpy(), value, rtol=3e-5, atol=3e-6, err_msg=variable.name)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case_id(c) for c in CASES])
def test_five_steps_as_keras(index: int, backend: str, deviation: Any) -> None:
    deviation("optimizers/" + case_id(CASES[index]))
    optimizer, variables = ours(*CASES[index])
    for grads in gradients():
        optimizer.apply(grads)
    close(variables, theirs(index)["values"])
    optimizer.finalize_variable_values(variables)
    close(variables, theirs(index)["final"])


def test_adafactor_without_relative_steps_keeps_its_rate(backend: str) -> None:
    w = Variable(np.ones((4, 4), "float32"))
    optimizer = optimizers.Adafactor(0.9, relative_step=False)
    for _ in range(3):
        before = w.numpy()
        optimizer.apply([np.ones((4, 4), "float32")], [w])
        np.testing.assert_allclose(before - w.numpy(), 0.9 * np.maximum(np.abs(before), 1e-3), rtol=1e-4)


RENAMED = {"Adafactor", "Nadam"}  # Keras names several variables alike there, and some after nothing


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case_id(c) for c in CASES])
def test_variables_as_keras(index: int) -> None:
    name, kwargs = CASES[index]
    naming.reset()
    with backends.backend_scope("jax"):
        optimizer, _ = ours(name, kwargs)
    described = [(v.path, v.shape, v.dtype) for v in optimizer.variables]
    wanted = theirs(index)["described"]
    if name in RENAMED:
        assert [d[1] for d in described] == [w[1] for w in wanted]
        assert len({d[0] for d in described}) == len(described)
    else:
        assert described == wanted


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case_id(c) for c in CASES])
def test_config_as_keras(index: int) -> None:
    name, kwargs = CASES[index]
    kwargs = {**kwargs, "name": "mine"}
    wanted = keras.optimizers.serialize(make(keras.optimizers, name, kwargs))
    optimizer = make(optimizers, name, kwargs)
    got = optimizers.serialize(optimizer)
    assert json.dumps(got) == json.dumps(wanted)
    again = optimizers.deserialize(json.loads(json.dumps(got)))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


def test_public_names_and_signatures() -> None:
    for module, reference in (
        (optimizers, keras.optimizers),
        (optimizers.schedules, keras.optimizers.schedules),
    ):
        for name in dir(reference):
            if name.startswith("_") or name == "legacy":
                continue
            mine, wanted = getattr(module, name), getattr(reference, name)
            if isinstance(wanted, type) and wanted.__init__ is not object.__init__:
                a, b = (inspect.signature(o.__init__).parameters for o in (mine, wanted))
                if name == "LearningRateSchedule":
                    continue
                assert list(a) == list(b), name
                assert [p.default for p in a.values()] == [p.default for p in b.values()], name


def test_optimizers_of_several_rules(backend: str) -> None:
    def run(module: Any, rules: Any) -> Any:
        with module.name_scope("enc"):
            a = module.Variable(np.ones(2, "float32"), name="a")
        b = module.Variable(np.ones(2, "float32"), name="b")
        table = rules.OptimizerMap(rules.SGD(0.1, name="s"), {"enc/.*": rules.Adam(0.2, name="m")})
        optimizer = rules.MultiOptimizer(table, name="x")
        for _ in range(3):
            optimizer.apply([np.ones(2, "float32")] * 2, [a, b])
        again = rules.MultiOptimizer.from_config(optimizer.get_config())
        assert again.get_config() == optimizer.get_config()
        return np.stack([a.numpy(), b.numpy()]), rules.serialize(optimizer), len(optimizer.variables), optimizer

    value, config, count, optimizer = run(nyala, optimizers)
    wanted, wanted_config, wanted_count, _ = run(keras, keras.optimizers)
    np.testing.assert_allclose(value, wanted, rtol=1e-4)
    assert (config, count) == (wanted_config, wanted_count)
    with pytest.raises(AttributeError, match=r"no learning_rate of its own"):
        optimizer.learning_rate
    with pytest.raises(ValueError, match=r"has an optimizer already"):
        optimizer.optimizer_map["enc/.*"] = optimizers.SGD()
    assert len(optimizer.optimizers) == 2
    with pytest.raises(TypeError, match=r"OptimizerMap or a function"):
        optimizers.MultiOptimizer(3)


COMPILED = [
    ("Adam", {}),
    ("Nadam", {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2}),
    ("RMSprop", {"momentum": 0.9, "global_clipnorm": 0.5, "learning_rate": ("CosineDecay", (0.1, 4))}),
]


def apply(optimizer: Any, *grads: Any) -> None:
    optimizer.apply(grads)


@pytest.mark.parametrize("case", COMPILED, ids=case_id)
def test_compiled_step_is_the_eager_one(case: Any, backend: str) -> None:
    results = []
    for compiled in (False, True):
        optimizer, variables = ours(*case)
        step = functools.partial(apply, optimizer)
        if compiled:
            step = backends.current().compile(step, [*variables, *optimizer.variables])
        for grads in gradients():
            step(*grads)
        results.append([v.numpy() for v in (*variables, *optimizer.variables)])
    for eager, got in zip(*results):
        np.testing.assert_allclose(got, eager, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_stateless_apply_changes_nothing_and_agrees(name: str, backend: str) -> None:
    optimizer, variables = ours(name, {})
    before = [v.numpy() for v in (*variables, *optimizer.variables)]
    grads = gradients(1)[0]
    got_weights, got_state = optimizer.stateless_apply(
        [v.value for v in optimizer.variables], grads, [v.value for v in variables]
    )
    for v, value in zip((*variables, *optimizer.variables), before):
        np.testing.assert_array_equal(v.numpy(), value)
    optimizer.apply(grads)
    to_numpy = backends.current().to_numpy
    close(variables, [to_numpy(x) for x in got_weights])
    close(optimizer.variables, [to_numpy(x) for x in got_state])


# scale, gradient -> weight, good steps, scale afterwards; what Keras's optimizer gives
LOSS_SCALE = [
    (8.0, -1.0, 1, 8.0),
    (8.0, -2.0, 0, 16.0),
    (8.0, -2.5, 1, 16.0),
    (np.inf, -2.5, 0, 8.0),
    (4.0, -3.0, 1, 8.0),
    (4.0, -3.5, 0, 16.0),
    (4.0, -3.75, 1, 16.0),
    (np.nan, -3.75, 0, 8.0),
    (1.0, -3.875, 1, 8.0),
]


@pytest.mark.parametrize("compiled", [False, True])
def test_loss_scale(compiled: bool, backend: str) -> None:
    w = Variable(np.zeros(1, "float32"), name="w")
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(1.0), initial_scale=8.0, dynamic_growth_steps=2)
    optimizer.build([w])
    step: Any = functools.partial(apply, optimizer)
    if compiled:
        step = backends.current().compile(step, [w, *optimizer.variables])
    good = 0
    for gradient, weight, counter, scale in LOSS_SCALE:
        step(np.array([gradient], "float32"))
        good += bool(np.isfinite(gradient))
        assert (w.numpy()[0], int(optimizer.step_counter), float(optimizer.dynamic_scale)) == (weight, counter, scale)
        assert int(optimizer.iterations) == good
    assert float(optimizer.scale_loss(backends.current().convert(2.0))) == 16.0


def test_loss_scale_keeps_momentum_finite(backend: str) -> None:
    w = Variable(np.zeros(2, "float32"))
    optimizer = optimizers.LossScaleOptimizer(optimizers.Adam(0.1, use_ema=True))
    optimizer.build([w])
    for gradient in (1.0, np.nan, 2.0, np.inf):
        optimizer.apply([np.full(2, gradient, "float32")])
    for v in (w, *optimizer.variables):
        assert np.isfinite(v.numpy()).all(), v.path


def test_loss_scale_config() -> None:
    arguments = {"initial_scale": 4.0, "dynamic_growth_steps": 3, "name": "a"}
    wanted = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(name="b"), **arguments)
    mine = optimizers.LossScaleOptimizer(optimizers.SGD(name="b"), **arguments)
    config = optimizers.serialize(mine)
    assert json.dumps(config) == json.dumps(keras.optimizers.serialize(wanted))
    assert optimizers.serialize(optimizers.deserialize(config)) == config


def test_low_precision_weights_do_not_break(backend: str) -> None:
    for dtype in ("bfloat16", "float16"):
        w = Variable(np.ones(3, "float32"), dtype=dtype)
        optimizer = optimizers.Adam(0.125)
        optimizer.build([w])
        for _ in range(3):
            optimizer.apply([np.ones(3, "float32")])
        assert w.dtype == dtype
        np.testing.assert_allclose(w.numpy().astype("float32"), 1 - 3 * 0.125, atol=0.01)


class Half(optimizers.Optimizer):
    """Written against Keras: build, a slot by reference and update_step."""

    def __init__(self, learning_rate: float = 0.5, power: int = 1, **kwargs: Any):
        super().__init__(learning_rate, **kwargs)
        self.power = power

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            self.seen = [self.add_variable_from_reference(v, "seen") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        seen = self.seen[self._get_variable_index(variable)]
        self.assign_add(seen, gradient)
        self.assign_sub(variable, learning_rate * gradient)


def test_optimizer_written_against_keras(backend: str) -> None:
    w = Variable(np.zeros(2, "float32"), name="w")
    optimizer = Half(power=2, weight_decay=0.5, gradient_accumulation_steps=2)
    optimizer.build([w])
    for _ in range(4):
        optimizer.apply([np.ones(2, "float32")])
    np.testing.assert_allclose(w.numpy(), -0.5 * 0.75 - 0.5)
    np.testing.assert_allclose(optimizer.seen[0].numpy(), 2.0)
    assert optimizer.get_config()["power"] == 2
    assert Half.from_config(optimizer.get_config()).power == 2
    assert [v.name for v in optimizer.variables] == [
        "iteration", "learning_rate", "w_gradient_accumulator", "w_seen",
    ]  # fmt: skip


class Clumsy(optimizers.Adam):
    def update(self, w: Any, g: Any, lr: Any, t: Any, *state: Any) -> tuple[Any, ...]:
        return w - lr, *state


def test_overriding_a_rule_wins_over_its_kernel(backend: str) -> None:
    w = Variable(np.zeros(2, "float32"))
    Clumsy(0.5).apply([np.ones(2, "float32")], [w])
    np.testing.assert_allclose(w.numpy(), -0.5)


def test_kernel_gets_what_the_contract_says(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def kernel(variables: Any, grads: Any, slots: Any, **rest: Any) -> bool:
        calls.append((variables, grads, slots, {**rest, "iterations": int(rest["iterations"])}))
        return True

    monkeypatch.setattr(backends.current(), "fused_updates", {"adamw": kernel, "adam": kernel})
    for made in (optimizers.AdamW(0.25, weight_decay=0.5), optimizers.Adam(0.25)):
        optimizer, variables = made, [Variable(np.ones(2, "float32")), Variable(np.ones(3, "float32"))]
        optimizer.apply([None, np.ones(3, "float32")], variables)
        got, grads, slots, rest = calls.pop()
        assert [v is variables[1] for v in got] == [True]
        assert len(grads) == 1
        assert {k: [v.name for v in slot] for k, slot in slots.items()} == {
            k: [f"{variables[1].name}_{n}"] for k, n in (("momentums", "momentum"), ("velocities", "velocity"))
        }
        assert float(rest["learning_rate"]) == 0.25
        assert rest["iterations"] == 0
        assert {"beta_1", "beta_2", "epsilon", "amsgrad"} <= rest.keys()
        assert ("weight_decay" in rest) == isinstance(made, optimizers.AdamW)
        assert int(optimizer.iterations) == 1
    with scope.StateScope():
        optimizer.apply([None, np.ones(3, "float32")])
    assert not calls


def test_an_optimizer_of_several_models(backend: str) -> None:
    """As programs for older Keras share one: each variable has slots of its own, and only the count is common."""
    shared = optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    first, second = (Variable(np.ones(2, "float32"), name=n) for n in ("first", "second"))
    with pytest.warns(UserWarning, match="one optimizer for several models"):
        old.forget()
        for v in (first, first, second, first, second, second):
            shared.apply([np.ones(2, "float32")], [v])
    np.testing.assert_allclose(first.numpy(), second.numpy(), rtol=1e-6)
    assert (first.numpy() < 0.6).all() and int(shared.iterations) == 6
    nyala.utils.set_random_seed(0)
    body = nyala.layers.Dense(2)
    head, whole = (nyala.Sequential([nyala.Input((2,)), body, *more]) for more in ((), (nyala.layers.Dense(1),)))
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    for model in (head, whole):
        model.compile(optimizer, "mse")
        model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    before = whole.get_weights()
    whole.train_on_batch(np.ones((4, 2)), np.zeros((4, 1)))
    assert all(not np.array_equal(a, b) for a, b in zip(before, whole.get_weights()))
    assert len(optimizer.variables) == 2 + 4


def test_missing_gradients(backend: str) -> None:
    optimizer, variables = ours("SGD", {"learning_rate": 1.0})
    grads = [None, *gradients(1)[0][1:]]
    with pytest.warns(UserWarning, match="dense/square"):
        optimizer.apply(grads)
    np.testing.assert_array_equal(variables[0].numpy(), weights()[0])
    np.testing.assert_allclose(variables[1].numpy(), weights()[1] - grads[1], rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.apply(grads)
    with pytest.raises(ValueError, match="no gradient for any variable"):
        optimizer.apply([None] * len(variables))


def test_constraint_decay_exclusion_and_overwriting(backend: str) -> None:
    from nyala import constraints

    a, b, c = (Variable(np.full(2, 2.0, "float32"), name=n) for n in ("a", "bias", "scale"))
    a.constraint = constraints.MaxNorm(1.0)
    c.overwrite_with_gradient = True
    optimizer = optimizers.SGD(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.zeros(2, "float32"), np.zeros(2, "float32"), np.full(2, 7.0, "float32")], [a, b, c])
    np.testing.assert_allclose(a.numpy(), np.sqrt(0.5), rtol=1e-5)
    np.testing.assert_allclose(b.numpy(), 2.0)
    np.testing.assert_allclose(c.numpy(), 7.0)


def test_learning_rate_is_read_and_set(backend: str) -> None:
    w = Variable(np.zeros(1, "float32"))
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = 0.25
    optimizer.apply([np.ones(1, "float32")], [w])
    optimizer.learning_rate.assign(1.0)
    optimizer.apply_gradients([(np.ones(1, "float32"), w)])
    assert float(w.numpy()[0]) == -1.25
    assert optimizer.get_config()["learning_rate"] == 1.0
    rates = iter([0.5, 0.25])
    called = optimizers.SGD(lambda: next(rates))
    called.apply([np.ones(1, "float32")], [w])
    called.apply([np.ones(1, "float32")], [w])
    assert float(w.numpy()[0]) == -2.0
    scheduled = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.5, 1, 0.5))
    assert float(scheduled.learning_rate) == 0.5
    scheduled.build([w])
    scheduled.iterations.assign(1)
    assert float(scheduled.learning_rate) == 0.25
    with pytest.raises(TypeError, match="schedule"):
        scheduled.learning_rate = 0.1


def test_state_moves_between_backends() -> None:
    with backends.backend_scope("jax"):
        optimizer, variables = ours("Adam", {})
    optimizer.apply(gradients(1)[0])
    for target in ("torch", "tensorflow", "jax"):
        for v in variables:
            v.move_to(target)
        optimizer.to_backend(target)
        optimizer.apply(gradients(1)[0])
    with backends.backend_scope("jax"):
        other, wanted = ours("Adam", {})
    for _ in range(4):
        other.apply(gradients(1)[0])
    close(variables, [v.numpy() for v in wanted])
    store: dict[str, Any] = {}
    optimizer.save_own_variables(store)
    other.load_own_variables(store)
    close(other.variables, [v.numpy() for v in optimizer.variables])


ERRORS = [
    (lambda: optimizers.get("adamm"), ValueError, "Did you mean 'adam"),
    (lambda: optimizers.get(3), TypeError, "got 3"),
    (lambda: optimizers.Adam(decay=-0.1), ValueError, "decay must be"),
    (lambda: optimizers.Adam(beta1=0.1), TypeError, "Did you mean 'beta_1'"),
    (lambda: optimizers.Adam("fast"), ValueError, "learning_rate must be a number"),
    (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "give only one of"),
    (lambda: optimizers.Adam(clipnorm=-1.0), ValueError, "clipnorm"),
    (lambda: optimizers.Adam(use_ema=True, ema_momentum=2.0), ValueError, "ema_momentum"),
    (lambda: optimizers.Adam(gradient_accumulation_steps=1), ValueError, ">= 2"),
    (lambda: optimizers.SGD(momentum=2.0), ValueError, "momentum"),
    (lambda: optimizers.Lion(beta_1=0.0), ValueError, "beta_1"),
    (lambda: optimizers.LossScaleOptimizer("adam"), TypeError, "inner_optimizer"),
    (lambda: optimizers.LossScaleOptimizer(optimizers.Adam(), clipnorm=1.0), ValueError, "inner optimizer"),
    (lambda: ours("SGD", {})[0].apply([1.0]), ValueError, "1 gradients for 4 variables"),
    (lambda: optimizers.Adam().apply_gradients([]), ValueError, "no pairs"),
    (lambda: optimizers.Adam().set_weights([1]), ValueError, "build"),
    (
        lambda: optimizers.Adam().build([Variable(1.0, backend=b) for b in ("jax", "torch")]),
        TypeError,
        "'jax', 'torch'",
    ),
]


@pytest.mark.parametrize("row", ERRORS, ids=range(len(ERRORS)))
def test_errors(row: Any) -> None:
    call, kind, text = row
    with pytest.raises(kind, match=text):
        call()


def test_names() -> None:
    for name in (*NAMES, "LossScaleOptimizer"):
        if name != "LossScaleOptimizer":
            for spelling in (name, name.lower(), name.upper()):
                assert type(optimizers.get(spelling)).__name__ == name
    made = optimizers.Adam()
    assert optimizers.get(made) is made
    assert optimizers.get(None) is None
