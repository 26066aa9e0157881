"""TensorFlow's checkpoints, which only its own reader understands; no graph is loaded and nothing run."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.base import check

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class Checkpoint:
    """The values of a checkpoint by their keys. Args: prefix: the path without ``.index``.

    Raises: ImportError without TensorFlow, ValueError for a damaged file.
    """

    def __init__(self, prefix: str):
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError(
                "checkpoints of TensorFlow are read by its own reader: pip install tensorflow-cpu"
            ) from error
        try:
            self._reader: Any = tf.train.load_checkpoint(prefix)
        except (tf.errors.OpError, ValueError) as error:
            check.fail("checkpoint", f"{prefix} cannot be read: {error}")
        self.shapes: dict[str, tuple[int, ...]] = {
            k: tuple(s) for k, s in self._reader.get_variable_to_shape_map().items()
        }

    def __getitem__(self, key: str) -> np.ndarray:
        return np.asarray(self._reader.get_tensor(key))

    def object_graph(self) -> bytes:
        """The serialized ``TrackableObjectGraph``."""
        if _GRAPH not in self.shapes:
            check.fail(
                "checkpoint", "it names its values by scope, as TensorFlow 1 did, so they have no place in a model"
            )
        return self._reader.get_tensor(_GRAPH)


__all__ = ["Checkpoint"]
