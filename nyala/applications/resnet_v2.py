"""ResNet50V2, ResNet101V2, ResNet152V2."""

from nyala.applications._net import Application, Row, application
from nyala.applications._resnet import resnet_v2
from nyala.applications.imagenet_utils import decode_predictions, preprocessor

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def _variant(layers: int, depths: tuple[int, ...], top: str, notop: str) -> Application:
    stem = f"resnet{layers}v2_weights_tf_dim_ordering_tf_kernels"
    return application(
        f"ResNet{layers}V2", resnet_v2, Row(f"resnet{layers}v2", 224, "resnet", stem, (top, notop), depths)
    )


ResNet50V2 = _variant(50, (3, 4, 6, 3), "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917")
ResNet101V2 = _variant(101, (3, 4, 23, 3), "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5")
ResNet152V2 = _variant(152, (3, 8, 36, 3), "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33")
preprocess_input = preprocessor("tf")
