"""The contract that every op keeps on every backend: value, result dtype, gradient, abstract shape.

A test module lists its cases and hands each to ``check``::

    CASES = [case("relu", X), case("softmax", X, axis=0), case("argmax", X, _grad=False)]

    @pytest.mark.parametrize(("row", "aspect"), rows(CASES))
    def test_op(row, aspect, backend, deviation):
        check(row, aspect, deviation)

NumPy arrays among the arguments (also inside lists and dicts) are the tensors. The oracle is ``keras.ops`` on JAX or,
where a case has ``_ref``, that function on NumPy arrays. A known deviation is the row ``ops/<op>`` or
``ops/<op>/<aspect>`` of ``xfails.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from nyala import backends
from nyala.backends import dtypes
from nyala.base import tree
from nyala.graph.symbolic import SymbolicTensor

ASPECTS = ("value", "dtype", "gradient", "abstract")


@dataclass(eq=False)
class Case:
    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    ref: Callable[..., Any] | None = None
    """Takes the arguments as NumPy arrays, float64 ones for the gradient."""
    dtypes: tuple[str, ...] = ("float16", "bfloat16")
    """To these, too, the tensors of the first one's kind are cast when result dtypes are compared with Keras's."""
    grad: bool = True
    batch: bool = False
    """The first axis may be unknown and is the first axis of the result too."""
    tol: float = 1e-5

    @property
    def label(self) -> str:
        def short(x: Any) -> str:
            return "x".join(map(str, x.shape)) or "scalar" if isinstance(x, np.ndarray) else str(x).replace(" ", "")

        parts = [*map(short, tree.flatten(self.args)), *(f"{k}={short(v)}" for k, v in self.kwargs.items())]
        return f"{self.op}({','.join(parts)})"[:70]

    def map(self, fn: Callable[[np.ndarray], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with ``fn`` applied to the tensors."""
        leaves, structure = tree.flatten_with_structure((self.args, self.kwargs))
        return tree.unflatten(structure, [fn(x) if isinstance(x, np.ndarray) else x for x in leaves])  # type: ignore[return-value]

    @property
    def tensors(self) -> list[np.ndarray]:
        return [x for x in tree.flatten((self.args, self.kwargs)) if isinstance(x, np.ndarray)]

    @property
    def floats(self) -> list[np.ndarray]:
        return [x for x in self.tensors if x.dtype.kind == "f"]

    def cast(self, dtype: str) -> Case:
        """The case with the tensors of the first one's kind in ``dtype``."""
        kind = self.tensors[0].dtype.kind
        args, kwargs = self.map(lambda x: x.astype(dtypes.numpy_dtype(dtype)) if x.dtype.kind == kind else x)
        return Case(self.op, args, kwargs, self.ref)

    # -- the oracle, computed once for all backends ------------------------------------------------------------------

    @cached_property
    def expected(self) -> list[np.ndarray]:
        return [np.asarray(x) for x in tree.flatten((self.ref or _keras(self.op))(*self.args, **self.kwargs))]

    @cached_property
    def expected_dtypes(self) -> dict[str, list[str]]:
        own = self.tensors[0].dtype.name if self.tensors else "float32"
        return {own: _keras_dtypes(self), **{d: _keras_dtypes(self.cast(d)) for d in self.dtypes if self.tensors}}

    @cached_property
    def weights(self) -> list[np.ndarray]:
        """What turns the float results into one number whose gradient is taken."""
        rng = np.random.default_rng(7)
        return [rng.normal(size=x.shape).astype("float32") for x in self.expected if _is_float(x)]

    @cached_property
    def expected_gradients(self) -> list[np.ndarray]:
        return _finite_differences(self) if self.ref else _keras_gradients(self)

    def with_floats(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the float tensors replaced, in order."""
        values = iter(values)  # type: ignore[assignment]
        return self.map(lambda x: next(values) if x.dtype.kind == "f" else x)  # type: ignore[call-overload]


def case(op: str, *args: Any, _ref: Callable[..., Any] | None = None, _dtypes: Sequence[str] = ("float16", "bfloat16"),
         _grad: bool = True, _batch: bool = False, _tol: float = 1e-5, **kwargs: Any) -> Case:  # fmt: skip
    return Case(op, args, kwargs, _ref, tuple(_dtypes), _grad, _batch, _tol)


def rows(cases: Sequence[Case]) -> list[Any]:
    """``(case, aspect)`` for every aspect that a case has."""
    found = []
    for c in cases:
        has = {"gradient": c.grad and bool(c.floats), "abstract": bool(c.tensors), "dtype": c.ref is None}
        found += [pytest.param(c, a, id=f"{c.label}-{a}") for a in ASPECTS if has.get(a, True)]
    return found


def check(row: Case, aspect: str, deviation: Callable[[str], None] | None = None) -> None:
    """Hold ``row`` to ``aspect`` on the current backend."""
    if deviation is not None:
        deviation(f"ops/{row.op}")
        deviation(f"ops/{row.op}/{aspect}")
    {"value": _value, "dtype": _dtype, "gradient": _gradient, "abstract": _abstract}[aspect](row)


def _value(row: Case) -> None:
    backend = backends.current()
    out = tree.flatten(_nyala(row.op)(*row.args, **row.kwargs))
    assert len(out) == len(row.expected)
    for got, want in zip(out, row.expected):
        got = backend.to_numpy(got) if backend.is_tensor(got) else np.asarray(got)
        assert got.shape == want.shape
        np.testing.assert_allclose(_plain(got), _plain(want), rtol=row.tol, atol=row.tol)


def _dtype(row: Case) -> None:
    backend = backends.current()
    for dtype, want in row.expected_dtypes.items():
        variant = row.cast(dtype) if row.tensors else row
        out = _nyala(row.op)(*variant.args, **variant.kwargs)
        got = [backend.dtype_of(x) for x in tree.flatten(out) if backend.is_tensor(x)]
        assert got == want, f"from {dtype}"


def _gradient(row: Case) -> None:
    backend = backends.current()
    args, kwargs = row.map(backend.convert)
    floats = [x for x in tree.flatten((args, kwargs)) if backend.is_tensor(x) and dtypes.is_float(backend.dtype_of(x))]
    weights = [backend.convert(w) for w in row.weights]

    def loss(*inputs: Any) -> Any:
        from nyala import ops

        args, kwargs = row.with_floats(inputs)
        out = tree.flatten(_nyala(row.op)(*args, **kwargs))
        out = [x for x in out if backend.is_tensor(x) and dtypes.is_float(backend.dtype_of(x))]
        return sum((ops.sum(x * w) for x, w in zip(out[1:], weights[1:])), ops.sum(out[0] * weights[0]))

    _, gradients = backend.grad(loss, floats)
    for got, want in zip(gradients, row.expected_gradients):
        got = backend.to_numpy(got)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=20 * row.tol, atol=20 * row.tol)


def _abstract(row: Case) -> None:
    backend = backends.current()
    out = tree.flatten(_nyala(row.op)(*row.args, **row.kwargs))
    want = [(backend.shape_of(x), backend.dtype_of(x)) for x in out if backend.is_tensor(x)]

    def symbolic(x: np.ndarray, batch: int | None = None) -> SymbolicTensor:
        unknown = batch is not None and x.ndim and x.shape[0] == batch
        return SymbolicTensor((None, *x.shape[1:]) if unknown else x.shape, x.dtype.name)

    args, kwargs = row.map(symbolic)
    got = [x for x in tree.flatten(_nyala(row.op)(*args, **kwargs)) if isinstance(x, SymbolicTensor)]
    assert [(x.shape, x.dtype) for x in got] == want
    if row.batch:
        args, kwargs = row.map(lambda x: symbolic(x, row.tensors[0].shape[0]))
        got = [x for x in tree.flatten(_nyala(row.op)(*args, **kwargs)) if isinstance(x, SymbolicTensor)]
        assert [(x.shape, x.dtype) for x in got] == [((None, *shape[1:]), dtype) for shape, dtype in want]


def _nyala(name: str) -> Callable[..., Any]:
    from nyala import ops

    return _dotted(ops, name)


def _keras(name: str) -> Callable[..., Any]:
    import keras

    return _dotted(keras.ops, name)


def _dotted(found: Any, name: str) -> Any:
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_float(x: np.ndarray) -> bool:
    return x.dtype.kind == "f" or x.dtype.name in dtypes.FLOATS


def _plain(x: np.ndarray) -> np.ndarray:
    return x.astype("float32") if _is_float(x) and x.dtype.kind != "f" else x


def _keras_dtypes(row: Case) -> list[str]:
    import jax
    import keras

    def run(*tensors: Any) -> Any:
        values = iter(tensors)
        args, kwargs = row.map(lambda _: next(values))
        return _keras(row.op)(*args, **kwargs)

    out = tree.flatten(jax.eval_shape(run, *row.tensors))
    return [keras.backend.standardize_dtype(x.dtype) for x in out if hasattr(x, "dtype")]


def _keras_gradients(row: Case) -> list[np.ndarray]:
    import jax

    def loss(*inputs: Any) -> Any:
        args, kwargs = row.with_floats(inputs)
        out = [x for x in tree.flatten(_keras(row.op)(*args, **kwargs)) if x.dtype.kind == "f"]
        return sum((x * w).sum() for x, w in zip(out, row.weights))

    # Compiled as one: JAX would else compile each operation of the gradient by itself.
    return [np.asarray(g) for g in jax.jit(jax.grad(loss, argnums=tuple(range(len(row.floats)))))(*row.floats)]


def _finite_differences(row: Case, step: float = 1e-5) -> list[np.ndarray]:
    floats = [x.astype("float64") for x in row.floats]

    def loss() -> float:
        args, kwargs = row.with_floats(floats)
        out = [np.asarray(x) for x in tree.flatten(row.ref(*args, **kwargs))]  # type: ignore[misc]
        return sum(float((x * w).sum()) for x, w in zip([x for x in out if _is_float(x)], row.weights))

    gradients = []
    for x in floats:
        gradient = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            middle = x[i]
            x[i] = middle + step
            above = loss()
            x[i] = middle - step
            gradient[i] = (above - loss()) / (2 * step)
            x[i] = middle
        gradients.append(gradient)
    return gradients
