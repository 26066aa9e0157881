"""What a layer asks of its input, checked when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala._typing import DType, Shape
from nyala.backends import dtypes
from nyala.base import check


class InputSpec:
    """Rank, axes and dtype that an input must have.

    Args:
        dtype: required dtype. shape: required shape, ``None`` entries are free.
        ndim, min_ndim, max_ndim: rank. axes: ``{axis: size}``.
        allow_last_axis_squeeze: accept a missing or extra last axis of size 1.
        name: the key of this input when inputs come as a dict. optional: ``None`` is accepted.
    """

    def __init__(
        self,
        dtype: DType = None,
        shape: Shape | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ):
        self.dtype = dtypes.standardize(dtype) if dtype is not None else None
        self.shape = tuple(shape) if shape is not None else None
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def get_config(self) -> dict[str, Any]:
        names = (
            "dtype",
            "shape",
            "ndim",
            "max_ndim",
            "min_ndim",
            "axes",
            "allow_last_axis_squeeze",
            "name",
            "optional",
        )
        return {k: getattr(self, k) for k in names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        return cls(**config)

    def check(self, owner: Any, shape: tuple[int | None, ...], dtype: str | None = None) -> None:
        """Raise ValueError naming ``owner`` when an input of this shape does not fit."""
        if self.shape is not None:
            fits = len(shape) == len(self.shape) and all(
                a is None or b is None or a == b for a, b in zip(self.shape, shape)
            )
            if not fits and not (self.allow_last_axis_squeeze and _squeezes(self.shape, shape)):
                check.fail(owner, f"expected an input of shape {self.shape}, got {shape}")
            return
        ndim = len(shape)
        squeezes = self.allow_last_axis_squeeze and abs(ndim - (self.ndim or 0)) == 1 and 1 in shape[-1:]
        if self.ndim is not None and ndim != self.ndim and not squeezes:
            hint = _hint(self.ndim, ndim)
            check.fail(owner, f"expected an input with {self.ndim} axes, got {ndim}: shape {shape}{hint}")
        if self.min_ndim is not None and ndim < self.min_ndim:
            check.fail(owner, f"expected an input with at least {self.min_ndim} axes, got {ndim}: shape {shape}")
        if self.max_ndim is not None and ndim > self.max_ndim:
            check.fail(owner, f"expected an input with at most {self.max_ndim} axes, got {ndim}: shape {shape}")
        if self.dtype is not None and dtype is not None and dtype != self.dtype:
            check.fail(owner, f"expected an input of dtype {self.dtype}, got {dtype}")
        for axis, size in self.axes.items():
            if size is not None and axis < ndim and shape[axis] not in (size, None):
                check.fail(owner, f"expected axis {axis} of the input to have size {size}, got shape {shape}")


def _squeezes(expected: tuple[int | None, ...], got: tuple[int | None, ...]) -> bool:
    longer, shorter = (expected, got) if len(expected) > len(got) else (got, expected)
    return len(longer) == len(shorter) + 1 and longer[-1] == 1


def _hint(expected: int, got: int) -> str:
    if got == expected - 1:
        return ". Is the batch or the channels axis missing? x[None] or x[..., None] adds one"
    return ""
