"""Integer primitives that every block shares: rounding shift, saturation, bit length, integer square root, popcount."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.context import BaseContext
from numba.extending import intrinsic

from ..compile import inlined


@intrinsic
def popcount(_context: BaseContext, word: Any) -> Any:
    """Ones in a uint64 as an int64, by the CPU's own instruction where it has one (LLVM ``ctpop``)."""
    return types.int64(types.uint64), lambda _c, builder, _s, args: builder.ctpop(args[0])


@intrinsic
def _leading_zeros(_context: BaseContext, word: Any) -> Any:
    def build(_c: Any, builder: Any, _s: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), build


@inlined
def bit_length(value: int) -> int:
    """Bits of a non-negative int64: 0 for 0, 7 for 127, 8 for 128."""
    return 64 - _leading_zeros(value)


FARTHEST_LEFT, FARTHEST_RIGHT = 61, 62
"""No shift count is undefined: further to the right everything is 0 as well, and to the left a value saturates at
±2^61, far outside every format and so that a sum of two never overflows."""


@inlined
def shift_round(value: int, bits: int) -> int:
    """value / 2^bits, rounded half to even; a shift to the left where ``bits`` is negative. |value| ≤ 2^61."""
    if bits <= 0:
        up = min(-bits, FARTHEST_LEFT)
        return saturate(value, (1 << FARTHEST_LEFT) >> up) << up
    down = min(bits, FARTHEST_RIGHT)
    return (value + (1 << (down - 1)) - 1 + ((value >> down) & 1)) >> down


@inlined
def saturate(value: int, greatest: int) -> int:
    """Clamp to the two's-complement range whose greatest value is ``greatest``."""
    return min(max(value, -greatest - 1), greatest)


@inlined
def integer_sqrt(value: int) -> int:
    """floor(sqrt(value)) of 0 ≤ value < 2^52, exact: the float estimate is off by one at most."""
    root = int(math.sqrt(value))
    if root * root > value:
        return root - 1
    if (root + 1) * (root + 1) <= value:
        return root + 1
    return root
