"""Files from the network: a checked download into the cache folder."""

from __future__ import annotations

import hashlib
import http.client
import os
import stat
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from nyala.base import check, config, files
from nyala.training.progress import Progbar

_SCHEMES = ("https", "file")
_CHUNK = 1 << 16
_TIMEOUT = 30.0
_TRIES = 3
_MAX_MEMBERS = 1_000_000
_RATIO, _FREE = 100, 2**28
"""An archive is unpacked to at most so many times its size, and this many bytes more."""


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str | os.PathLike[str] = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file in the cache, downloaded if it is not there or is not the one that the hash names.

    It is written beside its place and renamed when complete and checked; a broken download goes on where it broke.

    Args:
        fname: its name in the cache; default the last part of ``origin``.
        origin: an ``https:`` or ``file:`` address; an ``http:`` one needs ``file_hash``.
        untar, md5_hash: older names of ``extract`` for tar files and of ``file_hash``.
        file_hash: the expected sha256 or md5, in hexadecimal.
        cache_subdir: folder below ``cache_dir``, or an absolute one.
        hash_algorithm: ``"sha256"``, ``"md5"``, or ``"auto"``: by the length of ``file_hash``.
        extract: unpack an archive; the result is the folder. Only regular files that stay inside it are unpacked.
        archive_format: ``"tar"``, ``"zip"``, a list of them, or ``"auto"`` for both.
        cache_dir: default ``$NYALA_HOME``, ``$KERAS_HOME`` or ``~/.keras``.
        force_download: download even if the file is there.

    Raises: ValueError for a wrong hash or address, OSError saying where to put the file when it cannot be had.
    """
    if not origin:
        return check.fail("get_file", "origin, the address of the file, is missing")
    name = fname or PurePosixPath(urllib.parse.urlparse(origin).path).name
    if not name or name in (".", "..") or {"/", os.sep} & set(name):
        check.fail(
            "get_file", f"fname must be a plain file name, got {name!r}; folders go into cache_dir and cache_subdir"
        )
    folder = Path(cache_dir or config.home()) / cache_subdir
    extract = extract or untar
    if not extract:
        return str(fetch(folder / name, origin, file_hash or md5_hash, hash_algorithm, force_download))
    has_ending = fname is not None and "." in fname
    archive = folder / (name if has_ending else f"{name}_archive")
    target = folder / (f"{PurePosixPath(name).stem}_extracted" if has_ending else name)
    was_there = archive.exists() and not force_download
    fetch(archive, origin, file_hash or md5_hash, hash_algorithm, force_download)
    if not (was_there and target.is_dir()):
        _extract(archive, target, "tar" if untar else archive_format)
    return str(target)


def fetch(
    path: Path,
    origin: str,
    file_hash: str | None = None,
    hash_algorithm: str = "auto",
    force: bool = False,
    keep_if_offline: bool = False,
) -> Path:
    """``path``, after a download from ``origin`` if it is missing or its hash differs.

    ``keep_if_offline``: a file whose hash differs is used, with a warning, when no download can be had.
    """
    right = _hasher(file_hash, hash_algorithm)
    if path.is_file() and not force and right(path):
        return path
    try:
        _download(path, origin, right, file_hash)
    except OSError as error:
        if keep_if_offline and path.is_file():
            warnings.warn(
                f"{path} is used, but it is not the published file: its hash is not {file_hash}, "
                f"and {origin} could not be read ({error})",
                stacklevel=3,
            )
            return path
        raise OSError(
            f"{path.name} could not be downloaded from {origin}: {error}. Without a network, put the file at {path}"
        ) from error
    return path


def _hasher(file_hash: str | None, algorithm: str) -> Callable[[Path], bool]:
    """Whether a file has the hash; every file has when none is given."""
    check.one_of("get_file", "hash_algorithm", algorithm, ("auto", "sha256", "md5"))
    if file_hash is None:
        return lambda path: True
    name = algorithm if algorithm != "auto" else "sha256" if len(file_hash) == 64 else "md5"

    def right(path: Path) -> bool:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest() == file_hash

    return right


def _download(path: Path, origin: str, right: Callable[[Path], bool], file_hash: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.beside(path) as beside:
        with beside.open("wb") as file:
            print(f"Downloading {origin}")  # noqa: T201
            for tries_left in reversed(range(_TRIES)):
                if _receive(file, origin, file_hash is not None):
                    break
                if not tries_left:
                    raise OSError(f"the connection broke {_TRIES} times, after {file.tell()} bytes the last time")
        if not right(beside):
            check.fail("get_file", f"what {origin} gave is damaged or another file: its hash is not {file_hash}")


def _receive(file: IO[bytes], origin: str, hashed: bool) -> bool:
    """Append what is missing of a download, or start anew where the server cannot do that; whether it is complete."""
    done = file.tell()
    with _open(origin, hashed, done) as response:
        if done and getattr(response, "status", None) != 206:
            done = 0
            file.seek(0)
            file.truncate()
        size = done + int(response.headers.get("Content-Length") or 0)
        bar = Progbar(size or None, unit_name="byte")
        try:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                bar.update(done, finalize=False)
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            return False
        bar.update(done, finalize=True)
    return done >= size


def _open(origin: str, hashed: bool, start: int = 0) -> Any:
    _check_scheme(origin, hashed, f"origin {origin!r}")
    asked = urllib.request.Request(origin, headers={"Range": f"bytes={start}-"}) if start else origin
    return urllib.request.build_opener(_Redirects(origin, hashed)).open(asked, timeout=_TIMEOUT)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where ``get_file`` may go; asked before anything is opened there."""

    def __init__(self, origin: str, hashed: bool):
        self.origin, self.hashed = origin, hashed

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(newurl, self.hashed, f"{self.origin}, which leads to {newurl},", ("https",))
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(address: str, hashed: bool, what: str, schemes: tuple[str, ...] = _SCHEMES) -> None:
    scheme = urllib.parse.urlparse(address).scheme
    if scheme == "http" and not hashed:
        check.fail(
            "get_file", f"{what} must be an https: or file: address; http: needs file_hash, for anyone may change it"
        )
    if scheme not in ("http", *schemes):
        check.fail("get_file", f"{what} must be an https: or file: address")


