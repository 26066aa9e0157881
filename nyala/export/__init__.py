"""Models for programs without Nyala: SavedModel, ONNX, OpenVINO, LiteRT, torch's programs."""

from nyala.export.archive import ExportArchive
from nyala.export.formats import export_model

__all__ = ["ExportArchive", "export_model"]
