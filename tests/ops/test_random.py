"""Random tensors, seeds, and the draws of first values."""

from __future__ import annotations

import random as python_random

import numpy as np
import pytest

from nyala import backends, ops, random
from nyala.base import draws, seeds
from nyala.base.seeds import SeedGenerator, set_random_seed

N = (4000,)
DRAWS = {
    "uniform": lambda **kw: random.uniform(N, **kw),
    "normal": lambda **kw: random.normal(N, **kw),
    "truncated_normal": lambda **kw: random.truncated_normal(N, **kw),
    "randint": lambda **kw: random.randint(N, 0, 1000, **kw),
    "gamma": lambda **kw: random.gamma(N, 2.0, **kw),
    "beta": lambda **kw: random.beta(N, 2.0, 3.0, **kw),
    "binomial": lambda **kw: random.binomial(N, 10.0, 0.3, **kw),
    "categorical": lambda **kw: random.categorical(np.zeros((1, 1000), "float32"), 4000, **kw),
    "shuffle": lambda **kw: random.shuffle(np.arange(4000), **kw),
    "dropout": lambda **kw: random.dropout(np.ones(N, "float32"), 0.5, **kw),
}


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x), "float64")


@pytest.mark.parametrize("name", DRAWS)
def test_seeds_determine_the_draw(name, backend):
    draw = DRAWS[name]
    assert (numpy(draw(seed=3)) == numpy(draw(seed=3))).all()
    assert (numpy(draw(seed=3)) != numpy(draw(seed=4))).any()
    a, b = SeedGenerator(5), SeedGenerator(5)
    first = numpy(draw(seed=a))
    assert (first == numpy(draw(seed=b))).all()
    assert (first != numpy(draw(seed=a))).any()
    set_random_seed(1)
    first = numpy(draw())
    assert (first != numpy(draw())).any()
    set_random_seed(1)
    assert (first == numpy(draw())).all()


# What is drawn, its mean, standard deviation, lowest and highest possible value.
MOMENTS = [
    (lambda: random.uniform(N), 0.5, 12**-0.5, 0, 1),
    (lambda: random.uniform(N, -2.0, 4.0), 1, 6 * 12**-0.5, -2, 4),
    (lambda: random.normal(N, 3.0, 0.5), 3, 0.5, -np.inf, np.inf),
    (lambda: random.truncated_normal(N), 0, 0.8796, -2, 2),
    (lambda: random.truncated_normal(N, 1.0, 10.0), 1, 8.796, -19, 21),
    (lambda: random.randint(N, -3, 5), 0.5, (63 / 12) ** 0.5, -3, 4),
    (lambda: random.gamma(N, 3.0), 3, 3**0.5, 0, np.inf),
    (lambda: random.gamma((4000, 2), np.array([3.0, 3.0], "float32")), 3, 3**0.5, 0, np.inf),
    (lambda: random.beta(N, 2.0, 3.0), 0.4, 0.2, 0, 1),
    (lambda: random.binomial(N, 10, 0.3), 3, 2.1**0.5, 0, 10),
    (lambda: random.categorical(np.log([[0.5, 0.25, 0.25]]), 4000), 0.75, 0.829, 0, 2),
    (lambda: random.dropout(np.ones(N, "float32"), 0.2), 1, 0.5, 0, 1.25),
    (lambda: random.shuffle(np.arange(11.0)), 5, 10**0.5, 0, 10),
]


@pytest.mark.parametrize("draw, mean, std, low, high", MOMENTS)
def test_moments_and_range(draw, mean, std, low, high, backend):
    x = numpy(draw())
    error = std * x.size**-0.5
    assert abs(x.mean() - mean) < 5 * error + 1e-6
    assert abs(x.std() - std) < 0.1 * std
    assert x.min() >= low and x.max() <= high + 1e-6


_FLOATS = [(n, d) for n in ("uniform", "normal", "truncated_normal") for d in ("float16", "bfloat16", "float32")]


@pytest.mark.parametrize(
    "name, dtype", [*_FLOATS, ("gamma", "float16"), ("beta", "bfloat16"), ("binomial", "bfloat16")]
)
def test_float_dtypes(name, dtype, backend):
    x = DRAWS[name](dtype=dtype, seed=1)
    assert ops.dtype(x) == dtype and tuple(x.shape) == N
    assert numpy(x).std() > 0


