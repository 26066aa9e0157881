"""JAX's own functions for the ops: a table from op name to function, with adapters where the signatures differ."""

# jax's own annotations are narrower than what it takes.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportCallIssue=false, reportAssignmentType=false, reportOptionalOperand=false

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np
from jax import Array, lax

from nyala.backends import dtypes
from nyala.backends.jax.core import convert, native_dtype


def _dtype(dtype: Any) -> np.dtype | None:
    return None if dtype is None else native_dtype(dtypes.standardize(dtype))


def _axis(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _float(x: Array) -> Array:
    return x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(native_dtype(dtypes.standardize(None)))


# -- reductions --------------------------------------------------------------------------------------------------------


def _reduction(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        return fn(x, axis=_axis(axis), keepdims=keepdims)

    return run


def _extreme(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(x: Array, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Array:
        return fn(x, axis=_axis(axis), keepdims=keepdims, initial=initial)

    return run


def _wide(x: Array) -> Array:
    """Half floats are summed in float32."""
    return x.astype("float32") if x.dtype.itemsize < 4 and jnp.issubdtype(x.dtype, jnp.floating) else x


def _var(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    x = _float(x)
    return jnp.var(_wide(x), axis=_axis(axis), keepdims=keepdims).astype(x.dtype)


def _std(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    x = _float(x)
    return jnp.std(_wide(x), axis=_axis(axis), keepdims=keepdims).astype(x.dtype)


def _prod(x: Array, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Array:
    return jnp.prod(x, axis=_axis(axis), keepdims=keepdims, dtype=_dtype(dtype))


def _arg(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        return fn(x, axis=axis, keepdims=keepdims).astype("int32")

    return run


def _cumulative(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(x: Array, axis: int | None = None, dtype: Any = None) -> Array:
        kind = _dtype(dtype) or (np.dtype("int32") if x.dtype == bool else x.dtype)
        return fn(x, axis=axis, dtype=kind)

    return run


def _top_k(x: Array, k: int, sorted: bool = True) -> tuple[Array, Array]:
    values, indices = lax.top_k(x, k)
    return values, indices.astype("int32")


def _quantile(x: Array, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Array:
    x = _float(x)
    return jnp.quantile(x, jnp.asarray(q, x.dtype), axis=_axis(axis), method=method, keepdims=keepdims)


def _segment(fn: Callable[..., Array]) -> Callable[..., Array]:
    def run(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:
        return fn(data, segment_ids, num_segments, indices_are_sorted=sorted)

    return run


def _searchsorted(sorted_sequence: Array, values: Array, side: str = "left") -> Array:
    return jnp.searchsorted(sorted_sequence, values, side=side).astype("int32")


# -- shape and indexing ------------------------------------------------------------------------------------------------


def _split(x: Array, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    where = indices_or_sections
    return jnp.split(x, where if isinstance(where, int) else np.asarray(where), axis)


def _pad(x: Array, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Array:
    if mode == "constant" and constant_values is not None:
        return jnp.pad(x, pad_width, constant_values=constant_values)
    return jnp.pad(x, pad_width, mode)


def _index(k: Any) -> Any:
    """A tensor that is a scalar and known becomes an int, lists become arrays."""
    if isinstance(k, slice):
        return slice(*(_bound(v) for v in (k.start, k.stop, k.step)))
    if k is None or k is Ellipsis or isinstance(k, (int, np.integer)):
        return k
    return convert(k)


def _bound(v: Any) -> Any:
    return v if v is None or isinstance(v, int) else operator.index(convert(v))


def _getitem(x: Array, key: Any) -> Array:
    if isinstance(key, tuple):
        return x[tuple(_index(k) for k in key)]
    return x[_index(key)]


def _wrap(indices: Array, n: int) -> Array:
    """Negative indices count from the end."""
    return jnp.where(indices < 0, indices + n, indices)


def _take(x: Array, indices: Array, axis: int | None = None) -> Array:
    # "clip" after wrapping: jax's own default fills with NaN, and its gradient is slower.
    n = x.size if axis is None else x.shape[axis]
    return jnp.take(x, _wrap(indices, n), axis=axis, mode="clip")


def _take_along_axis(x: Array, indices: Array, axis: int | None = None) -> Array:
    n = x.size if axis is None else x.shape[axis]
    return jnp.take_along_axis(x, _wrap(indices, n), axis=axis, mode="clip")


def _where(condition: Array, x1: Any = None, x2: Any = None) -> Any:
    if x1 is None and x2 is None:
        return _nonzero(condition)
    return jnp.where(condition, x1, x2)


def _nonzero(x: Array) -> tuple[Array, ...]:
    return tuple(i.astype("int32") for i in jnp.nonzero(x))


def _unique(
    x: Array,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    return jnp.unique(x, return_index, return_inverse, return_counts, axis, size=size, fill_value=fill_value)


def _scatter(indices: Array, values: Array, shape: Any) -> Array:
    return jnp.zeros(tuple(shape), values.dtype).at[tuple(jnp.moveaxis(indices, -1, 0))].add(values)


def _scatter_update(inputs: Array, indices: Array, updates: Array, reduction: str | None = None) -> Array:
    at = inputs.at[tuple(jnp.moveaxis(indices, -1, 0))]
    return getattr(at, {None: "set", "mul": "multiply"}.get(reduction, reduction))(updates)  # type: ignore[arg-type]


def _starts(start_indices: Any) -> list[Any]:
    return list(start_indices) if isinstance(start_indices, (list, tuple)) else list(convert(start_indices))


def _slice(inputs: Array, start_indices: Any, shape: Any) -> Array:
    starts = _starts(start_indices)
    sizes = [inputs.shape[i] - int(starts[i]) if n == -1 else n for i, n in enumerate(shape)]
    return lax.dynamic_slice(inputs, starts, sizes)


def _slice_update(inputs: Array, start_indices: Any, updates: Array) -> Array:
    return lax.dynamic_update_slice(inputs, updates.astype(inputs.dtype), _starts(start_indices))


def _repeat(x: Array, repeats: Any, axis: int | None = None) -> Array:
    return jnp.repeat(x, repeats if isinstance(repeats, int) else np.asarray(repeats), axis)


# -- linear algebra ----------------------------------------------------------------------------------------------------


def _matmul(x1: Array, x2: Array) -> Array:
    if x1.dtype == x2.dtype == np.int8:
        return jnp.matmul(x1, x2, preferred_element_type="int32")
    return jnp.matmul(x1, x2)


def _einsum(subscripts: str, *operands: Array) -> Array:
    if all(x.dtype == np.int8 for x in operands):
        return jnp.einsum(subscripts, *operands, preferred_element_type="int32")
    return jnp.einsum(subscripts, *operands)


def _cholesky(x: Array, upper: bool = False) -> Array:
    return jnp.linalg.cholesky(x, upper=upper)


def _solve(a: Array, b: Array) -> Array:
    return jnp.linalg.solve(a, b[..., None])[..., 0] if b.ndim == a.ndim - 1 else jnp.linalg.solve(a, b)


def _solve_triangular(a: Array, b: Array, lower: bool = False) -> Array:
    if b.ndim == a.ndim - 1:
        return jsp.linalg.solve_triangular(a, b[..., None], lower=lower)[..., 0]
    return jsp.linalg.solve_triangular(a, b, lower=lower)


def _norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    return jnp.linalg.norm(_float(x), ord=ord, axis=_axis(axis), keepdims=keepdims)


def _fft(fn: Callable[..., Array]) -> Callable[..., Any]:
    def run(x: tuple[Array, Array]) -> tuple[Array, Array]:
        out = fn(lax.complex(*x))
        return jnp.real(out), jnp.imag(out)

    return run


def _rfft(x: Array, fft_length: int | None = None) -> tuple[Array, Array]:
    out = jnp.fft.rfft(x, fft_length)
    return jnp.real(out), jnp.imag(out)


def _svd(x: Array, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return tuple(found) if isinstance(found := jnp.linalg.svd(x, full_matrices, compute_uv), tuple) else found


def _full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    return jnp.full(shape, fill_value, native_dtype(dtypes.standardize(dtype)))


def _arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    if dtype is None:
        dtype = dtypes.result_type(*(getattr(v, "dtype", type(v)) for v in (start, stop, step) if v is not None))
    return jnp.arange(start, stop, step, _dtype(dtype))


def _view(x: Array, dtype: Any = None) -> Array:
    return x if dtype is None else x.view(_dtype(dtype))


def _stop_gradient(variable: Array) -> Array:
    return lax.stop_gradient(variable)


NATIVES: dict[str, Callable[..., Any]] = {
    # elementwise
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.divide,
    "floor_divide": jnp.floor_divide,
    "mod": jnp.mod,
    "fmod": jnp.fmod,
    "power": jnp.power,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "arctan2": jnp.arctan2,
    "logaddexp": jnp.logaddexp,
    "nextafter": jnp.nextafter,
    "gcd": jnp.gcd,
    "equal": jnp.equal,
    "not_equal": jnp.not_equal,
    "less": jnp.less,
    "less_equal": jnp.less_equal,
    "greater": jnp.greater,
    "greater_equal": jnp.greater_equal,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_xor": jnp.logical_xor,
    "logical_not": jnp.logical_not,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "bitwise_not": jnp.bitwise_not,
    "left_shift": jnp.left_shift,
    "right_shift": jnp.right_shift,
    "absolute": jnp.abs,
    "negative": jnp.negative,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "trunc": jnp.trunc,
    "square": jnp.square,
    "sqrt": jnp.sqrt,
    "rsqrt": lax.rsqrt,
    "reciprocal": jnp.reciprocal,
    "cbrt": jnp.cbrt,
    "exp": jnp.exp,
    "exp2": jnp.exp2,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "arcsin": jnp.arcsin,
    "arccos": jnp.arccos,
    "arctan": jnp.arctan,
    "sinh": jnp.sinh,
    "cosh": jnp.cosh,
    "tanh": jnp.tanh,
    "arcsinh": jnp.arcsinh,
    "arccosh": jnp.arccosh,
    "arctanh": jnp.arctanh,
    "erf": lax.erf,
    "erfc": lax.erfc,
    "erfinv": lax.erf_inv,
    "lgamma": lax.lgamma,
    "i0": jnp.i0,
    "isfinite": jnp.isfinite,
    "isinf": jnp.isinf,
    "isnan": jnp.isnan,
    "signbit": jnp.signbit,
    "real": jnp.real,
    "imag": jnp.imag,
    "conj": jnp.conj,
    "angle": jnp.angle,
    "view_as_complex": lambda x: lax.complex(x[..., 0], x[..., 1]),
    "clip": lambda x, x_min, x_max: jnp.clip(x, x_min, x_max),
    "nan_to_num": jnp.nan_to_num,
    "view": _view,
    "stop_gradient": _stop_gradient,
    # reductions
    "sum": _reduction(jnp.sum),
    "mean": _reduction(jnp.mean),
    "prod": _prod,
    "max": _extreme(jnp.max),
    "min": _extreme(jnp.min),
    "all": _reduction(jnp.all),
    "any": _reduction(jnp.any),
    "var": _var,
    "std": _std,
    "argmax": _arg(jnp.argmax),
    "argmin": _arg(jnp.argmin),
    "logsumexp": _reduction(jax.nn.logsumexp),
    "cumsum": _cumulative(jnp.cumsum),
    "cumprod": _cumulative(jnp.cumprod),
    "sort": jnp.sort,
    "argsort": lambda x, axis=-1: jnp.argsort(x, axis).astype("int32"),
    "top_k": _top_k,
    "quantile": _quantile,
    "segment_sum": _segment(jax.ops.segment_sum),
    "segment_max": _segment(jax.ops.segment_max),
    "segment_min": _segment(jax.ops.segment_min),
    "segment_prod": _segment(jax.ops.segment_prod),
    "searchsorted": _searchsorted,
    "nonzero": _nonzero,
    "unique": _unique,
    # shape and indexing
    "reshape": lambda x, newshape: jnp.reshape(x, newshape),
    "transpose": jnp.transpose,
    "squeeze": lambda x, axis=None: jnp.squeeze(x, _axis(axis)),
    "expand_dims": lambda x, axis: jnp.expand_dims(x, _axis(axis)),
    "broadcast_to": jnp.broadcast_to,
    "concatenate": jnp.concatenate,
    "stack": jnp.stack,
    "split": _split,
    "pad": _pad,
    "tile": lambda x, repeats: jnp.tile(x, repeats),
    "repeat": _repeat,
    "flip": lambda x, axis=None: jnp.flip(x, _axis(axis)),
    "roll": lambda x, shift, axis=None: jnp.roll(x, shift, _axis(axis)),
    "getitem": _getitem,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "where": _where,
    "scatter": _scatter,
    "scatter_update": _scatter_update,
    "slice": _slice,
    "slice_update": _slice_update,
    "diagonal": jnp.diagonal,
    "tril": jnp.tril,
    "triu": jnp.triu,
    # activations
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "sigmoid": lax.logistic,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "softmax": lambda x, axis=-1: jax.nn.softmax(x, _axis(axis)),
    "log_softmax": lambda x, axis=-1: jax.nn.log_softmax(x, _axis(axis)),
    # creation
    "full": _full,
    "arange": _arange,
    # linear algebra
    "matmul": _matmul,
    "einsum": _einsum,
    "dot": jnp.dot,
    "tensordot": jnp.tensordot,
    "cholesky": _cholesky,
    "det": jnp.linalg.det,
    "slogdet": lambda x: tuple(jnp.linalg.slogdet(x)),
    "inv": jnp.linalg.inv,
    "solve": _solve,
    "solve_triangular": _solve_triangular,
    "eig": lambda x: tuple(jnp.linalg.eig(x)),
    "eigh": lambda x: tuple(jnp.linalg.eigh(x)),
    "qr": lambda x, mode="reduced": tuple(jnp.linalg.qr(x, mode)),
    "svd": _svd,
    "lu_factor": lambda x: tuple(jsp.linalg.lu_factor(x)),
    "lstsq": lambda a, b, rcond=None: jnp.linalg.lstsq(a, b, rcond)[0],
    "norm": _norm,
    "fft": _fft(jnp.fft.fft),
    "fft2": _fft(jnp.fft.fft2),
    "ifft2": _fft(jnp.fft.ifft2),
    "rfft": _rfft,
    "irfft": lambda x, fft_length=None: jnp.fft.irfft(lax.complex(*x), fft_length),
}
