"""``Precision``: the widths that are knobs of a run, shared by the simulator, its trace and a shape-only trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STATE_BITS = (8, 12, 16, 18, 24, 32)
VECTOR_BITS = 18
"""Width of the values between the linears: projections, convolution, gates. One operand of an ECP5 MULT18X18D."""
RESIDUAL_BITS = 32
SCALE_BITS = 16
"""Width of α, β, norm weights, conv weights, D, biases and decay rates as the hardware stores them."""


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Widths and modes of one run.

    ``activation_bits``: of the integer activations that enter a linear layer (8).
    ``quantizer``: ``pow2`` (a shift in hardware) or ``absmax`` (127/absmax, BitNet's); both per token, both after α.
    ``head``: the tied embedding as ``int8`` (8 planes) or ``binary`` (1 plane).
    ``state_bits``: of the recurrent state, one of 8, 12, 16, 18, 24, 32; ``state_range_bits``: its integer bits
    without the sign (3: the state saturates at ±8).

    Raises ``ValueError`` naming what is allowed.
    """

    activation_bits: int = 8
    quantizer: Literal["pow2", "absmax"] = "pow2"
    head: Literal["int8", "binary"] = "int8"
    state_bits: int = 16
    state_range_bits: int = 3

    def __post_init__(self) -> None:
        if self.state_bits not in STATE_BITS:
            raise ValueError(f"state_bits is {self.state_bits}, it must be one of {', '.join(map(str, STATE_BITS))}")
        if not 0 <= self.state_range_bits < self.state_bits - 1:
            raise ValueError(
                f"state_range_bits is {self.state_range_bits}, "
                f"{self.state_bits}-bit states allow 0 to {self.state_bits - 2}"
            )
        if self.activation_bits != 8:
            raise ValueError(f"activation_bits is {self.activation_bits}; the quantizers of this version make 8")
        for field, allowed in (("quantizer", ("pow2", "absmax")), ("head", ("int8", "binary"))):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, it must be one of {', '.join(allowed)}")

    @property
    def head_planes(self) -> int:
        """Weight planes of the head and the embedding table."""
        return 8 if self.head == "int8" else 1
