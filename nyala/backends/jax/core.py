"""Tensors, variables' storage, abstract evaluation, gradients and control flow on JAX."""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax._src.array import ArrayImpl
from jax._src.core import trace_state_clean  # no public way to ask whether a trace is running
from jax.core import Tracer

from nyala import backends
from nyala._typing import Nest, Tensor
from nyala.backends import dtypes
from nyala.backends.base import BackendBase, TensorSpec
from nyala.backends.jax import distribute
from nyala.base import tree
from nyala.base.scope import StateScope
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor

# jax's functions are jitted, and what jit takes are arrays and pytrees: so a variable is a pytree of its value.
jax.tree_util.register_pytree_node(
    Variable, lambda v: ((v._as_foreign(backends.get("jax")),), None), lambda _, leaves: next(iter(leaves))
)
# A symbolic tensor has no value: asked for it, it says what to use in place of jax's function.
jax.tree_util.register_pytree_node(
    SymbolicTensor, lambda x: x._as_foreign(backends.get("jax")), lambda _, leaves: next(iter(leaves))
)

_NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


@functools.lru_cache(maxsize=None)
def native_dtype(name: str) -> np.dtype:
    """The dtype object of that name, the 32 bit one for 64 bits unless jax's x64 mode is on."""
    if name == "string":
        raise TypeError("backend 'jax' has no tensors of strings; keep them in NumPy arrays until they are encoded")
    return dtypes.numpy_dtype(name if jax.config.jax_enable_x64 else _NARROW.get(name, name))


@functools.lru_cache(maxsize=None)
def _name(dtype: Any) -> str:
    return dtypes.standardize(dtype)


def convert(x: Any, dtype: str | None = None) -> jax.Array:
    kind = None if dtype is None else native_dtype(dtype)
    if isinstance(x, jax.Array):
        return x if kind is None or x.dtype == kind else x.astype(kind)
    if hasattr(x, "_as_foreign"):
        return convert(x._as_foreign(backends.get("jax")), dtype)
    if isinstance(x, (list, tuple)) and any(
        isinstance(v, jax.Array) or hasattr(v, "_as_foreign") for v in tree.flatten(x)
    ):
        return convert(jnp.stack([convert(v) for v in x]), dtype)
    owner = backends.of(x)
    if owner is not None:
        raise TypeError(
            f"a tensor of backend {owner.name!r} was given to a function of 'jax'; pass nyala.ops.convert_to_numpy(x)"
        )
    if kind is None:
        kind = _default_kind(x)
    return jnp.array(x, kind) if isinstance(x, np.ndarray) else jnp.asarray(np.asarray(x, kind))


def _default_kind(x: Any) -> np.dtype:
    found = getattr(x, "dtype", None)
    if found is not None:
        return native_dtype(dtypes.standardize(found))
    kind = np.asarray(x).dtype
    return native_dtype(dtypes.standardize(None if kind.kind == "f" else "int32" if kind.kind in "iu" else kind))


class Cell:
    """A variable's storage. ``exposed``: somebody else may hold the array, so it is copied before it is donated."""

    __slots__ = ("array", "exposed")

    def __init__(self, array: jax.Array):
        self.array = array
        self.exposed = False


class _Dropped(StateScope):
    """For evaluation without values: reading a variable does not expose its buffer, writes are forgotten."""

    def miss(self, variable: Variable) -> Any:
        return variable._storage.array


class _Tracked(dict[Any, Any]):
    """The values of a differentiated function's scope; knows which of them were asked for."""

    def __init__(self, values: Any):
        super().__init__(values)
        self.asked: set[Any] = set()

    def __getitem__(self, variable: Any) -> Any:
        self.asked.add(variable)
        return super().__getitem__(variable)


class _Static(NamedTuple):
    """The leaves of a nest that are no tensors, and the nesting: what a traced function keeps beside its tensors."""

    treedef: Any
    leaves: tuple[Any, ...]


_HERE = object()


def split(nest: Nest) -> tuple[list[jax.Array], _Static]:
    """The tensors of a nest, and the rest."""
    leaves, treedef = tree.flatten_with_structure(nest)
    tensors = [x for x in leaves if isinstance(x, jax.Array)]
    return tensors, _Static(treedef, tuple([_HERE if isinstance(x, jax.Array) else x for x in leaves]))


def join(tensors: Sequence[Any], static: _Static) -> Nest:
    found = iter(tensors)
    return tree.unflatten(static.treedef, [next(found) if x is _HERE else x for x in static.leaves])


def strong(x: jax.Array) -> jax.Array:
    """``x`` without jax's weak type, which would make a compiled function trace again."""
    return lax.convert_element_type(x, x.dtype) if getattr(x, "weak_type", False) else x


