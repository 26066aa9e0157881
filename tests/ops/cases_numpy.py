"""The numpy-like ops and what each is called with."""

import numpy as np

from tests.ops.sweep import Case, case

rng = np.random.default_rng(0)


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return rng.uniform(low, high, shape).astype("float32")


X, Y, ROW = floats(3, 4), floats(3, 4), floats(4)
POSITIVE = floats(3, 4, low=0.5)
UNIT = floats(3, 4, low=-0.9, high=0.9)
INTS, OTHER = np.array([[3, -7, 4], [0, 5, 12]], "int32"), np.array([[2, 3, -3], [4, 5, 8]], "int32")
BITS = np.array([[3, 7, 4], [1, 5, 12]], "int32")
BOOLS = np.array([[True, False, True], [False, False, True]])
ODD = np.array([[1.0, np.nan, -np.inf], [np.inf, -0.0, 2.5]], "float32")
CUBE = floats(2, 3, 4)
SQUARE = np.stack([floats(3, 3) + 4 * np.eye(3, dtype="float32") for _ in range(2)])
DEFINITE = (SQUARE @ SQUARE.transpose(0, 2, 1)).astype("float32")
NO = {"_grad": False}

_UNARY = (
    ("absolute abs fabs negative sign square exp expm1 exp2 sin cos tan arctan sinh cosh tanh arcsinh cbrt floor ceil trunc "
     "deg2rad rad2deg sinc erf erfc i0", X),
    ("sqrt rsqrt reciprocal log log1p log2 log10", POSITIVE),
    ("arcsin arccos arctanh erfinv", UNIT),
    ("arccosh", POSITIVE + 1),
)  # fmt: skip
_BINARY = "add subtract multiply divide true_divide maximum minimum arctan2 hypot logaddexp logaddexp2"
_COMPARE = "equal not_equal less less_equal greater greater_equal"

ELEMENTWISE: list[Case] = [
    *(case(op, x, _batch=True) for ops, x in _UNARY for op in ops.split()),
    *(case(op, INTS, _dtypes=("int8", "bool")) for op in "absolute square sqrt exp floor ceil trunc negative sign".split()
      if op not in ("negative", "sign")),
    *(case(op, X, Y, _batch=True) for op in _BINARY.split()),
    *(case(op, INTS, OTHER, _dtypes=("int8", "int64")) for op in "add subtract multiply divide maximum minimum".split()),
    *(case(op, X, ROW) for op in ("add", "multiply", "divide")),
    *(case(op, X, 2) for op in ("add", "subtract", "power", "maximum", "mod")),
    *(case(op, INTS, OTHER, _dtypes=()) for op in _COMPARE.split()),
    *(case(op, BOOLS, ~BOOLS | BOOLS[:, ::-1]) for op in "logical_and logical_or logical_xor".split()),
    *(case(op, BITS, OTHER, _dtypes=("int8",)) for op in "bitwise_and bitwise_or bitwise_xor".split()),
    *(case(op, BITS, np.abs(OTHER), _dtypes=()) for op in "left_shift right_shift bitwise_left_shift bitwise_right_shift".split()),
    *(case(op, ODD, **NO) for op in "isfinite isinf isnan isposinf isneginf isreal signbit nan_to_num".split()),
    *(case(op, ODD, ODD[::-1], **NO) for op in ("fmax", "fmin")),
    case("power", POSITIVE, Y), case("floor_divide", X, Y, **NO), case("mod", X, Y, **NO), case("fmod", X, Y, **NO),
    case("floor_divide", INTS[:, 1:], OTHER[:, 1:], _dtypes=()), case("mod", INTS, OTHER, _dtypes=()),
    case("fmod", INTS, OTHER, _dtypes=()), case("divide_no_nan", X, np.where(Y > 0, Y, 0).astype("float32")),
    case("gcd", BITS, np.abs(OTHER), _dtypes=()), case("lcm", BITS, np.abs(OTHER), _dtypes=()),
    case("ldexp", X, np.array([1, 2, -1, 0], "int32"), _dtypes=()), case("heaviside", X, Y, **NO),
    case("nextafter", X, Y, _dtypes=(), **NO),
    case("round", X * 3, **NO), case("round", X, decimals=1, _dtypes=(), **NO), case("clip", X, -1.0, 1.0, _batch=True),
    case("logical_not", BOOLS), case("bitwise_not", BITS, _dtypes=()), case("bitwise_invert", BITS, _dtypes=()), case("real", X), case("conj", X),
    case("isclose", X, X + 1e-6, **NO), case("allclose", X, X, **NO), case("isin", BITS, OTHER, _dtypes=()), case("copy", X),
    case("angle", X, **NO),
]  # fmt: skip

_REDUCE = "sum mean prod max min amax amin var std logsumexp ptp"

