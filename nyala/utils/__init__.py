"""``keras.utils``: helpers around data sets, images, files, plots and reproducibility."""

from nyala.base.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from nyala.base.seeds import set_random_seed
from nyala.layers.preprocessing.feature_space import FeatureSpace
from nyala.models.model import clone_model
from nyala.saving import deserialize_keras_object, serialize_keras_object
from nyala.training.data import PyDataset, pack_x_y_sample_weight, unpack_x_y_sample_weight
from nyala.training.progress import Progbar
from nyala.utils import bounding_boxes, legacy
from nyala.utils.arrays import normalize, to_categorical
from nyala.utils.config import Config
from nyala.utils.evaluation import plot_confusion_matrix, plot_predictions
from nyala.utils.files import get_file
from nyala.utils.images import array_to_img, img_to_array, load_img, save_img
from nyala.utils.loading import (
    audio_dataset_from_directory,
    image_dataset_from_directory,
    split_dataset,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)
from nyala.utils.plots import model_to_dot, plot_model
from nyala.utils.sequences import pad_sequences
from nyala.utils.session import (
    clear_session,
    disable_interactive_logging,
    enable_interactive_logging,
    get_source_inputs,
    is_interactive_logging_enabled,
    is_keras_tensor,
    standardize_dtype,
)

Sequence = PyDataset
"""The name of ``PyDataset`` in Keras 2."""

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "clone_model",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "legacy",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_confusion_matrix",
    "plot_model",
    "plot_predictions",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
