"""The three integer dot products are one, and it is numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.popcount import bit_planes, bits_to_int, dot_and, dot_plain, dot_xnor, plane_weights, words_to_int
from oracles.random_models import pack_plane


@st.composite
def rows(draw: st.DrawFn) -> tuple[int, list[int], int]:
    """Weight bits, activations and their width."""
    bits = draw(st.integers(1, 12))
    q = draw(st.lists(st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1), max_size=150))
    return draw(st.integers(0, (1 << len(q)) - 1)), q, bits


@given(rows())
def test_xnor_form_is_and_form_is_the_plain_dot_product(row: tuple[int, list[int], int]) -> None:
    weight_bits, q, bits = row
    signs = [1 if (weight_bits >> i) & 1 else -1 for i in range(len(q))]
    expected = int(np.dot(np.array(signs, np.int64), np.array(q, np.int64)))
    assert dot_plain(weight_bits, q) == dot_and(weight_bits, q, bits) == dot_xnor(weight_bits, q, bits) == expected


@given(rows())
def test_planes_with_their_weights_are_the_value(row: tuple[int, list[int], int]) -> None:
    _, q, bits = row
    weighted = list(zip(plane_weights(bits), bit_planes(q, bits), strict=True))
    assert [sum(c * ((plane >> i) & 1) for c, plane in weighted) for i in range(len(q))] == q


@given(rows(), st.integers(0, 255))
def test_and_form_ignores_weight_bits_behind_the_last_input(row: tuple[int, list[int], int], garbage: int) -> None:
    weight_bits, q, bits = row
    assert dot_and(weight_bits | garbage << len(q), q, bits) == dot_plain(weight_bits, q)


def test_greatest_sums() -> None:
    """All bits agree with −128: the bound from which an accumulator's width is derived."""
    assert dot_xnor(0, [-128] * 5120) == dot_and(0, [-128] * 5120) == 655_360
    assert dot_xnor((1 << 5120) - 1, [-128] * 5120) == -655_360


def test_words_are_little_endian() -> None:
    signs = np.where(np.random.default_rng(0).random((3, 130)) < 0.5, 1, -1)
    for row, packed in zip(signs, pack_plane(signs), strict=True):
        assert words_to_int(packed) == bits_to_int((row > 0).astype(int).tolist())
    assert words_to_int([0, 1]) == 1 << 64


@pytest.mark.parametrize("value", [-129, 128])
def test_a_value_too_wide_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"{value} does not fit 8 bits"):
        bit_planes([value])
