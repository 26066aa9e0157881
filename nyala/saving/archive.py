"""Whole models in a ``.keras`` archive: the config, how it was compiled, the weights and the optimizer's state.

The archive is a zip file with ``metadata.json``, ``config.json`` and ``model.weights.h5``. It is data: what its config
names is looked up in the registry, nothing is imported, unpickled or extracted.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nyala.base import check, configurable
from nyala.base.registry import custom_object_scope
from nyala.saving import weights

_MAX_CONFIG = 256 * 2**20
_MAX_MEMBERS = 10_000
_LAYOUT_OF = "3.15.1"
"""The version of Keras whose layout this is, for programs that look."""


def save_model(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Write the model with its weights, its ``compile`` arguments and the optimizer's state.

    Args:
        filepath: ends in ``.keras``.
        overwrite: replace an existing file; if False, ask on a terminal, else raise FileExistsError.
        zipped: True or None; a folder instead of an archive is not supported.
    """
    check.no_extra("save_model", kwargs, ("overwrite", "zipped"))
    path = Path(filepath)
    if path.suffix != ".keras":
        check.fail("save_model", f"filepath must end in .keras, got {str(filepath)!r}")
    if zipped is False:
        check.fail("save_model", "zipped=False is not supported; a model is saved as one .keras file")
    weights.may_write(path, overwrite)
    config = configurable.serialize(model)
    config["build_config"] = model.get_build_config()
    if model.compiled:
        config["compile_config"] = _exchange(model.get_compile_config(), {"steps_per_execution": ("auto", 1)})
    stored = io.BytesIO()
    weights.write(model, stored)
    metadata = {"keras_version": _LAYOUT_OF, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    with weights.beside(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stored.getbuffer())


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model that ``save_model`` of Nyala or Keras 3 wrote.

    Args:
        custom_objects: name -> class or function, for what the file names and Nyala does not have.
        compile: compile it as it was compiled when saved.
        safe_mode: True; code in a file is never run, so there is no other mode.

    Raises: ValueError for a file that is no such archive or names something unknown.
    """
    if not safe_mode:
        check.fail("load_model", "safe_mode=False is not supported: code in a file is never run; use custom_objects")
    path = Path(filepath)
    if not path.is_file():
        check.fail("load_model", f"there is no file {path}", FileNotFoundError)
    if not zipfile.is_zipfile(path):
        check.fail("load_model", f"{path} is no .keras archive; other formats are not read yet")
    with zipfile.ZipFile(path) as archive, custom_object_scope(custom_objects or {}):
        if len(archive.infolist()) > _MAX_MEMBERS:
            check.fail("load_model", f"{path} holds more than {_MAX_MEMBERS} members")
        config = json.loads(_member(archive, "config.json", _MAX_CONFIG))
        model = configurable.deserialize(config)
        build_config = config.get("build_config")
        if not model.built and build_config:
            model.build_from_config(build_config)
        if compile and config.get("compile_config"):
            resolved = {"steps_per_execution": (1, "auto"), "jit_compile": (True, "auto")}
            model.compile_from_config(_exchange(config["compile_config"], resolved))
        size = path.stat().st_size
        weights.read(model, io.BytesIO(_member(archive, "model.weights.h5", 4 * size + 2**20)))
    return model


def _exchange(config: dict[str, Any], what: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Keras's files hold what ``"auto"`` came to on the backend that saved them, not what was asked for."""
    return {**config, **{k: new for k, (old, new) in what.items() if k in config and config[k] == old}}


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        return check.fail("load_model", f"{archive.filename} has no member {name}, so it is no .keras archive")
    if info.file_size > most:
        check.fail(
            "load_model", f"member {name} of {archive.filename} is {info.file_size} bytes, over the limit {most}"
        )
    with archive.open(info) as file:
        return file.read(most)
