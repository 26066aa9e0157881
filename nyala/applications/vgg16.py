"""VGG16."""

from nyala.applications._net import Row, application
from nyala.applications._vgg import vgg
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

VGG16 = application("VGG16", vgg, Row(
    "vgg16", 224, "vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels",
    ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"), (2, 2, 3, 3, 3),
))  # fmt: skip
preprocess_input = preprocessor("caffe")
