"""Tracebacks without the library's own frames, so that an error shows the lines of the user's program."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any, TypeVar

from nyala.base import config

F = TypeVar("F", bound=Callable[..., Any])


def of_user(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback without Nyala's frames; as it is when no other would be left, or ``config`` says so."""
    if not config.is_traceback_filtering_enabled():
        return traceback
    frames = []
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__name__", "").split(".")[0] != "nyala":
            frames.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for frame in reversed(frames):
        kept = types.TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept


def filtered(method: F) -> F:
    """A method whose errors leave the frames below it out that are the library's."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            error.__traceback__ = of_user(error.__traceback__)
            raise

    return call  # type: ignore[return-value]
