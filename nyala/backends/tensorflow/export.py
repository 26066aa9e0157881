"""Models as TensorFlow's functions, and what other libraries make of these: LiteRT, ONNX, OpenVINO."""

# tensorflow's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.core.ag_ctx import ControlStatusCtx, Status

from nyala import backends
from nyala._typing import Nest
from nyala.backends import host
from nyala.backends.savedmodel import Archive
from nyala.base import check


def endpoint(backend: Any, fn: Callable[..., Nest], signature: list[Nest], archive: Archive, options: Any) -> Any:
    check.no_extra("add_endpoint", options)

    def body(*args: Any) -> Nest:
        # autograph=False holds for our code; what a user wrote is converted where it is called (user_code).
        with backends.backend_scope(backend), ControlStatusCtx(Status.UNSPECIFIED), host.for_file():
            return fn(*args)

    return tf.function(body, input_signature=archive.spec(signature), autograph=False)


def export(backend: Any, format: str, layer: Any, signature: list[Nest], path: str, options: dict[str, Any]) -> None:
    archive = Archive()
    archive.hold("variables", layer._states())
    archive.add("serve", endpoint(backend, lambda *args: layer(*args, training=False), signature, archive, {}))
    _WRITERS[format](archive, archive._endpoints["serve"], path, **options)


def _litert(archive: Archive, function: Any, path: str, enable_select_tf_ops: bool = False, **settings: Any) -> None:
    """settings: attributes of ``tf.lite.TFLiteConverter``."""
    with tempfile.TemporaryDirectory() as folder:
        archive.write(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if enable_select_tf_ops:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
            converter._experimental_lower_tensor_list_ops = False
        for name, value in settings.items():
            owner = converter.target_spec if hasattr(converter.target_spec, name) else converter
            if not hasattr(owner, name):
                check.fail("export to litert", f"TFLiteConverter has no setting {name!r}", TypeError)
            setattr(owner, name, value)
        try:
            Path(path).write_bytes(converter.convert())
        except Exception as error:
            error.add_note(
                "LiteRT's own ops do not do all of this model: give an input_signature with known sizes (a recurrent layer asks "
                "for that), or enable_select_tf_ops=True, which needs LiteRT's runtime with TensorFlow's ops"
            )
            raise


def _onnx(archive: Archive, function: Any, path: str, opset_version: int | None = None) -> None:
    try:
        import tf2onnx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "a model on tensorflow becomes ONNX by tf2onnx: pip install 'nyala[onnx]'; or model.to_backend('torch').export(...)"
        ) from error
    specs = function.input_signature
    tf2onnx.convert.from_function(function, input_signature=specs, opset=opset_version, output_path=path)


def _openvino(archive: Archive, function: Any, path: str) -> None:
    try:
        import openvino  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("OpenVINO's files are written by openvino: pip install 'nyala[openvino]'") from error
    with tempfile.TemporaryDirectory() as folder:
        archive.write(folder)
        openvino.save_model(openvino.convert_model(folder), path, compress_to_fp16=False)


_WRITERS: dict[str, Callable[..., None]] = {"litert": _litert, "onnx": _onnx, "openvino": _openvino}
