"""The operations that have NumPy's names: ``nyala.ops.numpy``."""

# fmt: off
# ruff: noqa: I001
from nyala.ops.core import vectorize
from nyala.ops.comparison import (
    allclose, bitwise_and, bitwise_invert, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift,
    bitwise_xor, equal, greater, greater_equal, isclose, isfinite, isin, isinf, isnan, isneginf, isposinf, isreal,
    left_shift, less, less_equal, logical_and, logical_not, logical_or, logical_xor, not_equal, right_shift,
)
from nyala.ops.elementwise import (
    abs, absolute, add, angle, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cbrt, ceil, clip, conj,
    conjugate, copy, cos, cosh, deg2rad, divide, divide_no_nan, exp, exp2, expm1, fabs, floor, floor_divide, fmax,
    fmin, fmod, gcd, heaviside, hypot, i0, imag, lcm, ldexp, log, log1p, log2, log10, logaddexp, logaddexp2,
    maximum, minimum, mod, multiply, nan_to_num, negative, nextafter, power, rad2deg, real, reciprocal, round, sign,
    signbit, sin, sinc, sinh, sqrt, square, subtract, tan, tanh, true_divide, trunc, view,
)
from nyala.ops.index import (
    diag, diagflat, diagonal, get_item, nonzero, select, take, take_along_axis, trace, tril, triu, unravel_index,
    vander, where,
)
from nyala.ops.linalg import corrcoef, cross, dot, einsum, inner, kron, matmul, outer, slogdet, tensordot, vdot
from nyala.ops.math import bartlett, blackman, correlate, hamming, hanning, kaiser
from nyala.ops.reduce import (
    all, amax, amin, any, argmax, argmin, argpartition, argsort, average, bincount, count_nonzero, cumprod, cumsum,
    diff, digitize, histogram, max, mean, median, min, nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean,
    nanmedian, nanmin, nanpercentile, nanprod, nanquantile, nanstd, nansum, nanvar, percentile, prod, ptp, quantile,
    searchsorted, sort, std, sum, trapezoid, unique, var,
)
from nyala.ops.shapes import (
    append, arange, array, array_split, broadcast_to, concatenate, dsplit, dstack, empty, empty_like, expand_dims,
    eye, flip, fliplr, flipud, full, full_like, geomspace, hsplit, hstack, identity, linspace, logspace, meshgrid,
    moveaxis, ndim, ones, ones_like, pad, ravel, repeat, reshape, roll, rot90, size, split, squeeze, stack,
    swapaxes, tile, transpose, tri, vsplit, vstack, zeros, zeros_like,
)

__all__ = [
    "abs", "absolute", "add", "all", "allclose", "amax", "amin", "angle", "any", "append", "arange", "arccos",
    "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argpartition", "argsort",
    "array", "array_split", "average", "bartlett", "bincount", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "blackman",
    "broadcast_to", "cbrt", "ceil", "clip", "concatenate", "conj", "conjugate", "copy", "corrcoef", "correlate",
    "cos", "cosh", "count_nonzero", "cross", "cumprod", "cumsum", "deg2rad", "diag", "diagflat", "diagonal", "diff",
    "digitize", "divide", "divide_no_nan", "dot", "dsplit", "dstack", "einsum", "empty", "empty_like", "equal",
    "exp", "exp2", "expand_dims", "expm1", "eye", "fabs", "flip", "fliplr", "flipud", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "full", "full_like", "gcd", "geomspace", "get_item", "greater", "greater_equal",
    "hamming", "hanning", "heaviside", "histogram", "hsplit", "hstack", "hypot", "i0", "identity", "imag", "inner",
    "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "kaiser", "kron", "lcm",
    "ldexp", "left_shift", "less", "less_equal", "linspace", "log", "log10", "log1p", "log2", "logaddexp",
    "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logspace", "matmul", "max", "maximum",
    "mean", "median", "meshgrid", "min", "minimum", "mod", "moveaxis", "multiply", "nan_to_num", "nanargmax",
    "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "ndim", "negative", "nextafter", "nonzero", "not_equal", "ones",
    "ones_like", "outer", "pad", "percentile", "power", "prod", "ptp", "quantile", "rad2deg", "ravel", "real",
    "reciprocal", "repeat", "reshape", "right_shift", "roll", "rot90", "round", "searchsorted", "select", "sign",
    "signbit", "sin", "sinc", "sinh", "size", "slogdet", "sort", "split", "sqrt", "square", "squeeze", "stack",
    "std", "subtract", "sum", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace",
    "transpose", "trapezoid", "tri", "tril", "triu", "true_divide", "trunc", "unique", "unravel_index", "vander",
    "var", "vdot", "vectorize", "view", "vsplit", "vstack", "where", "zeros", "zeros_like",
]
