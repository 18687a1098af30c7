"""``FrontConfig``: sizes of the front end (x·α, quantizer, Σ β·x) and the widths that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from .config import Tech

SCALE_BITS = 16
"""Mantissas of α and β."""
ABSMAX_BITS = 23
"""Bits to which absmax mode shifts a token's greatest magnitude (one more after rounding up)."""
RECIPROCAL_BITS = 25
"""(127·2^40) // scale for 2^22 ≤ scale ≤ 2^23."""
_X_BITS = range(9, 25)


@dataclass(frozen=True, kw_only=True)
class FrontConfig:
    """Sizes of the front end.

    ``lanes``: channels a cycle, a power of two. ``inputs_max``: greatest K. ``quantizer``: the token's scale, as in the
    simulator. ``x_bits``: width of x, 9 to 24. A product x·α is at most 2^(x_bits + 14) in magnitude.

    Raises ``ValueError`` for a size that cannot be built, saying what would be right.
    """

    lanes: int
    inputs_max: int = 16384
    quantizer: Literal["pow2", "absmax"] = "pow2"
    x_bits: int = 24
    tech: Tech = "generic"

    def __post_init__(self) -> None:
        for name in ("lanes", "inputs_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes is {self.lanes}, it must be a power of two: lanes fill whole words of the array")
        if self.quantizer not in ("pow2", "absmax"):
            raise ValueError(f"quantizer is {self.quantizer!r}, it must be pow2 or absmax")
        if self.x_bits not in _X_BITS:
            raise ValueError(f"x_bits is {self.x_bits}, it must be {_X_BITS[0]} to {_X_BITS[-1]}")

    def beats(self, inputs: int) -> int:
        """Beats of ``lanes`` channels in a token of ``inputs``."""
        return -(-inputs // self.lanes)

    @property
    def beats_max(self) -> int:
        """Beats in the longest token."""
        return self.beats(self.inputs_max)

    @property
    def product_bits(self) -> int:
        """Width of a signed product x·α."""
        return self.x_bits + SCALE_BITS

    @property
    def magnitude_bits(self) -> int:
        """Width of |x·α|: the product of the two least numbers, 2^(x_bits + 14), has x_bits + 15 bits."""
        return self.product_bits - 1

    @property
    def beta_sum_bits(self) -> int:
        """Width of Σ β·x, signed: at most K·2^(x_bits + 14) in magnitude."""
        return (self.inputs_max << (self.magnitude_bits - 1)).bit_length() + 1

    @property
    def x_layout(self) -> data.StructLayout:
        """A beat of x."""
        return data.StructLayout({"x": data.ArrayLayout(signed(self.x_bits), self.lanes), "last": 1})

    @property
    def product_layout(self) -> data.StructLayout:
        """A beat of x·α."""
        return data.StructLayout({"p": data.ArrayLayout(signed(self.product_bits), self.lanes), "last": 1})

    @property
    def u_layout(self) -> data.StructLayout:
        """A beat of activations, u = q + 128."""
        return data.StructLayout({"u": data.ArrayLayout(unsigned(8), self.lanes), "last": 1})

    @property
    def scale_layout(self) -> data.StructLayout:
        """A token's scale: x·α ≈ q · multiplier · 2^shift.

        pow2: multiplier 1, 0 ≤ shift ≤ magnitude_bits − 7. absmax: multiplier ≤ round(2^23·33026/2^15) < 2^24,
        −30 ≤ shift ≤ magnitude_bits − 30.
        """
        absmax = self.quantizer == "absmax"
        return data.StructLayout({"multiplier": unsigned(24 if absmax else 1), "shift": signed(6 if absmax else 7)})

    @property
    def token_layout(self) -> data.StructLayout:
        """A token's record: its scale and Σ β·x."""
        return data.StructLayout({**self.scale_layout.members, "beta_sum": signed(self.beta_sum_bits)})

    @property
    def parameter_layout(self) -> data.StructLayout:
        """A write of one α (``select`` 0) or β (1): that of channel ``address``·lanes + ``lane``."""
        return data.StructLayout(
            {
                "enable": 1,
                "address": range(self.beats_max),
                "select": 1,
                "lane": range(self.lanes),
                "data": signed(SCALE_BITS),
            }
        )
