"""The numpy-like ops keep the contract of ``sweep.py``."""

import pytest

from tests.ops import cases_numpy as cases
from tests.ops.sweep import check, rows

CASES = [*cases.ELEMENTWISE, *cases.REDUCE, *cases.SHAPE, *cases.INDEX, *cases.LINALG]


@pytest.mark.parametrize(("row", "aspect"), rows(CASES))
def test_op(row, aspect, backend, deviation):
    check(row, aspect, deviation)
