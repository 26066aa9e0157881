"""VGG19."""

from nyala.applications._net import Row, application
from nyala.applications._vgg import vgg
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = application("VGG19", vgg, Row(
    "vgg19", 224, "vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels",
    ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"), (2, 2, 4, 4, 4),
))  # fmt: skip
preprocess_input = preprocessor("caffe")
