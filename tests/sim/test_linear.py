"""The matrix products against big integers, and the output scale against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.integers import clip, half_even
from oracles.popcount import dot_and, dot_plain, words_to_int
from xnorscan.models.packing import pack_signs, words_for
from xnorscan.sim.kernels.linear import (
    add_residual,
    binary_matmul,
    combine_planes,
    embed,
    int8_matmul,
    scale_output,
    scale_rows,
    shift_dot,
)
from xnorscan.sim.kernels.quantize import pack_planes

VECTOR_GREATEST = (1 << 17) - 1
WORD_GREATEST = (1 << 31) - 1


def product(signs: np.ndarray, q: np.ndarray) -> np.ndarray:
    """``binary_matmul`` of ±1 ``signs`` [outputs, K] and ``q`` int8 [tokens, K]."""
    planes = np.empty((q.shape[0], 8, words_for(q.shape[1])), np.uint64)
    pack_planes(q, planes)
    out = np.empty((q.shape[0], signs.shape[0]), np.int32)
    binary_matmul(np.ascontiguousarray(pack_signs(signs).T), planes, out)
    return out


@given(st.integers(1, 300), st.integers(1, 6), st.integers(0, 1 << 32))
def test_binary_matmul_is_the_popcount_form(inputs: int, outputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.choice((-1.0, 1.0), (outputs, inputs))
    q = rng.integers(-128, 128, (2, inputs)).astype(np.int8)
    got = product(signs, q)
    for o, row in enumerate(pack_signs(signs).tolist()):
        bits = words_to_int(row)
        for t, values in enumerate(q.tolist()):
            assert got[t, o] == dot_and(bits, values) == dot_plain(bits, values)


@pytest.mark.parametrize("value", [-128, -127, -1, 0, 1, 127])
@pytest.mark.parametrize("inputs", [1, 63, 64, 65, 11008])
def test_binary_matmul_at_the_ends(value: int, inputs: int) -> None:
    """All weights alike and all activations alike, up to the widest layer of FBI-LLM-7B."""
    signs = np.ones((3, inputs))
    signs[1] = -1
    signs[2, ::2] = -1
    q = np.full((1, inputs), value, np.int8)
    assert product(signs, q).tolist() == [[value * inputs, -value * inputs, -value * (inputs % 2)]]


@given(st.integers(1, 200), st.integers(0, 1 << 32))
def test_int8_matmul(inputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (4, inputs)).astype(np.int8)
    q = rng.integers(-128, 128, (3, inputs)).astype(np.int8)
    out = np.empty((3, 4), np.int32)
    int8_matmul(weights, q, out)
    assert out.tolist() == (q.astype(np.int64) @ weights.astype(np.int64).T).tolist()


def test_int8_matmul_at_the_widest() -> None:
    inputs = (1 << 17) - 1
    weights = np.full((2, inputs), -128, np.int8)
    weights[1] = 127
    out = np.empty((1, 2), np.int32)
    int8_matmul(weights, np.full((1, inputs), -128, np.int8), out)
    assert out.tolist() == [[16384 * inputs, -128 * 127 * inputs]]


def test_combine_planes() -> None:
    rng = np.random.default_rng(42)
    acc = rng.integers(-(1 << 21), 1 << 21, (4, 3, 5)).astype(np.int32)
    coefficients = np.array([32767, -32768, 3, 0], np.int64)
    out = np.empty((3, 5), np.int64)
    combine_planes(acc, coefficients, out)
    assert out.tolist() == np.einsum("p,pto->to", coefficients, acc.astype(np.int64)).tolist()


def test_int8_is_eight_planes() -> None:
    """Coefficients 1, 2, …, 64, −128 on the bits of an int8 weight, {0, 1} written as (1 + s)/2."""
    rng = np.random.default_rng(43)
    weights = rng.integers(-128, 128, (6, 70))
    q = rng.integers(-127, 128, (2, 70)).astype(np.int8)
    signs = 2.0 * ((weights >> np.arange(8)[:, None, None]) & 1) - 1
    acc = np.stack([product(plane, q) for plane in signs])
    coefficients = np.array([1, 2, 4, 8, 16, 32, 64, -128], np.int64)
    twice = np.empty((2, 6), np.int64)
    combine_planes(acc, coefficients, twice)
    dense = np.empty((2, 6), np.int32)
    int8_matmul(weights.astype(np.int8), q, dense)
    assert (twice + coefficients.sum() * q.astype(np.int64).sum(1, keepdims=True)).tolist() == (2 * dense).tolist()


@given(st.integers(1, 60), st.integers(-30, 120), st.integers(0, 1 << 32))
def test_shift_dot(inputs: int, exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-(1 << 23), 1 << 23, (2, inputs)).astype(np.int32)
    beta = rng.integers(-(1 << 15), 1 << 15, inputs).astype(np.int16)
    out = np.empty(2, np.int64)
    shift_dot(x, beta, exponent, out)
    exact = [half_even(sum(a * b for a, b in zip(row, beta.tolist(), strict=True)), exponent) for row in x.tolist()]
    assert [clip(value, 62) for value in out.tolist()] == [clip(value, 62) for value in exact]


def test_shift_dot_at_the_widest() -> None:
    x = np.full((1, 1 << 16), np.iinfo(np.int32).min, np.int32)
    out = np.empty(1, np.int64)
    shift_dot(x, np.full(1 << 16, 32767, np.int16), 10, out)
    assert out[0] == -(1 << 31) * 32767 * (1 << 6)


@given(
    st.lists(st.integers(-(1 << 21), 1 << 21), min_size=1, max_size=5),
    st.one_of(st.just(1), st.integers(1, 1 << 25)),
    st.integers(-31, 40),
    st.integers(-20, 130),
    st.integers(-(1 << 40), 1 << 40),
    st.sampled_from([VECTOR_GREATEST, WORD_GREATEST]),
)
def test_scale_output_rounds_once_and_saturates(
    acc: list[int], multiplier: int, shift: int, exponent: int, bias: int, greatest: int
) -> None:
    expected = [half_even(value * multiplier, exponent - shift) + bias for value in acc]
    inside = [max(-greatest - 1, min(value, greatest)) for value in expected]
    for dtype in (np.int32, np.int64):
        out = np.empty((1, len(acc)), np.int32)
        clipped = scale_output(
            np.array([acc], dtype), np.array([multiplier]), np.array([shift]), exponent, np.array([bias]), greatest, out
        )
        assert out[0].tolist() == inside
        assert clipped == sum(a != b for a, b in zip(expected, inside, strict=True))


def test_scale_output_of_a_token_of_zeros() -> None:
    """absmax gives a token of zeros the shift −30; with a small α the shift down passes 63."""
    for exponent in (0, 33, 34, 90):
        out = np.full((1, 9), 7, np.int32)
        zeros = np.zeros((1, 9), np.int32)
        assert scale_output(zeros, np.array([1]), np.array([-30]), exponent, np.zeros(1, np.int64), 127, out) == 0
        assert not out.any()


@given(
    st.lists(st.integers(-(1 << 24), 1 << 24), min_size=3, max_size=3),
    st.lists(st.integers(0, (1 << 15) - 1), min_size=3, max_size=3),
    st.one_of(st.just(1), st.integers(1, 1 << 25)),
    st.integers(-31, 30),
    st.integers(-10, 60),
)
def test_scale_rows(acc: list[int], scales: list[int], multiplier: int, shift: int, exponent: int) -> None:
    """Six bits are dropped after the row scale, then the token's scale, the shift and one saturation."""
    out = np.empty((1, 3), np.int32)
    clipped = scale_rows(
        np.array([acc], np.int32), np.array(scales, np.int16), np.array([multiplier]), np.array([shift]), exponent,
        WORD_GREATEST, out,
    )  # fmt: skip
    expected = [
        half_even(half_even(value * scale, 6) * multiplier, exponent - shift - 6)
        for value, scale in zip(acc, scales, strict=True)
    ]
    assert out[0].tolist() == [clip(value, 32) for value in expected]
    assert clipped == sum(clip(value, 32) != value for value in expected)


