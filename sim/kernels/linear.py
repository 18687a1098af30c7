"""The matrix products: one-bit planes by bit-planes (AND-popcount form), and int8 by int8; then the output scale.

For q = Σ_k c_k·b_k in two's complement and weights s = 2w − 1 (facts of FBI-LLM's layer, exact integers):

    Σ_i s_i·q_i = Σ_k c_k·(2·popcount(w AND b_k) − popcount(b_k))

Lanes beyond K are zero in b_k, so padding adds nothing. |Σ| ≤ 128·K < 2^31 for K < 2^24: int32 never overflows.
"""

from __future__ import annotations

import numpy as np

from ..compile import inlined, kernel
from .arith import popcount, saturate, shift_round


@kernel
def binary_matmul(planes: np.ndarray, activations: np.ndarray, out: np.ndarray) -> None:
    """One weight plane: ``planes`` uint64 [words, outputs] (inputs along words, outputs contiguous), ``activations``
    uint64 [tokens, 8, words] → ``out`` int32 [tokens, outputs] = Σ_i s·q, exact.

    The inner loop runs along outputs, so LLVM makes it one vector popcount per word without horizontal sums.
    Oracle: a big-integer dot product in plain Python.
    """
    words, outputs = planes.shape
    for t in range(activations.shape[0]):
        ones = _weighted_ones(activations[t])
        row = out[t]
        for o in range(outputs):
            row[o] = -ones
        for w in range(words):
            b0, b1, b2, b3 = activations[t, 0, w], activations[t, 1, w], activations[t, 2, w], activations[t, 3, w]
            b4, b5, b6, b7 = activations[t, 4, w], activations[t, 5, w], activations[t, 6, w], activations[t, 7, w]
            weights = planes[w]
            for o in range(outputs):
                v = weights[o]
                total = (
                    popcount(v & b0)
                    + (popcount(v & b1) << 1)
                    + (popcount(v & b2) << 2)
                    + (popcount(v & b3) << 3)
                    + (popcount(v & b4) << 4)
                    + (popcount(v & b5) << 5)
                    + (popcount(v & b6) << 6)
                    - (popcount(v & b7) << 7)
                )
                row[o] += np.int32(total << 1)


@inlined
def _weighted_ones(planes: np.ndarray) -> int:
    total = 0
    for k in range(8):
        ones = 0
        for w in range(planes.shape[1]):
            ones += popcount(planes[k, w])
        total += -(ones << 7) if k == 7 else ones << k
    return total


@kernel
def int8_matmul(weights: np.ndarray, q: np.ndarray, out: np.ndarray) -> None:
    """``weights`` int8 [outputs, K], ``q`` int8 [tokens, K] → ``out`` int32 [tokens, outputs], exact for K < 2^17.

    The value equals eight weight planes with coefficients 1, 2, …, 64, −128 on the binary array.
    """
    for t in range(q.shape[0]):
        for o in range(weights.shape[0]):
            total = np.int32(0)
            for i in range(weights.shape[1]):
                total += np.int32(np.int32(weights[o, i]) * np.int32(q[t, i]))
            out[t, o] = total


@kernel
def shift_dot(x: np.ndarray, beta: np.ndarray, exponent: int, out: np.ndarray) -> None:
    """β·x once per token: ``x`` int32 [tokens, K], ``beta`` int16 [K] → ``out`` int64 [tokens], rounded by 2^exponent.

    |x| < 2^31 and |β| < 2^15: the sum stays below 2^62 for K ≤ 2^16.
    """
    for t in range(x.shape[0]):
        total = np.int64(0)
        for i in range(x.shape[1]):
            total += np.int64(x[t, i]) * np.int64(beta[i])
        out[t] = shift_round(total, exponent)


@kernel
def scale_output(
    acc: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    exponent: int,
    bias: np.ndarray,
    greatest: int,
    out: np.ndarray,
) -> int:
    """``out`` int32 [tokens, outputs] = saturate(round(acc·multiplier·2^(shift − exponent)) + bias).

    Returns the values clipped.
    ``acc`` int64 or int32 [tokens, outputs]; ``multiplier``, ``shift``, ``bias`` int64 [tokens] (one per token).
    """
    clipped = 0
    for t in range(acc.shape[0]):
        down = exponent - shift[t]
        for o in range(acc.shape[1]):
            value = shift_round(np.int64(acc[t, o]) * multiplier[t], down) + bias[t]
            out[t, o] = saturate(value, greatest)
            clipped += out[t, o] != value
    return clipped


@kernel
def scale_rows(
    acc: np.ndarray,
    row_scale: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    exponent: int,
    greatest: int,
    out: np.ndarray,
) -> int:
    """``scale_output`` with one int16 scale per output row and no bias: the output scale of an int8 layer."""
    clipped = 0
    for t in range(acc.shape[0]):
        down = exponent - shift[t]
        for o in range(acc.shape[1]):
            scaled = shift_round(np.int64(acc[t, o]) * np.int64(row_scale[o]), _ROW_SCALE_DROP)
            value = shift_round(scaled * multiplier[t], down - _ROW_SCALE_DROP)
            out[t, o] = saturate(value, greatest)
            clipped += out[t, o] != value
    return clipped


_ROW_SCALE_DROP = 6
"""Bits dropped between the row scale and the token's multiplier, so that the product of the two stays below 2^63."""


@kernel
def combine_planes(acc: np.ndarray, coefficients: np.ndarray, out: np.ndarray) -> None:
    """``acc`` int32 [planes, tokens, outputs], ``coefficients`` int64 [planes] → ``out`` int64 [tokens, outputs]."""
    for t in range(out.shape[0]):
        for o in range(out.shape[1]):
            total = 0
            for p in range(acc.shape[0]):
                total += coefficients[p] * np.int64(acc[p, t, o])
            out[t, o] = total


@kernel
def embed(
    table: np.ndarray, row_scale: np.ndarray, exponent: int, ids: np.ndarray, greatest: int, out: np.ndarray
) -> int:
    """``out`` int32 [tokens, K] = saturate(round(row·scale·2^-exponent)); returns the values clipped.

    ``table`` int8 [vocab, K], ``row_scale`` int16 [vocab], ``ids`` int64 [tokens]: rows of the table.
    """
    clipped = 0
    for t in range(ids.size):
        token = ids[t]
        for i in range(table.shape[1]):
            value = shift_round(np.int64(table[token, i]) * np.int64(row_scale[token]), exponent)
            out[t, i] = saturate(value, greatest)
            clipped += out[t, i] != value
    return clipped


@kernel
def add_residual(residual: np.ndarray, x: np.ndarray, greatest: int) -> int:
    """``residual`` += ``x`` in place, int32 [tokens, K], saturated; returns the values clipped."""
    clipped = 0
    for t in range(x.shape[0]):
        for i in range(x.shape[1]):
            value = np.int64(residual[t, i]) + np.int64(x[t, i])
            residual[t, i] = saturate(value, greatest)
            clipped += residual[t, i] != value
    return clipped
