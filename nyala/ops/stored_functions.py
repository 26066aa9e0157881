"""Functions of TensorFlow that stand in the graphs of tf.keras files, under TensorFlow's names and arguments, made of ops.

https://www.tensorflow.org/api_docs/python/tf. A function is recorded as the ops that it is made of, so that the model can be
written as a file of Keras 3; only what is computed from ``tf.shape`` stays a function of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala._typing import Tensor
from nyala.base import check, tree
from nyala.graph.infer import is_size
from nyala.graph.node import record
from nyala.graph.symbolic import SymbolicTensor

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "antialias": (False,),
    "conjugate": (False,),
    "incompatible_shape_error": (True,),
    "partition_strategy": ("div", "mod"),
    "preserve_aspect_ratio": (False,),
    "stable": (False, True),
    "use_cudnn_on_gpu": (True, False),
    "validate_indices": (True, False),
    **dict.fromkeys(("adjoint_a", "adjoint_b", "a_is_sparse", "b_is_sparse"), (False,)),
}
"""Arguments that say nothing with these values."""

_SYNONYMS = {
    "dim": "axis",
    "dimension": "axis",
    "filter": "filters",
    "keep_dims": "keepdims",
    "rate": "dilations",
    "reduction_indices": "axis",
    "squeeze_dims": "axis",
}
"""TensorFlow 1's names of arguments -> those of later versions."""

_MOST_SIZES = 1024
_MOST_PLACES = 2**14


