"""One file for each known attack on Keras's readers, and what the reader must say of it.

``canary`` is a module and ``PIPE`` a named pipe: importing the one leaves a mark, opening the other never ends.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import os
import pickle
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import nyala
from nyala.saving import load_model, model_from_json

Change = Callable[[dict[str, Any]], None]

CANARY = "nyala_attack_canary"
PIPE = "pipe"
ARCHIVE, HDF5, JSON, WEIGHTS, DOWNLOAD = "keras", "h5", "json", "weights", "get_file"


@dataclass(frozen=True)
class Attack:
    """Args: format: the reader. build: writes the file into a folder and gives its path. reason: what the error says."""

    name: str
    cve: str
    format: str
    build: Callable[[Path], Path]
    reason: str

    def load(self, path: Path) -> Any:
        return LOADERS[self.format](path)


def model() -> Any:
    net = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, name="dense")], name="m")
    net.compile("adam", "mse")
    return net


def _used(net: Any) -> None:
    net(np.zeros((1, 3), "float32"))


def _model(path: Path) -> Any:
    if path.suffix == ".pkl":
        return _used(pickle.loads(path.read_bytes()))
    return _used(load_model(path))


def _download(path: Path) -> Any:
    return nyala.utils.get_file("got", origin=path.as_uri(), extract=True, cache_dir=path.parent / "cache")


LOADERS: dict[str, Callable[[Path], Any]] = {
    ARCHIVE: _model,
    HDF5: _model,
    JSON: lambda path: _used(model_from_json(path.read_text())),
    WEIGHTS: lambda path: model().load_weights(path),
    DOWNLOAD: _download,
}


# -- writing -----------------------------------------------------------------------------------------------------------


def archive(
    folder: Path, change: Change | None = None, h5: Callable[[h5py.File], None] | None = None, name: str = "a.keras"
) -> Path:
    """A good archive with its config or its weights changed."""
    path = folder / name
    model().save(folder / "good.keras")
    with zipfile.ZipFile(folder / "good.keras") as good:
        members = {n: good.read(n) for n in good.namelist()}
    (folder / "good.keras").unlink()
    if change is not None:
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()
    if h5 is not None:
        stored = io.BytesIO(members["model.weights.h5"])
        with h5py.File(stored, "r+") as file:
            h5(file)
        members["model.weights.h5"] = stored.getvalue()
    with zipfile.ZipFile(path, "w") as z:
        for member, content in members.items():
            z.writestr(member, content)
    return path


def whole_h5(folder: Path, change: Change) -> Path:
    path = folder / "a.h5"
    model().save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(str(file.attrs["model_config"]))
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def json_text(folder: Path, change: Change | str) -> Path:
    path = folder / "a.json"
    if isinstance(change, str):
        path.write_text(change)
    else:
        config = json.loads(model().to_json())
        change(config)
        path.write_text(json.dumps(config))
    return path


def weights_h5(folder: Path, change: Callable[[h5py.File], None]) -> Path:
    path = folder / "a.weights.h5"
    model().save_weights(path)
    os.mkfifo(folder / PIPE)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def legacy_weights(folder: Path, change: Callable[[h5py.File], None]) -> Path:
    path = folder / "a.h5"
    model().save_weights(path)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def safetensors(folder: Path, header: Any, length: int | None = None, data: bytes = bytes(32)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tar(folder: Path, *members: tuple[str, bytes, str]) -> Path:
    """Members are (name, type, target)."""
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz") as t:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            t.addfile(info, io.BytesIO())
    return path


# -- what is changed ---------------------------------------------------------------------------------------------------


def layer(config: dict[str, Any], entry: dict[str, Any]) -> None:
    """Put a layer in the place of the Dense one."""
    layers = config["config"]["layers"]
    layers[-1] = {"module": "keras.layers", "registered_name": None, **entry}
    config.pop("compile_config", None)
    if layers[-1]["class_name"] in ("Lambda",):  # without weights of its own the file has none to load
        config["config"]["layers"].insert(1, {**_DENSE})


_DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"name": "dense", "units": 2},
    "registered_name": None,
}


def as_layer(name: str, module: str | None = "keras.layers", **config: Any) -> Change:
    return lambda c: layer(c, {"class_name": name, "module": module, "config": {"name": "evil", **config}})


def in_dense(**values: Any) -> Change:
    return lambda c: c["config"]["layers"][-1]["config"].update(values)


def code() -> str:
    """What ``get_config`` of a Lambda holds: marshalled code that imports the canary."""
    return base64.b64encode(marshal.dumps(compile(f"__import__({CANARY!r})", "f", "eval"))).decode()


def lambda_of_3(c: dict[str, Any]) -> None:
    function = {"class_name": "__lambda__", "config": {"code": code(), "defaults": None, "closure": None}}
    layer(c, {"class_name": "Lambda", "config": {"name": "evil", "function": function, "arguments": {}}})


def lambda_of_2(c: dict[str, Any]) -> None:
    config = {"name": "evil", "function": [code(), None, None], "function_type": "lambda", "arguments": {}}
    layer(c, {"class_name": "Lambda", "config": config})


def function(name: str, module: str) -> Change:
    """A Lambda of a function that the file names."""
    entry = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return as_layer("Lambda", function=entry, arguments={"origin": "file:///etc/passwd"})


def safety_off(c: dict[str, Any]) -> None:
    """Keras's own switch named as a layer, before the Lambda that it would let through."""
    entry = {"module": "keras.config", "class_name": "function", "config": "enable_unsafe_deserialization"}
    in_dense(kernel_initializer=entry)(c)


