"""Ops in a model's config: the classes that Keras 3 files name for them, and the way back.

For every op Keras has a class whose constructor takes what is no tensor and whose call takes the tensors. Both follow
from the op's signature here; the tables hold what does not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from nyala._typing import Config
from nyala.base import check, configurable, registry, tree
from nyala.graph.node import OpCall
from nyala.graph.symbolic import SymbolicTensor
from nyala.ops.stored_functions import StoredFunction, find

_CLASSES = {
    "core": "AssociativeScan Cast Cond ConvertToTensor ForiLoop Map SaturateCast Scan Scatter ScatterUpdate Slice SliceUpdate "
    "StopGradient Switch Unstack VectorizedMap WhileLoop",
    "image": "AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates PadImages "
    "PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM ScaleAndTranslate SobelEdges",
    "linalg": "Cholesky CholeskyInverse Det Eig Eigh Inv JVP Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve SolveTriangular",
    "math": "CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt STFT SegmentMax "
    "SegmentMin SegmentProd SegmentSum TopK ViewAsComplex ViewAsReal",
    "nn": "AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy "
    "Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu Fold Gelu Glu HardShrink HardSigmoid HardSilu "
    "HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize OneHot PSNR Polar RMSNorm Relu Relu6 "
    "Selu SeparableConv Sigmoid Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus "
    "SparseSigmoid Sparsemax Squareplus TanhShrink Threshold Unfold",
    "numpy": "AllClose GetItem IsIn SearchSorted",
}
"""The classes outside ``numpy``, and those in it whose names do not follow from the op's."""

_RENAMED = {"batch_normalization": "BatchNorm", "layer_normalization": "LayerNorm", "rms_normalization": "RMSNorm",
            "_einsum": "Einsum", "_where": "Where"}  # fmt: skip

_CALLED_WITH = {
    "dot_product_attention": {"scale"},
    "getitem": {"key"},
    "get_item": {"key"},
    "isclose": {"rtol", "atol"},
    "nanpercentile": {"q"},
    "nanquantile": {"q"},
    "pad": {"constant_values"},
    "percentile": {"q"},
    "quantile": {"q"},
    "select": {"default"},
    "slice": {"start_indices"},
    "slice_update": {"start_indices"},
    "_where": {"condition"},
}
"""Arguments that are no tensors and yet belong to the call."""
_MOST = {
    "bins": 2**20,
    "fft_length": 2**20,
    "filter_size": 2**10,
    "indices_or_sections": 2**12,
    "kernel_size": 2**10,
    "n": 64,
    "num": 2**12,
    "output_size": 2**14,
    "sequence_length": 2**20,
    "size": 2**14,
}
"""What an argument may be at most in a config: such counts cost time and memory while the graph is made, before any data."""
_MADE_WITH = {"bincount": {"weights"}, "trapezoid": {"x"}}
"""Tensors that belong to the constructor."""


@functools.lru_cache(maxsize=None)
def _classes() -> dict[str, tuple[str, str]]:
    """Lower case name -> module and class."""
    return {name.lower(): (module, name) for module, names in _CLASSES.items() for name in names.split()}


def _keras_class(op: str) -> tuple[str, str] | None:
    name = _RENAMED.get(op, op)
    if name.startswith("_"):
        return None
    words = name.split(".")[-1].split("_")
    found = _classes().get("".join(words).lower())
    return found or ("numpy", "".join(w[:1].upper() + w[1:] for w in words))


@functools.lru_cache(maxsize=None)
def _ops() -> dict[str, str]:
    """Lower case name of a class -> op."""
    import nyala.ops  # noqa: F401  (fills the registry)
    from nyala.ops._op import REGISTRY

    found = {}
    for op in sorted(REGISTRY, reverse=True):
        keras = _keras_class(op)
        if keras is not None:
            found[keras[1].lower()] = op
    return found


def _is_constructor(spec: Any, parameter: str) -> bool:
    if parameter in _CALLED_WITH.get(spec.name, ()):
        return False
    return parameter in _MADE_WITH.get(spec.name, ()) or spec.names.index(parameter) not in spec.tensors


