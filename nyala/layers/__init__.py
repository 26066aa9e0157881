"""Layers by Keras's names: what they own and how they call the ops that compute.

A file or folder is a family. ``base`` is the base class; files with an underscore are its parts and helpers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nyala._typing import Config
from nyala.base import configurable, registry
from nyala.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nyala.layers.attention import (
    AdditiveAttention,
    Attention,
    GroupedQueryAttention,
    GroupQueryAttention,
    MultiHeadAttention,
)
from nyala.layers.base import Layer
from nyala.layers.conv import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from nyala.layers.core import Dense, EinsumDense, Embedding, Identity, Lambda, Masking, ReversibleEmbedding
from nyala.layers.foreign import FlaxLayer, JaxLayer, TFSMLayer, TorchModuleWrapper
from nyala.layers.input import Input, InputLayer
from nyala.layers.input_spec import InputSpec
from nyala.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from nyala.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from nyala.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from nyala.layers.preprocessing.audio import MelSpectrogram, STFTSpectrogram
from nyala.layers.preprocessing.feature_space import FeatureSpace  # noqa: F401 (nyala.utils has it; files name it)
from nyala.layers.preprocessing.image import (
    AugMix,
    AutoContrast,
    CenterCrop,
    ContrastLimitedAdaptiveHistogramEqualization,
    CutMix,
    Equalization,
    MaxNumBoundingBoxes,
    MixUp,
    RandAugment,
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomCrop,
    RandomElasticTransform,
    RandomErasing,
    RandomFlip,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPerspective,
    RandomPosterization,
    RandomRotation,
    RandomSaturation,
    RandomSharpness,
    RandomShear,
    RandomTranslation,
    RandomZoom,
    Resizing,
    Solarization,
)
from nyala.layers.preprocessing.lookup import IntegerLookup, StringLookup
from nyala.layers.preprocessing.pipeline import Pipeline
from nyala.layers.preprocessing.rescaling import Rescaling
from nyala.layers.preprocessing.tabular import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    Normalization,
)
from nyala.layers.preprocessing.text import TextVectorization
from nyala.layers.pruning import PruneLowMagnitude as _PruneLowMagnitude  # noqa: F401  # files name it
from nyala.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    GRUCell,
    LSTMCell,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
)
from nyala.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from nyala.layers.removed import (  # noqa: F401 (for old programs and files)
    Highway,
    LocallyConnected1D,
    LocallyConnected2D,
    MaxoutDense,
    ParametricSoftplus,
    RandomFourierFeatures,
    RandomHeight,
    RandomWidth,
    SReLU,
    ThresholdedReLU,
)
from nyala.layers.reshape import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from nyala.layers.scale import CustomScaleLayer, LayerScale  # noqa: F401 (files of published networks name them)
from nyala.layers.wrappers import TimeDistributed, Wrapper

AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D


def serialize(layer: Layer) -> Config:
    """The config of a layer with the name of its class: what ``deserialize`` takes."""
    return configurable.serialize(layer)


def deserialize(config: Config, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """A layer from what ``serialize`` gave. Raises ValueError for a class that is not known."""
    return configurable.deserialize(config, custom_objects, role="layer")


def get(identifier: str | Config | Layer | Callable[..., Any] | None) -> Any:
    """A layer from its name, config, class, or a layer as it is."""
    return registry.get("layer", identifier)


__all__ = [
    "Activation", "ActivityRegularization", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D", "Add",
    "AdditiveAttention", "AlphaDropout", "Attention", "Average", "AveragePooling1D", "AveragePooling2D",
    "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D", "BatchNormalization", "Bidirectional", "Concatenate",
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "ConvLSTM1D", "ConvLSTM2D",
    "ConvLSTM3D", "Convolution1D", "Convolution1DTranspose", "Convolution2D", "Convolution2DTranspose",
    "Convolution3D", "Convolution3DTranspose", "Cropping1D", "Cropping2D", "Cropping3D", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D", "Dot", "Dropout", "EinsumDense", "ELU", "Embedding", "Flatten", "GaussianDropout",
    "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D",
    "GlobalAvgPool2D", "GlobalAvgPool3D", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupedQueryAttention", "GroupNormalization",
    "GroupQueryAttention", "GRU", "GRUCell", "Identity", "Input", "InputLayer", "InputSpec", "Lambda", "Layer",
    "LayerNormalization", "LeakyReLU", "LSTM", "LSTMCell", "Masking", "Maximum", "MaxPool1D", "MaxPool2D",
    "MaxPool3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Minimum", "MultiHeadAttention", "Multiply",
    "Permute", "PReLU", "ReLU", "RepeatVector", "Rescaling", "Reshape", "ReversibleEmbedding", "RMSNormalization",
    "RNN", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D", "SimpleRNN",
    "SimpleRNNCell", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "SpectralNormalization",
    "StackedRNNCells", "Subtract", "TimeDistributed", "UnitNormalization", "UpSampling1D", "UpSampling2D",
    "UpSampling3D", "Wrapper", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "add", "average", "concatenate",
    "deserialize", "dot", "get", "maximum", "minimum", "multiply", "serialize", "subtract",
    "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "MelSpectrogram", "Normalization",
    "Pipeline", "STFTSpectrogram", "StringLookup", "TextVectorization", "FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper",
    "CenterCrop", "MaxNumBoundingBoxes", "RandomCrop", "RandomElasticTransform", "RandomFlip", "RandomPerspective",
    "RandomRotation", "RandomShear", "RandomTranslation", "RandomZoom", "Resizing",
    "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "Equalization", "RandomBrightness",
    "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomInvert", "RandomPosterization", "RandomSaturation", "RandomSharpness", "Solarization",
    "AugMix", "CutMix", "MixUp", "RandAugment", "RandomErasing",
]  # fmt: skip
