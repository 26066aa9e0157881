"""Names for the types that public signatures use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the running backend (``jax.Array``, ``torch.Tensor``, ``tf.Tensor``) or a symbolic one."""

TensorLike: TypeAlias = Any
"""What an op takes as a tensor: a Tensor, a Variable, a NumPy array, a Python number or nested lists of numbers.

The op decorator reads this name in a signature: a parameter annotated with it is converted and promoted.
"""

DType: TypeAlias = Any
"""A dtype name such as ``"float32"``, a NumPy dtype, a Python type or a backend's own dtype object."""

Shape: TypeAlias = Sequence["int | None"]
Axis: TypeAlias = "int | Sequence[int] | None"
Nest: TypeAlias = Any
"""Tensors in any nesting of lists, tuples and dicts."""

Config: TypeAlias = dict[str, Any]
Logs: TypeAlias = dict[str, float]
Identifier: TypeAlias = "str | Mapping[str, Any] | Callable[..., Any] | None"
"""A name, a config, an object or ``None``: what every ``get(...)`` takes."""