REDUCE: list[Case] = [
    *(case(op, CUBE, **kw) for op in _REDUCE.split() for kw in ({}, {"axis": 1}, {"axis": (0, -1), "keepdims": True})),
    *(case(op, INTS, axis=0, _dtypes=("int8", "bool", "uint8")) for op in ("sum", "mean", "prod", "max", "var", "std")
      if op != "max"),
    *(case(op, BOOLS, axis=1) for op in ("all", "any")),
    *(case(op, X, **kw, **NO) for op in ("argmax", "argmin") for kw in ({}, {"axis": 1}, {"axis": 0, "keepdims": True})),
    *(case(op, X, **kw) for op in ("cumsum", "cumprod") for kw in ({}, {"axis": 1})),
    *(case(op, ODD[:, :2], axis=0, **NO) for op in "nansum nanprod nanmax nanmin nanmean nanargmax nanargmin nancumsum".split()),
    case("nanvar", np.where(X > 1, np.nan, X).astype("float32"), axis=1, **NO),
    case("nanmedian", np.where(X > 1, np.nan, X).astype("float32"), axis=1, **NO),
    case("max", X, initial=1.5), case("count_nonzero", INTS, axis=0), case("average", X, axis=1, weights=np.abs(ROW)),
    case("sort", X), case("sort", X, axis=0), case("argsort", X, **NO), case("top_k", X, 2),
    case("in_top_k", np.array([1, 3, 0], "int32"), X, 2, _dtypes=(), **NO),
    case("searchsorted", np.sort(ROW), X, **NO), case("digitize", X, np.sort(ROW), **NO),
    case("median", X, axis=1), case("quantile", X, 0.3, axis=0), case("percentile", X, 30.0, axis=1),
    case("bincount", np.array([1, 2, 2, 5], "int32"), minlength=7, _ref=np.bincount),
    case("histogram", X.ravel(), bins=4, **NO), case("diff", X), case("diff", X, n=2, axis=0), case("trapezoid", X, dx=0.5),
    *(case(f"segment_{op}", CUBE[0], np.array([0, 0, 2], "int32"), num_segments=3, _dtypes=(), _grad=op == "sum")
      for op in ("sum", "max", "min")),
]  # fmt: skip

SHAPE: list[Case] = [
    case("reshape", X, (2, -1)), case("reshape", CUBE, (-1, 4)), case("ravel", CUBE), case("transpose", CUBE),
    case("transpose", CUBE, (1, 0, 2)), case("moveaxis", CUBE, 0, -1), case("swapaxes", CUBE, 0, 2),
    case("squeeze", CUBE[:1], 0), case("squeeze", CUBE[:1]), case("expand_dims", X, -1, _batch=True),
    case("expand_dims", X, (0, 3)), case("broadcast_to", ROW, (3, 4)), case("concatenate", [X, Y], axis=1),
    case("concatenate", [X, INTS.astype("float32")[:, :1].repeat(4, 1)], axis=0), case("stack", [X, Y], axis=1),
    case("append", X, Y), case("append", X, Y, axis=0), case("vstack", [ROW, ROW]), case("hstack", [X, Y]),
    case("dstack", [X, Y]), case("split", X, 2, axis=1), case("split", X, [1, 3], axis=1), case("array_split", X, 3, axis=1),
    case("vsplit", X, 3), case("hsplit", X, 2), case("dsplit", CUBE, 2), case("pad", X, 1), case("pad", X, ((1, 0), (0, 2))),
    case("pad", X, ((1, 1), (2, 1)), mode="reflect"), case("pad", X, ((1, 1), (2, 1)), mode="symmetric"),
    case("pad", X, 1, constant_values=2.0), case("tile", X, 2), case("tile", X, (2, 1, 2)), case("repeat", X, 2),
    case("repeat", X, 2, axis=0), case("flip", X), case("flip", X, 1), case("fliplr", X), case("flipud", X),
    case("roll", X, 1), case("roll", X, 2, axis=1), *(case("rot90", X, k) for k in (1, 2, 3)),
    case("zeros_like", X, **NO), case("ones_like", INTS), case("full_like", X, 3, **NO),
    case("linspace", np.float32(0), np.float32(3), 7, _dtypes=(), **NO), case("logspace", np.float32(0), np.float32(2), 4, _dtypes=(), **NO),
    case("arange", 5), case("arange", 1, 6, 2), case("arange", 1.0), case("arange", 3, dtype="float32"),
    case("zeros", (2, 3)), case("ones", (2,), "int32"), case("full", (2, 2), 7), case("eye", 3), case("eye", 2, 4, 1, "int32"),
    case("identity", 3), case("tri", 3), case("tri", 2, 4, 1), case("meshgrid", ROW, X[:, 0]),
    case("meshgrid", ROW, X[:, 0], indexing="ij"), case("rearrange", CUBE, "a b (c d) -> (b a) d c", c=2, _ref=lambda x, _, c: x.reshape(2, 3, c, 2).transpose(1, 0, 3, 2).reshape(6, 2, c)),
]  # fmt: skip

