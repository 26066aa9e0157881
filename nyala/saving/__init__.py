"""Files of models and weights, of every era and format, and the names that files know custom objects by."""

from nyala.base.configurable import serialize as serialize_keras_object
from nyala.base.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from nyala.saving.api import (
    deserialize_keras_object,
    load_model,
    load_weights,
    model_from_json,
    model_from_yaml,
    save_model,
    save_weights,
)
from nyala.saving.conversion import convert
from nyala.saving.editor import KerasFileEditor
from nyala.saving.inspection import FileInfo, inspect
from nyala.saving.limits import ModelFileError

__all__ = [
    "FileInfo",
    "CustomObjectScope",
    "KerasFileEditor",
    "ModelFileError",
    "convert",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "inspect",
    "load_model",
    "load_weights",
    "model_from_json",
    "model_from_yaml",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]
