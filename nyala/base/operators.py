"""Python's operators for variables and symbolic tensors: each calls the op of its name."""

from __future__ import annotations

from typing import Any

_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "mod", "pow": "power", "matmul": "matmul",
    "and": "logical_and", "or": "logical_or", "xor": "logical_xor",
}  # fmt: skip
_COMPARE = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal"}
_UNARY = {"neg": "negative", "abs": "absolute", "invert": "logical_not"}


class Operators:
    """``x + y``, ``-x``, ``x[i]``, ``x @ y``, ``x < y`` by way of ``nyala.ops``."""

    __array_priority__ = 100
    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Any:
        from nyala import ops

        return ops.getitem(self, key)

    def __pos__(self) -> Any:
        return self

    def __round__(self, ndigits: int | None = None) -> Any:
        from nyala import ops

        return ops.round(self, ndigits or 0)


def _binary(op: str, reflected: bool) -> Any:
    def method(self: Any, other: Any) -> Any:
        from nyala import ops

        fn = getattr(ops, op)
        return fn(other, self) if reflected else fn(self, other)

    return method


def _unary(op: str) -> Any:
    def method(self: Any) -> Any:
        from nyala import ops

        return getattr(ops, op)(self)

    return method


for _name, _op in _BINARY.items():
    setattr(Operators, f"__{_name}__", _binary(_op, False))
    setattr(Operators, f"__r{_name}__", _binary(_op, True))
for _name, _op in _COMPARE.items():
    setattr(Operators, f"__{_name}__", _binary(_op, False))
for _name, _op in _UNARY.items():
    setattr(Operators, f"__{_name}__", _unary(_op))