def test_int_dtypes(backend):
    assert ops.dtype(random.randint((3,), 0, 9, dtype="uint8")) == "uint8"
    assert ops.dtype(random.categorical(np.zeros((1, 3), "float32"), 2)) == "int32"
    with pytest.raises(ValueError, match="float"):
        random.uniform((2,), dtype="int32")
    with pytest.raises(ValueError, match="int"):
        random.randint((2,), 0, 2, dtype="float32")


def test_dropout(backend):
    x = np.ones((50, 40, 3), "float32")
    y = numpy(random.dropout(x, 0.75, noise_shape=(50, 1, None), seed=1))
    assert set(np.unique(y)) == {0.0, 4.0}
    assert (y == y[:, :1]).all() and (y != y[:, :, :1]).any()
    assert (numpy(random.dropout(x, 0.0)) == 1).all()
    assert (numpy(random.dropout(x, 1.0)) == 0).all()
    half = random.dropout(ops.cast(x, "float16"), 0.5, seed=1)
    assert ops.dtype(half) == "float16" and set(np.unique(numpy(half))) == {0.0, 2.0}
    for rate in (-0.1, 1.5):
        with pytest.raises(ValueError, match="rate"):
            random.dropout(x, rate)


def test_dropout_gradient_is_its_mask(backend):
    found = backends.current()
    x = found.convert(np.arange(1, 101, dtype="float32"))
    y = numpy(random.dropout(x, 0.5, seed=3))
    _, (g,) = found.grad(lambda x: ops.sum(random.dropout(x, 0.5, seed=3)), [x])
    np.testing.assert_allclose(numpy(g) * numpy(x), y)


def test_shuffle_keeps_slices_together(backend):
    x = np.arange(24).reshape(4, 6)
    y = numpy(random.shuffle(x, axis=1, seed=2))
    assert (np.sort(y, 1) == x).all() and (y != x).any()
    assert (y - y[:1] == np.arange(4)[:, None] * 6).all()


def test_seed_generator(backend):
    import keras

    ours, theirs = SeedGenerator(7), keras.random.SeedGenerator(7)
    for _ in range(3):
        assert (numpy(ours.next()) == np.asarray(theirs.next())).all()
    assert ours.state.dtype == "uint32" and not ours.state.trainable
    assert ours.state.path == f"{ours.name}/seed_generator_state"
    named = SeedGenerator(7, name="mine")
    assert list(named.get_config().items()) == list(keras.random.SeedGenerator(7, name="mine").get_config().items())
    assert SeedGenerator.from_config(named.get_config()).name == "mine"
    for bad in (-1, 2**32, 1.5, "a"):
        with pytest.raises(ValueError, match="seed"):
            SeedGenerator(bad)
    with pytest.raises(TypeError, match="foo"):
        SeedGenerator(3, foo=1)


def test_seeds_advance_in_compiled_steps(backend):
    found = backends.current()
    generator = SeedGenerator(3)
    step = found.compile(lambda x: random.dropout(x, 0.5, seed=generator))
    x = found.convert(np.ones((64,), "float32"))
    first, second = numpy(step(x)), numpy(step(x))
    assert (first != second).any()
    assert numpy(generator.state)[1] == 2
    np.testing.assert_array_equal(first, numpy(random.dropout(x, 0.5, seed=SeedGenerator(3))))


def test_the_global_generator_restarts_inside_compiled_steps(backend):
    found = backends.current()
    step = found.compile(lambda x: random.dropout(x, 0.5))
    x = found.convert(np.ones((64,), "float32"))
    set_random_seed(5)
    first = numpy(step(x))
    assert (first != numpy(step(x))).any()
    set_random_seed(5)
    np.testing.assert_array_equal(first, numpy(step(x)))


def test_set_random_seed_seeds_python_and_numpy():
    def draw():
        set_random_seed(9)
        return python_random.random(), np.random.rand(), SeedGenerator()._first, draws.normal((2,)).tolist()

    with backends.backend_scope("jax"):
        assert draw() == draw()


