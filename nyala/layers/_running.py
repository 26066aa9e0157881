"""The layer calls that are running in this thread."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nyala.layers._state import LayerState


class Running(threading.local):
    """``call_id`` counts outermost calls, so that a layer can tell the losses of one from those of the last; that of an
    abstract evaluation, whose losses nobody may see, is negative.
    """

    stack: tuple[LayerState, ...] = ()
    training: bool | None = None
    call_id: int = 0


running = Running()
call_ids = itertools.count(1)
