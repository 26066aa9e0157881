"""Helpers around data, files and reproducibility."""

from nyala.base.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from nyala.base.seeds import set_random_seed
from nyala.training.progress import Progbar
from nyala.utils.arrays import normalize, to_categorical
from nyala.utils.files import get_file

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "custom_object_scope",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]
