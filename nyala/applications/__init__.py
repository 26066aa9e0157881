"""Networks for images with published weights."""

from nyala.applications import (
    densenet,
    efficientnet,
    imagenet_utils,
    inception_v3,
    mobilenet,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    resnet50,
    resnet_v2,
    vgg16,
    vgg19,
    xception,
)
from nyala.applications.densenet import DenseNet121, DenseNet169, DenseNet201
from nyala.applications.efficientnet import (
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
)
from nyala.applications.inception_v3 import InceptionV3
from nyala.applications.mobilenet import MobileNet
from nyala.applications.mobilenet_v2 import MobileNetV2
from nyala.applications.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from nyala.applications.resnet import ResNet50, ResNet101, ResNet152
from nyala.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from nyala.applications.vgg16 import VGG16
from nyala.applications.vgg19 import VGG19
from nyala.applications.xception import Xception

__all__ = [
    "DenseNet121", "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "InceptionV3", "MobileNet", "MobileNetV2",
    "MobileNetV3Large", "MobileNetV3Small", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50",
    "ResNet50V2", "VGG16", "VGG19", "Xception", "densenet", "efficientnet", "imagenet_utils", "inception_v3",
    "mobilenet", "mobilenet_v2", "mobilenet_v3", "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19", "xception",
]  # fmt: skip
