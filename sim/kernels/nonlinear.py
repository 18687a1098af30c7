"""softplus, SiLU and 2^-t on integers: a table lookup, one multiply, a shift.

Greatest errors against float64, over every input the format has (asserted by the tests): softplus 1.3e-4,
SiLU 4.9e-4, exp2 1.9e-5.
"""

from __future__ import annotations

import numpy as np

from ..compile import inlined
from ..formats import DECAY_FRACTION, VECTOR
from ..tables import (
    CORRECTION_FRACTION,
    CORRECTION_SEGMENTS,
    CORRECTION_STEP_BITS,
    EXP2,
    EXP2_FRACTION,
    EXP2_SEGMENT_BITS,
    SILU,
    SOFTPLUS,
)
from .arith import shift_round

_STEP_MASK = (1 << CORRECTION_STEP_BITS) - 1
_WIDEN = CORRECTION_FRACTION - VECTOR.fraction
EXPONENT_FRACTION = 16
"""Fraction bits of the exponent t of ``exp2_negative``."""
_SEGMENT_SHIFT = EXPONENT_FRACTION - EXP2_SEGMENT_BITS
_ALMOST_ONE = (1 << DECAY_FRACTION) - 1


@inlined
def _correction(table: np.ndarray, magnitude: int) -> int:
    segment = magnitude >> CORRECTION_STEP_BITS
    if segment >= CORRECTION_SEGMENTS:
        return 0
    step = (table[segment + 1] - table[segment]) * (magnitude & _STEP_MASK)
    return table[segment] + shift_round(step, CORRECTION_STEP_BITS)


@inlined
def softplus(value: int) -> int:
    """log(1 + e^x): ``VECTOR`` in, ``DT`` (never negative) out."""
    return (max(value, 0) << _WIDEN) + _correction(SOFTPLUS, abs(value))


@inlined
def silu(value: int) -> int:
    """x/(1 + e^-x): ``VECTOR`` in and out; it can not saturate."""
    return shift_round((max(value, 0) << _WIDEN) - _correction(SILU, abs(value)), _WIDEN)


@inlined
def exp2_negative(exponent: int) -> int:
    """2^-t of t ≥ 0 with 16 fraction bits; the result has 17 fraction bits and is at most 1 − 2^-17."""
    whole = exponent >> EXPONENT_FRACTION
    if whole > EXP2_FRACTION:
        return 0
    fraction = exponent & ((1 << EXPONENT_FRACTION) - 1)
    segment = fraction >> _SEGMENT_SHIFT
    fall = (EXP2[segment] - EXP2[segment + 1]) * (fraction & ((1 << _SEGMENT_SHIFT) - 1))
    mantissa = EXP2[segment] - shift_round(fall, _SEGMENT_SHIFT)
    return min(shift_round(mantissa, whole + EXP2_FRACTION - DECAY_FRACTION), _ALMOST_ONE)