_METHODS = (
    "all", "any", "argmax", "argmin", "argsort", "clip", "conj", "cumprod", "cumsum", "diagonal", "dot", "flatten",
    "max", "mean", "min", "prod", "ravel", "repeat", "round", "sort", "std", "sum", "swapaxes", "take", "trace",
    "transpose", "var",
)  # fmt: skip


class Core(BackendBase):
    name = "jax"
    loops_in_one_call = True
    tensor_types = (ArrayImpl,)
    tensor_methods = {name: getattr(ArrayImpl, name) for name in _METHODS}
    floating = frozenset(
        native_dtype(n) for n in ("float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2")
    ) | {np.dtype("float64")}

    # -- tensors -----------------------------------------------------------------------------------------------------

    def is_tensor(self, x: Any) -> bool:
        return isinstance(x, jax.Array)

    def convert(self, x: Any, dtype: str | None = None) -> Tensor:
        return convert(x, dtype)

    def to_numpy(self, x: Tensor) -> np.ndarray:
        return np.array(x)

    def dtype_of(self, x: Tensor) -> str:
        return _name(x.dtype)

    def native_dtype(self, dtype: str) -> Any:
        return native_dtype(dtype)

    def shape_of(self, x: Tensor) -> tuple[int | None, ...]:
        return x.shape

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        return lax.convert_element_type(x, native_dtype(dtype))

    def is_tracing(self) -> bool:
        return not trace_state_clean()

    def devices(self) -> list[str]:
        found = [f"{d.platform}:{d.id}" for d in jax.local_devices()]
        return found if found[0].startswith("cpu") else [*found, "cpu:0"]

    def synchronize(self, x: Nest = None) -> None:
        jax.block_until_ready(jax.live_arrays() if x is None else x)

    # -- variables ---------------------------------------------------------------------------------------------------

    def create(self, variable: Variable, value: np.ndarray) -> None:
        with jax.ensure_compile_time_eval():
            # A copy: XLA may otherwise share the memory of the NumPy array and donate it.
            array = jnp.array(value, native_dtype(dtypes.standardize(value.dtype)), copy=True)
            variable._storage = Cell(distribute.first_place(variable, array))

    def read(self, variable: Variable) -> Tensor:
        cell = variable._storage
        cell.exposed = True
        return cell.array

    def write(self, variable: Variable, value: Tensor) -> None:
        if isinstance(value, Tracer):
            raise RuntimeError(
                f"variable `{variable.path}` was assigned inside a function that jax traces without Nyala's knowledge, "
                "so the value would be lost; use nyala.function, nyala.value_and_grad or nyala.ops.cond/scan/... "
                "instead of jax's, or model.stateless_call"
            )
        cell = variable._storage
        cell.array = distribute.kept(variable, strong(value))
        cell.exposed = True

    def variable_numpy(self, variable: Variable) -> np.ndarray:
        return np.array(variable._storage.array)

    def outside_trace(self) -> AbstractContextManager[Any]:
        return jax.ensure_compile_time_eval()

    # -- transforms --------------------------------------------------------------------------------------------------

    def abstract(self, fn: Callable[..., Nest], args: Nest) -> Nest:
        leaves, treedef = tree.flatten_with_structure(args)
        places = [i for i, x in enumerate(leaves) if isinstance(x, TensorSpec)]
        specs = [jax.ShapeDtypeStruct(leaves[i].shape, native_dtype(leaves[i].dtype)) for i in places]  # type: ignore[arg-type]
        static: _Static | None = None

        def pure(*values: Any) -> list[Any]:
            nonlocal static
            filled = list(leaves)
            for i, value in zip(places, values):
                filled[i] = value
            with _Dropped():
                tensors, static = split(fn(*tree.unflatten(treedef, filled)))
            return tensors

        found = jax.eval_shape(pure, *specs)
        return join([TensorSpec(x.shape, _name(x.dtype)) for x in found], static)

    def value_and_grad(
        self, fn: Callable[..., Any], variables: Sequence[Variable], has_aux: bool = False
    ) -> Callable[..., tuple[Any, list[Tensor | None]]]:
        """As the protocol says; a variable that is read but has no influence gets zeros: jax does not tell them apart."""
        variables = list(variables)

        def call(*args: Any, **kwargs: Any) -> tuple[Any, list[Tensor | None]]:
            wanted = [v for v in dict.fromkeys(variables) if v.dtype in dtypes.FLOATS]
            run = _Run(lambda: fn(*args, **kwargs), has_aux)
            loss, tensors, gradients = run.differentiate(wanted)
            found = {v: g for v, g in zip(wanted, gradients) if v in run.asked}
            out = (loss, join(tensors, run.static)) if has_aux else loss
            return out, [found.get(v) for v in variables]

        return call

    def grad(self, fn: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Any, list[Tensor]]:
        run = _Run(fn, False)
        loss, _, gradients = run.differentiate([], list(inputs))
        return loss, list(gradients)

    def remat(self, fn: Callable[..., Nest], args: tuple[Any, ...]) -> Nest:
        tensors, static = split(args)
        outline: Any = None
        written: list[Variable] = []

        def pure(values: list[Any]) -> tuple[list[Any], list[Any]]:
            nonlocal outline
            with StateScope() as inner:
                found, outline = split(fn(*join(values, static)))
            written[:] = inner.written
            return found, list(inner.writes().values())

        found, values = jax.checkpoint(pure)(tensors)
        _assign(written, values)
        return join(found, outline)

    def on_device(self, name: str) -> AbstractContextManager[Any]:
        kind, _, index = name.partition(":")
        return jax.default_device(jax.devices(kind)[int(index or 0)])

    def show(self, message: str, x: Tensor, summarize: int = 3) -> None:
        plain = super().show
        jax.debug.callback(lambda value: plain(message, value, summarize), x)

    def sparse(self, x: Tensor) -> Any:
        from jax.experimental import sparse

        return sparse.BCOO.fromdense(x)

    export_formats = ("tf_saved_model",)

    def endpoint(self, *args: Any) -> Any:
        from nyala.backends.jax import export

        return export.endpoint(self, *args)

    # -- random numbers ----------------------------------------------------------------------------------------------

    def profiler(self, log_dir: str) -> AbstractContextManager[Any]:
        return jax.profiler.trace(log_dir)

    def next_seed(self, state: Variable) -> Tensor:
        seed = state.raw_value
        state.assign(seed + np.array([0, 1], "uint32"))
        return seed


