"""RMSNorm and gated RMSNorm on integers, one token at a time.

The row is scaled to 16 bits by a shift, its squares are summed exactly, one integer square root and one division give
the reciprocal, and sqrt(K)·weight is folded into the weight when the model is prepared:

    x·weight / sqrt(mean(x²) + eps) = x·(sqrt(K)·weight) / sqrt(Σx² + K·eps)

Greatest error against float64: 5.8e-5 of the row's greatest output and one unit in the last place (asserted by the
tests).
"""

from __future__ import annotations

import numpy as np

from ..compile import inlined, kernel
from ..formats import NORMED, SCANNED, VECTOR
from .arith import bit_length, integer_sqrt, saturate, shift_round
from .nonlinear import silu

_MANTISSA_BITS = 15
_UNIT_FRACTION = 24
_RECIPROCAL_BITS = 46

GATED_FRACTION = SCANNED.fraction + VECTOR.fraction
"""Fraction bits of y·silu(z) before its norm."""


@inlined
def _normalize_row(row: np.ndarray, eps: int, weight: np.ndarray, weight_exponent: int, out: np.ndarray) -> int:
    greatest = 0
    for i in range(row.size):
        greatest = max(greatest, abs(row[i]))
    shift = max(0, bit_length(greatest) - _MANTISSA_BITS)
    total = eps >> min(2 * shift, 63)
    for i in range(row.size):
        mantissa = shift_round(row[i], shift)
        total += mantissa * mantissa
    room = _RECIPROCAL_BITS + 2 - bit_length(total)
    room -= room & 1
    reciprocal = (1 << _RECIPROCAL_BITS) // integer_sqrt(shift_round(total, -room))
    down = _RECIPROCAL_BITS - _UNIT_FRACTION - room // 2
    clipped = 0
    for i in range(row.size):
        unit = shift_round(shift_round(row[i], shift) * reciprocal, down)
        value = shift_round(unit * weight[i], _UNIT_FRACTION + weight_exponent - NORMED.fraction)
        out[i] = saturate(value, NORMED.greatest)
        clipped += out[i] != value
    return clipped


@kernel
def rmsnorm(x: np.ndarray, eps: int, weight: np.ndarray, weight_exponent: int, out: np.ndarray) -> int:
    """``x`` int32 [tokens, K] (``RESIDUAL``) → ``out`` int32 [tokens, K] (``NORMED``); returns the values clipped.

    ``eps`` = round(K·eps·2^(2·16)); ``weight`` int16 [K] stands for weight·sqrt(K)·2^weight_exponent. K ≤ 2^16.
    """
    clipped = 0
    row = np.empty(x.shape[1], np.int64)
    for t in range(x.shape[0]):
        row[:] = x[t]
        clipped += _normalize_row(row, eps, weight, weight_exponent, out[t])
    return clipped


@kernel
def gated_rmsnorm(
    y: np.ndarray, z: np.ndarray, groups: int, eps: int, weight: np.ndarray, weight_exponent: int, out: np.ndarray
) -> int:
    """``y`` int32 [tokens, K] (``SCANNED``), ``z`` int32 [tokens, ≥ K] (``VECTOR``) → norm of y·silu(z) (``NORMED``).

    Each of ``groups`` equal runs of G = K/groups channels is normed alone. The product keeps all its bits (22 fraction
    bits). ``eps`` = round(G·eps·2^(2·22)); ``weight`` stands for weight·sqrt(G)·2^weight_exponent.
    """
    clipped = 0
    row = np.empty(y.shape[1] // groups, np.int64)
    for t in range(y.shape[0]):
        for g in range(groups):
            run = slice(g * row.size, (g + 1) * row.size)
            for i in range(row.size):
                row[i] = np.int64(y[t, run.start + i]) * silu(np.int64(z[t, run.start + i]))
            clipped += _normalize_row(row, eps, weight[run], weight_exponent, out[t, run])
    return clipped


@kernel
def gate(y: np.ndarray, z: np.ndarray, offset: int, out: np.ndarray) -> int:
    """Mamba-1's gate y·silu(z): ``y`` and ``out`` int32 [tokens, K] (``SCANNED``); returns the values clipped.

    ``z`` int32 [tokens, ≥ offset + K] (``VECTOR``), channel i at ``offset + i``.
    """
    clipped = 0
    for t in range(y.shape[0]):
        for i in range(y.shape[1]):
            value = shift_round(np.int64(y[t, i]) * silu(np.int64(z[t, offset + i])), VECTOR.fraction)
            out[t, i] = saturate(value, SCANNED.greatest)
            clipped += out[t, i] != value
    return clipped