def test_first_values_are_the_same_on_every_backend():
    def drawn(name):
        with backends.backend_scope(name):
            set_random_seed(2)
            generator = SeedGenerator(4)
            return [
                draws.uniform((5,)), draws.normal((5,), 1.0, 2.0), draws.truncated_normal((5,), seed=8),
                draws.normal((5,), seed=generator), draws.normal((5,), seed=generator),
            ]  # fmt: skip

    first = drawn("jax")
    for name in ("torch", "tensorflow"):
        for a, b in zip(first, drawn(name)):
            assert a.tobytes() == b.tobytes()
    assert (first[3] != first[4]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws(dtype):
    n = (20000,)
    u = draws.uniform(n, -1.0, 3.0, seed=1, dtype=dtype)
    g = draws.normal(n, 2.0, 0.5, seed=1, dtype=dtype)
    t = draws.truncated_normal(n, 2.0, 0.5, seed=1, dtype=dtype)
    assert u.dtype == g.dtype == t.dtype == dtype
    assert u.min() >= -1 and u.max() <= 3 and abs(u.mean() - 1) < 0.05
    assert abs(g.mean() - 2) < 0.02 and abs(g.std() - 0.5) < 0.02 and np.abs(g - 2).max() > 1
    assert abs(t.std() - 0.5 * 0.8796) < 0.02 and np.abs(t - 2).max() <= 1
    assert (draws.normal(n, seed=1) == draws.normal(n, seed=1)).all()
    assert (draws.normal(n) != draws.normal(n)).any()
    assert draws.normal((), seed=1).shape == () and draws.truncated_normal((0, 3), seed=1).shape == (0, 3)


def test_global_generators_are_one_a_backend():
    found = {}
    for name in ("jax", "torch"):
        with backends.backend_scope(name):
            found[name] = seeds.global_generator()
            assert seeds.global_generator() is found[name]
            assert found[name].state.backend.name == name
    assert found["jax"] is not found["torch"]


def test_draws_look_random(backend):
    """Small seeds, consecutive seeds and consecutive places: where a hash of the place would show."""
    from scipy import stats

    n = 20000
    generator = SeedGenerator(1000)
    rows = np.stack(
        [numpy(random.uniform((n,), seed=s)) for s in range(10)]
        + [numpy(random.uniform((n,), seed=generator)) for _ in range(10)]
    )
    assert stats.chisquare(np.histogram(rows, 1024, (0, 1))[0]).pvalue > 1e-4
    assert min(stats.chisquare(np.histogram(x, 64, (0, 1))[0]).pvalue for x in rows) > 1e-5
    # One next to the other in a draw, and at the same place of the next draw.
    for a, b in ((rows[:, :-1], rows[:, 1:]), (rows[:-1], rows[1:])):
        pairs = np.histogram2d(a.ravel(), b.ravel(), 32, [[0, 1]] * 2)[0]
        assert stats.chisquare(pairs.ravel()).pvalue > 1e-4
    scores = np.corrcoef(rows)[np.triu_indices(len(rows), 1)] * np.sqrt(n)
    lags = [np.corrcoef(x[:-k], x[k:])[0, 1] * np.sqrt(n - k) for x in rows for k in (1, 2, 64, 1024)]
    for z in (scores, np.array(lags)):
        assert np.abs(z).max() < 4.5 and 0.7 < z.std() < 1.35
    ones = ((rows * 2**23).astype("uint32")[..., None] >> np.arange(23) & 1).mean((0, 1))
    assert np.abs((ones - 0.5) * 2 * np.sqrt(rows.size)).max() < 4.5

    x = np.concatenate([numpy(random.normal((n,), seed=s)) for s in range(5)])
    assert abs(x.mean()) * np.sqrt(x.size) < 4.5 and abs(x.var() - 1) * np.sqrt(x.size / 2) < 4.5
    assert abs(stats.skew(x)) * np.sqrt(x.size / 6) < 4.5 and abs(stats.kurtosis(x)) * np.sqrt(x.size / 24) < 4.5
    assert stats.kstest(x, "norm").pvalue > 1e-4 and 3.7 < np.abs(x).max() < 6
