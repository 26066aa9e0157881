"""Sequences of unequal lengths as one array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nyala.base import check

_SIDES = ("pre", "post")


def pad_sequences(
    sequences: Iterable[Sequence[Any]],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences cut or filled up to one length.

    Args:
        sequences: each a list or array (length, ...).
        maxlen: the length; default that of the longest.
        dtype: of the result; ``object`` for strings of any length.
        padding, truncating: ``"pre"`` fills or cuts at the front, ``"post"`` at the end.
        value: what is filled in.

    Shapes: (sequences, maxlen, ...).
    Raises: ValueError when elements differ in shape, or ``value`` does not fit ``dtype``.
    """
    check.one_of("pad_sequences", "padding", padding, _SIDES)
    check.one_of("pad_sequences", "truncating", truncating, _SIDES)
    rows = list(sequences)
    if not all(hasattr(row, "__len__") for row in rows):
        check.fail("pad_sequences", "sequences must be a list of lists or arrays; wrap a single one in a list")
    if maxlen is None:
        maxlen = max(map(len, rows), default=0)
    is_text = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.object_)
    if isinstance(value, str) and not is_text:
        check.fail("pad_sequences", f"value={value!r} does not fit dtype={dtype!r}; give dtype=object for text")
    shape = next((np.shape(row)[1:] for row in rows if len(row)), ())
    result = np.full((len(rows), maxlen, *shape), value, dtype)
    for i, row in enumerate(rows):
        kept = np.asarray(row[max(len(row) - maxlen, 0) :] if truncating == "pre" else row[:maxlen], dtype)
        if not len(kept):
            continue
        if kept.shape[1:] != shape:
            check.fail(
                "pad_sequences", f"elements of sequence {i} have shape {kept.shape[1:]}, those of the first {shape}"
            )
        if padding == "pre":
            result[i, -len(kept) :] = kept
        else:
            result[i, : len(kept)] = kept
    return result