def tensorless(c: dict[str, Any]) -> None:
    """A graph whose op takes no tensor of it and so would run while the model is built."""
    place = {"class_name": "__keras_tensor__", "config": {"keras_history": ["input", 0, 0], "shape": [None, 3]}}
    start = {"batch_shape": [None, 3], "name": "input"}
    c.clear()
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": start, "name": "input", "inbound_nodes": []},
        {
            "module": "keras.src.ops.numpy", "class_name": "Tile", "config": {"name": "tile", "repeats": [10**12]},
            "registered_name": "Tile", "name": "tile", "inbound_nodes": [{"args": [[1.0]], "kwargs": {}}],
        },
        {
            "module": "keras.layers", "class_name": "Dense", "config": {"name": "dense", "units": 2}, "name": "dense",
            "inbound_nodes": [{"args": [place], "kwargs": {}}],
        },
    ]  # fmt: skip
    inner = {"name": "m", "layers": layers, "input_layers": [["input", 0, 0]], "output_layers": [["dense", 0, 0]]}
    c.update({"module": "keras.src.models.functional", "class_name": "Functional", "config": inner})


def op(name: str, **arguments: Any) -> Change:
    """A graph of one op that has its constants from the file."""

    def change(c: dict[str, Any]) -> None:
        tensorless(c)
        place = {"class_name": "__keras_tensor__", "config": {"keras_history": ["input", 0, 0], "shape": [None, 3]}}
        config = {"name": "op", **arguments}
        entry = {"module": "keras.src.ops.numpy", "class_name": name, "config": config, "registered_name": name}
        c["config"]["layers"][1] = {**entry, "name": "op", "inbound_nodes": [{"args": [place], "kwargs": {}}]}
        c["config"]["layers"].pop()
        c["config"]["output_layers"] = [["op", 0, 0]]

    return change


def metric(**config: Any) -> Change:
    entry = {"module": "keras.metrics", "class_name": "AUC", "config": config, "registered_name": None}
    return lambda c: c["compile_config"].update(metrics=[entry])


PLACE = "layers/dense/vars/0"


def replaced(make: Callable[[h5py.Group, str], Any]) -> Callable[[h5py.File], None]:
    """The kernel of the model by something else."""

    def change(file: h5py.File) -> None:
        group = file["layers/dense/vars"]
        del group["0"]
        make(group, "0")

    return change


def external_storage(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, shape=(3, 2), dtype="f4", external=[(PIPE, 0, 24)])


def virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource(PIPE, "x", (3, 2))
    group.create_virtual_dataset(name, layout)


def references(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, data=np.array([group.ref] * 6, h5py.ref_dtype).reshape(3, 2), dtype=h5py.ref_dtype)


def unknown_filter(group: h5py.Group, name: str) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((3, 2))
    made.set_filter(32_999, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 2)), made)


