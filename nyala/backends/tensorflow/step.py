"""``compile`` by ``tf.function``, and control flow that takes any nest and keeps the state that its functions write."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optree
import tensorflow as tf
from tensorflow.python.autograph.core.ag_ctx import ControlStatusCtx, Status

from nyala import backends
from nyala._typing import Nest, Tensor
from nyala.base import scope, tree
from nyala.base.scope import StateScope
from nyala.base.variable import Variable

_TRACED = (tf.Tensor, np.ndarray, np.generic)


def _convert(x: Any) -> Tensor:
    return backends.get("tensorflow").convert(x)


# -- nests -------------------------------------------------------------------------------------------------------------


class Static:
    """A nest without its tensors: what is left when ``split`` has taken them out."""

    def __init__(self, treedef: Any, leaves: list[Any]):
        self.treedef = treedef
        self.leaves = leaves

    def join(self, tensors: Sequence[Any]) -> Nest:
        rest = iter(tensors)
        return tree.unflatten(self.treedef, [next(rest) if x is _HERE else x for x in self.leaves])


_HERE: Any = object()


def split(nest: Nest) -> tuple[list[Tensor], Static]:
    """The tensors of a nest (variables are read, numbers stay what they are), and the rest of it."""
    leaves, treedef = tree.flatten_with_structure(nest)
    tensors: list[Tensor] = []
    for i, x in enumerate(leaves):
        if isinstance(x, Variable):
            x = x.value
        if isinstance(x, (tf.Tensor, tf.Variable, np.ndarray, np.generic)):
            tensors.append(tf.convert_to_tensor(x))
            leaves[i] = _HERE
    return tensors, Static(treedef, leaves)


def _all_tensors(nest: Nest) -> tuple[list[Tensor], Static]:
    """Like ``split``, numbers becoming tensors too."""
    return split(tree.map(lambda x: x if x is None or isinstance(x, str) else _convert(x), nest))


# -- compile -----------------------------------------------------------------------------------------------------------


class Compiled:
    """A function and its graphs, one for each nesting, set of static arguments and state of Python."""

    def __init__(self, backend: Any, fn: Callable[..., Nest], jit: bool):
        self.backend = backend
        self.fn = fn
        self.jit = jit
        self.version = -1
        self.graphs: dict[Any, tuple[Callable[..., Any], list[Static]]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Nest:
        local = scope.local
        if local.scope is not None:  # inside another transform: a part of its trace
            return self.fn(*args, **kwargs)
        leaves, treedef = optree.tree_flatten((args, kwargs), none_is_leaf=True)
        tensors = []
        static = []
        for x in leaves:
            if isinstance(x, _TRACED):
                tensors.append(x)
                static.append(_HERE)
            else:
                static.append((type(x), x))
        if self.version != scope.python_state.version:
            self.graphs.clear()
            self.version = scope.python_state.version
        key = (treedef, tuple(static), local.autocast, scope.python_state.flags)
        try:
            found = self.graphs.get(key)
        except TypeError as error:
            error.add_note(
                "a compiled function takes tensors, arrays and hashable values, which it treats as constants"
            )
            raise
        if found is None:
            found = self.graphs[key] = self._graph(treedef, leaves)
        run, out = found
        result = run(*tensors)
        return out[-1].join(result)

    def _graph(self, treedef: Any, leaves: list[Any]) -> tuple[Callable[..., Any], list[Static]]:
        rest = Static(treedef, [_HERE if isinstance(x, _TRACED) else x for x in leaves])
        out: list[Static] = []

        def body(*tensors: Tensor) -> list[Tensor]:
            args, kwargs = rest.join(tensors)
            # autograph=False holds for our code; what a user wrote is converted where it is called (user_code).
            with backends.backend_scope(self.backend), ControlStatusCtx(Status.UNSPECIFIED):
                result, static = split(self.fn(*args, **kwargs))
            out.append(static)
            return result

        graph = tf.function(body, autograph=False, jit_compile=self.jit or None)
        # Each kind of arguments has a body and a graph of its own; TensorFlow takes them for one that is traced again.
        graph._omit_frequent_tracing_warning = True  # pyright: ignore[reportAttributeAccessIssue]
        return graph, out


def compile(backend: Any, fn: Callable[..., Nest], jit: bool | None) -> Callable[..., Nest]:
    return Compiled(backend, fn, bool(jit))


def compile_loop(backend: Any, fn: Callable[..., Nest], jit: bool | None) -> Callable[..., Nest]:
    def loop(xs: Nest, *rest: Any) -> Nest:
        values, static = _all_tensors(xs)

        def one(i: Any) -> Nest:
            return fn(static.join([x[i] for x in values]), *rest)

        n = tf.shape(values[0])[0] if values[0].shape[0] is None else values[0].shape[0]
        if scope.local.scope is not None:
            return fori_loop(0, n, lambda i, _: one(i), one(0))
        shapes, out = _outline(one, 0)
        last = tf.while_loop(
            lambda i, *_: i < n,
            lambda i, *_: (i + 1, *_all_tensors(one(i))[0]),
            (0, *(tf.zeros(s.shape, s.dtype) for s in shapes)),
            parallel_iterations=1,
        )
        return out.join(last[1:])

    return Compiled(backend, loop, bool(jit))


# -- control flow ------------------------------------------------------------------------------------------------------
#
# TF keeps what is assigned in a branch or a loop. Only where a state scope holds the values (stateless calls) must the
# writes be found first, and travel as results of the branch or variables of the loop.


def _outline(fn: Callable[..., Nest], *args: Any) -> tuple[list[tf.TensorSpec], Static]:
    """Shapes and dtypes of the tensors that ``fn(*args)`` gives, found in a graph that is thrown away."""
    graph = tf.__internal__.FuncGraph("outline")
    with graph.as_default(), StateScope():
        tensors, static = _all_tensors(fn(*args))
    return [tf.TensorSpec(t.shape, t.dtype) for t in tensors], static


def _written(*calls: Callable[[], Any]) -> list[Variable]:
    """The variables that the calls write into the scope around; none where writes go to the storage."""
    if scope.local.scope is None:
        return []
    found: dict[Variable, None] = {}
    for call in calls:
        with tf.__internal__.FuncGraph("written").as_default(), StateScope() as inner:
            call()
        found.update(inner.written)
    return list(found)


def _inside(
    fn: Callable[..., Any], written: list[Variable], values: Sequence[Tensor], *args: Any
) -> tuple[Any, list[Tensor]]:
    """``fn(*args)`` with the ``written`` variables holding ``values``; the result and their new values."""
    if not written:
        return fn(*args), []
    with StateScope(dict(zip(written, values))) as inner:
        out = fn(*args)
    return out, [tf.convert_to_tensor(inner.values[v]) for v in written]


def _keep(written: list[Variable], values: Sequence[Tensor]) -> None:
    for variable, value in zip(written, values):
        variable.assign(value)


def _is_known(x: Any) -> bool:
    return not isinstance(x, tf.Tensor) or isinstance(x, tf.__internal__.EagerTensor)


def cond(pred: Any, true_fn: Callable[[], Nest], false_fn: Callable[[], Nest]) -> Nest:
    if _is_known(pred):
        return true_fn() if pred else false_fn()
    return _branches(tf.cast(tf.reshape(pred, ()), tf.bool), [true_fn, false_fn])


def switch(index: Any, branches: Sequence[Callable[..., Nest]], *operands: Nest) -> Nest:
    if _is_known(index):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    index = tf.clip_by_value(tf.cast(tf.reshape(index, ()), tf.int32), 0, len(branches) - 1)
    return _branches(index, [lambda fn=fn: fn(*operands) for fn in branches])


def _branches(which: Tensor, fns: list[Callable[[], Nest]]) -> Nest:
    written = _written(*fns)
    before = [v.raw_value for v in written]
    statics: list[Static] = []

    def branch(fn: Callable[[], Nest]) -> Callable[[], list[Tensor]]:
        def run() -> list[Tensor]:
            out, values = _inside(fn, written, before)
            tensors, static = _all_tensors(out)
            statics.append(static)
            # TF wants at least one result.
            return [tf.constant(0), *tensors, *values]

        return run

    runs = [branch(fn) for fn in fns]
    results = tf.cond(which, *runs) if which.dtype == tf.bool else tf.switch_case(which, runs)
    if any(s.treedef != statics[0].treedef for s in statics):
        raise ValueError(f"the branches must return the same nest, got {[str(s.treedef) for s in statics]}")
    results = results[1:]
    at = len(results) - len(written)
    _keep(written, results[at:])
    return statics[0].join(results[:at])


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Sequence[Nest], maximum_iterations: int | None = None
) -> tuple[Nest, ...]:
    start, static = _all_tensors(tuple(loop_vars))
    written = _written(lambda: cond(*loop_vars), lambda: body(*loop_vars))
    n = len(start)

    def test(*flat: Tensor) -> Tensor:
        return tf.reshape(tf.cast(_inside(cond, written, flat[n:], *static.join(flat[:n]))[0], tf.bool), ())

    def step(*flat: Tensor) -> list[Tensor]:
        out, values = _inside(body, written, flat[n:], *static.join(flat[:n]))
        out = tuple(out) if isinstance(out, (list, tuple)) else (out,)
        tensors, _ = _all_tensors(out)
        return [*(tf.cast(t, s.dtype) for t, s in zip(tensors, start)), *values]

    flat = tf.while_loop(test, step, [*start, *(v.raw_value for v in written)], maximum_iterations=maximum_iterations)
    _keep(written, flat[n:])
    return static.join(flat[:n])


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Nest], Nest], init_val: Nest) -> Nest:
    lower, upper = (tf.cast(_convert(v), tf.int32) for v in (lower, upper))
    return while_loop(lambda i, _: i < upper, lambda i, value: (i + 1, body_fun(i, value)), (lower, init_val))[1]


def scan(
    f: Callable[[Nest, Nest], tuple[Nest, Nest]],
    init: Nest,
    xs: Nest = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Nest, Nest]:
    inputs, of_x = _all_tensors(xs)
    n = length if not inputs else inputs[0].shape[0] if inputs[0].shape[0] is not None else tf.shape(inputs[0])[0]

    def x_at(i: Any) -> Nest:
        return of_x.join([x[i] for x in inputs]) if inputs else xs

    if isinstance(n, int) and (tf.executing_eagerly() or unroll is True):
        return _written_out(f, init, x_at, n, reverse)

    carries, of_carry = _all_tensors(init)
    shapes, of_y = _outline(lambda c, x: f(c, x)[1], init, x_at(0))
    written = _written(lambda: f(init, x_at(0)))
    m, k = len(carries), len(shapes)
    stores = [tf.TensorArray(s.dtype, n, element_shape=s.shape) for s in shapes]

    # A turn of the loop may hold several steps, if they come out even.
    times = int(unroll) if isinstance(n, int) and n % int(unroll) == 0 else 1

    def step(turn: Tensor, *flat: Any) -> list[Any]:
        state, arrays, values = list(flat[:m]), list(flat[m : m + k]), list(flat[m + k :])
        for i in (turn + t for t in range(times)):
            i = n - 1 - i if reverse else i
            (carry, y), values = _inside(f, written, values, of_carry.join(state), x_at(i))
            state = [tf.ensure_shape(tf.cast(c, s.dtype), s.shape) for c, s in zip(_all_tensors(carry)[0], carries)]
            arrays = [a.write(i, v) for a, v in zip(arrays, _all_tensors(y)[0])]
        return [turn + times, *state, *arrays, *values]

    flat = tf.while_loop(
        lambda i, *_: i < n, step, [tf.constant(0), *carries, *stores, *(v.raw_value for v in written)]
    )
    _, state, arrays, values = flat[0], flat[1 : 1 + m], flat[1 + m : 1 + m + k], flat[1 + m + k :]
    _keep(written, values)
    return of_carry.join(state), of_y.join([a.stack() for a in arrays])


def _written_out(
    f: Callable[..., Any], carry: Nest, x_at: Callable[[int], Nest], n: int, reverse: bool
) -> tuple[Nest, Nest]:
    ys = []
    for i in reversed(range(n)) if reverse else range(n):
        carry, y = f(carry, x_at(i))
        ys.append(y)
    if not n:
        shapes, of_y = _outline(lambda: f(carry, x_at(0))[1])
        return carry, of_y.join([tf.zeros((0, *s.shape), s.dtype) for s in shapes])
    parts = [_all_tensors(y) for y in (reversed(ys) if reverse else ys)]
    return carry, parts[0][1].join([tf.stack(column) for column in zip(*(p[0] for p in parts))])


def vectorized_map(function: Callable[[Nest], Nest], elements: Nest) -> Nest:
    inputs, of_x = _all_tensors(elements)
    one = [x[0] for x in inputs]
    if _written(lambda: function(of_x.join(one))):
        return scan(lambda _, x: (None, function(x)), None, elements)[1]
    outs: list[Static] = []

    def run(tensors: list[Tensor]) -> list[Tensor]:
        found, static = _all_tensors(function(of_x.join(tensors)))
        outs.append(static)
        return found

    result = tf.vectorized_map(run, inputs)
    return outs[-1].join(result)


class _Reads(StateScope):
    """Notes which variables are read that it does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[Variable, None] = {}

    def read(self, variable: Variable) -> Any:
        if variable not in self.values:
            self.asked[variable] = None
        return super().read(variable)