class _Run:
    """One differentiated run of a function in a child scope; what it wrote is assigned in the scope around."""

    def __init__(self, fn: Callable[..., Any], has_aux: bool):
        self.fn = fn
        self.has_aux = has_aux
        self.static: Any = None
        self.asked: set[Any] = set()
        self.written: list[Variable] = []

    def differentiate(
        self, variables: list[Variable], inputs: list[Any] | None = None
    ) -> tuple[Any, list[Any], list[Any]]:
        def pure(values: list[Any], inputs: list[Any]) -> tuple[Any, Any]:
            scope = StateScope()
            scope.values = tracked = _Tracked(zip(variables, values))
            with scope:
                out = self.fn(*inputs)
            loss, aux = out if self.has_aux else (out, None)
            tensors, self.static = split(aux)
            self.asked = tracked.asked
            writes = {v: dict.__getitem__(tracked, v) for v in scope.written}
            self.written = list(writes)
            return loss, (tensors, list(writes.values()))

        values = [v.raw_value for v in variables]
        (loss, (tensors, writes)), gradients = jax.value_and_grad(
            pure, argnums=0 if inputs is None else 1, has_aux=True
        )(values, inputs or [])
        for variable, value in zip(self.written, writes):
            variable.assign(value)
        return loss, tensors, gradients


# -- control flow: each native runs its functions in child scopes and carries what they write --------------------------


def _written(fn: Callable[..., Any], *args: Any) -> list[Variable]:
    """The variables that ``fn(*args)`` writes, found by abstract evaluation."""
    found: list[Variable] = []

    def pure(tensors: list[Any]) -> None:
        with _Dropped() as scope:
            fn(*join(tensors, static))
        found.extend(scope.written)

    tensors, static = split(args)
    jax.eval_shape(pure, tensors)
    return found


def _assign(variables: Sequence[Variable], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values):
        variable.assign(value)


def _in_scope(
    fn: Callable[..., Any], variables: Sequence[Variable], values: Sequence[Any], *args: Any
) -> tuple[Any, list[Any]]:
    """``fn(*args)`` with the variables at ``values``, and their values afterwards."""
    with StateScope(dict(zip(variables, values))) as scope:
        out = fn(*args)
    return out, [strong(scope.values[v]) for v in variables]


