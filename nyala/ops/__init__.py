"""The operations: ``nyala.ops``, with the names and signatures of ``keras.ops``.

A file is a family: ``elementwise``, ``comparison``, ``reduce``, ``shapes``, ``index``, ``linalg``, ``math``, ``conv``, ``loss``,
``image``, and ``core`` for control flow and dtypes; ``nn`` has what networks use, ``numpy`` gathers what has NumPy's names.
``_op`` makes a function an op.
"""

# ruff: noqa: F403
from nyala.ops import core, image, linalg, nn, numpy
from nyala.ops.core import *
from nyala.ops.elementwise import erf, erfc, erfinv, rsqrt, view_as_complex, view_as_real
from nyala.ops.index import extract_sequences, getitem, scatter, scatter_update, slice, slice_update
from nyala.ops.linalg import (
    cdist,
    cholesky,
    cholesky_inverse,
    det,
    eig,
    eigh,
    inv,
    logdet,
    lstsq,
    lu_factor,
    matrix_rank,
    norm,
    pinv,
    qr,
    solve,
    solve_triangular,
    svd,
)
from nyala.ops.math import fft, fft2, ifft2, irfft, istft, rfft, stft
from nyala.ops.nn import *
from nyala.ops.numpy import *
from nyala.ops.reduce import (
    in_top_k,
    logsumexp,
    segment_max,
    segment_min,
    segment_prod,
    segment_sum,
    top_k,
)
from nyala.ops.shapes import rearrange

__all__ = [
    "cdist", "cholesky", "cholesky_inverse", "det", "eig", "eigh", "erf", "erfc", "erfinv", "extract_sequences",
    "fft", "fft2", "getitem", "ifft2", "image", "in_top_k", "inv", "irfft", "istft", "linalg", "logdet",
    "logsumexp", "lstsq", "lu_factor", "matrix_rank", "nn", "norm", "numpy", "pinv", "qr", "rearrange", "rfft",
    "rsqrt", "scatter", "scatter_update", "segment_max", "segment_min", "segment_prod", "segment_sum", "slice",
    "slice_update", "solve", "solve_triangular", "stft", "svd", "top_k", "view_as_complex", "view_as_real",
]  # fmt: skip
__all__ += core.__all__
__all__ += nn.__all__
__all__ += numpy.__all__
