"""``model.export``: the formats, and which backend writes them."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from nyala._typing import Nest
from nyala.backends.formats import FORMATS, SAVED_MODEL
from nyala.base import check
from nyala.export.archive import ExportArchive
from nyala.export.files import in_place
from nyala.export.moving import able, moved
from nyala.export.signature import fitted, signature_of, standardize
from nyala.layers.base import Layer


def export_model(
    model: Layer,
    filepath: str | os.PathLike[str],
    format: str = SAVED_MODEL,
    verbose: bool | None = None,
    input_signature: Nest = None,
    **kwargs: Any,
) -> None:
    """Write a model's inference for other programs to run. A model whose backend does not write the format is traced on one
    that does; it stays where it is.

    =================  ===============  ==================================================================================
    format             written by       options
    =================  ===============  ==================================================================================
    "tf_saved_model"   tensorflow, jax  ``is_static``, ``jax2tf_kwargs`` (jax). A folder with the endpoints "serve" and
                                        "serving_default".
    "onnx"             torch,           ``opset_version``
                       tensorflow
    "openvino"         torch,           none. The path ends in ``.xml``.
                       tensorflow
    "litert"           tensorflow       ``enable_select_tf_ops``, and the settings of ``tf.lite.TFLiteConverter``. ``.tflite``
    "torch"            torch            those of ``torch.export.export``. ``.pt2``
    =================  ===============  ==================================================================================

    Args:
        filepath: a file, for SavedModel a folder. It is complete or not written at all.
        verbose: print what was written; ``None``: yes.
        input_signature: a list with an entry for each argument of the call: an ``InputSpec`` or the like, or a nest of them;
            default: the model's inputs, with sizes that are ``None`` free.

    Raises: ValueError for an unknown format or ending, or a model that is not built; ImportError naming what to install.
    """
    check.one_of("export", "format", format, tuple(FORMATS))
    ending, known = FORMATS[format]
    if not os.fspath(filepath).endswith(ending):
        check.fail("export", f"filepath for {format!r} must end in {ending!r}, got {os.fspath(filepath)!r}")
    if known is not None and (unknown := set(kwargs) - set(known)):
        check.no_extra("export", {k: kwargs[k] for k in sorted(unknown)}, known)
    signature = signature_of(model) if input_signature is None else standardize(model, input_signature)
    signature = fitted(model, signature)
    if format == SAVED_MODEL:
        archive = ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", model, signature, **kwargs)
        archive.write_out(filepath, verbose=verbose is not False)
        return
    own, target = model._find_backend(), able(format, model)
    with in_place(Path(filepath)) as path, nullcontext() if target is own else moved([model], target):
        target.export(format, model, signature, str(path), kwargs)
    if verbose is not False:
        print(f"Exported to {os.fspath(filepath)}")  # noqa: T201


__all__ = ["export_model"]
