"""Networks for images with published weights."""

from nyala.applications import imagenet_utils, inception_v3, resnet, resnet50, resnet_v2, vgg16, vgg19
from nyala.applications.inception_v3 import InceptionV3
from nyala.applications.resnet import ResNet50, ResNet101, ResNet152
from nyala.applications.resnet_v2 import ResNet50V2, ResNet101V2, ResNet152V2
from nyala.applications.vgg16 import VGG16
from nyala.applications.vgg19 import VGG19

__all__ = [
    "InceptionV3", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2", "VGG16", "VGG19",
    "imagenet_utils", "inception_v3", "resnet", "resnet50", "resnet_v2", "vgg16", "vgg19",
]  # fmt: skip
