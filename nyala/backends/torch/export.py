"""Models as programs of ``torch.export``, and what other libraries make of these: ONNX, OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nyala._typing import Nest
from nyala.backends import backend_scope
from nyala.backends.torch.module import LayerModule
from nyala.backends.torch.random import export as exporting
from nyala.backends.torch.types import default_device, native_dtype
from nyala.base import check, tree
from nyala.base.scope import StateScope


class _Traced(LayerModule):
    """A layer whose weights are those that torch has put into the module while it traces it."""

    def forward(self, *args: Any) -> Any:
        values = {variable: getattr(home, name) for variable, home, name in self._places}
        with backend_scope("torch"), StateScope(values):
            return self.layer(*args, training=False)


def export(backend: Any, format: str, layer: Any, signature: list[Nest], path: str, options: dict[str, Any]) -> None:
    # The shape that a layer has checked last, compared with a free size, would bind that.
    _forget_shapes(layer)
    exporting.running = True
    try:
        _WRITERS[format](layer, signature, path, **options)
    finally:
        exporting.running = False
        _forget_shapes(layer)


def _forget_shapes(whole: Any) -> None:
    for layer in whole._flatten_layers():
        layer._checked = None


def _program(layer: Any, signature: list[Nest], **options: Any) -> Any:
    args = tuple(tree.map(_example, signature))
    free = tuple(tree.map(_free, signature))
    options = {"strict": False, "dynamic_shapes": {"args": free}, **options}
    try:
        with torch.no_grad():
            program = torch.export.export(_Traced(layer).eval(), args, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            check.fail("export to torch", f"torch.export.export takes no such option: {error}", TypeError)
        raise
    _check_free(layer, program, tree.flatten(signature))
    return program


def _example(spec: Any) -> Tensor:
    # Sizes 0 and 1 would be taken for constants.
    return torch.zeros(
        [2 if n is None else n for n in spec.shape], dtype=native_dtype(spec.dtype), device=default_device()
    )


def _free(spec: Any) -> Any:
    return {i: torch.export.Dim.AUTO for i, n in enumerate(spec.shape) if n is None}


def _check_free(layer: Any, program: Any, specs: list[Any]) -> None:
    """Raises ValueError where a size that was to be free is a constant of the program."""
    users = set(program.graph_signature.user_inputs)
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in users]
    for node, spec in zip(nodes, specs):
        for axis, (size, found) in enumerate(zip(spec.shape, node.meta["val"].shape)):
            if size is None and (isinstance(found, int) or found.node.maybe_as_int() is not None):
                check.fail(
                    layer,
                    f"torch's trace of it holds for one size of axis {axis} of input `{spec.name or node.name}` {spec.shape} only, "
                    "as of recurrent layers; give an input_signature with known sizes, or export to ONNX or a SavedModel by "
                    "model.to_backend('tensorflow')",
                )


def _torch(layer: Any, signature: list[Nest], path: str, **options: Any) -> None:
    torch.export.save(_program(layer, signature, **options), path)


def _onnx(layer: Any, signature: list[Nest], path: str, opset_version: int | None = None) -> None:
    try:
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("a model on torch becomes ONNX by onnx and onnxscript: pip install 'nyala[onnx]'") from error
    names = [s.name for s in tree.flatten(signature)]
    program: Any = torch.onnx.export(
        _program(layer, signature), (), opset_version=opset_version, dynamo=True, verbose=False,
        input_names=names if all(names) else None,
    )  # fmt: skip
    program.save(path)


def _openvino(layer: Any, signature: list[Nest], path: str) -> None:
    try:
        import openvino  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("OpenVINO's files are written by openvino: pip install 'nyala[openvino]'") from error
    openvino.save_model(openvino.convert_model(_program(layer, signature)), path, compress_to_fp16=False)


_WRITERS: dict[str, Callable[..., None]] = {"torch": _torch, "onnx": _onnx, "openvino": _openvino}
