"""A stateful function as a ``tf.function``, by jax2tf."""

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import tensorflow as tf
from jax import export as jax_export
from jax.experimental import jax2tf

from nyala import backends
from nyala._typing import Nest
from nyala.backends import host
from nyala.backends.jax.core import join, native_dtype, split, strong
from nyala.backends.jax.step import _Root
from nyala.backends.savedmodel import Archive
from nyala.base import check, tree
from nyala.base.variable import Variable


def endpoint(backend: Any, fn: Callable[..., Nest], signature: list[Nest], archive: Archive, options: Any) -> Any:
    """options: ``is_static=True``: what ``fn`` writes is dropped; ``jax2tf_kwargs``: for ``jax2tf.convert``."""
    is_static, settings = options.pop("is_static", None), dict(options.pop("jax2tf_kwargs", None) or {})
    check.no_extra("add_endpoint", options, ("is_static", "jax2tf_kwargs"))
    specs, treedef = tree.flatten_with_structure(signature)
    shapes = settings.pop("polymorphic_shapes", None) or _symbolic(specs)
    if len(shapes) != len(specs):
        check.fail(
            "add_endpoint", f"polymorphic_shapes must have {len(specs)} entries, one an input; got {len(shapes)}"
        )
    known: dict[Variable, None] = {}
    written: dict[Variable, None] = {}
    static: Any = None

    def pure(values: list[Any], inputs: list[Any]) -> tuple[list[Any], list[Any]]:
        nonlocal static
        root = _Root(dict(zip(known, values)))
        with root, backends.backend_scope(backend), host.for_file():
            tensors, static = split(fn(*tree.unflatten(treedef, inputs)))
        new = {**root.missed, **{v: None for v in root.written if v not in known}}
        known.update(new)
        written.update(root.written)
        return [strong(t) for t in tensors], [strong(root.values[v]) for v in written]

    scope = jax_export.SymbolicScope()
    given = [
        jax.ShapeDtypeStruct(jax_export.symbolic_shape(shape, scope=scope, like=s.shape), native_dtype(s.dtype))
        for s, shape in zip(specs, shapes)
    ]
    n = -1
    while n != len(known):
        n = len(known)
        held = [v._storage.array for v in known]
        try:
            jax.eval_shape(lambda *args: pure(*args), [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in held], given)
        except Exception as error:
            if any(n is None for s in specs for n in s.shape):
                error.add_note(
                    "jax traces it with unknown sizes, which not every code can do: give an input_signature with known sizes, or "
                    "export it from tensorflow by model.to_backend('tensorflow')"
                )
            raise
    if is_static:
        written.clear()
    converted = jax2tf.convert(
        lambda values, inputs: pure(values, inputs) if not is_static else (pure(values, inputs)[0], []),
        polymorphic_shapes=[None, shapes],
        **settings,
    )
    storages, targets = [archive.storage(v) for v in known], [archive.storage(v) for v in written]

    def body(*args: Any) -> Nest:
        tensors, new = converted([tf.convert_to_tensor(v) for v in storages], tree.flatten(list(args)))
        for target, value in zip(targets, new):
            target.assign(value)
        return join(tensors, static)

    function = tf.function(body, input_signature=archive.spec(signature), autograph=False)
    archive.custom_gradients = True
    return function


def _symbolic(specs: list[Any]) -> list[str]:
    """A name for each unknown size: one for the batch of all inputs, for every other its own."""
    return [
        ", ".join(("batch" if not axis else f"n{i}_{axis}") if n is None else str(n) for axis, n in enumerate(s.shape))
        for i, s in enumerate(specs)
    ]
