"""The formats of ``Model.export``; a backend says by ``export_formats`` which of them it writes."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    ending: str
    """That the path must have."""
    options: tuple[str, ...] | None
    """``None``: those of the library that writes it."""


SAVED_MODEL = "tf_saved_model"

FORMATS: dict[str, Format] = {
    SAVED_MODEL: Format("", ("is_static", "jax2tf_kwargs")),
    "onnx": Format("", ("opset_version",)),
    "openvino": Format(".xml", ()),
    "litert": Format(".tflite", None),
    "torch": Format(".pt2", None),
}

__all__ = ["FORMATS", "SAVED_MODEL", "Format"]
