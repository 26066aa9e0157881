"""Our data sets as ``tf.data.Dataset``."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from nyala.base import tree


def from_source(source: Any) -> Any:
    """A ``tf.data.Dataset`` that reads ``source``, with its names."""

    def spec(s: Any) -> Any:
        if s.dtype.startswith("ragged "):
            raise NotImplementedError(
                "audio_dataset_from_directory: ragged batches are for the other backends; give output_sequence_length"
            )
        return tf.TensorSpec(s.shape, s.dtype)

    result = tf.data.Dataset.from_generator(lambda: iter(source), output_signature=tree.map(spec, source.element_spec))
    result = result.apply(tf.data.experimental.assert_cardinality(len(source))).prefetch(tf.data.AUTOTUNE)
    for name in ("class_names", "file_paths"):
        if hasattr(source, name):
            setattr(result, name, getattr(source, name))
    return result
