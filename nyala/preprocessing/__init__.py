"""Preparing data before a model sees it, as old Keras had it: images, sequences, texts, data sets from folders.

(Layers that do so inside a model are in ``nyala.layers.preprocessing``.)
"""

from nyala.preprocessing import image, sequence, text
from nyala.utils.loading import (
    image_dataset_from_directory,
    text_dataset_from_directory,
    timeseries_dataset_from_array,
)

__all__ = [
    "image",
    "image_dataset_from_directory",
    "sequence",
    "text",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]
