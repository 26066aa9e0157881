"""The numpy-like ops keep the contract of ``sweep.py``."""

import numpy as np
import pytest

from nyala import backends, ops
from tests.ops import cases_numpy as cases
from tests.ops.sweep import check, rows

CASES = [*cases.ELEMENTWISE, *cases.REDUCE, *cases.SHAPE, *cases.INDEX, *cases.LINALG]


@pytest.mark.parametrize("row", rows(CASES))
def test_op(row, backend, deviation):
    check(row, deviation)


def test_nonzero(backend):
    x = np.array([[3, 0, 4], [0, 5, 12]], "int32")
    for found, want in zip(ops.nonzero(x), np.nonzero(x)):
        np.testing.assert_array_equal(backends.current().to_numpy(found), want)
    for found, want in zip(ops.where(x > 3), np.nonzero(x > 3)):
        np.testing.assert_array_equal(backends.current().to_numpy(found), want)
