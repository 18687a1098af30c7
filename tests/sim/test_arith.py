"""Integer primitives against exact fractions and Python's own integers."""

from __future__ import annotations

import math
from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnorscan.sim.kernels.arith import FARTHEST_LEFT, bit_length, integer_sqrt, popcount, saturate, shift_round

EDGES = sorted({sign * ((1 << k) + d) for k in range(61) for d in (-1, 0, 1) for sign in (-1, 1)})
WIDE = st.one_of(st.integers(-(1 << 61), 1 << 61), st.sampled_from(EDGES))


def assert_shifted(value: int, bits: int) -> None:
    """Half to even to the right; exact to the left as far as ±2^61, and beyond it still there or further."""
    exact = round(Fraction(value) / Fraction(2) ** bits)
    got = shift_round(value, bits)
    if abs(exact) < 1 << FARTHEST_LEFT:
        assert got == exact
    else:
        assert 1 << FARTHEST_LEFT <= abs(got) <= 1 << 62
        assert (got > 0) == (exact > 0)


@given(WIDE, st.integers(0, 130))
def test_shift_round_is_half_even(value: int, bits: int) -> None:
    assert_shifted(value, bits)


@given(WIDE, st.integers(-130, -1))
def test_shift_to_the_left_saturates(value: int, bits: int) -> None:
    assert_shifted(value, bits)


@pytest.mark.parametrize("bits", [1, 2, 7, 31, 60, 61, 62, 63, 64, 65])
def test_shift_round_at_ties(bits: int) -> None:
    for whole in (-3, -2, -1, 0, 1, 2, 3):
        for off in (-1, 0, 1):
            value = (whole << bits) + (1 << (bits - 1)) + off
            if abs(value) <= 1 << 61:
                assert_shifted(value, bits)


@given(st.integers(-(1 << 62), 1 << 62), st.integers(2, 40))
def test_saturate_is_the_nearest_of_the_range(value: int, bits: int) -> None:
    greatest = (1 << (bits - 1)) - 1
    assert saturate(value, greatest) == sorted((-greatest - 1, value, greatest))[1]


def test_bit_length() -> None:
    for value in [*range(300), *(edge for edge in EDGES if edge > 0), (1 << 63) - 1]:
        assert bit_length(value) == value.bit_length()


@given(st.one_of(st.integers(0, (1 << 52) - 1), st.integers(0, (1 << 26) - 1).map(lambda root: root * root)))
def test_integer_sqrt(value: int) -> None:
    assert integer_sqrt(value) == math.isqrt(value)


def test_integer_sqrt_around_squares() -> None:
    roots = [*range(1, 200), *((1 << k) + d for k in range(8, 26) for d in (-1, 0, 1)), (1 << 26) - 1]
    for root in roots:
        for value in (root * root - 1, root * root, root * root + 1):
            assert integer_sqrt(value) == math.isqrt(value)
    assert integer_sqrt((1 << 52) - 1) == (1 << 26) - 1
    assert integer_sqrt(0) == 0


@numba.njit
def _popcounts(words: np.ndarray, out: np.ndarray) -> None:
    for i in range(words.size):
        out[i] = popcount(words[i])


def test_popcount() -> None:
    words = np.random.default_rng(40).integers(0, 1 << 64, 200, np.uint64)
    words[:3] = 0, 1, (1 << 64) - 1
    counts = np.empty(words.size, np.int64)
    _popcounts(words, counts)
    assert counts.tolist() == [word.bit_count() for word in words.tolist()]
