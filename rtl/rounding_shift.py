"""``RoundingShift``: division by a power of two that the data chooses, rounded half to even."""

from __future__ import annotations

from typing import Any

from amaranth import Const, Module, Mux
from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .stages import registered

_LEVELS_PER_STAGE = 2


class RoundingShift(wiring.Component):
    """o = i / 2^i_amount, rounded half to even; the result must fit ``out_bits``.

    A logarithmic shifter, far levels first: after each level only the bits that can still reach the result are kept.
    Of what falls out, the last bit is the guard and the others are ORed (sticky).

    Members: ``i``: In, signed(``bits``); ``i_amount``: In, range(``greatest`` + 1); ``o``: Out, signed(``out_bits``).
    Latency ceil(levels / 2) + 1, interval 1.
    """

    interval = 1

    def __init__(self, bits: int, greatest: int, out_bits: int) -> None:
        self._levels = greatest.bit_length()
        super().__init__({"i": In(signed(bits)), "i_amount": In(range(greatest + 1)), "o": Out(signed(out_bits))})

    @property
    def latency(self) -> int:
        """Cycles from ``i`` and ``i_amount`` to ``o``."""
        return -(-self._levels // _LEVELS_PER_STAGE) + 1

    def elaborate(self, platform: object) -> Module:
        m = Module()
        out_bits = len(self.o)
        value, sticky, amount = self.i.shift_left(1), Const(0, 1), self.i_amount
        for done, level in enumerate(reversed(range(self._levels)), start=1):
            far = 1 << level
            sticky = sticky | (amount[level] & value[:far].any())
            shifted = Mux(amount[level], value.shift_right(far), value)
            value = shifted[: out_bits + far].as_signed()
            if done % _LEVELS_PER_STAGE == 0 or level == 0:
                value, sticky = registered(m, value, f"value_{level}"), registered(m, sticky, f"sticky_{level}")
                amount = registered(m, amount[:level], f"amount_{level}")
        m.d.sync += self.o.eq(rounded(value[1 : out_bits + 1].as_signed(), value[0], sticky))
        return m


def rounded(floor: Any, guard: Any, sticky: Any) -> Any:
    """``floor`` plus a fraction whose first bit is ``guard`` and whose others are ORed in ``sticky``, half to even."""
    return floor + (guard & (sticky | floor[0]))


def product_rounded(value: Any, bits: int) -> Any:
    """``value`` / 2^bits for a constant ``bits`` of at least 1, rounded half to even."""
    floor = value[bits:]
    return rounded(floor.as_signed() if value.shape().signed else floor, value[bits - 1], value[: bits - 1].any())
