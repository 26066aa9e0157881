"""Whole models in a ``.keras`` archive: the config, how it was compiled, the weights and the optimizer's state.

The archive is a zip file with ``metadata.json``, ``config.json`` and ``model.weights.h5``. It is data: what its config
names is looked up in the registry, nothing is imported, unpickled or, but for the assets that a layer's ``load_assets``
asks for, extracted.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from nyala.base import allowance, check, configurable, files
from nyala.saving import config as config_
from nyala.saving import eras, hdf5, legacy, limits, weights

_WEIGHTS = "model.weights.h5"


def write(model: Any, path: Path | IO[bytes], include_optimizer: bool = True) -> None:
    """Write the archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _members(model, include_optimizer).items():
            archive.writestr(name, content)


def write_folder(model: Any, path: Path, include_optimizer: bool = True) -> None:
    """Write what an archive would hold as files of a folder, which replaces one of that name that a model was saved in."""
    if path.exists() and not is_archive(path) and not (path.is_dir() and not any(path.iterdir())):
        check.fail("save_model", f"{path} is no folder that a model was saved in, so it is left alone", FileExistsError)
    with files.beside(path) as new:
        for name, content in _members(model, include_optimizer).items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(content)


def _members(model: Any, include_optimizer: bool) -> dict[str, Any]:
    config = configurable.serialize_object(model)
    if not include_optimizer:
        config["compile_config"] = {}
    stored = io.BytesIO()
    with hdf5.write(stored) as file:
        weights.write(model, file, include_optimizer)
    metadata = {"keras_version": config_.LAYOUT_OF, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}
    texts = {"metadata.json": metadata, "config.json": config}
    members = {**{name: json.dumps(x).encode() for name, x in texts.items()}, _WEIGHTS: stored.getbuffer()}
    for place, layer in _with("save_assets", model):
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            found = [f for f in sorted(Path(folder).rglob("*")) if f.is_file()]
            members |= {f"{place}/{f.relative_to(folder).as_posix()}": f.read_bytes() for f in found}
    return members


def is_archive(path: Path) -> bool:
    """Whether the path is an archive, or a folder with its members."""
    return (path / "config.json").is_file() if path.is_dir() else zipfile.is_zipfile(path)


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
    _read_assets(model, path)
    return model


def _with(method: str, model: Any) -> Iterator[tuple[str, Any]]:
    """The layers with files of their own, such as a vocabulary, and the places of these in the archive."""
    for place, part in weights.walk(model):
        if hasattr(part, method):
            yield f"assets/{place}".rstrip("/"), part


def _read_assets(model: Any, path: Path | IO[bytes]) -> None:
    takers = list(_with("load_assets", model))
    if takers and isinstance(path, Path) and path.is_dir():
        found = [f for f in (path / "assets").rglob("*") if f.is_file() and not f.is_symlink()]
        names = [f.relative_to(path).as_posix() for f in found]
        _hand_out(takers, names, lambda name: _read(path / name, limits.MAX_TEXT))
    elif takers:
        with _open(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            _hand_out(takers, names, lambda name: _member(archive, name, limits.MAX_TEXT))


def _hand_out(takers: list[tuple[str, Any]], names: list[str], content: Callable[[str], bytes]) -> None:
    """Give each layer its files, whose names are known to lead nowhere else, in a folder that goes away again."""
    for place, layer in takers:
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                if name.startswith(f"{place}/"):
                    file = Path(folder, name.removeprefix(f"{place}/"))
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content(name))
            layer.load_assets(folder)


def read_config(path: Path | IO[bytes]) -> tuple[dict[str, Any], str | None]:
    """The model's config, and the version of Keras that wrote it."""
    if isinstance(path, Path) and path.is_dir():
        config = config_.parse(_read(path / "config.json", limits.MAX_TEXT), str(path))
        told = path / "metadata.json"
        version = config_.parse(_read(told, 2**20), str(path)).get("keras_version") if told.is_file() else None
        return config, version if isinstance(version, str) else None
    with _open(path) as archive:
        config = config_.parse(_member(archive, "config.json", limits.MAX_TEXT), str(path))
        if "metadata.json" not in archive.namelist():
            return config, None
        version = config_.parse(_member(archive, "metadata.json", 2**20), str(path)).get("keras_version")
    return config, version if isinstance(version, str) else None


def _read(path: Path, most: int) -> bytes:
    if path.stat().st_size > most:
        limits.refuse(path, f"it has more than {most} bytes")
    return path.read_bytes()


def stored_weights(path: Path | IO[bytes]) -> Path | io.BytesIO:
    """The weights file inside the archive."""
    if isinstance(path, Path) and path.is_dir():
        return path / _WEIGHTS
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