INDEX: list[Case] = [
    *(case("get_item", CUBE, k) for k in (0, slice(1, None), (slice(None), -1), (..., None, 2), (0, slice(None, None, 2)))),
    case("get_item", CUBE, np.array([1, 0, 1], "int32"), _dtypes=()), case("get_item", CUBE, (slice(None), np.array([2, 0], "int32")), _dtypes=()),
    case("take", X, np.array([[0, 2], [-1, 1]], "int32"), axis=1, _dtypes=()), case("take", X, np.array([5, 0], "int32"), _dtypes=()),
    case("take_along_axis", X, np.array([[0], [3], [1]], "int32"), axis=1, _dtypes=()),
    case("where", X > 0, X, Y, _dtypes=()), case("where", X > 0, X, 0.0, _dtypes=()),
    case("select", [X > 1, X > 0], [X, Y], 5.0, _dtypes=()),
    case("scatter", np.array([[1], [3], [1]], "int32"), X, (5, 4), _dtypes=()),
    *(case("scatter_update", X, np.array([[0, 1], [2, 3]], "int32"), ROW[:2], reduction=r, _dtypes=()) for r in (None, "add", "max", "min")),
    case("slice", CUBE, (0, 1, 1), (2, 2, 3)), case("slice_update", CUBE, (0, 1, 1), CUBE[:, :2, :3] + 1),
    case("tril", CUBE), case("triu", CUBE, 1), case("diagonal", X), case("diag", ROW), case("diag", ROW, 1), case("diag", ROW, -2),
    case("diag", X, 1), case("diagflat", X), case("trace", X), case("vander", ROW, 3, _dtypes=()),
    case("unravel_index", BITS, (4, 5), _dtypes=()), case("extract_sequences", X, 2, 1),
]  # fmt: skip

LINALG: list[Case] = [
    case("matmul", X, Y.T, _tol=1e-4), case("matmul", CUBE, ROW), case("matmul", CUBE, CUBE.transpose(0, 2, 1), _batch=True),
    case("matmul", BITS, OTHER.T, _dtypes=("int8",)), case("dot", X, ROW), case("dot", CUBE, Y.T), case("inner", X, Y),
    case("outer", ROW, ROW), case("vdot", X, Y), case("kron", X[:2, :2], Y[:2, :2]),
    case("tensordot", CUBE, Y.T, axes=1),
    case("tensordot", CUBE, Y, axes=[[1, 2], [0, 1]]), case("cross", X[:, :3], Y[:, :3]), case("cross", X[:, :2], Y[:, :2]),
    case("einsum", "ij,kj->ik", X, Y), case("einsum", "bij,bkj->bik", CUBE, CUBE), case("einsum", "...j->...", CUBE),
    *(case("norm", X, ord=o, axis=1, _dtypes=()) for o in (None, 1, 3, np.inf)), case("norm", X), case("norm", X, ord="nuc", _dtypes=(), **NO),
    case("norm", X, ord=1, axis=(0, 1), keepdims=True, _dtypes=()),
    *(case(op, SQUARE, _dtypes=(), _tol=1e-4) for op in ("det", "inv", "pinv")), case("slogdet", SQUARE, _dtypes=(), _tol=1e-4),
    case("logdet", DEFINITE, _dtypes=(), _tol=1e-4, **NO),
    case("cholesky", DEFINITE, _dtypes=(), _tol=1e-4, **NO), case("cholesky", DEFINITE, True, _dtypes=(), _tol=1e-4, **NO),
    case("solve", SQUARE, SQUARE[::-1].copy(), _dtypes=(), _tol=1e-4), case("solve_triangular", SQUARE, CUBE[:, :3, :2].copy(), lower=True, _dtypes=(), _tol=1e-4),
    case("matrix_rank", SQUARE, _dtypes=(), **NO), case("lstsq", X.T.copy(), ROW, _dtypes=(), _tol=1e-3, **NO),
    case("svd", X, compute_uv=False, _dtypes=(), _tol=1e-4), case("cdist", X, Y, _dtypes=(), _tol=1e-4), case("corrcoef", X, _dtypes=(), _tol=1e-4),
    case("correlate", ROW, ROW[:2]), case("correlate", ROW, ROW[:2], mode="full"), case("correlate", ROW, ROW[:3], mode="same"),
    case("rfft", X, _dtypes=(), _tol=1e-4), case("fft", (X, Y), _dtypes=(), _tol=1e-4), case("irfft", (X, Y), _dtypes=(), _tol=1e-4),
    case("stft", floats(2, 64), 8, 4, 16, _dtypes=(), _tol=1e-4), *(case(w, 5, _ref=getattr(np, w)) for w in ("bartlett", "blackman", "hamming", "hanning")),
]  # fmt: skip
