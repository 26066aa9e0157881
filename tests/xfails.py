"""Where Nyala knowingly differs: subject -> backend (or ``"any"``) -> the reason.

A subject is ``family/name`` or ``family/name/aspect``, e.g. ``ops/erfinv/gradient``. A test asks for its row by the
fixture ``deviation``; a row that no longer fails makes its test fail, so the table cannot go stale.
"""

from __future__ import annotations

XFAILS: dict[str, dict[str, str]] = {}
