"""PyTorch's own functions for the ops: a table from op name to function, with adapters where the signatures differ.

Where an op takes only tensors, torch's function stands in the table as it is; an adapter costs a frame in every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.backends.torch import control, elementwise, linalg, nn, random, reductions, rnn, shapes

natives: dict[str, Callable[..., Any]] = {
    **elementwise.natives,
    **reductions.natives,
    **shapes.natives,
    **linalg.natives,
    **nn.natives,
    **rnn.natives,
    **random.natives,
    **control.natives,
}
