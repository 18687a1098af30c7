"""One-bit planes: signs packed into 64-bit words, and back."""

from __future__ import annotations

import numpy as np

WORD_BITS = 64


def words_for(inputs: int) -> int:
    """64-bit words that hold ``inputs`` bits."""
    return -(-inputs // WORD_BITS)


def pack_signs(weight: np.ndarray) -> np.ndarray:
    """Pack the signs of ``weight`` [outputs, inputs] into uint64 [outputs, words].

    Bit i mod 64 (little-endian) of word i // 64 of a row is 1 iff the weight of input i is > 0: zeros (both signs of
    it) are 0, as negative weights are. Bits past the last input are 0. The comparison is made in the dtype given:
    nothing is rounded first. Memory beside the result: one byte per weight.

    Raises ``ValueError`` where ``weight`` is not two-dimensional or holds a NaN, which has no sign.
    """
    if weight.ndim != 2:
        raise ValueError(f"weights of shape {list(weight.shape)} cannot be packed, [outputs, inputs] is needed")
    if np.isnan(weight).any():
        raise ValueError("a weight is NaN and has no sign to pack")
    packed = np.packbits(weight > 0, axis=1, bitorder="little")
    rows = np.zeros((weight.shape[0], words_for(weight.shape[1]) * 8), np.uint8)
    rows[:, : packed.shape[1]] = packed
    return rows.view("<u8")


def unpack_signs(plane: np.ndarray, inputs: int) -> np.ndarray:
    """The signs of a packed ``plane`` (uint64 [outputs, words]) as int8 [outputs, ``inputs``], −1 or +1.

    Raises ``ValueError`` where the words do not fit ``inputs``.
    """
    if plane.ndim != 2 or plane.dtype != np.uint64 or plane.shape[1] != words_for(inputs):
        raise ValueError(
            f"a plane of {plane.dtype} {list(plane.shape)} does not hold {inputs} inputs, "
            f"uint64 [outputs, {words_for(inputs)}] is needed"
        )
    octets = np.ascontiguousarray(plane, "<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1, count=inputs, bitorder="little")
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def padding_is_zero(planes: np.ndarray, inputs: int) -> bool:
    """Whether every bit past the last input of ``planes`` (uint64 […, words]) is 0."""
    used = inputs % WORD_BITS
    return not used or not (planes[..., -1] >> np.uint64(used)).any()
