"""Layers that prepare images, their labels, bounding boxes and segmentation masks."""

from nyala.layers.preprocessing.image.affine import (
    RandomElasticTransform,
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from nyala.layers.preprocessing.image.color import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
    RandomSharpness,
    Solarization,
)
from nyala.layers.preprocessing.image.geometry import CenterCrop, MaxNumBoundingBoxes, RandomCrop, RandomFlip, Resizing
from nyala.layers.preprocessing.image.histogram import (
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
)
from nyala.layers.preprocessing.image.mixing import CutMix, MixUp, RandomErasing
from nyala.layers.preprocessing.image.policies import AugMix, RandAugment

__all__ = [
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomErasing",
    "AutoContrast",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "Equalization",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "Solarization",
    "CenterCrop",
    "MaxNumBoundingBoxes",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomFlip",
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
]
