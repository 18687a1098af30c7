"""The number formats of the datapath. Numba kernels, tables and RTL read these constants; nothing repeats them.

A value of format ``fixed(bits, fraction)`` is a two's-complement integer ``v`` of ``bits`` bits that stands for
``v · 2^-fraction``. Every narrowing shift rounds half to even and every store saturates.
"""

from __future__ import annotations

from typing import NamedTuple

from ..models.precision import RESIDUAL_BITS, VECTOR_BITS


class Fixed(NamedTuple):
    """A signed fixed-point format: a named tuple, so that Numba reads its fields as constants.

    ``bits``: total width; ``fraction``: fraction width; ``greatest``: the greatest integer, 2^(bits−1) − 1 (the least
    is ``-greatest - 1``). Built by ``fixed``.
    """

    bits: int
    fraction: int
    greatest: int

    @property
    def ulp(self) -> float:
        """The value of one unit in the last place."""
        return 2.0**-self.fraction


def fixed(bits: int, fraction: int) -> Fixed:
    """The format of ``bits`` bits of which ``fraction`` are behind the point."""
    return Fixed(bits, fraction, (1 << (bits - 1)) - 1)


VECTOR = fixed(VECTOR_BITS, 11)
"""Projections, convolution, SiLU outputs, B, C, z, and the time step before softplus: ±64."""

NORMED = fixed(24, 16)
"""Outputs of RMSNorm: ±128."""

SCANNED = fixed(24, 11)
"""Outputs of the scan and of the Mamba-1 gate: ±4096."""

RESIDUAL = fixed(RESIDUAL_BITS, 16)
"""The residual stream: ±32768."""

LOGIT = fixed(32, 16)
"""Outputs of the head: ±32768."""

DT = fixed(25, 18)
"""The time step after softplus, never negative: below 64 + ln 2."""

DECAY_FRACTION = 17
"""exp(dt·A) is an unsigned fraction of 17 bits, at most 1 − 2^-17: it fits one 18-bit signed multiplier port."""

DTX = fixed(24, 16)
"""dt·x, the scan's input before B: ±128."""
