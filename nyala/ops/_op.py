"""The decorator that makes a function an op.

    @op("same")
    def add(x1: TensorLike, x2: TensorLike) -> Tensor:
        "x1 + x2, elementwise with broadcasting."

A call (1) records a node when an argument is symbolic, (2) finds the backend: by the type of the tensor arguments, else
the one that is current, (3) converts the parameters annotated ``TensorLike`` (``Sequence[TensorLike]``: each member) by the
op's rule, (4) runs the backend's native if its table has one, else the function's own body, which composes other ops. A
body that is only a docstring says that every backend has a native.

Rules: ``"keep"`` converts and leaves dtypes alone; ``"same"`` promotes all tensors to their common dtype (Python numbers are
weak); ``"float"`` does so and turns ints and bools into ``floatx()``. ``None`` stays ``None``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, overload

import numpy as np

from nyala import backends
from nyala.backends import dtypes
from nyala.base import tree
from nyala.base.variable import Variable
from nyala.graph.symbolic import SymbolicTensor

F = TypeVar("F", bound=Callable[..., Any])

REGISTRY: dict[str, Callable[..., Any]] = {}
"""Every op by name; a family that repeats a name across namespaces registers ``"image.resize"`` and the like."""

_SCALARS = frozenset({int, float, bool})
_type_to_backend = backends.backend_of_type
_floating = backends.floating


def _docstring_only() -> None:
    """Has the byte code of every body that is only a docstring."""


class _Spec:
    """What the decorator knows of an op."""

    __slots__ = (
        "name",
        "body",
        "rule",
        "names",
        "tensors",
        "tensors_end",
        "nested",
        "required",
        "has_body",
        "impls",
        "fast",
        "call",
    )

    def __init__(self, body: Callable[..., Any], rule: str, name: str | None):
        code = body.__code__
        self.name = name or body.__name__
        self.body = body
        self.rule = rule
        self.names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        kinds = {n: str(a) for n, a in body.__annotations__.items() if n != "return"}
        self.tensors = tuple(i for i, n in enumerate(self.names) if "TensorLike" in kinds.get(n, ""))
        self.tensors_end = max((i + 1 for i in self.tensors if i < code.co_argcount), default=0)
        self.nested = frozenset(
            i for i in self.tensors if "Sequence[TensorLike" in kinds[self.names[i]] or "Nest" in kinds[self.names[i]]
        )
        self.required = code.co_argcount - len(body.__defaults__ or ())
        self.has_body = code.co_code != _docstring_only.__code__.co_code
        self.impls: dict[Any, Callable[..., Any]] = {}
        self.fast: dict[type, Callable[..., Any]] = {}

    def impl(self, backend: Any) -> Callable[..., Any]:
        """What runs on ``backend``: its native, else the body inside the backend's scope."""
        found = self.impls.get(backend)
        if found is None:
            found = backend.natives.get(self.name)
            if found is None:
                if not self.has_body:
                    raise NotImplementedError(f"ops.{self.name} is not available on the {backend.name} backend")
                found = _in_scope(self.body, backend)
            self.impls[backend] = found
        return found


def _in_scope(body: Callable[..., Any], backend: Any) -> Callable[..., Any]:
    local = backends.local

    def run(*args: Any, **kwargs: Any) -> Any:
        outer = local.backend
        if outer is backend:
            return body(*args, **kwargs)
        local.backend = backend
        try:
            return body(*args, **kwargs)
        finally:
            local.backend = outer

    return run


@overload
def op(rule: F) -> F: ...
@overload
def op(rule: str = "keep", *, name: str | None = None) -> Callable[[F], F]: ...
def op(rule: Any = "keep", *, name: str | None = None) -> Any:
    if callable(rule):
        return _make(rule, "keep", None)
    return lambda body: _make(body, rule, name)


