"""The quantizers against exact rational arithmetic (``round`` of a Fraction is half to even)."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.quantizers import pow2_exponent, quantize_absmax, quantize_pow2

TOKENS = st.lists(st.floats(-(2.0**20), 2.0**20, width=32), min_size=1, max_size=20).map(np.array)
"""Float32 values, from subnormal to a million, and zero."""


@given(TOKENS)
def test_pow2_is_exact(x: np.ndarray) -> None:
    q, exponent = quantize_pow2(x)
    scale = Fraction(2) ** int(exponent)
    absmax = Fraction(float(np.abs(x).max()))
    assert absmax <= 127 * scale
    assert absmax == 0 or absmax > 127 * scale / 2
    assert q.tolist() == [round(Fraction(v) / scale) for v in x.tolist()]


@given(TOKENS)
def test_absmax_is_exact(x: np.ndarray) -> None:
    q, scale = quantize_absmax(x)
    absmax = Fraction(float(np.abs(x).max()))
    assert q.tolist() == [round(Fraction(v) * 127 / absmax) if absmax else 0 for v in x.tolist()]
    assert np.abs(q).max() == (127 if absmax else 0)
    assert scale == np.abs(x).max() / 127


@pytest.mark.parametrize(
    ("absmax", "exponent"), [(127.0, 0), (127.0000001, 1), (126.9, 0), (1.0, -6), (2.0**-30, -36), (0.0, 0)]
)
def test_exponent(absmax: float, exponent: int) -> None:
    assert pow2_exponent(absmax) == exponent


def test_ties_go_to_even() -> None:
    assert quantize_pow2(np.array([127.0, 0.5, 1.5, 2.5, -0.5, -1.5]))[0].tolist() == [127, 0, 2, 2, 0, -2]
    assert quantize_absmax(np.array([-254.0, 1.0, 3.0, 5.0, -1.0, -3.0]))[0].tolist() == [-127, 0, 2, 2, 0, -2]


def test_each_token_has_its_own_scale() -> None:
    x = np.array([[1.0, 0.25], [1000.0, 3.0], [0.0, 0.0]])
    q, exponent = quantize_pow2(x)
    assert exponent.tolist() == [-6, 3, 0]
    assert q.tolist() == [[64, 16], [125, 0], [0, 0]]
    assert quantize_absmax(x)[0].tolist() == [[127, 32], [127, 0], [0, 0]]
