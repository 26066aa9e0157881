"""Whole models in a ``.keras`` archive: the config, how it was compiled, the weights and the optimizer's state.

The archive is a zip file with ``metadata.json``, ``config.json`` and ``model.weights.h5``. It is data: what its config
names is looked up in the registry, nothing is imported, unpickled or extracted.
"""

from __future__ import annotations

import io
import json
import struct
import time
import zipfile
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from nyala.base import allowance, check, configurable
from nyala.saving import config as config_
from nyala.saving import eras, hdf5, legacy, limits, weights

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
    with hdf5.read(stored_weights(path)) as file:
        numbers = limits.numbers(hdf5.claimed(file))
        model = config_.build(config, version, numbers)
        if compile and config.get("compile_config"):
            with allowance.of(limits.of_training(numbers)):
                model.compile_from_config(eras.compiled(config["compile_config"]))
        if legacy.is_weights(file):
            legacy.read_weights(model, file)
        else:
            weights.read(model, file)
    return model


def read_config(path: Path | IO[bytes]) -> tuple[dict[str, Any], str | None]:
    """The model's config, and the version of Keras that wrote it."""
    with _open(path) as archive:
        config = config_.parse(_member(archive, "config.json", limits.MAX_TEXT), str(path))
        if "metadata.json" not in archive.namelist():
            return config, None
        version = config_.parse(_member(archive, "metadata.json", 2**20), str(path)).get("keras_version")
    return config, version if isinstance(version, str) else None


def stored_weights(path: Path | IO[bytes]) -> io.BytesIO:
    """The weights file inside the archive."""
    with _open(path) as archive:
        packed = sum(info.compress_size for info in archive.infolist())
        return io.BytesIO(_member(archive, _WEIGHTS, limits.unpacked(packed)))


def _open(path: Path | IO[bytes]) -> zipfile.ZipFile:
    try:
        _inspect_end(path)
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, struct.error) as error:
        return check.fail("load_model", f"{path} is a damaged archive: {error}")
    names = archive.namelist()
    if len(names) > limits.MAX_MEMBERS:
        limits.refuse(path, f"it holds more than {limits.MAX_MEMBERS} members")
    if len(set(names)) < len(names):
        limits.refuse(path, "a member's name stands in it twice")
    for info in archive.infolist():
        limits.inner_path(path, info.filename)
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            limits.refuse(path, f"its member {info.filename} is encrypted or packed in a way that is not read")
    return archive


def _inspect_end(path: Path | IO[bytes]) -> None:
    """Refuse, before ``zipfile`` makes an object a member, what does not begin as an archive or lists too much."""
    with path.open("rb") if isinstance(path, Path) else nullcontext(path) as file:
        file.seek(0)
        if file.read(4) != b"PK\3\4":
            limits.refuse(path, "it does not begin as an archive does")
        size = file.seek(0, io.SEEK_END)
        tail_from = max(0, size - 2**16 - 128)
        file.seek(tail_from)
        tail = file.read()
        end = tail.rfind(b"PK\5\6")
        if end < 0:
            raise zipfile.BadZipFile("it has no end")
        listed = struct.unpack_from("<I", tail, end + 12)[0]
        wide = tail.rfind(b"PK\6\6", 0, end)
        if wide >= 0:  # sizes beyond 32 bits
            listed = max(0 if listed == 2**32 - 1 else listed, struct.unpack_from("<Q", tail, wide + 40)[0])
        file.seek(0)
    if listed > limits.MAX_DIRECTORY:
        limits.refuse(path, f"its table of contents claims {listed} bytes, over the limit {limits.MAX_DIRECTORY}")


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        return check.fail("load_model", f"{archive.filename} has no member {name}, so it is no .keras archive")
    if info.file_size > most:
        limits.refuse(
            archive.filename,
            f"its member {name} unpacks {info.compress_size} bytes to {info.file_size}, the limit is {most}",
        )
    try:
        with archive.open(info) as file:
            return file.read(most)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        return check.fail("load_model", f"member {name} of {archive.filename} cannot be read: {error}")
