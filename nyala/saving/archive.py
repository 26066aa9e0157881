"""Whole models in a ``.keras`` archive: the config, how it was compiled, the weights and the optimizer's state.

The archive is a zip file with ``metadata.json``, ``config.json`` and ``model.weights.h5``. It is data: what its config
names is looked up in the registry, nothing is imported, unpickled or extracted.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import IO, Any

from nyala.base import check, configurable
from nyala.saving import config as config_
from nyala.saving import eras, hdf5, legacy, weights

_MAX_CONFIG = 256 * 2**20
_MAX_MEMBERS = 10_000
_WEIGHTS = "model.weights.h5"


def write(model: Any, path: Path | IO[bytes], include_optimizer: bool = True) -> None:
    """Write the archive."""
    config = configurable.serialize_object(model)
    if not include_optimizer:
        config["compile_config"] = {}
    stored = io.BytesIO()
    with hdf5.write(stored) as file:
        weights.write(model, file, include_optimizer)
    metadata = {"keras_version": config_.LAYOUT_OF, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps(metadata))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr(_WEIGHTS, stored.getbuffer())


def read(path: Path | IO[bytes], compile: bool = True) -> Any:
    """The model, with weights and, compiled, with the optimizer's state."""
    config, version = read_config(path)
    model = config_.build(config, version)
    if compile and config.get("compile_config"):
        model.compile_from_config(eras.compiled(config["compile_config"]))
    with hdf5.read(stored_weights(path)) as file:
        if legacy.is_weights(file):
            legacy.read_weights(model, file)
        else:
            weights.read(model, file)
    return model


def read_config(path: Path | IO[bytes]) -> tuple[dict[str, Any], str | None]:
    """The model's config, and the version of Keras that wrote it."""
    with _open(path) as archive:
        config = config_.parse(_member(archive, "config.json", _MAX_CONFIG), str(path))
        if "metadata.json" not in archive.namelist():
            return config, None
        version = config_.parse(_member(archive, "metadata.json", 2**20), str(path)).get("keras_version")
    return config, version if isinstance(version, str) else None


def stored_weights(path: Path | IO[bytes]) -> io.BytesIO:
    """The weights file inside the archive."""
    with _open(path) as archive:
        packed = sum(info.compress_size for info in archive.infolist())
        return io.BytesIO(_member(archive, _WEIGHTS, 4 * packed + 2**20))


def _open(path: Path | IO[bytes]) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        return check.fail("load_model", f"{path} is a damaged archive: {error}")
    names = archive.namelist()
    if len(names) > _MAX_MEMBERS:
        check.fail("load_model", f"{path} holds more than {_MAX_MEMBERS} members")
    if len(set(names)) < len(names):
        check.fail("load_model", f"{path} is refused: a member's name stands in it twice")
    return archive


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        return check.fail("load_model", f"{archive.filename} has no member {name}, so it is no .keras archive")
    if info.file_size > most:
        check.fail(
            "load_model", f"member {name} of {archive.filename} is {info.file_size} bytes, over the limit {most}"
        )
    try:
        with archive.open(info) as file:
            return file.read(most)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        return check.fail("load_model", f"member {name} of {archive.filename} cannot be read: {error}")
