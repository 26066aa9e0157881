"""Files: models, weights, and the names that files know custom objects by."""

from nyala.base.configurable import deserialize as deserialize_keras_object
from nyala.base.configurable import serialize as serialize_keras_object
from nyala.base.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from nyala.saving.archive import load_model, save_model
from nyala.saving.weights import load_weights, save_weights

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
