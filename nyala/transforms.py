"""Gradients and compilation for loops written by hand, the same on every backend.

@nyala.function
def step(x, y):
    loss, grads = nyala.value_and_grad(lambda: loss_fn(y, model(x, training=True)), model.trainable_variables)()
    optimizer.apply(grads, model.trainable_variables)
    return loss
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

from nyala import backends
from nyala._typing import Tensor
from nyala.base import check
from nyala.base.variable import Variable


def value_and_grad(
    fn: Callable[..., Any], variables: Sequence[Variable] | Any = None, has_aux: bool = False
) -> Callable[..., tuple[Any, list[Tensor | None]]]:
    """A function that returns ``(fn(*args), gradients)``, the gradients being those of the scalar by ``variables``.

    Args:
        fn: returns a scalar; with ``has_aux`` a pair ``(scalar, anything)``. What it assigns to variables is kept.
        variables: a list of variables, or a model or layer (then those it trains).
        has_aux: whether ``fn`` returns a second value to hand through.
    Returns: one gradient a variable, in their order; ``None`` where a variable has no influence.
    """

    def run(*args: Any, **kwargs: Any) -> tuple[Any, list[Tensor | None]]:
        chosen = getattr(variables, "trainable_variables", variables)
        if not chosen:
            check.fail(
                "value_and_grad", "needs variables; an unbuilt model has none yet: call it on data once, or build it"
            )
        backend = chosen[0].backend
        with backends.backend_scope(backend):
            return backend.value_and_grad(functools.partial(fn, **kwargs), list(chosen), has_aux)(*args)

    return run


@overload
def function(fn: Callable[..., Any], *, jit_compile: bool | None = None) -> Callable[..., Any]: ...
@overload
def function(
    fn: None = None, *, jit_compile: bool | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def function(fn: Any = None, *, jit_compile: bool | None = None) -> Any:
    """Compile a function that reads and writes variables, as ``jax.jit``, ``tf.function`` or ``torch.compile`` would.

    Tensors and arrays among the arguments are traced; all else is static and must be hashable. The backend is that of
    the tensors given, else the current one.

    Args:
        jit_compile: use the backend's compiler; default: what is fast on the backend (see ``Model.compile``).
    """
    if fn is None:
        return lambda f: function(f, jit_compile=jit_compile)
    compiled: dict[str, Callable[..., Any]] = {}

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        backend = _backend_of(args, kwargs)
        step = compiled.get(backend.name)
        if step is None:
            step = compiled[backend.name] = backend.compile(fn, jit=jit_compile)
        with backends.backend_scope(backend):
            return step(*args, **kwargs)

    return call


def _backend_of(args: Any, kwargs: Any) -> Any:
    from nyala.base import tree

    for x in tree.flatten((args, kwargs)):
        found = x.backend if isinstance(x, Variable) else backends.of(x)
        if found is not None:
            return found
    return backends.current()


__all__ = ["function", "value_and_grad"]