def remat(fn: Callable[..., Nest], args: tuple[Any, ...]) -> Nest:
    """See the protocol. TF treats what a recomputed function closes over as constant: all it reads becomes an argument."""
    with tf.__internal__.FuncGraph("reads").as_default(), _Reads() as reads:
        fn(*args)
    fixed = {v: tf.convert_to_tensor(v.raw_value) for v in reads.asked if not v.dtype.startswith(("float", "bfloat"))}
    variables, written = [v for v in reads.asked if v not in fixed], list(reads.written)
    tensors, static = split(args)
    outline: Any = None

    @tf.recompute_grad
    def run(*flat: Tensor) -> list[Tensor]:
        nonlocal outline
        with StateScope({**fixed, **dict(zip(variables, flat[len(tensors) :]))}) as inner:
            found, outline = _all_tensors(fn(*static.join(flat[: len(tensors)])))
        return [*found, *(tf.convert_to_tensor(inner.values[v]) for v in written)]

    out = run(*tensors, *(tf.convert_to_tensor(v.raw_value) for v in variables))
    _keep(written, out[len(out) - len(written) :])
    return outline.join(out[: len(out) - len(written)])


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        tensors, static = _all_tensors(args)

        @tf.custom_gradient
        def run(*flat: Tensor) -> Any:
            inputs = static.join(flat)
            out, grad = f(*inputs)

            def back(*upstream: Tensor) -> Any:
                try:
                    found = grad(*upstream)
                except TypeError:
                    found = grad(*inputs, upstream=upstream[0] if len(upstream) == 1 else upstream)
                return [tf.convert_to_tensor(g) for g in tree.flatten(found)]

            return out, back

        return run(*tensors)

    return call


def jvp(fun: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], has_aux: bool) -> tuple[Any, ...]:
    with tf.autodiff.ForwardAccumulator(tree.flatten(primals), tree.flatten(tangents)) as forward:
        out = fun(*primals)
        out, aux = out if has_aux else (out, None)
        tangent = tree.map(lambda y: forward.jvp(y, unconnected_gradients=tf.UnconnectedGradients.ZERO), out)
    return (out, tangent, aux) if has_aux else (out, tangent)


CONTROL: dict[str, Callable[..., Any]] = {
    "cond": cond,
    "custom_gradient": custom_gradient,
    "fori_loop": fori_loop,
    "jvp": jvp,
    "scan": scan,
    "switch": switch,
    "vectorized_map": vectorized_map,
    "while_loop": while_loop,
}
