"""The methods by which jax, torch and tensorflow recognise objects of ours among the arguments of their own functions."""

from __future__ import annotations

from typing import Any

from nyala import backends


class NoValue(TypeError):
    """A function asked a symbolic tensor for its value."""


class ForeignProtocols:
    """Lets ``jnp.tanh(x)``, ``torch.tanh(x)``, ``tf.nn.tanh(x)`` take a Variable, or record a node for a symbolic tensor.

    A subclass says by ``_as_foreign(backend)`` which tensor of that backend stands for it.
    """

    def _as_foreign(self, backend: Any) -> Any:
        raise NotImplementedError

    def __jax_array__(self) -> Any:
        return self._as_foreign(backends.get("jax"))

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        backend = backends.get("tensorflow")
        value = self._as_foreign(backend)
        return value if dtype is None else backend.convert(value, backend.dtype_name(dtype))

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return backends.get("torch").torch_function(func, args, kwargs or {})


class _Plain:
    pass


class Citizen(_Plain):
    """Base of what owns variables. A backend whose library walks objects puts its own base class below when it is loaded."""

    def _take_waiting(self) -> None:
        """Ask the library for values that it keeps for variables which have been made only now."""
        if "_self_unconditional_deferred_dependencies" in self.__dict__:
            restore: Any = getattr(self, "_restore_waiting")
            restore()
