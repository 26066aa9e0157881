"""The contract that every op keeps on every backend: value, gradient, result dtype, abstract shape.

A test module lists its cases and hands each to ``check``::

    CASES = [case("relu", X), case("softmax", X, axis=0), case("argmax", X, _grad=False)]

    @pytest.mark.parametrize("row", rows(CASES))
    def test_op(row, backend, deviation):
        check(row, deviation)

NumPy arrays among the arguments (also inside lists and dicts) are the tensors. The oracle is ``keras.ops`` on JAX or,
where a case has ``_ref``, that function on NumPy arrays. A known deviation is the row ``ops/<op>`` or
``ops/<op>/<aspect>`` of ``xfails.py``.

What JAX runs, here and in the oracle, is compiled as one: it would else compile every operation by itself, which takes
most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pytest

from nyala import backends
from nyala.backends import dtypes
from nyala.backends.base import TensorSpec
from nyala.base import tree
from nyala.graph.symbolic import SymbolicTensor
from tests.xfails import XFAILS

HALF = ("float16", "bfloat16")
COMPILED = frozenset({"jax"})


@dataclass(eq=False)
class Case:
    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    ref: Callable[..., Any] | None = None
    """Takes the arguments as NumPy arrays, float64 ones for the gradient."""
    dtypes: tuple[str, ...] | None = None
    """To these, too, the tensors of the first one's kind are cast when result dtypes are compared with Keras's; ``None``:
    to the half floats in the first case of the op."""
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

    @property
    def differentiable(self) -> bool:
        return self.grad and bool(self.floats)

    def with_tensors(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with the tensors replaced, in order."""
        left = iter(values)
        return self.map(lambda _: next(left))

    def run(self, fn: Callable[..., Any], tensors: Sequence[Any], grad: Callable[..., Any]) -> tuple[list[Any], Any]:
        """What ``fn`` makes of ``tensors``, and by ``grad(loss, floats)`` the gradients of a number made of that."""
        out = tree.flatten(_apply(self, fn, tensors))
        places = [i for i, x in enumerate(self.tensors) if x.dtype.kind == "f"]

        def loss(*floats: Any) -> Any:
            values = list(tensors)
            for i, x in zip(places, floats):
                values[i] = x
            rng = np.random.default_rng(7)
            out = [x for x in tree.flatten(_apply(self, fn, values)) if hasattr(x, "shape") and "float" in str(x.dtype)]
            return [(x, rng.normal(size=tuple(x.shape)).astype("float32")) for x in out]

        return out, grad(loss, [tensors[i] for i in places]) if self.differentiable else []

    # -- the oracle, computed once for all backends ------------------------------------------------------------------

    @cached_property
    def expected(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Values and gradients."""
        if self.ref:
            out, gradients = self.run(self.ref, self.tensors, _finite_differences)
        else:
            import jax

            def run(*tensors: Any) -> Any:
                return self.run(_keras(self.op), tensors, _keras_gradients)

            out, gradients = jax.jit(run)(*self.tensors)
        return [np.asarray(x) for x in out], [np.asarray(x) for x in gradients]

    @cached_property
    def expected_dtypes(self) -> dict[str, list[str]]:
        own = self.tensors[0].dtype.name if self.tensors else "float32"
        more = self.dtypes if self.tensors else ()
        return {own: _keras_dtypes(self), **{d: _keras_dtypes(self.cast(d)) for d in more or ()}}


def case(op: str, *args: Any, _ref: Callable[..., Any] | None = None, _dtypes: Sequence[str] | None = None,
         _grad: bool = True, _batch: bool = False, _tol: float = 1e-5, **kwargs: Any) -> Case:  # fmt: skip
    dtypes = None if _dtypes is None else tuple(_dtypes)
    return Case(op, args, kwargs, _ref, dtypes, _grad, _batch, _tol)


def rows(cases: Sequence[Case]) -> list[Any]:
    seen = set()
    for c in cases:
        if c.dtypes is None:
            c.dtypes = () if c.op in seen else HALF
        seen.add(c.op)
    return [pytest.param(c, id=c.label) for c in cases]


def check(row: Case, deviation: Callable[[str], None]) -> None:
    """Hold ``row`` to its aspects on the current backend, those with a known deviation last."""
    deviation(f"ops/{row.op}")
    aspects = {"value": lambda: _value(row, out), "abstract": lambda: _abstract(row, out)}
    if not row.tensors:
        del aspects["abstract"]
    if row.ref is None:
        aspects["dtype"] = lambda: _dtype(row)
    if row.differentiable:
        aspects["gradient"] = lambda: _gradient(row, gradients)
    out, gradients = _run(row)
    for aspect in sorted(aspects, key=lambda a: f"ops/{row.op}/{a}" in XFAILS):
        deviation(f"ops/{row.op}/{aspect}")
        aspects[aspect]()


def _run(row: Case) -> tuple[list[Any], list[Any]]:
    backend = backends.current()

    def grad(loss: Callable[..., Any], floats: list[Any]) -> list[Any]:
        from nyala import ops

        return backend.grad(lambda *x: sum(ops.sum(ops.multiply(y, w)) for y, w in loss(*x)), floats)[1]

    def run(*tensors: Any) -> Any:
        return row.run(_nyala(row.op), tensors, grad)

    return (backend.compile(run) if backend.name in COMPILED else run)(*map(backend.convert, row.tensors))


def _value(row: Case, out: list[Any]) -> None:
    backend = backends.current()
    expected, _ = row.expected
    assert len(out) == len(expected)
    for got, want in zip(out, expected):
        got = backend.to_numpy(got) if backend.is_tensor(got) else np.asarray(got)
        assert got.shape == want.shape
        np.testing.assert_allclose(_plain(got), _plain(want), rtol=row.tol, atol=row.tol, err_msg="value")


def _gradient(row: Case, gradients: list[Any]) -> None:
    _, expected = row.expected
    for got, want in zip(gradients, expected):
        got = backends.current().to_numpy(got)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=20 * row.tol, atol=20 * row.tol, err_msg="gradient")


def _dtype(row: Case) -> None:
    """Of NumPy arrays."""
    backend = backends.current()
    for dtype, want in row.expected_dtypes.items():
        variant = row.cast(dtype) if row.tensors else row
        fn = partial(_apply, variant, _nyala(row.op))
        if backend.name in COMPILED:
            specs = [TensorSpec(x.shape, x.dtype.name) for x in variant.tensors]
            got = [
                x.dtype for x in tree.flatten(backend.abstract(lambda *x: fn(x), tuple(specs))) if hasattr(x, "dtype")
            ]
        else:
            got = [backend.dtype_of(x) for x in tree.flatten(fn(variant.tensors)) if backend.is_tensor(x)]
        assert got == want, f"from {dtype}"


def _abstract(row: Case, out: list[Any]) -> None:
    backend = backends.current()
    want = [(backend.shape_of(x), backend.dtype_of(x)) for x in out if backend.is_tensor(x)]

    def symbolic(x: np.ndarray, batch: int | None = None) -> SymbolicTensor:
        unknown = batch is not None and x.ndim and x.shape[0] == batch
        return SymbolicTensor((None, *x.shape[1:]) if unknown else x.shape, x.dtype.name)

    def found(tensors: list[SymbolicTensor]) -> list[Any]:
        out = tree.flatten(_apply(row, _nyala(row.op), tensors))
        return [(x.shape, x.dtype) for x in out if isinstance(x, SymbolicTensor)]

    assert found([symbolic(x) for x in row.tensors]) == want
    if row.batch:
        unknown = [symbolic(x, row.tensors[0].shape[0]) for x in row.tensors]
        assert found(unknown) == [((None, *shape[1:]), dtype) for shape, dtype in want]


def _apply(row: Case, fn: Callable[..., Any], tensors: Sequence[Any]) -> Any:
    args, kwargs = row.with_tensors(tensors)
    return fn(*args, **kwargs)


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

    out = tree.flatten(jax.eval_shape(lambda *x: _apply(row, _keras(row.op), x), *row.tensors))
    return [keras.backend.standardize_dtype(x.dtype) for x in out if hasattr(x, "dtype")]


def _keras_gradients(loss: Callable[..., Any], floats: list[Any]) -> Any:
    import jax

    return jax.grad(lambda *x: sum((y * w).sum() for y, w in loss(*x)), argnums=tuple(range(len(floats))))(*floats)


def _finite_differences(loss: Callable[..., Any], floats: list[np.ndarray], step: float = 1e-5) -> list[np.ndarray]:
    floats = [x.astype("float64") for x in floats]

    def value() -> float:
        return sum(float((y * w).sum()) for y, w in loss(*floats))

    gradients = []
    for x in floats:
        gradient = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            middle = x[i]
            x[i] = middle + step
            above = value()
            x[i] = middle - step
            gradient[i] = (above - value()) / (2 * step)
            x[i] = middle
        gradients.append(gradient)
    return gradients
