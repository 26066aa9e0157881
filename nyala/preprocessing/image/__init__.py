"""Images before a model sees them, as Keras 2 had it; ``layers.Random...`` do it inside a model.

Needs Pillow, and scipy to turn and move images: ``pip install "nyala[image]"``.
"""

from nyala.preprocessing.image.generator import ImageDataGenerator
from nyala.preprocessing.image.iterators import DataFrameIterator, DirectoryIterator, Iterator, NumpyArrayIterator
from nyala.preprocessing.image.transforms import (
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
)
from nyala.utils.images import array_to_img, img_to_array, load_img, save_img, smart_resize

__all__ = [
    "DataFrameIterator",
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "apply_affine_transform",
    "apply_brightness_shift",
    "apply_channel_shift",
    "array_to_img",
    "img_to_array",
    "load_img",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "save_img",
    "smart_resize",
]