def _make(body: Callable[..., Any], rule: str, name: str | None) -> Callable[..., Any]:
    spec = _Spec(body, rule, name)
    if spec.tensors == (0, 1) and spec.required == 2 and not spec.nested:
        call = _fast_binary(spec)
    elif spec.tensors[:1] == (0,) and not spec.nested:
        call = _fast_first(spec)
    else:
        call = _slow(spec)
    functools.update_wrapper(call, body)
    call.spec = spec  # type: ignore[attr-defined]
    spec.call = call
    REGISTRY[spec.name] = call
    return call


# The fast paths cost a look-up of the tensor's type in ``spec.fast``; whatever is unusual goes to ``_general``, which
# fills it. Their parameters are positional only, because making ``*args`` of them costs more than the look-up.

_MISSING: Any = object()


def _slow(spec: _Spec) -> Callable[..., Any]:
    return lambda *args, **kwargs: _general(spec, args, kwargs)


def _fast_first(spec: _Spec) -> Callable[..., Any]:
    """When the first argument is the only tensor and has a fitting dtype, the native is one dict look-up away."""
    fast = spec.fast
    others = spec.tensors[1:]
    other_names = frozenset(spec.names[i] for i in others)
    to_float = spec.rule == "float"
    rest_limit = others[0] if others else 1_000

    def call(x: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        if type(x) is Variable:
            x = x.value
        impl = fast.get(type(x))
        if (
            impl is not None
            and (not to_float or x.dtype in _floating)
            and (not others or (len(rest) < rest_limit and other_names.isdisjoint(kwargs)))
        ):
            try:
                return impl(x, *rest, **kwargs)
            except RuntimeError as error:
                return _again(impl, (x, *rest), kwargs, error)
        return _general(spec, rest if x is _MISSING else (x, *rest), kwargs)

    return call


def _fast_binary(spec: _Spec) -> Callable[..., Any]:
    """Two tensors of one type and dtype, or a float tensor and a Python number, go straight to the native."""
    fast = spec.fast
    keep = spec.rule == "keep"
    to_float = spec.rule == "float"

    def call(x: Any = _MISSING, y: Any = _MISSING, /, *rest: Any, **kwargs: Any) -> Any:
        if type(y) is Variable:
            y = y.value
        kind = type(x)
        if kind is Variable:
            x = x.value
            kind = type(x)
        impl = fast.get(kind)
        if impl is not None:
            other = type(y)
            if other is kind or fast.get(other) is impl:
                fits = keep or (x.dtype is y.dtype and (not to_float or x.dtype in _floating))
            else:
                fits = not keep and other in _SCALARS and x.dtype in _floating
            if fits:
                try:
                    return impl(x, y, *rest, **kwargs)
                except RuntimeError as error:
                    return _again(impl, (x, y, *rest), kwargs, error)
        return _general(spec, tuple(a for a in (x, y) if a is not _MISSING) + rest, kwargs)

    return call


def _again(impl: Callable[..., Any], args: Any, kwargs: Any, error: RuntimeError) -> Any:
    """What a backend can still do for a native that raised; without a rescue the error itself."""
    backend = backends.of(args[0]) or backends.current()
    return backend.rescue(impl, args, kwargs, error)


def _symbolic(x: Any) -> bool:
    if isinstance(x, SymbolicTensor):
        return True
    if isinstance(x, (list, tuple)):
        return any(_symbolic(v) for v in x)
    if isinstance(x, dict):
        return any(_symbolic(v) for v in x.values())
    if isinstance(x, slice):
        return any(isinstance(v, SymbolicTensor) for v in (x.start, x.stop, x.step))
    return False


def _general(spec: _Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if any(_symbolic(a) for a in args) or any(_symbolic(a) for a in kwargs.values()):
        from nyala.graph.node import record

        return record(spec.call, args, kwargs)

    bound: list[Any] = list(args)
    if kwargs and len(bound) < spec.tensors_end:
        # Natives know their tensors by place.
        kwargs = dict(kwargs)
        while len(bound) < spec.tensors_end and spec.names[len(bound)] in kwargs:
            bound.append(kwargs.pop(spec.names[len(bound)]))
    tensors: list[Any] = []
    for i in spec.tensors:
        if i < len(bound):
            _collect(bound[i], i in spec.nested, tensors)
        elif (found := kwargs.get(spec.names[i])) is not None:
            _collect(found, i in spec.nested, tensors)
    backend = find_backend(tensors, spec.name)
    if spec.name in backend.sparse_natives and any(isinstance(x, backend.not_dense) for x in tensors):
        return backend.sparse_natives[spec.name](*args, **kwargs)

    dtype = None
    if spec.rule != "keep" and tensors:
        names = [_weak_dtype(backend, t) for t in tensors]
        joined = dtypes.join(*names)
        if spec.rule == "float" and joined not in dtypes.FLOATS and joined not in dtypes.COMPLEX:
            joined = "float"
        dtype = dtypes.result_type(joined)

    def one(x: Any) -> Any:
        if x is None:
            return None
        if isinstance(x, Variable):
            x = x.value
        return backend.convert(x, dtype)

    def all_of(x: Any, nested: bool) -> Any:
        if x is None:
            return None
        if nested and isinstance(x, (list, tuple, dict)):
            return tree.map(one, x)
        return one(x)

    for i in spec.tensors:
        if i < len(bound):
            bound[i] = all_of(bound[i], i in spec.nested)
        elif spec.names[i] in kwargs:
            kwargs = {**kwargs, spec.names[i]: all_of(kwargs[spec.names[i]], i in spec.nested)}
    impl = spec.impl(backend)
    for x in tensors:
        if _type_to_backend.get(type(x)) is backend:
            spec.fast[type(x)] = impl
    try:
        return impl(*bound, **kwargs)
    except RuntimeError as error:
        return backend.rescue(impl, bound, kwargs, error)


def _collect(x: Any, nested: bool, into: list[Any]) -> None:
    if x is None:
        return
    if nested and isinstance(x, (list, tuple, dict)):
        into.extend(v for v in tree.flatten(x) if v is not None)
    else:
        into.append(x)


def _weak_dtype(backend: Any, x: Any) -> str:
    kind = type(x)
    if kind is bool:
        return "bool"
    if kind is int:
        return "int"
    if kind is float:
        return "float"
    if isinstance(x, Variable):
        return backend.dtype_of(x.value)
    if backend.is_tensor(x):
        return backend.dtype_of(x)
    if isinstance(x, (list, tuple)):
        leaves = tree.flatten(x)
        return dtypes.join(*(_weak_dtype(backend, v) for v in leaves)) if leaves else dtypes.standardize(None)
    return dtypes.standardize(getattr(x, "dtype", None) if hasattr(x, "dtype") else np.asarray(x).dtype)


def find_backend(tensors: Any, who: str = "op") -> Any:
    """The backend that the tensors and variables among ``tensors`` share; the current one if there are none.

    Raises TypeError naming both when two backends meet.
    """
    found = None
    for x in tensors:
        if isinstance(x, Variable):
            backend = x.backend
        elif isinstance(x, (list, tuple)):
            inner = [v for v in tree.flatten(x) if not isinstance(v, (int, float, str))]
            if not inner:
                continue
            backend = (
                find_backend(inner, who) if any(isinstance(v, Variable) or backends.of(v) for v in inner) else None
            )
        else:
            backend = _type_to_backend.get(type(x)) or (
                None if isinstance(x, (int, float, np.ndarray)) else backends.of(x)
            )
        if backend is None:
            continue
        if found is not None and backend is not found:
            raise TypeError(
                f"ops.{who}: arguments of two backends, {found.name!r} and {backend.name!r}; move one side with "
                f"nyala.ops.convert_to_numpy(x) or the whole model with model.to_backend(...)"
            )
        found = backend
    return found or backends.current()