def _branches(index: Any, fns: Sequence[Callable[..., Any]], args: tuple[Any, ...], boolean: bool, owner: str) -> Any:
    written = list(dict.fromkeys(v for fn in fns for v in _written(fn, *args)))
    statics: list[Any] = []

    def branch(fn: Callable[..., Any]) -> Callable[..., Any]:
        def run(operands: list[Any]) -> Any:
            out, values = _in_scope(fn, written, operands)
            tensors, static = split(out)
            statics.append(static)
            return tensors, values

        return run

    runs = [branch(functools.partial(fn, *args)) for fn in fns]
    values = [v.raw_value for v in written]
    if boolean:
        tensors, values = lax.cond(index, *runs, values)
    else:
        tensors, values = lax.switch(index, runs, values)
    if any(s.treedef != statics[0].treedef for s in statics):
        raise ValueError(f"{owner}: the functions must return the same nest, got {[str(s.treedef) for s in statics]}")
    _assign(written, values)
    return join(tensors, statics[0])


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    if not isinstance(pred, Tracer):
        return true_fn() if pred else false_fn()
    return _branches(jnp.reshape(pred, ()).astype(bool), [true_fn, false_fn], (), True, "cond")


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    if not isinstance(index, Tracer):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return _branches(jnp.reshape(index, ()).astype("int32"), list(branches), operands, False, "switch")


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    single = not isinstance(loop_vars, (list, tuple))
    start = (loop_vars,) if single else tuple(loop_vars)
    start = tree.map(lambda x: strong(convert(x)), start)
    written = list(dict.fromkeys((*_written(cond, *start), *_written(body, *start))))

    def test(carry: Any) -> Any:
        n, values, loop = carry
        with StateScope(dict(zip(written, values))):
            go = jnp.reshape(jnp.asarray(cond(*loop)), ()).astype(bool)
        return go if maximum_iterations is None else go & (n < maximum_iterations)

    def step(carry: Any) -> Any:
        n, values, loop = carry
        out, values = _in_scope(body, written, values, *loop)
        out = tuple(out) if isinstance(out, (list, tuple)) and not single else (out[0] if _is_one(out) else out,)
        return n + 1, values, tree.map(_like, start, out)

    _, values, loop = lax.while_loop(test, step, (jnp.int32(0), [v.raw_value for v in written], start))
    _assign(written, values)
    return loop[0] if single else type(loop_vars)(loop)


def _is_one(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and len(x) == 1


def _like(start: Any, x: Any) -> Any:
    """A loop's value keeps its dtype."""
    return strong(convert(x)).astype(start.dtype)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    start = tree.map(lambda x: strong(convert(x)), init_val)
    written = _written(lambda x: body_fun(jnp.int32(0), x), start)

    def step(i: Any, carry: Any) -> Any:
        value, values = carry
        out, values = _in_scope(body_fun, written, values, i, value)
        return tree.map(_like, start, out), values

    out, values = lax.fori_loop(lower, upper, step, (start, [v.raw_value for v in written]))
    _assign(written, values)
    return out


def scan(
    f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: Any = 1
) -> Any:
    init = tree.map(lambda x: None if x is None else strong(convert(x)), init)
    xs = tree.map(lambda x: None if x is None else convert(x), xs)
    written = _written(f, init, tree.map(lambda x: None if x is None else x[0], xs))

    def step(carry: Any, x: Any) -> Any:
        state, values = carry
        (state, y), values = _in_scope(f, written, values, state, x)
        return (state, values), y

    (state, values), ys = lax.scan(step, (init, [v.raw_value for v in written]), xs, length, reverse, unroll)
    _assign(written, values)
    return state, ys


def associative_scan(f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    return lax.associative_scan(f, elems, reverse, axis)


def map_(f: Callable[..., Any], xs: Any) -> Any:
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    elements = tree.map(convert, elements)
    written = _written(function, tree.map(lambda x: x[0], elements))

    def one(x: Any) -> Any:
        return _in_scope(function, written, [v.raw_value for v in written], x)

    if not written:
        return jax.vmap(function)(elements)
    try:
        out, values = jax.vmap(one, out_axes=(0, None))(elements)
    except ValueError as error:
        names = ", ".join(v.path for v in written)
        error.add_note(f"vectorized_map: `function` writes {names}; a written value must be the same for every element")
        raise
    _assign(written, values)
    return out


def jvp(fun: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], has_aux: bool) -> tuple[Any, ...]:
    written = _written(fun, *primals)

    def pure(*args: Any) -> Any:
        out, values = _in_scope(fun, written, [v.raw_value for v in written], *args)
        out, aux = out if has_aux else (out, None)
        return out, (aux, values)

    out, tangent, (aux, values) = jax.jvp(pure, primals, tangents, has_aux=True)
    _assign(written, values)
    return (out, tangent, aux) if has_aux else (out, tangent)


CONTROL = {
    "cond": cond,
    "switch": switch,
    "custom_gradient": jax.custom_gradient,
    "while_loop": while_loop,
    "fori_loop": fori_loop,
    "scan": scan,
    "associative_scan": associative_scan,
    "jvp": jvp,
    "map": map_,
    "vectorized_map": vectorized_map,
}
