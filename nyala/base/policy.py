"""Dtype policies: in which dtype a layer computes and in which its variables are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from nyala._typing import Config, DType
from nyala.backends import dtypes
from nyala.base import check, config, configurable, registry, scope
from nyala.base.configurable import Configurable

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy(Configurable):
    """The dtypes of a layer.

    Args: name: a dtype for both, or "mixed_float16" or "mixed_bfloat16": computed in 16 bits, kept in float32.
        ``None`` means the global policy.
    """

    role = "policy"
    keras_module = "keras"

    def __init__(self, name: str | None = None):
        name = dtype_policy().name if name is None else name
        if name in _MIXED:
            self.compute_dtype, self.variable_dtype = _MIXED[name], "float32"
        else:
            try:
                name = dtypes.standardize(name)
            except ValueError:
                check.fail(
                    "DTypePolicy",
                    f"unknown dtype policy {name!r}.{check.nearest(name, (*_MIXED, *dtypes.ALL))}",
                )
            self.compute_dtype = self.variable_dtype = name
        self.name = name
        self.quantization_mode: str | None = None

    def convert_input(self, x: Any, autocast: bool, dtype: DType) -> Any:
        """``x`` as a tensor; of ``dtype`` if it is a float and ``autocast`` is on."""
        from nyala import ops

        x = ops.convert_to_tensor(x)
        return ops.cast(x, dtype) if autocast and dtypes.is_float(x.dtype) else x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and (self.name, self.quantization_mode) == (
            other.name,
            other.quantization_mode,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.quantization_mode))

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


class FloatDTypePolicy(DTypePolicy):
    """The older name of ``DTypePolicy``."""


class DTypePolicyMap(DTypePolicy, MutableMapping):  # type: ignore[misc]
    """A policy per layer path: an exact path, else a regular expression for the whole path, else the default.

    Args:
        default_policy: for layers that nothing names; ``None`` means the global policy.
        policy_map: path or pattern -> policy.
    """

    keras_module = "keras.dtype_policies"
    config_skip = frozenset({"name"})

    def __init__(self, default_policy: Any = None, policy_map: Mapping[str, Any] | None = None):
        self._default = None if default_policy is None else get(default_policy)
        self._map = {path: get(p) for path, p in (policy_map or {}).items()}
        super().__init__(self.default_policy.name)
        self.name = f"map_{self.name}"

    @property
    def default_policy(self) -> DTypePolicy:
        return self._default or dtype_policy()

    def config_value(self, name: str) -> Any:
        return configurable.serialize(self._default if name == "default_policy" else self._map)

    def __getitem__(self, key: str) -> DTypePolicy:
        return self.named(key) or self.default_policy

    def named(self, key: str) -> DTypePolicy | None:
        """The policy for a path that a key of the map stands for."""
        if key in self._map:
            return self._map[key]
        matches = [pattern for pattern in self._map if re.fullmatch(pattern, key)]
        if len(matches) > 1:
            check.fail(self, f"the path {key!r} matches {matches}; make the patterns exclude each other")
        return self._map[matches[0]] if matches else None

    def __setitem__(self, key: str, policy: Any) -> None:
        if key in self._map:
            check.fail(self, f"{key!r} has a policy already; delete it first")
        self._map[key] = get(policy)
        scope.python_state.changed()

    def __delitem__(self, key: str) -> None:
        del self._map[key]
        scope.python_state.changed()

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def __len__(self) -> int:
        return len(self._map)

    def __iter__(self) -> Iterator[str]:
        return iter(self._map)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicyMap) and (self._default, self._map) == (other._default, other._map)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<DTypePolicyMap default={self.default_policy.name}, {self._map}>"


_global: DTypePolicy | None = None


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are made without a ``dtype``: ``floatx()`` unless set."""
    return _global or DTypePolicy(config.floatx())


def set_dtype_policy(policy: Any) -> None:
    """Make ``policy`` (a name or an object) that of the layers made from now on; ``None`` goes back to ``floatx()``."""
    global _global
    _global = None if policy is None else get(policy)
    scope.python_state.changed()


def get(identifier: Any) -> DTypePolicy:
    """A policy from a policy, a name, a dtype, a config or ``None`` (the global one)."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, Mapping):
        return configurable.deserialize(dict(identifier), role="policy")
    if isinstance(identifier, (bool, int, float)):
        return check.fail("dtype", f"expected a dtype, the name of a policy or a DTypePolicy, got {identifier!r}")
    if isinstance(identifier, str) and "_from_" in identifier:
        from nyala.base import quantized_policy

        if (found := quantized_policy.parse(identifier)) is not None:
            return found
    return DTypePolicy(identifier)


def serialize(dtype_policy: DTypePolicy) -> Config:
    return configurable.serialize(dtype_policy)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    return configurable.deserialize(config, custom_objects, role="policy")


registry.add("policy", DTypePolicy, "Policy")
