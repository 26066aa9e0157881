"""What the whole process remembers, and questions about tensors."""

from __future__ import annotations

import gc
from typing import Any

from nyala._typing import DType
from nyala.backends import dtypes
from nyala.base import naming, policy
from nyala.base.config import disable_interactive_logging as disable_interactive_logging
from nyala.base.config import enable_interactive_logging as enable_interactive_logging
from nyala.base.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from nyala.base.tracking import unique
from nyala.graph import node
from nyala.graph.symbolic import SymbolicTensor
from nyala.layers._running import running


def clear_session(free_memory: bool = True) -> None:
    """Begin anew: names are counted from the start, the dtype policy and learning phase are the default ones.

    Args: free_memory: also collect what nothing refers to any more.
    """
    naming.reset()
    policy.set_dtype_policy(None)
    running.training = None
    node._inferred.clear()
    if free_memory:
        gc.collect()


def is_keras_tensor(x: Any) -> bool:
    """Whether x is symbolic: an ``Input``, or the output of a layer or an op on one."""
    return isinstance(x, SymbolicTensor)


def standardize_dtype(dtype: DType) -> str:
    """The name of a dtype of any library; ``floatx()`` for ``None``. Raises ValueError for what is none."""
    return dtypes.standardize(dtype)


def get_source_inputs(tensor: SymbolicTensor) -> list[SymbolicTensor]:
    """The graph inputs that a symbolic tensor is computed from."""
    if tensor.node is None or tensor.node.is_input:
        return [tensor]
    return unique([x for above in tensor.node.inputs for x in get_source_inputs(above)])
