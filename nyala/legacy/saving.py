"""Configs as Keras 2 wrote them."""

from nyala.utils.legacy import deserialize_keras_object, serialize_keras_object

__all__ = ["deserialize_keras_object", "serialize_keras_object"]
