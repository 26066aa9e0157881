"""``save_model``, ``load_model`` and their likes: which format a file has, and that it is written whole or not at all."""

from __future__ import annotations

import io
import os
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nyala import backends
from nyala.base import allowance, check, files, naming, old
from nyala.base.configurable import Configurable, deserialize
from nyala.base.registry import custom_object_scope, get_registered_name
from nyala.saving import archive, hdf5, legacy, limits, orbax, safetensors, savedmodel, shards, weights
from nyala.saving import config as config_

_HDF5 = (".h5", ".hdf5")
_WEIGHTS = ".weights.h5"
_SAFETENSORS = ".safetensors"


def save_model(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Write the model with its weights, its ``compile`` arguments and the optimizer's state.

    Args:
        filepath: ends in ``.keras``, or in ``.h5`` or ``.hdf5`` for the format of Keras 1 and 2.
        overwrite: replace an existing file; if False, ask on a terminal, else raise FileExistsError.
        zipped: False: a folder with the files that an archive would hold; its name has no ending.
        include_optimizer: with ``.h5``: False leaves out how the model was compiled. save_format: ``"keras"``, ``"h5"`` or ``"tf"``
            in place of the ending.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    save_format = kwargs.pop("save_format", None)
    check.no_extra("save_model", kwargs, ("overwrite", "zipped", "include_optimizer", "save_format"))
    path = Path(filepath)
    if zipped is not False and save_format in (None, "tf"):
        path, save_format = _of_today(path, ".keras"), None
    if zipped is False:
        if path.suffix in (".keras", *_HDF5):
            check.fail(
                "save_model", f"with zipped=False, filepath names a folder, without {path.suffix}; got {str(path)!r}"
            )
        may_write(path, overwrite)
        return archive.write_folder(model, path, include_optimizer)
    kind = _kind(path, save_format)
    may_write(path, overwrite)
    if kind == "keras":
        with files.beside(path) as file:
            archive.write(model, file, include_optimizer)
        return None
    if not (model.built or model.weights):
        check.fail(model, "has no weights to save yet: call it on data or use build(input_shape) first")
    with files.beside(path) as file, hdf5.write(file) as h5:
        legacy.write_model(model, h5, include_optimizer)
    return None


def _of_today(path: Path, ending: str) -> Path:
    named = Path(files.of_today(str(path), ending))
    if named != path:
        if path.exists():
            check.fail(
                "save", f"{path} exists and would be loaded in place of {named}, which today's format is written to"
            )
        path.parent.mkdir(parents=True, exist_ok=True)  # as TensorFlow did
    return named


def _kind(path: Path, save_format: Any) -> str:
    if save_format is not None:
        return check.one_of("save_model", "save_format", save_format, ("keras", "h5"))
    if path.suffix == ".keras":
        return "keras"
    if path.suffix in _HDF5 and not path.name.endswith(_WEIGHTS):
        return "h5"
    return check.fail(
        "save_model",
        f"filepath must end in .keras, .h5 or .hdf5, got {str(path)!r}"
        + ("; weights alone are saved by save_weights" if path.name.endswith(_WEIGHTS) else ""),
    )


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object that a config (``serialize_keras_object``) describes; only built-ins and custom objects can be named.

    safe_mode: True, as in ``load_model``. Raises ValueError for an unknown class.
    """
    _only_safe("deserialize_keras_object", safe_mode)
    return deserialize(config, custom_objects)


def _only_safe(who: str, safe_mode: bool) -> None:
    if not safe_mode:
        check.fail(who, "safe_mode=False is not supported: code in a file is never run; use custom_objects")


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """The model that Nyala or any version of Keras wrote: a ``.keras`` archive, a whole-model ``.h5`` file, a SavedModel folder,
    or the last of a folder of Orbax's checkpoints.

    Args:
        custom_objects: name -> class or function, for what the file names and Nyala does not have.
        compile: compile it as it was compiled when saved.
        safe_mode: True; code in a file is never run, so there is no other mode.

    Raises: ModelFileError, a ValueError, for a file that is none of these, is refused, or names something unknown.
    """
    _only_safe("load_model", safe_mode)
    path = _existing("load_model", filepath, ".keras")
    with limits.reading(path), custom_object_scope(custom_objects or {}):
        if archive.is_archive(path):
            return archive.read(path, compile)
        if savedmodel.is_savedmodel(path):
            return savedmodel.read(path, compile)
        if orbax.is_orbax(path):
            return orbax.read(path, compile)
        if hdf5.is_hdf5(path):
            with hdf5.read(path) as file:
                return legacy.read_model(file, compile)
        return check.fail("load_model", f"{path} is neither a .keras archive nor an HDF5 file")


def pickled(model: Any) -> tuple[Any, ...]:
    """What ``pickle`` needs to make the model again: the bytes of its archive and the custom objects in it."""
    stored = io.BytesIO()
    archive.write(model, stored)
    return _unpickled, (stored.getvalue(), model.backend, _custom_objects(model))


def _unpickled(stored: bytes, backend: str, custom: dict[str, Any]) -> Any:
    with limits.reading("the pickled model"), custom_object_scope(custom), backends.backend_scope(backend):
        return archive.read(io.BytesIO(stored))


def _custom_objects(model: Any) -> dict[str, Any]:
    """The classes and functions of the user that the model and how it was compiled name."""
    found: dict[str, Any] = {}

    seen: set[int] = set()

    def see(x: Any) -> None:
        if id(x) in seen or isinstance(x, (str, bytes, int, float, type(None))):
            return
        seen.add(id(x))
        if isinstance(x, (list, tuple, set, dict)):
            for item in x.values() if isinstance(x, dict) else x:
                see(item)
        elif isinstance(x, Configurable) or hasattr(x, "get_config"):
            _name(type(x), found)
            see(vars(x))
        elif isinstance(x, types.FunctionType):
            _name(x, found)

    for layer in model._flatten_layers():
        see(layer)
    if model.compiled:
        see(model._compile_args)
    return found


def _name(obj: Any, found: dict[str, Any]) -> None:
    if not naming.is_ours(obj):
        found[get_registered_name(obj)] = obj


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that ``to_json`` of Nyala or any version of Keras described, with new weights; compiled if that was."""
    name = "the JSON text"
    with limits.reading(name), custom_object_scope(custom_objects or {}):
        config = config_.parse(json_string, name)
        model = config_.build(config)
        if config.get("compile_config"):
            try:
                with allowance.of(limits.NUMBERS_WITHOUT_WEIGHTS):
                    model.compile_from_config(config["compile_config"])
            except ValueError as error:
                # Keras 2's JSON did not hold it, so programs compile the model themselves, with metrics of their own.
                warnings.warn(f"{name}: the model is left without what compile() gave it: {error}", stacklevel=2)
        return model


def model_from_yaml(yaml_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Not available: raises and says what to use."""
    check.fail(
        "model_from_yaml",
        "YAML is not read, because its tags can name code (Keras dropped it for that reason); "
        "convert the text to JSON and use model_from_json",
        NotImplementedError,
    )


def save_weights(
    model: Any, filepath: str | os.PathLike[str], overwrite: bool = True, max_shard_size: Any = None, **kwargs: Any
) -> None:
    """Write the weights, and for ``.weights.h5`` the optimizer's state if the model is compiled.

    Args:
        filepath: ends in ``.weights.h5``, in ``.weights.json`` for several files and their index, in ``.safetensors``, or
            in ``.h5`` or ``.hdf5`` for the layout of Keras 1 and 2.
        overwrite: replace an existing file; if False, ask on a terminal, else raise FileExistsError.
        max_shard_size: GiB that each of several files may hold; the index then has the name with ``.json``.
        save_format: of Keras 2; the ending says it.
    """
    save_format = kwargs.pop("save_format", None)
    check.no_extra("save_weights", kwargs, ("overwrite", "max_shard_size", "save_format"))
    check.one_of("save_weights", "save_format", save_format, (None, "h5", "keras", "tf"))
    path = Path(filepath) if max_shard_size is not None else _of_today(Path(filepath), _WEIGHTS)
    if max_shard_size is not None:
        if not isinstance(max_shard_size, (int, float)) or not max_shard_size > 0:
            check.fail("save_weights", f"max_shard_size must be a positive number of GiB, got {max_shard_size!r}")
        if not path.name.endswith((_WEIGHTS, shards.ENDING)):
            check.fail(
                "save_weights", f"with max_shard_size, filepath must end in .weights.json, got {str(filepath)!r}"
            )
        path = path.with_suffix(".json")
    sharded = path.name.endswith(shards.ENDING)
    if path.suffix not in (*_HDF5, _SAFETENSORS) and not sharded:
        check.fail(
            "save_weights",
            f"filepath must end in .weights.h5, .weights.json, .h5, .hdf5 or .safetensors, got {str(filepath)!r}",
        )
    if not (model.built or model.weights):
        check.fail(model, "has no weights to save yet: call it on data or use build(input_shape) first")
    may_write(path, overwrite)
    if sharded:
        return shards.write(model, path, max_shard_size)
    if path.suffix == _SAFETENSORS:
        with files.beside(path) as file:
            safetensors.write(model, file)
        return None
    layout: Callable[..., None] = weights.write if path.name.endswith(_WEIGHTS) else legacy.write_weights
    with files.beside(path) as file, hdf5.write(file) as h5:
        layout(model, h5)
    return None


def load_weights(
    model: Any, filepath: str | os.PathLike[str], skip_mismatch: bool = False, by_name: bool = False, **kwargs: Any
) -> list[str] | None:
    """Read the weights that any version of Keras or Nyala saved, alone or in a whole-model file.

    Args:
        filepath: a ``.weights.h5``, ``.weights.json``, ``.safetensors``, ``.h5`` or ``.hdf5`` file, a ``.keras`` archive, a
            folder of ``save(..., zipped=False)``, or one of Orbax's checkpoints.
        skip_mismatch: leave out, with a warning, what does not fit.
        by_name: match layers by their names and leave the others alone (files of Keras 1 and 2 only).
        strict: False: as ``skip_mismatch=True``, and what does not fit is returned, a line each.

    Raises: ModelFileError, a ValueError, that lists what is missing, unexpected or of another shape, or says why the file is
        refused; then nothing was loaded.
    """
    strict = kwargs.pop("strict", True)
    check.no_extra("load_weights", kwargs, ("skip_mismatch", "by_name", "strict"))
    path = _existing("load_weights", filepath, _WEIGHTS, ".keras")
    if not (model.built or model.weights):
        check.fail(model, "has no variables to load into yet: call it on data or use build(input_shape) first")
    with limits.reading(path):
        wrong = _load_weights(model, path, skip_mismatch or not strict, by_name)
    if strict and path != Path(filepath):
        return old.Loaded()  # type: ignore[return-value]
    return None if strict else wrong


def _load_weights(model: Any, path: Path, skip_mismatch: bool, by_name: bool) -> list[str]:
    if by_name and (path.name.endswith((_SAFETENSORS, shards.ENDING)) or savedmodel.is_savedmodel(path)):
        check.fail(
            "load_weights", f"by_name=True: {path.suffix or 'SavedModel'} files match weights by the model's attributes"
        )
    if path.suffix == _SAFETENSORS:
        return safetensors.read(model, path, skip_mismatch)
    if path.name.endswith(shards.ENDING):
        return shards.read(model, path, skip_mismatch)
    if savedmodel.is_savedmodel(path):
        return savedmodel.read_weights(model, path, skip_mismatch)
    if orbax.is_orbax(path):
        return orbax.read_weights(model, path, skip_mismatch)
    if archive.is_archive(path):
        source: Any = archive.stored_weights(path)
    elif hdf5.is_hdf5(path):
        source = path
    else:
        check.fail("load_weights", f"{path} is neither an HDF5 file nor a .keras archive")
    with hdf5.read(source) as file:
        if legacy.is_model(file) or legacy.is_weights(file):
            group = hdf5.group(file, "model_weights") if legacy.is_model(file) else file
            return legacy.read_weights(model, group, by_name=by_name, skip_mismatch=skip_mismatch)
        if by_name:
            check.fail("load_weights", f"by_name=True: {path} matches weights by the model's attributes, not by names")
        return weights.read(model, file, skip_mismatch)


def _existing(who: str, filepath: str | os.PathLike[str], *endings: str) -> Path:
    path = files.found(Path(filepath), *endings)
    if not path.exists():
        check.fail(who, f"there is no file {path}", FileNotFoundError)
    return path


def may_write(path: Path, overwrite: bool) -> None:
    """Raises FileExistsError unless ``path`` is free, may be replaced, or the user says so, FileNotFoundError without a folder."""
    if not path.parent.is_dir():
        check.fail(
            "save", f"there is no folder {path.parent} to write {path.name} in; make it first", FileNotFoundError
        )
    if overwrite or not path.exists():
        return
    if sys.stdin is not None and sys.stdin.isatty():
        answer = input(f"{path} exists. Overwrite it? [y/N] ")
        if answer.strip().lower() in ("y", "yes"):
            return
    check.fail("save", f"{path} exists and overwrite is False", FileExistsError)
