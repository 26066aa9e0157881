"""Pipeline: layers that prepare data, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from nyala._typing import Config
from nyala.base import check, configurable
from nyala.layers.base import Layer
from nyala.layers.preprocessing.base import DataLayer


class Pipeline(DataLayer):
    """The ``layers`` one after the other, on the backend of the data; ``training`` reaches those that take it.

    Args: layers: a list of layers.
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None):
        super().__init__(name=name)
        wrong = [x for x in layers if not isinstance(x, Layer)]
        if wrong:
            check.fail(self, f"layers must be a list of layers, got {wrong[0]!r} in it", TypeError)
        self._pipeline = list(layers)

    @property
    def layers(self) -> list[Layer]:
        return self._pipeline

    def call(self, inputs: Any, training: bool | None = True, mask: Any = None) -> Any:
        for layer in self._pipeline:
            inputs = layer(inputs, training=training)
        return inputs

    def get_config(self) -> Config:
        return {"layers": [configurable.serialize_object(x) for x in self._pipeline], "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**{**config, "layers": [configurable.deserialize(x, role="layer") for x in config["layers"]]})
