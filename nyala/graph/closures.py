"""Functions that name tensors of a graph beside their arguments, as the losses of older Keras programs do."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from nyala import backends
from nyala._typing import Nest
from nyala.base import tree
from nyala.graph.function import Function
from nyala.graph.symbolic import SymbolicTensor


def named_by(fn: Any) -> list[SymbolicTensor]:
    """The symbolic tensors that a function or method names: in its closure, globals, defaults and attributes of objects
    there, and those of the functions and methods of its module that it calls.
    """
    home = getattr(fn, "__globals__", None)
    found: dict[int, SymbolicTensor] = {}
    seen: dict[Any, Any] = {}
    todo = [fn]
    while todo:
        x = todo.pop()
        # A method is made anew whenever it is asked for.
        key = (id(x.__func__), id(x.__self__)) if isinstance(x, types.MethodType) else id(x)
        if key in seen:
            continue
        seen[key] = x
        if isinstance(x, SymbolicTensor):
            found[id(x)] = x
        elif isinstance(x, functools.partial):
            todo += [x.func, *x.args, *x.keywords.values()]
        elif isinstance(x, types.MethodType) and _is_users(x.__func__):
            todo += [x.__func__, *_attributes(x.__self__, x.__func__.__code__)]
        elif _is_users(x) and (x.__globals__ is home or not isinstance(fn, types.FunctionType)):
            todo += _named(x)
        elif isinstance(x, (list, tuple)):
            todo += x
        elif isinstance(x, dict):
            todo += x.values()
    return list(found.values())


def _is_users(x: Any) -> TypeGuard[types.FunctionType]:
    return isinstance(x, types.FunctionType) and (x.__module__ or "").partition(".")[0] != "nyala"


def _named(fn: types.FunctionType) -> Iterator[Any]:
    cells = [c.cell_contents for c in fn.__closure__ or () if c != types.CellType()]
    globals_ = [fn.__globals__.get(n) for n in _loaded(fn.__code__, "LOAD_GLOBAL")]
    for x in [*cells, *globals_, *(fn.__defaults__ or ())]:
        yield x
        yield from _attributes(x, fn.__code__)


def _attributes(owner: Any, code: types.CodeType) -> list[Any]:
    """What the code may mean by ``owner.name``: attributes of the object itself and methods of its class."""
    if isinstance(owner, (type, types.ModuleType, SymbolicTensor)):
        return []
    values, found = getattr(owner, "__dict__", {}), []
    for name in _loaded(code, "LOAD_ATTR", "LOAD_METHOD"):
        if name in values:
            found.append(values[name])
        elif _is_users(method := getattr(type(owner), name, None)):
            found.append(types.MethodType(method, owner))
    return found


def _loaded(code: types.CodeType, *operations: str) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in operations:
            yield instruction.argval
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _loaded(inner, *operations)


def with_values(fn: Any, values: dict[int, Any]) -> Any:
    """``fn`` with values in place of the symbolic tensors, given by their ids, that it names."""
    if isinstance(fn, functools.partial):
        args, kwargs = tree.map(lambda x: values.get(id(x), x), (fn.args, fn.keywords))
        return functools.partial(with_values(fn.func, values), *args, **kwargs)
    if not _is_users(fn):
        return fn

    def value(x: Any) -> Any:
        if isinstance(x, (list, tuple, dict)):
            return tree.map(value, x)
        return values.get(id(x), with_values(x, values) if any(id(n) in values for n in named_by(x)) else x)

    cells = tuple(c if c == types.CellType() else types.CellType(value(c.cell_contents)) for c in fn.__closure__ or ())
    loaded = {n: value(fn.__globals__[n]) for n in _loaded(fn.__code__, "LOAD_GLOBAL") if n in fn.__globals__}
    defaults = None if fn.__defaults__ is None else tuple(map(value, fn.__defaults__))
    made = types.FunctionType(fn.__code__, {**fn.__globals__, **loaded}, fn.__name__, defaults, cells)
    made.__kwdefaults__ = fn.__kwdefaults__
    return functools.update_wrapper(made, fn)


class GraphFunction:
    """``fn`` as a graph, made once a signature, that is run with the values of its arguments and of what it names."""

    def __init__(self, fn: Callable[..., Any], named: list[SymbolicTensor]):
        self.fn = fn
        self.named = named
        self._plans: dict[Any, Function] = {}

    def __call__(self, values: Sequence[Any], *args: Any, **kwargs: Any) -> Nest:
        leaves, treedef = tree.flatten_with_structure((args, kwargs))
        where = [i for i, x in enumerate(leaves) if backends.of(x) is not None]
        batch, backend = self.named[0].shape[:1], self.named[0].backend
        signature = {i: ((*batch, *leaves[i].shape[1:]), backend.dtype_of(leaves[i])) for i in where}
        rest = tuple(x for i, x in enumerate(leaves) if i not in signature)
        key = (treedef, rest, *signature.items())
        if key not in self._plans:
            heads = {i: SymbolicTensor(*spec, backend=backend) for i, spec in signature.items()}
            a, k = tree.unflatten(treedef, [heads.get(i, x) for i, x in enumerate(leaves)])
            name = getattr(self.fn, "__name__", "function")
            self._plans[key] = Function([*heads.values(), *self.named], self.fn(*a, **k), name)
        return self._plans[key].run([*(leaves[i] for i in where), *values])


def bind(given: Nest, bound: Callable[[Any], Any]) -> Nest:
    """``given`` with its plain functions replaced by what ``bound`` makes of them."""
    plain = (types.FunctionType, types.MethodType, functools.partial)
    leaves, treedef = tree.flatten_with_structure(given)
    return tree.unflatten(treedef, [bound(x) if isinstance(x, plain) else x for x in leaves])
