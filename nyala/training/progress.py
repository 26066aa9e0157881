"""The progress bar: redrawn in place on a terminal or in a notebook, one line at the end where the output is a log.

It costs a clock reading a step. Values are read, and so fetched from the device, only when a line is drawn.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nyala.base import check, config

_GREEN, _GREY, _BOLD, _PLAIN = "\x1b[32m", "\x1b[37m", "\x1b[1m", "\x1b[0m"


class Progbar:
    """A line such as ``3/10 ━━━━━━── 4s 512ms/step - loss: 0.2500`` on standard output.

    Args:
        target: the number of steps, ``None`` if unknown.
        width: characters of the bar.
        verbose: 0 silent, 1 a bar (one line at the end where the output is no terminal), 2 one line at the end.
        interval: least seconds between two redraws.
        stateful_metrics: names whose values are shown as they come; all others are averaged over the steps.
        stateless_metrics: names whose values are averaged; all others are shown as they come.
        unit_name: what a step is called.

    Raises: ValueError when both lists of names are given.
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            check.fail("Progbar", "give stateful_metrics or stateless_metrics, not both: each excludes the rest")
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, float]] = {}
        self.seen = 0
        self._start = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._now = self._start
        self._drawn_at = float("-inf")
        self._drawn_width = 0
        self._held = False
        self._live = verbose == 1 and _redraws()

    def update(self, current: int, values: Any = None, finalize: bool | None = None) -> None:
        """``current`` steps are done. ``values``: pairs ``(name, value)``; ``finalize``: draw the last line."""
        done = self.target is not None and current >= self.target if finalize is None else finalize
        self._collect(current, list(values or ()), exact=done)
        self.step(current)
        if done:
            self._finish()
        elif self._due():
            self._draw(self._metrics())

    def add(self, n: int, values: Any = None) -> None:
        """``n`` more steps are done."""
        self.update(self.seen + n, values)

    def step(self, current: int) -> bool:
        """Count up to ``current`` without drawing; True when it is time to draw."""
        self._now = time.perf_counter()
        self.seen = current
        if self._first is None:
            self._first = (current, self._now)
        return self._due()

    def show(self, values: Mapping[str, Any]) -> None:
        """Draw ``values`` as they are."""
        self._draw([(k, _number(v)) for k, v in values.items()])

    def hold(self) -> None:
        """All steps are computed, not only queued; what follows, such as validation, does not count as their time."""
        if not self._held:
            self._now, self._held = time.perf_counter(), True

    def finish(self, values: Mapping[str, Any]) -> None:
        """The last line of this bar, with ``values`` as they are."""
        self.hold()
        self._collect(self.seen, list(values.items()), exact=True)
        self._finish()

    # -- values ------------------------------------------------------------------------------------------------------

    def _averaged(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name in self.stateless_metrics
        return name not in self.stateful_metrics

    def _collect(self, current: int, values: list[tuple[str, Any]], exact: bool) -> None:
        for name, value in values:
            if exact or not self._averaged(name):
                self._sums[name] = (value, 1.0)
            else:
                n = max(current - self.seen, 1)
                total, count = self._sums.get(name, (0.0, 0.0))
                self._sums[name] = (total + value * n, count + n)

    def _metrics(self) -> list[tuple[str, float]]:
        return [(name, _number(total) / count) for name, (total, count) in self._sums.items()]

    # -- lines -------------------------------------------------------------------------------------------------------

    def _due(self) -> bool:
        return self._live and self._now - self._drawn_at >= self.interval

    def _finish(self) -> None:
        if self._live:
            self._draw(self._metrics(), last=True)
        elif self.verbose:
            write(" - ".join((self._count(), self._elapsed(), self._speed(), *_texts(self._metrics()))) + "\n")

    def _draw(self, metrics: list[tuple[str, float]], last: bool = False) -> None:
        parts = [self._speed(), *_texts(metrics)]
        left = "" if self.target is None or last else self._remaining()
        count, clock = self._count(), left or self._elapsed()
        bar, plain_bar = self._bar(last)
        plain = " ".join(filter(None, (count, plain_bar, clock, " - ".join(parts))))
        room = shutil.get_terminal_size().columns - 1
        if not last and len(plain) > room:  # a line that wraps cannot be redrawn
            line = plain = plain[:room]
        elif _colours():
            line = " ".join(
                filter(None, (f"{_BOLD}{count}{_PLAIN}", bar, f"{_BOLD}{clock}{_PLAIN}", " - ".join(parts)))
            )
        else:
            line = plain
        write("\r" + line + " " * (self._drawn_width - len(plain)) + ("\n" if last else ""))
        self._drawn_width = len(plain)
        self._drawn_at = time.perf_counter()

    def _count(self) -> str:
        digits = len(str(self.target)) if self.target else 0
        return f"{self.seen:{digits or ''}d}/{'Unknown' if self.target is None else self.target}"

    def _bar(self, last: bool) -> tuple[str, str]:
        if not self.target:
            return "", ""
        sign = "━" if _encodes("━") else "="
        full = self.width if last else min(self.width, int(self.width * self.seen / self.target))
        done, rest = sign * full, (sign if _colours() else "-") * (self.width - full)
        return f"{_GREEN}{done}{_GREY}{rest}{_PLAIN}", done + rest

    def _seconds_a_step(self) -> float:
        # The first call holds compilation, so it counts only while nothing else is known.
        n, since = self._first or (0, self._start)
        if self.seen > n:
            return (self._now - since) / (self.seen - n)
        return (self._now - self._start) / max(self.seen, 1)

    def _remaining(self) -> str:
        return _clock(self._seconds_a_step() * max((self.target or 0) - self.seen, 0))

    def _elapsed(self) -> str:
        return _clock(time.perf_counter() - self._start)

    def _speed(self) -> str:
        s = self._seconds_a_step()
        value, unit = (s, "s") if s >= 1 else (s * 1e3, "ms") if s >= 1e-3 else (s * 1e6, "us")
        return f"{value:.0f}{unit}/{self.unit_name}"


def _clock(seconds: float) -> str:
    s = int(seconds)
    if s >= 3600:
        return f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"
    return f"{s // 60}:{s % 60:02d}" if s >= 60 else f"{s}s"


def _number(value: Any) -> float:
    return float(np.mean(np.asarray(value)))


def _texts(metrics: list[tuple[str, float]]) -> list[str]:
    return [f"{name}: {v:.4f}" if abs(v) > 1e-3 or v != v else f"{name}: {v:.4e}" for name, v in metrics]


def write(text: str) -> None:
    """Print at once, without a line's end; a line to the logger where ``config`` wants no interactive output."""
    if not config.is_interactive_logging_enabled():
        if text.strip():
            logging.getLogger("nyala").info(text.strip())
        return
    sys.stdout.write(text)
    sys.stdout.flush()


def in_notebook() -> bool:
    return type(sys.stdout).__module__.startswith(("ipykernel", "google.colab"))


def _redraws() -> bool:
    """Whether the output goes back to the line's start on a carriage return."""
    if not config.is_interactive_logging_enabled():
        return False
    return sys.stdout.isatty() or in_notebook() or "PYCHARM_HOSTED" in os.environ


def _colours() -> bool:
    return _redraws() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _encodes(sign: str) -> bool:
    try:
        sign.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
