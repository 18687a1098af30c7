"""The activation quantizers, the packing of bit-planes and the statistics of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.popcount import bit_planes
from oracles.quantizers import quantize_absmax, quantize_pow2
from xnorscan.models.packing import words_for
from xnorscan.sim.kernels.quantize import (
    MAX_ABS,
    MODES,
    ONES,
    STATISTICS,
    TOGGLES,
    pack_and_count,
    pack_planes,
    quantize,
    scale_and_quantize,
)

ROWS = st.lists(st.integers(-(1 << 23), (1 << 23) - 1), min_size=1, max_size=20)
SMALL_ROWS = st.lists(st.integers(-300, 300), min_size=1, max_size=20)
SCALES = st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=20, max_size=20)


def quantized(rows: np.ndarray, alpha: np.ndarray | None, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q int8, multiplier and shift int64 of ``rows`` int [tokens, K]."""
    x = np.ascontiguousarray(rows, np.int32)
    q = np.empty(x.shape, np.int8)
    multiplier, shift = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    if alpha is None:
        quantize(x, MODES[mode], q, multiplier, shift)
    else:
        scale_and_quantize(x, np.ascontiguousarray(alpha, np.int16), MODES[mode], q, multiplier, shift)
    return q.astype(np.int64), multiplier, shift


def steps(multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The value of one step of q, float64 [tokens, 1]: exact for power-of-two scales."""
    return np.ldexp(multiplier.astype(np.float64), shift.astype(np.int64))[:, None]


@given(st.one_of(ROWS, SMALL_ROWS), SCALES)
def test_pow2_is_the_oracle(row: list[int], scales: list[int]) -> None:
    """Where the oracle would scale up (rows below 64) the integers themselves are kept: no shift is negative."""
    alpha = scales[: len(row)]
    products = np.array([row], np.int64) * np.array(alpha, np.int64)
    q, multiplier, shift = quantized(np.array([row]), np.array(alpha), "pow2")
    expected, exponent = quantize_pow2(products)
    assert multiplier.tolist() == [1]
    assert shift[0] == max(0, exponent[0])
    assert q.tolist() == (expected if exponent[0] >= 0 else products).tolist()


@given(st.one_of(ROWS, SMALL_ROWS), SCALES)
def test_absmax_is_the_oracle_but_for_near_ties(row: list[int], scales: list[int]) -> None:
    alpha = scales[: len(row)]
    products = np.array([row], np.int64) * np.array(alpha, np.int64)
    q, _, _ = quantized(np.array([row]), np.array(alpha), "absmax")
    expected, _ = quantize_absmax(products)
    greatest = int(np.abs(products).max())
    for got, want, product in zip(q[0].tolist(), expected[0].tolist(), products[0].tolist(), strict=True):
        exact = Fraction(product * 127, greatest) if greatest else Fraction(0)
        assert got == want or abs(got - exact) <= Fraction(1, 2) + Fraction(1, 10000)


@given(st.one_of(ROWS, SMALL_ROWS), SCALES, st.sampled_from(list(MODES)))
def test_multiplier_and_shift_rebuild_within_half_a_step(row: list[int], scales: list[int], mode: str) -> None:
    alpha = scales[: len(row)]
    q, multiplier, shift = quantized(np.array([row]), np.array(alpha), mode)
    step = Fraction(int(multiplier[0])) * Fraction(2) ** int(shift[0])
    greatest = max(abs(value * scale) for value, scale in zip(row, alpha, strict=False))
    slack = Fraction(0)
    if mode == "absmax" and greatest:
        assert abs(step * 127 / greatest - 1) < Fraction(1, 1_000_000)
        slack = Fraction(127, 1_000_000)
    for value, scale, got in zip(row, alpha, q[0].tolist(), strict=True):
        assert abs(got * step - value * scale) <= step * (Fraction(1, 2) + slack)


@given(ROWS, st.sampled_from(list(MODES)))
def test_minus_128_never_appears_and_absmax_reaches_127(row: list[int], mode: str) -> None:
    q, _, _ = quantized(np.array([row]), None, mode)
    assert np.abs(q).max() <= 127
    if mode == "absmax" and any(row):
        assert np.abs(q).max() == 127


@pytest.mark.parametrize("mode", list(MODES))
def test_without_alpha_is_alpha_one(mode: str) -> None:
    rows = np.random.default_rng(41).integers(-(1 << 20), 1 << 20, (5, 33))
    for with_alpha, without in zip(quantized(rows, np.ones(33), mode), quantized(rows, None, mode), strict=True):
        assert with_alpha.tolist() == without.tolist()


@pytest.mark.parametrize("mode", list(MODES))
def test_edge_rows(mode: str) -> None:
    """All zero; one huge value; the format's ends; a row of ones; a lone least value."""
    rows = np.zeros((6, 9), np.int64)
    rows[1, 4] = (1 << 23) - 1
    rows[1, 5] = 1
    rows[2] = -(1 << 23)
    rows[3] = 1
    rows[4, 0] = -1
    rows[5] = np.iinfo(np.int32).min
    for alpha in (None, np.full(9, -(1 << 15)), np.full(9, 1)):
        q, multiplier, shift = quantized(rows, alpha, mode)
        scale = 1 if alpha is None else int(alpha[0])
        assert not q[0].any()
        assert (multiplier > 0).all()
        assert q[1, 4] * np.sign(scale) >= 64
        assert q[1, 5] == 0
        error = np.abs(q * steps(multiplier, shift) - rows * scale)
        assert (error <= 0.502 * steps(multiplier, shift)).all()


def test_a_pow2_scale_does_not_clip() -> None:
    """127.4 steps would round to 127, but the scale is 2^ceil(log2(absmax/127)), as in training."""
    q, _, shift = quantized(np.array([[127 * 16, 100], [127 * 16 + 1, 100]]), None, "pow2")
    assert shift.tolist() == [4, 5]
    assert q.tolist() == [[127, 6], [64, 3]]


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=150))
def test_planes_are_the_bits(row: list[int]) -> None:
    q = np.array([row, row[::-1]], np.int8)
    planes = np.empty((2, 8, words_for(len(row))), np.uint64)
    pack_planes(q, planes)
    for token, values in enumerate((row, row[::-1])):
        for k, expected in enumerate(bit_planes(values)):
            words = planes[token, k].tolist()
            assert sum(word << (64 * w) for w, word in enumerate(words)) == expected


@pytest.mark.parametrize("inputs", [1, 36, 64, 65, 128, 200])
def test_packing_and_counting(inputs: int) -> None:
    """Against the unpacked bits: ones, changes from word to word (padding lanes are zeros), greatest magnitude."""
    q = np.random.default_rng(inputs).integers(-127, 128, (3, inputs)).astype(np.int8)
    planes, counted = np.empty((2, 3, 8, words_for(inputs)), np.uint64)
    pack_planes(q, planes)
    counts = np.full(STATISTICS + 1, -1, np.int64)
    pack_and_count(q, counted, counts)
    assert counted.tolist() == planes.tolist()
    assert counts[STATISTICS] == -1, "what comes behind is not its own"
    bits = (q[:, None, :].astype(np.int64) >> np.arange(8)[:, None]) & 1
    words = np.pad(bits, ((0, 0), (0, 0), (0, -inputs % 64))).reshape(3, 8, -1, 64)
    assert counts[ONES].tolist() == bits.sum((0, 2)).tolist()
    assert counts[TOGGLES].tolist() == np.abs(np.diff(words, axis=2)).sum((0, 2, 3)).tolist()
    assert counts[MAX_ABS] == np.abs(q.astype(np.int64)).max()
