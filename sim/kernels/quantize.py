"""The integer activation quantizers, ours (the papers leave activations in FP16), both per token and after α.

A row x (fixed point) is multiplied by the 16-bit mantissas of α, then

* ``pow2``: q = round(p / 2^s) with the least s ≥ 0 that keeps |p| ≤ 127·2^s: the scale is a shift;
* ``absmax``: q = round(p · 127/absmax) through one reciprocal per token, BitNet b1.58's scale.

Both leave (multiplier, shift) per token such that p ≈ q · multiplier · 2^shift, which is all that the output scale
needs.
"""

from __future__ import annotations

import numpy as np

from ..compile import inlined, kernel
from .arith import bit_length, popcount, shift_round

GREATEST = 127
POW2 = 0
ABSMAX = 1
MODES = {"pow2": POW2, "absmax": ABSMAX}

_ABSMAX_BITS = 23
"""The absmax is scaled by a shift, up or down, to 23 bits (24 after rounding up)."""
_RECIPROCAL_FRACTION = 40
_INVERSE_127 = 33026
"""round(2^22 / 127): absmax/127 without a division, 5e-7 from the exact value."""


@inlined
def _pow2_shift(absmax: int) -> int:
    shift = max(0, bit_length(absmax) - 7)
    return shift + (absmax > GREATEST << shift)


@inlined
def _quantize_row(row: np.ndarray, mode: int, q: np.ndarray) -> tuple[int, int]:
    absmax = 0
    for i in range(row.size):
        absmax = max(absmax, abs(row[i]))
    if mode == POW2:
        shift = _pow2_shift(absmax)
        for i in range(row.size):
            q[i] = shift_round(row[i], shift)
        return 1, shift
    narrow = bit_length(absmax) - _ABSMAX_BITS
    scale = max(1, shift_round(absmax, narrow))
    reciprocal = (GREATEST << _RECIPROCAL_FRACTION) // scale
    for i in range(row.size):
        q[i] = shift_round(shift_round(row[i], narrow) * reciprocal, _RECIPROCAL_FRACTION)
    return shift_round(scale * _INVERSE_127, 15), narrow - 7


@kernel
def scale_and_quantize(
    x: np.ndarray, alpha: np.ndarray, mode: int, q: np.ndarray, multiplier: np.ndarray, shift: np.ndarray
) -> None:
    """``x`` int32 [tokens, K], ``alpha`` int16 [K] → ``q`` int8 [tokens, K]; ``multiplier``, ``shift`` int64 [tokens].

    x·α ≈ q · multiplier · 2^shift in units of x's last place times α's. Products have at most 47 bits.
    """
    row = np.empty(x.shape[1], np.int64)
    for t in range(x.shape[0]):
        for i in range(row.size):
            row[i] = np.int64(x[t, i]) * np.int64(alpha[i])
        multiplier[t], shift[t] = _quantize_row(row, mode, q[t])


@kernel
def quantize(x: np.ndarray, mode: int, q: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> None:
    """``scale_and_quantize`` without α: ``x`` int32 [tokens, K] → ``q`` int8 [tokens, K]."""
    row = np.empty(x.shape[1], np.int64)
    for t in range(x.shape[0]):
        row[:] = x[t]
        multiplier[t], shift[t] = _quantize_row(row, mode, q[t])


@kernel
def pack_planes(q: np.ndarray, planes: np.ndarray) -> None:
    """``q`` int8 [tokens, K] → ``planes`` uint64 [tokens, 8, words]: bit i of word w of plane k is bit k of q[64·w+i].

    Plane 7 is the sign (weight −128). Lanes beyond K are 0, so they add nothing to a popcount of weight AND plane.
    """
    _pack(q, planes)


ONES, TOGGLES, MAX_ABS = slice(0, 8), slice(8, 16), 16
STATISTICS = 17
"""Where ``pack_and_count`` puts what it counts, and how many counts there are."""


@kernel
def pack_and_count(q: np.ndarray, planes: np.ndarray, counts: np.ndarray) -> None:
    """``pack_planes`` that also fills ``counts`` int64 [≥ 17]: ones of each plane, toggles of each plane, greatest |q|.

    A toggle is a lane that differs between consecutive 64-lane words of one plane: what the input wires of a 64-lane
    array do.
    """
    _pack(q, planes)
    counts[:STATISTICS] = 0
    greatest = np.int64(0)
    for t in range(planes.shape[0]):
        for k in range(8):
            ones = popcount(planes[t, k, 0])
            toggles = 0
            for w in range(1, planes.shape[2]):
                ones += popcount(planes[t, k, w])
                toggles += popcount(planes[t, k, w] ^ planes[t, k, w - 1])
            counts[k] += ones
            counts[8 + k] += toggles
        for i in range(q.shape[1]):
            greatest = max(greatest, abs(np.int64(q[t, i])))
    counts[MAX_ABS] = greatest


@inlined
def _pack(q: np.ndarray, planes: np.ndarray) -> None:
    inputs = q.shape[1]
    for t in range(q.shape[0]):
        for w in range(planes.shape[2]):
            start = 64 * w
            for k in range(8):
                word = np.uint64(0)
                for i in range(min(64, inputs - start)):
                    word |= np.uint64((q[t, start + i] >> k) & 1) << np.uint64(i)
                planes[t, k, w] = word
