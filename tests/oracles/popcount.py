"""Integer dot products of one ±1 row with two's-complement integers, bit by bit on Python's big integers.

Three independent ways to the same integer: the plain sum, and the two forms that a bit-serial array computes. Bit i
of a big integer belongs to input i. With w the row's bits (1 is +1, 0 is −1), b_k bit-plane k of the activations,
K the inputs and c = 1, 2, 4, …, −2^(bits−1):

    AND:   Σ s·q = Σ_k c_k·(2·popcount(w & b_k) − popcount(b_k))
    XNOR:  Σ s·q = ½·[Σ_k c_k·(2·popcount(xnor(w, b_k)) − K) − (2·popcount(w) − K)]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def bits_to_int(bits: Iterable[int]) -> int:
    """The big integer whose bit i is ``bits[i]``."""
    return sum(bit << i for i, bit in enumerate(bits))


def words_to_int(words: Iterable[int]) -> int:
    """The big integer of a packed row: 64-bit words, word 0 lowest (bit i of word w is input 64·w + i)."""
    return sum(int(word) << (64 * w) for w, word in enumerate(words))


def bit_planes(q: Sequence[int], bits: int = 8) -> list[int]:
    """The ``bits`` two's-complement bit-planes of ``q``, least significant first, each a big integer over the inputs.

    Raises ``ValueError`` where a value does not fit.
    """
    for value in q:
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise ValueError(f"{value} does not fit {bits} bits of two's complement")
    return [bits_to_int((value >> k) & 1 for value in q) for k in range(bits)]


def plane_weights(bits: int = 8) -> list[int]:
    """c_k: 1, 2, 4, …, and −2^(bits−1) for the sign plane."""
    return [1 << k for k in range(bits - 1)] + [-(1 << (bits - 1))]


def dot_plain(weight_bits: int, q: Sequence[int]) -> int:
    """Σ_i s_i·q_i with s_i = +1 where bit i of ``weight_bits`` is set, else −1."""
    return sum(value if (weight_bits >> i) & 1 else -value for i, value in enumerate(q))


def dot_and(weight_bits: int, q: Sequence[int], bits: int = 8) -> int:
    """The same by the AND form. Bits of ``weight_bits`` behind the last input never count."""
    return sum(
        c * (2 * (weight_bits & plane).bit_count() - plane.bit_count())
        for c, plane in zip(plane_weights(bits), bit_planes(q, bits), strict=True)
    )


def dot_xnor(weight_bits: int, q: Sequence[int], bits: int = 8) -> int:
    """The same by the XNOR form, with its static per-row correction; ``weight_bits`` is 0 behind the last input."""
    inputs = len(q)
    lanes = (1 << inputs) - 1
    planes = sum(
        c * (2 * (~(weight_bits ^ plane) & lanes).bit_count() - inputs)
        for c, plane in zip(plane_weights(bits), bit_planes(q, bits), strict=True)
    )
    twice = planes - (2 * weight_bits.bit_count() - inputs)
    if twice % 2:
        raise AssertionError(f"the XNOR form gave the odd sum {twice}: its half is not an integer")
    return twice // 2
