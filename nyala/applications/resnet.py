"""ResNet50, ResNet101, ResNet152."""

from nyala.applications._net import Application, Row, application
from nyala.applications._resnet import resnet
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]


def _variant(layers: int, depths: tuple[int, ...], top: str, notop: str) -> Application:
    stem = f"resnet{layers}_weights_tf_dim_ordering_tf_kernels"
    return application(f"ResNet{layers}", resnet, Row(f"resnet{layers}", 224, "resnet", stem, (top, notop), depths))


ResNet50 = _variant(50, (3, 4, 6, 3), "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626")
ResNet101 = _variant(101, (3, 4, 23, 3), "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21")
ResNet152 = _variant(152, (3, 8, 36, 3), "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c")
preprocess_input = preprocessor("caffe")
