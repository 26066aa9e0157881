"""Policies of quantized layers: ``"int8_from_float32"`` is a mode and the policy of the layer before it was quantized."""

from __future__ import annotations

from typing import Any, ClassVar

from nyala.base import check
from nyala.base.policy import DTypePolicy, dtype_policy

MODES = ("int8", "float8", "int4", "gptq", "awq")


class QuantizedDTypePolicy(DTypePolicy):
    """The dtypes of a quantized layer.

    Args:
        mode: ``"int8"``, ``"float8"`` or ``"int4"``.
        source_name: the name of the policy that the layer had; default: the global one.

    Raises: ValueError on an unknown mode, and for ``"int8"`` on a policy that computes in float16.
    """

    keras_module = "keras.dtype_policies"
    config_skip = frozenset({"name"})
    _mode: ClassVar[str] = ""
    """The mode that the class is for; empty: any."""

    def __init__(self, mode: str, source_name: str | None = None):
        source_name = dtype_policy().name if source_name is None else source_name
        super().__init__(source_name)
        kind = mode.split("/")[0]
        if (self._mode and kind != self._mode) or (not self._mode and mode not in MODES):
            check.fail(
                type(self),
                f"unknown quantization mode {mode!r}.{check.nearest(mode, [self._mode] if self._mode else MODES)}",
            )
        if kind == "int8" and self.compute_dtype == "float16":
            check.fail(type(self), "int8 does not go with compute dtype float16: sums overflow; use mixed_bfloat16")
        self.name = f"{mode}_from_{source_name}"
        self.source_name = source_name
        self.quantization_mode = kind
        self.mode = self._own_mode = mode

    def config_value(self, name: str) -> Any:
        return self._own_mode if name == "mode" else super().config_value(name)

    def _numbers(self, n: int, form: str) -> list[int]:
        """The numbers behind the mode's name, ``"gptq/4/128"``."""
        parts = self._own_mode.split("/")[1:]
        try:
            numbers = [int(p) for p in parts]
        except ValueError:
            numbers = []
        if len(numbers) != n:
            check.fail(type(self), f"mode must be written {form!r}, got {self._own_mode!r}")
        self.mode = self._mode
        return numbers

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """The dtypes of a layer that computes in float8.

    Args: amax_history_length: steps whose largest values set the scale.
    """

    _mode = "float8"

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024):
        super().__init__(mode, source_name)
        if not check.is_int(amax_history_length):
            check.fail(type(self), f"amax_history_length must be an int, got {amax_history_length!r}", TypeError)
        self.amax_history_length = amax_history_length


class Int4DTypePolicy(QuantizedDTypePolicy):
    """``"int4/<block_size>"``: 4 bits, with a scale for each block of that many rows; -1: one for each column."""

    _mode = "int4"

    def __init__(self, mode: str, source_name: str | None = None):
        super().__init__(mode, source_name)
        (self.block_size,) = self._numbers(1, "int4/<block_size>")
        if self.block_size < -1 or self.block_size == 0:
            check.fail(type(self), f"block_size must be -1 or positive, got {self.block_size}")


class _Grouped(QuantizedDTypePolicy):
    _bits: ClassVar[tuple[int, ...]] = ()

    def __init__(self, mode: str, source_name: str | None = None):
        super().__init__(mode, source_name)
        self.weight_bits, self.group_size = self._numbers(2, f"{self._mode}/<weight_bits>/<group_size>")
        if self.weight_bits not in self._bits:
            check.fail(type(self), f"weight_bits must be one of {self._bits}, got {self.weight_bits}")
        if self.group_size < -1 or self.group_size == 0:
            check.fail(type(self), f"group_size must be -1 or positive, got {self.group_size}")


class GPTQDTypePolicy(_Grouped):
    """``"gptq/<weight_bits>/<group_size>"``: weights of 2, 3, 4 or 8 bits; a group size of -1: whole columns."""

    _mode = "gptq"
    _bits = (2, 3, 4, 8)


class AWQDTypePolicy(_Grouped):
    """``"awq/4/<group_size>"``: weights of 4 bits, scaled by the activations they meet."""

    _mode = "awq"
    _bits = (4,)


_CLASSES = {"float8": QuantizedFloat8DTypePolicy, "gptq": GPTQDTypePolicy, "awq": AWQDTypePolicy}


def parse(name: str) -> DTypePolicy | None:
    """The policy of a name such as ``"int8_from_float32"``; ``None`` if it is not of that form."""
    mode, _, source = name.partition("_from_")
    kind = mode.split("/")[0]
    if not source or kind not in MODES:
        return None
    found = Int4DTypePolicy if mode.startswith("int4/") else _CLASSES.get(kind, QuantizedDTypePolicy)
    return found(mode, source)