def _extract(archive: Path, target: Path, formats: Any) -> None:
    kinds = {"auto": ("tar", "zip"), None: ()}.get(formats, formats) if not isinstance(formats, list) else formats
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    for kind in kinds:
        check.one_of("get_file", "archive_format", kind, ("tar", "zip"))
    with files.beside(target) as beside:
        if "tar" in kinds and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                _unpack(_tar_members(tar), beside, archive)
        elif "zip" in kinds and zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _unpack(_zip_members(zipped), beside, archive)
        else:
            check.fail("get_file", f"{archive} is no archive of the formats {list(kinds)}")


def _tar_members(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for member in tar:
        if not (member.isreg() or member.isdir()):
            check.fail(
                "get_file", f"{tar.name!r} holds {member.name!r}, which is neither a file nor a folder; not unpacked"
            )
        yield member.name, tar.extractfile(member)


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for member in zipped.infolist():
        if stat.S_ISLNK(member.external_attr >> 16):
            check.fail(
                "get_file",
                f"{zipped.filename!r} holds {member.filename!r}, which is neither a file nor a folder; not unpacked",
            )
        yield member.filename, None if member.is_dir() else zipped.open(member)


def _unpack(members: Iterator[tuple[str, IO[bytes] | None]], target: Path, archive: Path) -> None:
    target.mkdir(parents=True)
    left = _RATIO * archive.stat().st_size + _FREE
    for count, (name, file) in enumerate(members):
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name or count > _MAX_MEMBERS:
            check.fail(
                "get_file", f"{archive} holds {name!r}, which leaves its folder, or too many members; not unpacked"
            )
        path = target / place
        if file is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with file, path.open("wb") as out:
            while chunk := file.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    check.fail("get_file", f"{archive} unpacks to more than {_RATIO} times its size; not unpacked")
                out.write(chunk)