class StoredFunction:
    """A function under TensorFlow's name.

    Args: parameters: TensorFlow's names of the arguments, in the order that ``fn`` takes them. on_sizes: what computes it
        for sizes, which are NumPy arrays and thus known while a step is compiled; ``None``: ``fn``.
    """

    def __init__(self, name: str, fn: Callable[..., Any], parameters: str, on_sizes: Callable[..., Any] | None = None):
        self.name = name
        self.__name__ = name.split(".")[-1]
        self.fn = fn
        self.parameters = parameters.split()
        self.on_sizes = on_sizes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        values = self._bound(args, kwargs)
        leaves = tree.flatten(values)
        if any(isinstance(x, SymbolicTensor) and (self.name == "shape" or is_size(x)) for x in leaves):
            return record(self, tuple(values), {})
        arrays = [x for x in leaves if hasattr(x, "shape")]
        if self.on_sizes and arrays and all(isinstance(x, (np.ndarray, np.generic)) for x in arrays):
            return self._small(self.on_sizes(*values))
        y = self.fn(*values)
        return ops.copy(y) if any(y is x for x in leaves) else y

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The arguments in order, up to the last that is given."""
        given = dict(zip(self.parameters, args))
        for name, value in kwargs.items():
            known = name if name in self.parameters else _SYNONYMS.get(name, name)
            if known in self.parameters:
                given[known] = value if value is not None else given.get(known)
            elif name != "name" and value is not None and value not in _NEUTRAL.get(name, ()):
                check.fail(f"tf.{self.name}", f"{name}={value!r} is not known here")
        values = [given.get(name) for name in self.parameters]
        while values and values[-1] is None:
            values.pop()
        return values

    def _small(self, sizes: Any) -> Any:
        if sum(map(np.size, tree.flatten(sizes))) > _MOST_SIZES:
            check.fail(f"tf.{self.name}", f"more than {_MOST_SIZES} numbers are made from the sizes of a tensor")
        return tree.map(np.asarray, sizes)


def find(name: Any) -> StoredFunction | None:
    """The function by its name without ``tf.``; those of TensorFlow 1 have a prefix."""
    return FUNCTIONS.get(name) or FUNCTIONS.get(str(name).removeprefix("compat.v1."))


# -- arguments -----------------------------------------------------------------------------------------------------------


def _sizes(x: Any) -> Any:
    """A shape as ops take it: of ints, and of tensors where a backend does not know them."""
    if isinstance(x, (list, tuple)):
        return tuple(int(n) if isinstance(n, (int, np.generic, np.ndarray)) else n for n in x)
    if isinstance(x, np.ndarray):
        return tuple(x.tolist()) if x.ndim else int(x)
    return x if isinstance(x, (int, float)) or not x.shape else tuple(ops.unstack(x))


def _axes(axis: Any) -> Any:
    """One axis or several, as JSON gives them."""
    return tuple(map(int, axis)) if isinstance(axis, (list, np.ndarray)) and np.ndim(axis) else axis


def _few(n: Any) -> Any:
    """A count out of a file that is worked off while the graph is made."""
    if any(isinstance(v, (int, float)) and v > _MOST_PLACES for v in (n if isinstance(n, tuple) else (n,))):
        check.fail("sizes", f"{n} in a config is over the limit {_MOST_PLACES}")
    return n


def _constant(x: Any, like: Any = None) -> Any:
    """An array for the nested list of a constant."""
    if not isinstance(x, list):
        return x
    if like is not None:
        return np.asarray(x, ops.dtype(like))
    array = np.asarray(x)
    return array.astype({"f": "float32", "i": "int32"}.get(array.dtype.kind, array.dtype))


def _spatial(sizes: Any, data_format: str | None, rank: int) -> tuple[int, ...]:
    """A number for each spatial axis, out of one, or out of one for each axis."""
    sizes = [1] if sizes is None else [sizes] if check.is_int(sizes) else list(sizes)
    if len(sizes) == rank + 2:
        sizes = sizes[2:] if _layout(data_format) == "channels_first" else sizes[1:-1]
    return tuple(map(int, sizes * rank if len(sizes) == 1 else sizes))


def _layout(data_format: str | None) -> str:
    return "channels_first" if str(data_format).startswith("NC") else "channels_last"


# -- functions that are not one op ---------------------------------------------------------------------------------------


def _reduction(op: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, keepdims=None: op(x, axis=_axes(axis), keepdims=bool(keepdims))


def _place(op: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axis=None, dtype=None: ops.cast(op(x, axis=int(axis or 0)), dtype or "int64")


def _cumulation(op: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    def cumulate(x: Any, axis: Any = None, exclusive: bool = False, reverse: bool = False) -> Tensor:
        axis = int(axis or 0)
        x = ops.flip(x, axis) if reverse else x
        if exclusive:
            before, rest = ops.split(x, [x.shape[axis] - 1], axis)
            x = ops.concatenate([ops.full_like(rest, neutral), before], axis)
        y = op(x, axis=axis)
        return ops.flip(y, axis) if reverse else y

    return cumulate


def _convolution(op: Callable[..., Any]) -> Callable[..., Any]:
    def convolve(
        x: Any, filters: Any, strides: Any, padding: Any, data_format: str | None = None, dilations: Any = None
    ) -> Tensor:
        if padding not in ("VALID", "SAME"):
            check.fail("tf.nn", f"a convolution with the padding {padding!r} is not known here")
        steps, dilations = (_spatial(n, data_format, len(x.shape) - 2) for n in (strides, dilations))
        return op(x, _constant(filters, x), steps, padding.lower(), _layout(data_format), dilations)

    return convolve


def _transposed(
    x: Any, filters: Any, sizes: Any, strides: Any, padding: str | None = None, data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:  # fmt: skip
    steps, dilations = (_spatial(n, data_format, len(x.shape) - 2) for n in (strides, dilations))
    layout, padding = _layout(data_format), (padding or "SAME").lower()
    y = ops.conv_transpose(x, _constant(filters, x), steps, padding, data_format=layout, dilation_rate=dilations)
    if any(None not in (n, m) and n != m for n, m in zip(_sizes(sizes)[1:], y.shape[1:])):
        check.fail("tf.nn.conv2d_transpose", f"the output shape {sizes} is not known here, only {y.shape}")
    return y


def _pooling(op: Callable[..., Any]) -> Callable[..., Any]:
    def pool(x: Any, window: Any, strides: Any, padding: str, data_format: str | None = None) -> Tensor:
        window, strides = (_spatial(n, data_format, len(x.shape) - 2) for n in (window, strides))
        return op(x, window, strides, padding.lower(), _layout(data_format))

    return pool


def _blocks(op: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, size, data_format=None: op(x, int(size), _layout(data_format))


def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    a, b = _constant(a, b), _constant(b, a)
    return ops.matmul(ops.swapaxes(a, -1, -2) if transpose_a else a, ops.swapaxes(b, -1, -2) if transpose_b else b)


def _sort(x: Any, axis: Any = None, direction: str | None = None) -> Tensor:
    axis = -1 if axis is None else axis
    return ops.flip(ops.sort(x, axis), axis) if direction == "DESCENDING" else ops.sort(x, axis)


def _argsort(x: Any, axis: Any = None, direction: str | None = None) -> Tensor:
    return ops.argsort(ops.negative(x) if direction == "DESCENDING" else x, -1 if axis is None else axis)


def _split(x: Any, parts: Any, axis: Any = None) -> list[Tensor]:
    return ops.split(x, _few(parts) if check.is_int(parts) else np.cumsum(parts)[:-1].tolist(), int(axis or 0))


def _pad(x: Any, paddings: Any, mode: str | None = None, value: Any = None) -> Tensor:
    mode = (mode or "CONSTANT").lower()
    return ops.pad(x, paddings, mode, value or 0) if mode == "constant" else ops.pad(x, paddings, mode)


def _gather(x: Any, indices: Any, axis: Any = None, batch_dims: int | None = None) -> Tensor:
    x, indices = _constant(x), _constant(indices)
    batch = batch_dims or 0
    axis = batch if axis is None else int(axis)
    if not batch:
        return ops.take(x, indices, axis=axis)
    if batch != 1 or axis != 1:
        check.fail("tf.gather", f"batch_dims={batch} with axis={axis} is not known here")
    width = len(x.shape) - 2  # the axes after the one that is looked up
    found = ops.take_along_axis(x, ops.reshape(indices, (-1, math.prod(indices.shape[1:]), *(1,) * width)), axis=1)
    return ops.reshape(found, (-1, *indices.shape[1:], *x.shape[2:]))


def _one_hot(x: Any, depth: Any, on: Any = None, off: Any = None, axis: Any = None, dtype: str | None = None) -> Tensor:
    on, off = 1.0 if on is None else on, 0.0 if off is None else off
    y = ops.one_hot(x, int(depth), -1 if axis is None else int(axis), dtype or "float32")
    return y if (on, off) == (1, 0) else ops.add(ops.multiply(y, on - off), off)


def _band(x: Any, lower: int, upper: int) -> Tensor:
    x = x if lower < 0 else ops.triu(x, -lower)
    return x if upper < 0 else ops.tril(x, upper)


def _normalize(x: Any, axis: Any = None, epsilon: float | None = None) -> Tensor:
    square = ops.sum(ops.square(x), axis=_axes(axis), keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(square, 1e-12 if epsilon is None else epsilon)))


def _norm(x: Any, order: Any = None, axis: Any = None, keepdims: Any = None) -> Tensor:
    return ops.norm(x, None if order == "euclidean" else order, _axes(axis), bool(keepdims))


def _sum_of(xs: Sequence[Any]) -> Tensor:
    return ops.sum(ops.stack(xs), axis=0)


def _dropout(x: Any, rate: float = 0.0) -> Tensor:
    return check.fail("tf.nn.dropout", "drops at every call; use a Dropout layer") if rate else ops.copy(x)


def _resize(
    x: Any, size: Any, method: str | None = None, align_corners: bool = False, half_pixel_centers: bool = True
) -> Tensor:
    sizes, method = _few(_sizes(size)), method or "bilinear"
    if align_corners or (not half_pixel_centers and (method != "nearest" or None in x.shape[1:3])):
        check.fail(
            "tf.image.resize", f"{method} without half pixel centers, or with aligned corners, is not known here"
        )
    if half_pixel_centers:
        return ops.image.resize(x, sizes, method, data_format="channels_last")
    for axis, n in zip((1, 2), sizes):
        x = ops.take(x, np.arange(n) * x.shape[axis] // n, axis=axis)
    return x


def _slice(x: Any, begin: Any, size: Any) -> Tensor:
    return _item(x, [slice(b, None if n == -1 else b + n) for b, n in zip(_sizes(begin), _sizes(size))])


def _strided(
    x: Any, begin: Any, end: Any, strides: Any = None, begins: int | None = None, ends: int | None = None,
    ellipses: int | None = None, new: int | None = None, one: int | None = None,
) -> Any:  # fmt: skip
    """``x[begin:end:strides]`` where the bits of the other arguments say which parts of it are left out or mean else."""
    key: list[Any] = []
    for i, (b, e, s) in enumerate(zip(_sizes(begin), _sizes(end), _sizes(strides or [1] * len(begin)))):
        whole, to_end, rest, added, single = (bool((mask or 0) >> i & 1) for mask in (begins, ends, ellipses, new, one))
        part = slice(None if whole else b, None if to_end else e, None if s == 1 else s)
        key.append(Ellipsis if rest else None if added else b if single else part)
    return _item(x, key)


def _item(x: Any, key: Any) -> Any:
    key = tuple(map(_index, key)) if isinstance(key, (list, tuple)) else _index(key)
    return x[key] if isinstance(x, np.ndarray) else ops.getitem(x, key)


def _index(x: Any) -> Any:
    if isinstance(x, slice):
        return slice(*map(_index, (x.start, x.stop, x.step)))
    return int(x) if isinstance(x, (np.ndarray, np.generic)) and not np.ndim(x) else x


def _shape(x: Any, dtype: str | None = None) -> Any:
    sizes = ops.shape(x)
    if all(map(check.is_int, sizes)):
        return np.array(sizes, dtype or "int32")
    return ops.cast(ops.stack(sizes), dtype or "int32")


def _fill(sizes: Any, value: Any, dtype: str | None = None) -> Tensor:
    return ops.full(_sizes(sizes), value, dtype or ("float32" if isinstance(value, float) else "int32"))


def _range(start: Any, stop: Any = None, step: Any = None, dtype: str | None = None) -> Tensor:
    ends = (0, start) if stop is None else (start, stop)
    start, stop, step = (_sizes(n) for n in (*ends, 1 if step is None else step))
    if all(isinstance(n, (int, float)) for n in (start, stop, step)):
        _few(int(abs((stop - start) / (step or 1))))
    return ops.arange(start, stop, step, dtype=dtype or "int32")


# -- the tables ----------------------------------------------------------------------------------------------------------

_OPS = """
    acos=arccos acosh=arccosh asin=arcsin asinh=arcsinh atan=arctan atanh=arctanh ceil cos cosh erf erfc exp expm1 floor
    is_finite=isfinite is_inf=isinf is_nan=isnan log log1p log_sigmoid logical_not negative reciprocal round rsqrt sigmoid
    sign sin sinh softplus sqrt square tan tanh abs=absolute"""
_PAIRS = """
    add divide divide_no_nan equal floordiv=floor_divide floor_div=floor_divide floormod=mod greater greater_equal less
    less_equal logical_and logical_or logical_xor maximum minimum mod multiply not_equal pow=power subtract truediv=divide
    realdiv=divide"""
_REDUCTIONS = "all any logsumexp max mean min prod std sum variance=var"
_SIZES: dict[str, Callable[..., Any]] = {
    "__operators__.add": np.add,
    "__operators__.getitem": _item,
    "cast": lambda x, dtype: x.astype(dtype),
    "concat": lambda xs, axis: np.concatenate(xs, int(axis)).astype(np.asarray(xs[0]).dtype),
    "expand_dims": lambda x, axis: np.expand_dims(x, int(axis)),
    "floor_div": np.floor_divide,
    "gather": lambda x, i, axis=None, *_: np.take(x, i, int(axis or 0)),
    "identity": np.copy,
    "math.add": np.add,
    "math.floordiv": np.floor_divide,
    "math.greater": np.greater,
    "math.maximum": np.maximum,
    "math.minimum": np.minimum,
    "math.multiply": np.multiply,
    "math.reduce_prod": lambda x, axis=None, *_: np.prod(x, _axes(axis)),
    "math.subtract": np.subtract,
    "ones_like": np.ones_like,
    "reshape": lambda x, shape: np.reshape(x, _sizes(shape)),
    "slice": _slice,
    "squeeze": lambda x, axis=None: np.squeeze(x, _axes(axis)),
    "stack": lambda xs, axis=None: np.stack(xs, int(axis or 0)),
    "strided_slice": _strided,
    "unstack": lambda x, *_: list(x),
    "where": np.where,
}
"""What computes sizes."""


def _pairs(words: str) -> list[tuple[str, Any]]:
    """``name=op`` or ``name`` for both."""
    return [(a, getattr(ops, b or a)) for a, _, b in (word.partition("=") for word in words.split())]


_ROWS: list[tuple[str, Callable[..., Any], str]] = [
    *((f"math.{name}", op, "x") for name, op in _pairs(_OPS)),
    *((f"math.{name}", op, "x y") for name, op in _pairs(_PAIRS)),
    *((f"math.reduce_{name}", _reduction(op), "input_tensor axis keepdims") for name, op in _pairs(_REDUCTIONS)),
    *((f"nn.{name}", op, "features") for name, op in _pairs("elu relu relu6 selu silu softsign swish=silu")),
    ("__operators__.add", ops.add, "x y"),
    ("__operators__.getitem", _item, "tensor slice_spec"),
    ("argsort", _argsort, "values axis direction"),
    ("broadcast_to", lambda x, shape: ops.broadcast_to(x, _sizes(shape)), "input shape"),
    ("cast", ops.cast, "x dtype"),
    ("clip_by_value", ops.clip, "t clip_value_min clip_value_max"),
    ("concat", lambda xs, axis: ops.concatenate(list(map(_constant, xs)), int(axis)), "values axis"),
    ("convert_to_tensor", ops.copy, "value"),
    ("einsum", lambda equation, xs: ops.einsum(equation, *xs), "equation inputs"),
    ("expand_dims", lambda x, axis: ops.expand_dims(x, int(axis)), "input axis"),
    ("fill", _fill, "dims value"),
    ("floor_div", ops.floor_divide, "x y"),
    ("gather", _gather, "params indices axis batch_dims"),
    ("identity", ops.copy, "input"),
    ("identity_n", lambda xs: [ops.copy(x) if hasattr(x, "shape") else x for x in xs], "input"),
    ("image.resize", _resize, "images size method align_corners half_pixel_centers"),
    ("keras.backend.batch_flatten", lambda x: ops.reshape(x, (-1, math.prod(x.shape[1:]))), "x"),
    ("linalg.band_part", _band, "input num_lower num_upper"),
    ("linalg.diag_part", lambda x, k=None, *_: ops.diagonal(x, int(k or 0), -2, -1), "input k padding_value align"),
    ("linalg.matmul", _matmul, "a b transpose_a transpose_b"),
    ("math.add_n", _sum_of, "inputs"),
    ("math.argmax", _place(ops.argmax), "input axis output_type"),
    ("math.argmin", _place(ops.argmin), "input axis output_type"),
    ("math.atan2", ops.arctan2, "y x"),
    ("math.cumprod", _cumulation(ops.cumprod, 1), "x axis exclusive reverse"),
    ("math.cumsum", _cumulation(ops.cumsum, 0), "x axis exclusive reverse"),
    ("math.l2_normalize", _normalize, "x axis epsilon"),
    ("math.squared_difference", lambda x, y: ops.square(ops.subtract(x, y)), "x y"),
    ("math.top_k", lambda x, k=1, *rest: list(ops.top_k(x, int(k), *rest)), "input k sorted"),
    ("nn.avg_pool", _pooling(ops.average_pool), "input ksize strides padding data_format"),
    ("nn.avg_pool2d", _pooling(ops.average_pool), "input ksize strides padding data_format"),
    ("nn.bias_add", lambda x, bias: ops.add(x, _constant(bias, x)), "value bias"),
    ("nn.conv1d", _convolution(ops.conv), "value filters stride padding data_format dilations"),
    ("nn.conv2d", _convolution(ops.conv), "input filters strides padding data_format dilations"),
    (
        "nn.conv2d_transpose", _transposed,
        "input filters output_shape strides padding data_format dilations",
    ),
    ("nn.depth_to_space", _blocks(ops.depth_to_space), "input block_size data_format"),
    ("nn.depthwise_conv2d", _convolution(ops.depthwise_conv), "input filters strides padding data_format dilations"),
    ("nn.dropout", _dropout, "x rate"),
    ("nn.embedding_lookup", _gather, "params ids"),
    ("nn.gelu", lambda x, approximate=False: ops.gelu(x, approximate), "features approximate"),
    ("nn.leaky_relu", ops.leaky_relu, "features alpha"),
    ("nn.log_softmax", ops.log_softmax, "logits axis"),
    ("nn.max_pool", _pooling(ops.max_pool), "input ksize strides padding data_format"),
    ("nn.max_pool2d", _pooling(ops.max_pool), "input ksize strides padding data_format"),
    ("nn.moments", lambda x, axes, keepdims=False: list(ops.moments(x, _axes(axes), keepdims)), "x axes keepdims"),
    ("nn.softmax", ops.softmax, "logits axis"),
    ("nn.space_to_depth", _blocks(ops.space_to_depth), "input block_size data_format"),
    ("norm", _norm, "tensor ord axis keepdims"),
    ("one_hot", _one_hot, "indices depth on_value off_value axis dtype"),
    ("ones", lambda shape, dtype="float32": ops.ones(_sizes(shape), dtype), "shape dtype"),
    ("ones_like", ops.ones_like, "input dtype"),
    ("pad", _pad, "tensor paddings mode constant_values"),
    ("range", _range, "start limit delta dtype"),
    ("repeat", ops.repeat, "input repeats axis"),
    ("reshape", lambda x, shape: ops.reshape(x, _sizes(shape)), "tensor shape"),
    ("reverse", lambda x, axis: ops.flip(x, _axes(axis)), "tensor axis"),
    ("roll", lambda x, shift, axis: ops.roll(x, _axes(shift), _axes(axis)), "input shift axis"),
    ("shape", _shape, "input out_type"),
    ("slice", _slice, "input_ begin size"),
    ("sort", _sort, "values axis direction"),
    ("split", _split, "value num_or_size_splits axis"),
    ("squeeze", lambda x, axis=None: ops.squeeze(x, _axes(axis)), "input axis"),
    ("stack", lambda xs, axis=None: ops.stack(xs, int(axis or 0)), "values axis"),
    ("stop_gradient", ops.stop_gradient, "input"),
    (
        "strided_slice", _strided,
        "input_ begin end strides begin_mask end_mask ellipsis_mask new_axis_mask shrink_axis_mask",
    ),
    ("tensordot", lambda a, b, axes: ops.tensordot(a, _constant(b, a), axes), "a b axes"),
    ("tile", lambda x, multiples: ops.tile(_constant(x), _sizes(multiples)), "input multiples"),
    ("transpose", lambda x, axes=None: ops.transpose(x, _axes(axes)), "a perm"),
    ("unstack", lambda x, num=None, axis=None: ops.unstack(x, _few(num), int(axis or 0)), "value num axis"),
    ("where", ops.where, "condition x y"),
    ("zeros", lambda shape, dtype="float32": ops.zeros(_sizes(shape), dtype), "shape dtype"),
    ("zeros_like", ops.zeros_like, "input dtype"),
]  # fmt: skip
"""Name, what does it, and TensorFlow's names for its arguments in their order."""

FUNCTIONS = {name: StoredFunction(name, fn, parameters, _SIZES.get(name)) for name, fn, parameters in _ROWS}
