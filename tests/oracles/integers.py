"""The datapath's blocks on Python's unbounded integers, written from their stated formulas and formats.

Nothing here has a width, so nothing can overflow: what a compiled kernel must equal, integer for integer. A value of
format (bits, fraction) is an integer v of that many bits, two's complement, that stands for v·2^-fraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

VECTOR_BITS, VECTOR_FRACTION = 18, 11
SCANNED_BITS, SCANNED_FRACTION = 24, 11
DTX_BITS, DTX_FRACTION = 24, 16
DT_FRACTION = 18
DECAY_FRACTION = 17
EXPONENT_FRACTION = 16

SOFTPLUS_TABLE = [round(math.log1p(math.exp(-i / 16)) * 2**18) for i in range(256)] + [0]
SILU_TABLE = [round(i / 16 / (1 + math.exp(i / 16)) * 2**18) for i in range(256)] + [0]
EXP2_TABLE = [round(2 ** (20 - i / 64)) for i in range(65)]


def half_even(value: int, bits: int) -> int:
    """value / 2^bits (times 2^-bits where negative), rounded half to even."""
    return round(Fraction(value) / Fraction(2) ** bits)


def clip(value: int, bits: int) -> int:
    """The nearest value of ``bits`` bits of two's complement."""
    return max(-(1 << (bits - 1)), min(value, (1 << (bits - 1)) - 1))


def interpolate(table: Sequence[int], magnitude: int) -> int:
    """A correction table at ``magnitude`` (``VECTOR``): steps of 1/16, linear between them, 0 from 16 on."""
    step, rest = divmod(magnitude, 128)
    return table[step] + half_even((table[step + 1] - table[step]) * rest, 7) if step < 256 else 0


def softplus(x: int) -> int:
    """log(1 + e^x): ``VECTOR`` in, 18 fraction bits out."""
    return (max(x, 0) << (DT_FRACTION - VECTOR_FRACTION)) + interpolate(SOFTPLUS_TABLE, abs(x))


def silu(x: int) -> int:
    """x/(1 + e^-x): ``VECTOR`` in and out."""
    relu = max(x, 0) << (18 - VECTOR_FRACTION)
    return half_even(relu - interpolate(SILU_TABLE, abs(x)), 18 - VECTOR_FRACTION)


def exp2_negative(t: int) -> int:
    """2^-t, t with 16 fraction bits, the result with 17: 64 segments of the fraction, whole part as a shift."""
    whole, fraction = divmod(t, 1 << EXPONENT_FRACTION)
    segment, rest = divmod(fraction, 1 << 10)
    mantissa = EXP2_TABLE[segment] - half_even((EXP2_TABLE[segment] - EXP2_TABLE[segment + 1]) * rest, 10)
    return min(half_even(mantissa, whole + 3), (1 << DECAY_FRACTION) - 1) if whole <= 20 else 0


class Scan:
    """One scan lane: a step size, the state of one channel, and the values it clipped so far."""

    def __init__(self, state_bits: int, state_fraction: int) -> None:
        self.bits, self.fraction = state_bits, state_fraction
        self.clipped = 0

    def clip(self, value: int, bits: int) -> int:
        """``clip`` that counts."""
        inside = clip(value, bits)
        self.clipped += inside != value
        return inside

    def channel(
        self,
        state: list[int],
        x: int,
        dt_raw: int,
        rates: Sequence[tuple[int, int]],
        b: Sequence[int],
        c: Sequence[int],
        skip: tuple[int, int],
    ) -> int:
        """One token of one channel: ``state`` is replaced in place, y is returned.

        h = round(2^-(dt·rate)·h + (dt·x)·B), y = Σ h·C + D·x. ``rates`` (one per state) and ``skip`` are (mantissa,
        exponent); ``dt_raw`` already holds the bias.
        """
        dt = softplus(clip(dt_raw, VECTOR_BITS))
        dtx = self.clip(half_even(dt * x, DT_FRACTION + VECTOR_FRACTION - DTX_FRACTION), DTX_BITS)
        total = 0
        for n, (rate, exponent) in enumerate(rates):
            decay = exp2_negative(half_even(dt * rate, DT_FRACTION + exponent - EXPONENT_FRACTION))
            kept = Fraction(state[n] * decay, 2 ** (self.fraction + DECAY_FRACTION))
            added = Fraction(dtx * b[n], 2 ** (DTX_FRACTION + VECTOR_FRACTION))
            state[n] = self.clip(round((kept + added) * 2**self.fraction), self.bits)
            total += state[n] * c[n]
        y = half_even(total, self.fraction) + half_even(skip[0] * x, skip[1])
        return self.clip(y, SCANNED_BITS)


def conv_silu(window: Sequence[int], weight: Sequence[int], exponent: int, bias: int) -> tuple[int, bool]:
    """silu(Σ w·x + bias) of one channel, oldest sample first, and whether the sum was clipped to ``VECTOR``."""
    total = half_even(sum(w * x for w, x in zip(weight, window, strict=True)) + bias, exponent)
    return silu(clip(total, VECTOR_BITS)), clip(total, VECTOR_BITS) != total
