"""``BackConfig``: sizes and number domain of the back end, from the array's counts to the finished results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..designs.design import ACTIVATION_BITS
from .config import ArrayConfig
from .settings import COEFFICIENT_BITS, PLANES_LIMIT, TILES_BITS

SCALED_BITS = 34
BIAS_BITS = 33
"""A scaled sum that leaves 34 bits is beyond 32 bits whatever bias of 33 bits is added: the result saturates alike."""
MULTIPLIER_GREATEST = ((1 << 23) * 33026) >> 15
"""absmax: the scale's 23 bits, rounded up, times round(2^22 / 127), 15 bits dropped."""


@dataclass(frozen=True, kw_only=True)
class BackConfig:
    """Sizes of the back end of ``array``.

    ``planes_max``: weight planes of a layer; with 1, the only coefficients are 1 and 2 and no memory holds sums.
    ``quantizer``: ``pow2`` builds no multipliers. ``output_tiles_max``: depth of the offset memory. ``tokens_max``:
    depth of the token records, a power of two of at least the array's rows. ``x_bits``: width of the front end's x.

    Domain (what ``packing`` checks of a layer): K ≤ array.inputs_max inputs of |q| ≤ 128, coefficients of 16 bits (2
    only for activations ±1 where ``planes_max`` is 1), and a bias that fits ``BIAS_BITS`` for every possible token.

    Raises ``ValueError`` for a size that cannot be built, saying what would be right.
    """

    array: ArrayConfig
    output_tiles_max: int
    tokens_max: int
    planes_max: int = 1
    quantizer: Literal["pow2", "absmax"] = "pow2"
    x_bits: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.planes_max <= PLANES_LIMIT:
            raise ValueError(f"planes_max is {self.planes_max}, it must be 1 to {PLANES_LIMIT}")
        if not 1 <= self.output_tiles_max < 1 << TILES_BITS:
            raise ValueError(f"output_tiles_max is {self.output_tiles_max}, it must be 1 to {(1 << TILES_BITS) - 1}")
        if self.quantizer not in ("pow2", "absmax"):
            raise ValueError(f"quantizer is {self.quantizer!r}, it must be pow2 or absmax")
        if self.tokens_max < max(2, self.array.rows) or self.tokens_max & (self.tokens_max - 1):
            raise ValueError(
                f"tokens_max is {self.tokens_max}, it must be a power of two and at least {max(2, self.array.rows)}"
            )

    @property
    def sum_bits(self) -> int:
        """Width of Σ_p C_p·dot_p, signed: |dot| ≤ 128·K; at most 2^15 times that for every plane with a coefficient."""
        dot = self.array.inputs_max << (ACTIVATION_BITS - 1)
        greatest = dot if self.planes_max == 1 else (self.planes_max * dot) << (COEFFICIENT_BITS - 1)
        return greatest.bit_length() + 1

    @property
    def multiplier_bits(self) -> int:
        """Width of a token's unsigned multiplier; 1 in ``pow2``, where it is always 1."""
        return MULTIPLIER_GREATEST.bit_length() if self.quantizer == "absmax" else 1

    @property
    def value_bits(self) -> int:
        """Width of sum · multiplier, signed: what is shifted."""
        if self.quantizer == "pow2":
            return self.sum_bits
        return ((1 << (self.sum_bits - 1)) * MULTIPLIER_GREATEST).bit_length() + 1