def shape_bomb(**how: Any) -> Callable[[h5py.Group, str], Any]:
    return lambda group, name: group.create_dataset(name, shape=(2**20, 2**20), dtype="f4", **how)


def zeros_bomb(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, data=np.zeros((2**14, 2**12), "f4"), chunks=(2**10, 2**12), compression=9)


def endless_heap(content: bytearray, heap: int, text: int) -> None:
    """The free rest of the heap of texts has size 0: the HDF5 library would look on at the same place for ever."""
    at = heap + 16
    while content[at : at + 2] != b"\0\0":
        at += 16 + -(-struct.unpack_from("<Q", content, at + 8)[0] // 8) * 8
    struct.pack_into("<Q", content, at + 8, 0)


def long_text(content: bytearray, heap: int, text: int) -> None:
    """The config claims 2 GiB: the HDF5 library would take them before it looks."""
    struct.pack_into("<I", content, text, 2**31)


def text_elsewhere(content: bytearray, heap: int, text: int) -> None:
    struct.pack_into("<IQ", content, text, 2**31, 16)


def in_heap(change: Callable[[bytearray, int, int], None]) -> Callable[[Path], Path]:
    """A file in whose bytes the heap of the config, or the place that names it, is altered."""

    def build(folder: Path) -> Path:
        path = whole_h5(folder, lambda c: None)
        with h5py.File(path) as file:
            length = len(str(file.attrs["model_config"]))
        content = bytearray(path.read_bytes())
        heaps = [m.start() for m in re.finditer(b"GCOL", content)]
        places = [(h, content.find(struct.pack("<IQ", length, h))) for h in heaps]
        change(content, *next(p for p in places if p[1] > 0))
        path.write_bytes(content)
        return path

    return build


def cycle(file: h5py.File) -> None:
    file["layers/dense/again"] = file["layers"]


def members(*extra: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = archive(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path, "a", compression) as z:
                for name, content in extra:
                    z.writestr(name, content)
        return path

    return build


def only(**content: bytes) -> Callable[[Path], Path]:
    """An archive whose member is deflated."""

    def build(folder: Path) -> Path:
        path, bomb = archive(folder), folder / "bomb.keras"
        with zipfile.ZipFile(path) as good, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
            for name in good.namelist():
                z.writestr(name, content.get(name.replace(".", "_"), good.read(name)))
        return bomb

    return build


def prefixed(folder: Path) -> Path:
    path = archive(folder)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + path.read_bytes())
    return path


def claims_a_long_list(folder: Path) -> Path:
    path = archive(folder)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rfind(b"PK\5\6") + 12, 2**31)
    path.write_bytes(content)
    return path


class _Evil:
    def __reduce__(self) -> Any:
        return __import__, (CANARY,)


def npz(folder: Path) -> Path:
    path = folder / "a.npz"
    np.savez(path, np.array([_Evil()], object))
    return path


