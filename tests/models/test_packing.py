"""Packing against a plain Python oracle, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xnorscan.models.packing import pack_signs, padding_is_zero, unpack_signs, words_for

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
WEIGHTS = FLOATS.flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.tuples(st.integers(0, 4), st.integers(0, 200)),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False) | st.sampled_from([0.0, -0.0]),
    )
)


def words_of_row(row: list[float]) -> list[int]:
    """The oracle: one Python integer per 64 inputs, bit i set iff input i is > 0."""
    return [sum(1 << i for i, w in enumerate(row[at : at + 64]) if w > 0) for at in range(0, len(row), 64)]


@given(WEIGHTS)
def test_every_bit_is_the_sign_of_its_weight(weight: np.ndarray) -> None:
    packed = pack_signs(weight)
    assert packed.dtype == np.uint64
    assert packed.shape == (weight.shape[0], words_for(weight.shape[1]))
    assert packed.tolist() == [words_of_row(row) for row in weight.tolist()]


@given(WEIGHTS)
def test_unpacking_gives_the_signs_back(weight: np.ndarray) -> None:
    signs = unpack_signs(pack_signs(weight), weight.shape[1])
    assert signs.dtype == np.int8
    assert signs.tolist() == [[1 if w > 0 else -1 for w in row] for row in weight.tolist()]


def test_zeros_of_both_signs_and_the_least_subnormals() -> None:
    least = np.float32(2.0**-149)
    assert pack_signs(np.array([[0.0, -0.0, least, -least]], np.float32)).tolist() == [[0b0100]]


@pytest.mark.parametrize(("inputs", "words"), [(1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (11008, 172)])
def test_words(inputs: int, words: int) -> None:
    assert words_for(inputs) == words


def test_a_matrix_in_any_memory_order() -> None:
    weight = np.random.default_rng(1).normal(size=(70, 3))
    assert (pack_signs(weight.T) == pack_signs(np.ascontiguousarray(weight.T))).all()


def test_padding() -> None:
    plane = np.array([[0, 0b0111]], np.uint64)
    assert padding_is_zero(plane, 67)
    assert not padding_is_zero(plane, 66)
    assert padding_is_zero(np.full((2, 1), 2**64 - 1, np.uint64), 64)


def test_a_vector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[3\] cannot be packed, \[outputs, inputs\] is needed"):
        pack_signs(np.ones(3))


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN and has no sign"):
        pack_signs(np.array([[1.0, np.nan]]))


@pytest.mark.parametrize("plane", [np.zeros((2, 1), np.uint64), np.zeros((2, 2), np.int64), np.zeros(2, np.uint64)])
def test_words_that_do_not_hold_the_inputs_are_refused(plane: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"does not hold 65 inputs, uint64 \[outputs, 2\] is needed"):
        unpack_signs(plane, 65)