def op_config(op: OpCall, node: Any) -> tuple[Config, tuple[Any, ...], dict[str, Any]]:
    """The entry of one call, and the arguments of the call as Keras counts them."""
    if isinstance(op.fn, StoredFunction):
        own = {"module": "nyala.ops", "class_name": "Stored", "config": {"name": op.name, "function": op.fn.name}}
        return {**own, "registered_name": None}, node.args, node.kwargs
    spec = getattr(op.fn, "spec", None)
    if spec is None:
        check.fail(
            f"op `{op.name}`",
            "is a backend's own function, which a config cannot hold; use the function of nyala.ops, or a layer of your own",
            TypeError,
        )
    keras = _keras_class(spec.name)
    bound = inspect.signature(op.fn).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    made = {k: v for k, v in bound.arguments.items() if k in spec.names and _is_constructor(spec, k) and k != "name"}
    if keras is None or any(isinstance(x, SymbolicTensor) for x in tree.flatten(list(made.values()))):
        own = {"module": "nyala.ops", "class_name": "Op", "config": {"name": op.name, "op": spec.name}}
        return {**own, "registered_name": None}, node.args, node.kwargs
    args = [v for k, v in bound.arguments.items() if k in spec.names and not _is_constructor(spec, k)]
    while args and args[-1] is None:
        args.pop()
    if spec.name == "_where":
        args = [args[2], *args[:2]]
    elif spec.name == "_einsum":
        args = list(args[0])
    entry = {
        "module": f"keras.src.ops.{keras[0]}",
        "class_name": keras[1],
        "config": {"name": op.name, **configurable.serialize(made)},
        "registered_name": keras[1],
    }
    return entry, tuple(args), {}


def is_op(entry: Config) -> bool:
    """Whether an entry is that of an op. Where no module is named, a layer says whether it is trainable and an op does not."""
    module = entry.get("module")
    if module == "nyala.ops" or str(module).startswith("keras.src.ops."):
        return True
    if module is not None or "trainable" in entry["config"] or entry["class_name"].lower() not in _ops():
        return False
    return registry.custom(entry["class_name"]) is None


def op_from_config(entry: Config) -> OpCall:
    """The op of an entry. Raises ValueError with the nearest names for an unknown one."""
    from nyala.ops._op import REGISTRY

    config = dict(entry["config"])
    if entry["class_name"] == "Stored" and (stored := find(config.get("function"))) is not None:
        return OpCall(stored, config.get("name"))
    own = entry["class_name"] == "Op"
    wanted = config.get("op") if own else entry["class_name"]
    known = REGISTRY if own else _ops()
    name = wanted if own else _ops().get(str(wanted).lower())
    if name not in REGISTRY:
        check.fail("model config", f"there is no op {wanted!r}.{check.nearest(wanted, known)}")
    fn = REGISTRY[name]
    made = {k: _argument(configurable.deserialize(v)) for k, v in config.items() if k not in ("name", "op")}
    return OpCall(_Own(fn) if own else _Made(fn, made), config.get("name"))


def _bounded(op: str, values: Config) -> None:
    for name, most in _MOST.items():
        found = [n for n in tree.flatten(values.get(name)) if check.is_int(n)]
        if found and max(found) > most:
            check.fail(f"op `{op}`", f"{name}={max(found)} in a config is over the limit {most}")


class _Own:
    """An op with all its arguments in the call."""

    def __init__(self, fn: Callable[..., Any]):
        self.fn = fn
        self.spec = fn.spec  # type: ignore[attr-defined]
        self.__name__ = self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _bounded(self.spec.name, inspect.signature(self.fn).bind(*args, **kwargs).arguments)
        return self.fn(*args, **kwargs)


class _Made:
    """An op with the arguments of its class's constructor."""

    def __init__(self, fn: Callable[..., Any], made: dict[str, Any]):
        self.fn = fn
        self.spec = fn.spec  # type: ignore[attr-defined]
        self.made = made
        self.__name__ = self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        spec = self.spec
        given = [n for n in spec.names if not _is_constructor(spec, n)]
        if spec.name == "_where":
            args = (*args[1:], args[0])
        elif spec.name == "_einsum":
            args = (list(args),)
        values = {**self.made, **dict(zip(given, args)), **kwargs}
        if spec.name in ("getitem", "get_item"):
            values["key"] = _key(values["key"])
        unknown = values.keys() - set(spec.names)
        if unknown:
            check.fail(f"op `{spec.name}`", f"takes no argument {sorted(unknown)[0]!r}; it has {list(spec.names)}")
        _bounded(spec.name, values)
        positional = []
        for name in spec.names[: spec.tensors_end]:  # natives know their tensors by place
            if name not in values:
                break
            positional.append(values.pop(name))
        return self.fn(*positional, **values)


def _argument(x: Any) -> Any:
    return tuple(map(_argument, x)) if isinstance(x, (list, tuple)) else x


def _key(key: Any) -> Any:
    """An index out of JSON: the list stands for a tuple."""
    return tuple(key) if isinstance(key, list) else key


__all__ = ["is_op", "op_config", "op_from_config"]