def raw_pickle(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(pickle.dumps(_Evil()))
        return folder / name

    return build


def pickled(folder: Path) -> Path:
    """A pickled model whose archive holds a Lambda, as if pickles were trusted to hold code."""
    stored = archive(folder, lambda_of_3).read_bytes()
    make, (_, backend, _) = model().__reduce__()
    (folder / "a.pkl").write_bytes(pickle.dumps(_Made(make, (stored, backend, {}))))
    return folder / "a.pkl"


class _Made:
    def __init__(self, make: Any, args: Any):
        self.how = make, args

    def __reduce__(self) -> Any:
        return self.how


def shards(place: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = folder / "a.weights.json"
        model().save_weights(folder / "good.weights.h5")
        index = {"metadata": {"total_size": 32}, "weight_map": {"/layers/dense/vars": [place]}}
        path.write_text(json.dumps(index))
        return path

    return build


_F32 = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}
_BIAS = {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}

ATTACKS = [
    # Code and callables
    Attack("lambda", "CVE-2024-3660", ARCHIVE, lambda d: archive(d, lambda_of_3), "never run"),
    Attack("lambda in an archive as Keras 2 wrote it", "CVE-2026-12481", ARCHIVE, lambda d: archive(d, lambda_of_2), "never run"),
    Attack("lambda in HDF5", "CVE-2025-9905", HDF5, lambda d: whole_h5(d, lambda_of_2), "never run"),
    Attack("lambda in JSON", "CVE-2024-3660", JSON, lambda d: json_text(d, lambda_of_2), "never run"),
    Attack("lambda of Keras 3 in JSON", "CVE-2024-3660", JSON, lambda d: json_text(d, lambda_of_3), "never run"),
    Attack("any module and class", "CVE-2025-1550", ARCHIVE, lambda d: archive(d, as_layer("system", "os", command="id")), "'system'.*no .*name"),
    Attack("a module of the attacker", "CVE-2025-1550", ARCHIVE, lambda d: archive(d, as_layer("Run", CANARY)), "'Run'.*no .*name"),
    Attack("any class in HDF5", "CVE-2025-1550", HDF5, lambda d: whole_h5(d, as_layer("Popen", "subprocess", args="id")), "'Popen'.*no .*name"),
    Attack("any class in JSON", "CVE-2025-1550", JSON, lambda d: json_text(d, as_layer("Popen", "subprocess")), "'Popen'.*no .*name"),
    Attack("any function", "CVE-2025-1550", ARCHIVE, lambda d: archive(d, function("system", "os")), "'system', which the file only names"),
    Attack("gadget get_file", "CVE-2025-8747", ARCHIVE, lambda d: archive(d, function("get_file", "keras.utils")), "'get_file', which the file only names"),
    Attack("gadget as an activation", "CVE-2025-8747", JSON, lambda d: json_text(d, in_dense(activation={"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"})), "'get_file'.*no .*name"),
    Attack("safety switched off", "CVE-2025-9906", ARCHIVE, lambda d: archive(d, safety_off), "'enable_unsafe_deserialization'.*no .*name"),
    Attack("pickled torch module", "CVE-2025-49655", ARCHIVE, lambda d: archive(d, as_layer("TorchModuleWrapper", module=base64.b64encode(pickle.dumps(_Evil())).decode())), "code of another library"),
    Attack("pickled model with a lambda", "GHSA pickle", ARCHIVE, pickled, "never run"),
    Attack("a pickle as a model", "pickle", ARCHIVE, raw_pickle("a.keras"), "neither a .keras archive"),
    # Paths and addresses
    Attack("vocabulary from a path", "CVE-2025-12058", ARCHIVE, lambda d: archive(d, as_layer("StringLookup", vocabulary="/etc/passwd")), "vocabulary=.* names a file"),
    Attack("vocabulary from an address", "CVE-2025-12058", JSON, lambda d: json_text(d, as_layer("IntegerLookup", vocabulary="https://example.org/v")), "vocabulary=.* names a file"),
    Attack("vocabulary of text", "CVE-2025-12058", HDF5, lambda d: whole_h5(d, as_layer("TextVectorization", vocabulary="/etc/passwd")), "vocabulary=.* names a file"),
    Attack("vocabulary in a wrapped layer", "CVE-2025-12058", JSON, lambda d: json_text(d, as_layer("TimeDistributed", layer={"module": "keras.layers", "class_name": "StringLookup", "config": {"name": "x", "vocabulary": "/etc/passwd"}, "registered_name": None})), "vocabulary=.* names a file"),
    Attack("vocabulary from bytes of a path", "CVE-2025-12058", ARCHIVE, lambda d: archive(d, as_layer("TextVectorization", vocabulary={"class_name": "__numpy__", "config": {"value": "/etc/passwd", "dtype": "string"}})), "no place for"),
    Attack("a SavedModel's path", "CVE-2026-1462", ARCHIVE, lambda d: archive(d, as_layer("TFSMLayer", filepath="/nowhere", call_endpoint="serve")), "code of another library"),
    Attack("a SavedModel's path in JSON", "CVE-2026-1462", JSON, lambda d: json_text(d, as_layer("TFSMLayer", filepath="//host/x")), "code of another library"),
    Attack("a member that leads out", "CVE-2026-12479", ARCHIVE, members(("../../evil", b"1")), "leads out"),
    Attack("a member with an absolute name", "CVE-2026-12479", ARCHIVE, members(("/etc/evil", b"1")), "leads out"),
    Attack("a layer's name that leads out", "CVE-2026-12479", ARCHIVE, lambda d: archive(d, in_dense(name="../../evil")), "leads out"),
    Attack("a group that leads out", "CVE-2026-12479", WEIGHTS, lambda d: legacy_weights(d, lambda f: f.attrs.__setitem__("layer_names", [b"../evil"])), "leads out|no group"),
    Attack("a shard that leads out", "shards", WEIGHTS, shards("../good.weights.h5"), "beside it|neither"),
    Attack("a shard with an absolute name", "shards", WEIGHTS, shards("/etc/passwd"), "beside it|neither"),
    # HDF5
    Attack("external storage", "CVE-2026-1669", WEIGHTS, lambda d: weights_h5(d, replaced(external_storage)), "another file"),
    Attack("external link", "GHSA-27f4", WEIGHTS, lambda d: weights_h5(d, replaced(lambda g, n: g.__setitem__(n, h5py.ExternalLink(PIPE, "/x")))), "link to another place"),
    Attack("soft link", "GHSA-27f4", WEIGHTS, lambda d: weights_h5(d, replaced(lambda g, n: g.__setitem__(n, h5py.SoftLink("1")))), "link to another place"),
    Attack("virtual data set", "GHSA-27f4", WEIGHTS, lambda d: weights_h5(d, replaced(virtual)), "another file"),
    Attack("object references", "GHSA-27f4", WEIGHTS, lambda d: weights_h5(d, replaced(references)), "references"),
    Attack("unknown filter", "plug-in", WEIGHTS, lambda d: weights_h5(d, replaced(unknown_filter)), "filter"),
    Attack("external storage in an archive", "CVE-2026-1669", ARCHIVE, lambda d: archive(d, h5=replaced(external_storage)), "another file"),
    Attack("groups in a circle", "links", WEIGHTS, lambda d: weights_h5(d, cycle), "second name"),
    Attack("a heap without end", "found by fuzzing", HDF5, in_heap(endless_heap), "heap"),
    Attack("a text of 2 GiB", "found by fuzzing", HDF5, in_heap(long_text), "claims a text of 2147483648 bytes"),
    Attack("a text of 2 GiB elsewhere", "found by fuzzing", HDF5, in_heap(text_elsewhere), "heap stores -1"),
    Attack("shape bomb", "CVE-2026-0897", WEIGHTS, lambda d: weights_h5(d, replaced(shape_bomb())), "claims"),
    Attack("shape bomb in chunks", "CVE-2026-12570", WEIGHTS, lambda d: weights_h5(d, replaced(shape_bomb(chunks=(64, 64), compression="gzip"))), "claims"),
    Attack("shape bomb in an archive", "CVE-2026-0897", ARCHIVE, lambda d: archive(d, h5=replaced(shape_bomb())), "claims"),
    Attack("zeros bomb", "CVE-2026-12570", WEIGHTS, lambda d: weights_h5(d, replaced(zeros_bomb)), "claim"),
    # Sizes
    Attack("zip bomb in the weights", "bomb", ARCHIVE, only(model_weights_h5=bytes(2**27)), "unpacks"),
    Attack("zip bomb in the config", "bomb", ARCHIVE, only(config_json=b" " * 2**27), "unpacks"),
    Attack("a list of members beyond reason", "bomb", ARCHIVE, claims_a_long_list, "claims"),
    Attack("duplicate members", "duplicate", ARCHIVE, members(("config.json", b"{}")), "twice"),
    Attack("member packed by lzma", "bomb", ARCHIVE, members(("x", b"1"), compression=zipfile.ZIP_LZMA), "packed in a way"),
    Attack("an archive behind another file's head", "polyglot", ARCHIVE, prefixed, "begin|neither"),
    Attack("deep JSON", "depth", JSON, lambda d: json_text(d, '{"class_name": "Sequential", "config": ' + "[" * 100_000 + "]" * 100_000 + "}"), "too deep"),
    Attack("deep JSON that parses", "depth", JSON, lambda d: json_text(d, '{"class_name": "Sequential", "config": ' + "[" * 400 + "]" * 400 + "}"), "deeper"),
    Attack("wide JSON", "size", JSON, lambda d: json_text(d, "{\"a\": [" + "[]," * 3_000_000 + "1]}"), "values"),
    Attack("units of 10**12", "size", ARCHIVE, lambda d: archive(d, in_dense(units=10**12)), "far more than its file stores"),
    Attack("units of 10**12 in HDF5", "size", HDF5, lambda d: whole_h5(d, in_dense(units=10**12)), "far more than its file stores"),
    Attack("units of 10**12 in JSON", "size", JSON, lambda d: json_text(d, in_dense(units=10**12)), "far more than its file stores"),
    Attack("numbers for unknown tokens", "size", ARCHIVE, lambda d: archive(d, as_layer("StringLookup", num_oov_indices=10**12)), "far more than its file stores"),
    Attack("a vocabulary said to be large", "size", JSON, lambda d: json_text(d, as_layer("TextVectorization", vocabulary_size=10**12, output_mode="tf_idf")), "far more than its file stores"),
    Attack("cells of adaptive pooling", "size", JSON, lambda d: json_text(d, as_layer("AdaptiveMaxPooling1D", output_size=10**12)), "far more than its file stores"),
    Attack("many thresholds", "size", ARCHIVE, lambda d: archive(d, metric(num_thresholds=10**12)), "far more than its file stores"),
    Attack("an op that would run at once", "size", JSON, lambda d: json_text(d, tensorless), "no tensor of the graph"),
    Attack("an op that makes 10**9 tensors", "size", JSON, lambda d: json_text(d, op("Unstack", num=10**9, axis=1)), "over the limit"),
    Attack("an op that cuts 10**9 times", "size", JSON, lambda d: json_text(d, op("ArraySplit", indices_or_sections=10**9, axis=1)), "over the limit"),
    Attack("an op that goes on 10**9 times", "size", JSON, lambda d: json_text(d, op("Diff", n=10**9)), "over the limit"),
    # Other weights
    Attack("npz with objects", "pickle", WEIGHTS, npz, "neither an HDF5|no member|begin"),
    Attack("a pickle as weights", "pickle", WEIGHTS, raw_pickle("a.weights.h5"), "neither an HDF5"),
    Attack("a pickle as safetensors", "pickle", WEIGHTS, raw_pickle("a.safetensors"), "header"),
    Attack("safetensors: huge header", "size", WEIGHTS, lambda d: safetensors(d, {}, 2**40), "header claims"),
    Attack("safetensors: offsets outside", "offsets", WEIGHTS, lambda d: safetensors(d, {"layers/dense/kernel": {**_F32, "data_offsets": [2**40, 2**40 + 24]}}), "does not fit"),
    Attack("safetensors: overlap", "offsets", WEIGHTS, lambda d: safetensors(d, {"layers/dense/kernel": _F32, "layers/dense/bias": {**_BIAS, "data_offsets": [0, 8]}}), "does not fit"),
    Attack("safetensors: negative", "offsets", WEIGHTS, lambda d: safetensors(d, {"layers/dense/kernel": {**_F32, "data_offsets": [-24, 0]}}), "not of this format"),
    Attack("safetensors: shape bomb", "size", WEIGHTS, lambda d: safetensors(d, {"layers/dense/kernel": {**_F32, "shape": [2**40, 2**40]}}), "does not fit"),
    Attack("safetensors: a name twice", "duplicate", WEIGHTS, lambda d: safetensors(d, b'{"a": 1, "a": 2}'), "twice"),
    # Downloads
    Attack("tar: symbolic link", "CVE-2025-12060", DOWNLOAD, lambda d: tar(d, ("x", tarfile.SYMTYPE, "/etc"), ("x/evil", tarfile.REGTYPE, "")), "neither a file nor a folder"),
    Attack("tar: hard link", "CVE-2025-12638", DOWNLOAD, lambda d: tar(d, ("x", tarfile.LNKTYPE, "/etc/passwd")), "neither a file nor a folder"),
    Attack("tar: leads out", "CVE-2024-55459", DOWNLOAD, lambda d: tar(d, ("../../evil", tarfile.REGTYPE, "")), "leaves its folder"),
    Attack("tar: absolute", "CVE-2024-55459", DOWNLOAD, lambda d: tar(d, ("/evil", tarfile.REGTYPE, "")), "leaves its folder"),
    Attack("tar: device", "CVE-2025-12060", DOWNLOAD, lambda d: tar(d, ("x", tarfile.CHRTYPE, "")), "neither a file nor a folder"),
]  # fmt: skip
