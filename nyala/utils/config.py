"""A dictionary of settings whose entries are attributes, too."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from nyala.base import check


class Config:
    """Settings by name: ``config.rate``, ``config["rate"]``; ``freeze`` keeps them from being changed by mistake."""

    _config: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any):
        object.__setattr__(self, "_config", {})
        object.__setattr__(self, "_frozen", False)
        self.update(**kwargs)

    @property
    def frozen(self) -> bool:
        return self._frozen

    def freeze(self) -> None:
        """From now on a change raises ValueError."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        object.__setattr__(self, "_frozen", False)

    def _check(self) -> None:
        if self._frozen:
            check.fail("Config", "is frozen; unfreeze() it before it is changed")

    def __setitem__(self, name: str, value: Any) -> None:
        self._check()
        if not isinstance(name, str) or name.startswith("_"):
            check.fail("Config", f"an entry's name is a str without leading underscore, got {name!r}")
        self._config[name] = value

    __setattr__ = __setitem__

    def __getitem__(self, name: str) -> Any:
        return self._config[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._config:
            raise AttributeError(f"Config has no entry {name!r}.{check.nearest(name, self._config)}")
        return self._config[name]

    def __delitem__(self, name: str) -> None:
        self._check()
        del self._config[name]

    __delattr__ = __delitem__

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set entries from a dict, pairs or keyword arguments."""
        self._check()
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def pop(self, *args: Any) -> Any:
        self._check()
        return self._config.pop(*args)

    def get(self, name: str, default_value: Any = None) -> Any:
        return self._config.get(name, default_value)

    def keys(self) -> Any:
        return self._config.keys()

    def values(self) -> Any:
        return self._config.values()

    def items(self) -> Any:
        return self._config.items()

    def as_dict(self) -> dict[str, Any]:
        return copy.copy(self._config)

    def to_json(self) -> str:
        return json.dumps(self._config)

    def __contains__(self, name: object) -> bool:
        return name in self._config

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"<Config {self._config}>"


__all__ = ["Config"]
