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
from nyala.models.model import clone_model
from nyala.training.data import PyDataset, pack_x_y_sample_weight, unpack_x_y_sample_weight
from nyala.training.progress import Progbar
from nyala.utils.arrays import normalize, to_categorical
from nyala.utils.files import get_file
from nyala.utils.sequences import pad_sequences

Sequence = PyDataset
"""The name of ``PyDataset`` in Keras 2."""

__all__ = [
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "clone_model",
    "custom_object_scope",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