def test_dropped_bits_cost_at_most_half_a_unit_of_64() -> None:
    for acc, scale in ((3, 21), (-3, 21), (1000, 32767)):
        out = np.empty((1, 1), np.int32)
        one, none = np.array([1]), np.array([0])
        scale_rows(np.array([[acc]], np.int32), np.array([scale], np.int16), one, none, 0, WORD_GREATEST, out)
        assert abs(Fraction(int(out[0, 0])) - acc * scale) <= 32


@given(st.integers(-12, 60), st.integers(0, 1 << 32))
def test_embed(exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(-127, 128, (5, 7)).astype(np.int8)
    scale = rng.integers(0, 1 << 15, 5).astype(np.int16)
    ids = np.array([4, 0, 4])
    out = np.empty((3, 7), np.int32)
    clipped = embed(table, scale, exponent, ids, WORD_GREATEST, out)
    exact = [[half_even(int(value) * int(scale[i]), exponent) for value in table[i]] for i in ids]
    assert out.tolist() == [[clip(value, 32) for value in row] for row in exact]
    assert clipped == sum(clip(value, 32) != value for row in exact for value in row)


def test_add_residual() -> None:
    residual = np.array([[1, -5, WORD_GREATEST, -(1 << 31), 7]], np.int32)
    x = np.array([[2, -6, 1, -1, -7]], np.int32)
    assert add_residual(residual, x, WORD_GREATEST) == 2
    assert residual.tolist() == [[3, -11, WORD_GREATEST, -(1 << 31), 0]]
